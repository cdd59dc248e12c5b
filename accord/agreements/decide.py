"""The decision on one query. Pure; the same for home node, broker and owner.

    permission = the law  and  the agreement  and  the owner's policy

Checks for a partner's query, in this order; the first that fails is the
refusal, with the section of the signed text, or the law's citation:

 1. the law: the floor's rules, then those of the owner's and the requester's
    states (accord/agreements/law); the requester's agency.toml has not expired
 2. an agreement, held here, between these two, relied on by its digest,
    executed, commenced, neither expired nor replaced, activated at this node
 3. the broker's operator and the requesting agency, where the text restricts
    them; both agencies of the kind and state that counsel signed; direction,
    kind of data, purpose, case number, reason, class of offence, what the
    officer must declare, approval, export
 4. the officer's credential: agency, validity, standing, employment, role,
    training, purposes
 5. look-back, row limit, number of plates, a selector by shared fields only
 6. the parent agreement, where the text names one: all of the above again
 7. the owner's policy, where it is known

An agency's own officers ask their own node under law and policy alone, and no
agreement. Nobody is asked whose agency.toml is not held here: which law binds
its data is not known then.

Broker and home node do not know the owner's policy and pass None: then the
last check is left out and no terms come back. So whatever they refuse the
owner refuses too, and a policy never allows more.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, tzinfo

from accord.agreements.asking import (
    limits_refusal,
    reaches_back,
    request_refusal,
    several_words,
    words_refusal,
)
from accord.agreements.decision import Decision, refused
from accord.agreements.effective import Agreement, Effective, Standing
from accord.agreements.giving import own_terms, partner_detail, partner_terms, policy_detail
from accord.agreements.law.check import Breach, breach, earliest_ms, purposes_left
from accord.agreements.law.rules import Law, Owner, Requester, Rule
from accord.agreements.manifest import Manifest, Parent
from accord.agreements.officers import OfficerRule, agency_refusal, officer_refusal, rule_of
from accord.agreements.parents import common, stricter
from accord.agreements.policy import Policy
from accord.agreements.reading import local_date
from accord.errors import CATALOGUE, Code
from accord.model import AreaBox, Query, plates_in

# Nothing is shared without an agreement: what is cited where none is held.
SHARING_SECTION = "MOA II.A"
OWN_SECTION = "own policy (MOA II.B)"


def decide(
    query: Query,
    effective: Effective | None,
    policy: Policy | None,
    at_ms: int,
    *,
    requester: Requester,
    owner: Owner | None,
    law: Law,
    via: str = "",
) -> Decision:
    """Decide on one verified query at ``at_ms`` (UTC ms).

    ``effective`` is None where the agreement relied on is not held here, and
    is not looked at when an agency asks its own node. ``policy`` is the
    owner's, or None for a caller that is not the owner. ``requester`` is what
    the requesting agency's own signed ``agency.toml`` says, ``owner`` what
    that of the agency asked says, None where it is not held here. Of ``law``
    those rules count that are in force on the day in the agreement's zone (for
    an own query the policy's; else UTC). ``via`` is the operator whose broker
    carries the query, "" where that is not known.
    """
    own = query.requesting_agency == query.audience
    day = local_date(at_ms, _zone(query, effective, policy))
    bound = law.binding(requester, requester if own else owner, day)
    broken = breach(bound, query, requester, _answered(effective, own=own))
    if broken is not None:
        decision = _by_law(broken)
    elif own:
        decision = _own(query, policy, at_ms)
    elif at_ms >= requester.expires_at_ms:
        reason = "The requesting agency's agency.toml has expired: it must publish a new one."
        decision = refused(Code.NODE_UNKNOWN, "", reason)
    else:
        decision = _partner(
            query, effective, policy, at_ms, requester=requester, owner=owner, via=via
        )
    return _within(decision, bound, query, at_ms, _answered(effective, own=own))


def _zone(query: Query, effective: Effective | None, policy: Policy | None) -> tzinfo:
    if query.requesting_agency == query.audience:
        return policy.zone if policy else UTC
    return effective.agreement.manifest.zone if effective else UTC


def _answered(effective: Effective | None, *, own: bool) -> frozenset[str]:
    """Return the purposes that counsel has answered for in the agreement; own queries have none."""
    if own or effective is None:
        return frozenset()
    return effective.agreement.manifest.purposes.answered


def _by_law(broken: Breach) -> Decision:
    return Decision(False, broken.code, broken.section, broken.reason, "", None, rule=broken.rule)


def _within(
    decision: Decision,
    bound: tuple[Rule, ...],
    query: Query,
    at_ms: int,
    answered: frozenset[str],
) -> Decision:
    """Return the decision with the law beside it.

    It keeps back what is too old to be kept, and what was listed for a purpose
    that the two may not ask for.
    """
    terms = decision.terms
    if terms is not None:
        kept_ms = max(terms.earliest_ms, earliest_ms(bound, query, at_ms))
        purposes = terms.purposes
        if purposes is not None:
            purposes = purposes_left(bound, purposes, answered)
        if (kept_ms, purposes) != (terms.earliest_ms, terms.purposes):
            terms = replace(terms, earliest_ms=kept_ms, purposes=purposes)
    return replace(decision, terms=terms, law=bound)


def _partner(
    query: Query,
    effective: Effective | None,
    policy: Policy | None,
    at_ms: int,
    *,
    requester: Requester,
    owner: Owner | None,
    via: str,
) -> Decision:
    if effective is None:
        return _no_agreement(query)
    if owner is None or owner.id != query.audience:
        reason = "No valid agency.toml of the agency asked is held here, so its law is not known."
        return refused(Code.NODE_UNKNOWN, "", reason)
    agreement, manifest = effective.agreement, effective.agreement.manifest
    against = (
        _agreement(query, effective, at_ms)
        or _operator(agreement, via, query.audience)
        or agency_refusal(agreement, requester, at_ms)
        or _as_signed(agreement, requester, query.audience)
        or _as_signed(agreement, owner, query.audience)
        or request_refusal(query, effective, at_ms)
        or officer_refusal(query, at_ms, rule_of(agreement, query.requesting_agency))
        or limits_refusal(query, agreement, at_ms)
    )
    if against is not None:
        return against
    above = None
    if manifest.parent is not None:
        below = replace(query, agreement_digest=manifest.parent.digest)
        above = _no_parent(effective, manifest.parent) or _partner(
            below, effective.parent, policy, at_ms, requester=requester, owner=owner, via=via
        )
        if not above.allowed:
            said = f"Under the parent agreement {manifest.parent.id}: {above.reason}"
            return replace(above, reason=said, parent=manifest.parent.id)
    section = manifest.purposes.section
    if policy is None:
        return Decision(True, None, section, "", "", None)
    decision = _policy(query, effective, policy, at_ms)
    if above is None or above.terms is None or decision.terms is None:
        return decision
    return replace(decision, terms=stricter(decision.terms, above.terms, at_ms))


def _no_parent(effective: Effective, named: Parent) -> Decision | None:
    """Refuse where the parent is not held, was amended, or shares no territory with the child.

    Whether the child is to stand under the amended parent is for its parties to say.
    """
    if effective.parent is None:
        reason = "It is not held here: get its text and counterparts."
        return refused(Code.AGREEMENT_INVALID, named.section, reason)
    if effective.parent.standing is Standing.REPLACED:
        child = effective.agreement
        reason = "A later text has replaced the one that is named. Counsel of the parties must "
        reason += f"sign a revision of {child.manifest.id} whose [parent] names the later one."
        contact = child.contact_of(effective.owner)
        return refused(Code.AGREEMENT_INVALID, named.section, reason, contact)
    # The place that is in every territory up to here, of this text and those above.
    territories = [
        one.provisions.territory for one in _texts(effective) if one.provisions.territory
    ]
    place: tuple[AreaBox, ...] | None = ()
    for territory in territories:
        place = common(place, territory.areas) if place is not None else None
    if place is None:
        reason = "Its territory and that of the agreement have no place in common."
        return refused(Code.AGREEMENT_INVALID, named.section, reason)
    return None


def _texts(effective: Effective) -> Iterator[Manifest]:
    one: Effective | None = effective
    while one is not None:
        yield one.agreement.manifest
        one = one.parent


def _no_agreement(query: Query) -> Decision:
    if not query.agreement_digest:
        return refused(Code.NO_AGREEMENT, SHARING_SECTION, CATALOGUE[Code.NO_AGREEMENT].text)
    return refused(
        Code.AGREEMENT_INVALID,
        SHARING_SECTION,
        "The agreement relied on is not held here: compare both folders.",
    )


def _agreement(query: Query, effective: Effective, at_ms: int) -> Decision | None:
    """Step 2: the agreement relied on, and how it stands."""
    agreement = effective.agreement
    manifest = agreement.manifest
    pair = (query.requesting_agency, query.audience)
    contact = agreement.contact_of(query.audience)
    if (
        query.agreement_digest != manifest.digest
        or pair != (effective.requester, effective.owner)
        or effective.at_ms != at_ms
    ):
        reason = "The agreement relied on is not the one held here."
        return refused(Code.AGREEMENT_INVALID, manifest.execution_section, reason, contact)
    standing = effective.standing
    if standing is Standing.IN_FORCE:
        return None
    if standing is Standing.NOT_A_PARTY:
        reason = "The agreement relied on is not between these two agencies."
        return refused(Code.NO_AGREEMENT, manifest.scope.section, reason, contact)
    if effective.stop is not None:
        reason = f"The agreement is not in force between the two: {effective.stop.words}."
        return refused(Code.AGREEMENT_SUSPENDED, effective.stop.section, reason, contact)
    if standing in (Standing.NOT_JOINED, Standing.LEFT):
        return _not_joined(agreement, pair, at_ms)
    if standing is Standing.HEAD_STALE and manifest.heads is not None:
        silent, hours = effective.stale, manifest.heads.max_age_hours
        reason = f"No head of {silent} from the last {hours} h is held: a notice may be withheld."
        contact = agreement.contact_of(silent)
        return refused(Code.HEAD_STALE, manifest.heads.section, reason, contact)
    return _not_in_force(standing, agreement, contact)


def _not_joined(agreement: Agreement, pair: tuple[str, str], at_ms: int) -> Decision:
    """Refuse between two of whom one is not yet, or no longer, a member."""
    manifest = agreement.manifest
    for agency in pair:
        member = agreement.membership.find(agency)
        if member is None or member.at(at_ms):
            continue
        contact, until_ms = member.party.contact, member.until_ms
        if until_ms is not None and at_ms >= until_ms:
            day = local_date(until_ms - 1, manifest.zone)
            reason = f"{agency} has left the agreement: its last day in it was {day}."
            return refused(Code.AGREEMENT_EXPIRED, member.section, reason, contact)
        day = local_date(member.from_ms, manifest.zone)
        reason = f"{agency} joins the agreement on {day}, and not before."
        section = manifest.joinder.section if manifest.joinder else manifest.term.section
        return refused(Code.AGREEMENT_NOT_COMMENCED, section, reason, contact)
    return refused(Code.NO_AGREEMENT, manifest.scope.section, "One of the two is no member.")


def _not_in_force(standing: Standing, agreement: Agreement, contact: str) -> Decision:
    manifest, term = agreement.manifest, agreement.term
    if standing is Standing.UNDECIDED:
        first = manifest.undecided[0]
        reason = f"The agreement leaves a question to counsel, {first.key}: {first.question}"
        return refused(Code.AGREEMENT_NOT_COMMENCED, first.section, reason, contact)
    if standing is Standing.NOT_EXECUTED:
        missing = ", ".join(term.missing)
        reason = f"The agreement is not executed: the counterpart of {missing} is missing."
        return refused(Code.AGREEMENT_NOT_EXECUTED, manifest.execution_section, reason, contact)
    if standing is Standing.NOT_COMMENCED and term.commences_ms is not None:
        day = local_date(term.commences_ms, manifest.zone)
        reason = f"The agreement commences with its last signature, dated {day}."
        return refused(Code.AGREEMENT_NOT_COMMENCED, manifest.term.section, reason, contact)
    if standing is Standing.EXPIRED and term.expires_ms is not None:
        day = local_date(term.expires_ms - 1, manifest.zone)
        reason = f"The agreement has expired: its last day was {day}."
        return refused(Code.AGREEMENT_EXPIRED, manifest.term.section, reason, contact)
    if standing is Standing.ENDED and agreement.ended is not None:
        ended = agreement.ended
        day = local_date(ended.at_ms - 1, manifest.zone)
        reason = f"The agreement is over, {ended.words}: its last day was {day}."
        return refused(Code.AGREEMENT_EXPIRED, ended.section, reason, contact)
    if standing is Standing.NOT_ACTIVATED:
        here = agreement.inactive_at
        reason = f"The agreement is signed but not activated at the node of {here}: "
        reason += "its engineers activate it once counsel says so."
        contact = agreement.contact_of(here)
        return refused(Code.AGREEMENT_NOT_ACTIVATED, manifest.execution_section, reason, contact)
    reason = "A later revision of this agreement has replaced it: rely on that one."
    return refused(Code.AGREEMENT_INVALID, manifest.term.section, reason, contact)


def _policy(query: Query, effective: Effective, policy: Policy, at_ms: int) -> Decision:
    """Step 7: the owner's policy narrows. What it says is the owner's own affair."""
    manifest = effective.agreement.manifest
    rule = policy.partners.get(query.requesting_agency)
    detail = policy_detail(query, manifest, policy)
    if rule is not None and not detail:
        detail = partner_detail(query, manifest, rule, at_ms)
    if rule is None or detail:
        return policy_refusal(query, effective, detail)
    terms = partner_terms(query, effective, rule, policy, at_ms)
    return Decision(True, None, manifest.purposes.section, "", "", terms)


def policy_refusal(query: Query, effective: Effective, detail: str) -> Decision:
    """Return what the owner's policy says to everybody, whatever in it says so: ``detail``."""
    agreement, text = effective.agreement, CATALOGUE[Code.LOCAL_POLICY].text
    section, contact = agreement.manifest.policy_section, agreement.contact_of(query.audience)
    return refused(Code.LOCAL_POLICY, section, text, contact, detail)


