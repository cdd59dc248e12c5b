"""A file that is read again when it changes.

One that became unreadable takes its permissions with it: nothing old is kept
alive, so a mistake closes the node and never opens it.
"""

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from accord.errors import AccordError

T = TypeVar("T")


class WatchedFile(Generic[T]):
    """One file, parsed again when its identity, size or time of change differ."""

    def __init__(
        self,
        path: Path,
        parse: Callable[[bytes], T],
        read: Callable[[Path], bytes] = Path.read_bytes,
    ) -> None:
        """Read nothing yet; ``read`` may refuse the file, with the errors that ``parse`` raises.

        An :class:`~accord.errors.AccordError` is the file's problem until it
        changes, an :class:`OSError` until the next refresh.
        """
        self._path = path
        self._parse = parse
        self._read = read
        self._stamp: tuple[int, int, int, int] | None = None
        self.value: T | None = None
        self.problem: str = "not read yet"
        self.digest: str = ""
        self._lock = threading.Lock()

    def refresh(self) -> bool:
        """Read the file if it changed; tell whether it did. One at a time: the last bytes count."""
        with self._lock:
            return self._refresh()

    def forget(self) -> None:
        """Parse the file again at the next refresh: what it was verified with may have changed."""
        with self._lock:
            self._stamp = None

    def _refresh(self) -> bool:
        try:
            status = os.stat(self._path)
            times = (status.st_mtime_ns, status.st_ctime_ns)
            stamp = (status.st_ino, *times, status.st_size)
            if stamp == self._stamp:
                return False
            self._stamp = stamp
            data = self._read(self._path)
            self.digest = hashlib.sha256(data).hexdigest()
            self.value = self._parse(data)
            self.problem = ""
        except OSError as error:
            problem = f"{self._path}: can't be read ({error.strerror})"
            changed = problem != self.problem
            self._stamp, self.value, self.problem = None, None, problem
            return changed
        except AccordError as error:
            self.value, self.problem = None, str(error)
        except Exception:
            # Tried again; until then nothing is shared: the old one may have allowed more.
            self._stamp, self.value = None, None
            self.problem = f"{self._path}: could not be read"
            raise
        return True
