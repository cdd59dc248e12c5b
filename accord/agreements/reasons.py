"""Why a decision came out as it did: every rule that was looked at, in order. Pure.

:func:`accord.agreements.decide.decide` alone decides. Here is the order of its
checks in words, with the codes that each can refuse with: what comes before
the rule that refused did hold, what comes after it was not looked at.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from enum import Enum

from accord.agreements.decide import OWN_SECTION, SHARING_SECTION
from accord.agreements.decision import Decision
from accord.agreements.effective import Effective
from accord.agreements.officers import OfficerRule, rule_of
from accord.agreements.policy import OwnRules
from accord.agreements.provisions import ApprovalRule
from accord.agreements.reading import local_date
from accord.errors import Code
from accord.model import Query, kind_of


class Held(Enum):
    """What became of one rule."""

    YES = "yes"
    NO = "no"
    NOT_REACHED = "not looked at"


@dataclass(frozen=True, slots=True)
class Step:
    """One rule: its section, what it asks in words, and whether it held.

    ``reason`` is there where it did not.
    """

    rule: str
    section: str
    held: Held
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Rule:
    """``law`` is the key of a rule of law, which alone tells whether it refused.

    ``parent`` is the id of a parent agreement, where the rule is that it allows it too.
    ``unseen``: nobody said what it is about, so it can't have held.
    """

    words: str
    section: str
    codes: frozenset[Code]
    law: str = ""
    parent: str = ""
    unseen: bool = False


def steps(
    query: Query,
    effective: Effective | None,
    decision: Decision,
    *,
    via: str = "",
    own: OwnRules | None = None,
) -> tuple[Step, ...]:
    """Return the rules for a query, and what became of each.

    ``decision`` is what :func:`decide` said of the same query and agreement, ``via`` the
    operator that it was told. ``own`` are the rules of an agency that asks its own node.

    Raises:
        ValueError: it refuses with a code that no rule has; a mistake in our own code.
    """
    asked = _agreement(query, effective, via) if own is None else _own(query, own)
    rules = [*_law(decision), *(rule for rule in asked if rule is not None)]
    refusing = len(rules)
    if decision.code is not None:
        found = [n for n, rule in enumerate(rules) if _refuses(rule, decision)]
        if not found:
            raise ValueError(f"no rule refuses with {decision.code}")
        refusing = found[0]
    return tuple(_step(rule, n - refusing, decision) for n, rule in enumerate(rules))


def reached(query: Query, effective: Effective, decision: Decision, *, via: str = "") -> int:
    """Return the place of the rule that refused in the order of the checks; -1 for the law's.

    A place is the same under every text, whichever of the rules it has: of two texts
    the one with the higher place got further. ``via`` is as for :func:`steps`.

    Raises:
        ValueError: the decision allows.
    """
    if decision.code is None:
        raise ValueError("nothing refused an allowed query")
    if decision.rule:
        return -1
    return next(
        place
        for place, rule in enumerate(_agreement(query, effective, via))
        if rule is not None and _refuses(rule, decision)
    )


def _refuses(rule: _Rule, decision: Decision) -> bool:
    """Tell whether the decision is this rule's; the law shares codes with the agreement."""
    if rule.parent or decision.parent:
        return bool(rule.parent) and rule.parent == decision.parent
    return rule.law == decision.rule if rule.law or decision.rule else decision.code in rule.codes


def _step(rule: _Rule, distance: int, decision: Decision) -> Step:
    if distance < 0 and not rule.unseen:
        return Step(rule.words, rule.section, Held.YES)
    if distance:
        return Step(rule.words, rule.section, Held.NOT_REACHED)
    return Step(rule.words, decision.section, Held.NO, decision.reason)


def _rule(words: str, section: str, *codes: Code) -> _Rule:
    return _Rule(words, section, frozenset(codes))


def _law(decision: Decision) -> Iterator[_Rule]:
    """Yield every rule of law that binds the two, with its citation."""
    for rule in decision.law:
        yield _Rule(rule.says, rule.citation, frozenset(), rule.key)


