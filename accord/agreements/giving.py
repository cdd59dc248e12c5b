"""What an allowed query may be given: of agreement and policy the narrower, in each. Pure."""

from dataclasses import replace

from accord.agreements.asking import export_reason, reaches_back, unapproved
from accord.agreements.effective import Effective
from accord.agreements.manifest import Manifest
from accord.agreements.policy import PartnerRule, Policy
from accord.agreements.provisions import (
    ApprovalRule,
    HotListRule,
    NamedPolicy,
    Stale,
    narrower,
)
from accord.agreements.reading import DAY_MS, local_date
from accord.agreements.terms import OPEN, PhotoSharing, Terms, Withholding
from accord.model import PhotoOf, Query, area_of, kind_of, plates_in

_NO_LIMIT = 1 << 40


def policy_detail(query: Query, manifest: Manifest, policy: Policy) -> str:
    """Return why the policy is not one that counts here, for the owner's log; "" if it is."""
    if policy.agency != query.audience:
        return "the policy is another agency's"
    if query.requesting_agency not in policy.partners:
        return "the requester is not listed as a partner"
    for named in manifest.provisions.policies:
        if named.party == policy.agency and not _is_named(policy, named):
            return "the agreement names another version of the policy"
    return ""


def _is_named(policy: Policy, named: NamedPolicy) -> bool:
    if policy.version > named.version:
        return named.later
    same = not named.digest or policy.digest.hex() == named.digest
    return policy.version == named.version and same


def partner_detail(query: Query, manifest: Manifest, rule: PartnerRule, at_ms: int) -> str:
    """Return what in a partner's rule forbids the query, for the owner's log; "" if nothing."""
    if rule.kinds is not None and kind_of(query.selector) not in rule.kinds:
        return "kinds"
    if rule.purposes is not None and query.purpose not in rule.purposes:
        return "purposes"
    if rule.look_back_days is not None and reaches_back(query, rule.look_back_days, at_ms):
        return "look_back_days"
    if export_reason(query, rule.export):
        return "export"
    if rule.approval is not None and unapproved(
        query, ApprovalRule(rule.approval, 0), local_date(at_ms, manifest.zone)
    ):
        return "approval"
    most = rule.plates_per_query
    if most is not None and plates_in(query.selector) > most:
        return "plates_per_query"
    if area_of(query.selector) is not None and rule.redaction.place_within_m is None:
        return "place"
    if isinstance(query.selector, PhotoOf) and rule.redaction.photo is PhotoSharing.NONE:
        return "photo"
    return ""


def partner_terms(
    query: Query, effective: Effective, rule: PartnerRule, policy: Policy, at_ms: int
) -> Terms:
    """Return what a partner's allowed query may be given."""
    manifest, expires_ms = effective.agreement.manifest, effective.agreement.term.expires_ms
    provisions, retention = manifest.provisions, manifest.retention
    days = min(manifest.limits.days_back(query.purpose), rule.look_back_days or _NO_LIMIT)
    if retention.from_capture and retention.received_days is not None:
        # What would have to be deleted already is not given.
        days = min(days, retention.received_days)
    days = min(days, _photo_days(query, manifest, at_ms))
    territory, survival = provisions.territory, provisions.survival
    ends = expires_ms if survival is not None and not survival.received else None
    return Terms(
        redaction=manifest.fields.redaction.narrowed_by(rule.redaction).without_leaks(),
        max_rows=min(manifest.limits.row_limit, rule.row_limit or _NO_LIMIT),
        earliest_ms=at_ms - days * DAY_MS,
        withholding=replace(policy.withhold, within=territory.areas)
        if territory
        else policy.withhold,
        keep_days=retention.received_days,
        keep_section=survival.section if survival and ends is not None else retention.section,
        from_capture=retention.from_capture,
        keep_until_ms=ends,
        hot_lists=narrower(provisions.hot_lists, _hot_lists(rule, manifest)),
        rates=manifest.limits.rates,
        in_flight=survival is None or survival.in_flight,
        purposes=effective.purposes
        if rule.purposes is None
        else effective.purposes & rule.purposes,
    )


def _photo_days(query: Query, manifest: Manifest, at_ms: int) -> int:
    """Return how old the read of a photo may be without an approval that counts.

    A search that reaches back so far was refused; of a photo the read alone tells its day.
    """
    rule = manifest.eligibility.approval
    if rule is None or not rule.beyond_days or not isinstance(query.selector, PhotoOf):
        return _NO_LIMIT
    lacks = unapproved(query, rule, local_date(at_ms, manifest.zone))
    return rule.beyond_days if lacks else _NO_LIMIT


def _hot_lists(rule: PartnerRule, manifest: Manifest) -> HotListRule | None:
    """Return what a partner's rule says of hot lists: only which texts of an entry are shared."""
    texts = rule.hot_list_texts
    if texts is None:
        return None
    agreed = manifest.provisions.hot_lists
    return HotListRule(
        manifest.policy_section, None, None, Stale.MARKED,
        list="list" in texts, source="source" in texts, category="category" in texts,
        hits=agreed.hits if agreed is not None else frozenset(),
    )  # fmt: skip


def own_terms(row_limit: int, look_back_days: int, at_ms: int) -> Terms:
    """Return what an agency's own officer is given: everything, within its own limits."""
    return Terms(OPEN, row_limit, at_ms - look_back_days * DAY_MS, Withholding(), None, "")
