"""Moving all rows of one store into another, in terms of rows: resumable, verified.

Each table is gone through in the order of its key, which is the same in both databases:
texts by their bytes. For a page of the source's rows, what the target has in the same
stretch is compared with it; what differs or is not in the source goes, what is missing
comes, in one transaction. So a run that was stopped is simply run again, and a row that
was purged at the source since is purged at the target, too. At the end both sides are
read once more, and a digest over all their rows must be the same.

Only rows count that can't be derived: plates and cells come of themselves with their
reads. A row has the columns of its table in their order, numbers of reads as
:mod:`node.store.numbers` has them; ``counters`` are the last numbers that were given.

Until all is there nobody else opens the target: its table ``moves`` says so::

    side    "from" in a store that is moved away, "to" in one that is filled
    store   the random name of the first of the two
    whole   whether all was there and verified; the first who opens it removes the row
"""

import hashlib
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from accord.errors import InputError
from node.store.fast import COLUMNS
from node.store.numbers import GAP
from node.store.shared import DELETED, Database, Part, Sql

Row = tuple[Any, ...]
Change = tuple[list[Row], list[Row]]
Progress = Callable[[str, int], None]


class Table(NamedTuple):
    """A table; its key are the first ``key`` columns. ``batch`` rows are read at once."""

    name: str
    columns: str
    key: int = 1
    flags: frozenset[int] = frozenset()
    batch: int = 5_000

    def key_of(self, row: Row) -> Row:
        """Return the values of a row's key."""
        return row[: self.key]

    @property
    def names(self) -> Sequence[str]:
        """The columns."""
        return self.columns.split(", ")


READS = Table("reads", COLUMNS, batch=20_000)
HITS = Table(
    "hits",
    "read_row, list, listed_plate, listed_state, category, source, published_ms, max_age_s, "
    "matched_ms, age_s, captured_ms, possible, notice",
    5,
    frozenset({11}),
)
COUNTERS = Table("counters", "name, last")
TABLES = (
    READS,
    HITS,
    Table(
        "hot_lists",
        "list, number, source, published_ms, max_age_s, hard_limit_s, imported_ms, entries, "
        "file_digest",
    ),
    Table("hot_list_entries", "skeleton, plate, state, category, number", 5),
    Table(
        "holds",
        'hold_id, "case", authority, placed_by, from_ms, to_ms, placed_ms, until_ms, plate, '
        "camera, south_e7, west_e7, north_e7, east_e7",
    ),
    Table("notes", 'seq, note_id, decision, "case", detail'),
    Table(
        "dead_letters",
        "letter_id, digest, source, format, reason, arrived_ms, content, cut",
        1,
        frozenset({7}),
        # A letter has up to 64 KiB.
        200,
    ),
    Table("source_marks", "source, mark"),
    COUNTERS,
)


class Summary(NamedTuple):
    """All rows of a table: how many, and SHA-256 over them in their order."""

    rows: int
    digest: bytes


class Side(Protocol):
    """One of the two stores. Errors as :class:`node.store.base.ReadStore`."""

    def alone(self) -> AbstractContextManager[None]:
        """See that no process serves the store while this lasts.

        Raises:
            InputError: one does.
        """

    def still(self) -> AbstractContextManager[None]:
        """See that nobody writes to the store while this lasts."""

    def count(self, table: Table) -> int:
        """Return how many rows a table has."""

    def rows(self, table: Table, after: Row | None, to: Row | None) -> list[Row]:
        """Return the first rows, up to ``table.batch``, behind one row and up to another."""

    def change(self, table: Table, gone: Sequence[Row], new: Sequence[Row]) -> None:
        """Take rows away, then put rows in, all or none."""

    def name(self) -> str:
        """Return the name of a store that is moved away, a new one the first time."""

    def begin(self, name: str, met: Collection[int], keep_ms: int) -> None:
        """Have nobody else open the store that is to be filled from the one of this name.

        ``met`` are the numbers of reads that have hits, ``keep_ms`` how long reads are kept:
        a store may put them by these.

        Raises:
            InputError: it holds something else.
        """

    def end(self) -> None:
        """Say that all is there."""

    def take_over(self) -> None:
        """Have what was put back with a database, elsewhere, be this one's alone."""

    def begin_guard(self) -> None:
        """Have the replay guard begin anew: it refuses what was issued before that."""

    def close(self) -> None:
        """Release files and connections."""


