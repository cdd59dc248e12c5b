"""Deleting from segments: whole files, and rows of those that are not wholly due.

A segment in which all is due goes in one short transaction of the main file: what a hold
holds is put into the main file under its row number, and the segment leaves the list. Then
its file is unlinked. What a search reads meanwhile stays whole for it.

A file that is damaged keeps no other from going. Once all of it is due and no hold is near
it goes too, unread.

Plates stand in one list for all files. Each knows the end of the newest segment that had
a read of it, so that once no older segment is left, those are known that no read has.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from typing import NamedTuple

from accord.errors import Refused
from accord.private_db import rewrite
from node.store import due
from node.store.base import Cuts
from node.store.connections import Bounded
from node.store.dictionary import KEPT_GONE
from node.store.fast import COLUMNS
from node.store.purged import Dropped, Due
from node.store.segments.moving import INSERT_AGAIN
from node.store.segments.parts import Parts, listed
from node.store.segments.pool import Gone, is_spoilt
from node.store.segments.spans import Segment
from node.store.shared import DELETED
from node.store.statements import SNAPSHOT

Unlink = Callable[[str], None]
Changed = tuple[Segment, sqlite3.Connection]
Delete = Callable[[Parts, Bounded, Segment, Cuts, int, Unlink], int]

_FORGET_GONE = "DELETE FROM plates_gone WHERE seq <= (SELECT max(seq) FROM plates_gone) - ?"
KNOWN = f"row_id <= ({SNAPSHOT})"
"""The condition for a row that the main file knows of; see :mod:`node.store.segments.parts`."""
_NOT_IN_MAIN = (
    "NOT EXISTS (SELECT 1 FROM reads "
    "WHERE reads.plate = plates.plate AND reads.state = plates.state)"
)
_UNTIL = f"SELECT until_ms FROM plates WHERE plate = ? AND state = ? AND {_NOT_IN_MAIN}"  # noqa: S608
# Of a plate that is older than all segments no segment has a read.
_NO_READ = (
    "until_ms < (SELECT coalesce(min(to_ms), 9223372036854775807) FROM segments) "  # noqa: S608
    f"AND {_NOT_IN_MAIN}"
)
_BATCH = 2_000
# Plates lie all over their table, so each costs pages of its own.
_FEW = 500
_PAUSE_S = 0.01
_HOLDS = "SELECT count(*) FROM holds WHERE until_ms > ? AND from_ms < ? AND to_ms > ?"
# Holds of a plate are looked up in the index. For those of a camera or an area the segment
# is looked through, where there are any.
_HELD = f"""
    SELECT reads.row_id FROM holds CROSS JOIN reads ON reads.plate = holds.plate
    WHERE holds.until_ms > ? AND {due.MATCHES}
    UNION
    SELECT reads.row_id FROM holds CROSS JOIN reads ON holds.plate IS NULL
    WHERE holds.until_ms > ? AND {due.MATCHES}
