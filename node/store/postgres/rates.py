"""How many queries were asked, counted in the database: the bounds hold over all processes.

One row for each of who asks and each window (:mod:`node.rates`), named by a digest
of who it is: officers' names lie in no table. A query's rows are counted up in one
transaction, in the order of their names, or, where one is over its bound, none of
them. Its commit waits for no disk: a crash of the server may forget the queries of
its last half second.
"""

import asyncio
import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import psycopg

from accord.clock import Clock
from node.rates import Bound, exceeded
from node.store.postgres.connections import Pool, as_refusal

_COUNT = """
    WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
    counted AS (
        INSERT INTO rate_counts (who, ends_ms, queries)
        SELECT who, ends_ms, 1 FROM unnest(%s::bytea[], %s::bigint[]) AS new (who, ends_ms)
        ORDER BY who
        ON CONFLICT (who, ends_ms) DO UPDATE SET queries = rate_counts.queries + 1
        RETURNING who, queries
    )
    SELECT who, queries FROM counted, quick
"""


class _Row(NamedTuple):
    who: bytes
    ends_ms: int
    bound: Bound


def _row(bound: Bound, now_ms: int) -> _Row:
    """Return a bound's row of the window that is open at a moment (ms UTC)."""
    text = json.dumps([*bound.who, bound.length_ms]).encode()
    ends_ms = (now_ms // bound.length_ms + 1) * bound.length_ms
    return _Row(hashlib.sha256(text).digest(), ends_ms, bound)


class SharedCounting:
    """A :class:`node.rates.Counting` in the table ``rate_counts``."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="rates")

    async def admit(self, wanted: Iterable[Bound]) -> None:
        """See :meth:`node.rates.Counting.admit`."""
        now_ms = self._clock.now_ms()
        rows = [_row(bound, now_ms) for bound in wanted]
        await asyncio.get_running_loop().run_in_executor(self._threads, self._count, rows)

    def _count(self, rows: Sequence[_Row]) -> None:
        try:
            with self._pool.connection() as sql, sql.transaction():
                values = [row.who for row in rows], [row.ends_ms for row in rows]
                counts: dict[bytes, int] = dict(sql.execute(_COUNT, values).fetchall())
                for row in rows:
                    if counts[row.who] > row.bound.most:
                        raise exceeded(row.bound)
        except psycopg.Error as error:
            raise as_refusal(error) from None

    def close(self) -> None:
        """Wait for what is being counted."""
        self._threads.shutdown()
