"""A log in an SQLite file of its own: its schema, its lock and its connections.

One process writes it, held by a lock beside the file. A commit is durable when the
disk says so: WAL with synchronous=FULL.
"""

import fcntl
import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import groupby, takewhile
from operator import itemgetter
from pathlib import Path
from typing import Any

import sqlite_utils
from sqlite_utils.migrations import Migrations

from accord.audit.nodes import made_by
from accord.audit.places import Sql, Unavailable
from accord.errors import InputError

# A write waits this long for another connection, such as a person's sqlite3.
BUSY_MS = 2_000

_schema = Migrations("accord-audit")


@_schema(name="001_first")
def _first(database: sqlite_utils.Database) -> None:
    database.execute(
        "CREATE TABLE entries (idx INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL,"
        " leaf BLOB NOT NULL, key BLOB NOT NULL, box BLOB NOT NULL)"
    )
    # Small beside the entries: counting and time ranges use it alone.
    database.execute("CREATE INDEX entries_time ON entries (time_ms)")
    database.execute(
        "CREATE TABLE terms (term BLOB NOT NULL, idx INTEGER NOT NULL,"
        " PRIMARY KEY (term, idx)) WITHOUT ROWID"
    )
    database.execute("CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, note BLOB NOT NULL)")
    database.execute(
        "CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), size INTEGER NOT NULL,"
        " frontier BLOB NOT NULL)"
    )


@_schema(name="002_nodes")
def _nodes(database: sqlite_utils.Database) -> None:
    database.execute(
        "CREATE TABLE nodes (level INTEGER NOT NULL, idx INTEGER NOT NULL, hash BLOB NOT NULL,"
        " PRIMARY KEY (level, idx)) WITHOUT ROWID"
    )
    tables = Tables(database.conn)
    leaves = (leaf for (leaf,) in tables.stream("SELECT leaf FROM entries ORDER BY idx"))
    # Of what is no leaf, and behind it, nothing is made: opening or verify names it.
    for made in made_by(takewhile(lambda leaf: isinstance(leaf, bytes), leaves)):
        tables.insert("nodes", made)


@_schema(name="004_cosignatures")
def _cosignatures(database: sqlite_utils.Database) -> None:
    database.execute(
        "CREATE TABLE cosignatures (size INTEGER NOT NULL, witness BLOB NOT NULL,"
        " line BLOB NOT NULL, PRIMARY KEY (witness, size)) WITHOUT ROWID"
    )


class Tables:
    """The tables of an open file: a :class:`accord.audit.places.Reading`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def execute(self, text: str, values: Sequence[object] = (), /) -> sqlite3.Cursor:
        """See :meth:`accord.audit.places.Sql.execute`."""
        return self.connection.execute(text, values)

    def insert(self, table: str, rows: Sequence[Sequence[object]], /) -> None:
        """See :meth:`accord.audit.places.Sql.insert`."""
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            self.connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608

    def together(self) -> AbstractContextManager[object]:
        """See :meth:`accord.audit.places.Sql.together`."""
        return nullcontext()

    def stream(self, text: str, values: Sequence[object] = (), /) -> Iterator[Any]:
        """See :meth:`accord.audit.places.Sql.stream`."""
        return self.connection.execute(text, values)

    def has(self, table: str, /) -> bool:
        """See :meth:`accord.audit.places.Sql.has`."""
        text = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"
        return self.execute(text, (table,)).fetchone() is not None

    def lacking(self, terms: Sequence[tuple[bytes, int]], /) -> int | None:
        """See :meth:`accord.audit.places.Sql.lacking`."""
        for index, pairs in groupby(terms, itemgetter(1)):
            wanted = [term for term, _ in pairs]
            marks = ",".join("?" * len(wanted))
            (found,) = self.connection.execute(
                f"SELECT count(*) FROM terms WHERE idx = ? AND term IN ({marks})",  # noqa: S608 - marks
                (index, *wanted),
            ).fetchone()
            if found != len(wanted):
                return int(index)
        return None

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See :meth:`accord.audit.places.Reading.snapshot`."""
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("ROLLBACK")

    def close(self) -> None:
        """See :meth:`accord.audit.places.Reading.close`."""
        self.connection.close()


