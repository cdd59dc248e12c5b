"""What is asked, for what, for whom, with which words, and how far back. Pure.

What the agreement's text says of a query, whoever the officer is.
"""

from datetime import date, timedelta

from accord.agreements.decision import Decision, refused
from accord.agreements.effective import Agreement, Effective
from accord.agreements.manifest import Manifest
from accord.agreements.provisions import ApprovalRule, Export
from accord.agreements.reading import DAY_MS, local_date
from accord.agreements.terms import PhotoSharing
from accord.errors import Code
from accord.model import (
    ApprovalKind,
    HotListPlate,
    Kind,
    PhotoOf,
    Query,
    Selector,
    area_of,
    day_of,
    kind_of,
    plates_in,
)

# A requester computes "the last 90 days" a moment before the owner decides.
# Rows older than the limit are never given all the same: see Terms.earliest_ms.
GRACE_MS = 120_000


def request_refusal(query: Query, effective: Effective, at_ms: int) -> Decision | None:
    """Return what the text has against the request; None if nothing."""
    manifest = effective.agreement.manifest
    scope, purposes, eligibility = manifest.scope, manifest.purposes, manifest.eligibility
    contact = effective.agreement.contact_of(query.audience)
    # What the query itself lacks, the officer's own agency can help with: see accord.contacts.
    home = effective.agreement.contact_of(query.requesting_agency)
    if not effective.may_ask:
        reason = f"The agreement lets {query.audience} ask {query.requesting_agency} only, "
        reason += "not the other way round."
        return refused(Code.DIRECTION_NOT_AGREED, scope.section, reason, contact)
    if effective.opt_in:
        reason = f"Each member picks its partners, and {effective.opt_in}."
        return refused(Code.DIRECTION_NOT_AGREED, scope.section, reason, contact)
    kind = kind_of(query.selector)
    rule = manifest.provisions.hot_lists
    unnamed = kind is Kind.HITS and (rule is None or not rule.hits)
    if kind not in scope.kinds or unnamed:
        reason = f"The agreement does not share {kind.value}."
        return refused(Code.KIND_NOT_AGREED, scope.section, reason, contact)
    if query.purpose not in purposes.allowed:
        reason = f"The agreement does not hold the purpose {query.purpose}; "
        reason += f"it holds {', '.join(sorted(purposes.allowed))}."
        return refused(Code.PURPOSE_NOT_AGREED, purposes.section, reason, contact)
    for narrowed in effective.narrowings:
        if query.purpose in narrowed.purposes or kind in narrowed.kinds:
            what = query.purpose if query.purpose in narrowed.purposes else kind.value
            if narrowed.prohibits:
                reason = f"{what} is prohibited between the two: {narrowed.words}."
                return refused(Code.PURPOSE_NOT_AGREED, narrowed.section, reason, contact)
            reason = f"{what} is suspended: {narrowed.words}."
            return refused(Code.AGREEMENT_SUSPENDED, narrowed.section, reason, contact)
        if narrowed.no_export and query.export:
            reason = f"No answer may leave the client for now: {narrowed.words}."
            return refused(Code.AGREEMENT_SUSPENDED, narrowed.section, reason, contact)
    return (
        words_refusal(
            query,
            case_required=eligibility.case_required,
            reason_required=eligibility.reason_required,
            section=eligibility.section,
            contact=home,
        )
        or _offence(query, manifest, contact)
        or _attested(query, manifest, home)
        or _approval(query, manifest, at_ms, home)
        or _export(query, manifest, contact)
    )


def _says_something(text: str) -> bool:
    return any(map(str.isalnum, text))


def words_refusal(
    query: Query, *, case_required: bool, reason_required: bool, section: str, contact: str
) -> Decision | None:
    """Check that a required case number and reason hold at least one letter or digit."""
    if case_required and not _says_something(query.case_number):
        return refused(Code.CASE_NUMBER_REQUIRED, section, "A case number is required.", contact)
    if reason_required and not _says_something(query.reason):
        return refused(Code.REASON_REQUIRED, section, "A reason in words is required.", contact)
    return None


def _offence(query: Query, manifest: Manifest, contact: str) -> Decision | None:
    classes = manifest.purposes.offences_of(query.purpose)
    if classes is None or query.offence in classes:
        return None
    reason = f"For {query.purpose} the query must name one of these classes of offences: "
    reason += f"{', '.join(sorted(classes))}."
    return refused(Code.OFFENCE_NOT_AGREED, manifest.purposes.section, reason, contact)


