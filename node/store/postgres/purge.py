"""Deleting from the PostgreSQL store: rows that are due, and their last bytes.

With a read go its hits, its source's identifier and, when it was the last one
of its plate, that. What points at reads has no foreign keys: a partition that
others refer to can't be dropped without looking through it.

``plates.last_day`` is the day of the newest read of the plate. Whatever deletes
reads of a day or of earlier ones looks at the plates whose last day is no later.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from psycopg import errors

from node.store import due
from node.store.base import Cuts
from node.store.dictionary import KEPT_GONE
from node.store.postgres.migrations import DAY_MS, Sql
from node.store.postgres.parts import day_of
from node.store.postgres.places import Layout, Place
from node.store.purged import Due

_BATCH = 10_000
_PAGES = 2_000
_LARGE_BYTES = 256 << 20
_REWRITE_MS = 12 * 3_600_000
REWRITTEN = (
    "reads_rest", "plates", "plates_gone", "hits", "holds", "dead_letters", "hot_lists",
    "hot_list_entries",
)  # fmt: skip
"""Tables out of which rows go one by one; a day's partition goes as a whole."""

# The day of each plate's newest read, of those captured before a moment.
_LAST = """
    SELECT id, (
        SELECT max(captured_ms) / %(day_ms)s FROM reads
        WHERE reads.plate = asked.plate AND reads.state = asked.state
        AND captured_ms < %(end_ms)s
    ) AS day FROM unnest(%(ids)s::bigint[], %(plates)s::text[], %(states)s::text[])
    AS asked (id, plate, state)
"""
# Of plates in question: forgotten, told to the copies in memory, or their last day noted.
_LOOK_AFTER = """
    WITH looked AS (
        SELECT * FROM unnest(%(ids)s::bigint[], %(days)s::integer[]) AS found (id, day)
    ),
    gone AS (
        DELETE FROM plates USING looked WHERE plates.id = looked.id AND day IS NULL
        RETURNING plates.id
    ),
    earlier AS (
        UPDATE plates SET last_day = day FROM looked
        WHERE plates.id = looked.id AND day < plates.last_day
    )
    INSERT INTO plates_gone (plate_id) SELECT id FROM gone ORDER BY id
"""
_NAMED = "(plate, state) IN (SELECT * FROM unnest(%(plates)s::text[], %(states)s::text[]))"
_NUMBERED = "id > %(after)s AND id <= %(to)s"


def find_due(layout: Layout, sql: Sql, before: Cuts) -> Due:
    """See :meth:`node.store.base.ReadStore.due`; ``sql`` looks at what is beside the reads."""
    reads = photos = hits = 0
    times: list[int] = []
    for number in layout.numbers():
        with layout.trying(number), layout.looking(number) as place:
            ((some, *span),) = place.ask(
                f"SELECT count(*), min(captured_ms), max(captured_ms) FROM reads WHERE {due.READS}",  # noqa: S608 - our own texts
                due.reads(before),
            )
            ((more,),) = place.ask(
                f"SELECT count(*) FROM reads WHERE {due.PHOTOS_AND_READS}",  # noqa: S608
                due.photos_and_reads(before),
            )
            ((over,),) = place.sql.execute(
                f"SELECT count(*) FROM hits WHERE {_OVER} AND {place.own_hits} "  # noqa: S608
                "AND read_row != ALL(%s)",
                (*_over(before), _hits_kept_back(place, before)),
            ).fetchall()
            reads, photos, hits = reads + some, photos + more, hits + over
            times += [at for at in span if at is not None]
    ((entries, letters),) = sql.execute(
        "SELECT (SELECT coalesce(sum(entries), 0)::bigint FROM hot_lists WHERE published_ms < %s), "
        "(SELECT count(*) FROM dead_letters WHERE arrived_ms < %s)",
        (before.entries_ms, before.reads_ms),
    ).fetchall()
    return Due(
        reads, photos, entries, hits, min(times, default=None), max(times, default=None), letters,
        left_out=tuple(layout.left_out()),
    )  # fmt: skip