def fill(source: Side, target: Side, table: Table, told: Progress) -> None:
    """Make the rows of a table at the target what they are at the source.

    ``told`` is called with the table's name and how many rows of the source were looked at.
    """
    after: Row | None = None
    while True:
        page = source.rows(table, after, None)
        last = page[-1] if len(page) >= table.batch else None
        for gone, new in _changes(table, page, _between(target, table, after, last)):
            target.change(table, gone, new)
        told(table.name, len(page))
        if last is None:
            return
        after = last


def leave_gap(side: Side) -> None:
    """Let new reads have numbers that no other store gave, which had the same reads before."""
    counters = side.rows(COUNTERS, None, None)
    raised = [(name, last + GAP * (name == READS.name)) for name, last in counters]
    side.change(COUNTERS, counters, raised)


def _between(side: Side, table: Table, after: Row | None, to: Row | None) -> Iterator[Row]:
    while rows := side.rows(table, after, to):
        yield from rows
        after = rows[-1]


def _changes(table: Table, page: Sequence[Row], there: Iterator[Row]) -> Iterator[Change]:
    """Yield what goes and what comes, some rows at a time, so that ``there`` becomes ``page``."""
    gone: list[Row] = []
    new: list[Row] = []
    wanted = iter(page)
    one, other = next(wanted, None), next(there, None)
    while one is not None or other is not None:
        if other is None or (one is not None and table.key_of(one) < table.key_of(other)):
            new.append(one)  # type: ignore[arg-type]  # not both are None
            one = next(wanted, None)
        elif one is None or table.key_of(other) < table.key_of(one):
            gone.append(other)
            other = next(there, None)
        else:
            if one != other:
                gone.append(other)
                new.append(one)
            one, other = next(wanted, None), next(there, None)
        if len(gone) >= table.batch:
            yield gone, new
            gone, new = [], []
    if gone or new:
        yield gone, new


def numbers(side: Side, table: Table) -> frozenset[int]:
    """Return what the first column of a table has."""
    found: set[int] = set()
    after = None
    while rows := side.rows(table, after, None):
        found.update(row[0] for row in rows)
        after = rows[-1]
    return frozenset(found)


def summary(side: Side, table: Table, told: Progress) -> Summary:
    """Read all rows of a table, and return how many they are and their digest."""
    digest, count, after = hashlib.sha256(), 0, None
    while rows := side.rows(table, after, None):
        for row in rows:
            # Numbers, texts, bytes and None: unlike rows have unlike texts.
            digest.update(repr(row).encode() + b"\n")
        count, after = count + len(rows), rows[-1]
        told(table.name, len(rows))
    return Summary(count, digest.digest())


