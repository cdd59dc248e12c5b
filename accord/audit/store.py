"""The log's SQLite file: schema, connections, and what stands at its head.

``entries``      one row per entry: index, time (ms UTC), leaf, wrapped key, box
``terms``        keyed search terms, each pointing to entries
``checkpoints``  every signed checkpoint, by size: one per commit
``head``         one row: size and frontier of the tree as of the last commit
"""

import fcntl
import os
import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlite_utils
from sqlite_utils.migrations import Migrations

from accord.audit import checkpoint as heads
from accord.audit.checkpoint import Checkpoint
from accord.audit.merkle import Frontier, leaf_hash
from accord.errors import InputError, Unverified
from accord.keys import PublicKey

# A write waits this long for another connection, such as a person's sqlite3.
BUSY_MS = 2_000
# The end of the year 9999: what lies beyond can't be written as a date.
_MAX_TIME_MS = 253_402_300_800_000
# On opening, subtrees up to 2^12 leaves at the right edge are hashed again.
_TAIL_LEVEL = 12

EVIDENCE = "keep the file as evidence, then: accord audit verify"

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


@dataclass(frozen=True, slots=True)
class Row:
    """One entry as it lies in the file; ``box`` is sealed."""

    index: int
    time_ms: int
    leaf: bytes
    key: bytes
    box: bytes


class Broken(Exception):
    """What the file says of itself does not hold. ``index`` is the first broken entry."""

    def __init__(self, index: int, problem: str) -> None:
        self.index = index
        self.problem = problem
        super().__init__(problem)


def lock(path: Path) -> int:
    """Take the log for writing; return the descriptor that holds the lock.

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


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open or make the log's file for writing, with mode 0600.

    Raises:
        InputError: readable by others, damaged, or can't be opened.
    """
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
        raise unreadable(path, error) from None
    connection.text_factory = bytes
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open the log's file for reading only; a serving node is not disturbed.

    Raises:
        InputError: missing, or not an audit log.
    """
    if not path.is_file():
        raise InputError(path, "is not there", "give the audit.db in the data folder")
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None
    )
    # A text where bytes belong is a finding of ours, not an error of SQLite's
    # that would quote it.
    connection.text_factory = bytes
    try:
        connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        connection.execute("SELECT size FROM head").fetchall()
    except sqlite3.Error as error:
        connection.close()
        raise unreadable(path, error) from None
    return connection


def unreadable(path: Path, error: sqlite3.Error) -> InputError:
    """Return the error for a file that SQLite can't read.

    By the error's name alone: SQLite's own words can quote what the file holds.
    """
    return InputError(path, f"is not a sound audit log ({reason(error)})", EVIDENCE)


def reason(error: Exception) -> str:
    """Return the name of an error, such as ``SQLITE_FULL``."""
    return str(getattr(error, "sqlite_errorname", type(error).__name__))


def stored_origin(connection: sqlite3.Connection) -> str:
    """Return the name that the log gives itself. Not verified.

    Raises:
        Broken: there is no checkpoint to read it from.
    """
    row = connection.execute("SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1").fetchone()
    if row is None:
        raise Broken(0, "the log holds no signed checkpoint")
    try:
        return heads.check_origin(heads.claimed_origin(bytes(row[0])))
    except (Unverified, InputError) as error:
        raise Broken(0, str(error)) from None


def read_head(
    connection: sqlite3.Connection, origin: str, public: PublicKey
) -> tuple[Checkpoint, Frontier]:
    """Return the signed checkpoint and the frontier that it covers.

    Raises:
        Broken: signature, sizes, count of entries or frontier do not fit.
    """
    row = connection.execute("SELECT size, frontier FROM head").fetchone()
    if row is None:
        raise Broken(0, "the log has no head")
    size = int(row[0])
    signed = read_checkpoint(connection, size, origin, public)
    count, last = connection.execute("SELECT count(*), max(idx) FROM entries").fetchone()
    if count != size or (size and last != size - 1):
        raise Broken(_first_gap(connection, size), f"{size} entries are signed, {count} are there")
    try:
        frontier = Frontier.from_bytes(size, bytes(row[1]))
    except ValueError as error:
        raise Broken(0, f"the stored frontier is damaged: {error}") from None
    if frontier.root() != signed.root:
        raise Broken(0, "the stored frontier does not lead to the signed root")
    return signed, frontier


def read_checkpoint(
    connection: sqlite3.Connection, size: int, origin: str, public: PublicKey
) -> Checkpoint:
    """Return the verified checkpoint that the file holds for a size.

    Raises:
        Broken: missing, not signed by the log, or of another size.
    """
    row = connection.execute("SELECT note FROM checkpoints WHERE size = ?", (size,)).fetchone()
    if row is None:
        raise Broken(max(size - 1, 0), f"the checkpoint of size {size} is missing")
    try:
        signed = heads.verify(bytes(row[0]), origin, public)
    except Unverified as error:
        raise Broken(max(size - 1, 0), f"the checkpoint of size {size}: {error.problem}") from None
    if signed.size != size:
        raise Broken(
            min(signed.size, size),
            f"the checkpoint stored for {size} entries is signed for {signed.size}",
        )
    return signed


def _first_gap(connection: sqlite3.Connection, size: int) -> int:
    """Return the first index that is missing, or the first beyond the size."""
    expected = 0
    for (index,) in connection.execute("SELECT idx FROM entries ORDER BY idx"):
        if index != expected:
            break
        expected += 1
    return min(expected, size)


def check_tail(connection: sqlite3.Connection, frontier: Frontier) -> None:
    """Hash the newest entries again: the small subtrees at the right edge.

    At most 8191 leaves, so that opening stays quick; all of them are the
    business of the full verification.

    Raises:
        Broken: naming the first entry of the subtree that differs.
    """
    for level, first, digest in frontier.subtrees():
        if level > _TAIL_LEVEL:
            continue
        again = Frontier()
        for row in rows(connection, first, first + (1 << level)):
            again.append(leaf_hash(row.leaf))
        if again.root() != digest:
            last = first + (1 << level) - 1
            where = f"entry {first}" if first == last else f"an entry from {first} to {last}"
            raise Broken(first, f"{where} was altered")


def rows(connection: sqlite3.Connection, begin: int, end: int) -> Iterator[Row]:
    """Yield the entries with indices [begin, end) that are there, in order.

    Raises:
        Broken: an entry whose columns are not of their kind.
    """
    for values in connection.execute(
        "SELECT idx, time_ms, leaf, key, box FROM entries WHERE idx >= ? AND idx < ? ORDER BY idx",
        (begin, end),
    ):
        yield checked_row(values)


def checked_row(values: tuple[Any, ...]) -> Row:
    """Return a row whose columns are of their kind.

    Raises:
        Broken: they are not.
    """
    index, time_ms, *blobs = values
    sound = isinstance(time_ms, int) and 0 <= time_ms < _MAX_TIME_MS
    if not sound or not all(isinstance(blob, bytes) for blob in blobs):
        raise Broken(index, "the row is not in its form")
    return Row(index, time_ms, *blobs)
