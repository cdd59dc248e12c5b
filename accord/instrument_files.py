"""The instruments in an agreement's folder: read, verified, complete or not."""

import os
from collections.abc import Mapping
from copy import copy
from pathlib import Path

from accord.agencies import Agency
from accord.agreements.effects import Flaw
from accord.agreements.instruments import MAX_NUMBER, Instrument, named
from accord.agreements.manifest import Manifest
from accord.errors import AccordError
from accord.verified import Memory

UNREADABLE = "an instrument of it can't be verified"
MISSING = "an instrument of it is missing"
WITHHELD = "an instrument of it is withheld"


class InstrumentFiles:
    """What the folder ``instruments`` of one agreement holds.

    ``last`` is each party's highest number that is verified, 0 where it has
    none. ``flaws`` are why they can't all be counted on: what is missing or
    can't be verified may be a suspension, so it stands for one of its party, or
    of everybody where the file's name does not tell the party.
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
        self.flaws: tuple[Flaw, ...] = ()
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
            # Editors and file managers leave files with a dot in front.
            paths = sorted(path for path in self._folder.iterdir() if path.name[0] != ".")
        except OSError:
            paths = []
            self._flawed(Flaw(UNREADABLE), f"{self._folder}: can't be read; put a plain folder")
        if self._folder.is_symlink() or len(paths) > MAX_NUMBER * (len(self.last) + 1):
            self._flawed(
                Flaw(UNREADABLE),
                f"{self._folder}: is a link, or holds too many; put a plain folder",
            )
            return found
        for path in paths:
            party, number = named(path.name) or ("", 0)
            if party and party not in self.last and self._manifest.joinder is not None:
                self.problems.append(f"{path}: nobody has admitted {party}, so it does nothing")
                continue
            if party not in self.last:
                self._flawed(
                    Flaw(UNREADABLE),
                    f"{path}: is not named as an instrument of a party; move it away",
                )
                continue
            try:
                found.append(self._verified(path, party, number))
            except AccordError as problem:
                self._flawed(Flaw(UNREADABLE, party), str(problem))
        return found

    def _verified(self, path: Path, party: str, number: int) -> Instrument:
        agency = self._agencies.get(party)
        if agency is None:
            raise _Strange(f"{path}: no valid agency.toml of {party} to verify it with")
        root = self._joiners.get(party, "")
        found, digest = self._memory.instrument(path, self._manifest, agency, number, root)
        self.digests[party, number] = digest
        self.last[party] = max(self.last[party], number)
        return found

    def _check_numbers(self, found: list[Instrument]) -> None:
        there = {(one.party, one.number) for one in found}
        for party, last in self.last.items():
            gone = [number for number in range(1, last) if (party, number) not in there]
            if gone:
                others = f", and {len(gone) - 1} more" if len(gone) > 1 else ""
                self._flawed(
                    Flaw(MISSING, party),
                    f"{self._folder}: instrument {gone[0]} of {party} is missing{others}; "
                    f"get it from {party}",
                )

    def again(self) -> "InstrumentFiles":
        """Return the same, to note more in: what was read is held for another time."""
        other = copy(self)
        other.problems = list(self.problems)
        return other

    def lacks(self, party: str, problem: str, *, why: str = MISSING, lost: bool = False) -> None:
        """Note that an instrument of a party is known to be, and is not here.

        ``lost`` tells that it was here before.
        """
        self._flawed(Flaw(why, party, lost), problem)

    def _flawed(self, flaw: Flaw, problem: str) -> None:
        self.flaws += (flaw,)
        alone = flaw.party and not flaw.lost and len(self.last) > 2
        what = flaw.party if alone else "the agreement"
        self.problems.append(f"{problem} (until then {what} is suspended)")


class _Strange(AccordError):
    """A file that can't be verified yet."""
