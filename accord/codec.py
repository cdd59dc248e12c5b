"""The only place where wire and model meet.

Every signed payload is parsed strictly: its bytes must be exactly what a
canonical serialiser writes for the message they mean. That refuses unknown
fields, a singular field given twice, over-long varints and fields out of
order in one rule, so that what was signed has one meaning only
(docs/protocol.md, "Canonical bytes").
"""

from collections.abc import Sequence
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from accord import model
from accord.areas import check_area
from accord.envelope import Envelope, Signature
from accord.errors import Code, Refused, Unverified
from accord.plates import MAX_SUBSTITUTIONS, check_pattern, check_state, is_plate
from accord.wire.v1 import envelope_pb2, query_pb2

M = TypeVar("M", bound=Message)

MAX_TEXT = 500
MAX_ATTESTATIONS = 32
MAX_VALIDITY_MS = 60_000
MAX_SPAN_MS = 5 * 366 * 86_400_000
# Years 2000 to 2100: whatever lies outside is a slip or an overflow.
_EARLIEST_MS = 946_684_800_000
_LATEST_MS = 4_102_444_800_000

_FIELDS = {
    query_pb2.FIELD_TIME: model.Field.TIME,
    query_pb2.FIELD_PLACE: model.Field.PLACE,
    query_pb2.FIELD_CAMERA: model.Field.CAMERA,
    query_pb2.FIELD_VEHICLE: model.Field.VEHICLE,
    query_pb2.FIELD_PHOTO: model.Field.PHOTO,
}
_FIELD_NUMBERS = {field: number for number, field in _FIELDS.items()}


def canonical(message: Message) -> bytes:
    """Return the canonical bytes of a message."""
    return message.SerializeToString(deterministic=True)


def parse(kind: type[M], data: bytes) -> M:
    """Parse canonical bytes, strictly.

    Raises:
        Unverified: ``MALFORMED`` when the bytes are not canonical.
    """
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise Unverified(Code.MALFORMED, f"not a {kind.DESCRIPTOR.name}") from error
    message.DiscardUnknownFields()  # type: ignore[no-untyped-call, unused-ignore]
    if canonical(message) != data:
        raise Unverified(Code.MALFORMED, f"the {kind.DESCRIPTOR.name} is not in canonical form")
    return message


def envelope_to_wire(envelope: Envelope) -> envelope_pb2.Envelope:
    """Return the wire form of an envelope."""
    return envelope_pb2.Envelope(
        payload=envelope.payload,
        payload_type=envelope.payload_type,
        signatures=[envelope_pb2.Signature(sig=s.sig, keyid=s.keyid) for s in envelope.signatures],
    )


def envelope_from_wire(wire: envelope_pb2.Envelope) -> Envelope:
    """Return the unverified envelope that the wire carries."""
    signatures = tuple(Signature(s.keyid, s.sig) for s in wire.signatures)
    return Envelope(wire.payload_type, wire.payload, signatures)


def envelope_to_bytes(envelope: Envelope) -> bytes:
    """Return the serialised wire form of an envelope."""
    return canonical(envelope_to_wire(envelope))


def envelope_from_bytes(data: bytes) -> Envelope:
    """Return the unverified envelope in these bytes.

    Raises:
        Unverified: ``MALFORMED``.
    """
    return envelope_from_wire(parse(envelope_pb2.Envelope, data))


def encode_credential(credential: model.Credential) -> bytes:
    """Return the payload of a credential."""
    return canonical(
        query_pb2.Credential(
            agency=credential.agency,
            officer=credential.officer,
            name=credential.name,
            role=credential.role,
            public_key=credential.public_key,
            issued_at_ms=credential.issued_at_ms,
            not_after_ms=credential.not_after_ms,
            trained_on=credential.trained_on,
            standing=credential.standing,
            purposes=sorted(set(credential.purposes)),
            course=credential.course,
            employment=credential.employment,
        )
    )


