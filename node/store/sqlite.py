"""The SQLite store: reads and hot lists in one file, read by many threads."""

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from accord.agreements.terms import Withholding
from accord.clock import Clock, SystemClock
from accord.errors import InputError, Refused
from accord.model import ExactPlate, Read
from accord.private_db import rewrite
from node.store import dead, due
from node.store.base import (
    Added,
    Cancelled,
    Counts,
    Cuts,
    DeadCount,
    DeadLetter,
    Dropped,
    Due,
    Heard,
    Kept,
    Page,
    Search,
    StoredRead,
)
from node.store.cells import cell_of
from node.store.connections import Connections, lock_for_serving, prepare
from node.store.dictionary import KEPT_GONE, Dictionary
from node.store.fast import COLUMNS, stored
from node.store.holds import Holds
from node.store.hot_lists import HotLists
from node.store.in_sqlite import InSqlite
from node.store.listening import listening
from node.store.matcher import Matcher
from node.store.moving import check_whole
from node.store.numbers import number_of
from node.store.pages import one_page
from node.store.shared import DELETED
from node.store.statements import (
    SHORT,
    SHORT_ROWS,
    one_read,
)

# Constants of this module make these texts, nothing from outside.
INSERT = (
    f"INSERT INTO reads ({COLUMNS.removeprefix('row_id, ')}, cell) "  # noqa: S608
    f"VALUES ({'?, ' * 16}?)"
)
_FORGET_GONE = "DELETE FROM plates_gone WHERE seq <= (SELECT max(seq) FROM plates_gone) - ?"
_LARGE_BYTES = 256 << 20
_REWRITE_MS = 12 * 3_600_000
# SQLite's own limit is 32,766 values in one statement.
_CHUNK = 500


