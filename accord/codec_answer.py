"""Answers and refusals between wire and model; strict as :mod:`accord.codec`."""

from collections.abc import Iterable

from accord import hot_lists, model
from accord.codec import MAX_TEXT, canonical, parse
from accord.errors import Code, Unverified
from accord.wire.v1 import answer_pb2

# A refusal quotes the clause that it rests on, of up to 600 characters.
MAX_REASON = 1000
# The year 9999 ends: no calendar of ours goes on.
END_OF_TIME_MS = 253_402_300_800_000


def _read_to_wire(read: model.SharedRead) -> answer_pb2.Read:
    wire = answer_pb2.Read(
        read_id=read.read_id,
        originator=read.originator,
        plate=read.plate,
        plate_state=read.state,
        captured_at_ms=read.captured_ms,
        time_step_ms=read.time_step_ms,
        camera=read.camera,
        camera_is_pseudonym=read.camera_is_pseudonym,
        confidence_pm=read.confidence_pm,
        photo_digest=read.photo_digest,
        substitutions=read.substitutions,
    )
    if read.place is not None:
        wire.place.latitude_e7 = read.place.lat_e7
        wire.place.longitude_e7 = read.place.lon_e7
        wire.place.within_m = read.place.within_m
        wire.place.SetInParent()
    if read.vehicle is not None:
        vehicle = read.vehicle
        wire.vehicle.CopyFrom(
            answer_pb2.Vehicle(
                make=vehicle.make, model=vehicle.model, colour=vehicle.colour, body=vehicle.body
            )
        )
    return wire


def _read_from_wire(wire: answer_pb2.Read) -> model.SharedRead:
    place = vehicle = None
    if wire.HasField("place"):
        place = model.Place(wire.place.latitude_e7, wire.place.longitude_e7, wire.place.within_m)
    if wire.HasField("vehicle"):
        v = wire.vehicle
        vehicle = model.Vehicle(v.make, v.model, v.colour, v.body)
    return model.SharedRead(
        read_id=wire.read_id,
        originator=wire.originator,
        plate=wire.plate,
        state=wire.plate_state,
        captured_ms=wire.captured_at_ms,
        time_step_ms=wire.time_step_ms,
        place=place,
        camera=wire.camera,
        camera_is_pseudonym=wire.camera_is_pseudonym,
        vehicle=vehicle,
        confidence_pm=wire.confidence_pm,
        photo_digest=wire.photo_digest,
        substitutions=wire.substitutions,
    )


def _entry_to_wire(entry: hot_lists.HotListEntry, stale: bool) -> answer_pb2.HotListEntry:
    return answer_pb2.HotListEntry(
        list=entry.list,
        source=entry.source,
        plate=entry.plate,
        plate_state=entry.state,
        category=entry.category,
        published_at_ms=entry.published_ms,
        max_age_s=entry.max_age_s,
        stale=stale,
    )


def _entry_from_wire(wire: answer_pb2.HotListEntry) -> tuple[hot_lists.HotListEntry, bool]:
    entry = hot_lists.HotListEntry(
        wire.list,
        wire.source,
        wire.plate,
        wire.plate_state,
        wire.category,
        wire.published_at_ms,
        wire.max_age_s,
    )
    return entry, wire.stale


def _hit_to_wire(hit: hot_lists.SharedHit) -> answer_pb2.Hit:
    return answer_pb2.Hit(
        read_id=hit.read_id,
        entry=_entry_to_wire(hit.entry, hit.stale),
        possible=hit.possible,
        matched_at_ms=hit.matched_ms,
        still_listed=hit.still_listed,
        notice=hit.notice,
    )


def _hit_from_wire(wire: answer_pb2.Hit) -> hot_lists.SharedHit:
    entry, stale = _entry_from_wire(wire.entry)
    return hot_lists.SharedHit(
        wire.read_id,
        entry,
        wire.possible,
        wire.matched_at_ms,
        stale,
        wire.still_listed,
        wire.notice,
    )


def _state_to_wire(state: hot_lists.HotListState) -> answer_pb2.HotListState:
    return answer_pb2.HotListState(
        list=state.list,
        source=state.source,
        published_at_ms=state.published_ms,
        max_age_s=state.max_age_s,
        stale=state.stale,
        not_matched=state.not_matched,
    )


def _state_from_wire(wire: answer_pb2.HotListState) -> hot_lists.HotListState:
    return hot_lists.HotListState(
        wire.list, wire.source, wire.published_at_ms, wire.max_age_s, wire.stale, wire.not_matched
    )


def encode_body(body: model.AnswerBody) -> bytes:
    """Return the canonical bytes of an answer's body."""
    wire = answer_pb2.AnswerBody(
        query_digest=body.query_digest,
        query_id=body.query_id,
        agency=body.agency,
        requesting_agency=body.requesting_agency,
        agreement_digest=body.agreement_digest,
        answered_at_ms=body.answered_at_ms,
        reads=[_read_to_wire(read) for read in body.reads],
        entries=[_entry_to_wire(*pair) for pair in body.entries],
        count=body.count,
        complete=body.complete,
        next_cursor=body.next_cursor,
        frontier_ms=body.frontier_ms,
        hits=[_hit_to_wire(hit) for hit in body.hits],
        lists=[_state_to_wire(state) for state in body.lists],
    )
    if body.photo is not None:
        wire.photo.CopyFrom(
            answer_pb2.Photo(
                read_id=body.photo.read_id,
                media_type=body.photo.media_type,
                content=body.photo.content,
            )
        )
    if body.duty is not None:
        wire.duty.CopyFrom(
            answer_pb2.Duty(
                delete_by_ms=body.duty.delete_by_ms,
                section=body.duty.section,
                capture_days=body.duty.capture_days,
            )
        )
    return canonical(wire)


