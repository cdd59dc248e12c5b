"""A witness' memory in the database: several processes of a node judge in turn."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from node.store.postgres.address import read_address
from node.store.postgres.connections import as_refusal, pool
from node.store.postgres.wording import Worded

_PLACES, _WAIT_S = 2, 2.0
# The other node waits for the answer.
_SOON = {"statement_timeout": "4s", "lock_timeout": "3s"}


class WitnessTables:
    """The tables in the database of a URL's file: :class:`node.witness_memory.Tables`."""

    def __init__(self, path: Path) -> None:
        """Connect when it is needed.

        Raises:
            InputError: the file can't be used.
        """
        self._pool = pool(read_address(path), _PLACES, _SOON, wait_s=_WAIT_S, again_s=_WAIT_S)

    @contextmanager
    def turn(self) -> Iterator[Worded]:
        """See :meth:`node.witness_memory.Tables.turn`."""
        with self.looking() as sql, sql.sql.transaction():
            # Of a log that is not held there is no row to wait for.
            sql.execute("LOCK TABLE witnessed IN EXCLUSIVE MODE")
            yield sql

    @contextmanager
    def looking(self) -> Iterator[Worded]:
        """See :meth:`node.witness_memory.Tables.looking`."""
        try:
            with self._pool.connection() as sql:
                yield Worded(sql)
        except psycopg.Error as error:
            raise as_refusal(error) from None

    def close(self) -> None:
        """See :meth:`node.witness_memory.Tables.close`."""
        self._pool.close()
