"""The home node's part: vouch for our own officers, and keep our own book.

    verify -> check the officer on the roster now -> decide as far as we can
    -> record (durable) -> countersign

MOA II.A and IV: only authorised, trained personnel, currently employed by and
in good standing with their agency. MOA III: a record of all queries.
"""

import hashlib

from accord.agreements.decide import OWN_SECTION, decide
from accord.agreements.effective import effective
from accord.agreements.law.check import floor
from accord.agreements.law.packs import built_in_law
from accord.audit.fields import SAID_BY_BROKER, query_fields
from accord.audit.log import Entry
from accord.audit.merkle import leaf_hash
from accord.codec import envelope_from_wire
from accord.envelope import Envelope, Signature, pae
from accord.errors import Code, Refused, Unverified
from accord.identity import PeerRole, SpiffeId
from accord.model import OutcomeKind
from accord.roster import SECTION, check_approver, check_officer
from accord.verification import (
    VerifiedQuery,
    verify_answer,
    verify_query,
    verify_refusal,
    verify_uncountersigned,
)
from accord.wire.v1 import broker_pb2
from node.context import Context
from node.refusals import refuse_unverified, signed_refusal

MAX_QUERIES = 64
_CODES = frozenset(Code)


def check_own_client(node: Context, peer: SpiffeId) -> None:
    """Let in our own agency's clients only.

    Raises:
        Refused: ``METHOD_NOT_ALLOWED``.
    """
    if peer.role is not PeerRole.CLIENT or peer.agency != node.agency:
        raise Refused(Code.METHOD_NOT_ALLOWED, detail="not a client of this agency")


async def countersign(
    node: Context, credential: Envelope, envelope: Envelope, peer: SpiffeId
) -> Signature | Envelope:
    """Return our signature for one query of our officer, or our signed refusal.

    Raises:
        Refused: when nothing could be verified, or without a durable record.
    """
    await node.delivered.look()
    home = node.federation.agencies.get(node.agency)
    if home is None:
        raise Refused(Code.NODE_UNKNOWN, detail="our own agency.toml is not valid now")
    now_ms = node.clock.now_ms()
    try:
        verified = verify_uncountersigned(envelope, credential, home, now_ms)
    except (Unverified, Refused) as problem:
        digest = hashlib.sha256(pae(envelope.payload_type, envelope.payload)).digest()
        raise await refuse_unverified(node, problem, peer, digest) from None
    try:
        section = await _check(node, verified, now_ms)
    except Refused as refused:
        return await signed_refusal(node, verified, refused, peer)
    allowed = {"peer": str(peer), "decision": "allowed", "section": section}
    await node.record("countersign", query_fields(verified.query, verified.digest) | allowed)
    message = pae(envelope.payload_type, envelope.payload)
    return Signature(node.signer.public.keyid, node.signer.sign(message))


async def _check(node: Context, verified: VerifiedQuery, now_ms: int) -> str:
    """Check law, officer and agreement; return the section that allows the query."""
    query = verified.query
    node.halt.require()
    breach = floor(query, verified.home, built_in_law())
    if breach is not None:
        raise Refused(breach.code, section=breach.section, text=breach.reason)
    node.sources.refresh_roster()
    roster = node.sources.roster
    if roster is None:
        raise Refused(Code.ROSTER_STALE, section=SECTION, detail="the roster can't be read")
    own = query.audience == node.agency
    agreement = node.federation.agreements.get(query.agreement_digest)
    section = OWN_SECTION if own else SECTION
    if agreement is not None:
        section = agreement.manifest.eligibility.section
    check_officer(roster, query.credential, query.purpose, now_ms, section)
    folded = None
    if agreement is not None and not own:
        folded = effective(agreement, query.requesting_agency, query.audience, now_ms)
    policy = node.policy if own else None
    # Our counsel's updates are about our own data: another owner knows nothing of them.
    law = node.law if own else built_in_law()
    owner = node.federation.agencies.get(query.audience)
    decision = decide(query, folded, policy, now_ms, requester=verified.home, owner=owner, law=law)
    if not decision.allowed:
        raise decision.refusal()
    check_approver(roster, query.approval, query.credential.officer, section)
    await node.throttle(query, "countersign")
    return decision.section


async def record_answer(
    node: Context, envelope: Envelope, outcome: broker_pb2.NodeOutcome, peer: SpiffeId
) -> Entry:
    """Write what came back for a countersigned query into our own book.

    What can't be verified is recorded as that, with an alert: it is evidence.

    Raises:
        Refused: when the query is not one that we countersigned, or without a
            durable record.
    """
    try:
        verified = verify_query(envelope, node.federation.agencies, node.clock.now_ms())
    except Unverified as problem:
        raise Refused(problem.code, detail=problem.problem) from None
    query = verified.query
    if query.requesting_agency != node.agency:
        raise Refused(Code.METHOD_NOT_ALLOWED, detail="another agency's query")
    fields = query_fields(query, verified.digest) | {"peer": str(peer)}
    try:
        came = _what_came(node, verified, outcome)
    except Unverified as problem:
        came = {
            "outcome": OutcomeKind.UNVERIFIED.value,
            "code": problem.code.value,
            "detail": problem.problem,
            "mark": "S",
        }
    return await node.record("returned", fields | came)


def _what_came(
    node: Context, verified: VerifiedQuery, outcome: broker_pb2.NodeOutcome
) -> dict[str, str]:
    query, digest = verified.query, verified.digest
    kind = outcome.WhichOneof("outcome")
    if kind == "claim":
        # Its own words are not for a field that counterparts may be shown.
        code = outcome.claim.code if outcome.claim.code in _CODES else Code.MALFORMED
        return {"outcome": SAID_BY_BROKER, "code": code}
    owner = node.federation.agencies.get(query.audience)
    if owner is None:
        raise Unverified(Code.ANSWER_UNVERIFIED, "no agency.toml of the agency that was asked")
    if kind == "answer":
        body = verify_answer(envelope_from_wire(outcome.answer), query, digest, owner)
        answered = OutcomeKind.ANSWERED if body.body.complete else OutcomeKind.TRUNCATED
        return {
            "outcome": answered.value,
            "count": str(body.body.count),
            "answer_digest": hashlib.sha256(body.body_bytes).hexdigest(),
            # By these alone the home book shows where the owner's record of it stands.
            "owner_log": f"{owner.id}/node",
            "owner_log_index": str(body.log_index),
            "owner_leaf": leaf_hash(body.receipt.leaf).hex(),
        }
    if kind == "refusal":
        refusal = verify_refusal(envelope_from_wire(outcome.refusal), query, digest, owner)
        return {
            "outcome": OutcomeKind.REFUSED.value,
            "code": refusal.code.value,
            "section": refusal.section,
            "text": refusal.text,
        }
    raise Unverified(Code.ANSWER_UNVERIFIED, "no outcome was given")
