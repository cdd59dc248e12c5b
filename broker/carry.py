"""Deliveries: a node's own signed files, for the broker itself or for another party's node.

The broker keeps what its routing rests on (counterparts, instruments, heads)
and passes the rest on; it stores nothing to forward later, since the sender
tries again until the other node has acknowledged. It can't sign for a party,
and what it drops shows as a head that grows old.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import grpc
from grpc import aio

from accord.agencies import Agency, Endpoint
from accord.audit.leaf import Record
from accord.audit.log import AuditLog
from accord.audit.once import Once
from accord.clock import Clock
from accord.deliveries import DELIVERY, AgreementFile, check, file_from_wire, keep, missing
from accord.errors import Code, Refused
from accord.federation import Federation
from accord.federation_watch import FederationWatch
from accord.identity import SpiffeId
from accord.transport.channels import ChannelPool
from accord.transport.journal import Journal
from accord.wire.v1 import delivery_pb2, node_pb2_grpc

T = TypeVar("T")


class Carrier:
    """Takes and passes on; one file at a time is written."""

    def __init__(
        self,
        operator: str,
        watch: FederationWatch,
        audit: AuditLog,
        pool: ChannelPool,
        clock: Clock,
    ) -> None:
        self._operator = operator
        self._watch = watch
        self._clock = clock
        self._records = Once(audit, "delivery", DELIVERY)
        self._pool = pool
        self.journal = Journal(lambda fields: audit.append(Record("refusal", fields)), clock)
        self._lock = asyncio.Lock()

    async def carry(
        self, request: delivery_pb2.DeliverRequest, peer: SpiffeId, deadline_s: float
    ) -> delivery_pb2.DeliverResponse:
        """Keep the file, or return what the other party's node says to it.

        Raises:
            Refused: with the reason; recorded, each kind once a minute.
        """
        try:
            file = file_from_wire(request.file)
            if peer.agency != file.party:
                raise Refused(Code.METHOD_NOT_ALLOWED, detail="a node sends its own agency's files")
            if request.to == self._operator:
                return await self._kept(file, peer)
            return await self._passed_on(request, file, deadline_s)
        except Refused as refused:
            await self.journal.write(refused, peer, "Deliver")
            raise

    async def _kept(self, file: AgreementFile, peer: SpiffeId) -> delivery_pb2.DeliverResponse:
        async with self._lock:
            federation = self._watch.current
            last = self._watch.last_head(file.digest, file.party)
            now_ms = self._clock.now_ms()
            if await asyncio.to_thread(keep, file, federation, last_head=last, now_ms=now_ms):
                await asyncio.to_thread(self._watch.refresh, federation.folders[file.digest])
        if not file.is_head:
            fields = {
                "agency": file.party,
                "agreement": file.digest.hex(),
                "detail": f"{file.name} sha256:{file.received.sha256}",
                "decision": "held",
                "peer": str(peer),
            }
            await self._records.record(fields)
        lacks = await asyncio.to_thread(missing, file, self._watch.current)
        return delivery_pb2.DeliverResponse(missing=lacks)

    async def _passed_on(
        self, request: delivery_pb2.DeliverRequest, file: AgreementFile, deadline_s: float
    ) -> delivery_pb2.DeliverResponse:
        """Verify first: nobody uses the broker to send others what is no file of theirs."""
        federation = self._watch.current
        agreement, _ = await asyncio.to_thread(check, file, federation)
        if request.to not in agreement.parties - {file.party}:
            raise Refused(Code.WRONG_AUDIENCE, text="That agency is no other party of it.")
        agency, endpoint = node_of(federation, request.to)
        stub = node_pb2_grpc.NodeStub(self._pool.get(endpoint, agency.cas))
        return await passed_on(stub.Deliver(request, timeout=deadline_s), agency)


def node_of(federation: Federation, name: str) -> tuple[Agency, Endpoint]:
    """Return an agency and where its node listens.

    Raises:
        Refused: ``NODE_UNKNOWN``.
    """
    agency = federation.agencies.get(name)
    endpoint = agency.node_endpoint() if agency else None
    if agency is None or endpoint is None:
        raise Refused(Code.NODE_UNKNOWN)
    return agency, endpoint


async def passed_on(call: Awaitable[T], agency: Agency) -> T:
    """Return what a node says to what was passed on to it.

    Raises:
        Refused: ``NODE_TIMED_OUT``, ``NODE_UNREACHABLE``.
    """
    try:
        return await call
    except aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            raise Refused(Code.NODE_TIMED_OUT) from None
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            raise Refused(Code.NODE_UNREACHABLE) from None
        text = f"The node of {agency.id} did not take it ({error.code().name})."
        raise Refused(Code.NODE_UNREACHABLE, text=text) from None
