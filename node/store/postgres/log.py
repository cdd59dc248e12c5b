"""The audit log beside the reads on the server: several processes write it, in turn.

A commit is one transaction that takes the row of the head first, so the server elects
who writes: all others wait for that row, and then see what was written. A process that
stands still while it holds the row loses it with its connection after
:data:`STANDING_MS`; one whose machine is gone, after a few seconds more.

It is durable when the server says that it is committed (``synchronous_commit``). Where
the connection is lost before that is heard, it may be so all the same.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors
from psycopg.rows import TupleRow

from accord.audit.places import Found, Sql, Unavailable
from accord.errors import InputError
from node.store.postgres.address import read_address
from node.store.postgres.connections import LOOKING, SERVING_LOCK, connect, named, unreachable
from node.store.postgres.opening import prepare
from node.store.postgres.wording import worded

STANDING_MS = 10_000
_AT_A_TIME = 500
_WRITING = {"idle_in_transaction_session_timeout": f"{STANDING_MS}ms"}
# What the next try can't mend: what is kept is in doubt, or is not what was written here.
_LASTING = (
    errors.DataCorrupted, errors.IndexCorrupted, errors.IntegrityError, errors.ProgrammingError,
    errors.DataError,
)  # fmt: skip
_KINDS = {
    "entries": ("bigint", "bigint", "bytea", "bytea", "bytea"),
    "terms": ("bytea", "bigint"),
    "checkpoints": ("bigint", "bytea"),
    "nodes": ("smallint", "bigint", "bytea"),
    "cosignatures": ("bigint", "bytea", "bytea"),
    "head": ("integer", "bigint", "bytea"),
}
_TABLES = re.compile(r"\b(entries|terms|checkpoints|nodes|cosignatures|head)\b")

Connection = psycopg.Connection[TupleRow]


@lru_cache(maxsize=256)
def _in_our_words(text: str) -> str:
    return worded(_TABLES.sub(r"audit_\1", text))


class Tables:
    """The tables on an open connection: a :class:`accord.audit.places.Reading`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, text: str, values: Sequence[object] = (), /) -> Found:
        """See :meth:`accord.audit.places.Sql.execute`."""
        return self._connection.execute(_in_our_words(text), values)

    def insert(self, table: str, rows: Sequence[Sequence[object]], /) -> None:
        """See :meth:`accord.audit.places.Sql.insert`."""
        if rows:
            # One statement whatever their number: a column is an array.
            arrays = ", ".join(f"%s::{kind}[]" for kind in _KINDS[table])
            text = f"INSERT INTO audit_{table} SELECT * FROM unnest({arrays})"  # noqa: S608
            self._connection.execute(text, [list(column) for column in zip(*rows, strict=True)])

    def together(self) -> AbstractContextManager[object]:
        """See :meth:`accord.audit.places.Sql.together`."""
        return self._connection.pipeline()

    def stream(self, text: str, values: Sequence[object] = (), /) -> Iterator[Any]:
        """See :meth:`accord.audit.places.Sql.stream`."""
        with self._connection.cursor(name="stream") as cursor:
            cursor.itersize = _AT_A_TIME
            cursor.execute(_in_our_words(text), values)
            yield from cursor

    def has(self, table: str, /) -> bool:
        """See :meth:`accord.audit.places.Sql.has`."""
        found = self._connection.execute("SELECT to_regclass(%s)", (f"audit_{table}",)).fetchone()
        return found is not None and found[0] is not None

    def lacking(self, terms: Sequence[tuple[bytes, int]], /) -> int | None:
        """See :meth:`accord.audit.places.Sql.lacking`."""
        row = self._connection.execute(
            "SELECT min(wanted.idx) FROM unnest(%s::bytea[], %s::bigint[]) AS wanted (term, idx) "
            "WHERE NOT EXISTS (SELECT 1 FROM audit_terms AS there "
            "WHERE there.term = wanted.term AND there.idx = wanted.idx)",
            ([term for term, _ in terms], [index for _, index in terms]),
        ).fetchone()
        return None if row is None or row[0] is None else int(row[0])

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See :meth:`accord.audit.places.Reading.snapshot`."""
        self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield
        finally:
            # With the connection its transaction is gone.
            with suppress(psycopg.OperationalError):
                self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """See :meth:`accord.audit.places.Reading.close`."""
        self._connection.close()


class _Taken:
    def __init__(self, address: Mapping[str, str]) -> None:
        self._address = address
        self._connection: Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator[Sql]:
        try:
            connection = self._begun()
            yield Tables(connection)
            said = connection.execute("COMMIT").statusmessage
            if said != "COMMIT":
                raise Unavailable(f"the server says {said}")
        except psycopg.Error as error:
            self.close()
            if isinstance(error, _LASTING):
                raise
            raise Unavailable(named(error)) from None
        except BaseException:
            # What was begun goes with its connection.
            self.close()
            raise

    def _begun(self) -> Connection:
        """Return a connection that holds the head; one that a restart has ended is made anew."""
        if self._connection is not None:
            try:
                return _hold_head(self._connection)
            except psycopg.OperationalError:
                broken = self._connection.broken
                self.close()
                if not broken:
                    raise
        self._connection = connect(self._address, _WRITING)
        return _hold_head(self._connection)

    def scrub(self) -> None:
        """See :meth:`accord.audit.places.Taken.scrub`.

        The rows as they were are removed and their space is free; what the server keeps
        for its own recovery goes when it is recycled (``docs/audit.md``).
        """
        try:
            with closing(connect(self._address)) as connection:
                connection.execute("VACUUM audit_entries, audit_terms")
        except psycopg.Error as error:
            raise Unavailable(named(error)) from None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _hold_head(connection: Connection) -> Connection:
    """Begin, and wait until nobody else writes."""
    with connection.pipeline():
        connection.execute("BEGIN")
        head = connection.execute("SELECT 1 FROM audit_head FOR UPDATE")
    if head.fetchone() is None:
        # A log that is new, or has lost its head: there is no row to wait for. Anew,
        # since two that looked for it would each keep the other from the table.
        connection.execute("ROLLBACK")
        connection.execute("BEGIN")
        connection.execute("LOCK TABLE audit_head IN EXCLUSIVE MODE")
    return connection


@contextmanager
def nobody_serving(path: Path) -> Iterator[None]:
    """Keep every node from serving the database whose URL is in a file.

    Raises:
        InputError: one serves, or the server can't be reached.
    """
    try:
        connection = connect(read_address(path))
    except psycopg.Error as error:
        raise unreachable(path, error) from None
    with closing(connection):
        taken = connection.execute("SELECT pg_try_advisory_lock(%s)", (SERVING_LOCK,)).fetchone()
        if taken != (True,):
            raise InputError(path, "a node is serving this database", "stop it first")
        yield


def made(path: Path) -> bool:
    """Tell whether the database whose URL is in a file has the tables of a log.

    Raises:
        InputError: the server can't be reached.
    """
    try:
        with connect(read_address(path), LOOKING) as connection:
            found = connection.execute("SELECT to_regclass('audit_head') IS NOT NULL").fetchone()
    except psycopg.Error as error:
        raise unreachable(path, error) from None
    return found == (True,)


@dataclass(frozen=True, slots=True)
class LogTables:
    """The log of one database: a :class:`accord.audit.places.Place`.

    ``path`` is the file with the server's URL.
    """

    path: Path
    address: Mapping[str, str]

    @classmethod
    def at(cls, path: Path) -> "LogTables":
        """Read the address from its file; nothing is connected.

        Raises:
            InputError: the file is not as it must be.
        """
        return cls(path, read_address(path))

    @property
    def errors(self) -> type[Exception]:
        """See :attr:`accord.audit.places.Place.errors`."""
        return psycopg.Error

    @property
    def evidence(self) -> str:
        """See :attr:`accord.audit.places.Place.evidence`."""
        return "keep the database as evidence (pg_dump), then: accord-node audit export"

    def take(self) -> _Taken:
        """Make the tables if need be; the first transaction connects.

        Raises:
            InputError: the server can't be reached, or is not set as it must be.
        """
        prepare(self.path, self.address)
        return _Taken(self.address)

    def reading(self) -> Tables:
        """Open the tables for reading only.

        Raises:
            InputError: the server can't be reached, or the tables were not made yet.
        """
        try:
            connection = connect(self.address, LOOKING)
        except psycopg.Error as error:
            raise unreachable(self.path, error) from None
        try:
            connection.execute("SELECT size FROM audit_head").fetchall()
        except errors.UndefinedTable:
            connection.close()
            remedy = "start the node once, so that it is made"
            raise InputError(self.path, "the database holds no audit log", remedy) from None
        except psycopg.Error as error:
            connection.close()
            raise self.unreadable(error) from None
        return Tables(connection)

    def unreadable(self, error: Exception) -> InputError:
        """See :meth:`accord.audit.places.Place.unreadable`."""
        if isinstance(error, psycopg.OperationalError):
            return unreachable(self.path, error)
        name = named(error) if isinstance(error, psycopg.Error) else type(error).__name__
        problem = f"the database's audit log is not sound ({name})"
        return InputError(self.path, problem, self.evidence)
