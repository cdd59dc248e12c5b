"""What partners' files one process of a node took is in effect at the others when it is asked next.

Each looks at the federation folder every second. A file that one of them has
acknowledged may be a suspension, and the party that signed it has been told that it is
in effect: whoever takes a file says so by the time of the lock's file in the data
folder, and every process looks at that with each query.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from accord.durable import locked

LOCK = "deliveries.lock"


class Delivered:
    """The mark of the last file that a process of the node took."""

    def __init__(self, data: Path, refresh: Callable[[], object]) -> None:
        """``refresh`` reads whatever changed in the federation folder, and blocks."""
        self._path = data / LOCK
        self._refresh = refresh
        self._seen = self._mark()

    async def look(self) -> None:
        """Read again what another process took since the last look."""
        if self._mark() != self._seen:
            await asyncio.to_thread(self._catch_up)

    @contextmanager
    def taking(self) -> Iterator[Callable[[], None]]:
        """Take a file, one over all processes; yield what tells that it is there. Blocks.

        Raises:
            InputError: the lock can't be had.
        """
        with locked(self._path):
            self._catch_up()
            yield self._tell

    def _catch_up(self) -> None:
        now = self._mark()
        if now != self._seen:
            self._refresh()
            # Only now: whoever comes meanwhile reads too.
            self._seen = now

    def _tell(self) -> None:
        now = time.time_ns()
        os.utime(self._path, ns=(now, now))
        self._seen = self._mark()

    def _mark(self) -> int:
        # Opened, which asks a shared file system; a look at the name may be seconds old there.
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return 0
        try:
            return os.fstat(descriptor).st_mtime_ns
        finally:
            os.close(descriptor)
