"""Routing: to whom may this query be forwarded? Pure.

The broker decides with the same function as the owner's node, only without
the owner's local policy, which it does not know: what the broker refuses the
node refuses too. It never widens anything, since it can't sign.
"""

from dataclasses import dataclass

from accord.agreements.decide import SHARING_SECTION, decide
from accord.agreements.effective import effective
from accord.agreements.law.packs import built_in_law
from accord.envelope import Envelope, digest
from accord.errors import Code, Refused, Unverified
from accord.federation import Federation
from accord.identity import SpiffeId
from accord.verification import VerifiedQuery, verify_query


@dataclass(frozen=True, slots=True)
class Route:
    """One envelope and what is to be done with it.

    ``refused`` None means: forward to ``verified.query.audience``. ``agency``
    is the audience, or "" while nothing in the envelope is verified.
    """

    envelope: Envelope
    digest: bytes
    verified: VerifiedQuery | None
    section: str
    refused: Refused | None

    @property
    def agency(self) -> str:
        """The agency asked, as far as that is verified."""
        return self.verified.query.audience if self.verified else ""


def route(
    envelope: Envelope, peer: SpiffeId, federation: Federation, at_ms: int, operator: str
) -> Route:
    """Decide on one envelope; never raises for what is in it.

    ``operator`` is the agency id of whoever runs this broker.
    """
    try:
        verified = verify_query(envelope, federation.agencies, at_ms)
    except Unverified as problem:
        refused = Refused(problem.code, detail=problem.problem)
        return Route(envelope, digest(envelope), None, "", refused)
    except Refused as refused:
        return Route(envelope, digest(envelope), None, "", refused)
    try:
        section = _decide(verified, peer, federation, at_ms, operator)
    except Refused as refused:
        return Route(envelope, verified.digest, verified, refused.section, refused)
    return Route(envelope, verified.digest, verified, section, None)


def _decide(
    verified: VerifiedQuery, peer: SpiffeId, federation: Federation, at_ms: int, operator: str
) -> str:
    query = verified.query
    if peer.agency != query.requesting_agency:
        raise Refused(Code.METHOD_NOT_ALLOWED, detail="a client sends its own agency's queries")
    if query.audience == query.requesting_agency:
        text = "An agency asks its own node directly, not through a broker."
        raise Refused(Code.NO_AGREEMENT, section=SHARING_SECTION, text=text)
    agreement = federation.agreements.get(query.agreement_digest)
    folded = (
        effective(agreement, query.requesting_agency, query.audience, at_ms) if agreement else None
    )
    owner = federation.agencies.get(query.audience)
    decision = decide(
        query,
        folded,
        None,
        at_ms,
        requester=verified.home,
        owner=owner,
        law=built_in_law(),
        via=operator,
    )
    if not decision.allowed:
        raise decision.refusal()
    return decision.section
