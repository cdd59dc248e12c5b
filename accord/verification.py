"""Trust in a query or an answer, decided on bytes alone. No I/O.

The rules for a query, in this order (node and broker apply the same):

1. One signature is by a node key of an agency that we know: the home node.
   Only then are the payload's bytes parsed.
2. The credential inside is signed by that same agency's personnel desk, is
   valid for at most 12 hours and is valid now.
3. The other signature is by the key that the credential names.
4. The payload is canonical and every limit in it is acceptable.
5. The requesting agency is the home node's and the credential's agency: an
   agency can't vouch for another's officer (attack O1).
6. The query is fresh: issued at most 30 s in the future, and not past its
   own end by more than 30 s.

The rules for an answer (the client, and the home node that records it):

1. It is signed by a node key of the agency that was asked.
2. It answers this query, for this requester, under this agreement.
3. Every row lies inside what was asked and bears the agency as originator; an
   entry of a hot list has a category for which a list can be held, or none told.
4. The receipt proves that the agency's log holds this query and these bytes
   (:mod:`accord.audit.receipts`).
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from accord import envelope as dsse
from accord.agencies import Agency
from accord.areas import inside
from accord.audit.receipts import check_receipt
from accord.codec import credential_bytes, decode_query, envelope_from_bytes
from accord.codec_answer import decode_answer, decode_refusal
from accord.envelope import AllOf, Envelope, SignedBy
from accord.errors import Code, Refused, Unverified
from accord.hot_lists import HIT_NOTICES, MAX_HITS, MAX_LISTS, HotListEntry, SharedHit
from accord.identity import KeyRole
from accord.keys import PublicKey
from accord.merge import place_in_order
from accord.model import (
    LISTABLE,
    AnswerBody,
    Area,
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
    Receipt,
    RefusalBody,
    SharedRead,
    WildcardPlate,
)
from accord.plates import matches, substitutions
from accord.roster import verify_credential

SKEW_MS = 30_000
# An answer travels on in a request, of 1 MiB at most, to the requester's own book.
MAX_ANSWER = 1_000_000
# "" where the agreement does not share what a vehicle is looked for.
_CATEGORIES = frozenset({"", *LISTABLE})


@dataclass(frozen=True, slots=True)
class VerifiedQuery:
    """A query whose bytes, officer and home node were verified."""

    query: Query
    digest: bytes
    home: Agency


def homes_of(envelope: Envelope, agencies: Mapping[str, Agency]) -> list[Agency]:
    """Return every agency that publishes a node key which the envelope names.

    Usually one. Whoever publishes another's key as its own makes it two, and
    must not thereby keep the other's officers from asking.

    Raises:
        Unverified: ``SIGNATURE_INVALID`` when there is none.
    """
    keyids = {signature.keyid for signature in envelope.signatures}
    found = [
        agency
        for agency in agencies.values()
        if any(key.keyid in keyids for key in agency.keys_for(KeyRole.NODE))
    ]
    if not found:
        raise Unverified(Code.SIGNATURE_INVALID, "no known home node countersigned the query")
    return found


def verify_query(envelope: Envelope, agencies: Mapping[str, Agency], now_ms: int) -> VerifiedQuery:
    """Return the query once officer and home node are verified (rules 1 to 6).

    Raises:
        Unverified: ``SIGNATURE_INVALID`` or ``MALFORMED``.
        Refused: ``CREDENTIAL_EXPIRED``, ``BAD_QUERY``, ``ONWARD_SHARING`` or
            ``STALE``.
    """
    *others, last = homes_of(envelope, agencies)
    for home in others:
        with suppress(Unverified, Refused):
            return _verify_from(home, envelope, now_ms)
    return _verify_from(last, envelope, now_ms)


def _verify_from(home: Agency, envelope: Envelope, now_ms: int) -> VerifiedQuery:
    countersigned = SignedBy(home.keys_for(KeyRole.NODE), f"the node of {home.id}")
    payload = dsse.verify(envelope, dsse.QUERY, countersigned)
    query = _verify_officer(envelope, payload, home, now_ms)
    return VerifiedQuery(query, dsse.digest(envelope), home)


def verify_uncountersigned(
    envelope: Envelope, credential: Envelope, home: Agency, now_ms: int
) -> VerifiedQuery:
    """Return a query that an officer of our own agency signed, not yet we.

    ``credential`` came beside the query, so that the officer's key is known
    before the query's bytes are parsed; the one inside must be the same.

    Raises:
        Unverified, Refused: as :func:`verify_query`.
    """
    officer = _officer_key(credential, home, now_ms)
    payload = dsse.verify(envelope, dsse.QUERY, SignedBy([officer], "the officer"))
    if envelope_from_bytes(credential_bytes(payload)) != credential:
        raise Unverified(Code.MALFORMED, "the query holds another credential")
    query = _verify_officer(envelope, payload, home, now_ms)
    return VerifiedQuery(query, dsse.digest(envelope), home)


def _officer_key(credential: Envelope, home: Agency, now_ms: int) -> PublicKey:
    verified = verify_credential(credential, home.keys_for(KeyRole.PERSONNEL), now_ms)
    return PublicKey.from_der(verified.public_key)


def _verify_officer(envelope: Envelope, payload: bytes, home: Agency, now_ms: int) -> Query:
    signed = envelope_from_bytes(credential_bytes(payload))
    credential = verify_credential(signed, home.keys_for(KeyRole.PERSONNEL), now_ms)
    officer = SignedBy([PublicKey.from_der(credential.public_key)], "the officer")
    dsse.verify(envelope, dsse.QUERY, AllOf(officer))
    query = decode_query(payload, credential)
    if query.requesting_agency != home.id or credential.agency != home.id:
        raise Refused(
            Code.ONWARD_SHARING,
            text="The requesting agency, the officer's and the home node's are not one.",
        )
    check_fresh(query, now_ms)
    return query


def check_fresh(query: Query, now_ms: int) -> None:
    """Refuse a query that is too old or dated in the future.

    Raises:
        Refused: ``STALE``.
    """
    if not query.issued_at_ms - SKEW_MS <= now_ms <= query.not_after_ms + SKEW_MS:
        raise Refused(Code.STALE)


@dataclass(frozen=True, slots=True)
class VerifiedAnswer:
    """An answer whose signature, binding, rows and receipt were verified.

    ``log_index`` is where the owner's log has it, ``receipt`` what proves it.
    """

    body: AnswerBody
    body_bytes: bytes
    log_index: int
    receipt: Receipt


def verify_answer(envelope: Envelope, query: Query, digest: bytes, owner: Agency) -> VerifiedAnswer:
    """Return the answer once it is the owner's own answer to this query.

    Raises:
        Unverified: ``SIGNATURE_INVALID`` for a wrong signer, ``MALFORMED``
            for bytes not canonical, ``ANSWER_UNVERIFIED`` for the rest.
    """
    if len(envelope.payload) > MAX_ANSWER:
        raise Unverified(Code.TOO_LARGE, f"{owner.id} answered with more than {MAX_ANSWER} bytes")
    signer = SignedBy(owner.keys_for(KeyRole.NODE), f"the node of {owner.id}")
    body, body_bytes, receipt = decode_answer(dsse.verify(envelope, dsse.ANSWER, signer))
    bound = (
        body.query_digest == digest
        and body.query_id == query.query_id
        and body.agency == owner.id == query.audience
        and body.requesting_agency == query.requesting_agency
        and body.agreement_digest == query.agreement_digest
    )
    if not bound:
        raise Unverified(Code.ANSWER_UNVERIFIED, f"{owner.id} did not sign this for this query")
    _check_rows(body, query)
    if body.answered_at_ms > query.not_after_ms + 2 * SKEW_MS:
        raise Unverified(Code.ANSWER_UNVERIFIED, "the answer is dated after the query's end")
    answer_digest = hashlib.sha256(body_bytes).digest()
    keys = owner.keys_for(KeyRole.AUDIT)
    proven = check_receipt(receipt, owner.id, keys, digest, answer_digest)
    return VerifiedAnswer(body, body_bytes, proven.index, receipt)


def verify_refusal(envelope: Envelope, query: Query, digest: bytes, owner: Agency) -> RefusalBody:
    """Return the refusal once it is the agency's own, of this query.

    ``owner`` is whoever refused: the agency asked, or the home agency.

    Raises:
        Unverified: ``SIGNATURE_INVALID``, ``MALFORMED``, ``ANSWER_UNVERIFIED``.
    """
    signer = SignedBy(owner.keys_for(KeyRole.NODE), f"the node of {owner.id}")
    refusal = decode_refusal(dsse.verify(envelope, dsse.REFUSAL, signer))
    bound = (
        refusal.query_digest == digest
        and refusal.agency == owner.id
        and refusal.requesting_agency == query.requesting_agency
    )
    if not bound:
        raise Unverified(Code.ANSWER_UNVERIFIED, f"{owner.id} did not refuse this query")
    return refusal


def _check_rows(body: AnswerBody, query: Query) -> None:
    problem = ""
    if body.count > query.row_limit:
        problem = "more rows than were asked for"
    elif body.complete is bool(body.next_cursor):
        problem = "complete and a cursor do not go together"
    elif body.frontier_ms != _frontier(body):
        problem = "a frontier that is not the time of its last row"
    elif len({read.read_id for read in body.reads}) != len(body.reads):
        problem = "one read given twice"
    elif any(not _inside(read, query) for read in body.reads):
        problem = "a row outside what was asked"
    elif list(body.reads) != sorted(body.reads, key=shared_order):
        problem = "rows not in their order"
    elif any(entry.category not in _CATEGORIES for entry in _entries_in(body)):
        problem = "an entry of a category for which no hot list is held"
    elif not _fits_selector(body, query):
        problem = "rows of another kind than asked"
    if problem:
        raise Unverified(Code.ANSWER_UNVERIFIED, f"{body.agency} answered with {problem}")


def _entries_in(body: AnswerBody) -> Iterator[HotListEntry]:
    yield from (entry for entry, _ in body.entries)
    yield from (hit.entry for hit in body.hits)


def _frontier(body: AnswerBody) -> int | None:
    """Return the one frontier that an answer can have; None where it can't be truncated."""
    if body.complete:
        return 0
    return max(body.reads, key=place_in_order).captured_ms if body.reads else None


