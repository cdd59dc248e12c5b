"""Whether the tables on the server are of this version; their pages are PostgreSQL's own."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

from node.store.moving import is_filling
from node.store.postgres.address import read_address
from node.store.postgres.connections import connect, unreachable
from node.store.postgres.migrations import STEPS, Sql, lacking, pending
from node.store.postgres.opening import check_settings
from node.store.postgres.same_servers import require_same
from node.store.postgres.sharding import require_stored, slices_at
from node.store.postgres.shards import shards_of
from node.store.postgres.slices import schema_of, steps_of
from node.store.postgres.wording import Worded
from node.store.soundness import Soundness


def look_at(path: Path, shards: Sequence[Path] = ()) -> tuple[int, Soundness]:
    """Return the size of the databases in bytes, and how their tables stand.

    ``shards`` are the files of the servers where the reads are, if they are not in it.

    Raises:
        InputError: a file or a server is not as it must be, or can't be reached: it is named.
    """
    with _looking(path, read_address(path)) as sql:
        size, to_take, unknown = _size(sql), *pending(sql)
        empty = to_take == len(STEPS)
        gone = () if to_take else lacking(sql)
        if gone:
            return size, Soundness(0, 0, unknown, lacking=gone)
        filling = not to_take and is_filling(Worded(sql))
        servers = shards_of(shards)
        for shard in servers:
            with _looking(shard.path, shard.address) as at:
                size += _size(at)
                there = slices_at(at)
                for number in there:
                    more = pending(at, steps_of(number), schema_of(number))
                    if not more[0]:
                        require_stored(shard, at, (number,), sql)
                    to_take, unknown = to_take + more[0], unknown + more[1]
        # What is wrong with a server itself is told first.
        for place, shard in enumerate(servers):
            with _looking(shard.path, shard.address) as at:
                require_same(shard.path, sql, at, place)
    return size, Soundness(0, to_take, unknown, empty, filling=filling)


@contextmanager
def _looking(path: Path, address: Mapping[str, str]) -> Iterator[Sql]:
    try:
        with connect(address) as sql:
            check_settings(path, sql)
            yield sql
    except psycopg.Error as error:
        raise unreachable(path, error) from None


def _size(sql: Sql) -> int:
    row = sql.execute("SELECT pg_database_size(current_database())").fetchone()
    return int(row[0]) if row else 0