class _Taken:
    def __init__(self, connection: sqlite3.Connection, lock: int) -> None:
        self._connection = connection
        self._lock = lock

    @contextmanager
    def transaction(self) -> Iterator[Sql]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            # Another connection holds the file: nothing was written, so nothing
            # is in doubt, and the next append may try again.
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                raise Unavailable(error.sqlite_errorname) from None
            raise
        try:
            yield Tables(self._connection)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def scrub(self) -> None:
        """See :meth:`accord.audit.places.Taken.scrub`.

        Deleted bytes are zeroed (``secure_delete``), in the journal first: it is written
        into the file and emptied.
        """
        (busy, _, _) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise Unavailable("SQLITE_BUSY")

    def close(self) -> None:
        self._connection.close()
        os.close(self._lock)


@dataclass(frozen=True, slots=True)
class LogFile:
    """The file of one log: a :class:`accord.audit.places.Place`."""

    path: Path

    @property
    def errors(self) -> type[Exception]:
        """See :attr:`accord.audit.places.Place.errors`."""
        return sqlite3.Error

    @property
    def evidence(self) -> str:
        """See :attr:`accord.audit.places.Place.evidence`."""
        return "keep the file as evidence, then: accord audit verify"

    def take(self) -> _Taken:
        """Open or make the file, with mode 0600, and hold its lock.

        Raises:
            InputError: another writer, readable by others, damaged, or can't be opened.
        """
        held = lock(self.path)
        try:
            return _Taken(self._connect(), held)
        except BaseException:
            os.close(held)
            raise

    def _connect(self) -> sqlite3.Connection:
        path = self.path
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(path, flags, 0o600)
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            os.close(descriptor)
        except OSError as error:
            raise InputError(
                path, f"can't be opened ({error.strerror})", "check the data folder and its owner"
            ) from None
        if mode & 0o077:
            raise InputError(path, "other users can read this audit log", f"chmod 600 {path}")
        connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            # Whatever is expunged one day must be gone from the pages too.
            connection.execute("PRAGMA secure_delete=ON")
            _schema.apply(sqlite_utils.Database(connection))
        except sqlite3.Error as error:
            connection.close()
            raise self.unreadable(error) from None
        connection.text_factory = bytes
        return connection

    def reading(self) -> Tables:
        """Open the file for reading only; a serving node is not disturbed.

        Raises:
            InputError: missing, or not an audit log.
        """
        if not self.path.is_file():
            raise InputError(self.path, "is not there", "give the audit.db in the data folder")
        connection = sqlite3.connect(
            f"{self.path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None
        )
        # A text where bytes belong is a finding of ours, not an error of SQLite's
        # that would quote it.
        connection.text_factory = bytes
        try:
            connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
            connection.execute("SELECT size FROM head").fetchall()
        except sqlite3.Error as error:
            connection.close()
            raise self.unreadable(error) from None
        return Tables(connection)

    def unreadable(self, error: Exception) -> InputError:
        """See :meth:`accord.audit.places.Place.unreadable`."""
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        return InputError(self.path, f"is not a sound audit log ({name})", self.evidence)


def lock(path: Path) -> int:
    """Take the log of a file for writing; return the descriptor that holds the lock.

    The kernel lets go of it when the process ends, however it ends.

    Raises:
        InputError: another writer has it, or the folder can't be written.
    """
    name = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise InputError(
            name, f"can't be written ({error.strerror})", "check the data folder and its owner"
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise InputError(
            path, "another process writes this audit log", "stop it: a log has one writer"
        ) from None
    return descriptor
