"""The law's rules as nouns, and which of them bind whom on which day. Pure.

A pack is the law of one state, or of every state (``floor``, which nothing
lifts). A rule binds the owner of the data, the requester, or both, if that
agency is one of the pack's state. All rules that bind apply together, so a
pack or a rule more never widens anything.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Protocol

from accord.agreements.manifest import State
from accord.model import Certification

EVERY_STATE = "every-state"
FLOOR = "floor"
FEDERAL = "federal"


class Owner(Protocol):
    """The facts about the agency asked; :class:`accord.agencies.Agency` has them."""

    @property
    def id(self) -> str:
        """The agency's id."""

    @property
    def kind(self) -> str:
        """The agency's kind, as its signed ``agency.toml`` says."""

    @property
    def state(self) -> str:
        """The agency's state, two capital letters, as that file says."""


def of_state(agency: Owner, states: Set[str]) -> bool:
    """Tell whether it is an agency of one of the states: a federal one is of none."""
    return agency.kind != FEDERAL and agency.state in states


class Requester(Owner, Protocol):
    """The facts about the asking agency that decide."""

    @property
    def certifications(self) -> tuple[Certification, ...]:
        """What is certified of the agency, as its own signed file says."""

    @property
    def expires_at_ms(self) -> int:
        """When its ``agency.toml`` is over, UTC ms."""


class RuleKind(StrEnum):
    """What a rule asks: the closed list."""

    KNOWN_PURPOSE = "known-purpose"
    PROHIBITED_PURPOSES = "prohibited-purposes"
    COUNSEL_ANSWERED = "counsel-answered"
    PERMITTED_PURPOSES = "permitted-purposes"
    OWN_AGENCY = "own-agency"
    RECIPIENTS = "recipients"
    DECLARATION = "declaration"
    DOCUMENTATION = "documentation"
    RETENTION = "retention"
    DUTY = "duty"


class Confidence(StrEnum):
    """How sure the figure or the words of a rule are; its note says what is not verified."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Covers(StrEnum):
    """What a retention reaches: reads that met no hot list, reads that did, and photos."""

    READS = "reads"
    HITS = "hits"
    PHOTOS = "photos"


class Binds(StrEnum):
    """Whom a rule binds: the agency whose data it is, the one that asks, or each."""

    OWNER = "owner"
    REQUESTER = "requester"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class KnownPurpose:
    """The purpose is one that Accord knows, letter by letter."""


@dataclass(frozen=True, slots=True)
class ProhibitedPurposes:
    """None of these purposes."""

    purposes: frozenset[str]


@dataclass(frozen=True, slots=True)
class CounselAnswered:
    """These purposes only under an agreement in which counsel has answered that they may be."""

    purposes: frozenset[str]


@dataclass(frozen=True, slots=True)
class PermittedPurposes:
    """One of these purposes, and no other."""

    purposes: frozenset[str]


@dataclass(frozen=True, slots=True)
class OwnAgency:
    """A query speaks for the agency of the officer, and for no other."""


@dataclass(frozen=True, slots=True)
class Recipients:
    """Only agencies of these kinds may receive; of these states, unless that is empty."""

    kinds: frozenset[str]
    states: frozenset[str]


@dataclass(frozen=True, slots=True)
class Declaration:
    """The query declares ``attestation``, unless the requester is of an exempt state.

    ``words`` are what is declared. A federal agency is of no state.
    """

    attestation: str
    words: str
    exempt_states: frozenset[str]


@dataclass(frozen=True, slots=True)
class Documentation:
    """A case number, a reason in words, or both are there."""

    case_required: bool
    reason_required: bool


@dataclass(frozen=True, slots=True)
class Retention:
    """Nothing that it covers is kept longer than ``keep_ms`` from capture.

    ``words`` are the law's own, such as 9 months.
    """

    keep_ms: int
    words: str
    covers: frozenset[Covers] = frozenset(Covers)


@dataclass(frozen=True, slots=True)
class Duty:
    """Nothing that a machine applies."""


Demand = (
    KnownPurpose
    | ProhibitedPurposes
    | CounselAnswered
    | PermittedPurposes
    | OwnAgency
    | Recipients
    | Declaration
    | Documentation
    | Retention
    | Duty
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a pack. ``until`` is its last day, None while none is known.

    ``applies_to`` is the pack's state, or every state; ``bound_kinds`` are the
    kinds of agencies of that state which it binds, empty for all.
    """

    pack: str
    applies_to: str
    id: str
    kind: RuleKind
    state: State
    binds: Binds
    bound_kinds: frozenset[str]
    citation: str
    confidence: Confidence
    note: str
    begins: date
    until: date | None
    says: str
    demand: Demand

    @property
    def key(self) -> str:
        """Pack and id, such as ``us-ca/california-only``."""
        return f"{self.pack}/{self.id}"

    @property
    def applied(self) -> bool:
        """Whether a machine applies it; one that is recorded is only shown."""
        return self.state is not State.RECORDED

    def in_force(self, day: date) -> bool:
        """Tell whether the rule holds on a day."""
        return self.begins <= day and (self.until is None or day <= self.until)

    def binds_pair(self, requester: Owner, owner: Owner | None) -> bool:
        """Tell whether the rule binds one of the two."""
        if self.binds is not Binds.OWNER and self._reaches(requester):
            return True
        return self.binds is not Binds.REQUESTER and owner is not None and self._reaches(owner)

    def _reaches(self, agency: Owner) -> bool:
        if self.applies_to != EVERY_STATE and not of_state(agency, {self.applies_to}):
            # Only a rule that names federal agencies binds those that lie in the state.
            named = FEDERAL in self.bound_kinds and agency.kind == FEDERAL
            return named and agency.state == self.applies_to
        return not self.bound_kinds or agency.kind in self.bound_kinds