"""  # noqa: S608 - our own texts
_ROW = f"SELECT {COLUMNS}, cell FROM reads WHERE row_id = ?"  # noqa: S608 - our own texts
_HOLDING = "SELECT hold_id, until_ms FROM holds ORDER BY hold_id"


class _Held(NamedTuple):
    """Rows of a segment that are held, by what holds and reads there were."""

    rows: list[int]
    of: object


def count_due(parts: Parts, sql: sqlite3.Connection, before: Cuts) -> Due:
    """Count what the next purge takes from the segments, and in ``waiting`` what waits for more.

    Raises:
        Gone: a segment was dropped meanwhile.
        sqlite3.Error: as the connections say.
    """
    found = Due(0, 0, 0, 0, None, None)
    for one in listed(sql):
        if one.from_ms < max(before.reads_ms, before.photos_ms):
            try:
                found = _counted(parts, sql, one, before, found)
            except (Refused, sqlite3.Error) as error:
                if not is_spoilt(error):
                    raise
                if one.to_ms <= before.reads_ms and not _near(sql, one, before):
                    found = replace(found, unreadable=found.unreadable + 1)
    return found


def _counted(parts: Parts, sql: sqlite3.Connection, one: Segment, before: Cuts, sums: Due) -> Due:
    """Return the sums with what is due in one more segment."""
    cut, hidden = one.due_before(before.reads_ms), before.reads_ms
    held, values = _not_held(sql, one, before)
    with parts.beside_main(one) as part:
        text = "SELECT count(*), min(captured_ms), max(captured_ms) FROM reads "
        text += f"WHERE captured_ms < ? AND {KNOWN}{held}"
        reads, first, last = part.execute(text, (cut, *values)).fetchone()
        waiting = part.execute(text, (hidden, *values)).fetchone()[0] - reads
        text = "SELECT count(*) FROM reads "
        text += f"WHERE captured_ms < ? AND photo != '' AND {KNOWN}{held}"
        (photos,) = part.execute(text, (max(cut, before.photos_ms), *values)).fetchone()
    times = [at for at in (sums.oldest_ms, sums.newest_ms, first, last) if at is not None]
    return replace(
        sums,
        reads=sums.reads + reads,
        photos=sums.photos + photos,
        oldest_ms=min(times, default=None),
        newest_ms=max(times, default=None),
        waiting=sums.waiting + waiting,
    )


def drop_segments(parts: Parts, mine: Bounded, before: Cuts, unlink: Unlink) -> Dropped:
    """See :meth:`node.store.base.ReadStore.drop_segments`.

    Raises:
        Refused, sqlite3.Error: as :class:`node.store.base.ReadStore`; where a file is damaged
            at the end.
    """
    dropped, spoilt = Dropped(), list[Exception]()
    _note_keep(mine, before.now_ms - before.reads_ms)
    remove_left_over(parts, mine)
    with mine.unbounded() as sql:
        segments = [one for one in reversed(listed(sql)) if one.to_ms <= before.reads_ms]
    for one in segments:
        try:
            photos = 0
            while batch := delete_photos(parts, mine, one, before, _BATCH, unlink):
                photos += batch
            dropped = _drop(parts, mine, one, before, dropped, photos)
        except Gone:
            continue  # another process has dropped it
        except (Refused, sqlite3.Error) as error:
            if not is_spoilt(error):
                raise
            if not _drop_unread(parts, mine, one, before):
                spoilt.append(error)
    if spoilt:
        raise spoilt[0]
    return dropped


def delete_photos(
    parts: Parts, mine: Bounded, one: Segment, before: Cuts, batch: int, unlink: Unlink
) -> int:
    """Take the photos that are due from up to so many reads of a segment; return how many.

    Raises:
        Gone: it was dropped.
        Refused: as :class:`node.store.base.ReadStore`.
    """
    cut = max(before.photos_ms, one.due_before(before.reads_ms))
    if one.from_ms >= cut or not _has_photos(parts, one):
        return 0
    with mine.writing() as sql:
        held, values = _not_held(sql, one, before)
        with parts.beside_main(one) as part:
            parts.cut_back(sql, part)
            text = "SELECT row_id, photo FROM reads "
            text += f"WHERE captured_ms < ? AND photo != ''{held} LIMIT ?"
            found = part.execute(text, (cut, *values, batch)).fetchall()
            if found:
                part.execute("BEGIN")
                part.executemany("UPDATE reads SET photo = '' WHERE row_id = ?",
                                 ((row_id,) for row_id, _ in found))  # fmt: skip
                unlink_unused(parts, sql, (photo for _, photo in found), unlink, (one, part))
                part.execute("COMMIT")
    return len(found)


def _has_photos(parts: Parts, one: Segment) -> bool:
    part = parts.pool.take(one.number)
    try:
        return part.execute("SELECT 1 FROM reads WHERE photo != '' LIMIT 1").fetchone() is not None
    finally:
        parts.pool.give(one.number, part)


def delete_reads(
    parts: Parts, mine: Bounded, one: Segment, before: Cuts, batch: int, unlink: Unlink
) -> int:
    """Delete up to so many reads of a segment that have waited long enough; return how many.

    The main file forgets first what only these reads had: cut off between the two files,
    they are still due and hidden, and go with the next purge.

    Raises:
        As :func:`delete_photos`.
    """
    cut = one.due_before(before.reads_ms)
    if one.from_ms >= cut:
        return 0
    with parts.beside_main(one) as part:
        with mine.writing() as sql:
            held, values = _not_held(sql, one, before)
            parts.cut_back(sql, part)
            text = "SELECT row_id, plate, state, photo FROM reads "
            text += f"WHERE captured_ms < ?{held} LIMIT ?"
            found = part.execute(text, (cut, *values, batch)).fetchall()
            if not found:
                return 0
            sql.execute("UPDATE segments SET deleted = 1 WHERE number = ?", (one.number,))
            part.execute("BEGIN")
            part.executemany("DELETE FROM reads WHERE row_id = ?", ((row[0],) for row in found))
            photos = (photo for *_, photo in found if photo)
            unlink_unused(parts, sql, photos, unlink, (one, part))
            plates = {(plate, state) for _, plate, state, _ in found}
            forget_plates(parts, sql, plates, (one, part))
            sql.execute(DELETED)
        part.execute("COMMIT")
    return len(found)


def in_use(
    parts: Parts, sql: sqlite3.Connection, photos: Iterable[str], but: int | None = None
) -> set[str]:
    """Return those of the photos that a read has, in the main file or in a segment but one.

    Raises:
        Gone: a segment was dropped meanwhile.
        sqlite3.Error: as the connections say.
    """
    asked = set(photos)
    found = {photo for photo in asked if _has(sql, photo)}
    for one in listed(sql):
        if one.number == but or found == asked:
            continue
        part = parts.pool.take(one.number)
        try:
            found |= {photo for photo in asked - found if _has(part, photo)}
        finally:
            parts.pool.give(one.number, part)
    return found


def forget_plates(
    parts: Parts,
    sql: sqlite3.Connection,
    plates: Iterable[tuple[str, str]],
    changed: Changed | None = None,
) -> None:
    """Forget those of the plates that no read has any longer, in a write transaction.

    ``changed`` as in :func:`unlink_unused`.

    Raises:
        sqlite3.Error: as the connections say.
    """
    segments = listed(sql)
    with ExitStack() as stack:
        taken = {changed[0].number: changed[1]} if changed else {}
        for plate, state in plates:
            until = sql.execute(_UNTIL, (plate, state)).fetchone()
            if until is None:
                continue
            for one in segments:
                if one.to_ms > until[0]:
                    continue
                if one.number not in taken:
                    taken[one.number] = parts.pool.take(one.number)
                    stack.callback(parts.pool.give, one.number, taken[one.number])
                text = "SELECT 1 FROM reads WHERE plate = ? AND state = ? LIMIT 1"
                if taken[one.number].execute(text, (plate, state)).fetchone() is not None:
                    break
            else:
                sql.execute("DELETE FROM plates WHERE plate = ? AND state = ?", (plate, state))
        sql.execute(_FORGET_GONE, (KEPT_GONE,))


def unlink_unused(
    parts: Parts,
    sql: sqlite3.Connection,
    photos: Iterable[str],
    unlink: Unlink,
    changed: Changed | None = None,
) -> None:
    """Unlink what no read has any longer, before the rows are committed as gone.

    If the machine stops between the two, the rows come back without a photo
    and the next purge takes them; the other way round, a photo would stay. ``changed``
    is a segment and the connection in whose transaction rows of it went.
    """
    names = {photo for photo in photos if photo}
    if not names:
        return
    used = in_use(parts, sql, names, changed[0].number if changed else None)
    for photo in sorted(names - used):
        if changed is None or not _has(changed[1], photo):
            unlink(photo)


def _has(sql: sqlite3.Connection, photo: str) -> bool:
    # The second condition lets SQLite use the index over photos alone.
    text = "SELECT 1 FROM reads WHERE photo = ? AND photo != '' LIMIT 1"
    return sql.execute(text, (photo,)).fetchone() is not None


def _not_held(
    sql: sqlite3.Connection, one: Segment, before: Cuts
) -> tuple[str, tuple[object, ...]]:
    """Return what to add to a condition on a segment's reads, "" where no hold is near."""
    held = _near(sql, one, before)
    return (f" AND NOT {due.HELD}", (before.now_ms,)) if held else ("", ())


