"""SQLite files that only their owner reads, and from which what was deleted is gone.

Node and client keep what must be deleted one day in such a file. ``secure_delete``
overwrites a deleted row where it stands, but not the copies that stay behind in a
page when SQLite splits or joins pages (seen in a test). Only VACUUM, which writes
the whole file anew, takes those too; then the journal is emptied.
"""

import errno
import fcntl
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlite_utils import Database, Migrations

from accord.errors import InputError

_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def connect(path: Path, *, wait_ms: int, looking: bool = False) -> sqlite3.Connection:
    """Connect to a file that is there; one that is only ``looking`` can't write.

    Another process that writes is waited for ``wait_ms``. Each statement is a
    transaction of its own unless one is begun. Threads may share the connection.

    Raises:
        sqlite3.Error: as :func:`is_damage` and :func:`reason` tell.
    """
    sql = sqlite3.connect(
        f"file:{_quoted(path)}?mode={'ro' if looking else 'rw'}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
        timeout=wait_ms / 1000,
    )
    try:
        for pragma in (
            "query_only=ON" if looking else "journal_mode=WAL",
            # A source is told that its reads are kept, and forgets them.
            "synchronous=FULL",
            "secure_delete=ON",
            "foreign_keys=ON",
            # Sorting must not spill plates into the system's temp folder.
            "temp_store=MEMORY",
            "trusted_schema=OFF",
        ):
            sql.execute(f"PRAGMA {pragma}")
    except BaseException:
        sql.close()
        raise
    return sql


def prepare(path: Path, migrations: Migrations, what: str, remedy: str, *, wait_ms: int) -> None:
    """Make the folder (0700) and the file (0600) if need be, and bring its tables up.

    ``what`` the file is, such as "database of a node"; ``remedy`` is for one that is none.

    Raises:
        InputError: the file can't be opened, is damaged or something else, or a later
            version of Accord has changed its tables.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(path)
        # Two commands may start on a new folder at once. A lock on the
        # folder and not on the file: SQLite has locks of its own there.
        with _folder_locked(path.parent):
            later = not _migrate(path, migrations, wait_ms)
    except OSError as error:
        raise InputError(
            path, f"can't be opened ({error.strerror})", "check the path and its permissions"
        ) from None
    except sqlite3.Error as error:
        if is_damage(error):
            raise InputError(path, f"is damaged, or no {what}", remedy) from None
        raise InputError(
            path, f"can't be used ({reason(error)})", "check the disk, and who else has it open"
        ) from None
    if later:
        problem = "a later version of Accord has changed its tables"
        raise InputError(path, problem, "install that version again")


def check_private(folder: Path, path: Path) -> None:
    """Refuse a folder or file that is another user's, or that others can read.

    Raises:
        InputError: with what to do.
    """
    for one, mode in ((folder, "700"), (path, "600")):
        try:
            found = one.lstat()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InputError(
                one, f"can't be opened ({error.strerror})", "check its owner"
            ) from None
        if stat.S_ISLNK(found.st_mode):
            raise InputError(one, "is a link", "name the folder itself in client.toml")
        if found.st_uid != os.geteuid():
            raise InputError(one, "belongs to another user", "name a folder of your own")
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise InputError(one, "can be read by other users", f"chmod {mode} {one}")


def rewrite(sql: sqlite3.Connection) -> bool:
    """Take what deleted rows left behind out of the file and its journal.

    Returns False where a reader in the middle of a search keeps the journal as it
    is: then the next try takes it.

    Raises:
        sqlite3.Error: another process writes, or the disk is full.
    """
    sql.execute("VACUUM")
    (busy, _, _) = sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


@contextmanager
def explained(path: Path, remedy: str) -> Iterator[None]:
    """Say in one line what a database's error means; ``remedy`` is for a damaged file.

    Raises:
        InputError: there was one.
    """
    try:
        yield
    except sqlite3.Error as error:
        if is_damage(error):
            raise InputError(path, "is damaged", remedy) from None
        raise InputError(
            path, f"can't be used ({reason(error)})", "check the disk, and who else has it open"
        ) from None


@contextmanager
def writing(sql: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run one write transaction: all of it or nothing."""
    sql.execute("BEGIN IMMEDIATE")
    try:
        yield sql
        sql.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            sql.execute("ROLLBACK")
        raise


def is_damage(error: sqlite3.Error) -> bool:
    """Tell whether an error says that the file is no sound database."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _CORRUPT


def is_busy(error: sqlite3.Error) -> bool:
    """Tell whether an error says that another process has the file just now."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def reason(error: sqlite3.Error) -> str:
    """Return an error's name, such as ``SQLITE_FULL``: its words can quote what the file holds."""
    return str(getattr(error, "sqlite_errorname", type(error).__name__))


def _make(path: Path) -> None:
    """Make the file if need be, and have it for its owner alone.

    One that is there is not opened: closing it would give up all locks that SQLite has on
    it in this process, and another process would then remove the journal in use.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        os.close(os.open(path, flags, 0o600))
    except FileExistsError:
        mode, wrong = os.lstat(path).st_mode, 0
        if stat.S_ISLNK(mode):
            wrong = errno.ELOOP
        elif not stat.S_ISREG(mode):
            wrong = errno.EISDIR
        elif not os.access(path, os.R_OK | os.W_OK):
            wrong = errno.EACCES
        if wrong:
            raise OSError(wrong, os.strerror(wrong)) from None
    path.chmod(0o600)


def _migrate(path: Path, migrations: Migrations, wait_ms: int) -> bool:
    """Take the steps that were not taken yet; tell whether all that were are known here."""
    sql = connect(path, wait_ms=wait_ms)
    try:
        database = Database(sql)
        known = {one.name for one in migrations.pending(Database(memory=True))}
        if any(one.name not in known for one in migrations.applied(database)):
            return False
        if migrations.pending(database):
            migrations.apply(database)
        return True
    finally:
        sql.close()


@contextmanager
def _folder_locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