class SqliteStore:
    """A :class:`node.store.base.ReadStore` in one SQLite file."""

    # Its readers wait for nobody.
    may_wait = False

    def __init__(
        self, path: Path, lock: int | None, clock: Clock, *, looking: bool = False
    ) -> None:
        self._connections = Connections(path, looking=looking)
        self._lock = lock
        self._clock = clock
        self._matcher = Matcher()
        self._database = InSqlite(self._connections)
        self.hot_lists = HotLists(self._database, clock)
        self.holds = Holds(self._database)
        self._dictionary = Dictionary()

    @classmethod
    def open(
        cls, path: Path, *, serving: bool = False, clock: Clock | None = None
    ) -> "SqliteStore":
        """Open or make the store.

        ``serving`` takes the lock that only one process can have; commands
        such as ``ingest`` work beside it. ``clock`` (the machine's if left out)
        says when a read arrives, and how old a hot list is.

        Raises:
            InputError: the file is damaged or can't be used, or is being served.
        """
        prepare(path)
        store = cls(path, lock_for_serving(path) if serving else None, clock or SystemClock())
        try:
            with store._connections.mine().unbounded() as sql:
                check_whole(sql, path)
            if serving:
                store.refresh()
        except Refused as refused:
            store.close()
            raise InputError(path, refused.detail, "restore it from the last backup") from None
        except InputError:
            store.close()
            raise
        return store

    @classmethod
    def look(cls, path: Path, clock: Clock) -> "SqliteStore":
        """Open a store that is there, for reading only; who serves it goes on undisturbed.

        Its tables are taken as they are: a later step may not have been taken yet.
        """
        return cls(path, None, clock, looking=True)

    def refresh(self) -> None:
        """See :meth:`node.store.base.ReadStore.refresh`, and :mod:`node.store.dictionary`."""
        with self._connections.mine().unbounded() as sql:
            self._dictionary.refresh(sql)

    def add(self, reads: Sequence[Read]) -> Added:
        """See :meth:`node.store.base.ReadStore.add`."""
        with self._connections.mine().unbounded() as sql:
            # Before the write lock is taken: a long list takes part of a second.
            self._matcher.refresh(sql)
        with self._connections.mine().writing() as sql:
            known = _known(sql, [read.source_id for read in reads])
            duplicates: list[int] = []
            fresh: list[Read] = []
            for place, read in enumerate(reads):
                if read.source_id in known:
                    duplicates.append(place)
                else:
                    known.add(read.source_id)
                    fresh.append(read)
            plates = {(read.plate, read.state) for read in fresh}
            sql.executemany("INSERT OR IGNORE INTO plates (plate, state) VALUES (?, ?)", plates)
            sql.executemany(INSERT, map(row_of, fresh))
            now_ms = self._clock.now_ms()
            hits = self._matcher.store_hits(sql, fresh, now_ms, partial(_row_id, sql))
        return Added(len(fresh), tuple(duplicates), hits)

    def search(self, search: Search, cancelled: Cancelled | None = None) -> Page:
        """See :meth:`node.store.base.ReadStore.search`."""
        mine = self._connections.mine()
        with mine.searching(cancelled) as sql:
            snapshot = self._database.snapshot(sql, search.after)
            return one_page(sql, search, snapshot, partial(self._dictionary.find, sql), mine.pause)

    def is_short(self, search: Search) -> bool:
        """See :meth:`node.store.base.ReadStore.is_short`."""
        selector, window = search.selector, search.window
        if not isinstance(selector, ExactPlate):
            return False
        with self._connections.mine().searching() as sql:
            values = (selector.plate, window.from_ms, window.to_ms)
            return bool(sql.execute(SHORT, values).fetchone()[0] <= SHORT_ROWS)

    def read(
        self, row_id: int, withholding: Withholding, earliest_ms: int, *, time_step_ms: int = 1
    ) -> StoredRead | None:
        """See :meth:`node.store.base.ReadStore.read`."""
        with self._connections.mine().searching() as sql:
            statement = one_read(number_of(row_id), withholding, earliest_ms, time_step_ms)
            row = sql.execute(*statement).fetchone()
        return None if row is None else stored(row)

    def kept(self, of: str | int, limit: int, now_ms: int) -> list[Kept]:
        """See :meth:`node.store.base.ReadStore.kept`."""
        which, of = ("plate", of) if isinstance(of, str) else ("row_id", number_of(of))
        text = (
            f"SELECT row_id, captured_ms, {due.MET}, "  # noqa: S608 - our own texts
            "EXISTS (SELECT 1 FROM hits WHERE hits.read_row = reads.row_id), photo != '', "
            "(SELECT ifnull(group_concat(hold_id, ' '), '') FROM holds "
            f"WHERE until_ms > ? AND {due.MATCHES}) "
            f"FROM reads WHERE {which} = ? ORDER BY captured_ms DESC, row_id DESC LIMIT ?"
        )
        with self._connections.mine().unbounded() as sql:
            rows = sql.execute(text, (now_ms, of, limit)).fetchall()
        return [
            Kept(row, at, bool(met), bool(hits), bool(photo), tuple(holds.split()))
            for row, at, met, hits, photo, holds in rows
        ]

    def due(self, before: Cuts) -> Due:
        """See :meth:`node.store.base.ReadStore.due`."""
        reads, oldest, newest = self._first(
            "SELECT count(*), min(captured_ms), max(captured_ms) "  # noqa: S608 - our own texts
            f"FROM reads WHERE {due.READS}",
            *due.reads(before),
        )
        (photos,) = self._first(
            f"SELECT count(*) FROM reads WHERE {due.PHOTOS_AND_READS}",  # noqa: S608
            *due.photos_and_reads(before),
        )
        (entries,) = self._first(
            "SELECT ifnull(sum(entries), 0) FROM hot_lists WHERE published_ms < ?",
            before.entries_ms,
        )
        (hits,) = self._first(
            f"SELECT count(*) FROM hits WHERE {due.HITS}",  # noqa: S608
            *due.hits(before),
        )
        (letters,) = self._first(
            "SELECT count(*) FROM dead_letters WHERE arrived_ms < ?", before.reads_ms
        )
        return Due(reads, photos, entries, hits, oldest, newest, letters)

    def drop_segments(self, before: Cuts, unlink: Callable[[str], None]) -> Dropped:
        """See :meth:`node.store.base.ReadStore.drop_segments`; there are none yet."""
        return Dropped()

    def delete_hits(self, before: Cuts) -> int:
        """See :meth:`node.store.base.ReadStore.delete_hits`."""
        with self._connections.mine().writing() as sql:
            text = f"DELETE FROM hits WHERE {due.HITS}"  # noqa: S608 - our own texts
            gone = sql.execute(text, due.hits(before)).rowcount
            if gone:
                sql.execute(DELETED)
        return gone

    def delete_reads(self, before: Cuts, batch: int, unlink: Callable[[str], None]) -> int:
        """See :meth:`node.store.base.ReadStore.delete_reads`."""
        with self._connections.mine().writing() as sql:
            gone = sql.execute(
                "DELETE FROM reads WHERE row_id IN "  # noqa: S608 - our own texts
                f"(SELECT row_id FROM reads WHERE {due.READS} LIMIT ?) "
                "RETURNING plate, state, photo",
                (*due.reads(before), batch),
            ).fetchall()
            sql.executemany(
                "DELETE FROM plates WHERE plate = ? AND state = ? AND NOT EXISTS (SELECT 1 "
                "FROM reads WHERE reads.plate = plates.plate AND reads.state = plates.state)",
                {(plate, state) for plate, state, _ in gone},
            )
            _unlink_unused(sql, (photo for *_, photo in gone if photo), unlink)
            if gone:
                sql.execute(DELETED)
                sql.execute(_FORGET_GONE, (KEPT_GONE,))
        if gone and self._dictionary.used:
            self.refresh()
        return len(gone)

    def delete_photos(self, before: Cuts, batch: int, unlink: Callable[[str], None]) -> int:
        """See :meth:`node.store.base.ReadStore.delete_photos`."""
        with self._connections.mine().writing() as sql:
            found = sql.execute(
                f"SELECT row_id, photo FROM reads WHERE {due.PHOTOS} LIMIT ?",  # noqa: S608
                (*due.photos(before), batch),
            ).fetchall()
            sql.executemany(
                "UPDATE reads SET photo = '' WHERE row_id = ?", ((row_id,) for row_id, _ in found)
            )
            _unlink_unused(sql, (photo for _, photo in found), unlink)
        return len(found)

    def add_dead(self, letters: Sequence[DeadLetter]) -> int:
        """See :meth:`node.store.base.ReadStore.add_dead`."""
        with self._connections.mine().writing() as sql:
            return dead.add(sql, letters)

    def dead(self, after: int, source: str, form: str, limit: int) -> list[DeadLetter]:
        """See :meth:`node.store.base.ReadStore.dead`."""
        with self._connections.mine().unbounded() as sql:
            return dead.after(sql, after, source, form, limit)

    def dead_counts(self) -> tuple[DeadCount, ...]:
        """See :meth:`node.store.base.ReadStore.dead_counts`."""
        with self._connections.mine().unbounded() as sql:
            return dead.counts(sql)

    def remove_dead(self, letter_ids: Sequence[int]) -> None:
        """See :meth:`node.store.base.ReadStore.remove_dead`."""
        with self._connections.mine().writing() as sql:
            if dead.remove(sql, letter_ids):
                sql.execute(DELETED)

    def delete_dead(self, before_ms: int) -> int:
        """See :meth:`node.store.base.ReadStore.delete_dead`."""
        with self._connections.mine().writing() as sql:
            gone = dead.remove_before(sql, before_ms)
            if gone:
                sql.execute(DELETED)
        return gone

    def mark(self, source: str) -> str:
        """See :meth:`node.store.base.ReadStore.mark`."""
        with self._connections.mine().unbounded() as sql:
            text = "SELECT mark FROM source_marks WHERE source = ?"
            row = sql.execute(text, (source,)).fetchone()
        return "" if row is None else str(row[0])

    def set_mark(self, source: str, mark: str) -> None:
        """See :meth:`node.store.base.ReadStore.set_mark`."""
        with self._connections.mine().writing() as sql:
            sql.execute("INSERT OR REPLACE INTO source_marks VALUES (?, ?)", (source, mark))

    def in_use(self, photos: Sequence[str]) -> frozenset[str]:
        """See :meth:`node.store.base.ReadStore.in_use`."""
        with self._connections.mine().searching() as sql:
            return frozenset(photo for photo in photos if _used(sql, photo))

    def listening(self) -> AbstractContextManager[Heard]:
        """See :meth:`node.store.base.ReadStore.listening`: whatever is written may be a hit."""
        return listening(self._connections.path)

    def settle(self, now_ms: int) -> bool:
        """See :meth:`node.store.base.ReadStore.settle`.

        A large file is rewritten twice a day, a small one at once: see
        :func:`accord.private_db.rewrite`.
        """
        if self._dictionary.used:
            # Another process may have purged.
            self.refresh()
        with self._connections.mine().unbounded() as sql:
            deleted, rewritten_ms = sql.execute(
                "SELECT deleted, rewritten_ms FROM upkeep"
            ).fetchone()
            if not deleted:
                return True
            (size,) = sql.execute(
                "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
            ).fetchone()
            if size > _LARGE_BYTES and now_ms - rewritten_ms < _REWRITE_MS:
                return False
            if not rewrite(sql):
                return False
            sql.execute("UPDATE upkeep SET deleted = 0, rewritten_ms = ?", (now_ms,))
        return True

    def counts(self) -> Counts:
        """See :meth:`node.store.base.ReadStore.counts`."""
        text = (
            "SELECT (SELECT count(*) FROM reads), (SELECT count(*) FROM plates), "
            "(SELECT ifnull(sum(entries), 0) FROM hot_lists), (SELECT count(*) FROM hits)"
        )
        return Counts(*self._first(text))

    def close(self) -> None:
        """See :meth:`node.store.base.ReadStore.close`."""
        self._connections.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _first(self, text: str, *values: object) -> Any:
        with self._connections.mine().unbounded() as sql:
            return sql.execute(text, values).fetchone()