def decode_credential(payload: bytes) -> model.Credential:
    """Return the credential in a verified payload.

    Raises:
        Unverified: ``MALFORMED``.
    """
    wire = parse(query_pb2.Credential, payload)
    purposes = tuple(wire.purposes)
    if purposes != tuple(sorted(set(purposes))) or not wire.officer or not wire.agency:
        raise Unverified(Code.MALFORMED, "the credential's purposes, officer or agency are wrong")
    if wire.employment not in set(model.Employment):
        raise Unverified(Code.MALFORMED, "the credential's employment is not a known one")
    return model.Credential(
        wire.agency,
        wire.officer,
        wire.name,
        wire.role,
        wire.public_key,
        wire.issued_at_ms,
        wire.not_after_ms,
        wire.trained_on,
        wire.standing,
        purposes,
        wire.course,
        wire.employment,
    )


def _selector_to_wire(selector: model.Selector) -> query_pb2.Selector:
    match selector:
        case model.ExactPlate(plate, state):
            return query_pb2.Selector(exact=query_pb2.ExactPlate(plate=plate, state=state))
        case model.WildcardPlate(pattern, state):
            wildcard = query_pb2.WildcardPlate(pattern=pattern, state=state)
            return query_pb2.Selector(wildcard=wildcard)
        case model.AreaBox(south, west, north, east):
            area = query_pb2.AreaBox(south_e7=south, west_e7=west, north_e7=north, east_e7=east)
            return query_pb2.Selector(area=area)
        case model.LookAlikePlate(plate, state, most):
            look_alike = query_pb2.LookAlikePlate(plate=plate, state=state, substitutions=most)
            return query_pb2.Selector(look_alike=look_alike)
        case model.PlateList(several):
            listed = [query_pb2.ExactPlate(plate=p.plate, state=p.state) for p in several]
            return query_pb2.Selector(plates=query_pb2.PlateList(plates=listed))
        case model.AreaCircle(lat, lon, radius_m):
            circle = query_pb2.AreaCircle(latitude_e7=lat, longitude_e7=lon, radius_m=radius_m)
            return query_pb2.Selector(circle=circle)
        case model.AreaPolygon(points):
            corners = [query_pb2.Point(latitude_e7=lat, longitude_e7=lon) for lat, lon in points]
            return query_pb2.Selector(polygon=query_pb2.AreaPolygon(points=corners))
        case model.HotListPlate(plate, state):
            return query_pb2.Selector(hot_list=query_pb2.HotListPlate(plate=plate, state=state))
        case model.HitsOf(of):
            inner = _selector_to_wire(of)
            hits = query_pb2.HitsOf()
            match of:
                case model.ExactPlate():
                    hits.plate.CopyFrom(inner.exact)
                case model.AreaBox():
                    hits.area.CopyFrom(inner.area)
                case model.AreaCircle():
                    hits.circle.CopyFrom(inner.circle)
                case model.AreaPolygon():
                    hits.polygon.CopyFrom(inner.polygon)
            return query_pb2.Selector(hits=hits)
        case model.PhotoOf(read_id):
            return query_pb2.Selector(photo=query_pb2.PhotoOf(read_id=read_id))


def encode_query(query: model.Query, credential: bytes) -> bytes:
    """Return the payload of a query; ``credential`` is the signed envelope's bytes."""
    wire = query_pb2.Query(
        query_id=query.query_id,
        nonce=query.nonce,
        issued_at_ms=query.issued_at_ms,
        not_after_ms=query.not_after_ms,
        requesting_agency=query.requesting_agency,
        audience=query.audience,
        credential=credential,
        purpose=query.purpose,
        case_number=query.case_number,
        reason=query.reason,
        on_behalf_of=query.on_behalf_of,
        agreement_digest=query.agreement_digest,
        selector=_selector_to_wire(query.selector),
        window=query_pb2.TimeWindow(from_ms=query.window.from_ms, to_ms=query.window.to_ms),
        fields=sorted(_FIELD_NUMBERS[field] for field in set(query.fields)),
        row_limit=query.row_limit,
        cursor=query.cursor,
        attestations=sorted(set(query.attestations)),
        offence=query.offence,
        export=query.export,
    )
    if query.approval is not None:
        said = query.approval
        wire.approval.CopyFrom(
            query_pb2.Approval(
                kind=said.kind, by=said.by, reference=said.reference, given_on=said.given_on
            )
        )
    return canonical(wire)


def _bad(text: str) -> Refused:
    return Refused(Code.BAD_QUERY, text=text)


def _plate(plate: str, state: str) -> tuple[str, str]:
    if not is_plate(plate):
        raise _bad("A plate is 1 to 12 letters A-Z and digits, without blanks or hyphens.")
    return plate, check_state(state)