def delete_hits(layout: Layout, before: Cuts) -> int:
    """See :meth:`node.store.base.ReadStore.delete_hits`."""
    total = 0
    for number in layout.numbers():
        with layout.trying(number), layout.writing(number) as place:
            kept_back = _hits_kept_back(place, before)
            gone = 0
            for sql in place.both()[::-1]:
                own = place.own_hits if sql is place.sql else "true"
                gone = sql.execute(
                    f"DELETE FROM hits WHERE {_OVER} AND {own} AND read_row != ALL(%s)",  # noqa: S608
                    (*_over(before), kept_back),
                ).rowcount
            if gone:
                place.deleted()
            total += gone
    return total


_OVER = "captured_ms < %s AND (captured_ms < %s OR possible)"


def _over(before: Cuts) -> tuple[int, int]:
    return max(before.reads_ms, before.hits_ms), before.hits_ms


def _hits_kept_back(place: Place, before: Cuts) -> list[int]:
    """Return the row numbers of held reads whose hits would be due."""
    found = place.ask(
        f"SELECT DISTINCT read_row FROM hits WHERE {due.HITS_HELD}",  # noqa: S608 - our own texts
        due.hits(before),
    )
    return [row for (row,) in found]


def delete_reads(
    layout: Layout, number: int, before: Cuts, batch: int, unlink: Callable[[str], None]
) -> int:
    """Delete some of one place; see :meth:`node.store.base.ReadStore.delete_reads`."""
    with layout.writing(number) as place:
        gone = place.ask(
            "DELETE FROM reads USING due WHERE reads.row_id = due.row_id "
            "AND reads.captured_ms = due.captured_ms "
            "RETURNING reads.row_id, reads.captured_ms, plate, state, photo, source_id",
            (*due.reads(before), batch),
            "due AS MATERIALIZED (SELECT row_id, captured_ms "  # noqa: S608
            f"FROM reads WHERE {due.READS} LIMIT ?)",
        )
        if not gone:
            return 0
        forget(place, [(row, at, plate, state, one) for row, at, plate, state, _, one in gone])
        unlink_unused(layout, place, (photo for *_, photo, _ in gone), unlink)
    return len(gone)


def forget(place: Place, gone: Sequence[tuple[Any, ...]]) -> None:
    """Delete what goes with reads that are deleted.

    Of each its row number, capture, plate, state and source's identifier are given.
    """
    rows, times, plates, states, source_ids = (list(column) for column in zip(*gone, strict=True))
    for sql in place.both():
        sql.execute("DELETE FROM hits WHERE read_row = ANY(%s)", (rows,))
    place.sql.execute("DELETE FROM source_ids WHERE source_id = ANY(%s)", (source_ids,))
    _look_after(place, _NAMED, day_of(max(times)), plates=plates, states=states)
    place.deleted()


def delete_photos(
    layout: Layout, number: int, before: Cuts, batch: int, unlink: Callable[[str], None]
) -> int:
    """Take some of one place; see :meth:`node.store.base.ReadStore.delete_photos`."""
    with layout.writing(number) as place:
        found = place.ask(
            f"SELECT row_id, captured_ms, photo FROM reads WHERE {due.PHOTOS} LIMIT ?",  # noqa: S608
            (*due.photos(before), batch),
        )
        if found:
            rows, times, photos = (list(column) for column in zip(*found, strict=True))
            place.at.execute(
                "UPDATE reads SET photo = '' "
                "FROM unnest(%s::bigint[], %s::bigint[]) AS d (row, at) "
                "WHERE row_id = d.row AND captured_ms = d.at",
                (rows, times),
            )
            unlink_unused(layout, place, photos, unlink)
    return len(found)


def unlink_unused(
    layout: Layout, place: Place, photos: Iterable[str], unlink: Callable[[str], None]
) -> None:
    """Unlink what no read has any longer, before the rows are committed as gone."""
    if names := {photo for photo in photos if photo}:
        for photo in sorted(names - layout.in_use(place, names)):
            unlink(photo)