def _own(query: Query, own: OwnRules) -> Iterator[_Rule]:
    """Yield the rules of an agency's own policy for its own officers."""
    section = OWN_SECTION
    yield _rule(f"its own policy holds the purpose {query.purpose}", section, Code.LOCAL_POLICY)
    if own.case_required:
        yield _rule("there is a case number", section, Code.CASE_NUMBER_REQUIRED)
    if own.reason_required:
        yield _rule("there is a reason in words", section, Code.REASON_REQUIRED)
    yield from _officer(OfficerRule(UTC, own.training_within_days, section, ""))
    yield from _limits(section, own.look_back_days, own.row_limit, own.plates_per_query)


def _officer(needs: OfficerRule) -> Iterator[_Rule]:
    section = needs.section
    yield _rule(
        "the officer's credential is the agency's, and valid",
        section, Code.OFFICER_UNKNOWN, Code.CREDENTIAL_EXPIRED,
    )  # fmt: skip
    yield _rule("the officer is in good standing", section, Code.OFFICER_NOT_IN_GOOD_STANDING)
    yield _rule(
        f"the officer is {' or '.join(sorted(needs.employment))}"
        + f", in the role of {' or '.join(sorted(needs.roles))}" * bool(needs.roles)
        + f", with the course {needs.course}" * bool(needs.course),
        section, Code.OFFICER_NOT_ELIGIBLE,
    )  # fmt: skip
    yield _rule(
        f"the officer was trained within the last {needs.within_days} days",
        section, Code.TRAINING_LAPSED,
    )  # fmt: skip
    yield _rule("the officer is authorised for the purpose", section, Code.OFFICER_PURPOSE)


def _limits(section: str, days: int, rows: int, plates: int) -> Iterator[_Rule]:
    yield _rule(
        f"the time window reaches back no more than {days} days", section, Code.LOOK_BACK_EXCEEDED
    )
    yield _rule(f"no more than {rows} rows are asked for", section, Code.ROW_LIMIT_EXCEEDED)
    several = f"{plates} plates at most" if plates > 1 else "one plate"
    yield _rule(f"one search names {several}", section, Code.PLATES_NOT_AGREED)


