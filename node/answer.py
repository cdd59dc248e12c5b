"""How a node answers one query, in the order in which the agreement reads.

    verify -> decide -> throttle -> claim (a query runs once)
    -> record (durable) -> search and withhold -> redact
    -> record the answer's digest (durable) -> sign -> reply

No durable record, no answer (MOA III). The owner is the only judge of its own
data: nothing that the broker says is believed.
"""

import asyncio
import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ParamSpec, TypeVar

from accord.agreements.decide import decide, policy_refusal
from accord.agreements.decision import Decision
from accord.agreements.effective import effective
from accord.agreements.provisions import Stale
from accord.agreements.terms import PhotoSharing, Terms
from accord.audit.fields import GIVEN_AGAIN, query_fields
from accord.codec_answer import encode_answer, encode_body
from accord.envelope import ANSWER, Envelope, digest, sign
from accord.errors import Code, Refused, Unverified
from accord.hot_lists import HotListState
from accord.identity import PeerRole, SpiffeId
from accord.model import (
    AnswerBody,
    Duty,
    Field,
    HitsOf,
    HotListPlate,
    Photo,
    PhotoOf,
    Query,
    ReadSelector,
    Receipt,
    SharedRead,
)
from accord.verification import SKEW_MS, VerifiedQuery, shared_order, verify_query
from node.context import Context
from node.ids import Names
from node.rates import Bound, agreed_bounds
from node.redaction import is_shared, redact, shared_entry, shared_hit, shared_states
from node.refusals import refuse, refuse_unverified
from node.replay import Claim
from node.store.base import HitSearch, Page, Search, StoredRead, away

_DAY_MS = 86_400_000
# A row with ten hits is some 4 kB, and an answer at most 1 MB.
_MAX_HIT_ROWS = 200


S = TypeVar("S")
T = TypeVar("T")
P = ParamSpec("P")


async def answer(node: Context, envelope: Envelope, peer: SpiffeId) -> Envelope:
    """Answer one query envelope for a broker, or for an officer of our own.

    Raises:
        SignedRefusal: with the reason; it is in the audit log.
        Refused: before anything could be verified, or without a durable record.
    """
    await node.delivered.look()
    try:
        verified = verify_query(envelope, node.federation.agencies, node.clock.now_ms())
    except (Unverified, Refused) as problem:
        raise await refuse_unverified(node, problem, peer, digest(envelope)) from None
    try:
        return await _answer_verified(node, verified, peer)
    except Refused as refused:
        raise await refuse(node, verified, refused, peer) from None


async def _answer_verified(node: Context, verified: VerifiedQuery, peer: SpiffeId) -> Envelope:
    query = verified.query
    _check_caller(node, query, peer)
    node.halt.require()
    node.guard.check_issued(query.issued_at_ms)
    decision = _decide(node, verified, peer)
    await node.throttle(query, "answer", _agreed(query, decision))
    claim = await node.guard.claim(verified.digest, query.nonce, query.not_after_ms + SKEW_MS)
    if claim is not Claim.NEW:
        return await _answer_again(node, verified, claim, peer)
    try:
        signed = await _answer_once(node, verified, decision, peer)
    except BaseException:
        node.guard.forget(verified.digest)
        raise
    node.guard.keep(verified.digest, signed)
    return signed


async def _answer_once(
    node: Context, verified: VerifiedQuery, decision: Decision, peer: SpiffeId
) -> Envelope:
    """Record, search, record again and sign; the claim on the query is ours."""
    query = verified.query
    common = query_fields(query, verified.digest) | {
        "peer": str(peer),
        "decision": "allowed",
        "section": decision.section,
    }
    await node.record("query", common)
    terms = _terms(decision)
    body, withheld = await _search(node, verified, terms, node.names(query))
    if not terms.in_flight:
        # The text drops what was asked before the end and would be answered after it.
        await node.delivered.look()
        _decide(node, verified, peer)
    body_bytes = encode_body(body)
    found = {
        "count": str(body.count),
        "withheld": str(withheld),
        "answer_digest": hashlib.sha256(body_bytes).hexdigest(),
    }
    entry = await node.record("answer", common | found)
    receipt = Receipt(
        origin=node.audit.origin,
        leaf=entry.leaf,
        query_digest_salt=entry.salts["query_digest"],
        answer_digest_salt=entry.salts["answer_digest"],
        proof=entry.proof(),
    )
    return sign(ANSWER, encode_answer(body_bytes, receipt), node.signer)


