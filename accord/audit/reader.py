"""Reading a log: what it holds, opened, and whether all of it is sound.

Readers never write and may run while a node or broker serves.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from accord.audit import store
from accord.audit.leaf import commit
from accord.audit.merkle import Frontier, leaf_hash
from accord.audit.sealing import Sealed, Sealer, unpack, values_of
from accord.audit.store import Broken, Row
from accord.clock import iso
from accord.errors import Code, InputError, Refused, Unverified
from accord.keys import PublicKey

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Verification:
    """What a full check found: entries that are sound, and the first that is not.

    ``problem`` is one line for a person, "" when ``ok``; ``broken`` is the
    index that it names, or None.
    """

    entries: int
    ok: bool
    problem: str
    broken: int | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries: every field in ``equal`` is so, in [since_ms, until_ms).

    ``equal`` takes the fields of :data:`accord.audit.sealing.INDEXED` only.
    With a ``limit`` the newest that fit are given.
    """

    equal: Mapping[str, str]
    since_ms: int | None = None
    until_ms: int | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """One opened entry; its leaf was recomputed from its fields."""

    index: int
    time_ms: int
    fields: Mapping[str, str]

    @property
    def kind(self) -> str:
        """Kind of the record, one of :data:`accord.audit.leaf.KINDS`."""
        return self.fields["kind"]


