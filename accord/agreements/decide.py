"""The decision on one query. Pure; the same for home node, broker and owner.

    permission = the law  and  the agreement  and  the owner's policy

Checks for a partner's query, in this order; the first that fails is the
refusal, with the section of the signed text, or the law's citation:

 1. the law: the floor's rules, then those of the owner's and the requester's
    states (accord/agreements/law); the requester's agency.toml has not expired
 2. an agreement, held here, between these two, relied on by its digest,
    executed, commenced, neither expired nor replaced
 3. its direction, kind of data, purpose, case number, reason, what the officer
    must declare
 4. the officer's credential: agency, validity, standing, training, purposes
 5. look-back, row limit, a selector by shared fields only
 6. the owner's policy, where it is known

An agency's own officers ask their own node under law and policy alone, and no
agreement. Nobody is asked whose agency.toml is not held here: which law binds
its data is not known then.

Broker and home node do not know the owner's policy and pass None: then the
last check is left out and no terms come back. So whatever they refuse the
owner refuses too, and a policy never allows more.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, date, timedelta, tzinfo

from accord.agreements.effective import Agreement, Effective, Standing
from accord.agreements.law.check import Breach, breach, earliest_ms
from accord.agreements.law.rules import Law, Owner, Requester, Rule
from accord.agreements.manifest import Manifest
from accord.agreements.policy import PartnerRule, Policy
from accord.agreements.reading import DAY_MS, local_date
from accord.agreements.terms import OPEN, PhotoSharing, Terms, Withholding
from accord.errors import CATALOGUE, Code, Refused
from accord.model import AreaBox, Credential, HotListPlate, PhotoOf, Query, Selector, kind_of

GOOD_STANDING = "good"
OWN_SECTION = "own policy (MOA II.B)"

# A requester computes "the last 90 days" a moment before the owner decides.
# Rows older than the limit are never given all the same: see Terms.earliest_ms.
GRACE_MS = 120_000
# A credential may be dated a little ahead of our clock.
SKEW_MS = 30_000

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_NO_LIMIT = 1 << 40


@dataclass(frozen=True, slots=True)
class Decision:
    """Allowed or not, by which section.

    ``code`` is None and ``reason`` empty when allowed. ``reason`` and
    ``contact`` are public; ``detail`` is for the owner's audit log only.
    ``terms`` is there only when allowed with the owner's policy known. ``law``
    are the rules of law that bind the two, ``rule`` the key of the one that
    refused, if one did.
    """

    allowed: bool
    code: Code | None
    section: str
    reason: str
    contact: str
    terms: Terms | None
    detail: str = ""
    law: tuple[Rule, ...] = ()
    rule: str = ""

    def refusal(self) -> Refused:
        """Return the refusal to raise.

        Raises:
            ValueError: the decision allows.
        """
        if self.code is None:
            raise ValueError("an allowed query is not refused")
        return Refused(
            self.code,
            section=self.section,
            text=self.reason,
            contact=self.contact,
            detail=self.detail,
        )


def decide(
    query: Query,
    effective: Effective | None,
    policy: Policy | None,
    at_ms: int,
    *,
    requester: Requester,
    owner: Owner | None,
    law: Law,
) -> Decision:
    """Decide on one verified query at ``at_ms`` (UTC ms).

    ``effective`` is None where the agreement relied on is not held here, and
    is not looked at when an agency asks its own node. ``policy`` is the
    owner's, or None for a caller that is not the owner. ``requester`` is what
    the requesting agency's own signed ``agency.toml`` says, ``owner`` what
    that of the agency asked says, None where it is not held here. Of ``law``
    those rules count that are in force on the day in the agreement's zone (for
    an own query the policy's; else UTC).
    """
    own = query.requesting_agency == query.audience
    day = local_date(at_ms, _zone(query, effective, policy))
    bound = law.binding(requester, requester if own else owner, day)
    broken = breach(bound, query, requester)
    if broken is not None:
        decision = _by_law(broken)
    elif own:
        decision = _own(query, policy, at_ms)
    elif at_ms >= requester.expires_at_ms:
        reason = "The requesting agency's agency.toml has expired: it must publish a new one."
        decision = _no(Code.NODE_UNKNOWN, "", reason)
    else:
        decision = _partner(query, effective, policy, at_ms, owner)
    return _within(decision, bound, at_ms)


def _zone(query: Query, effective: Effective | None, policy: Policy | None) -> tzinfo:
    if query.requesting_agency == query.audience:
        return policy.zone if policy else UTC
    return effective.agreement.manifest.zone if effective else UTC


def _by_law(broken: Breach) -> Decision:
    return Decision(False, broken.code, broken.section, broken.reason, "", None, rule=broken.rule)


def _within(decision: Decision, bound: tuple[Rule, ...], at_ms: int) -> Decision:
    """Return the decision with the law beside it: it keeps back what is too old to be kept."""
    terms = decision.terms
    if terms is not None:
        kept_ms = max(terms.earliest_ms, earliest_ms(bound, at_ms))
        terms = replace(terms, earliest_ms=kept_ms)
    return replace(decision, terms=terms, law=bound)


def _no(code: Code, section: str, reason: str, contact: str = "", detail: str = "") -> Decision:
    return Decision(False, code, section, reason, contact, None, detail)


def _partner(
    query: Query,
    effective: Effective | None,
    policy: Policy | None,
    at_ms: int,
    owner: Owner | None,
) -> Decision:
    if effective is None:
        return _no_agreement(query)
    if owner is None or owner.id != query.audience:
        reason = "No valid agency.toml of the agency asked is held here, so its law is not known."
        return _no(Code.NODE_UNKNOWN, "", reason)
    manifest = effective.agreement.manifest
    refused = (
        _agreement(query, effective, at_ms)
        or _request(query, effective)
        or _credential(
            query,
            at_ms,
            zone=manifest.zone,
            within_days=manifest.eligibility.training_within_days,
            section=manifest.eligibility.section,
            contact=_contact(manifest, query.requesting_agency),
        )
        or _limits(query, manifest, at_ms)
    )
    if refused is not None:
        return refused
    section = manifest.purposes.section
    if policy is None:
        return Decision(True, None, section, "", "", None)
    return _policy(query, manifest, policy, at_ms)


def _no_agreement(query: Query) -> Decision:
    if not query.agreement_digest:
        return _no(Code.NO_AGREEMENT, "", CATALOGUE[Code.NO_AGREEMENT].text)
    return _no(
        Code.AGREEMENT_INVALID,
        "",
        "The agreement relied on is not held here: compare both folders.",
    )


def _agreement(query: Query, effective: Effective, at_ms: int) -> Decision | None:
    """Step 2: the agreement relied on, and how it stands."""
    agreement = effective.agreement
    manifest = agreement.manifest
    pair = (query.requesting_agency, query.audience)
    contact = _contact(manifest, query.audience)
    if (
        query.agreement_digest != manifest.digest
        or pair != (effective.requester, effective.owner)
        or effective.at_ms != at_ms
    ):
        return _no(
            Code.AGREEMENT_INVALID, "", "The agreement relied on is not the one held here.", contact
        )
    standing = effective.standing
    if standing is Standing.IN_FORCE:
        return None
    if standing is Standing.NOT_A_PARTY:
        reason = "The agreement relied on is not between these two agencies."
        return _no(Code.NO_AGREEMENT, manifest.scope.section, reason, contact)
    if effective.stop is not None:
        reason = f"The agreement is not in force between the two: {effective.stop.words}."
        return _no(Code.AGREEMENT_SUSPENDED, effective.stop.section, reason, contact)
    return _not_in_force(standing, agreement, contact)


def _not_in_force(standing: Standing, agreement: Agreement, contact: str) -> Decision:
    manifest, term = agreement.manifest, agreement.term
    if standing is Standing.UNDECIDED:
        first = manifest.undecided[0]
        reason = f"The agreement leaves a question to counsel, {first.key}: {first.question}"
        return _no(Code.AGREEMENT_NOT_COMMENCED, first.section, reason, contact)
    if standing is Standing.NOT_EXECUTED:
        missing = ", ".join(term.missing)
        reason = f"The agreement is not executed: the counterpart of {missing} is missing."
        return _no(Code.AGREEMENT_NOT_EXECUTED, manifest.execution_section, reason, contact)
    if standing is Standing.NOT_COMMENCED and term.commences_ms is not None:
        day = local_date(term.commences_ms, manifest.zone)
        reason = f"The agreement commences with its last signature, dated {day}."
        return _no(Code.AGREEMENT_NOT_COMMENCED, manifest.term.section, reason, contact)
    if standing is Standing.EXPIRED and term.expires_ms is not None:
        day = local_date(term.expires_ms - 1, manifest.zone)
        reason = f"The agreement has expired: its last day was {day}."
        return _no(Code.AGREEMENT_EXPIRED, manifest.term.section, reason, contact)
    if standing is Standing.ENDED and agreement.ended is not None:
        ended = agreement.ended
        day = local_date(ended.at_ms - 1, manifest.zone)
        reason = f"The agreement is over, {ended.words}: its last day was {day}."
        return _no(Code.AGREEMENT_EXPIRED, ended.section, reason, contact)
    reason = "A later revision of this agreement has replaced it: rely on that one."
    return _no(Code.AGREEMENT_INVALID, manifest.term.section, reason, contact)


def _request(query: Query, effective: Effective) -> Decision | None:
    """Step 3: what is asked, for what, for whom, and with which words."""
    manifest = effective.agreement.manifest
    scope, purposes, eligibility = manifest.scope, manifest.purposes, manifest.eligibility
    contact = _contact(manifest, query.audience)
    if not effective.may_ask:
        reason = f"The agreement lets {query.audience} ask {query.requesting_agency} only, "
        reason += "not the other way round."
        return _no(Code.DIRECTION_NOT_AGREED, scope.section, reason, contact)
    kind = kind_of(query.selector)
    if kind not in scope.kinds:
        reason = f"The agreement does not share {kind.value}."
        return _no(Code.KIND_NOT_AGREED, scope.section, reason, contact)
    if query.purpose not in purposes.allowed:
        reason = f"The agreement does not hold the purpose {query.purpose}; "
        reason += f"it holds {', '.join(sorted(purposes.allowed))}."
        return _no(Code.PURPOSE_NOT_AGREED, purposes.section, reason, contact)
    for narrowed in effective.narrowings:
        if query.purpose in narrowed.purposes or kind in narrowed.kinds:
            what = query.purpose if query.purpose in narrowed.purposes else kind.value
            reason = f"{what} is suspended: {narrowed.words}."
            return _no(Code.AGREEMENT_SUSPENDED, narrowed.section, reason, contact)
    return _words(
        query,
        case_required=eligibility.case_required,
        reason_required=eligibility.reason_required,
        section=eligibility.section,
        contact=contact,
    ) or _attested(query, manifest, contact)


def _attested(query: Query, manifest: Manifest, contact: str) -> Decision | None:
    for clause in manifest.attested:
        if clause.id not in query.attestations:
            reason = f"The officer must declare {clause.id}: {clause.says}"
            return _no(Code.ATTESTATION_REQUIRED, clause.section, reason, contact)
    return None


def _words(
    query: Query, *, case_required: bool, reason_required: bool, section: str, contact: str
) -> Decision | None:
    """Check that a required case number and reason hold at least one letter or digit."""
    if case_required and not any(map(str.isalnum, query.case_number)):
        return _no(Code.CASE_NUMBER_REQUIRED, section, "A case number is required.", contact)
    if reason_required and not any(map(str.isalnum, query.reason)):
        return _no(Code.REASON_REQUIRED, section, "A reason in words is required.", contact)
    return None


def _credential(
    query: Query, at_ms: int, *, zone: tzinfo, within_days: int, section: str, contact: str
) -> Decision | None:
    """Step 4: the officer (MOA II.A: authorised, trained, employed, in good standing)."""
    officer: Credential = query.credential
    if officer.agency != query.requesting_agency:
        reason = "The officer's credential is another agency's."
        return _no(Code.OFFICER_UNKNOWN, section, reason, contact)
    if not officer.issued_at_ms - SKEW_MS <= at_ms < officer.not_after_ms:
        reason = "The officer's credential is not valid at this time: ask for a new one."
        return _no(Code.CREDENTIAL_EXPIRED, section, reason, contact)
    if officer.standing != GOOD_STANDING:
        reason = "The officer is not in good standing with the agency."
        return _no(Code.OFFICER_NOT_IN_GOOD_STANDING, section, reason, contact)
    today = local_date(at_ms, zone)
    trained = _trained_on(officer)
    if trained is None or trained > today or today - trained > timedelta(days=within_days):
        reason = f"The officer's ALPR training must lie within the last {within_days} days."
        return _no(Code.TRAINING_LAPSED, section, reason, contact)
    if query.purpose not in officer.purposes:
        reason = f"The officer is not authorised for the purpose {query.purpose}."
        return _no(Code.OFFICER_PURPOSE, section, reason, contact)
    return None


def _trained_on(officer: Credential) -> date | None:
    """Return the day of the training; None where there is no such day."""
    if not _DATE.fullmatch(officer.trained_on):
        return None
    try:
        return date.fromisoformat(officer.trained_on)
    except ValueError:
        return None


def _uses_window(selector: Selector) -> bool:
    """Tell whether the time window selects rows: hot lists and photos have none."""
    return not isinstance(selector, HotListPlate | PhotoOf)


def _reaches_back(query: Query, days: int, at_ms: int) -> bool:
    earliest_ms = at_ms - days * DAY_MS
    return _uses_window(query.selector) and query.window.from_ms < earliest_ms - GRACE_MS


def _limits(query: Query, manifest: Manifest, at_ms: int) -> Decision | None:
    """Step 5: how far back, how many rows, and by which fields."""
    limits, redaction = manifest.limits, manifest.fields.redaction
    contact = _contact(manifest, query.audience)
    if _reaches_back(query, limits.look_back_days, at_ms):
        reason = f"The time window reaches back more than {limits.look_back_days} days."
        return _no(Code.LOOK_BACK_EXCEEDED, limits.section, reason, contact)
    if query.row_limit > limits.row_limit:
        reason = f"At most {limits.row_limit} rows may be asked for at once: ask in pages."
        return _no(Code.ROW_LIMIT_EXCEEDED, limits.section, reason, contact)
    if isinstance(query.selector, AreaBox) and redaction.place_within_m is None:
        reason = "The agreement does not share the place, so nobody can search by area."
        return _no(Code.FIELD_NOT_SHARED, manifest.fields.section, reason, contact)
    if isinstance(query.selector, PhotoOf) and redaction.photo is PhotoSharing.NONE:
        reason = "The agreement does not share photos."
        return _no(Code.FIELD_NOT_SHARED, manifest.fields.section, reason, contact)
    return None


def _policy(query: Query, manifest: Manifest, policy: Policy, at_ms: int) -> Decision:
    """Step 6: the owner's policy narrows. What it says is the owner's own affair."""
    rule = policy.partners.get(query.requesting_agency)
    detail = _policy_detail(query, policy, rule, at_ms)
    if rule is None or detail:
        text = CATALOGUE[Code.LOCAL_POLICY].text
        contact = _contact(manifest, query.audience)
        return _no(Code.LOCAL_POLICY, manifest.policy_section, text, contact, detail)
    days = min(manifest.limits.look_back_days, rule.look_back_days or _NO_LIMIT)
    terms = Terms(
        redaction=manifest.fields.redaction.narrowed_by(rule.redaction).without_leaks(),
        max_rows=min(manifest.limits.row_limit, rule.row_limit or _NO_LIMIT),
        earliest_ms=at_ms - days * DAY_MS,
        withholding=policy.withhold,
        keep_days=manifest.retention.received_days,
        keep_section=manifest.retention.section,
    )
    return Decision(True, None, manifest.purposes.section, "", "", terms)


def _policy_detail(query: Query, policy: Policy, rule: PartnerRule | None, at_ms: int) -> str:
    """Return what in the owner's policy forbids the query, for its own log; "" if nothing."""
    if policy.agency != query.audience:
        return "the policy is another agency's"
    if rule is None:
        return "the requester is not listed as a partner"
    if rule.kinds is not None and kind_of(query.selector) not in rule.kinds:
        return "kinds"
    if rule.purposes is not None and query.purpose not in rule.purposes:
        return "purposes"
    if rule.look_back_days is not None and _reaches_back(query, rule.look_back_days, at_ms):
        return "look_back_days"
    if isinstance(query.selector, AreaBox) and rule.redaction.place_within_m is None:
        return "place"
    if isinstance(query.selector, PhotoOf) and rule.redaction.photo is PhotoSharing.NONE:
        return "photo"
    return ""


