"""What a draft would have said to recorded queries. Pure.

The log names who asked whom what and why, and how it was decided; of officers
and agencies only role, employment and course. Their other facts are taken as
good here, and what was refused for the officer's sake, by a law, or for a reason
that no agreement has (a rate, a replay, the owner's own policy), stays refused.
The draft is read as if it were in force: a signature, a date or a partner's
choice is nothing that a draft can have. A parent agreement is not looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from accord.agreements.decide import decide
from accord.agreements.decision import Decision
from accord.agreements.effective import Agreement, Effective, Standing
from accord.agreements.law.rules import Law
from accord.agreements.manifest import Manifest
from accord.agreements.reading import local_date
from accord.clock import to_ms
from accord.errors import Code
from accord.model import (
    Approval,
    AreaBox,
    Certification,
    Credential,
    ExactPlate,
    HitsOf,
    HotListPlate,
    LookAlikePlate,
    PhotoOf,
    PlateList,
    Query,
    Selector,
    WildcardPlate,
    Window,
)

ABOUT_THE_AGREEMENT = frozenset(
    {
        Code.NO_AGREEMENT,
        Code.AGREEMENT_NOT_EXECUTED,
        Code.AGREEMENT_NOT_COMMENCED,
        Code.AGREEMENT_EXPIRED,
        Code.AGREEMENT_SUSPENDED,
        Code.AGREEMENT_INVALID,
        Code.AGREEMENT_NOT_ACTIVATED,
        Code.HEAD_STALE,
        Code.OPERATOR_NOT_AGREED,
        Code.AGENCY_NOT_ELIGIBLE,
        Code.DIRECTION_NOT_AGREED,
        Code.KIND_NOT_AGREED,
        Code.PURPOSE_NOT_AGREED,
        Code.CASE_NUMBER_REQUIRED,
        Code.REASON_REQUIRED,
        Code.ATTESTATION_REQUIRED,
        Code.OFFENCE_NOT_AGREED,
        Code.APPROVAL_REQUIRED,
        Code.EXPORT_NOT_AGREED,
        Code.ONWARD_SHARING,
        Code.LOOK_BACK_EXCEEDED,
        Code.ROW_LIMIT_EXCEEDED,
        Code.PLATES_NOT_AGREED,
        Code.FIELD_NOT_SHARED,
    }
)
# Refused with the section that asks for an agreement, which the floor cites too.
_NO_LAW = frozenset({Code.NO_AGREEMENT, Code.AGREEMENT_INVALID})
RECORDED_KINDS = frozenset({"query", "countersign", "refusal"})
"""Kinds of audit records that hold a query and its decision; once per query and log."""


_OF_A_QUERY = ("query_id", "from", "to", "row_limit")


class Outcome(Enum):
    """What the draft does to a recorded query."""

    STAYS_ALLOWED = "allowed, and would be"
    NOW_REFUSED = "allowed, would be refused"
    NOW_ALLOWED = "refused, would be allowed"
    STAYS_REFUSED = "refused, and would be"


@dataclass(frozen=True, slots=True)
class Replayed:
    """One recorded query under the draft. ``code`` and ``section`` are the draft's refusal's."""

    outcome: Outcome
    requester: str
    owner: str
    purpose: str
    code: str
    section: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Party:
    """A party as the draft has it."""

    id: str
    kind: str
    state: str
    certifications: tuple[Certification, ...] = ()
    expires_at_ms: int = 1 << 60


def _party(name: str, draft: Agreement) -> _Party:
    """Return a party with the certifications that the table ``[requesters]`` wants."""
    rule, member = draft.manifest.provisions.requesters, draft.membership.find(name)
    assert member is not None
    wanted = sorted(rule.certifications) if rule is not None else ()
    certified = tuple(Certification(one, 1 << 60) for one in wanted)
    return _Party(name, member.party.kind, member.party.state, certified)


def hypothetical(manifest: Manifest) -> Agreement:
    """Return a draft as :func:`replayed` reads it: alone."""
    return Agreement(replace(manifest, parent=None), ())


def caveats(manifest: Manifest) -> tuple[str, ...]:
    """Return in sentences what a replay of this draft leaves out."""
    found = [
        "Facts about officers and agencies are not in the log: they were taken as good.",
        "The law is the one that comes with Accord: signed updates may refuse more.",
    ]
    if manifest.parent is not None:
        found.append(f"Its parent {manifest.parent.id} was not looked at: it may refuse more.")
    if manifest.scope.opt_in is not None:
        found.append("Partners choose one another: each was taken as chosen.")
    if manifest.undecided:
        keys = ", ".join(one.key for one in manifest.undecided)
        found.append(f"Undecided questions were read as the least there is: {keys}.")
    return tuple(found)


def replayed(fields: Mapping[str, str], draft: Agreement, at_ms: int, law: Law) -> Replayed | None:
    """Return what the draft says to the query that an audit record holds.

    ``at_ms`` is when it was recorded, UTC ms. None where the record holds no
    query between two parties of the draft.
    """
    requester, owner = fields.get("agency", ""), fields.get("audience", "")
    if fields.get("kind") not in RECORDED_KINDS or requester == owner:
        return None
    if not {requester, owner} <= draft.parties or not all(map(fields.get, _OF_A_QUERY)):
        return None
    allowed = fields.get("decision") == "allowed"
    decision = _decide(fields, draft, at_ms, law)
    by_law = fields.get("code") not in _NO_LAW and fields.get("section", "") in law.citations
    if not allowed and (by_law or fields.get("code") not in ABOUT_THE_AGREEMENT):
        outcome = Outcome.STAYS_REFUSED
    elif allowed:
        outcome = Outcome.STAYS_ALLOWED if decision.allowed else Outcome.NOW_REFUSED
    else:
        outcome = Outcome.NOW_ALLOWED if decision.allowed else Outcome.STAYS_REFUSED
    code = decision.code.value if decision.code else ""
    return Replayed(
        outcome, requester, owner, fields.get("purpose", ""), code, decision.section,
        decision.reason,
    )  # fmt: skip


def _decide(fields: Mapping[str, str], draft: Agreement, at_ms: int, law: Law) -> Decision:
    query = _query(fields, draft, at_ms)
    pair = (query.requesting_agency, query.audience)
    folded = Effective(draft, *pair, at_ms, Standing.IN_FORCE, draft.may_ask(*pair))
    requester, owner = _party(pair[0], draft), _party(pair[1], draft)
    return decide(query, folded, None, at_ms, requester=requester, owner=owner, law=law)


def _query(fields: Mapping[str, str], draft: Agreement, at_ms: int) -> Query:
    agency, purpose = fields["agency"], fields.get("purpose", "")
    trained_on = local_date(at_ms, draft.manifest.zone).isoformat()
    needs = draft.manifest.eligibility
    role, employment = fields.get("officer_role", ""), fields.get("officer_employment", "")
    credential = Credential(
        agency, "", "", role, b"", at_ms, at_ms + 1, trained_on, "good", (purpose,),
        fields.get("officer_course", "") or needs.course, employment or min(needs.employment),
    )  # fmt: skip
    return Query(
        query_id=bytes(16),
        nonce=bytes(16),
        issued_at_ms=at_ms,
        not_after_ms=at_ms + 1,
        requesting_agency=agency,
        audience=fields["audience"],
        credential=credential,
        purpose=purpose,
        case_number=fields.get("case", ""),
        reason=fields.get("reason", ""),
        on_behalf_of=fields.get("on_behalf_of", ""),
        agreement_digest=draft.manifest.digest,
        selector=_selector(fields),
        window=Window(_moment(fields["from"]), _moment(fields["to"])),
        fields=(),
        row_limit=int(fields["row_limit"]),
        attestations=tuple(filter(None, fields.get("attested", "").split(","))),
        offence=fields.get("offence", ""),
        approval=Approval.parse(fields.get("approval", "")),
        export=fields.get("export") == "yes",
    )


def _moment(text: str) -> int:
    return to_ms(datetime.fromisoformat(text))


def _selector(fields: Mapping[str, str]) -> Selector:
    """Return a selector of the kind that was asked: which plate it was decides nothing."""
    match fields.get("asked"):
        case "pattern":
            return WildcardPlate("00*")
        case "hot-list":
            return HotListPlate("0")
        case "hits":
            return HitsOf(AreaBox(0, 0, 1, 1) if "area" in fields else ExactPlate("0"))
        case "look-alike":
            return LookAlikePlate("0")
        case "plates":
            # How many they were decides.
            count = fields.get("plates", "").count(",") + 1
            return PlateList(tuple(ExactPlate(str(number)) for number in range(count)))
        case "area" | "circle" | "polygon":
            return AreaBox(0, 0, 1, 1)
        case "photo":
            return PhotoOf(bytes(16))
        case _:
            return ExactPlate("0")
