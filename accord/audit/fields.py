"""The fields of an audit record about a query: the same in every log.

They follow Cal. Civ. Code 1798.90.52 (time, plate or other data elements
used, user and organisation, purpose) and MOA III ("all queries"). The log
itself adds the time. Values are text; every filter of the query is there.
"""

from accord.clock import iso
from accord.model import (
    AreaBox,
    AreaCircle,
    AreaPolygon,
    ExactPlate,
    HitsOf,
    HotListPlate,
    LookAlikePlate,
    PhotoOf,
    PlateList,
    Query,
    Selector,
    WildcardPlate,
)

# Every field that a record of any kind may have; docs/audit.md says what each holds.
NAMES = frozenset(
    {
        "agency", "agreement", "answer_digest", "approval", "area", "asked", "attested",
        "audience", "authority", "case", "code", "count", "decision", "detail",
        "entries", "export", "expunged_entry", "expunged_fields", "fields", "from", "hits",
        "kind", "mark", "note", "offence", "officer", "officer_course", "officer_employment",
        "officer_name", "officer_role", "on_behalf_of", "outcome", "owner_leaf", "owner_log",
        "owner_log_index", "page", "peer", "photos", "plate", "plates", "purpose",
        "query_digest", "query_id", "read_id", "reads", "reason", "row_limit", "section",
        "signer", "state", "substitutions", "text", "time", "to", "withheld",
    }
)  # fmt: skip

# A retry got the stored answer: nothing was searched again.
GIVEN_AGAIN = "stored answer given again"
# What came back was no node's, so nobody signed it.
SAID_BY_BROKER = "broker's claim, unsigned"


def selector_fields(selector: Selector) -> dict[str, str]:
    """Return what was asked for, one field per data element."""
    match selector:
        case ExactPlate(plate, state):
            return {"asked": "plate", "plate": plate, "state": state}
        case WildcardPlate(pattern, state):
            return {"asked": "pattern", "plate": pattern, "state": state}
        case HotListPlate(plate, state):
            return {"asked": "hot-list", "plate": plate, "state": state}
        case LookAlikePlate(plate, state, most):
            said = {"asked": "look-alike", "plate": plate, "state": state}
            return said | {"substitutions": str(most)}
        case PlateList(several):
            plates = ",".join(f"{one.state}:{one.plate}" for one in several)
            return {"asked": "plates", "plates": plates}
        case AreaBox(south, west, north, east):
            return {"asked": "area", "area": _degrees(south, west, north, east)}
        case AreaCircle(lat, lon, radius_m):
            return {"asked": "circle", "area": f"{_degrees(lat, lon)},{radius_m} m"}
        case AreaPolygon(points):
            return {"asked": "polygon", "area": " ".join(_degrees(*point) for point in points)}
        case HitsOf(of):
            return selector_fields(of) | {"asked": "hits"}
        case PhotoOf(read_id):
            return {"asked": "photo", "read_id": read_id.hex()}


def _degrees(*edges: int) -> str:
    return ",".join(f"{edge / 10**7:.7f}" for edge in edges)


def query_fields(query: Query, digest: bytes) -> dict[str, str]:
    """Return the fields that say who asked what, for what, under what."""
    officer = query.credential
    return {
        "officer": officer.officer,
        "officer_name": officer.name,
        "officer_role": officer.role,
        "officer_course": officer.course,
        "officer_employment": officer.employment,
        "agency": query.requesting_agency,
        "audience": query.audience,
        "on_behalf_of": query.on_behalf_of,
        "purpose": query.purpose,
        "case": query.case_number,
        "reason": query.reason,
        "query_id": query.query_id.hex(),
        "query_digest": digest.hex(),
        "agreement": query.agreement_digest.hex(),
        "attested": ",".join(query.attestations),
        "offence": query.offence,
        "approval": str(query.approval or ""),
        "export": "yes" if query.export else "",
        "from": iso(query.window.from_ms),
        "to": iso(query.window.to_ms),
        "fields": ",".join(query.fields),
        "row_limit": str(query.row_limit),
        "page": "next" if query.cursor else "first",
        **selector_fields(query.selector),
    }