def _operator(agreement: Agreement, via: str, owner: str) -> Decision | None:
    """Refuse a broker whose operator the agreement does not name, if it names any."""
    operators = agreement.manifest.provisions.operators
    if not via or not operators or via in {role.agency for role in operators}:
        return None
    names = ", ".join(sorted(role.name for role in operators))
    reason = f"The agreement lets brokers of these operators forward, and no others: {names}."
    contact = agreement.contact_of(owner)
    return refused(Code.OPERATOR_NOT_AGREED, operators[0].section, reason, contact)


def _as_signed(agreement: Agreement, agency: Owner, owner: str) -> Decision | None:
    """Refuse an agency that says it is of another kind or state than counsel signed.

    Which laws bind an agency hangs on the two, and its own file alone can't
    change what it was when the others agreed to share with it.
    """
    member = agreement.membership.find(agency.id)
    if member is None or (member.party.kind, member.party.state) == (agency.kind, agency.state):
        return None
    reason = (
        f"{agency.id} signed as {member.party.described}; its agency.toml now says "
        f"{agency.kind} of {agency.state}: both counsels must amend the agreement."
    )
    section, contact = agreement.manifest.scope.section, agreement.contact_of(owner)
    return refused(Code.AGENCY_NOT_ELIGIBLE, section, reason, contact)