def in_use(sql: Sql, photos: Iterable[str]) -> frozenset[str]:
    """Return those of the photos that a read has."""
    # The second condition lets the index over photos alone be used.
    text = "SELECT DISTINCT photo FROM reads WHERE photo = ANY(%s) AND photo != ''"
    return frozenset(photo for (photo,) in sql.execute(text, (list(photos),)))


def look_after_dropped(layout: Layout) -> None:
    """Forget what dropped partitions have left: plates, and identifiers of sources."""
    with layout.connections.working() as sql:
        ((day, last),) = sql.execute(
            "SELECT dropped_day, (SELECT coalesce(max(id), 0) FROM plates) FROM upkeep"
        ).fetchall()
    if day < 0:
        return
    for number in layout.numbers():
        with layout.trying(number):
            for after in range(0, last, _BATCH):
                with layout.writing(number) as place:
                    which = f"{_NUMBERED} AND {place.own_plates}"
                    _look_after(place, which, day, after=after, to=after + _BATCH)
    with layout.connections.working() as sql:
        ((pages,),) = sql.execute(
            "SELECT pg_relation_size('source_ids') / current_setting('block_size')::integer"
        ).fetchall()
    for page in range(0, pages, _PAGES):
        with layout.connections.writing() as sql:
            sql.execute(
                "DELETE FROM source_ids WHERE ctid >= %s::tid AND ctid < %s::tid "
                "AND part != 0 AND part NOT IN (SELECT number FROM parts)",
                (f"({page},0)", f"({page + _PAGES},0)"),
            )
    if layout.left_out():
        # Days may have been dropped there whose plates are looked at when it is back.
        return
    with layout.connections.writing() as sql:
        sql.execute("UPDATE upkeep SET dropped_day = -1 WHERE dropped_day = %s", (day,))


def _look_after(place: Place, which: str, last_day: int, **more: object) -> None:
    found = place.sql.execute(
        f"SELECT id, plate, state FROM plates WHERE last_day <= %(last_day)s AND {which}",  # noqa: S608
        {"last_day": last_day, **more},
    ).fetchall()
    if not found:
        return
    ids, plates, states = (list(column) for column in zip(*found, strict=True))
    bounds = {"day_ms": DAY_MS, "end_ms": (last_day + 1) * DAY_MS}
    looked = place.at.execute(
        _LAST, {"ids": ids, "plates": plates, "states": states} | bounds
    ).fetchall()
    place.sql.execute(
        _LOOK_AFTER, {"ids": [one for one, _ in looked], "days": [day for _, day in looked]}
    )
    place.sql.execute(
        "DELETE FROM plates_gone WHERE seq <= (SELECT max(seq) FROM plates_gone) - %s", (KEPT_GONE,)
    )


def rewrite(sql: Sql, now_ms: int, tables: Sequence[str] = REWRITTEN) -> bool:
    """Write the small tables anew, without the bytes of deleted rows; tell whether that is done.

    Where they are large, twice a day. Nobody uses a table while it is written.

    Raises:
        psycopg.Error: as the server says.
    """
    ((deleted, rewritten_ms, size),) = sql.execute(
        "SELECT deleted, rewritten_ms, (SELECT sum(pg_total_relation_size(name::regclass))::bigint "
        "FROM unnest(%s::text[]) AS name) FROM upkeep",
        (list(tables),),
    ).fetchall()
    if not deleted:
        return True
    if size > _LARGE_BYTES and now_ms - rewritten_ms < _REWRITE_MS:
        return False
    # Noted before: what is deleted meanwhile is for the next time.
    sql.execute("UPDATE upkeep SET deleted = false, rewritten_ms = %s", (now_ms,))
    try:
        for table in tables:
            sql.execute(f"VACUUM (FULL) {table}")
    except errors.LockNotAvailable:
        sql.execute("UPDATE upkeep SET deleted = true")
        return False
    return True
