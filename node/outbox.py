"""The outbox: our counterparts, instruments and heads reach every other party, and the brokers.

Whatever of ours is new in the federation folder is sent within a second or two,
through each broker in turn until one gets the other node's acknowledgement,
and to each broker for itself. What is not acknowledged is sent again, after one
second, two, four, and then once a minute, also after a restart. One receiver
that can't be reached keeps nothing from the others.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog
from grpc import aio

from accord.agencies import Endpoint, read_plain
from accord.agreements import heads, instruments
from accord.agreements.acknowledgements import Received, verify_acknowledgement
from accord.agreements.effective import Agreement
from accord.codec import envelope_from_wire
from accord.deliveries import AgreementFile, file_to_wire
from accord.errors import AccordError, Unverified
from accord.federation import Federation
from accord.identity import SpiffeId
from accord.transport.channels import ChannelPool
from accord.wire.v1 import broker_pb2_grpc, delivery_pb2
from node.acknowledged import Acknowledged
from node.context import Context
from node.receive import delivery_fields

log = structlog.get_logger()

DEADLINE_S = 8.0
FIRST_S, LAST_S = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class Parcel:
    """One file for one agency: another party, or a broker's operator."""

    to: str
    file: AgreementFile

    @property
    def key(self) -> tuple[str, Received]:
        """What tells it from every other."""
        return self.to, self.file.received


def own_files(agency: str, agreement: Agreement, folder: Path) -> Iterator[AgreementFile]:
    """Yield our own valid files of an agreement: what a head names comes before the head."""
    names = []
    if any(one.party == agency for one in agreement.counterparts):
        names.append(f"counterparts/{agency}.json")
    numbers = sorted(one.number for one in agreement.instruments if one.party == agency)
    names += [f"instruments/{instruments.file_name(agency, number)}" for number in numbers]
    if agreement.head_of(agency) is not None:
        names.append(f"heads/{heads.file_name(agency)}")
    for name in names:
        yield AgreementFile(agreement.manifest.digest, name, read_plain(folder / name))


class Outbox:
    """Sends what is due; :meth:`send` every second."""

    def __init__(self, node: Context, pool: ChannelPool, acknowledged: Acknowledged) -> None:
        self._node = node
        self._pool = pool
        self._acknowledged = acknowledged
        self._held = {(one.to, one.received) for one in acknowledged.read()}
        self._seen: Federation | None = None
        self._parcels: dict[str, list[Parcel]] = {}
        self._waiting: dict[tuple[str, Received], tuple[float, float]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._told: dict[str, str] = {}

    async def send(self) -> None:
        """Start sending whatever is due; each receiver has a task of its own."""
        federation = self._node.federation
        if federation is not self._seen:
            self._parcels = await asyncio.to_thread(self._packed, federation)
            self._seen = federation
        for to, parcels in self._parcels.items():
            due = [p for p in parcels if self._due(p)]
            task = self._running.get(to)
            if due and (task is None or task.done()):
                self._running[to] = asyncio.create_task(self._send_all(to, due))

    async def close(self) -> None:
        """Stop sending."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _due(self, parcel: Parcel) -> bool:
        at_s, _ = self._waiting.get(parcel.key, (0.0, 0.0))
        return parcel.key not in self._held and time.monotonic() >= at_s

    def _packed(self, federation: Federation) -> dict[str, list[Parcel]]:
        """Return every parcel that there is, by receiver."""
        agency = self._node.agency
        operators = sorted({SpiffeId.parse(broker).agency for broker in self._node.brokers})
        parcels: dict[str, list[Parcel]] = {}
        for digest, agreement in federation.agreements.items():
            if agency not in agreement.parties:
                continue
            try:
                files = list(own_files(agency, agreement, federation.folders[digest]))
            except AccordError as problem:
                log.warning("not sent", problem=str(problem))
                continue
            for to in (*sorted(agreement.parties - {agency}), *operators):
                parcels.setdefault(to, []).extend(Parcel(to, file) for file in files)
        return parcels

    async def _send_all(self, to: str, parcels: list[Parcel]) -> None:
        """Send in order; what comes after one that failed is tried all the same."""
        problem = ""
        for parcel in parcels:
            try:
                await self._send(parcel)
                self._waiting.pop(parcel.key, None)
                continue
            except aio.AioRpcError as error:
                problem = f"{error.code().name}: {error.details()}"
            except Unverified as error:
                problem = str(error)
                log.warning("alert: an acknowledgement can't be verified", of=to, problem=problem)
            except (AccordError, OSError) as error:
                problem = str(error)
            _, before = self._waiting.get(parcel.key, (0.0, FIRST_S / 2))
            delay = min(LAST_S, before * 2)
            self._waiting[parcel.key] = (time.monotonic() + delay, delay)
        if problem and problem != self._told.get(to):
            log.warning("not delivered yet", to=to, problem=problem)
        self._told[to] = problem

    async def _send(self, parcel: Parcel) -> None:
        """Send one parcel; it is acknowledged, and that is on the disk, when this returns."""
        failure: Exception | None = None
        for endpoint in self._brokers(parcel.to):
            try:
                await self._through(endpoint, parcel)
                return
            except (aio.AioRpcError, Unverified) as error:
                failure = error
        if failure is not None:
            raise failure
        raise Unreachable("no broker's address is known here")

    def _brokers(self, to: str) -> Iterator[Endpoint]:
        """Yield the brokers that may carry a parcel: for itself, each alone."""
        agencies = self._node.federation.agencies
        for broker in sorted(self._node.brokers):
            operator = agencies.get(SpiffeId.parse(broker).agency)
            if operator is None or (self._is_operator(to) and operator.id != to):
                continue
            yield from (one for one in operator.endpoints if str(one.spiffe) == broker)

    def _is_operator(self, to: str) -> bool:
        return any(SpiffeId.parse(broker).agency == to for broker in self._node.brokers)

    async def _through(self, endpoint: Endpoint, parcel: Parcel) -> None:
        node, file = self._node, parcel.file
        cas = node.federation.agencies[endpoint.spiffe.agency].cas
        stub = broker_pb2_grpc.BrokerStub(self._pool.get(endpoint, cas))
        request = delivery_pb2.DeliverRequest(to=parcel.to, file=file_to_wire(file))
        response = await stub.Deliver(request, timeout=DEADLINE_S)
        at_ms, signed = node.clock.now_ms(), None
        if not self._is_operator(parcel.to):
            signed = envelope_from_wire(response.acknowledgement)
            receiver = node.federation.agencies[parcel.to]
            at_ms = verify_acknowledgement(signed, file.received, receiver)
        if not file.is_head:
            await node.record("acknowledged", delivery_fields(file, parcel.to, endpoint.spiffe))
        await asyncio.to_thread(self._acknowledged.keep, parcel.to, file.received, at_ms, signed)
        self._held.add(parcel.key)


class Unreachable(AccordError):
    """Nobody carries a parcel."""