def encode_answer(body: bytes, receipt: model.Receipt) -> bytes:
    """Return the payload of an answer: a body's bytes and the receipt."""
    return canonical(answer_pb2.Answer(body=body, receipt=_receipt_to_wire(receipt)))


def _receipt_to_wire(receipt: model.Receipt) -> answer_pb2.Receipt:
    return answer_pb2.Receipt(
        origin=receipt.origin,
        leaf=receipt.leaf,
        query_digest_salt=receipt.query_digest_salt,
        answer_digest_salt=receipt.answer_digest_salt,
        proof=receipt.proof,
    )


def _receipt_from_wire(wire: answer_pb2.Receipt) -> model.Receipt:
    salts = wire.query_digest_salt, wire.answer_digest_salt
    return model.Receipt(wire.origin, wire.leaf, *salts, wire.proof)


def decode_answer(payload: bytes) -> tuple[model.AnswerBody, bytes, model.Receipt]:
    """Return the body, the body's bytes and the receipt of a verified payload.

    Raises:
        Unverified: ``MALFORMED``.
    """
    wire = parse(answer_pb2.Answer, payload)
    body = parse(answer_pb2.AnswerBody, wire.body)
    photo = duty = None
    if body.HasField("photo"):
        p = body.photo
        photo = model.Photo(p.read_id, p.media_type, p.content)
    if body.HasField("duty"):
        duty = model.Duty(body.duty.delete_by_ms, body.duty.section, body.duty.capture_days)
    decoded = model.AnswerBody(
        query_digest=body.query_digest,
        query_id=body.query_id,
        agency=body.agency,
        requesting_agency=body.requesting_agency,
        agreement_digest=body.agreement_digest,
        answered_at_ms=body.answered_at_ms,
        reads=tuple(_read_from_wire(read) for read in body.reads),
        entries=tuple(_entry_from_wire(entry) for entry in body.entries),
        photo=photo,
        complete=body.complete,
        next_cursor=body.next_cursor,
        frontier_ms=body.frontier_ms,
        duty=duty,
        hits=tuple(_hit_from_wire(hit) for hit in body.hits),
        lists=tuple(_state_from_wire(state) for state in body.lists),
    )
    _check_bounds(body)
    if decoded.count != body.count:
        raise Unverified(Code.MALFORMED, "the answer's count is not the number of its rows")
    return decoded, wire.body, _receipt_from_wire(wire.receipt)


def _check_bounds(body: answer_pb2.AnswerBody) -> None:
    moments = [body.answered_at_ms, body.frontier_ms, body.duty.delete_by_ms]
    moments += [read.captured_at_ms for read in body.reads]
    listed = [*body.entries, *(hit.entry for hit in body.hits)]
    moments += [entry.published_at_ms for entry in listed]
    moments += [hit.matched_at_ms for hit in body.hits]
    moments += [state.published_at_ms for state in body.lists]
    texts = [body.agency, body.requesting_agency, body.duty.section, body.photo.media_type]
    for read in body.reads:
        vehicle = read.vehicle
        texts += (read.originator, read.plate, read.plate_state, read.camera)
        texts += (vehicle.make, vehicle.model, vehicle.colour, vehicle.body)
    texts += [hit.notice for hit in body.hits]
    texts += [text for state in body.lists for text in (state.list, state.source)]
    for entry in listed:
        texts += (entry.list, entry.source, entry.plate, entry.plate_state, entry.category)
    _check("the answer", moments, texts)


def _check(
    what: str, moments: Iterable[int], texts: Iterable[str], longest: int = MAX_TEXT
) -> None:
    """Check what others would stumble over: texts of any length, times of no calendar."""
    if not all(0 <= moment < END_OF_TIME_MS for moment in moments):
        raise Unverified(Code.MALFORMED, f"{what} holds a time outside the calendar")
    if any(len(text) > longest for text in texts):
        raise Unverified(Code.MALFORMED, f"{what} holds a text over {longest} characters")


def encode_refusal(refusal: model.RefusalBody) -> bytes:
    """Return the payload of a refusal."""
    return canonical(
        answer_pb2.Refusal(
            query_digest=refusal.query_digest,
            agency=refusal.agency,
            requesting_agency=refusal.requesting_agency,
            code=refusal.code.value,
            section=refusal.section,
            text=refusal.text,
            contact=refusal.contact,
            refused_at_ms=refusal.refused_at_ms,
        )
    )


def decode_refusal(payload: bytes) -> model.RefusalBody:
    """Return the refusal in a verified payload.

    Raises:
        Unverified: ``MALFORMED``, for an unknown code too.
    """
    wire = parse(answer_pb2.Refusal, payload)
    texts = (wire.agency, wire.requesting_agency, wire.section, wire.text, wire.contact)
    _check("the refusal", (wire.refused_at_ms,), texts, MAX_REASON)
    try:
        code = Code(wire.code)
    except ValueError:
        raise Unverified(Code.MALFORMED, "the refusal's code is not a known one") from None
    return model.RefusalBody(
        wire.query_digest,
        wire.agency,
        wire.requesting_agency,
        code,
        wire.section,
        wire.text,
        wire.contact,
        wire.refused_at_ms,
    )
