"""The signed and local files a node lives by, read again when they change.

The federation folder with counsel's updates of the law, the agency's own
``policy.toml`` and its signed roster (:mod:`node.watched`).
"""

import threading
from collections.abc import Mapping
from pathlib import Path

import structlog

from accord import activation, pins
from accord.activation import Activation, Activations
from accord.agreements.law.packs import built_in_law
from accord.agreements.law.rules import Law
from accord.agreements.policy import Policy, parse_policy
from accord.errors import AccordError, InputError
from accord.federation import Federation
from accord.federation_watch import FederationWatch
from accord.identity import KeyRole
from accord.law_files import LawFiles
from accord.pins import Pins
from accord.roster import Roster, load_roster
from node.watched import WatchedFile

log = structlog.get_logger()


class Sources:
    """What the node reads from files; :meth:`refresh` at start and every second."""

    def __init__(
        self,
        agency: str,
        federation: Path,
        roots: Mapping[str, str],
        policy: Path,
        roster: Path,
        data: Path,
    ) -> None:
        """Read the federation folder; ``data`` holds what was seen and what is activated.

        Raises:
            InputError: the folder, or one of those two files, can't be used.
        """
        self._agency = agency
        self._told = False
        # How often something had changed, so that nobody misses what another has refreshed.
        self.changes = 0
        # Deliveries, the keeper of heads and the look of every second have threads of their own.
        self._lock = threading.Lock()
        self._activations = Activations(data / activation.FILE_NAME, agency)
        self._pins = Pins.open(data / pins.FILE_NAME)
        self._watch = FederationWatch(federation, roots, self._pins, self._activations)
        self._law_files = LawFiles(federation, self._pins)
        self._law: Law | None = None
        self._law_problem = ""
        self._policy = WatchedFile(policy, lambda data: parse_policy(data, policy))
        self._roster = WatchedFile(roster, self._parse_roster)

    def _parse_roster(self, data: bytes) -> Roster:
        own = self.federation.agencies.get(self._agency)
        if own is None:
            raise InputError("federation", f"holds no valid agency.toml of {self._agency}")
        return load_roster(data, own.keys_for(KeyRole.PERSONNEL), self._agency)

    @property
    def federation(self) -> Federation:
        """The agencies and agreements as they stand now."""
        return self._watch.current

    def last_head(self, digest: bytes, party: str) -> int:
        """Return the highest number of a party's heads that was ever seen; 0 for none."""
        return self._watch.last_head(digest, party)

    def last_instrument(self, digest: bytes, party: str) -> int:
        """Return the highest number of a party's instruments that was ever seen; 0 for none."""
        return self._pins.instruments.get((digest, party), 0)

    @property
    def law(self) -> Law | None:
        """The law with our own counsel's updates; None while one of them can't be used."""
        return self._law

    @property
    def activations(self) -> tuple[Activation, ...]:
        """What our engineers activated."""
        return self._activations.found

    @property
    def policy(self) -> Policy | None:
        """The agency's own policy; None while it can't be read."""
        return self._policy.value

    @property
    def policy_id(self) -> str:
        """Which policy that is, such as ``version 3 (sha256:...)``; "" while there is none."""
        policy = self._policy.value
        return f"version {policy.version} (sha256:{self._policy.digest})" if policy else ""

    @property
    def roster(self) -> Roster | None:
        """The personnel desk's last signed roster; None while it can't be read."""
        return self._roster.value

    def refresh(self, written: Path | None = None) -> bool:
        """Read again whatever changed, tell whether anything did; problems are logged, once.

        Of the federation folder only ``written`` is looked at, where it is given:
        the folder of an agreement into which a file was just put.
        """
        with self._lock:
            changed = self._refresh(written)
            self.changes += changed
        return changed

    def _refresh(self, written: Path | None) -> bool:
        changed = self._watch.refresh(written)
        if changed or not self._told:
            self._told = True
            for problem in self._watch.current.problems:
                log.warning("left out of the federation", problem=str(problem))
        if changed:
            # It is signed with a key of our agency.toml, which may be another now.
            self._roster.forget()
        # What can't be used is tried again: it may only not have been read.
        if changed or self._law is None:
            self._read_law()
        for name, file in (("policy", self._policy), ("roster", self._roster)):
            before = file.problem
            if file.refresh():
                changed = True
                if file.problem and file.problem != before:
                    log.warning("can't be used", file=name, problem=file.problem)
        return changed

    def _read_law(self) -> None:
        """Read our counsel's updates: with one that can't be used nothing is shared."""
        before = self._law_problem
        own = self.federation.agencies.get(self._agency)
        try:
            if own is None:
                raise InputError("federation", f"holds no valid agency.toml of {self._agency}")
            updates = self._law_files.read(own)
        except AccordError as problem:
            self._law, self._law_problem = None, str(problem)
            if self._law_problem != before:
                log.warning("alert: the law can't be used", problem=self._law_problem)
            return
        self._law, self._law_problem = built_in_law().with_packs(updates), ""
        if updates or before:
            log.info("the law is read", updates=[f"{pack.id} {pack.number}" for pack in updates])

    def refresh_roster(self) -> None:
        """Read the roster again if it changed: standing is checked as of now."""
        self._roster.refresh()

    def require(self) -> None:
        """Refuse to start on files that can't be used.

        Raises:
            InputError: naming the file.
        """
        if self._agency not in self.federation.agencies:
            problems = "; ".join(str(problem) for problem in self.federation.problems)
            raise InputError(
                "federation", f"holds no valid agency.toml of {self._agency}", problems
            )
        if self._policy.value is None:
            raise InputError("policy", self._policy.problem)
        if self._law is None:
            raise InputError("law", self._law_problem)