def _selector_from_wire(wire: query_pb2.Selector) -> model.Selector:
    match wire.WhichOneof("kind"):
        case "exact":
            return model.ExactPlate(*_plate(wire.exact.plate, wire.exact.state))
        case "hot_list":
            return model.HotListPlate(*_plate(wire.hot_list.plate, wire.hot_list.state))
        case "wildcard":
            pattern = check_pattern(wire.wildcard.pattern)
            if pattern != wire.wildcard.pattern:
                raise _bad(
                    "A pattern is capital letters, digits, ? and *, without blanks, two stars "
                    "together or a ? behind a star."
                )
            return model.WildcardPlate(pattern, check_state(wire.wildcard.state))
        case "area":
            return _box(wire.area)
        case "hits":
            return _hits_from_wire(wire.hits)
        case "look_alike":
            found = wire.look_alike
            return check_look_alike(
                model.LookAlikePlate(*_plate(found.plate, found.state), found.substitutions)
            )
        case "plates":
            listed = (model.ExactPlate(*_plate(p.plate, p.state)) for p in wire.plates.plates)
            return check_list(model.PlateList(tuple(listed)))
        case "circle":
            return _circle(wire.circle)
        case "polygon":
            return _polygon(wire.polygon)
        case "photo":
            if len(wire.photo.read_id) != 16:
                raise _bad("A read id is 16 bytes, as an earlier answer gave it.")
            return model.PhotoOf(wire.photo.read_id)
        case _:
            raise _bad("The query asks for nothing: give a plate, a pattern, an area or a photo.")


def _box(wire: query_pb2.AreaBox) -> model.Area:
    return check_area(model.AreaBox(wire.south_e7, wire.west_e7, wire.north_e7, wire.east_e7))


def _circle(wire: query_pb2.AreaCircle) -> model.Area:
    return check_area(model.AreaCircle(wire.latitude_e7, wire.longitude_e7, wire.radius_m))


def _polygon(wire: query_pb2.AreaPolygon) -> model.Area:
    corners = tuple((point.latitude_e7, point.longitude_e7) for point in wire.points)
    return check_area(model.AreaPolygon(corners))


def _hits_from_wire(wire: query_pb2.HitsOf) -> model.HitsOf:
    match wire.WhichOneof("of"):
        case "plate":
            return model.HitsOf(model.ExactPlate(*_plate(wire.plate.plate, wire.plate.state)))
        case "area":
            return model.HitsOf(_box(wire.area))
        case "circle":
            return model.HitsOf(_circle(wire.circle))
        case "polygon":
            return model.HitsOf(_polygon(wire.polygon))
        case _:
            raise _bad("A query of hits names a plate or an area.")


def check_look_alike(selector: model.LookAlikePlate) -> model.LookAlikePlate:
    """Return the selector if it lets 1 to 3 characters differ.

    Raises:
        Refused: ``BAD_QUERY``.
    """
    if not 1 <= selector.substitutions <= MAX_SUBSTITUTIONS:
        raise _bad(f"Plates that look alike differ in 1 to {MAX_SUBSTITUTIONS} characters.")
    return selector


def check_list(selector: model.PlateList) -> model.PlateList:
    """Return the selector if it holds 2 to 100 plates, ascending, each once.

    Raises:
        Refused: ``BAD_QUERY``.
    """
    plates = [one.plate for one in selector.plates]
    if not 2 <= len(plates) <= model.MAX_PLATES or plates != sorted(set(plates)):
        raise _bad(f"A list holds 2 to {model.MAX_PLATES} plates, ascending, each plate once.")
    return selector


def check_window(window: model.Window) -> model.Window:
    """Return the window if it has a start before its end and is not endless.

    Raises:
        Refused: ``BAD_QUERY``.
    """
    if not _EARLIEST_MS <= window.from_ms < window.to_ms <= _LATEST_MS:
        raise _bad("The time window must start before it ends, between 2000 and 2100.")
    if window.to_ms - window.from_ms > MAX_SPAN_MS:
        raise _bad("The time window is longer than five years: give a start and an end.")
    return window


def _check_text(name: str, text: str, limit: int = MAX_TEXT) -> None:
    if len(text) > limit or not all(c.isprintable() for c in text):
        raise _bad(f"The {name} is longer than {limit} characters or holds control characters.")


