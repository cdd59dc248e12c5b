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
from node.store.base import Cuts, Due
from node.store.dictionary import KEPT_GONE
from node.store.postgres.connections import Connections
from node.store.postgres.migrations import DAY_MS, Sql
from node.store.postgres.parts import day_of
from node.store.postgres.wording import worded
from node.store.shared import DELETED

_BATCH = 10_000
_PAGES = 2_000
_LARGE_BYTES = 256 << 20
_REWRITE_MS = 12 * 3_600_000
REWRITTEN = (
    "reads_rest", "plates", "plates_gone", "hits", "holds", "dead_letters", "hot_lists",
    "hot_list_entries",
)  # fmt: skip
"""Tables out of which rows go one by one; a day's partition goes as a whole."""

_LAST = """
    SELECT id, last_day, (
        SELECT max(captured_ms) / %(day_ms)s FROM reads
        WHERE reads.plate = plates.plate AND reads.state = plates.state
        AND captured_ms < %(end_ms)s
    ) AS day FROM plates WHERE last_day <= %(last_day)s AND
"""
# Of plates in question: forgotten, told to the copies in memory, or their last day noted.
_LOOK_AFTER = f"""
    WITH looked AS MATERIALIZED ({_LAST} {{which}}),
    gone AS (
        DELETE FROM plates USING looked WHERE plates.id = looked.id AND day IS NULL
        RETURNING plates.id
    ),
    earlier AS (
        UPDATE plates SET last_day = day FROM looked
        WHERE plates.id = looked.id AND day < looked.last_day
    )
    INSERT INTO plates_gone (plate_id) SELECT id FROM gone ORDER BY id
"""  # noqa: S608 - our own texts
_NAMED = _LOOK_AFTER.format(
    which="(plate, state) IN (SELECT * FROM unnest(%(plates)s::text[], %(states)s::text[]))"
)
_NUMBERED = _LOOK_AFTER.format(which="id > %(after)s AND id <= %(to)s")


def find_due(sql: Sql, before: Cuts) -> Due:
    """See :meth:`node.store.base.ReadStore.due`."""
    ((reads, oldest, newest),) = sql.execute(
        worded(
            "SELECT count(*), min(captured_ms), max(captured_ms) "  # noqa: S608 - our own texts
            f"FROM reads WHERE {due.READS}"
        ),
        due.reads(before),
    ).fetchall()
    photos = f"SELECT count(*) FROM reads WHERE {due.PHOTOS_AND_READS}"  # noqa: S608
    ((photos,),) = sql.execute(worded(photos), due.photos_and_reads(before)).fetchall()
    ((hits,),) = sql.execute(
        worded(f"SELECT count(*) FROM hits WHERE {due.HITS}"),  # noqa: S608
        due.hits(before),
    ).fetchall()
    ((entries, letters),) = sql.execute(
        "SELECT (SELECT coalesce(sum(entries), 0)::bigint FROM hot_lists WHERE published_ms < %s), "
        "(SELECT count(*) FROM dead_letters WHERE arrived_ms < %s)",
        (before.entries_ms, before.reads_ms),
    ).fetchall()
    return Due(reads, photos, entries, hits, oldest, newest, letters)


def delete_reads(sql: Sql, before: Cuts, batch: int, unlink: Callable[[str], None]) -> int:
    """See :meth:`node.store.base.ReadStore.delete_reads`; in a write transaction."""
    gone = sql.execute(
        worded(
            "WITH due AS MATERIALIZED "  # noqa: S608 - our own texts
            f"(SELECT row_id, captured_ms FROM reads WHERE {due.READS} LIMIT ?) "
            "DELETE FROM reads USING due WHERE reads.row_id = due.row_id "
            "AND reads.captured_ms = due.captured_ms "
            "RETURNING reads.row_id, reads.captured_ms, plate, state, photo, source_id"
        ),
        (*due.reads(before), batch),
    ).fetchall()
    if not gone:
        return 0
    forget(sql, [(row, at, plate, state, one) for row, at, plate, state, _, one in gone])
    unlink_unused(sql, (photo for *_, photo, _ in gone), unlink)
    return len(gone)