def _near(sql: sqlite3.Connection, one: Segment, before: Cuts) -> bool:
    """Tell whether a hold may hold reads of a segment."""
    values = (before.now_ms, one.to_ms, one.from_ms)
    return bool(sql.execute(_HOLDS, values).fetchone()[0])


def settle(parts: Parts, mine: Bounded) -> bool:
    """Take away what purges left behind beside the main file's bytes; tell whether all is done.

    Forgets the plates that dropped segments have left, writes those segments anew of which
    rows went one by one, and empties the journals of the others.

    Raises:
        Refused, sqlite3.Error: as the connections say.
    """
    _look_after_plates(mine)
    done = True
    with mine.unbounded() as sql:
        segments = listed(sql)
    for one in segments:
        if not one.deleted:
            try:
                parts.empty_journal(one)
            except sqlite3.Error as error:
                if not is_spoilt(error):
                    raise
            continue
        try:
            part = parts.pool.take(one.number)
        except Gone:
            continue
        try:
            if not rewrite(part):
                done = False
                continue
        except sqlite3.Error as error:
            if not is_spoilt(error):
                raise
            done = False  # it goes as a whole, one day
            continue
        finally:
            parts.pool.give(one.number, part)
        with mine.writing() as sql:
            sql.execute("UPDATE segments SET deleted = 0 WHERE number = ?", (one.number,))
    return done