class AuditReader:
    """One log, read only. A context manager."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        sealer: Sealer,
        origin: str,
        public: PublicKey,
    ) -> None:
        self.path = path
        self.origin = origin
        self._connection = connection
        self._sealer = sealer
        self._public = public

    @classmethod
    def open(cls, path: Path, secret: bytes, public: PublicKey, origin: str = "") -> "AuditReader":
        """Open a log with its 32-byte secret and the key of its checkpoints.

        ``origin`` is the name that the log must bear; "" takes the one that it
        gives itself, which the key's signature covers.

        Raises:
            InputError: not there, or not an audit log.
        """
        connection = store.connect_reader(path)
        try:
            name = origin or store.stored_origin(connection)
        except Broken as broken:
            connection.close()
            raise InputError(path, broken.problem, store.EVIDENCE) from None
        except sqlite3.Error as error:
            connection.close()
            raise store.unreadable(path, error) from None
        return cls(path, connection, Sealer(secret, name), name, public)

    def __enter__(self) -> "AuditReader":
        """Return the reader."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the reader."""
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def entries(self, wanted: Filter | None = None) -> Iterator[Shown]:
        """Yield the entries wanted, by index, each opened as it is reached.

        Raises:
            Refused: ``STORE_CORRUPT`` when an entry does not open.
            ValueError: a filter on a field that is not indexed.
        """
        wanted = wanted or Filter({})
        for row in self._select(wanted):
            try:
                shown = Shown(row.index, row.time_ms, self._open(row))
            except Unverified as error:
                text = f"Entry {row.index} of {self.path} is broken: {error.problem}."
                raise Refused(Code.STORE_CORRUPT, text=text) from None
            # Terms are short and lie in the file: the opened fields decide.
            if all(value in values_of(shown.fields, name) for name, value in wanted.equal.items()):
                yield shown

    def verify(self) -> Verification:
        """Check everything.

        Each record opens and makes its leaf, each of its search terms is there,
        and the leaves make the root that the log signed. Reads one state of the
        log, also while it grows.
        """
        self._connection.execute("BEGIN")
        try:
            return self._verify()
        finally:
            self._connection.execute("ROLLBACK")

    def _verify(self) -> Verification:
        frontier = Frontier()
        terms = 0
        try:
            name = store.stored_origin(self._connection)
            if name != self.origin:
                raise Broken(0, f"the newest checkpoint is of {name}, not of {self.origin}")
            for row in store.rows(self._connection, 0, 1 << 62):
                terms += self._check(row, frontier.size)
                frontier.append(leaf_hash(row.leaf))
            self._check_head(frontier)
            (count,) = self._connection.execute("SELECT count(*) FROM terms").fetchone()
            if count != terms:
                raise Broken(0, "there are search terms that no entry has")
        except Broken as broken:
            problem = f"entry {broken.index}: {broken.problem}"
            return Verification(min(frontier.size, broken.index), False, problem, broken.index)
        except sqlite3.Error as error:
            problem = f"entry {frontier.size} can't be read ({store.reason(error)})"
            return Verification(frontier.size, False, problem, frontier.size)
        return Verification(frontier.size, True, "")

    def _check(self, row: Row, expected: int) -> int:
        """Check one entry by itself; return how many search terms it has."""
        if row.index != expected:
            raise Broken(expected, "is missing")
        try:
            fields = self._open(row)
        except Unverified as error:
            raise Broken(row.index, error.problem) from None
        terms = self._sealer.terms(fields)
        marks = ",".join("?" * len(terms))
        (found,) = self._connection.execute(
            f"SELECT count(*) FROM terms WHERE idx = ? AND term IN ({marks})",  # noqa: S608 - marks
            (row.index, *terms),
        ).fetchone()
        if found != len(terms):
            raise Broken(row.index, "a search term is missing, so a search would not find it")
        return len(terms)

    def _open(self, row: Row) -> dict[str, str]:
        """Return the fields of a row once they make its leaf and its time."""
        packed = self._sealer.open(Sealed(row.key, row.box), leaf_hash(row.leaf))
        fields, salts = unpack(packed)
        if commit(fields, salts) != row.leaf:
            raise Unverified(Code.MALFORMED, "the record does not make its leaf")
        if fields.get("time") != iso(row.time_ms) or "kind" not in fields:
            raise Unverified(Code.MALFORMED, "the time beside the record is not the record's")
        return fields

    def _check_head(self, whole: Frontier) -> None:
        """Check the leaves against the signed checkpoint."""
        connection = self._connection
        row = connection.execute("SELECT size FROM head").fetchone()
        size = int(row[0]) if row else 0
        signed = store.read_checkpoint(connection, size, self.origin, self._public)
        if whole.size < size:
            raise Broken(whole.size, f"is missing: {size} entries are signed")
        if whole.size > size:
            raise Broken(size, f"is not signed: the checkpoint ends at {size} entries")
        if whole.root() != signed.root:
            self._locate()
        store.read_head(connection, self.origin, self._public)

    def _locate(self) -> None:
        """Narrow a wrong root down to the entries between two checkpoints.

        Raises:
            Broken: always.
        """
        frontier = Frontier()
        sound = 0
        sizes = [s for (s,) in self._connection.execute("SELECT size FROM checkpoints ORDER BY 1")]
        for size in sizes:
            for row in store.rows(self._connection, sound, size):
                frontier.append(leaf_hash(row.leaf))
            signed = store.read_checkpoint(self._connection, size, self.origin, self._public)
            if frontier.root() != signed.root:
                where = "was" if size - sound == 1 else f"to {size - 1}: one was"
                raise Broken(sound, f"{where} altered after it was signed")
            sound = size
        raise Broken(0, "the leaves do not lead to the signed root")

    def _select(self, wanted: Filter) -> Iterator[Row]:
        """Yield the rows that the terms and times pick, in order of index."""
        clauses: list[str] = ["idx >= ?"]
        values: list[bytes | int] = []
        for name, value in wanted.equal.items():
            clauses.append("idx IN (SELECT idx FROM terms WHERE term = ?)")
            values.append(self._sealer.lookup(name, value))
        if wanted.since_ms is not None:
            clauses.append("time_ms >= ?")
            values.append(wanted.since_ms)
        if wanted.until_ms is not None:
            clauses.append("time_ms < ?")
            values.append(wanted.until_ms)
        columns = "SELECT idx, time_ms, leaf, key, box FROM entries WHERE "
        statement = columns + " AND ".join(clauses)
        try:
            if wanted.limit is not None:
                newest = self._connection.execute(
                    f"{statement} ORDER BY idx DESC LIMIT ?", (0, *values, wanted.limit)
                ).fetchall()
                yield from (store.checked_row(row) for row in reversed(newest))
                return
            begin = 0
            # Page by page: no read stays open while the caller takes its time.
            while page := self._connection.execute(
                f"{statement} ORDER BY idx LIMIT {_PAGE}", (begin, *values)
            ).fetchall():
                yield from (store.checked_row(row) for row in page)
                begin = page[-1][0] + 1
        except sqlite3.Error as error:
            raise store.unreadable(self.path, error) from None
        except Broken as broken:
            text = f"Entry {broken.index} of {self.path} is broken: {broken.problem}."
            raise Refused(Code.STORE_CORRUPT, text=text) from None
