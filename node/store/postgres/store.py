"""The PostgreSQL store: reads and hot lists on a server, for a node's processes and commands."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from accord.agreements.terms import Withholding
from accord.clock import Clock, SystemClock
from accord.errors import InputError, Refused
from accord.model import Read
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
from node.store.dictionary import Dictionary
from node.store.fast import stored
from node.store.holds import Holds
from node.store.hot_lists import HotLists
from node.store.matcher import Matcher
from node.store.moving import check_whole
from node.store.numbers import count_of
from node.store.pages import one_page
from node.store.postgres import purge, segments
from node.store.postgres.adding import insert
from node.store.postgres.connections import Connections, as_refusal, connect
from node.store.postgres.in_postgres import InPostgres
from node.store.postgres.migrations import Sql
from node.store.postgres.opening import prepare
from node.store.postgres.parts import day_of, last_row, parts_of, row_number, span_of
from node.store.postgres.wording import Worded, worded
from node.store.shared import DELETED
from node.store.statements import one_read

HITS_CHANNEL = "accord_hits"


class PostgresStore:
    """A :class:`node.store.base.ReadStore` on a PostgreSQL server."""

    # A server may do so at any time.
    may_wait = True

    def __init__(self, connections: Connections, clock: Clock) -> None:
        self._connections = connections
        self._database = InPostgres(connections)
        self._clock = clock
        self._matcher = Matcher()
        self.hot_lists = HotLists(self._database, clock)
        self.holds = Holds(self._database)
        self._dictionary = Dictionary()
        self._ahead = -1

    @classmethod
    def open(
        cls, path: Path, *, serving: bool = False, clock: Clock | None = None
    ) -> "PostgresStore":
        """Open the store whose URL is in a file, and make its tables if need be.

        ``serving`` reads the plates in before the first query comes. ``clock`` (the
        machine's if left out) says when a read arrives, and how old a hot list is.

        Raises:
            InputError: the server can't be reached or used, or is not set as it must be.
        """
        connections = Connections.open(path)
        store = cls(connections, clock or SystemClock())
        try:
            prepare(path, connections.address)
            with connections.working() as sql:
                check_whole(Worded(sql), path)
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
    def look(cls, path: Path, clock: Clock) -> "PostgresStore":
        """Open a store that is there, for reading only, its tables as they are.

        Raises:
            InputError: the server can't be reached.
        """
        return cls(Connections.open(path, looking=True), clock)

    def refresh(self) -> None:
        """See :meth:`node.store.base.ReadStore.refresh`, and :mod:`node.store.dictionary`."""
        with self._connections.working() as sql:
            self._dictionary.refresh(Worded(sql))

    def add(self, reads: Sequence[Read]) -> Added:
        """See :meth:`node.store.base.ReadStore.add`."""
        now_ms = self._clock.now_ms()
        with self._connections.working() as sql:
            # Before the writers' turn is taken: a long list takes part of a second.
            self._matcher.refresh(Worded(sql))
        self._make_ahead(now_ms)
        with self._connections.writing() as sql:
            fresh, duplicates, numbers = insert(sql, reads, now_ms)
            hits = self._matcher.store_hits(
                Worded(sql), fresh, now_ms, lambda read: numbers[read.source_id]
            )
            if hits:
                # How many, and nothing else: whoever listens asks for them.
                sql.execute("SELECT pg_notify(%s, %s)", (HITS_CHANNEL, str(hits)))
        return Added(len(fresh), tuple(duplicates), hits)

    def _make_ahead(self, now_ms: int) -> None:
        """Once a day, make the partition of the next one, so that no read waits for it."""
        today = day_of(now_ms)
        if self._ahead != today:
            self._ahead = today
            # Else it is made when its first read comes.
            with suppress(Refused), self._connections.writing() as sql:
                parts_of(sql, (today, today + 1), now_ms)

    def search(self, search: Search, cancelled: Cancelled | None = None) -> Page:
        """See :meth:`node.store.base.ReadStore.search`."""
        with self._connections.searching(cancelled) as watched:
            sql = Worded(watched)
            snapshot = self._database.snapshot(sql, search.after)
            find = partial(self._dictionary.find, sql)
            return one_page(sql, search, snapshot, find, watched.pause)

    def is_short(self, search: Search) -> bool:
        """See :meth:`node.store.base.ReadStore.is_short`; none is on a server."""
        return False

    def read(
        self, row_id: int, withholding: Withholding, earliest_ms: int, *, time_step_ms: int = 1
    ) -> StoredRead | None:
        """See :meth:`node.store.base.ReadStore.read`."""
        with self._connections.searching() as sql:
            row_id = _own(sql, row_id)
            text, values = one_read(row_id, withholding, earliest_ms, time_step_ms)
            # The number tells the partition.
            text += " AND captured_ms >= ? AND captured_ms < ?"
            row = sql.execute(worded(text), (*values, *span_of(row_id))).fetchone()
        return None if row is None else stored(row)

    def kept(self, of: str | int, limit: int, now_ms: int) -> list[Kept]:
        """See :meth:`node.store.base.ReadStore.kept`."""
        with self._connections.working() as sql:
            which = "plate = ?"
            values: tuple[object, ...] = (of,)
            if isinstance(of, int):
                of = _own(sql, of)
                which = "row_id = ? AND captured_ms >= ? AND captured_ms < ?"
                values = (of, *span_of(of))
            text = (
                f"SELECT row_id, captured_ms, {due.MET}, "  # noqa: S608 - our own texts
                "EXISTS (SELECT 1 FROM hits WHERE hits.read_row = reads.row_id), photo != '', "
                "ARRAY(SELECT hold_id FROM holds "
                f"WHERE until_ms > ? AND {due.MATCHES}) "
                f"FROM reads WHERE {which} ORDER BY captured_ms DESC, row_id DESC LIMIT ?"
            )
            rows = sql.execute(worded(text), (now_ms, *values, limit)).fetchall()
        return [
            Kept(row, at, met, hits, photo, tuple(holds))
            for row, at, met, hits, photo, holds in rows
        ]

    def due(self, before: Cuts) -> Due:
        """See :meth:`node.store.base.ReadStore.due`."""
        with self._connections.working() as sql:
            return purge.find_due(sql, before)

    def drop_segments(self, before: Cuts, unlink: Callable[[str], None]) -> Dropped:
        """See :meth:`node.store.base.ReadStore.drop_segments`."""
        dropped = segments.drop_segments(self._connections, before, unlink)
        if dropped.segments and self._dictionary.used:
            self.refresh()
        return dropped

    def delete_hits(self, before: Cuts) -> int:
        """See :meth:`node.store.base.ReadStore.delete_hits`."""
        with self._connections.writing() as sql:
            text = f"DELETE FROM hits WHERE {due.HITS}"  # noqa: S608 - our own texts
            gone = sql.execute(worded(text), due.hits(before)).rowcount
            if gone:
                sql.execute(DELETED)
        return gone

    def delete_reads(self, before: Cuts, batch: int, unlink: Callable[[str], None]) -> int:
        """See :meth:`node.store.base.ReadStore.delete_reads`."""
        with self._connections.writing() as sql:
            gone = purge.delete_reads(sql, before, batch, unlink)
        if gone and self._dictionary.used:
            self.refresh()
        return gone

    def delete_photos(self, before: Cuts, batch: int, unlink: Callable[[str], None]) -> int:
        """See :meth:`node.store.base.ReadStore.delete_photos`."""
        with self._connections.writing() as sql:
            return purge.delete_photos(sql, before, batch, unlink)

    def add_dead(self, letters: Sequence[DeadLetter]) -> int:
        """See :meth:`node.store.base.ReadStore.add_dead`."""
        with self._database.writing() as sql:
            return dead.add(sql, letters)

    def dead(self, after: int, source: str, form: str, limit: int) -> list[DeadLetter]:
        """See :meth:`node.store.base.ReadStore.dead`."""
        with self._database.working() as sql:
            return dead.after(sql, after, source, form, limit)

    def dead_counts(self) -> tuple[DeadCount, ...]:
        """See :meth:`node.store.base.ReadStore.dead_counts`."""
        with self._database.working() as sql:
            return dead.counts(sql)

    def remove_dead(self, letter_ids: Sequence[int]) -> None:
        """See :meth:`node.store.base.ReadStore.remove_dead`."""
        with self._database.writing() as sql:
            if dead.remove(sql, letter_ids):
                sql.execute(DELETED)

    def delete_dead(self, before_ms: int) -> int:
        """See :meth:`node.store.base.ReadStore.delete_dead`."""
        with self._database.writing() as sql:
            gone = dead.remove_before(sql, before_ms)
            if gone:
                sql.execute(DELETED)
        return gone

    def mark(self, source: str) -> str:
        """See :meth:`node.store.base.ReadStore.mark`."""
        with self._connections.working() as sql:
            text = "SELECT mark FROM source_marks WHERE source = %s"
            row = sql.execute(text, (source,)).fetchone()
        return "" if row is None else str(row[0])

    def set_mark(self, source: str, mark: str) -> None:
        """See :meth:`node.store.base.ReadStore.set_mark`."""
        with self._connections.writing() as sql:
            sql.execute(
                "INSERT INTO source_marks VALUES (%s, %s) "
                "ON CONFLICT (source) DO UPDATE SET mark = excluded.mark",
                (source, mark),
            )

    def in_use(self, photos: Sequence[str]) -> frozenset[str]:
        """See :meth:`node.store.base.ReadStore.in_use`."""
        with self._connections.searching() as sql:
            return purge.in_use(sql, photos)

    @contextmanager
    def listening(self) -> Iterator[Heard]:
        """See :meth:`node.store.base.ReadStore.listening`."""
        try:
            with connect(self._connections.address) as sql:
                sql.execute(f"LISTEN {HITS_CHANNEL}")
                yield lambda seconds: any(True for _ in sql.notifies(timeout=seconds, stop_after=1))
        except psycopg.Error as error:
            raise as_refusal(error) from None

    def settle(self, now_ms: int) -> bool:
        """See :meth:`node.store.base.ReadStore.settle`.

        The tables out of which rows go one by one are written anew. What the server
        keeps elsewhere, such as its log of changes, is its administrator's:
        docs/operations.md.
        """
        purge.look_after_dropped(self._connections)
        if self._dictionary.used:
            # Another process may have purged.
            self.refresh()
        with self._connections.working() as sql:
            return purge.rewrite(sql, now_ms)

    def counts(self) -> Counts:
        """See :meth:`node.store.base.ReadStore.counts`."""
        text = (
            "SELECT (SELECT count(*) FROM reads), (SELECT count(*) FROM plates), "
            "(SELECT coalesce(sum(entries), 0)::bigint FROM hot_lists), (SELECT count(*) FROM hits)"
        )
        with self._connections.working() as sql:
            return Counts(*_first(sql.execute(text)))

    def close(self) -> None:
        """See :meth:`node.store.base.ReadStore.close`."""
        self._connections.close()


def _first(found: Any) -> Any:
    return found.fetchone()


def _own(sql: Sql, row_id: int) -> int:
    """Return the row number here of a read that may have had another in SQLite."""
    count = count_of(row_id)
    if count is None:
        return row_id
    found = sql.execute(
        "SELECT row_id FROM reads WHERE row_id >= %s AND row_id <= %s",
        (row_number(count, 0), last_row(count)),
    ).fetchone()
    return row_id if found is None else int(found[0])
