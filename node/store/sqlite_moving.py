"""The store in SQLite as one side of a move: see :mod:`node.store.moving`."""

import os
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from heapq import merge
from itertools import islice, takewhile
from operator import itemgetter
from pathlib import Path
from typing import cast

from accord import private_db
from accord.clock import Clock
from accord.errors import InputError
from node.replay_file import FILE_NAME as REPLAY
from node.replay_file import begin_anew
from node.store.cells import cell_of
from node.store.connections import (
    WRITE_WAIT_MS,
    Connections,
    as_refusal,
    lock_for_serving,
    prepare,
)
from node.store.in_sqlite import InSqlite
from node.store.moving import READS, Row, Rows, Table, stretch
from node.store.rows import INSERT
from node.store.segments.adding import PLATES
from node.store.segments.moving import end_begun
from node.store.segments.parts import Parts, listed
from node.store.segments.purging import remove_left_over
from node.store.segments.spans import Segment, Span, place
from node.store.shared import DELETED, Sql
from node.store.statements import SNAPSHOT

_PLATE, _STATE, _AT, _LAT, _LON = (
    READS.names.index(name) for name in ("plate", "state", "captured_ms", "lat_e7", "lon_e7")
)
_DELETE = "DELETE FROM reads WHERE row_id = ?"
_GIVEN = "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'reads'"
# By the name of the counter; those of AUTOINCREMENT have their table's name.
_COUNTED = ("dead_letters", "notes", "reads")
# Before all plates are gone through.
_NOWHERE = -1
_CHUNK = 50_000


