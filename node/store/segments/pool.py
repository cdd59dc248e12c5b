"""Connections to segments: taken for one search or write, and given back.

A thread of its own for each would hold dozens of files and caches open. A file that is
dropped while it is read stays whole for who has it open; whoever comes too late to open
it is told so, and looks at the list of segments again.
"""

import sqlite3
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path

from accord import private_db
from accord.errors import Code, Refused

_IDLE = 96
WAIT_MS = 5_000
_CACHE_KIB = 1_024
_STEPS = 20_000

Tick = Callable[[], int]
EMPTY = "a file of the reads is empty"


class Gone(Exception):
    """The segment's file is not there."""


def is_spoilt(error: Exception) -> bool:
    """Tell whether an error says that a segment's file is damaged."""
    if isinstance(error, Refused):
        return error.code is Code.STORE_CORRUPT
    return isinstance(error, sqlite3.Error) and private_db.is_damage(error)


class Pool:
    """Idle connections of one process to the segments in a folder.

    Taking and giving back wait for nobody: what a list does is done at once. So one that is
    given back while its segment is forgotten may stay in a list that nobody has any longer,
    and is closed with it.
    """

    def __init__(self, folder: Path, *, looking: bool = False) -> None:
        self.folder = folder
        self._looking = looking
        self._mutex = threading.Lock()
        self._idle: dict[int, list[tuple[sqlite3.Connection, Tick | None]]] = {}
        self._open = 0
        self._closed: set[int] = set()

    def path(self, number: int) -> Path:
        """Return where a segment's file is."""
        return self.folder / f"{number}.db"

    def take(self, number: int, tick: Tick | None = None) -> sqlite3.Connection:
        """Return a connection to a segment; ``tick`` as a progress handler of SQLite.

        Raises:
            Gone: there is no such file.
            Refused: ``STORE_CORRUPT`` where it has no table of reads.
            sqlite3.Error: as :func:`accord.private_db.connect`.
        """
        try:
            sql, before = self._idle[number].pop()
        except (KeyError, IndexError):
            sql, before = self._connected(number), None
        if tick != before:
            sql.set_progress_handler(tick, _STEPS)
        return sql

    def _connected(self, number: int) -> sqlite3.Connection:
        path = self.path(number)
        try:
            sql = private_db.connect(path, wait_ms=WAIT_MS, looking=self._looking)
            # Opens the journal too.
            text = "SELECT count(*) FROM sqlite_master WHERE name = 'reads'"
            (tables,) = sql.execute(text).fetchone()
            sql.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        except sqlite3.OperationalError:
            if path.exists():
                raise
            raise Gone from None
        # A file is unlinked before its journal: who still finds it has opened both.
        if not path.exists():
            sql.close()
            raise Gone
        if not tables:
            # Else the main file's own reads would be taken for its.
            sql.close()
            raise Refused(Code.STORE_CORRUPT, detail=EMPTY)
        with self._mutex:
            self._open += 1
        return sql

    def give(self, number: int, sql: sqlite3.Connection, tick: Tick | None = None) -> None:
        """Give a connection back, in no transaction; ``tick`` as it was taken with."""
        if sql.in_transaction:
            with suppress(sqlite3.Error):
                sql.execute("ROLLBACK")
        if self._open <= _IDLE and number not in self._closed:
            self._idle.setdefault(number, []).append((sql, tick))
        else:
            self._close([sql])

    def forget(self, numbers: Collection[int]) -> None:
        """Close connections to segments that are no more, those in use when they are given back."""
        self._closed.update(numbers)
        for number in numbers:
            self._close([sql for sql, _ in self._idle.pop(number, ())])

    def begin(self, number: int) -> None:
        """Say that a new segment gets a number, which one that came to nothing may have had."""
        self.forget((number,))
        self._closed.discard(number)

    def close(self) -> None:
        """Close all that are idle."""
        self.forget(list(self._idle))

    def _close(self, connections: Sequence[sqlite3.Connection]) -> None:
        for sql in connections:
            sql.close()
        with self._mutex:
            self._open -= len(connections)
