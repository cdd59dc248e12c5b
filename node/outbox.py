"""The outbox: our counterparts, instruments and heads reach every other party, and the brokers.

Whatever of ours is new in the federation folder is sent within a second or two,
through each broker in turn until one gets the other node's acknowledgement,
and to each broker for itself. What is not acknowledged is sent again, after one
second, two, four, and then once a minute, also after a restart. One receiver
that can't be reached keeps nothing from the others. What counsel signed goes
before everything else that waits, and a broker that failed last is tried last.
What a receiver says that it lacks, when it gets a head, is sent to it again.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import structlog
from grpc import aio

from accord.agencies import Endpoint, read_plain
from accord.agreements import heads, instruments
from accord.agreements.acknowledgements import verify_acknowledgement
from accord.agreements.effective import Agreement
from accord.codec import envelope_from_wire
from accord.deliveries import AgreementFile, file_to_wire
from accord.errors import AccordError, Unverified
from accord.federation import Federation
from accord.identity import SpiffeId
from accord.transport.channels import ChannelPool
from accord.wire.v1 import broker_pb2_grpc, delivery_pb2
from node.acknowledged import Acknowledged
from node.brokers import Brokers, Unreachable
from node.context import Context
from node.receive import delivery_fields

log = structlog.get_logger()

DEADLINE_S = 8.0
FIRST_S, LAST_S = 1.0, 60.0
# What another program says may be of any length, and goes into our log.
MAX_SAID = 200


Key = tuple[str, str, str]
"""Receiver, digest of the agreement (hex), and name of a file in its folder."""


@dataclass(frozen=True)
class Parcel:
    """One file for one agency: another party, or a broker's operator."""

    to: str
    file: AgreementFile

    @cached_property
    def key(self) -> Key:
        """Whose copy of which file it is."""
        return self.to, self.file.received.manifest, self.file.name

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the bytes, 64 hex digits: a head is another one every few hours."""
        return self.file.received.sha256


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
        known = acknowledged.read(node.federation.agencies)
        # Of each file the last bytes alone: heads come for years.
        self._held = {
            (one.to, one.received.manifest, one.received.file): one.received.sha256 for one in known
        }
        self._seen: Federation | None = None
        self._files: dict[bytes, tuple[Agreement, Path, list[AgreementFile]]] = {}
        self._parcels: dict[str, list[Parcel]] = {}
        self._waiting: dict[Key, tuple[str, float, float]] = {}
        self._brokers = Brokers(node)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._told: dict[str, str] = {}

    async def send(self) -> None:
        """Start sending whatever is due; each receiver has a task of its own."""
        federation = self._node.federation
        if federation is not self._seen:
            self._parcels = await asyncio.to_thread(self._packed, federation)
            self._seen = federation
            there = {parcel.key for some in self._parcels.values() for parcel in some}
            self._waiting = {key: held for key, held in self._waiting.items() if key in there}
        for to in self._parcels:
            task = self._running.get(to)
            if (task is None or task.done()) and self._next(to) is not None:
                self._running[to] = asyncio.create_task(self._send_all(to))

    async def close(self) -> None:
        """Stop sending."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _next(self, to: str) -> Parcel | None:
        """Return what is sent next to a receiver, by what there is now; None: nothing is due."""
        return next((parcel for parcel in self._parcels.get(to, ()) if self._due(parcel)), None)

    def _due(self, parcel: Parcel) -> bool:
        if self._held.get(parcel.key) == parcel.sha256:
            return False
        of, at_s, _ = self._waiting.get(parcel.key, ("", 0.0, 0.0))
        return of != parcel.sha256 or time.monotonic() >= at_s

    def _packed(self, federation: Federation) -> dict[str, list[Parcel]]:
        """Return every parcel that there is, by receiver: instruments first."""
        agency = self._node.agency
        operators = sorted({SpiffeId.parse(broker).agency for broker in self._node.brokers})
        parcels: dict[str, list[Parcel]] = {}
        for digest, agreement in federation.agreements.items():
            if agency not in agreement.parties:
                continue
            try:
                files = self._own(digest, agreement, federation.folders[digest])
            except AccordError as problem:
                log.warning("not sent", problem=str(problem))
                continue
            for to in (*sorted(agreement.parties - {agency}), *operators):
                parcels.setdefault(to, []).extend(Parcel(to, file) for file in files)
        self._files = {d: held for d, held in self._files.items() if d in federation.agreements}
        for some in parcels.values():
            some.sort(key=lambda parcel: not parcel.file.name.startswith("instruments/"))
        return parcels

    def _own(self, digest: bytes, agreement: Agreement, folder: Path) -> list[AgreementFile]:
        """Return our files of an agreement; one that did not change is not read again."""
        held = self._files.get(digest)
        if held is None or held[0] is not agreement or held[1] != folder:
            files = list(own_files(self._node.agency, agreement, folder))
            held = self._files[digest] = (agreement, folder, files)
        return held[2]

    async def _send_all(self, to: str) -> None:
        """Send what is due, one after the other; what came in between goes in its place."""
        problem = ""
        while (parcel := self._next(to)) is not None:
            try:
                await self._send(parcel)
                self._waiting.pop(parcel.key, None)
                continue
            except aio.AioRpcError as error:
                problem = f"{error.code().name}: {(error.details() or '')[:MAX_SAID]!r}"
            except Unverified as error:
                problem = str(error)
                log.warning("alert: an acknowledgement can't be verified", of=to, problem=problem)
            except (AccordError, OSError) as error:
                problem = str(error)
            of, _, before = self._waiting.get(parcel.key, ("", 0.0, 0.0))
            delay = min(LAST_S, before * 2) if of == parcel.sha256 else FIRST_S
            self._waiting[parcel.key] = (parcel.sha256, time.monotonic() + delay, delay)
        if problem and problem != self._told.get(to):
            log.warning("not delivered yet", to=to, problem=problem)
        self._told[to] = problem

    async def _send(self, parcel: Parcel) -> None:
        """Send one parcel; it is acknowledged, and that is on the disk, when this returns."""
        failure: Exception | None = None
        for endpoint in self._brokers.carrying(parcel.to):
            try:
                await self._through(endpoint, parcel)
                self._brokers.carried(endpoint)
                return
            except (aio.AioRpcError, Unverified) as error:
                failure = error
                self._brokers.failed(endpoint)
        if failure is not None:
            raise failure
        raise Unreachable("no broker's address is known here")

    async def _through(self, endpoint: Endpoint, parcel: Parcel) -> None:
        node, file = self._node, parcel.file
        agencies = node.federation.agencies
        receiver = agencies.get(parcel.to)
        if receiver is None:
            raise Unreachable(f"no valid agency.toml of {parcel.to} is held here")
        cas = agencies[endpoint.spiffe.agency].cas
        stub = broker_pb2_grpc.BrokerStub(self._pool.get(endpoint, cas))
        request = delivery_pb2.DeliverRequest(to=parcel.to, file=file_to_wire(file))
        response = await stub.Deliver(request, timeout=DEADLINE_S)
        at_ms, signed = node.clock.now_ms(), None
        if not self._brokers.is_operator(parcel.to):
            signed = envelope_from_wire(response.acknowledgement)
            at_ms = verify_acknowledgement(signed, file.received, receiver)
        if not file.is_head:
            await node.record("acknowledged", delivery_fields(file, parcel.to, endpoint.spiffe))
        await asyncio.to_thread(self._acknowledged.keep, parcel.to, file.received, at_ms, signed)
        self.delivered(parcel, response.missing)

    def delivered(self, parcel: Parcel, missing: Iterable[str]) -> None:
        """Note that a receiver holds a file, and which of our others it says that it lacks.

        Whoever says so untruly gets what it has once more.
        """
        self._held[parcel.key] = parcel.sha256
        for name in missing:
            self._held.pop((parcel.to, parcel.file.received.manifest, name), None)
