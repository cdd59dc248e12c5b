"""The PostgreSQL store: reads and hot lists on a server, for a node's processes and commands."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from accord.agreements.terms import Withholding
from accord.clock import Clock, SystemClock
from accord.errors import Code, InputError, Refused
from accord.model import Read
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
from node.store.dictionary import Dictionary
from node.store.fast import stored
from node.store.holds import Holds
from node.store.hot_lists import HotLists
from node.store.matcher import Matcher
from node.store.moving import check_whole
from node.store.numbers import count_of
from node.store.pages import one_page
from node.store.postgres import purge, segments
from node.store.postgres.adding import HITS_CHANNEL
from node.store.postgres.connections import Connections, as_refusal, connect
from node.store.postgres.migrations import Sql, lacking
from node.store.postgres.one_database import OneDatabase
from node.store.postgres.opening import prepare
from node.store.postgres.parts import SEEN, day_of, last_row, row_number
from node.store.postgres.places import Layout
from node.store.postgres.reached import Reached
from node.store.postgres.shards import Shards, shards_of
from node.store.postgres.wording import Worded, worded
from node.store.purged import Dropped, Due
from node.store.reading import OneTable
from node.store.shared import DELETED
from node.store.statements import one_read


class PostgresStore:
    """A :class:`node.store.base.ReadStore` on a PostgreSQL server, or several."""

    # A server may do so at any time.
    may_wait = True

    def __init__(self, layout: Layout, clock: Clock) -> None:
        self._layout = layout
        self._connections = layout.connections
        self._database = layout.database
        self._clock = clock
        self._matcher = Matcher()
        self.hot_lists = HotLists(self._database, clock)
        self.holds = Holds(self._database)
        self._dictionary = Dictionary()
        self._ahead = -1

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        shards: Sequence[Path] = (),
        serving: bool = False,
        clock: Clock | None = None,
    ) -> "PostgresStore":
        """Open the store whose URL is in a file, and make its tables if need be.

        ``shards`` are the files with the URLs of the servers where the reads are, if they
        are not in the same database. ``serving`` reads the plates in before the first
        query comes. ``clock`` (the machine's if left out) says when a read arrives, and how
        old a hot list is.

        Raises:
            InputError: the server can't be reached or used, or is not set as it must be; as
                :func:`node.store.postgres.sharding.prepare`.
        """
        layout = _found(Connections.open(path), shards)
        store = cls(layout, clock or SystemClock())
        try:
            prepare(path, layout.connections.address)
            with layout.connections.working() as sql:
                check_whole(Worded(sql), path)
            layout.prepare()
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
    def look(cls, path: Path, clock: Clock, shards: Sequence[Path] = ()) -> "PostgresStore":
        """Open a store that is there, for reading only, its tables as they are.

        Raises:
            InputError: the server can't be reached, or has not the reads' slices.
        """
        layout = _found(Connections.open(path, looking=True), shards, looking=True)
        try:
            layout.look()
        except InputError:
            layout.close()
            raise
        return cls(layout, clock)

    def refresh(self) -> None:
        """See :meth:`node.store.base.ReadStore.refresh`, and :mod:`node.store.dictionary`."""
        self._layout.check_all()
        with self._connections.working() as sql:
            self._dictionary.refresh(Worded(sql))

    def add(self, reads: Sequence[Read]) -> Added:
        """See :meth:`node.store.base.ReadStore.add`."""
        now_ms = self._clock.now_ms()
        with self._connections.working() as sql:
            # Before the writers' turn is taken: a long list takes part of a second.
            self._matcher.refresh(Worded(sql))
        self._make_ahead(now_ms)
        return self._layout.add(reads, now_ms, self._matcher)

    def _make_ahead(self, now_ms: int) -> None:
        """Once a day, make the partition of the next one, so that no read waits for it."""
        today = day_of(now_ms)
        if self._ahead != today:
            self._ahead = today
            # Else it is made when its first read comes.
            with suppress(Refused):
                self._layout.make_parts((today, today + 1), now_ms)

    def search(self, search: Search, cancelled: Cancelled | None = None) -> Page:
        """See :meth:`node.store.base.ReadStore.search`."""
        with self._connections.searching(cancelled) as watched:
            sql = self._layout.reading(watched)
            snapshot = self._database.snapshot(sql, search.after)
            find = partial(self._dictionary.find, sql)
            return one_page(OneTable(sql), search, snapshot, find, watched.pause)

    def search_at_once(self, search: Search) -> Page | None:
        """See :meth:`node.store.base.ReadStore.search_at_once`; nothing on a server is."""
        return None

    def read(
        self, row_id: int, withholding: Withholding, earliest_ms: int, *, time_step_ms: int = 1
    ) -> StoredRead | None:
        """See :meth:`node.store.base.ReadStore.read`."""
        with self._connections.searching() as sql:
            row_id = _own(sql, row_id)
            # The number tells the partition.
            table, span = self._layout.lies(row_id)
            text, values = one_read(row_id, withholding, earliest_ms, time_step_ms)
            text = text.replace(" FROM reads ", f" FROM {table} AS reads ", 1)
            text += f" AND captured_ms >= ? AND captured_ms < ? AND {SEEN}"
            row = sql.execute(worded(text), (*values, *span)).fetchone()
        return None if row is None else stored(row)

    def kept(self, of: str | int, limit: int, now_ms: int) -> list[Kept]:
        """See :meth:`node.store.base.ReadStore.kept`."""
        with self._connections.working() as sql, sql.transaction():
            # Planned for its values, the text for another server would have the plate in it.
            sql.execute("SET LOCAL plan_cache_mode = force_generic_plan")
            table, which = "reads", "plate = ?"
            values: tuple[object, ...] = (of,)
            if isinstance(of, int):
                of = _own(sql, of)
                table, span = self._layout.lies(of)
                which = "row_id = ? AND captured_ms >= ? AND captured_ms < ?"
                values = (of, *span)
            text = (
                f"SELECT row_id, captured_ms, {due.MET}, "  # noqa: S608 - our own texts
                "EXISTS (SELECT 1 FROM hits WHERE hits.read_row = reads.row_id), photo != '', "
                "ARRAY(SELECT hold_id FROM holds "
                f"WHERE until_ms > ? AND {due.MATCHES}) "
                f"FROM {table} AS reads WHERE {which} AND {SEEN} "
                "ORDER BY captured_ms DESC, row_id DESC LIMIT ?"
            )
            rows = sql.execute(worded(text), (now_ms, *values, limit)).fetchall()
        return [
            Kept(row, at, met, hits, photo, tuple(holds))
            for row, at, met, hits, photo, holds in rows
        ]

    def reached(self) -> "PostgresStore":
        """See :meth:`node.store.base.ReadStore.reached`."""
        if not isinstance(self._layout, Shards):
            return self
        part = copy(self)
        part._layout = Reached(self._layout)
        return part

    def due(self, before: Cuts) -> Due:
        """See :meth:`node.store.base.ReadStore.due`."""
        with self._connections.working() as sql:
            return purge.find_due(self._layout, sql, before)

    def drop_segments(self, before: Cuts, unlink: Callable[[str], None]) -> Dropped:
        """See :meth:`node.store.base.ReadStore.drop_segments`."""
        dropped = segments.drop_segments(self._layout, before, unlink)
        if dropped.segments and self._dictionary.used:
            self.refresh()
        return dropped

    def delete_hits(self, before: Cuts) -> int:
        """See :meth:`node.store.base.ReadStore.delete_hits`."""
        return purge.delete_hits(self._layout, before)

    def delete_reads(self, before: Cuts, batch: int, unlink: Callable[[str], None]) -> int:
        """See :meth:`node.store.base.ReadStore.delete_reads`."""
        gone = 0
        for number in self._layout.numbers():
            left = batch - gone
            with self._layout.trying(number):
                gone += purge.delete_reads(self._layout, number, before, left, unlink)
        if gone and self._dictionary.used:
            self.refresh()
        return gone

    def delete_photos(self, before: Cuts, batch: int, unlink: Callable[[str], None]) -> int:
        """See :meth:`node.store.base.ReadStore.delete_photos`."""
        gone = 0
        for number in self._layout.numbers():
            left = batch - gone
            with self._layout.trying(number):
                gone += purge.delete_photos(self._layout, number, before, left, unlink)
        return gone

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

    def require_ready(self) -> None:
        """See :meth:`node.store.base.ReadStore.require_ready`: every table is there."""
        with self._connections.working() as sql:
            gone = lacking(sql)
        if gone:
            detail = f"tables of the database are gone: {', '.join(gone)}"
            raise Refused(Code.STORE_CORRUPT, detail=detail)

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
        return self._layout.in_use(None, photos)

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
        purge.look_after_dropped(self._layout)
        if self._dictionary.used:
            # Another process may have purged.
            self.refresh()
        done = self._layout.rewrite(now_ms)
        self._layout.finish()
        return done

    def counts(self) -> Counts:
        """See :meth:`node.store.base.ReadStore.counts`."""
        text = (
            "SELECT (SELECT count(*) FROM plates), "
            "(SELECT coalesce(sum(entries), 0)::bigint FROM hot_lists), (SELECT count(*) FROM hits)"
        )
        with self._connections.working() as sql:
            return Counts(self._layout.count(), *_first(sql.execute(text)))

    def close(self) -> None:
        """See :meth:`node.store.base.ReadStore.close`."""
        self._layout.close()


def _found(
    connections: Connections, shards: Sequence[Path], *, looking: bool = False
) -> OneDatabase | Shards:
    if not shards:
        return OneDatabase(connections)
    try:
        return Shards(connections, shards_of(shards, looking=looking))
    except InputError:
        connections.close()
        raise


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
