"""Dropping whole days of reads, while others read and write.

Of a day whose reads are all due, what is held, or met a list and is not due, is
moved to ``reads_rest``; its row number stays, for the partition is found by the
time of capture. All is made ready while nobody waits. Then one transaction drops
the partition and puts in what stays: it waits for the partition's readers some
milliseconds at a time, since others wait behind it, and begins anew where it
must. What can't be dropped is deleted row by row, or goes at the next purge.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from psycopg import errors

from node.store import due
from node.store.base import Cuts, Dropped
from node.store.postgres.connections import Connections
from node.store.postgres.migrations import DAY_MS, Sql
from node.store.postgres.parts import day_of, patiently
from node.store.postgres.purge import look_after_dropped, unlink_unused
from node.store.postgres.wording import worded
from node.store.shared import DELETED

_TRIES = 40
_TRIES_AT_ONCE = 5
_PAUSE_S = 0.1
_PHOTOS = 1_000

# Holds of a plate are looked up in the index. For those of a camera or an area
# the day is looked through, where there are any.
_OTHERS = "holds.plate IS NULL AND holds.until_ms > ? AND holds.from_ms < ? AND holds.to_ms > ?"
_STAYING = f"""
    CREATE TEMPORARY TABLE staying ON COMMIT DROP AS SELECT * FROM {{part}} WHERE row_id IN (
        SELECT read_row FROM hits
        WHERE captured_ms >= ? AND captured_ms < ? AND captured_ms >= ? AND NOT possible
        UNION ALL
        SELECT row_id FROM holds JOIN {{part}} AS reads ON reads.plate = holds.plate
        WHERE holds.until_ms > ? AND {due.MATCHES}
        UNION ALL
        SELECT row_id FROM {{part}} AS reads WHERE EXISTS (SELECT 1 FROM holds WHERE {_OTHERS})
        AND EXISTS (SELECT 1 FROM holds WHERE {_OTHERS} AND {due.MATCHES})
    )
"""  # noqa: S608 - our own texts


class _Busy(Exception):
    """The partition's readers did not make way."""


class _Part(NamedTuple):
    number: int
    day: int
    name: str

    @property
    def span(self) -> tuple[int, int]:
        """The half-open span of ms UTC."""
        return self.day * DAY_MS, (self.day + 1) * DAY_MS


@dataclass
class _Sums:
    segments: int = 0
    reads: int = 0
    hits: int = 0
    photos: int = 0
    moved: int = 0
    times: list[int] = field(default_factory=list)


def drop_segments(connections: Connections, before: Cuts, unlink: Callable[[str], None]) -> Dropped:
    """See :meth:`node.store.base.ReadStore.drop_segments`.

    Raises:
        Refused: as :class:`node.store.base.ReadStore`.
    """
    sums = _Sums()
    with connections.working() as sql:
        text = "SELECT number, day, name FROM parts WHERE day < %s ORDER BY day"
        parts = [_Part(*row) for row in sql.execute(text, (day_of(before.reads_ms),))]
    for part in parts:
        photos = 0
        while batch := _take_photos(connections, part, before, unlink):
            photos += batch
        if _dropped(connections, part, before, sums):
            sums.photos += photos
    look_after_dropped(connections)
    return Dropped(
        sums.segments, sums.reads, sums.hits, sums.photos, sums.moved,
        min(sums.times, default=None), max(sums.times, default=None),
    )  # fmt: skip


def _take_photos(
    connections: Connections, part: _Part, before: Cuts, unlink: Callable[[str], None]
) -> int:
    """Take the photos from some reads that are due, before the reads themselves go."""
    with connections.writing() as sql:
        if not _is_there(sql, part):
            return 0
        found = sql.execute(
            worded(
                f"SELECT row_id, photo FROM {part.name} AS reads "  # noqa: S608 - our own texts
                f"WHERE photo != '' AND {due.READS} LIMIT ?"
            ),
            (*due.reads(before), _PHOTOS),
        ).fetchall()
        rows = [row for row, _ in found]
        sql.execute(f"UPDATE {part.name} SET photo = '' WHERE row_id = ANY(%s)", (rows,))  # noqa: S608
        unlink_unused(sql, (photo for _, photo in found), unlink)
    return len(found)


def _dropped(connections: Connections, part: _Part, before: Cuts, sums: _Sums) -> bool:
    for _ in range(_TRIES):
        try:
            with connections.writing() as sql:
                return _is_there(sql, part) and _drop(sql, part, before, sums)
        except _Busy:
            time.sleep(_PAUSE_S)
    return False


def _is_there(sql: Sql, part: _Part) -> bool:
    """Tell whether nobody else has dropped it; whoever writes knows that it stays so."""
    text = "SELECT 1 FROM parts WHERE number = %s"
    return sql.execute(text, (part.number,)).fetchone() is not None


def _drop(sql: Sql, part: _Part, before: Cuts, sums: _Sums) -> bool:
    """Drop a partition, in a write transaction.

    Raises:
        _Busy: its readers don't make way.
        psycopg.Error: as the server says.
    """
    start, end = part.span
    others = (before.now_ms, end, start)
    # Few rows are looked up in many, and the server knows of neither how many there are.
    sql.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
    moved = sql.execute(
        worded(_STAYING.format(part=part.name)),
        (start, end, before.hit_reads_ms, before.now_ms, *others, *others),
    ).rowcount
    ((reads, first, last),) = sql.execute(
        f"SELECT count(*), min(captured_ms), max(captured_ms) FROM {part.name} "  # noqa: S608
        "WHERE row_id NOT IN (SELECT row_id FROM staying)"
    ).fetchall()
    hits = sql.execute(
        "DELETE FROM hits WHERE captured_ms >= %s AND captured_ms < %s "
        "AND read_row NOT IN (SELECT row_id FROM staying)",
        (start, end),
    ).rowcount
    sql.execute(
        "UPDATE source_ids SET part = 0 FROM staying WHERE source_ids.source_id = staying.source_id"
    )
    try:
        patiently(sql, lambda: _lock(sql, part), _TRIES_AT_ONCE)
    except errors.LockNotAvailable:
        raise _Busy from None
    sql.execute(f"DROP TABLE {part.name}")
    sql.execute("INSERT INTO reads_rest SELECT * FROM staying")
    sql.execute("DELETE FROM parts WHERE number = %s", (part.number,))
    sql.execute("UPDATE upkeep SET dropped_day = greatest(dropped_day, %s)", (part.day,))
    sql.execute(DELETED)
    sums.segments += 1
    sums.reads, sums.hits, sums.moved = sums.reads + reads, sums.hits + hits, sums.moved + moved
    sums.times += [at for at in (first, last) if at is not None]
    return True


def _lock(sql: Sql, part: _Part) -> None:
    # In the order in which a search takes them; what is dropped, and what its rows go to.
    for table in ("reads", "reads_rest", part.name):
        sql.execute(f"LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE")