def forget(sql: Sql, gone: Sequence[tuple[Any, ...]]) -> None:
    """Delete what goes with reads that are deleted.

    Of each its row number, capture, plate, state and source's identifier are given.
    """
    rows, times, plates, states, source_ids = (list(column) for column in zip(*gone, strict=True))
    sql.execute("DELETE FROM hits WHERE read_row = ANY(%s)", (rows,))
    sql.execute("DELETE FROM source_ids WHERE source_id = ANY(%s)", (source_ids,))
    _look_after(sql, _NAMED, day_of(max(times)), plates=plates, states=states)
    sql.execute(DELETED)


def delete_photos(sql: Sql, before: Cuts, batch: int, unlink: Callable[[str], None]) -> int:
    """See :meth:`node.store.base.ReadStore.delete_photos`; in a write transaction."""
    found = sql.execute(
        worded(
            "SELECT row_id, captured_ms, photo "  # noqa: S608 - our own texts
            f"FROM reads WHERE {due.PHOTOS} LIMIT ?"
        ),
        (*due.photos(before), batch),
    ).fetchall()
    if found:
        rows, times, photos = (list(column) for column in zip(*found, strict=True))
        sql.execute(
            "UPDATE reads SET photo = '' FROM unnest(%s::bigint[], %s::bigint[]) AS d (row, at) "
            "WHERE row_id = d.row AND captured_ms = d.at",
            (rows, times),
        )
        unlink_unused(sql, photos, unlink)
    return len(found)


def unlink_unused(sql: Sql, photos: Iterable[str], unlink: Callable[[str], None]) -> None:
    """Unlink what no read has any longer, before the rows are committed as gone."""
    names = {photo for photo in photos if photo}
    for photo in sorted(names - in_use(sql, names)):
        unlink(photo)


def in_use(sql: Sql, photos: Iterable[str]) -> frozenset[str]:
    """Return those of the photos that a read has."""
    # The second condition lets the index over photos alone be used.
    text = "SELECT DISTINCT photo FROM reads WHERE photo = ANY(%s) AND photo != ''"
    return frozenset(photo for (photo,) in sql.execute(text, (list(photos),)))


def look_after_dropped(connections: Connections) -> None:
    """Forget what dropped partitions have left: plates, and identifiers of sources."""
    with connections.working() as sql:
        ((day, last),) = sql.execute(
            "SELECT dropped_day, (SELECT coalesce(max(id), 0) FROM plates) FROM upkeep"
        ).fetchall()
    if day < 0:
        return
    for after in range(0, last, _BATCH):
        with connections.writing() as sql:
            _look_after(sql, _NUMBERED, day, after=after, to=after + _BATCH)
    with connections.working() as sql:
        ((pages,),) = sql.execute(
            "SELECT pg_relation_size('source_ids') / current_setting('block_size')::integer"
        ).fetchall()
    for page in range(0, pages, _PAGES):
        with connections.writing() as sql:
            sql.execute(
                "DELETE FROM source_ids WHERE ctid >= %s::tid AND ctid < %s::tid "
                "AND part != 0 AND part NOT IN (SELECT number FROM parts)",
                (f"({page},0)", f"({page + _PAGES},0)"),
            )
    with connections.writing() as sql:
        sql.execute("UPDATE upkeep SET dropped_day = -1 WHERE dropped_day = %s", (day,))


def _look_after(sql: Sql, text: str, last_day: int, **more: object) -> None:
    bounds = {"day_ms": DAY_MS, "last_day": last_day, "end_ms": (last_day + 1) * DAY_MS}
    sql.execute(text, bounds | more)
    sql.execute(
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
