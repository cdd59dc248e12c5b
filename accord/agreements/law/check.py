"""Whether a query keeps the law's rules that bind it. Pure; the first that is broken refuses."""

from collections.abc import Iterable
from dataclasses import dataclass

from accord.agreements.law.rules import (
    Binds,
    CounselAnswered,
    Covers,
    Declaration,
    Documentation,
    Duty,
    KnownPurpose,
    Law,
    OwnAgency,
    PermittedPurposes,
    ProhibitedPurposes,
    Recipients,
    Requester,
    Retention,
    Rule,
    of_state,
)
from accord.errors import Code
from accord.model import LISTABLE, HitsOf, PhotoOf, Purpose, Query

_ON_PURPOSES = (KnownPurpose, ProhibitedPurposes, CounselAnswered, PermittedPurposes)
_KNOWN = frozenset(purpose.value for purpose in Purpose)
_CHOICE = ", ".join(sorted(LISTABLE))


@dataclass(frozen=True, slots=True)
class Breach:
    """What the law forbids: code, citation, the words for it, and the rule's key."""

    code: Code
    section: str
    reason: str
    rule: str


def floor(query: Query, requester: Requester, law: Law) -> Breach | None:
    """Return what forbids the query whomever it asks and under whatever agreement, or None."""
    return breach(law.floor, query, requester, frozenset({query.purpose}))


def breach(
    rules: Iterable[Rule], query: Query, requester: Requester, answered: frozenset[str]
) -> Breach | None:
    """Return what the first broken rule forbids, or None.

    ``answered`` are the purposes that counsel has answered for in the
    agreement relied on. A purpose counts only letter by letter: another case or a look-alike
    character makes an unknown purpose. The unknown text is not repeated.
    """
    for rule in rules:
        found = _broken(rule, query, requester, answered)
        if found is not None:
            code, reason = found
            return Breach(code, rule.citation, reason, rule.key)
    return None


def purposes_left(
    rules: Iterable[Rule], purposes: frozenset[str], answered: frozenset[str]
) -> frozenset[str]:
    """Return those of the purposes that no rule on purposes forbids between the two."""
    # Every decision asks it, so no copy of the query is made for each purpose.
    return purposes.difference(
        purpose
        for rule in rules
        if isinstance(rule.demand, _ON_PURPOSES)
        for purpose in purposes
        if _broken_by_purpose(rule, purpose, answered) is not None
    )


def earliest_ms(rules: Iterable[Rule], query: Query, at_ms: int) -> int:
    """Return the capture time (UTC ms) before which the rules let nothing be given.

    A search for hits gives reads that met a list, every other one gives reads
    as if they had met none.
    """
    match query.selector:
        case HitsOf():
            asked = {Covers.HITS}
        case PhotoOf():
            asked = {Covers.READS, Covers.PHOTOS}
        case _:
            asked = {Covers.READS}
    kept = [
        rule.demand.keep_ms
        for rule in rules
        if isinstance(rule.demand, Retention) and not rule.demand.covers.isdisjoint(asked)
    ]
    return at_ms - min(kept) if kept else 0


def _broken(
    rule: Rule, query: Query, requester: Requester, answered: frozenset[str]
) -> tuple[Code, str] | None:
    """Return code and reason where the query breaks the rule."""
    match rule.demand:
        case KnownPurpose() | ProhibitedPurposes() | CounselAnswered() | PermittedPurposes():
            return _broken_by_purpose(rule, query.purpose, answered)
        case OwnAgency():
            speaks_for = {query.requesting_agency, query.on_behalf_of or requester.id}
            return None if speaks_for == {requester.id} else (Code.ONWARD_SHARING, rule.says)
        case Recipients() as allowed:
            return None if _may_receive(rule, allowed, query, requester) else (
                Code.LAW_FORBIDS, rule.says,
            )  # fmt: skip
        case Declaration() as wanted:
            if _declared(wanted, query, requester):
                return None
            reason = f"The officer must declare {wanted.attestation}: {wanted.words}"
            return Code.ATTESTATION_REQUIRED, reason
        case Documentation() as wanted:
            return _undocumented(rule, wanted, query)
        case Retention() | Duty():
            return None


def _broken_by_purpose(
    rule: Rule, purpose: str, answered: frozenset[str]
) -> tuple[Code, str] | None:
    """Return code and reason where a rule on purposes forbids the purpose."""
    match rule.demand:
        case KnownPurpose():
            if purpose not in _KNOWN:
                reason = f"The purpose is not on the closed list of purposes: use one of {_CHOICE}."
                return Code.PURPOSE_UNKNOWN, reason
        case ProhibitedPurposes(purposes):
            if purpose in purposes:
                return Code.PURPOSE_PROHIBITED, f"No agreement can allow this: {rule.says}"
        case CounselAnswered(purposes):
            if purpose in purposes and purpose not in answered:
                return Code.PURPOSE_PROHIBITED, rule.says
        case PermittedPurposes(purposes):
            if purpose not in purposes:
                return Code.LAW_FORBIDS, rule.says
        case _:
            pass
    return None


def _own(query: Query) -> bool:
    """Tell whether an agency asks its own node: then nothing goes to anybody."""
    return query.requesting_agency == query.audience


def _may_receive(rule: Rule, allowed: Recipients, query: Query, requester: Requester) -> bool:
    if _own(query) and rule.binds is Binds.OWNER:
        return True
    at_home = not allowed.states or of_state(requester, allowed.states)
    return requester.kind in allowed.kinds and at_home


def _declared(wanted: Declaration, query: Query, requester: Requester) -> bool:
    exempt = of_state(requester, wanted.exempt_states)
    return exempt or _own(query) or wanted.attestation in query.attestations


def _undocumented(rule: Rule, wanted: Documentation, query: Query) -> tuple[Code, str] | None:
    if wanted.case_required and not any(map(str.isalnum, query.case_number)):
        return Code.CASE_NUMBER_REQUIRED, rule.says
    if wanted.reason_required and not any(map(str.isalnum, query.reason)):
        return Code.REASON_REQUIRED, rule.says
    return None