def shared_order(read: SharedRead) -> tuple[int, int, bytes]:
    """Sort key within an answer: fewest substitutions, newest shared time, then the read id.

    The order tells nothing that the row itself does not (attack L4).
    """
    return (*place_in_order(read), read.read_id)


def _inside(read: SharedRead, query: Query) -> bool:
    window = query.window
    if len(read.read_id) != 16 or read.originator != query.audience or read.time_step_ms < 1:
        return False
    if not window.from_ms <= read.captured_ms < window.to_ms:
        return False
    selector = query.selector
    if isinstance(selector, LookAlikePlate):
        away = substitutions(selector.plate, read.plate)
        if away is None or away > selector.substitutions or away != read.substitutions:
            return False
    elif read.substitutions:
        return False
    match selector:
        case ExactPlate(plate, state):
            return read.plate == plate and _of(read, state)
        case LookAlikePlate(_, state):
            return _of(read, state)
        case WildcardPlate(pattern, state):
            return matches(pattern, read.plate) and _of(read, state)
        case PlateList(several):
            return any(read.plate == one.plate and _of(read, one.state) for one in several)
        case HitsOf(of):
            # A plate is that of the list: which read met it, its hits say.
            return isinstance(of, ExactPlate) or _in_area(read, of)
        case AreaBox() | AreaCircle() | AreaPolygon():
            return _in_area(read, selector)
        case _:
            return False