class Rows(ABC):
    """The tables of which both databases have the same columns, but for the counters."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take_over(self) -> None:  # noqa: B027 - most have nothing to do
        """See :meth:`Side.take_over`; here nothing is elsewhere."""

    def count(self, table: Table) -> int:
        """See :meth:`Side.count`."""
        if table is COUNTERS:
            return len(self.rows(table, None, None))
        with self._database.working() as sql:
            return int(sql.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0])  # noqa: S608

    def rows(self, table: Table, after: Row | None, to: Row | None) -> list[Row]:
        """See :meth:`Side.rows`."""
        with self._database.working() as sql:
            if table is COUNTERS:
                counters = sorted(self._counters(sql).items())
                low, high = after or ("",), to or ("\x7f",)
                return [row for row in counters if low[0] < row[0] <= high[0]]
            found = sql.execute(*stretch(table, self._own(table, after), self._own(table, to)))
            rows = [tuple(row) for row in found.fetchall()]
        return [self._common(table, row) for row in rows]

    def change(self, table: Table, gone: Sequence[Row], new: Sequence[Row]) -> None:
        """See :meth:`Side.change`."""
        with self._database.writing() as sql:
            if table is COUNTERS:
                self._set_counters(sql, dict(new))
                return
            old = [self._own(table, row) or () for row in gone]
            rows = [self._own(table, row) or () for row in new]
            if table.name == READS.name:
                self._change_reads(sql, old, rows)
                return
            keys = " AND ".join(f"{name} = ?" for name in table.names[: table.key])
            text = f"DELETE FROM {table.name} WHERE {keys}"  # noqa: S608 - our own texts
            if old:
                sql.executemany(text, [table.key_of(row) for row in old])
                sql.execute(DELETED)
            self._put(sql, table, rows)

    def name(self) -> str:
        """See :meth:`Side.name`."""
        with self._database.writing() as sql:
            found = sql.execute("SELECT store FROM moves WHERE side = 'from'").fetchone()
            name = secrets.token_hex(16) if found is None else str(found[0])
            if found is None:
                sql.execute("INSERT INTO moves VALUES ('from', ?, true)", (name,))
        return name

    def begin(self, name: str, met: Collection[int], keep_ms: int) -> None:
        """See :meth:`Side.begin`."""
        with self._database.writing() as sql:
            found = sql.execute("SELECT store FROM moves WHERE side = 'to'").fetchone()
            if found is None:
                self._require_empty(sql)
                sql.execute("INSERT INTO moves VALUES ('to', ?, false)", (name,))
            elif found[0] != name:
                raise self._refused("was begun as a copy of another store")
            else:
                sql.execute("UPDATE moves SET whole = false WHERE side = 'to'")

    def end(self) -> None:
        """See :meth:`Side.end`."""
        with self._database.writing() as sql:
            sql.execute("UPDATE moves SET whole = true WHERE side = 'to'")

    def _require_empty(self, sql: Sql) -> None:
        for table in TABLES:
            if (
                table is not COUNTERS
                and sql.execute(
                    f"SELECT 1 FROM {table.name} LIMIT 1"  # noqa: S608 - our own texts
                ).fetchone()
            ):
                raise self._refused(f"holds {table.name.replace('_', ' ')} already")

    @abstractmethod
    def _refused(self, problem: str) -> InputError: ...

    def _own(self, table: Table, row: Row | None) -> Row | None:
        """Return a row as this database has it."""
        return row

    def _common(self, table: Table, row: Row) -> Row:
        """Return a row of this database as both know it."""
        for place in table.flags:
            row = (*row[:place], bool(row[place]), *row[place + 1 :])
        return row

    def _put(self, sql: Sql, table: Table, rows: Sequence[Row]) -> None:
        self._database.insert(sql, table.name, table.columns, rows)

    @abstractmethod
    def _counters(self, sql: Sql) -> dict[str, int]: ...

    @abstractmethod
    def _set_counters(self, sql: Sql, counters: dict[str, int]) -> None: ...

    @abstractmethod
    def _change_reads(self, sql: Sql, gone: Sequence[Row], new: Sequence[Row]) -> None: ...


def stretch(table: Table, after: Row | None, to: Row | None) -> Part:
    """Return the statement for the first rows behind one and up to another, as they are here."""
    key = ", ".join(table.names[: table.key])
    marks = ", ".join("?" * table.key)
    # A key of one column needs no brackets in either database, and may have them.
    bounds = [
        (f"({key}) {sign} ({marks})", table.key_of(row))
        for sign, row in ((">", after), ("<=", to))
        if row is not None
    ]
    where = f" WHERE {' AND '.join(text for text, _ in bounds)}" if bounds else ""
    values = tuple(value for _, values in bounds for value in values)
    text = f"SELECT {table.columns} FROM {table.name}{where} ORDER BY {key} LIMIT ?"  # noqa: S608
    return Part(text, (*values, table.batch))


def is_filling(sql: Sql) -> bool:
    """Tell whether a store is being filled, or was left half-way."""
    found = sql.execute("SELECT whole FROM moves WHERE side = 'to'").fetchone()
    return found is not None and not found[0]


def check_whole(sql: Sql, where: object) -> None:
    """Refuse a store that is being filled; one that is whole belongs to who opens it now.

    Raises:
        InputError: not all is there.
    """
    if is_filling(sql):
        remedy = "run accord-node store copy again: it goes on where it was"
        raise InputError(where, "is being filled by accord-node store copy", remedy)
    sql.execute("DELETE FROM moves WHERE side = 'to'")
