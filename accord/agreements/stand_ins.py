"""Queries that nobody asked: what would be said to a good officer's question. Pure."""

from collections.abc import Iterable, Mapping
from datetime import UTC, tzinfo

from accord.agreements.effective import Agreement
from accord.agreements.officers import GOOD_STANDING
from accord.agreements.reading import local_date
from accord.model import (
    Approval,
    ApprovalKind,
    AreaBox,
    AreaCircle,
    AreaPolygon,
    Credential,
    Employment,
    ExactPlate,
    Field,
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

STAND_INS: Mapping[str, Selector] = {
    "plate": ExactPlate("0"),
    "partial": WildcardPlate("00*"),
    "lookalike": LookAlikePlate("0"),
    "plates": PlateList((ExactPlate("0"), ExactPlate("1"))),
    "area": AreaBox(0, 0, 1, 1),
    "circle": AreaCircle(0, 0, 1),
    "polygon": AreaPolygon(((0, 0), (0, 1), (1, 0))),
    "hotlist": HotListPlate("0"),
    "hits": HitsOf(ExactPlate("0")),
    "hits-area": HitsOf(AreaBox(0, 0, 1, 1)),
    "photo": PhotoOf(bytes(16)),
}
"""Ways of searching. Which plate, area or photo it is changes nothing in a decision."""

_HOUR_MS = 3_600_000


def stand_in(
    requester: str,
    owner: str,
    purpose: str,
    what: str,
    at_ms: int,
    *,
    zone: tzinfo = UTC,
    agreement: Agreement | None = None,
    declared: Iterable[str] = (),
) -> Query:
    """Return the query of an officer to whom nothing is missing, for one row of today.

    ``declared`` are the declarations that a law may ask for.
    """
    today = local_date(at_ms, zone).isoformat()
    attested = agreement.manifest.attested if agreement else ()
    needs = agreement.manifest.eligibility if agreement else None
    classes = agreement.manifest.purposes.offences_of(purpose) if agreement else None
    return Query(
        query_id=bytes(16),
        nonce=bytes(16),
        issued_at_ms=at_ms,
        not_after_ms=at_ms + 60_000,
        requesting_agency=requester,
        audience=owner,
        credential=Credential(
            requester, "", "", min(needs.roles, default="") if needs else "", b"",
            at_ms - _HOUR_MS, at_ms + _HOUR_MS, today, GOOD_STANDING, (purpose,),
            needs.course if needs else "",
            min(needs.employment) if needs else Employment.EMPLOYEE,
        ),
        purpose=purpose,
        case_number="1",
        reason="x",
        on_behalf_of="",
        agreement_digest=agreement.manifest.digest if agreement else b"",
        selector=STAND_INS[what],
        window=Window(at_ms - 1, at_ms),
        fields=tuple(Field),
        row_limit=1,
        attestations=(*(clause.id for clause in attested), *declared),
        offence=min(classes, default="") if classes else "",
        approval=Approval(ApprovalKind.COURT, "x", "1", today),
    )  # fmt: skip
