"""The federation folder watched: read again, and whole, whenever a file in it changed."""

import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from accord.activation import Activations
from accord.agreements.effective import Agreement
from accord.errors import InputError
from accord.federation import Federation, Problem
from accord.federation_folder import read_folder
from accord.pins import Pins
from accord.verified import Stamp, Stamps, Verified

_PARTS = ("agencies", "agreements")


def _nothing(why: str) -> Federation:
    """Return what a folder holds that can't be read."""
    nothing: Mapping[Any, Any] = MappingProxyType({})
    return Federation(nothing, nothing, (Problem(why),), readable=False)


class FederationWatch:
    """The folder as it stands, read again when a file in it changed.

    It refuses an ``agency.toml`` older than one that its pins know, and a text
    that one of those replaced: those it has seen while running, and, where the
    pins have a file, ever before or in another process. A folder that became
    unreadable holds nothing, whatever the reason: the last snapshot may hold what
    was withdrawn since.
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
        self._verified = Verified()
        self._lock = threading.Lock()
        # Taken before reading: a change in between shows at the next refresh.
        self._stamps = self._look()
        self._verified.looked(self._stamps)
        self._current = _nothing(f"{folder}: not read yet")
        self._current = self._read()
        self._pins.save()

    @property
    def current(self) -> Federation:
        """The last snapshot."""
        return self._current

    def last_head(self, digest: bytes, party: str) -> int:
        """Return the highest number of a party's heads that was ever seen; 0 for none."""
        return self._pins.heads.get((digest, party), 0)

    @property
    def verified(self) -> int:
        """How often bytes were verified since the start, for those who count work."""
        return self._verified.count

    def refresh(self, written: Path | None = None) -> bool:
        """Read again what changed; tell whether anything did.

        ``written`` is the folder of an agreement into which a file was just put:
        that one alone is looked at, and everything else at the next refresh.

        Raises:
            InputError: the pins can't be written; nothing counts until they are.
        """
        with self._lock:
            return self._refresh(written)

    def _refresh(self, written: Path | None) -> bool:
        try:
            # First: what another process of the node saw refuses a file that is older.
            more = self._pins.renew()
            seen_now = self._look(written)
            if seen_now == self._stamps and not more:
                return False
            self._verified.looked(seen_now)
            found = self._load_again()
            self._pins.save()
        except Exception as problem:
            # Not marked as read: it is tried again, and until then nothing counts.
            why = str(problem) if isinstance(problem, InputError) else "could not be read"
            self._current = _nothing(f"{self._folder}: {why}")
            raise
        self._current, self._stamps = found, seen_now
        return True

    def _look(self, written: Path | None = None) -> dict[str, Stamps]:
        if written is not None:
            with suppress(FileNotFoundError, NotADirectoryError):
                return self._stamps | look(self._folder, str(written))
        found = look(self._folder)
        if self._activations is not None:
            found[""] = found.get("", frozenset()) | {self._activations.stamp()}
        return found

    def _load_again(self) -> Federation:
        if self._activations is not None:
            self._activations.refresh()
        if not self._folder.is_dir():
            return _nothing(f"{self._folder}: is not a folder; put it back")
        return self._read()

    def _read(self) -> Federation:
        found = read_folder(
            self._folder, self._roots, self._pins, serving=True, verified=self._verified
        )
        return _unchanged(self._activated(found), self._current)

    def _activated(self, found: Federation) -> Federation:
        """Mark what this agency's node has not activated; a broker has no such list."""
        own = self._activations
        if own is None:
            return found
        agreements = {digest: _marked(one, own) for digest, one in found.agreements.items()}
        more = (Problem(own.problem),) if own.problem else ()
        return replace(
            found, agreements=MappingProxyType(agreements), problems=(*found.problems, *more)
        )


def _marked(agreement: Agreement, own: Activations) -> Agreement:
    """Return an agreement, and those above it, each marked where it is not activated."""
    if agreement.parent is not None:
        agreement = replace(agreement, parent=_marked(agreement.parent, own))
    if own.agency not in agreement.parties or own.holds(agreement.manifest.digest):
        return agreement
    return replace(agreement, inactive_at=own.agency)


def _unchanged(found: Federation, before: Federation) -> Federation:
    """Return what was found, with each agreement that is as before that very one.

    Its figures are computed already, and who keeps something by it can tell.
    """
    agreements = {}
    for digest, agreement in found.agreements.items():
        old = before.agreements.get(digest)
        agreements[digest] = agreement if old is None or old != agreement else old
    return replace(found, agreements=MappingProxyType(agreements))


def look(folder: Path, part: str = "") -> dict[str, Stamps]:
    """Return the stamps below a federation folder, by the folder of each agency and agreement.

    What lies beside those is under "". With ``part``, one of those folders, it
    is the only one looked at. Links are not followed.

    Raises:
        FileNotFoundError, NotADirectoryError: the ``part`` is gone.
    """
    tops = {str(folder / name) for name in _PARTS}
    found: dict[str, set[Stamp]] = {}
    waiting = [(part or str(folder), part)]
    if part:
        found[part] = {_stamp(part, os.stat(part, follow_symlinks=False))}
    while waiting:
        at, within = waiting.pop()
        try:
            with os.scandir(at) as entries:
                for entry in entries:
                    of = entry.path if at in tops else within
                    status = entry.stat(follow_symlinks=False)
                    found.setdefault(of, set()).add(_stamp(entry.path, status))
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((entry.path, of))
        except OSError:
            continue
    return {of: frozenset(stamps) for of, stamps in found.items()}


def _stamp(path: str, status: os.stat_result) -> Stamp:
    # The time of the state can't be set by hand: a file edited in place, with its
    # size and its time of content put back, differs all the same.
    return path, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size