def _own(query: Query, policy: Policy | None, at_ms: int) -> Decision:
    """Decide on an own officer's query: the floor was checked, the policy says the rest."""
    if policy is None or policy.agency != query.audience:
        reason = "The agency's own policy is not known here, so its node answers nobody."
        return _no(Code.LOCAL_POLICY, OWN_SECTION, reason)
    own = policy.own
    if query.agreement_digest:
        reason = "An agency relies on no agreement when it asks its own node."
        return _no(Code.AGREEMENT_INVALID, OWN_SECTION, reason)
    if query.purpose not in own.purposes:
        reason = f"The agency's own policy does not hold the purpose {query.purpose}."
        return _no(Code.LOCAL_POLICY, OWN_SECTION, reason)
    refused = _words(
        query,
        case_required=own.case_required,
        reason_required=own.reason_required,
        section=OWN_SECTION,
        contact="",
    ) or _credential(
        query,
        at_ms,
        zone=policy.zone,
        within_days=own.training_within_days,
        section=OWN_SECTION,
        contact="",
    )
    if refused is not None:
        return refused
    if _reaches_back(query, own.look_back_days, at_ms):
        reason = f"The time window reaches back more than {own.look_back_days} days."
        return _no(Code.LOOK_BACK_EXCEEDED, OWN_SECTION, reason)
    if query.row_limit > own.row_limit:
        reason = f"At most {own.row_limit} rows may be asked for at once: ask in pages."
        return _no(Code.ROW_LIMIT_EXCEEDED, OWN_SECTION, reason)
    earliest_ms = at_ms - own.look_back_days * DAY_MS
    terms = Terms(OPEN, own.row_limit, earliest_ms, Withholding(), None, "")
    return Decision(True, None, OWN_SECTION, "", "", terms)


def _contact(manifest: Manifest, agency: str) -> str:
    party = manifest.party(agency)
    return party.contact if party else ""