def _check_caller(node: Context, query: Query, peer: SpiffeId) -> None:
    """Let in authorised brokers, and our own clients with our own questions."""
    own_client = peer.role is PeerRole.CLIENT and peer.agency == node.agency
    own_question = query.requesting_agency == query.audience == node.agency
    # Our own question is answered unredacted: it comes from our own client or not at all.
    allowed = own_client if own_question else str(peer) in node.brokers
    if not allowed:
        raise Refused(Code.METHOD_NOT_ALLOWED, detail="not an authorised broker")
    if query.audience != node.agency:
        raise Refused(Code.WRONG_AUDIENCE)


def _agreed(query: Query, decision: Decision) -> tuple[Bound, ...]:
    terms = _terms(decision)
    if terms.rates is None:
        return ()
    officer, agency = query.credential.officer, query.requesting_agency
    return agreed_bounds(query.agreement_digest, agency, officer, terms.rates)


def _decide(node: Context, verified: VerifiedQuery, peer: SpiffeId) -> Decision:
    """Apply agreement, law and our own policy at this moment."""
    query = verified.query
    now_ms = node.clock.now_ms()
    agreement = node.federation.agreements.get(query.agreement_digest)
    folded = (
        effective(agreement, query.requesting_agency, node.agency, now_ms) if agreement else None
    )
    decision = decide(
        query,
        folded,
        node.policy,
        now_ms,
        requester=verified.home,
        owner=node.federation.agencies.get(node.agency),
        law=node.law,
        via=peer.agency if peer.role is PeerRole.BROKER else "",
    )
    if not decision.allowed:
        raise decision.refusal()
    if decision.terms is None and folded is not None:
        # As if the policy had refused: that its file can't be read is the owner's own affair.
        raise policy_refusal(query, folded, "policy.toml can't be read").refusal()
    return decision


def _terms(decision: Decision) -> Terms:
    if decision.terms is None:
        raise Refused(Code.INTERNAL, detail="an allowed decision without terms")
    return decision.terms


async def _answer_again(
    node: Context, verified: VerifiedQuery, claim: Claim, peer: SpiffeId
) -> Envelope:
    """Give the stored answer to a retry; it was decided again just now.

    Only an authorised broker retries: anybody else's second copy is a replay.
    """
    kept = node.guard.kept(verified.digest)
    if claim is Claim.SAME and kept is not None and peer.role is PeerRole.BROKER:
        again = {"peer": str(peer), "decision": GIVEN_AGAIN}
        await node.record("query", query_fields(verified.query, verified.digest) | again)
        return kept
    running = claim is Claim.SAME and node.guard.running(verified.digest)
    raise Refused(Code.IN_PROGRESS if running else Code.REPLAYED)


async def _search(
    node: Context, verified: VerifiedQuery, terms: Terms, names: Names
) -> tuple[AnswerBody, int]:
    """Run the search and return the answer's body and the withheld count."""
    query = verified.query
    now_ms = node.clock.now_ms()
    empty = AnswerBody(
        query_digest=verified.digest,
        query_id=query.query_id,
        agency=node.agency,
        requesting_agency=query.requesting_agency,
        agreement_digest=query.agreement_digest,
        answered_at_ms=now_ms,
        duty=_duty(terms, now_ms, ()),
    )
    match query.selector:
        case HotListPlate():
            return await _looked_up(
                node, _hot_list, node, query.selector, query.row_limit, terms, empty
            )
        case HitsOf():
            return await _hits(node, query, query.selector, terms, names, empty)
        case PhotoOf():
            return await _photo(node, query, query.selector, terms, names, empty)
        case selector:
            return await _reads(node, query, selector, terms, names, empty)


async def _reads(
    node: Context,
    query: Query,
    selector: ReadSelector,
    terms: Terms,
    names: Names,
    empty: AnswerBody,
) -> tuple[AnswerBody, int]:
    question = _question(query)
    search = Search(
        selector=selector,
        window=query.window,
        redaction=terms.redaction,
        withholding=terms.withholding,
        earliest_ms=max(terms.earliest_ms, node.earliest_read_ms()),
        limit=min(query.row_limit, terms.max_rows),
        after=names.open_cursor(query.cursor, question) if query.cursor else None,
    )
    page = await _run(node, search)
    rows = await _redacted(node, query, page, terms, names)
    return _page_body(empty, rows, page, terms, names, question), page.withheld