def check_texts(
    purpose: str,
    case_number: str,
    reason: str,
    on_behalf_of: str,
    offence: str,
    attestations: Sequence[str],
) -> None:
    """Check what an officer writes into a query.

    Raises:
        Refused: ``BAD_QUERY`` for what is too long, too much, or can't be printed.
    """
    _check_text("purpose", purpose)
    _check_text("case number", case_number)
    _check_text("reason", reason)
    _check_text("agency asked for", on_behalf_of)
    _check_text("offence", offence)
    if len(attestations) > MAX_ATTESTATIONS:
        raise _bad(f"The attestations are at most {MAX_ATTESTATIONS}.")
    for text in attestations:
        _check_text("attestation", text, 64)


def credential_bytes(payload: bytes) -> bytes:
    """Return the embedded credential envelope of a query payload.

    Raises:
        Unverified: ``MALFORMED``.
    """
    return parse(query_pb2.Query, payload).credential


def decode_query(payload: bytes, credential: model.Credential) -> model.Query:
    """Return the query in a verified payload, every limit checked.

    ``credential`` is the verified content of the embedded credential.

    Raises:
        Unverified: ``MALFORMED`` when the bytes are not canonical.
        Refused: ``BAD_QUERY`` with what to mend.
    """
    wire = parse(query_pb2.Query, payload)
    if len(wire.query_id) != 16 or len(wire.nonce) != 16:
        raise _bad("The query id and the nonce are 16 bytes each.")
    if not 0 < wire.not_after_ms - wire.issued_at_ms <= MAX_VALIDITY_MS:
        raise _bad("A query is valid for at most 60 seconds.")
    if len(wire.agreement_digest) not in (0, 32):
        raise _bad("The agreement digest is 32 bytes.")
    if not 1 <= wire.row_limit <= model.MAX_ROWS:
        raise _bad(f"The row limit is 1 to {model.MAX_ROWS}.")
    if len(wire.cursor) > 200:
        raise _bad("The cursor is not one that this node gave.")
    attestations = tuple(wire.attestations)
    texts = (wire.purpose, wire.case_number, wire.reason, wire.on_behalf_of, wire.offence)
    check_texts(*texts, attestations)
    numbers = tuple(wire.fields)
    if numbers != tuple(sorted(set(numbers))) or any(n not in _FIELDS for n in numbers):
        raise _bad("The wanted fields are known ones, ascending, each once.")
    if attestations != tuple(sorted(set(attestations))):
        raise _bad("The attestations are sorted ids, each once.")
    return model.Query(
        query_id=wire.query_id,
        nonce=wire.nonce,
        issued_at_ms=wire.issued_at_ms,
        not_after_ms=wire.not_after_ms,
        requesting_agency=wire.requesting_agency,
        audience=wire.audience,
        credential=credential,
        purpose=wire.purpose,
        case_number=wire.case_number,
        reason=wire.reason,
        on_behalf_of=wire.on_behalf_of,
        agreement_digest=wire.agreement_digest,
        selector=_selector_from_wire(wire.selector),
        window=check_window(model.Window(wire.window.from_ms, wire.window.to_ms)),
        fields=tuple(_FIELDS[number] for number in numbers),
        row_limit=wire.row_limit,
        cursor=wire.cursor,
        attestations=attestations,
        offence=wire.offence,
        approval=_approval_from_wire(wire.approval) if wire.HasField("approval") else None,
        export=wire.export,
    )


def check_approval(approval: model.Approval) -> model.Approval:
    """Return the approval if it says by whom, by which number and when.

    Raises:
        Refused: ``BAD_QUERY``.
    """
    for name, text in (("approval's author", approval.by), ("reference", approval.reference)):
        _check_text(name, text, 200)
        if not any(map(str.isalnum, text)):
            raise _bad(f"An approval names its author and its number; the {name} is empty.")
    if model.day_of(approval.given_on) is None:
        raise _bad("The day of an approval is written as 2026-03-01.")
    return approval


def _approval_from_wire(wire: query_pb2.Approval) -> model.Approval:
    if wire.kind not in set(model.ApprovalKind):
        raise _bad("An approval is a supervisor's or a court's.")
    kind = model.ApprovalKind(wire.kind)
    return check_approval(model.Approval(kind, wire.by, wire.reference, wire.given_on))
