"""What a text may have beside its basic tables, in plain English. Pure."""

from collections.abc import Collection, Iterator

from accord.agreements.manifest import Eligibility, Limits, State
from accord.agreements.provisions import (
    Export,
    HotListRule,
    NamedPolicy,
    Onward,
    Provisions,
    Requesters,
    Role,
    RoleKind,
    Stale,
    Survival,
    Territory,
)
from accord.model import ApprovalKind

Words = tuple[str, str, str, State]
"""Name, section, text and state."""

_EXPORT = {
    Export.FREE: "An answer may leave the client, as a file or to another program.",
    Export.CASE_NUMBER: "An answer may leave the client only where the query names a case number.",
    Export.NEVER: "No answer may leave the client, as a file or to another program.",
}


NOT_ONWARD = "No node answers with what it received, and no officer asks for another agency."
"""What the nodes keep of onward sharing, whatever a text says: the floor, and own reads only."""


def officer_words(needs: Eligibility, open_keys: Collection[str] = ()) -> str:
    """Return what officer and query must show; ``open_keys`` are the questions left open."""
    within = f"{needs.training_within_days} days"
    if "eligibility.training_within_days" in open_keys:
        within = "so many days as is undecided"
    words = [f"in good standing and trained within the last {within}"]
    words += [f"by the course {needs.course}"] * bool(needs.course)
    words += [f"who is {' or '.join(sorted(needs.employment))}"]
    words += [f"with the role {' or '.join(sorted(needs.roles))}"] * bool(needs.roles)
    words += ["with a case number"] * needs.case_required
    words += ["with a reason in words"] * needs.reason_required
    text = f"An officer {', '.join(words)}."
    rule = needs.approval
    if rule is not None and "eligibility.approval" not in open_keys:
        text += f" With {approval_words(rule.kind)} written approval"
        if rule.beyond_days:
            text += f" where a search reaches back more than {rule.beyond_days} days, or a photo's "
            text += "read is older"
        text += f", no more than {rule.max_age_days} days old."
    return text


def approval_words(kind: ApprovalKind) -> str:
    """Return whose approval serves where that of ``kind`` is asked for."""
    return "a court's" if kind is ApprovalKind.COURT else "a supervisor's or a court's"


def limits_words(limits: Limits, open_keys: Collection[str] = ()) -> str:
    """Return how far back, how many rows and plates, how many queries."""
    back = f"{limits.look_back_days} days at most"
    rows = f"{limits.row_limit} rows at once"
    if "limits.look_back_days" in open_keys:
        back = "for an undecided number of days"
    if "limits.row_limit" in open_keys:
        rows = "an undecided number of rows at once"
    text = f"Searches reach back {back}"
    text += "".join(f", for {purpose} {days}" for purpose, days in limits.by_purpose)
    text += f" and give {rows}."
    if limits.plates_per_query > 1:
        text += f" One search may name {limits.plates_per_query} plates."
    rates = limits.rates
    for count, whom in (
        (rates.officer_per_day, "an officer a day"),
        (rates.agency_per_day, "an agency a day"),
        (rates.agency_per_minute, "an agency a minute"),
    ):
        if count is not None:
            text += f" At most {count} queries of {whom}."
    return text


def handing_on_words(onward: Onward) -> str:
    """Return to whom a person may hand on what was received: recorded, no machine sees it."""
    if not onward.recipients:
        return "A person hands on nothing outside the parties: no machine sees that."
    who = ", ".join(sorted(onward.recipients))
    process = "; an order or subpoena is on record first" * onward.legal_process
    return (
        f"A person may hand what was received on to {who} and to nobody else{process}: "
        "no machine sees that."
    )


