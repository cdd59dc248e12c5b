"""What an agreement allows one requester to ask one owner at one moment. A pure fold.

Many parties and both directions fold to one ordered pair of requester and
owner before anything is decided. Notices, suspensions and amendments will be
folded in here: each can only replace a value by a narrower one.
"""

from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property

from accord.agreements.counterparts import Counterpart
from accord.agreements.manifest import Manifest
from accord.agreements.term import Term, term_of

Line = tuple[str, frozenset[tuple[str, str]]]


class Standing(Enum):
    """How an agreement stands between two agencies at a moment."""

    IN_FORCE = "in force"
    NOT_A_PARTY = "not between these parties"
    NOT_EXECUTED = "not executed"
    UNDECIDED = "a question in it is undecided"
    NOT_COMMENCED = "not commenced"
    EXPIRED = "expired"
    REPLACED = "replaced by a later revision"


@dataclass(frozen=True)
class Agreement:
    """A manifest and its verified counterparts.

    ``replaced_ms`` is when a later revision between the same parties
    commenced, UTC ms; None while there is none.
    """

    manifest: Manifest
    counterparts: tuple[Counterpart, ...]
    replaced_ms: int | None = None

    @cached_property
    def parties(self) -> frozenset[str]:
        """The ids of the parties."""
        return frozenset(party.id for party in self.manifest.parties)

    @cached_property
    def term(self) -> Term:
        """When it commences and expires."""
        return term_of(self.manifest, self.counterparts)

    def may_ask(self, requester: str, owner: str) -> bool:
        """Tell whether its direction lets the requester ask the owner at all."""
        return (requester, owner) in self.manifest.scope.pairs

    def standing_at(self, at_ms: int) -> Standing:
        """Return how it stands at a moment, whoever asks."""
        term = self.term
        if self.manifest.undecided:
            return Standing.UNDECIDED
        if term.commences_ms is None:
            return Standing.NOT_EXECUTED
        if at_ms < term.commences_ms:
            return Standing.NOT_COMMENCED
        if term.expires_ms is not None and at_ms >= term.expires_ms:
            return Standing.EXPIRED
        if self.replaced_ms is not None and at_ms >= self.replaced_ms:
            return Standing.REPLACED
        return Standing.IN_FORCE


@dataclass(frozen=True, slots=True)
class Effective:
    """One agreement as it is for one ordered pair at ``at_ms`` (UTC ms)."""

    agreement: Agreement
    requester: str
    owner: str
    at_ms: int
    standing: Standing
    may_ask: bool


def effective(agreement: Agreement, requester: str, owner: str, at_ms: int) -> Effective:
    """Return what the agreement is between requester and owner at ``at_ms``."""
    parties = agreement.parties
    if requester == owner or requester not in parties or owner not in parties:
        standing = Standing.NOT_A_PARTY
    else:
        standing = agreement.standing_at(at_ms)
    may_ask = agreement.may_ask(requester, owner)
    return Effective(agreement, requester, owner, at_ms, standing, may_ask)


def with_replacements(agreements: tuple[Agreement, ...]) -> tuple[Agreement, ...]:
    """Return the agreements, each marked with when a later revision replaced it.

    A revision replaces lower ones of the same id between the same parties
    (same ids, same root keys) once it commences: so an older, wider text that
    was signed too is worth nothing (attack A5). A draft replaces nothing.
    """
    lines: dict[Line, list[Agreement]] = {}
    for agreement in agreements:
        lines.setdefault(line_of(agreement.manifest), []).append(agreement)
    return tuple(_replaced(a, lines[line_of(a.manifest)]) for a in agreements)


def line_of(manifest: Manifest) -> Line:
    """Return what all revisions of one agreement have in common."""
    return manifest.id, frozenset((party.id, party.root) for party in manifest.parties)


def _replaced(agreement: Agreement, line: list[Agreement]) -> Agreement:
    later = [
        other.term.commences_ms
        for other in line
        if other.manifest.revision > agreement.manifest.revision
        and other.term.commences_ms is not None
    ]
    return replace(agreement, replaced_ms=min(later)) if later else agreement