def _own(query: Query, policy: Policy | None, at_ms: int) -> Decision:
    """Decide on an own officer's query: the floor was checked, the policy says the rest."""
    if policy is None or policy.agency != query.audience:
        reason = "The agency's own policy is not known here, so its node answers nobody."
        return refused(Code.LOCAL_POLICY, OWN_SECTION, reason)
    own = policy.own
    if query.agreement_digest:
        reason = "An agency relies on no agreement when it asks its own node."
        return refused(Code.AGREEMENT_INVALID, OWN_SECTION, reason)
    if query.purpose not in own.purposes:
        reason = f"The agency's own policy does not hold the purpose {query.purpose}."
        return refused(Code.LOCAL_POLICY, OWN_SECTION, reason)
    against = words_refusal(
        query,
        case_required=own.case_required,
        reason_required=own.reason_required,
        section=OWN_SECTION,
        contact="",
    ) or officer_refusal(
        query, at_ms, OfficerRule(policy.zone, own.training_within_days, OWN_SECTION, "")
    )
    if against is not None:
        return against
    if reaches_back(query, own.look_back_days, at_ms):
        reason = f"The time window reaches back more than {own.look_back_days} days."
        return refused(Code.LOOK_BACK_EXCEEDED, OWN_SECTION, reason)
    if query.row_limit > own.row_limit:
        reason = f"At most {own.row_limit} rows may be asked for at once: ask in pages."
        return refused(Code.ROW_LIMIT_EXCEEDED, OWN_SECTION, reason)
    if plates_in(query.selector) > own.plates_per_query:
        reason = several_words(own.plates_per_query)
        return refused(Code.PLATES_NOT_AGREED, OWN_SECTION, reason)
    terms = own_terms(own.row_limit, own.look_back_days, at_ms)
    return Decision(True, None, OWN_SECTION, "", "", terms)
