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
from node.store.base import Cuts
from node.store.postgres.migrations import DAY_MS, Sql
from node.store.postgres.parts import day_of, patiently
from node.store.postgres.places import Layout, Place
from node.store.postgres.purge import look_after_dropped, unlink_unused
from node.store.postgres.wording import worded
from node.store.purged import Dropped

_TRIES = 40
_TRIES_AT_ONCE = 5
_PAUSE_S = 0.1
_PHOTOS = 1_000

# Holds of a plate are looked up in the index. For those of a camera or an area
# the day is looked through, where there are any.
_OTHERS = "holds.plate IS NULL AND holds.until_ms > ? AND holds.from_ms < ? AND holds.to_ms > ?"
_STAYING = f"""
    CREATE TEMPORARY TABLE staying ON COMMIT DROP AS {{holds}}
    SELECT * FROM {{part}} WHERE row_id IN (
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

    def add(self, gone: Dropped) -> None:
        self.segments += gone.segments
        self.reads, self.hits = self.reads + gone.reads, self.hits + gone.hits
        self.moved += gone.moved
        self.times += [at for at in (gone.from_ms, gone.to_ms) if at is not None]


def drop_segments(layout: Layout, before: Cuts, unlink: Callable[[str], None]) -> Dropped:
    """See :meth:`node.store.base.ReadStore.drop_segments`.

    Raises:
        Refused: as :class:`node.store.base.ReadStore`.
    """
    sums = _Sums()
    for number in layout.numbers():
        with layout.trying(number):
            _drop_in(layout, number, before, unlink, sums)
    look_after_dropped(layout)
    return Dropped(
        sums.segments, sums.reads, sums.hits, sums.photos, sums.moved,
        min(sums.times, default=None), max(sums.times, default=None),
    )  # fmt: skip


def _drop_in(
    layout: Layout, number: int, before: Cuts, unlink: Callable[[str], None], sums: _Sums
) -> None:
    with layout.looking(number) as place:
        text = "SELECT number, day, name FROM parts WHERE day < %s ORDER BY day"
        found = place.at.execute(text, (day_of(before.reads_ms),)).fetchall()
    for part in (_Part(*row) for row in found):
        photos = 0
        while batch := _take_photos(layout, number, part, before, unlink):
            photos += batch
        if _dropped(layout, number, part, before, sums):
            sums.photos += photos


def _take_photos(
    layout: Layout, number: int, part: _Part, before: Cuts, unlink: Callable[[str], None]
) -> int:
    """Take the photos from some reads that are due, before the reads themselves go."""
    with layout.writing(number) as place:
        if not _is_there(place, part):
            return 0
        found = place.ask(
            f"SELECT row_id, photo FROM {part.name} AS reads "  # noqa: S608 - our own texts
            f"WHERE photo != '' AND {due.READS} LIMIT ?",
            (*due.reads(before), _PHOTOS),
        )
        rows = [row for row, _ in found]
        place.at.execute(f"UPDATE {part.name} SET photo = '' WHERE row_id = ANY(%s)", (rows,))  # noqa: S608
        unlink_unused(layout, place, (photo for _, photo in found), unlink)
    return len(found)


def _dropped(layout: Layout, number: int, part: _Part, before: Cuts, sums: _Sums) -> bool:
    for _ in range(_TRIES):
        try:
            with layout.writing(number) as place:
                gone = _drop(place, part, before) if _is_there(place, part) else None
        except _Busy:
            time.sleep(_PAUSE_S)
        else:
            if gone is not None:
                sums.add(gone)
            return gone is not None
    return False


def _is_there(place: Place, part: _Part) -> bool:
    """Tell whether nobody else has dropped it; whoever writes knows that it stays so."""
    text = "SELECT 1 FROM parts WHERE number = %s"
    return place.at.execute(text, (part.number,)).fetchone() is not None


def _drop(place: Place, part: _Part, before: Cuts) -> Dropped:
    """Drop a partition, in a write transaction.

    Raises:
        _Busy: its readers don't make way.
        psycopg.Error: as the server says.
    """
    start, end = part.span
    others = (before.now_ms, end, start)
    at, sql = place.at, place.sql
    # Few rows are looked up in many, and the server knows of neither how many there are.
    at.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
    prefix, brought = place.before()
    moved = at.execute(
        worded(_STAYING.format(holds=prefix, part=part.name)),
        (*brought, start, end, before.hit_reads_ms, before.now_ms, *others, *others),
    ).rowcount
    ((reads, first, last),) = at.execute(
        f"SELECT count(*), min(captured_ms), max(captured_ms) FROM {part.name} "  # noqa: S608
        "WHERE row_id NOT IN (SELECT row_id FROM staying)"
    ).fetchall()
    staying = at.execute("SELECT row_id, source_id FROM staying").fetchall()
    hits = 0
    for one in place.both()[::-1]:
        own = place.own_hits if one is sql else "true"
        hits = one.execute(
            f"DELETE FROM hits WHERE captured_ms >= %s AND captured_ms < %s AND {own} "  # noqa: S608
            "AND read_row NOT IN (SELECT unnest(%s::bigint[]))",
            (start, end, [row for row, _ in staying]),
        ).rowcount
    sql.execute(
        "UPDATE source_ids SET part = 0 WHERE source_id = ANY(%s)",
        ([source_id for _, source_id in staying],),
    )
    try:
        patiently(at, lambda: _lock(at, part), _TRIES_AT_ONCE)
    except errors.LockNotAvailable:
        raise _Busy from None
    at.execute(f"DROP TABLE {part.name}")
    at.execute("INSERT INTO reads_rest SELECT * FROM staying")
    sql.execute("DELETE FROM parts WHERE number = %s", (place.known_as(part.number),))
    if at is not sql:
        at.execute("DELETE FROM parts WHERE number = %s", (part.number,))
    sql.execute("UPDATE upkeep SET dropped_day = greatest(dropped_day, %s)", (part.day,))
    place.deleted()
    return Dropped(1, reads, hits, 0, moved, first, last)


def _lock(sql: Sql, part: _Part) -> None:
    # In the order in which a search takes them; what is dropped, and what its rows go to.
    for table in ("reads", "reads_rest", part.name):
        sql.execute(f"LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE")