def remove_left_over(parts: Parts, mine: Bounded) -> None:
    """Remove the files of a program that was stopped: they are in no list.

    Raises:
        Refused: as :class:`node.store.base.ReadStore`.
    """
    with mine.unbounded() as sql:
        if not parts.left_over(sql):
            return
    with mine.writing() as sql:
        # Now nobody makes one.
        for number in parts.left_over(sql):
            parts.remove(number)


def _note_keep(mine: Bounded, keep_ms: int) -> None:
    """Note for how long reads are kept: segments are made by it."""
    with mine.unbounded() as sql:
        (noted,) = sql.execute("SELECT keep_ms FROM upkeep").fetchone()
    if noted != keep_ms:
        with mine.writing() as sql:
            sql.execute("UPDATE upkeep SET keep_ms = ?", (keep_ms,))


def _drop(
    parts: Parts, mine: Bounded, one: Segment, before: Cuts, sums: Dropped, photos: int
) -> Dropped:
    with parts.beside_main(one) as part:
        # Found and counted while others write; looked at again when they can't.
        held = _held(part, before)
        with mine.writing() as sql:
            text = "SELECT 1 FROM segments WHERE number = ?"
            if sql.execute(text, (one.number,)).fetchone() is None:
                raise Gone
            parts.cut_back(sql, part)
            if _seen(part) != held.of:
                held = _held(part, before)
            moved = [part.execute(_ROW, (row,)).fetchone() for row in held.rows]
            sql.executemany(INSERT_AGAIN, moved)
            _unlist(sql, one)
        text = "SELECT count(*), min(captured_ms), max(captured_ms) FROM reads "
        count, first, last = part.execute(text).fetchone()
    parts.remove(one.number)
    times = [at for at in (sums.from_ms, sums.to_ms, first, last) if at is not None]
    return Dropped(
        sums.segments + 1, sums.reads + count - len(moved), 0, sums.photos + photos,
        sums.moved + len(moved), min(times, default=None), max(times, default=None),
    )  # fmt: skip


def _drop_unread(parts: Parts, mine: Bounded, one: Segment, before: Cuts) -> bool:
    """Drop a segment that can't be read, unless a hold may hold some of it; tell whether it went.

    Photos that only its reads had go as those that no read has.
    """
    with mine.writing() as sql:
        if _near(sql, one, before):
            return False
        _unlist(sql, one)
    parts.remove(one.number)
    return True


def _unlist(sql: sqlite3.Connection, one: Segment) -> None:
    sql.execute("DELETE FROM segments WHERE number = ?", (one.number,))
    sql.execute("UPDATE upkeep SET version = version + 1, plates_left = 1")


def _held(part: sqlite3.Connection, before: Cuts) -> _Held:
    of = _seen(part)
    rows = part.execute(_HELD, (before.now_ms, before.now_ms)).fetchall()
    return _Held([row for (row,) in rows], of)


def _seen(part: sqlite3.Connection) -> object:
    """Return what tells whether other reads may be held than at another moment."""
    holds = part.execute(_HOLDING).fetchall()
    return holds, part.execute("SELECT max(row_id) FROM reads").fetchone()


def _look_after_plates(mine: Bounded) -> None:
    """Forget the plates that dropped segments have left, a few at a time."""
    with mine.unbounded() as sql:
        if not sql.execute("SELECT plates_left FROM upkeep").fetchone()[0]:
            return
        text = f"SELECT id FROM plates WHERE {_NO_READ}"  # noqa: S608 - our own texts
        ids = sql.execute(text).fetchall()
    text = f"DELETE FROM plates WHERE id = ? AND {_NO_READ}"  # noqa: S608
    for start in range(0, len(ids), _FEW):
        if start:
            # Whoever waits to store reads has a turn.
            time.sleep(_PAUSE_S)
        with mine.writing() as sql:
            sql.executemany(text, ids[start : start + _FEW])
            sql.execute(_FORGET_GONE, (KEPT_GONE,))
            sql.execute(DELETED)
    with mine.writing() as sql:
        # Unless another has dropped one meanwhile.
        if sql.execute(f"SELECT 1 FROM plates WHERE {_NO_READ} LIMIT 1").fetchone() is None:  # noqa: S608
            sql.execute("UPDATE upkeep SET plates_left = 0")