def _known(sql: sqlite3.Connection, ids: Sequence[bytes]) -> set[bytes]:
    known: set[bytes] = set()
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        marks = ", ".join("?" * len(chunk))  # nothing but question marks
        text = f"SELECT source_id FROM reads WHERE source_id IN ({marks})"  # noqa: S608
        found = sql.execute(text, chunk)
        known.update(source_id for (source_id,) in found)
    return known


def _row_id(sql: sqlite3.Connection, read: Read) -> int:
    text = "SELECT row_id FROM reads WHERE source_id = ?"
    return int(sql.execute(text, (read.source_id,)).fetchone()[0])


def row_of(read: Read) -> tuple[object, ...]:
    """Return the values for :data:`INSERT`, with a new random tag."""
    vehicle = read.vehicle
    seen = (
        (vehicle.make, vehicle.model, vehicle.colour, vehicle.body)
        if vehicle is not None
        else (None, None, None, None)
    )
    return (
        secrets.randbits(63),
        *seen,
        read.plate,
        read.raw_plate,
        read.state,
        read.captured_ms,
        read.camera,
        read.source_id,
        read.lat_e7,
        read.lon_e7,
        read.confidence_pm,
        read.photo,
        read.case,
        cell_of(read.lat_e7, read.lon_e7),
    )


def _used(sql: sqlite3.Connection, photo: str) -> bool:
    # The second condition lets SQLite use the index over photos alone.
    text = "SELECT 1 FROM reads WHERE photo = ? AND photo != '' LIMIT 1"
    return sql.execute(text, (photo,)).fetchone() is not None


def _unlink_unused(
    sql: sqlite3.Connection, photos: Iterable[str], unlink: Callable[[str], None]
) -> None:
    """Unlink what no read has any longer, before the rows are committed as gone.

    If the machine stops between the two, the rows come back without a photo
    and the next purge takes them; the other way round, a photo would stay.
    """
    for photo in set(photos):
        if not _used(sql, photo):
            unlink(photo)