def provision_clauses(provisions: Provisions) -> Iterator[Words]:
    """Yield what the text has beside its basic tables, in words."""
    enforced, recorded = State.ENFORCED, State.RECORDED
    if provisions.requesters:
        text = _requesters(provisions.requesters)
        yield "Agencies that may ask", provisions.requesters.section, text, enforced
    if provisions.territory:
        yield "Territory", provisions.territory.section, _territory(provisions.territory), enforced
    if provisions.hot_lists:
        yield "Hot lists", provisions.hot_lists.section, _hot_lists(provisions.hot_lists), enforced
    if provisions.export:
        yield "Export", provisions.export.section, _EXPORT[provisions.export.allowed], enforced
    for role in provisions.roles:
        kept = role.kind in (RoleKind.OPERATOR, RoleKind.VENDOR)
        state = enforced if kept else recorded
        yield role.kind.value.capitalize(), role.section, _role(role), state
    for policy in provisions.policies:
        yield f"Policy of {policy.party}", policy.section, _policy(policy), enforced
    for contact in provisions.contacts:
        text = f"{contact.name}, {contact.address}."
        yield f"{contact.party}, for {contact.matter}", contact.section, text, recorded
    if provisions.audits:
        to = f", and reports to {provisions.audits.report_to}" * bool(provisions.audits.report_to)
        text = f"Each party audits every {provisions.audits.every_months} months{to}."
        yield "Audits", provisions.audits.section, text, recorded
    if provisions.renegotiation:
        days = provisions.renegotiation.days_before_end
        text = f"The terms may be negotiated anew until {days} days before a renewal."
        yield "Time to renegotiate", provisions.renegotiation.section, text, recorded
    if provisions.survival:
        yield "After the end", provisions.survival.section, _survival(provisions.survival), enforced
        if provisions.survival.alerts is not None:
            text = alerts_words(acted_on=provisions.survival.alerts)
            yield "Alerts after the end", provisions.survival.section, text, recorded
        if provisions.survival.logs_years:
            text = f"The books are kept {provisions.survival.logs_years} years."
            yield "Books", provisions.survival.section, text, recorded


def _requesters(rule: Requesters) -> str:
    words = []
    for what, allowed in (("kinds", rule.kinds), ("states", rule.states)):
        words += [f"of the {what} {', '.join(sorted(allowed))}"] * bool(allowed)
    certified = ", ".join(sorted(rule.certifications))
    words += [f"certified as {certified}"] * bool(certified)
    return f"Only agencies {' and '.join(words)}."


def _territory(rule: Territory) -> str:
    boxes = [
        ", ".join(f"{edge / 10**7:.4f}" for edge in (b.south_e7, b.west_e7, b.north_e7, b.east_e7))
        for b in rule.areas
    ]
    return f"Only reads made inside south, west, north, east: {'; '.join(boxes)}."


def _hot_lists(rule: HotListRule) -> str:
    texts = (("list", rule.list), ("source", rule.source), ("category", rule.category))
    shown = [name for name, shared in texts if shared]
    what = f"the {', '.join(shown)} of an entry" if shown else "only that there is an entry"
    sources = "any source" if rule.sources is None else " and ".join(sorted(rule.sources))
    if rule.lists is not None:
        sources += f", of the lists {' and '.join(sorted(rule.lists))} alone"
    age = (
        "" if rule.max_age_s is None else f" An entry is too old after {rule.max_age_s // 3600} h."
    )
    stale = "withheld" if rule.stale is Stale.WITHHELD else "marked"
    hits = f" Hits may be asked for of {' and '.join(sorted(rule.hits))}." if rule.hits else ""
    return f"From {sources}: {what}.{age} What is too old is {stale}.{hits}"


def _role(role: Role) -> str:
    who = f"{role.name} ({role.agency})" if role.agency else role.name
    of = f" for {role.of}" if role.of else ""
    return f"{who}{of} sees {role.sees.value.replace('-', ' ')}."


def _policy(policy: NamedPolicy) -> str:
    later = "or a later one" if policy.later else "and no other"
    text = f"sha256:{policy.digest}" if policy.digest else "text not held"
    return f"Version {policy.version} ({text}) {later}: under another, its node shares nothing."


def _survival(rule: Survival) -> str:
    flight = "is answered" if rule.in_flight else "is refused"
    kept = "is kept as agreed" if rule.received else "must be deleted by the end"
    return f"A query under way at the end {flight}; what was received {kept}: each answer says so."


def alerts_words(*, acted_on: bool) -> str:
    """Return whether a match that was told before the end still counts: no machine sees that."""
    still = "may still be acted on" if acted_on else "is acted on no more"
    return (
        f"A match with a hot list that was told before the end {still}: no machine sees that. "
        "Who asks after it is told of none."
    )
