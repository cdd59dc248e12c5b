"""The Node service: thin. It unwraps, calls the decision, wraps."""

from typing import Any

from accord.codec import envelope_from_wire, envelope_to_wire
from accord.deliveries import file_from_wire
from accord.envelope import Signature
from accord.errors import Code, Refused
from accord.identity import SpiffeId
from accord.transport.journal import Journal
from accord.transport.server import current_peer
from accord.wire.v1 import delivery_pb2, envelope_pb2, node_pb2, node_pb2_grpc, witness_pb2
from node.answer import answer
from node.context import Context
from node.countersign import MAX_QUERIES, check_own_client, countersign, record_answer
from node.receive import Receiver
from node.refusals import refuse_unverified
from node.witness import Witness


class NodeService(node_pb2_grpc.NodeServicer):
    """See proto/accord/wire/v1/node.proto."""

    def __init__(self, node: Context, witness: Witness) -> None:
        self._node = node
        self._witness = witness
        self._receiver = Receiver(node)
        self._journal = Journal(lambda fields: node.record("refusal", fields), node.clock)

    async def Answer(
        self, request: node_pb2.AnswerRequest, context: Any
    ) -> node_pb2.AnswerResponse:
        """Answer one query."""
        envelope = envelope_from_wire(request.query)
        signed = await answer(self._node, envelope, current_peer())
        return node_pb2.AnswerResponse(answer=envelope_to_wire(signed))

    async def Countersign(
        self, request: node_pb2.CountersignRequest, context: Any
    ) -> node_pb2.CountersignResponse:
        """Countersign the queries of one of our officers, one result each."""
        peer = await self._own_client()
        if not 1 <= len(request.queries) <= MAX_QUERIES:
            raise Refused(Code.BAD_QUERY, text=f"Send 1 to {MAX_QUERIES} queries at once.")
        credential = envelope_from_wire(request.credential)
        response = node_pb2.CountersignResponse()
        for wire in request.queries:
            given = await countersign(self._node, credential, envelope_from_wire(wire), peer)
            result = response.results.add()
            if isinstance(given, Signature):
                signature = envelope_pb2.Signature(sig=given.sig, keyid=given.keyid)
                result.signature.CopyFrom(signature)
            else:
                result.refusal.CopyFrom(envelope_to_wire(given))
        return response

    async def RecordAnswer(
        self, request: node_pb2.RecordAnswerRequest, context: Any
    ) -> node_pb2.RecordAnswerResponse:
        """Record in our own book what came back for one of our queries."""
        peer = await self._own_client()
        entry = await record_answer(
            self._node, envelope_from_wire(request.query), request.outcome, peer
        )
        return node_pb2.RecordAnswerResponse(index=entry.index)

    async def Deliver(
        self, request: delivery_pb2.DeliverRequest, context: Any
    ) -> delivery_pb2.DeliverResponse:
        """Keep a signed file of another party, and acknowledge it."""
        peer = current_peer()
        try:
            file = file_from_wire(request.file)
            return await self._receiver.receive(request.to, file, peer)
        except Refused as refused:
            await self._journal.write(refused, peer, "Deliver")
            raise

    async def Witness(
        self, request: witness_pb2.WitnessRequest, context: Any
    ) -> witness_pb2.WitnessResponse:
        """Answer another agency's log as its witness."""
        peer = current_peer()
        try:
            return await self._witness.answer(request, peer)
        except Refused as refused:
            await self._journal.write(refused, peer, "Witness")
            raise

    async def _own_client(self) -> SpiffeId:
        """Return the caller, who must be a client of our own agency; else record it."""
        peer = current_peer()
        try:
            check_own_client(self._node, peer)
        except Refused as refused:
            raise await refuse_unverified(self._node, refused, peer, b"") from None
        return peer
