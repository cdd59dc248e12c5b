"""Who may ask: the officer, by the credential; the agency, by its signed file. Pure.

MOA II.A and IV: authorised, trained, employed, in good standing; a local
law-enforcement agency.
"""

from dataclasses import dataclass
from datetime import date, timedelta, tzinfo

from accord.agreements.decision import Decision, refused
from accord.agreements.effective import Agreement
from accord.agreements.law.rules import Requester, of_state
from accord.agreements.reading import local_date
from accord.errors import Code
from accord.model import Credential, Employment, Query, day_of

GOOD_STANDING = "good"
# A credential may be dated a little ahead of our clock.
SKEW_MS = 30_000


@dataclass(frozen=True, slots=True)
class OfficerRule:
    """What an officer must show, by an agreement or by the agency's own policy."""

    zone: tzinfo
    within_days: int
    section: str
    contact: str
    course: str = ""
    employment: frozenset[str] = frozenset(Employment)
    roles: frozenset[str] = frozenset()


def rule_of(agreement: Agreement, requester: str) -> OfficerRule:
    """Return what the agreement asks of the requester's officers."""
    needs = agreement.manifest.eligibility
    return OfficerRule(
        agreement.manifest.zone,
        needs.training_within_days,
        needs.section,
        agreement.contact_of(requester),
        needs.course,
        needs.employment,
        needs.roles,
    )


def officer_refusal(query: Query, at_ms: int, rule: OfficerRule) -> Decision | None:
    """Return why the officer may not ask; None if nothing speaks against it."""
    officer: Credential = query.credential

    def no(code: Code, reason: str) -> Decision:
        return refused(code, rule.section, reason, rule.contact)

    if officer.agency != query.requesting_agency:
        return no(Code.OFFICER_UNKNOWN, "The officer's credential is another agency's.")
    if not officer.issued_at_ms - SKEW_MS <= at_ms < officer.not_after_ms:
        reason = "The officer's credential is not valid at this time: ask for a new one."
        return no(Code.CREDENTIAL_EXPIRED, reason)
    if officer.standing != GOOD_STANDING:
        reason = "The officer is not in good standing with the agency."
        return no(Code.OFFICER_NOT_IN_GOOD_STANDING, reason)
    if officer.employment not in rule.employment:
        reason = f"Only these may ask: {', '.join(sorted(rule.employment))}."
        return no(Code.OFFICER_NOT_ELIGIBLE, reason)
    if rule.roles and officer.role not in rule.roles:
        reason = f"Only officers with these roles may ask: {', '.join(sorted(rule.roles))}."
        return no(Code.OFFICER_NOT_ELIGIBLE, reason)
    if rule.course and officer.course != rule.course:
        reason = f"The officer's ALPR training must be the course {rule.course}."
        return no(Code.OFFICER_NOT_ELIGIBLE, reason)
    if not _trained(officer, local_date(at_ms, rule.zone), rule.within_days):
        reason = f"The officer's ALPR training must lie within the last {rule.within_days} days."
        return no(Code.TRAINING_LAPSED, reason)
    if query.purpose not in officer.purposes:
        reason = f"The officer is not authorised for the purpose {query.purpose}."
        return no(Code.OFFICER_PURPOSE, reason)
    return None


def _trained(officer: Credential, today: date, within_days: int) -> bool:
    trained = day_of(officer.trained_on)
    return trained is not None and trained <= today <= trained + timedelta(days=within_days)


def agency_refusal(agreement: Agreement, requester: Requester, at_ms: int) -> Decision | None:
    """Return why the agency may not ask by the table ``[requesters]``; None if it may."""
    rule = agreement.manifest.provisions.requesters
    if rule is None:
        return None
    held = {one.id for one in requester.certifications if at_ms < one.until_ms}
    lacks = sorted(rule.certifications - held)
    reason = ""
    if rule.kinds and requester.kind not in rule.kinds:
        reason = f"Only agencies of these kinds may ask: {', '.join(sorted(rule.kinds))}."
    elif rule.states and not of_state(requester, rule.states):
        reason = f"Only agencies of these states may ask: {', '.join(sorted(rule.states))}."
    elif lacks:
        reason = f"The agency's file lacks a certification, or it is over: {', '.join(lacks)}."
    if not reason:
        return None
    contact = agreement.contact_of(requester.id)
    return refused(Code.AGENCY_NOT_ELIGIBLE, rule.section, reason, contact)
