"""The SQLite store: hot lists in one file, reads there and in others, read by many threads."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from accord.agreements.terms import Withholding
from accord.clock import Clock, SystemClock
from accord.errors import Code, InputError, Refused
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
    Heard,
    Kept,
    Page,
    Search,
    StoredRead,
)
from node.store.connections import Connections, as_refusal, lock_for_serving, prepare
from node.store.dictionary import Dictionary
from node.store.fast import stored
from node.store.holds import Holds
from node.store.hot_lists import HotLists
from node.store.in_sqlite import InSqlite
from node.store.listening import listening
from node.store.matcher import Matcher
from node.store.moving import check_whole
from node.store.numbers import number_of
from node.store.pages import one_page
from node.store.purged import Dropped, Due
from node.store.reading import About
from node.store.segments import adding, moving, purging
from node.store.segments.parts import MISSING, Parts, listed
from node.store.segments.pool import Gone, is_spoilt
from node.store.shared import DELETED
from node.store.statements import one_read

_LARGE_BYTES = 256 << 20
_REWRITE_MS = 12 * 3_600_000
_COUNT = f"SELECT count(*) FROM reads WHERE {purging.KNOWN}"  # noqa: S608 - our own texts
_EVER = (0, 1 << 62)
_TRIES = 5

T = TypeVar("T")


class SqliteStore:
    """A :class:`node.store.base.ReadStore`; its files: :mod:`node.store.segments.parts`."""

    # Its readers wait for nobody.
    may_wait = False

    def __init__(
        self, path: Path, lock: int | None, clock: Clock, *, looking: bool = False
    ) -> None:
        self._connections = Connections(path, looking=looking)
        self._lock = lock
        self._clock = clock
        self._matcher = Matcher()
        self._parts = Parts(path, looking=looking)
        self._database = InSqlite(self._connections, self._parts)
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
            with _refusing():
                store._begin(serving=serving)
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

    def _begin(self, *, serving: bool) -> None:
        """See that all files are there, and no others; a serving process reads in what it needs."""
        mine = self._connections.mine()
        with mine.unbounded() as sql:
            check_whole(sql, self._connections.path)
            self._parts.check(sql)
        purging.remove_left_over(self._parts, mine)
        if serving:
            self._again(lambda: moving.end_begun(self._parts, mine))
            self._again(self._read_in)
            self.refresh()

    def _read_in(self) -> None:
        with self._connections.mine().unbounded() as sql:
            self._parts.read_in(sql)

    def refresh(self) -> None:
        """See :meth:`node.store.base.ReadStore.refresh`, and :mod:`node.store.dictionary`."""
        with self._connections.mine().unbounded() as sql:
            self._dictionary.refresh(sql)

    def add(self, reads: Sequence[Read]) -> Added:
        """See :meth:`node.store.base.ReadStore.add`."""
        with self._connections.mine().unbounded() as sql:
            # Before the write lock is taken: a long list takes part of a second.
            self._matcher.refresh(sql)
        now_ms = self._clock.now_ms()
        with self._connections.mine().writing() as sql:
            added, where = adding.add(self._parts, sql, reads, self._matcher, now_ms)
        self._parts.whereabouts.note(*where)
        return added

    def search(self, search: Search, cancelled: Cancelled | None = None) -> Page:
        """See :meth:`node.store.base.ReadStore.search`."""
        return self._page(search, cancelled)

    def search_at_once(self, search: Search) -> Page | None:
        """See :meth:`node.store.base.ReadStore.search_at_once`: an exact plate, if anything."""
        if not isinstance(search.selector, ExactPlate):
            return None
        try:
            return self._page(search, None, short=True)
        except Refused as refused:
            if refused.code is Code.SEARCH_TOO_WIDE:
                return None
            raise

    def _page(self, search: Search, cancelled: Cancelled | None, *, short: bool = False) -> Page:
        mine, after = self._connections.mine(), search.after

        def look() -> Page:
            with (
                mine.searching(cancelled, short=short) as sql,
                self._parts.reading(sql, mine.tick) as (reading, moment),
            ):
                snapshot = number_of(after.snapshot) if after else moment.last_row
                find = partial(self._dictionary.find, sql)
                return one_page(reading, search, snapshot, find, mine.pause)

        return self._again(look)

    def read(
        self, row_id: int, withholding: Withholding, earliest_ms: int, *, time_step_ms: int = 1
    ) -> StoredRead | None:
        """See :meth:`node.store.base.ReadStore.read`."""
        statement = one_read(number_of(row_id), withholding, earliest_ms, time_step_ms)
        mine = self._connections.mine()

        def look() -> Any:
            with (
                mine.searching() as sql,
                self._parts.reading(sql, mine.tick) as (reading, _),
                closing(reading.rows(statement, About(_EVER, 1))) as rows,
            ):
                return next(rows, None)

        row = self._again(look)
        return None if row is None else stored(row)

    def kept(self, of: str | int, limit: int, now_ms: int) -> list[Kept]:
        """See :meth:`node.store.base.ReadStore.kept`."""
        which, of = ("plate", of) if isinstance(of, str) else ("row_id", number_of(of))
        text = (
            f"SELECT row_id, captured_ms, {due.MET}, "  # noqa: S608 - our own texts
            "EXISTS (SELECT 1 FROM hits WHERE hits.read_row = reads.row_id), photo != '', "
            "(SELECT ifnull(group_concat(hold_id, ' '), '') FROM holds "
            f"WHERE until_ms > ? AND {due.MATCHES}) "
            f"FROM reads WHERE {which} = ? AND {purging.KNOWN} "
            "ORDER BY captured_ms DESC, row_id DESC LIMIT ?"
        )
        values = (now_ms, of, limit)

        def look() -> list[Any]:
            with self._connections.mine().unbounded() as sql:
                rows = sql.execute(text, values).fetchall()
                for one in listed(sql):
                    with self._parts.beside_main(one) as part:
                        rows += part.execute(text, values).fetchall()
            return rows

        # One that is just moved may lie in two files.
        each = {row[0]: row for row in self._again(look)}
        rows = sorted(each.values(), key=lambda row: (row[1], row[0]), reverse=True)
        return [
            Kept(row, at, bool(met), bool(hits), bool(photo), tuple(holds.split()))
            for row, at, met, hits, photo, holds in rows[:limit]
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

        def look() -> Due:
            with self._connections.mine().unbounded() as sql:
                return purging.count_due(self._parts, sql, before)

        more = self._again(look)
        ends = [at for at in (oldest, newest, more.oldest_ms, more.newest_ms) if at is not None]
        return Due(
            reads + more.reads, photos + more.photos, entries, hits,
            min(ends, default=None), max(ends, default=None), letters, more.waiting,
            more.unreadable,
        )  # fmt: skip

    def reached(self) -> "SqliteStore":
        """See :meth:`node.store.base.ReadStore.reached`; its files are all here."""
        return self

    def drop_segments(self, before: Cuts, unlink: Callable[[str], None]) -> Dropped:
        """See :meth:`node.store.base.ReadStore.drop_segments`."""
        with _refusing():
            return purging.drop_segments(self._parts, self._connections.mine(), before, unlink)

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
            purging.forget_plates(self._parts, sql, {(plate, state) for plate, state, _ in gone})
            photos = (photo for *_, photo in gone)
            purging.unlink_unused(self._parts, sql, photos, unlink)
            if gone:
                sql.execute(DELETED)
        count = len(gone)
        count += self._of_segments(purging.delete_reads, before, batch - count, unlink)
        if count and self._dictionary.used:
            self.refresh()
        return count

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
            purging.unlink_unused(self._parts, sql, (photo for _, photo in found), unlink)
        count = len(found)
        return count + self._of_segments(purging.delete_photos, before, batch - count, unlink)

    def _of_segments(
        self, delete: purging.Delete, before: Cuts, batch: int, unlink: Callable[[str], None]
    ) -> int:
        """Delete up to so many from the segments; return how many.

        A damaged one is told once the others have no more.
        """
        mine, count, spoilt = self._connections.mine(), 0, list[Exception]()
        with _refusing():
            with mine.unbounded() as sql:
                segments = listed(sql)
            for one in reversed(segments):
                if count == batch:
                    break
                try:
                    count += delete(self._parts, mine, one, before, batch - count, unlink)
                except Gone:
                    pass  # another process has dropped it
                except (Refused, sqlite3.Error) as error:
                    if not is_spoilt(error):
                        raise
                    spoilt.append(error)
            if spoilt and count < batch:
                raise spoilt[0]
        return count

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

    def require_ready(self) -> None:
        """See :meth:`node.store.base.ReadStore.require_ready`: one row looked up by its key."""
        self.mark("")

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

        def look() -> frozenset[str]:
            with self._connections.mine().searching() as sql:
                return frozenset(purging.in_use(self._parts, sql, photos))

        return self._again(look)

    def listening(self) -> AbstractContextManager[Heard]:
        """See :meth:`node.store.base.ReadStore.listening`: whatever is written may be a hit."""
        return listening(self._connections.path)

    def settle(self, now_ms: int) -> bool:
        """See :meth:`node.store.base.ReadStore.settle`.

        A large file is rewritten twice a day, a small one at once: see
        :func:`accord.private_db.rewrite`.
        """
        mine = self._connections.mine()
        with _refusing():
            if self._parts.whereabouts.used:
                moving.move(self._parts, mine, now_ms)
            with mine.unbounded() as sql, self._parts.reading(sql, mine.tick):
                pass  # files that another process dropped are closed
            if self._parts.whereabouts.is_small:
                self._again(self._read_in)
            done = purging.settle(self._parts, mine)
        if self._dictionary.used:
            # Another process may have purged, too.
            self.refresh()
        with mine.unbounded() as sql:
            deleted, rewritten_ms = sql.execute(
                "SELECT deleted, rewritten_ms FROM upkeep"
            ).fetchone()
            if not deleted:
                return done
            (size,) = sql.execute(
                "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
            ).fetchone()
            if size > _LARGE_BYTES and now_ms - rewritten_ms < _REWRITE_MS:
                return False
            if not rewrite(sql):
                return False
            sql.execute("UPDATE upkeep SET deleted = 0, rewritten_ms = ?", (now_ms,))
        return done

    def counts(self) -> Counts:
        """See :meth:`node.store.base.ReadStore.counts`."""
        text = (
            "SELECT (SELECT count(*) FROM reads), (SELECT count(*) FROM plates), "
            "(SELECT ifnull(sum(entries), 0) FROM hot_lists), (SELECT count(*) FROM hits)"
        )

        def look() -> Counts:
            with self._connections.mine().unbounded() as sql:
                reads, *others = sql.execute(text).fetchone()
                for one in listed(sql):
                    with self._parts.beside_main(one) as part:
                        reads += part.execute(_COUNT).fetchone()[0]
                return Counts(reads, *others)

        return self._again(look)

    def close(self) -> None:
        """See :meth:`node.store.base.ReadStore.close`."""
        self._connections.close()
        self._parts.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _again(self, look: Callable[[], T]) -> T:
        """Look; begin anew where a segment was dropped meanwhile.

        Raises:
            Refused: ``STORE_CORRUPT`` where it is listed and not there.
        """
        for _ in range(_TRIES):
            with suppress(Gone):
                return look()
        raise Refused(Code.STORE_CORRUPT, detail=MISSING)

    def _first(self, text: str, *values: object) -> Any:
        with self._connections.mine().unbounded() as sql:
            return sql.execute(text, values).fetchone()


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn what a segment's own connection raises into a refusal."""
    try:
        yield
    except sqlite3.Error as error:
        raise as_refusal(error) from None
