"""The federation folder watched: read again, and whole, whenever a file in it changed."""

import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from accord.activation import Activations
from accord.errors import InputError
from accord.federation import Federation, Problem, read_folder
from accord.pins import Pins


def _nothing(why: str) -> Federation:
    """Return what a folder holds that can't be read."""
    return Federation(MappingProxyType({}), MappingProxyType({}), (Problem(why),))


class FederationWatch:
    """The folder as it stands, read again when a file in it changed.

    It refuses an ``agency.toml`` older than one that its pins know, and a text
    that one of those replaced: those it has seen while running, and, where the
    pins have a file, ever before. A folder that became unreadable holds nothing,
    whatever the reason: the last snapshot may hold what was withdrawn since.
    """

    def __init__(
        self,
        folder: Path,
        roots: Mapping[str, str],
        pins: Pins | None = None,
        activations: Activations | None = None,
    ) -> None:
        """Read the folder. ``activations`` are those of the agency whose node reads it.

        Raises:
            InputError: the folder can't be read, or the pins can't be written.
        """
        self._folder = folder
        self._roots = dict(roots)
        self._pins = pins or Pins()
        self._activations = activations
        self._lock = threading.Lock()
        # Taken before reading: a change in between shows at the next refresh.
        self._print = self._look()
        self._current = self._activated(read_folder(folder, self._roots, self._pins, serving=True))
        self._pins.save()

    @property
    def current(self) -> Federation:
        """The last snapshot."""
        return self._current

    def refresh(self) -> bool:
        """Read the folder again if it changed; tell whether it did.

        Raises:
            InputError: the pins can't be written; nothing counts until they are.
        """
        with self._lock:
            return self._refresh()

    def _refresh(self) -> bool:
        seen_now = self._look()
        if seen_now == self._print:
            return False
        try:
            found = self._load_again()
            self._pins.save()
        except Exception as problem:
            # Not marked as read: it is tried again, and until then nothing counts.
            why = str(problem) if isinstance(problem, InputError) else "could not be read"
            self._current = _nothing(f"{self._folder}: {why}")
            raise
        self._current, self._print = found, seen_now
        return True

    def _look(self) -> frozenset[tuple[str, int, int, int]]:
        beside = () if self._activations is None else (self._activations.stamp(),)
        return fingerprint(self._folder).union(beside)

    def _load_again(self) -> Federation:
        if self._activations is not None:
            self._activations.refresh()
        if not self._folder.is_dir():
            return _nothing(f"{self._folder}: is not a folder; put it back")
        return self._activated(read_folder(self._folder, self._roots, self._pins, serving=True))

    def _activated(self, found: Federation) -> Federation:
        """Mark what this agency's node has not activated; a broker has no such list."""
        own = self._activations
        if own is None:
            return found
        agreements = {
            digest: agreement
            if own.agency not in agreement.parties or own.holds(digest)
            else replace(agreement, inactive_at=own.agency)
            for digest, agreement in found.agreements.items()
        }
        more = (Problem(own.problem),) if own.problem else ()
        return replace(
            found, agreements=MappingProxyType(agreements), problems=(*found.problems, *more)
        )


def fingerprint(folder: Path) -> frozenset[tuple[str, int, int, int]]:
    """Return (path, inode, mtime in ns, size) of everything below the folder."""
    found: set[tuple[str, int, int, int]] = set()
    waiting = [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    found.add((entry.path, status.st_ino, status.st_mtime_ns, status.st_size))
        except OSError:
            continue
    return frozenset(found)
