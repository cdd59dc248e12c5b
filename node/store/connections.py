"""SQLite connections of the store: one per thread, with a bound on every search.

Also what the database's own errors mean to us, and the files' permissions.
"""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from accord import private_db
from accord.errors import Code, InputError, Refused
from node.store.base import Cancelled
from node.store.migrations import MIGRATIONS

# SQLite calls back every so many instructions of its machine. The bound is on
# work, not on time, so it doesn't depend on the load of the machine.
_INSTRUCTIONS = 20_000
MAX_CALLBACKS = 15_000
SHORT_CALLBACKS = 1
"""A short search takes no more: a millisecond or so."""
_UNBOUNDED = 1 << 62
READ_WAIT_MS = 250
WRITE_WAIT_MS = 5_000


def as_refusal(error: sqlite3.Error) -> Refused:
    """Return the refusal that a database error means; its own text is kept for the log."""
    if private_db.is_damage(error):
        return Refused(Code.STORE_CORRUPT, detail="the database file is damaged")
    said = private_db.reason(error)
    return Refused(Code.STORE_UNAVAILABLE, detail=f"the database says {said}")


class Bounded:
    """One thread's connection, with the bound on the search that it runs."""

    def __init__(self, path: Path, *, looking: bool = False) -> None:
        """Connect; one that is only ``looking`` can't write, whatever it is asked."""
        self.sql = private_db.connect(path, wait_ms=READ_WAIT_MS, looking=looking)
        self._left = _UNBOUNDED
        self._cancelled: Cancelled | None = None
        self._stopped: Code | None = None
        self._in_use = threading.RLock()
        self.sql.set_progress_handler(self.tick, _INSTRUCTIONS)

    def tick(self) -> int:
        """Count the work of some instructions; what isn't 0 ends a statement, as SQLite asks."""
        self._left -= 1
        if self._cancelled is not None and self._cancelled():
            self._stopped = Code.NODE_TIMED_OUT
        elif self._left < 0:
            self._stopped = Code.SEARCH_TOO_WIDE
        return 0 if self._stopped is None else 1

    def pause(self) -> None:
        """Count work that is done beside SQLite, as much as there is between two call-backs.

        Raises:
            Refused: ``NODE_TIMED_OUT``, ``SEARCH_TOO_WIDE``.
        """
        self.tick()
        if self._stopped is not None:
            raise Refused(self._stopped, detail="stopped while searching")

    def close(self) -> None:
        """Close it once nobody is in the middle of a block: SQLite would crash the process."""
        with self._in_use:
            self.sql.close()

    # A context manager written out: a search takes some 50 microseconds, and a
    # generator here would be a visible part of that.
    def searching(self, cancelled: Cancelled | None = None, *, short: bool = False) -> "Bounded":
        """Run one search in a ``with`` block: bound its work, translate its errors.

        A ``short`` one is stopped as too wide after :data:`SHORT_CALLBACKS`.

        Raises:
            Refused: as :class:`node.store.base.ReadStore` says.
        """
        self._left = SHORT_CALLBACKS if short else MAX_CALLBACKS
        self._cancelled, self._stopped = cancelled, None
        return self

    def __enter__(self) -> sqlite3.Connection:
        self._in_use.acquire()
        return self.sql

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._in_use.release()
        if isinstance(error, sqlite3.Error):
            if self._stopped is not None:
                raise Refused(self._stopped, detail="stopped while searching") from None
            raise as_refusal(error) from None

    def unbounded(self) -> "Bounded":
        """Run the owner's own work in a ``with`` block; errors as :meth:`searching`."""
        self._left, self._cancelled, self._stopped = _UNBOUNDED, None, None
        return self

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Run one write transaction: all of it or nothing.

        Waits up to five seconds for another process that writes.

        Raises:
            Refused: ``STORE_UNAVAILABLE``, ``STORE_CORRUPT``.
        """
        with self.unbounded() as sql:
            sql.execute(f"PRAGMA busy_timeout={WRITE_WAIT_MS}")
            sql.execute("BEGIN IMMEDIATE")
            try:
                yield sql
                sql.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    sql.execute("ROLLBACK")
                raise
            finally:
                with suppress(sqlite3.Error):
                    sql.execute(f"PRAGMA busy_timeout={READ_WAIT_MS}")


class Connections:
    """Makes a :class:`Bounded` for each thread that asks, and closes them all."""

    def __init__(self, path: Path, *, looking: bool = False) -> None:
        self.path = path
        self._looking = looking
        self._local = threading.local()
        self._all: list[Bounded] = []
        self._mutex = threading.Lock()

    def mine(self) -> Bounded:
        """Return this thread's connection.

        Raises:
            Refused: ``STORE_UNAVAILABLE``, ``STORE_CORRUPT``.
        """
        mine: Bounded | None = getattr(self._local, "mine", None)
        if mine is None:
            try:
                mine = Bounded(self.path, looking=self._looking)
            except sqlite3.Error as error:
                raise as_refusal(error) from None
            with self._mutex:
                self._all.append(mine)
            self._local.mine = mine
        return mine

    def close(self) -> None:
        """Close every thread's connection; who is in the middle of work is waited for."""
        with self._mutex:
            for connection in self._all:
                connection.close()
            self._all.clear()


def prepare(path: Path) -> None:
    """Make the folder (0700) and the file (0600) if need be, and bring its tables up.

    Raises:
        InputError: the file can't be opened, or is not an undamaged store.
    """
    remedy = "restore it from the last backup"
    private_db.prepare(path, MIGRATIONS, "database of a node", remedy, wait_ms=READ_WAIT_MS)


def lock_for_serving(path: Path) -> int:
    """Return the descriptor of the lock that one serving process holds.

    Raises:
        InputError: another process serves this store.
    """
    descriptor = _locked(path.with_suffix(".lock"))
    if descriptor is None:
        raise InputError(
            path, "another node is serving this store", "stop it first, or name another data folder"
        )
    return descriptor


@contextmanager
def importing(path: Path) -> Iterator[None]:
    """Hold the lock that one import of a hot list holds at a time.

    Raises:
        InputError: another import is under way.
    """
    descriptor = _locked(path.with_suffix(".import.lock"))
    if descriptor is None:
        raise InputError(path, "another hot list is being imported", "wait until it is done")
    try:
        yield
    finally:
        os.close(descriptor)


def _locked(lock: Path) -> int | None:
    """Return the descriptor of a lock file; None where somebody else holds it."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
