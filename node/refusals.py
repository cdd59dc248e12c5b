"""Refusals: recorded first, then signed, then raised."""

from accord.audit.fields import query_fields
from accord.codec import envelope_to_bytes
from accord.codec_answer import encode_refusal
from accord.contacts import whom_to_ask
from accord.envelope import REFUSAL, Envelope, sign
from accord.errors import Code, Refused, Unverified
from accord.identity import SpiffeId
from accord.model import RefusalBody
from accord.transport.server import SignedRefusal
from accord.verification import VerifiedQuery
from node.context import Context


async def signed_refusal(
    node: Context, verified: VerifiedQuery, refused: Refused, peer: SpiffeId
) -> Envelope:
    """Record the refusal of a verified query and return it signed.

    Raises:
        Refused: ``AUDIT_UNAVAILABLE`` when it can't be recorded.
    """
    reason = {
        "peer": str(peer),
        "decision": "refused",
        "code": refused.code.value,
        "section": refused.section,
        "text": refused.text,
        "detail": refused.detail,
        "mark": refused.mark.value,
    }
    await node.record("refusal", query_fields(verified.query, verified.digest) | reason)
    body = RefusalBody(
        query_digest=verified.digest,
        agency=node.agency,
        requesting_agency=verified.query.requesting_agency,
        code=refused.code,
        section=refused.section,
        text=refused.text,
        contact=refused.contact or _contact(node, verified, refused.code) or node.contact,
        refused_at_ms=node.clock.now_ms(),
    )
    return sign(REFUSAL, encode_refusal(body), node.signer)


def _contact(node: Context, verified: VerifiedQuery, code: Code) -> str:
    agencies = node.federation.agencies
    owner, here = agencies.get(verified.query.audience), agencies.get(node.agency)
    return whom_to_ask(code, home=verified.home, owner=owner, here=here)


async def refuse(
    node: Context, verified: VerifiedQuery, refused: Refused, peer: SpiffeId
) -> Refused:
    """Record and sign the refusal; return the error to raise.

    Where even the record fails, the caller gets that failure instead.
    """
    if refused.code is Code.AUDIT_UNAVAILABLE:
        return refused
    try:
        envelope = await signed_refusal(node, verified, refused, peer)
    except Refused as failure:
        return failure
    return SignedRefusal(refused, envelope_to_bytes(envelope))


async def refuse_unverified(
    node: Context, problem: Unverified | Refused, peer: SpiffeId, digest: bytes
) -> Refused:
    """Record that an envelope could not be verified; nothing in it is believed."""
    if isinstance(problem, Refused):
        refused = problem
    else:
        refused = Refused(problem.code, detail=problem.problem)
    reason = {
        "peer": str(peer),
        "decision": "refused",
        "code": refused.code.value,
        "text": refused.text,
        "detail": refused.detail,
        "mark": refused.mark.value,
        "query_digest": digest.hex(),
    }
    try:
        await node.record("refusal", reason)
    except Refused as failure:
        return failure
    return refused