async def _redacted(
    node: Context, query: Query, page: Page, terms: Terms, names: Names
) -> tuple[SharedRead, ...]:
    wanted = frozenset(query.fields)
    digests = await _photo_digests(node, page, terms, wanted)
    return tuple(
        redact(
            row.read,
            row.row_id,
            agency=node.agency,
            redaction=terms.redaction,
            wanted=wanted,
            names=names,
            photo_digest=digest,
            # What a hit met, and how far off it was, its own hits say.
            away=0
            if isinstance(query.selector, HitsOf | HotListPlate | PhotoOf)
            else away(query.selector, row.read.plate),
        )
        for row, digest in zip(page.rows, digests, strict=True)
    )


async def _hits(
    node: Context,
    query: Query,
    selector: HitsOf,
    terms: Terms,
    names: Names,
    empty: AnswerBody,
) -> tuple[AnswerBody, int]:
    """Give reads that met an entry of a hot list that may be asked for, each with what it met."""
    question = _question(query)
    earliest_ms = max(terms.earliest_ms, node.earliest_hit_ms())
    search = HitSearch(
        of=selector.of,
        window=query.window,
        redaction=terms.redaction,
        withholding=terms.withholding,
        earliest_ms=earliest_ms,
        limit=min(query.row_limit, terms.max_rows, _MAX_HIT_ROWS),
        rule=terms.hot_lists,
        purposes=terms.purposes,
        entries_from_ms=node.earliest_entry_ms(),
        after=names.open_cursor(query.cursor, question) if query.cursor else None,
        alike_from_ms=node.earliest_read_ms(),
    )
    found = await _in_thread(node.store.hot_lists.search_hits, search)
    rows = await _redacted(node, query, found.page, terms, names)
    body = _page_body(empty, rows, found.page, terms, names, question)
    rule, step = terms.hot_lists, terms.redaction.time_step_ms
    hits = {
        row.read_id: [shared_hit(hit, row.read_id, rule, step) for hit in found.hits[stored.row_id]]
        for row, stored in zip(rows, found.page.rows, strict=True)
    }
    # In the order of the reads, which tells nothing.
    given = tuple(hit for read in body.reads for hit in hits[read.read_id])
    lists = await _looked_up(node, _states, node, terms, empty, hits=True)
    return replace(body, hits=given, lists=lists), found.page.withheld


def _states(
    node: Context, terms: Terms, empty: AnswerBody, *, hits: bool = False
) -> tuple[HotListState, ...]:
    """Return how old the lists are: nothing found means nothing where a list is not matched."""
    earliest_ms = node.earliest_entry_ms()
    held = [one for one in node.store.hot_lists.lists() if one.published_ms >= earliest_ms]
    return shared_states(held, terms.hot_lists, empty.answered_at_ms, hits=hits)


async def _photo_digests(
    node: Context, page: Page, terms: Terms, wanted: frozenset[Field]
) -> list[bytes]:
    """Return each row's photo digest, b"" where none is given.

    In a thread: a masked copy that is missing is painted first.
    """
    photo = terms.redaction.photo
    if photo is PhotoSharing.NONE or Field.PHOTO not in wanted:
        return [b""] * len(page.rows)
    earliest_ms, masked = node.earliest_photo_ms(), photo is PhotoSharing.MASKED
    reads = [row.read for row in page.rows]
    if not any(read.photo for read in reads):
        return [b""] * len(reads)
    step = terms.redaction.time_step_ms
    return await asyncio.to_thread(
        lambda: [
            node.photo_digest(read, masked)
            if read.captured_ms // step * step >= earliest_ms
            else b""
            for read in reads
        ]
    )


async def _run(node: Context, search: Search) -> Page:
    """Search in the loop when it is short, else in a thread that stops with us."""
    page = node.store.search_at_once(search)
    return page if page is not None else await _in_thread(node.store.search, search)