def _in_area(read: SharedRead, area: Area) -> bool:
    place = read.place
    return place is None or inside(area, place.lat_e7, place.lon_e7)


def _of(read: SharedRead, state: str) -> bool:
    return not state or read.state == state


def _fits_selector(body: AnswerBody, query: Query) -> bool:
    if not isinstance(query.selector, HitsOf) and body.hits:
        return False
    if not _lists_fit(body, query):
        return False
    match query.selector:
        case HitsOf(of):
            return not body.entries and body.photo is None and _hits_fit(body, of)
        case HotListPlate(plate, state):
            return body.photo is None and all(
                entry.plate == plate and (not state or entry.state in (state, ""))
                for entry, _ in body.entries
            )
        case PhotoOf(read_id):
            photo = body.photo
            return not body.entries and (photo is None or photo.read_id == read_id)
        case _:
            return not body.entries and body.photo is None


def _lists_fit(body: AnswerBody, query: Query) -> bool:
    """Tell whether the lists come only where lists were asked, each with its age told right."""
    if body.lists and not isinstance(query.selector, HitsOf | HotListPlate):
        return False
    return len(body.lists) <= MAX_LISTS and all(
        one.stale is (body.answered_at_ms - one.published_ms > one.max_age_s * 1000)
        for one in body.lists
    )


def _hits_fit(body: AnswerBody, of: ExactPlate | Area) -> bool:
    """Tell whether each read met what was asked for, and each hit is one of a read, told whole.

    ``stale`` follows from what else is there, so it can't be left out or made up.
    """
    reads = {read.read_id: read for read in body.reads}
    met = Counter(hit.read_id for hit in body.hits)
    if met.keys() != reads.keys() or max(met.values(), default=0) > MAX_HITS:
        return False
    return all(_hit_fits(hit, reads[hit.read_id], of) for hit in body.hits)


def _hit_fits(hit: SharedHit, read: SharedRead, of: ExactPlate | Area) -> bool:
    entry, step = hit.entry, read.time_step_ms
    told = hit.notice in HIT_NOTICES and hit.matched_ms % step == 0
    if not told or hit.stale is not entry.stale_at(hit.matched_ms + step - 1):
        return False
    if isinstance(of, Area):
        return True
    return entry.plate == of.plate and (not of.state or of.state in (entry.state, read.state))
