"""The instruments in an agreement's folder: read, verified, complete or not."""

import os
from collections.abc import Mapping
from copy import copy
from pathlib import Path

from accord.agencies import Agency
from accord.agreements.instruments import Instrument, named
from accord.agreements.manifest import Manifest
from accord.errors import AccordError
from accord.verified import Memory

MAX_FILES = 1000
UNREADABLE = "an instrument of it can't be verified"
MISSING = "an instrument of it is missing"
WITHHELD = "an instrument of it is withheld"


class InstrumentFiles:
    """What the folder ``instruments`` of one agreement holds.

    ``last`` is each party's highest number, 0 where it has none. ``flaw`` is
    why they can't all be counted on: what is missing or can't be verified may
    be a suspension, so it stands for one. It stands for everybody, or, where
    only the files of agencies that join are concerned, for those ``flawed``.
    ``problems`` name the files. ``joiners`` are the roots that admissions name;
    what an agency that nobody admitted has put there is told, and does nothing.
    ``digests`` are the SHA-256 of each verified one by party and number;
    ``memory`` is what was verified of the folder before.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        agencies: Mapping[str, Agency],
        joiners: Mapping[str, str],
        memory: Memory,
    ) -> None:
        self.instruments: tuple[Instrument, ...] = ()
        self.flaw = ""
        self.flawed: frozenset[str] = frozenset()
        self._everybody = False
        self._joiners = joiners
        self._memory = memory
        self.problems: list[str] = []
        self._folder, self._manifest, self._agencies = folder, manifest, agencies
        self.digests: dict[tuple[str, int], str] = {}
        self.last = dict.fromkeys([*(party.id for party in manifest.parties), *joiners], 0)
        if os.path.lexists(folder):
            found = self._read()
            self.instruments = tuple(sorted(found, key=lambda one: (one.signed_at_ms, one.party)))
            self._check_numbers(found)

    def _read(self) -> list[Instrument]:
        found: list[Instrument] = []
        try:
            paths = sorted(self._folder.iterdir())
        except OSError:
            paths = []
            self._flawed(UNREADABLE, f"{self._folder}: can't be read; put a plain folder")
        if self._folder.is_symlink() or len(paths) > MAX_FILES:
            self._flawed(
                UNREADABLE, f"{self._folder}: is a link, or holds too many; put a plain folder"
            )
            return found
        for path in paths:
            # Editors and file managers leave files with a dot in front.
            if path.name.startswith("."):
                continue
            name = named(path.name)
            if name and name[0] not in self.last and self._manifest.joinder is not None:
                self.problems.append(f"{path}: nobody has admitted {name[0]}, so it does nothing")
                continue
            try:
                found.append(self._verified(path))
            except AccordError as problem:
                self._flawed(UNREADABLE, str(problem), name[0] if name else "")
        return found

    def _verified(self, path: Path) -> Instrument:
        name = named(path.name)
        if name is None or name[0] not in self.last:
            raise _Strange(f"{path}: is not named as an instrument of a party; move it away")
        agency = self._agencies.get(name[0])
        if agency is None:
            raise _Strange(f"{path}: no valid agency.toml of {name[0]} to verify it with")
        self.last[name[0]] = max(self.last[name[0]], name[1])
        root = self._joiners.get(name[0], "")
        found, digest = self._memory.instrument(path, self._manifest, agency, name[1], root)
        self.digests[name] = digest
        return found

    def _check_numbers(self, found: list[Instrument]) -> None:
        there = {(one.party, one.number) for one in found}
        for party, last in self.last.items():
            for number in range(1, last):
                if (party, number) not in there:
                    self._flawed(
                        MISSING, f"{self._folder}: instrument {number} of {party} is missing", party
                    )

    def again(self) -> "InstrumentFiles":
        """Return the same, to note more in: what was read is held for another time."""
        other = copy(self)
        other.problems = list(self.problems)
        return other

    def lacks(self, party: str, flaw: str = MISSING) -> None:
        """Note that an instrument of a party is known to be, and is not here."""
        self._flawed(flaw, "", party)

    def _flawed(self, flaw: str, problem: str, party: str = "") -> None:
        self.flaw = self.flaw or flaw
        self._everybody = self._everybody or party not in self._joiners
        self.flawed = frozenset() if self._everybody else self.flawed | {party}
        if problem:
            what = party if party in self._joiners else "the agreement"
            self.problems.append(f"{problem} (until then {what} is suspended)")


class _Strange(AccordError):
    """A file that does not belong there."""