class SqliteSide(Rows):
    """A :class:`node.store.moving.Side` in SQLite."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Open the store, or make it.

        Raises:
            InputError: it is damaged or can't be used.
        """
        prepare(path)
        self._path, self._clock = path, clock
        self._connections, self._parts = Connections(path), Parts(path)
        self._met: Collection[int] = ()
        super().__init__(InSqlite(self._connections, self._parts))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """See :meth:`node.store.moving.Side.alone`."""
        lock = lock_for_serving(self._path)
        try:
            yield
        finally:
            os.close(lock)

    @contextmanager
    def still(self) -> Iterator[None]:
        """See :meth:`node.store.moving.Side.still`."""
        try:
            with closing(private_db.connect(self._path, wait_ms=WRITE_WAIT_MS)) as sql:
                sql.execute("BEGIN IMMEDIATE")
                yield
        except sqlite3.Error as error:
            raise as_refusal(error) from None

    def begin_guard(self) -> None:
        """See :meth:`node.store.moving.Side.begin_guard`."""
        begin_anew(self._path.with_name(REPLAY), self._clock)

    def count(self, table: Table) -> int:
        """See :meth:`node.store.moving.Side.count`."""
        count = super().count(table)
        if table.name == READS.name:
            with self._files() as (_, *segments):
                text = "SELECT count(*) FROM reads"
                count += sum(part.execute(text).fetchone()[0] for part in segments)
        return count

    def rows(self, table: Table, after: Row | None, to: Row | None) -> list[Row]:
        """See :meth:`node.store.moving.Side.rows`; reads are those of all files."""
        if table.name != READS.name:
            return super().rows(table, after, to)
        with self._files() as files:
            (last,) = files[0].execute(SNAPSHOT).fetchone()
            found = [file.execute(*stretch(table, after, to)) for file in files]
            # Of what is above the last number the main file knows nothing: node/store/segments.
            known = takewhile(lambda row: row[0] <= last, merge(*found, key=itemgetter(0)))
            rows = list(islice(known, table.batch))
            for cursor in found:
                cursor.close()
        return rows

    def name(self) -> str:
        """See :meth:`node.store.moving.Side.name`; a read that lies in two files is in one then."""
        end_begun(self._parts, self._connections.mine())
        return super().name()

    def begin(self, name: str, met: Collection[int], keep_ms: int) -> None:
        """See :meth:`node.store.moving.Side.begin`; what a run that was stopped has left goes."""
        super().begin(name, met, keep_ms)
        self._met = met
        remove_left_over(self._parts, self._connections.mine())
        with self._writing() as sql:
            sql.execute("UPDATE upkeep SET keep_ms = ?", (keep_ms,))
            with self._parts.writing(listed(sql)) as files:
                for part in files.values():
                    self._parts.cut_back(sql, part)

    def end(self) -> None:
        """See :meth:`node.store.moving.Side.end`; the plates are those that reads have."""
        with self._writing() as sql:
            sql.execute("UPDATE plates SET until_ms = ?", (_NOWHERE,))
            self._note_plates(sql, sql, 0)
            segments = listed(sql)
            with self._parts.writing(segments) as files:
                for one in segments:
                    self._note_plates(sql, files[one.number], one.to_ms)
            text = "DELETE FROM plates WHERE until_ms = ?"
            if sql.execute(text, (_NOWHERE,)).rowcount:
                sql.execute(DELETED)
        super().end()

    def close(self) -> None:
        """Close the files."""
        self._connections.close()
        self._parts.close()

    @contextmanager
    def _files(self) -> Iterator[list[sqlite3.Connection]]:
        """Yield a connection to the main file, and one to each segment."""
        with self._connections.mine().unbounded() as sql, ExitStack() as stack:
            yield [sql, *stack.enter_context(self._parts.writing(listed(sql))).values()]

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._connections.mine().writing() as sql:
            yield sql

    def _note_plates(
        self, sql: sqlite3.Connection, file: sqlite3.Connection, until_ms: int
    ) -> None:
        found = file.execute("SELECT DISTINCT plate, state FROM reads")
        while rows := found.fetchmany(_CHUNK):
            sql.executemany(PLATES, ((*plate, until_ms) for plate in rows))

    def _require_empty(self, sql: Sql) -> None:
        super()._require_empty(sql)
        if listed(sql):
            raise self._refused("holds reads already")

    def _refused(self, problem: str) -> InputError:
        return InputError(self._path, problem, "move it away, or name another data folder")

    def _change_reads(self, sql: Sql, gone: Sequence[Row], new: Sequence[Row]) -> None:
        """Change the segments first, as whoever stores reads does; plates are noted at the end."""
        main = cast(sqlite3.Connection, sql)
        (keep_ms,) = main.execute("SELECT keep_ms FROM upkeep").fetchone()
        segments = list(listed(main))
        out: dict[Segment | None, list[Row]] = defaultdict(list)
        into: dict[Segment | None, list[Row]] = defaultdict(list)
        for row in gone:
            out[None].append(row)
            for one in segments:
                if one.from_ms <= row[_AT] < one.to_ms:
                    out[one].append(row)
        for row in new:
            to = self._place(row, segments, keep_ms)
            if isinstance(to, Span):
                to = self._parts.made(main, to)
                segments.append(to)
            into[to].append(row)
        changed = [one for one in {*out, *into} if one is not None]
        with self._parts.writing(changed) as files:
            for one in changed:
                files[one.number].execute("BEGIN IMMEDIATE")
                _change(files[one.number], out[one], into[one])
                files[one.number].execute("COMMIT")
        _change(main, out[None], into[None])
        main.execute(_GIVEN, (max((row[0] for row in new), default=0),))
        if gone:
            numbers = [(one.number,) for one in out if one is not None]
            main.executemany("UPDATE segments SET deleted = 1 WHERE number = ?", numbers)
            main.execute(DELETED)

    def _place(self, row: Row, segments: Sequence[Segment], keep_ms: int) -> Segment | Span | None:
        """Return where a read goes: what met a list is in the main file, with its hits."""
        if row[0] in self._met:
            return None
        return place(row[_AT], segments, keep_ms, self._clock.now_ms())

    def _counters(self, sql: Sql) -> dict[str, int]:
        found = dict.fromkeys(_COUNTED, 0)
        text = "SELECT name, seq FROM sqlite_sequence WHERE name IN (?, ?, ?)"
        found.update(sql.execute(text, _COUNTED).fetchall())
        text = "SELECT version, last_number FROM hot_list_version"
        found["hot_list_version"], found["hot_lists"] = sql.execute(text).fetchone()
        return found

    def _set_counters(self, sql: Sql, counters: dict[str, int]) -> None:
        for name, last in counters.items():
            if name in _COUNTED:
                sql.execute("DELETE FROM sqlite_sequence WHERE name = ?", (name,))
                sql.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, last))
            else:
                column = "version" if name == "hot_list_version" else "last_number"
                sql.execute(f"UPDATE hot_list_version SET {column} = ?", (last,))  # noqa: S608


def _change(file: sqlite3.Connection, gone: Sequence[Row], new: Sequence[Row]) -> None:
    # In the main file their hits go with them.
    file.executemany(_DELETE, [row[:1] for row in gone])
    file.executemany(INSERT, [(*row, cell_of(row[_LAT], row[_LON])) for row in new])