def _agreement(query: Query, effective: Effective | None, via: str) -> Iterator[_Rule | None]:
    """Yield the rules of an agreement, and None for each that this text does not have."""
    known = f"the agency.toml of {query.requesting_agency} is not over"
    held = f"an agreement between {query.requesting_agency} and {query.audience} is held here"
    if effective is not None:
        known += f", and that of {query.audience} is held here"
    yield _rule(known, "", Code.NODE_UNKNOWN)
    if effective is None:
        yield _rule(held, SHARING_SECTION, Code.NO_AGREEMENT, Code.AGREEMENT_INVALID)
        return
    manifest = effective.agreement.manifest
    eligibility, limits = manifest.eligibility, manifest.limits
    yield _rule(
        f"{held}: {manifest.id}, revision {manifest.revision}",
        manifest.scope.section, Code.NO_AGREEMENT, Code.AGREEMENT_INVALID,
    )  # fmt: skip
    yield _rule(
        "every party has signed it", manifest.execution_section, Code.AGREEMENT_NOT_EXECUTED
    )
    yield _rule(
        "it has commenced, and nothing in it is undecided",
        manifest.term.section, Code.AGREEMENT_NOT_COMMENCED,
    )  # fmt: skip
    yield _rule(_not_over(effective), manifest.term.section, Code.AGREEMENT_EXPIRED)
    yield _rule(
        f"it is activated at the node of {effective.agreement.inactive_at}",
        manifest.execution_section, Code.AGREEMENT_NOT_ACTIVATED,
    ) if effective.agreement.inactive_at else None  # fmt: skip
    # Of a part that is suspended the decision comes later: after direction, kind and purpose.
    whole = effective.stop is not None
    yield _rule(
        "no party and no law has suspended it as a whole",
        manifest.scope.section, *[Code.AGREEMENT_SUSPENDED] * whole,
    )  # fmt: skip
    heads = manifest.heads if effective.agreement.heads is not None else None
    yield _rule(
        f"both nodes said within {heads.max_age_hours} h which notices there are",
        heads.section, Code.HEAD_STALE,
    ) if heads is not None else None  # fmt: skip
    operators, requesters = manifest.provisions.operators, manifest.provisions.requesters
    names = ", ".join(sorted(role.name for role in operators))
    yield _Rule(
        f"the broker is one of {names}", operators[0].section,
        frozenset({Code.OPERATOR_NOT_AGREED}), unseen=not via,
    ) if operators else None  # fmt: skip
    admits = f"it admits agencies such as {query.requesting_agency}, " * bool(requesters)
    yield _rule(
        f"{admits}both are of the kind and state that counsel signed",
        (requesters or manifest.scope).section, Code.AGENCY_NOT_ELIGIBLE,
    )  # fmt: skip
    yield _rule(
        f"it lets {query.requesting_agency} ask {query.audience}",
        manifest.scope.section, Code.DIRECTION_NOT_AGREED,
    )  # fmt: skip
    yield _rule(
        f"it shares {kind_of(query.selector).value}", manifest.scope.section, Code.KIND_NOT_AGREED
    )
    held_purpose = query.purpose in manifest.purposes.allowed
    yield _rule(
        f"it holds the purpose {query.purpose}",
        manifest.purposes.section, *[Code.PURPOSE_NOT_AGREED] * (not held_purpose),
    )  # fmt: skip
    yield _rule(
        "nothing suspends or prohibits what is asked for between the two", manifest.scope.section,
        *[Code.AGREEMENT_SUSPENDED] * (not whole), *[Code.PURPOSE_NOT_AGREED] * held_purpose,
    )  # fmt: skip
    yield _rule(
        "there is a case number", eligibility.section, Code.CASE_NUMBER_REQUIRED,
    ) if eligibility.case_required else None  # fmt: skip
    yield _rule(
        "there is a reason in words", eligibility.section, Code.REASON_REQUIRED,
    ) if eligibility.reason_required else None  # fmt: skip
    classes = manifest.purposes.offences_of(query.purpose)
    yield _rule(
        f"it names one of the classes of offences {', '.join(sorted(classes))}",
        manifest.purposes.section, Code.OFFENCE_NOT_AGREED,
    ) if classes is not None else None  # fmt: skip
    ids = ", ".join(clause.id for clause in manifest.attested)
    yield _rule(
        f"the officer declares {ids}", manifest.attested[0].section, Code.ATTESTATION_REQUIRED,
    ) if manifest.attested else None  # fmt: skip
    approval, export = eligibility.approval, manifest.provisions.export
    yield _rule(
        f"it has the written approval of a {approval.kind}, no more than "
        f"{approval.max_age_days} days old{_beyond(approval)}",
        eligibility.section, Code.APPROVAL_REQUIRED,
    ) if approval is not None else None  # fmt: skip
    yield _rule(
        "its answer stays in the client, or may leave it",
        export.section, Code.EXPORT_NOT_AGREED,
    ) if export is not None else None  # fmt: skip
    yield from _officer(rule_of(effective.agreement, query.requesting_agency))
    days = limits.days_back(query.purpose)
    yield from _limits(limits.section, days, limits.row_limit, limits.plates_per_query)
    yield _rule(
        "the search uses only fields that are shared",
        manifest.fields.section, Code.FIELD_NOT_SHARED,
    )  # fmt: skip
    above = manifest.parent
    yield _Rule(
        f"its parent agreement, {above.id}, allows it too",
        above.section, frozenset(), parent=above.id,
    ) if above is not None else None  # fmt: skip
    yield _rule(
        f"{query.audience}'s own policy does not narrow it away",
        manifest.policy_section, Code.LOCAL_POLICY,
    )  # fmt: skip


def _beyond(rule: ApprovalRule) -> str:
    return f", if it reaches back more than {rule.beyond_days} days" if rule.beyond_days else ""


def _not_over(effective: Effective) -> str:
    term, zone = effective.agreement.term, effective.agreement.manifest.zone
    if term.expires_ms is None:
        return "its term is not over"
    return f"its term is not over: the last day is {local_date(term.expires_ms - 1, zone)}"