async def _looked_up(node: Context, look: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
    """Look up some rows: in the loop, unless the store may keep it waiting."""
    if node.store.may_wait:
        return await asyncio.to_thread(look, *args, **more)
    return look(*args, **more)


async def _in_thread(look: Callable[[S, Callable[[], bool]], T], search: S) -> T:
    """Search in a thread that stops with us."""
    stop = threading.Event()
    try:
        return await asyncio.to_thread(look, search, stop.is_set)
    except asyncio.CancelledError:
        stop.set()
        raise


def _page_body(
    empty: AnswerBody,
    rows: tuple[SharedRead, ...],
    page: Page,
    terms: Terms,
    names: Names,
    question: bytes,
) -> AnswerBody:
    step = terms.redaction.time_step_ms
    cursor = b"" if page.cursor is None else names.seal_cursor(page.cursor, question)
    frontier = 0 if page.cursor is None else page.cursor.bucket * step
    captured = [row.captured_ms for row in rows]
    return replace(
        empty,
        reads=tuple(sorted(rows, key=shared_order)),
        duty=_duty(terms, empty.answered_at_ms, captured),
        complete=page.complete,
        next_cursor=cursor,
        frontier_ms=frontier,
    )


def _hot_list(
    node: Context, selector: HotListPlate, row_limit: int, terms: Terms, empty: AnswerBody
) -> tuple[AnswerBody, int]:
    """Look the plate up on the hot lists; each entry says whether it is stale (MOA III)."""
    now_ms = node.clock.now_ms()
    entries = node.store.hot_lists.entries(
        selector.plate, selector.state, earliest_ms=node.earliest_entry_ms()
    )
    rule = terms.hot_lists
    kept = [e for e in entries if e.plate not in terms.withholding.plates]
    kept = [e for e in kept if is_shared(e, rule, terms.purposes)]
    given = kept if rule is None else [shared_entry(e, rule) for e in kept]
    shown = [(entry, entry.stale_at(now_ms)) for entry in given]
    if rule is not None and rule.stale is Stale.WITHHELD:
        shown = [(entry, stale) for entry, stale in shown if not stale]
    if len(shown) > min(row_limit, terms.max_rows):
        # Entries have no pages, and some of them would look like all of them.
        text = "The plate has more hot-list entries than rows may be given: ask for more rows."
        raise Refused(Code.SEARCH_TOO_WIDE, text=text)
    body = replace(empty, entries=tuple(shown), lists=_states(node, terms, empty))
    return body, len(entries) - len(shown)


async def _photo(
    node: Context,
    query: Query,
    selector: PhotoOf,
    terms: Terms,
    names: Names,
    empty: AnswerBody,
) -> tuple[AnswerBody, int]:
    """Give the photo of one read, if that read may be seen; else nothing.

    A withheld read, one that is due, a read without a photo and a made-up id
    all give the same empty answer.
    """
    row_id = names.row_id(selector.read_id)
    earliest_ms = max(terms.earliest_ms, node.earliest_read_ms())
    row: StoredRead | None = None
    if row_id is not None:
        # By the time as it is shared: else the moment at which a photo is due
        # would tell the exact one.
        row = await _looked_up(
            node,
            node.store.read,
            row_id,
            terms.withholding,
            max(earliest_ms, node.earliest_photo_ms()),
            time_step_ms=terms.redaction.time_step_ms,
        )
    if row is None or not row.read.photo:
        return empty, 0
    masked = terms.redaction.photo is PhotoSharing.MASKED
    bands = node.bands_of(row.read.camera)
    content = await asyncio.to_thread(node.photos.given, row.read.photo, masked, bands)
    photo = Photo(selector.read_id, "image/jpeg", content) if content else None
    step = terms.redaction.time_step_ms
    captured = [row.read.captured_ms // step * step] if photo else []
    return replace(empty, photo=photo, duty=_duty(terms, empty.answered_at_ms, captured)), 0


def _duty(terms: Terms, now_ms: int, captured: Sequence[int]) -> Duty | None:
    """Return when the requester must delete what it receives (MOA IV).

    ``captured`` are the times of the reads that are given, as they are shared.
    """
    days, until_ms = terms.keep_days, terms.keep_until_ms
    if days is None:
        return None if until_ms is None else Duty(until_ms, terms.keep_section)
    from_ms = max(captured, default=now_ms) if terms.from_capture else now_ms
    delete_by_ms = from_ms + days * _DAY_MS
    if until_ms is not None:
        delete_by_ms = min(delete_by_ms, until_ms)
    return Duty(delete_by_ms, terms.keep_section, days if terms.from_capture else 0)


def _question(query: Query) -> bytes:
    """Return a digest of all that the pages of one question have in common."""
    parts = (
        query.requesting_agency,
        query.agreement_digest.hex(),
        query.credential.officer,
        query.purpose,
        repr(query.selector),
        repr(query.window),
    )
    return hashlib.sha256("\0".join(parts).encode()).digest()