def _attested(query: Query, manifest: Manifest, contact: str) -> Decision | None:
    for clause in manifest.attested:
        if clause.id not in query.attestations:
            reason = f"The officer must declare {clause.id}: {clause.says}"
            return refused(Code.ATTESTATION_REQUIRED, clause.section, reason, contact)
    return None


def _approval(query: Query, manifest: Manifest, at_ms: int, contact: str) -> Decision | None:
    """Check the approval that the text asks for.

    How old a photo is nobody knows before it is found: :func:`unapproved` bounds that.
    """
    rule = manifest.eligibility.approval
    if rule is None:
        return None
    if rule.beyond_days and not reaches_back(query, rule.beyond_days, at_ms):
        return None
    reason = unapproved(query, rule, local_date(at_ms, manifest.zone))
    if not reason:
        return None
    if rule.beyond_days:
        reason += f" It is for searches that reach back more than {rule.beyond_days} days."
    return refused(Code.APPROVAL_REQUIRED, manifest.eligibility.section, reason, contact)


def unapproved(query: Query, rule: ApprovalRule, today: date) -> str:
    """Return why a query has no approval that counts ``today``, in words; "" if it has.

    A court's serves for a supervisor's.
    """
    given = query.approval
    whose = "a court's" if rule.kind is ApprovalKind.COURT else "a supervisor's or a court's"
    if given is None or (rule.kind is ApprovalKind.COURT and given.kind is not rule.kind):
        return f"The query needs {whose} written approval."
    day = day_of(given.given_on)
    if day is None or day > today:
        return "The approval is dated in the future, or not at all."
    if today - day > timedelta(days=rule.max_age_days):
        return f"The approval is more than {rule.max_age_days} days old: ask for a new one."
    return ""


def _export(query: Query, manifest: Manifest, contact: str) -> Decision | None:
    rule = manifest.provisions.export
    reason = export_reason(query, rule.allowed) if rule is not None else ""
    if rule is None or not reason:
        return None
    return refused(Code.EXPORT_NOT_AGREED, rule.section, reason, contact)


def export_reason(query: Query, allowed: Export) -> str:
    """Return why the answer may not leave the client as it is to, in words; "" if it may."""
    if not query.export or allowed is Export.FREE:
        return ""
    if allowed is Export.NEVER:
        return "An answer may not leave the client, as a file or to another program."
    if _says_something(query.case_number):
        return ""
    return "An answer may leave the client only where the query names a case number."


def _uses_window(selector: Selector) -> bool:
    """Tell whether the time window selects rows: hot lists and photos have none."""
    return not isinstance(selector, HotListPlate | PhotoOf)


def reaches_back(query: Query, days: int, at_ms: int) -> bool:
    """Tell whether a search reaches back more than so many days before ``at_ms``."""
    earliest_ms = at_ms - days * DAY_MS
    return _uses_window(query.selector) and query.window.from_ms < earliest_ms - GRACE_MS


def several_words(most: int) -> str:
    """Return why a search names too many plates."""
    if most == 1:
        return "Nothing agreed lets a search name several plates at once: ask for one."
    return f"At most {most} plates may be asked for at once: ask for fewer."


def limits_refusal(query: Query, agreement: Agreement, at_ms: int) -> Decision | None:
    """Check how far back, how many rows and plates, and by which fields."""
    manifest, contact = agreement.manifest, agreement.contact_of(query.audience)
    limits, redaction = manifest.limits, manifest.fields.redaction
    days = limits.days_back(query.purpose)
    if reaches_back(query, days, at_ms):
        reason = f"The time window reaches back more than {days} days."
        return refused(Code.LOOK_BACK_EXCEEDED, limits.section, reason, contact)
    if query.row_limit > limits.row_limit:
        reason = f"At most {limits.row_limit} rows may be asked for at once: ask in pages."
        return refused(Code.ROW_LIMIT_EXCEEDED, limits.section, reason, contact)
    most = limits.plates_per_query
    if plates_in(query.selector) > most:
        return refused(Code.PLATES_NOT_AGREED, limits.section, several_words(most), contact)
    if area_of(query.selector) is not None and redaction.place_within_m is None:
        reason = "The agreement does not share the place, so nobody can search by area."
        return refused(Code.FIELD_NOT_SHARED, manifest.fields.section, reason, contact)
    if isinstance(query.selector, PhotoOf) and redaction.photo is PhotoSharing.NONE:
        reason = "The agreement does not share photos."
        return refused(Code.FIELD_NOT_SHARED, manifest.fields.section, reason, contact)
    return None
