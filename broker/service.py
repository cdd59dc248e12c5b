"""The Broker service: route, record, fan out, record, merge. Thin."""

import asyncio
import hashlib
from typing import Any

import structlog

from accord.audit.fields import query_fields
from accord.audit.leaf import Record
from accord.audit.log import AuditLog
from accord.clock import Clock
from accord.codec import envelope_from_wire
from accord.errors import CATALOGUE, Code, Refused
from accord.federation_watch import FederationWatch
from accord.identity import SpiffeId
from accord.merge import order
from accord.transport.server import current_peer
from accord.wire.v1 import broker_pb2, broker_pb2_grpc, delivery_pb2, witness_pb2
from broker.carry import Carrier
from broker.fanout import Came, Fanout, claim
from broker.routing import Route, route
from broker.witnesses import Witnesses

log = structlog.get_logger()

MAX_QUERIES = 64
# Of a message of 16 MiB; the rest is for the order of the rows.
MAX_ANSWERS = 12 << 20
# What is left of the client's time for merging and the way back.
_MARGIN_S = 0.25


class BrokerService(broker_pb2_grpc.BrokerServicer):
    """See proto/accord/wire/v1/broker.proto."""

    def __init__(
        self,
        watch: FederationWatch,
        audit: AuditLog,
        fanout: Fanout,
        clock: Clock,
        node_deadline_s: float,
        operator: str,
        carrier: Carrier,
        witnesses: Witnesses,
    ) -> None:
        self._witnesses = witnesses
        self._carrier = carrier
        self._watch = watch
        self._audit = audit
        self._fanout = fanout
        self._clock = clock
        self._node_deadline_s = node_deadline_s
        self._operator = operator

    async def Deliver(
        self, request: delivery_pb2.DeliverRequest, context: Any
    ) -> delivery_pb2.DeliverResponse:
        """Take a node's own file for ourselves, or pass it on to another party's node."""
        return await self._carrier.carry(request, current_peer(), _left_s(context))

    async def Witness(
        self, request: witness_pb2.WitnessRequest, context: Any
    ) -> witness_pb2.WitnessResponse:
        """Pass on what a node's log asks another party's node as its witness."""
        return await self._witnesses.ask(request, current_peer(), _left_s(context))

    async def Query(
        self, request: broker_pb2.QueryRequest, context: Any
    ) -> broker_pb2.QueryResponse:
        """Forward what is allowed, and answer with one outcome per envelope."""
        peer = current_peer()
        if not 1 <= len(request.queries) <= MAX_QUERIES:
            raise Refused(Code.BAD_QUERY, text=f"Send 1 to {MAX_QUERIES} queries at once.")
        federation = self._watch.current
        now_ms = self._clock.now_ms()
        routes = [
            route(envelope_from_wire(q), peer, federation, now_ms, self._operator)
            for q in request.queries
        ]
        ids = {r.verified.query.query_id for r in routes if r.verified}
        audiences = [r.agency for r in routes if r.verified]
        if len(ids) > 1 or len(set(audiences)) != len(audiences):
            raise Refused(Code.BAD_QUERY, text="One question: one query id, one query per agency.")
        await self._record("forward", peer, routes, [{} for _ in routes])
        allowed = [r for r in routes if r.refused is None]
        remaining = context.time_remaining() or 0.0
        deadline_s = max(0.05, min(self._node_deadline_s, remaining - _MARGIN_S))
        asked = await self._fanout.ask_all(allowed, dict(federation.agencies), deadline_s)
        came = iter(asked)
        results = _that_fit(
            [next(came) if r.refused is None else _refused(r, r.refused) for r in routes]
        )
        await self._record("outcome", peer, routes, [_outcome_fields(c) for c in results])
        refs = order([c.answer.body if c.answer else None for c in results])
        return broker_pb2.QueryResponse(
            outcomes=[c.outcome for c in results],
            order=[broker_pb2.RowRef(outcome=index, row=row) for index, row in refs],
        )

    async def Directory(
        self, request: broker_pb2.DirectoryRequest, context: Any
    ) -> broker_pb2.DirectoryResponse:
        """Say whom the caller's agency may ask, as far as this broker knows."""
        peer = current_peer()
        federation = self._watch.current
        scope = federation.scope(peer.agency)
        entries = [
            broker_pb2.DirectoryEntry(
                agency=owner,
                name=federation.agencies[owner].name,
                agreements=[agreement.manifest.digest for agreement in agreements],
                reachable=federation.agencies[owner].node_endpoint() is not None,
            )
            for owner, agreements in sorted(scope.items())
            if owner in federation.agencies
        ]
        return broker_pb2.DirectoryResponse(entries=entries)

    async def _record(
        self, kind: str, peer: SpiffeId, routes: list[Route], more: list[dict[str, str]]
    ) -> None:
        """Append one record per route; all are durable when this returns."""
        records = [_record(kind, peer, r, extra) for r, extra in zip(routes, more, strict=True)]
        await asyncio.gather(*(self._audit.append(record) for record in records))


def _left_s(context: Any) -> float:
    """Return how long a call may take that is passed on whole."""
    return max(0.05, (context.time_remaining() or 0.0) - _MARGIN_S)


def _record(kind: str, peer: SpiffeId, routed: Route, extra: dict[str, str]) -> Record:
    fields = {"query_digest": routed.digest.hex(), "peer": str(peer)}
    if routed.verified is not None:
        fields = query_fields(routed.verified.query, routed.digest) | fields
    if routed.refused is None:
        fields |= {"decision": "allowed", "section": routed.section}
    else:
        refused = routed.refused
        fields |= {
            "decision": "refused",
            "code": refused.code.value,
            "section": refused.section,
            "text": refused.text,
            "detail": refused.detail,
            "mark": refused.mark.value,
        }
        if refused.mark.value in ("S", "H") and kind == "forward":
            log.warning("alert", code=refused.code.value, peer=str(peer))
    return Record(kind, fields | extra)


def _refused(routed: Route, refused: Refused) -> Came:
    outcome = claim(routed.agency, refused.code, refused.text, refused.section)
    return Came(outcome, None, "not forwarded", refused.code.value)


def _that_fit(came: list[Came]) -> list[Came]:
    """Return the outcomes; past what one message holds, an answer becomes a claim.

    The smallest first, so that one agency's long answer costs nobody else's.
    """
    room, fitting = MAX_ANSWERS, list(came)
    for index in sorted(range(len(came)), key=lambda i: came[i].outcome.ByteSize()):
        room -= came[index].outcome.ByteSize()
        if room < 0:
            text = "All answers together are too large: ask this agency alone, or for fewer rows."
            agency = came[index].outcome.agency
            said = claim(agency, Code.TOO_LARGE, text)
            fitting[index] = Came(said, None, Code.TOO_LARGE)
    return fitting


def _outcome_fields(came: Came) -> dict[str, str]:
    fields = {"outcome": came.kind, "detail": came.detail}
    if came.answer is not None:
        fields["count"] = str(came.answer.body.count)
        fields["answer_digest"] = hashlib.sha256(came.answer.body_bytes).hexdigest()
    if came.kind == Code.ANSWER_UNVERIFIED:
        fields["mark"] = CATALOGUE[Code.ANSWER_UNVERIFIED].mark.value
    return fields