@dataclass(frozen=True, slots=True)
class Pack:
    """A read and checked pack."""

    id: str
    number: int
    title: str
    applies_to: str
    rules: tuple[Rule, ...]


_MOST_FOUND = 10_000


@dataclass(frozen=True)
class Law:
    """The packs in force, the floor among them.

    Raises:
        ValueError: there is no floor; a mistake in our own code.
    """

    packs: tuple[Pack, ...]

    def __post_init__(self) -> None:
        if not any(pack.id == FLOOR for pack in self.packs):
            raise ValueError("there is no law without the floor")

    def with_packs(self, packs: Sequence[Pack]) -> "Law":
        """Return the law with more packs: nothing that is there goes away."""
        return Law((*self.packs, *packs))

    def binding(self, requester: Owner, owner: Owner | None, day: date) -> tuple[Rule, ...]:
        """Return the applied rules that bind the two on a day, the floor's first.

        ``owner`` None: what binds the owner is not known and left out.
        """
        # Of the two only state and kind count: few pairs, asked again and again.
        asked = (requester.state, requester.kind)
        pair = (*asked, *((owner.state, owner.kind) if owner else ()), day)
        found = self._found.get(pair)
        if found is None:
            if len(self._found) >= _MOST_FOUND:
                self._found.clear()
            found = self._found[pair] = self._binding(requester, owner, day)
        return found

    @cached_property
    def _found(self) -> dict[tuple[object, ...], tuple[Rule, ...]]:
        return {}

    def _binding(self, requester: Owner, owner: Owner | None, day: date) -> tuple[Rule, ...]:
        states = [EVERY_STATE] if owner is None else [EVERY_STATE, owner.state]
        if requester.state not in states:
            states.append(requester.state)
        return tuple(
            rule
            for state in states
            for rule in self._applied.get(state, ())
            if rule.in_force(day) and rule.binds_pair(requester, owner)
        )

    @cached_property
    def floor(self) -> tuple[Rule, ...]:
        """The rules that bind every query, on whatever day."""
        floor = next(pack for pack in self.packs if pack.id == FLOOR)
        return tuple(rule for rule in floor.rules if rule.applied)

    @cached_property
    def eligible_kinds(self) -> frozenset[str]:
        """The kinds of agencies that the floor lets ask at all."""
        kinds = [rule.demand.kinds for rule in self.floor if isinstance(rule.demand, Recipients)]
        return frozenset.intersection(*kinds)

    @cached_property
    def attestations(self) -> tuple[str, ...]:
        """Every declaration that some rule wants, whoever is asked."""
        demands = [rule.demand for rules in self._applied.values() for rule in rules]
        return tuple(one.attestation for one in demands if isinstance(one, Declaration))

    @cached_property
    def citations(self) -> frozenset[str]:
        """The citation of every rule that is applied: the section of what a law refused."""
        return frozenset(rule.citation for rules in self._applied.values() for rule in rules)

    @cached_property
    def _applied(self) -> Mapping[str, tuple[Rule, ...]]:
        found: dict[str, tuple[Rule, ...]] = {}
        for pack in sorted(self.packs, key=lambda pack: pack.id != FLOOR):
            applied = tuple(rule for rule in pack.rules if rule.applied)
            found[pack.applies_to] = (*found.get(pack.applies_to, ()), *applied)
        return found
