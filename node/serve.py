"""Start and stop a node: open what it needs, refuse to start on anything doubtful."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from cryptography import x509
from grpc import aio

from accord.clock import Clock
from accord.durable import make_folder
from accord.errors import InputError
from accord.identity import KeyRole, SpiffeId
from accord.keys import PrivateKey, read_secret_32
from accord.processes import every
from accord.transport.health import Readiness
from accord.transport.peers import PeerVerifier
from accord.transport.server import build_server
from accord.transport.tls import OwnCertificate, server_credentials
from accord.wire.v1 import node_pb2_grpc
from node import metrics
from node.config import NodeConfig
from node.context import Context
from node.delivered import Delivered
from node.halt import Halt
from node.leader import CLOCK_S, Leader
from node.leading import Leading
from node.leap import Leap
from node.opened import require_whole
from node.opened_log import log_place, open_log, require_own
from node.photos import Photos
from node.purging import Purging
from node.readiness import why_not_ready
from node.replay import ReplayGuard
from node.service import NodeService
from node.sources import Sources
from node.store.opening import open_common, open_memory, open_store
from node.ways.intake import Account
from node.ways.running import made
from node.witness import Witness
from node.witnessed import Witnessed, look, witnesses

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RunningNode:
    """A process that serves: its parts, its port, its sources' accounts while it leads."""

    context: Context
    server: aio.Server
    port: int
    accounts: Sequence[Account]


@asynccontextmanager
async def running_node(config: NodeConfig, clock: Clock) -> AsyncIterator[RunningNode]:
    """Serve until the block is left; calls in flight get a few seconds to end.

    Raises:
        InputError: a file, key or setting that a person must mend.
    """
    require_whole(config.data)
    make_folder(config.data, 0o700)
    leap = Leap(config.data, clock)
    sources = Sources(
        config.agency,
        config.federation,
        config.roots,
        config.policy,
        config.roster,
        config.data,
    )
    sources.refresh()
    sources.require()
    tls = OwnCertificate(lambda: config.load_tls(clock.now_ms()), config.own_id, config.certificate)
    signer = config.load_signer()
    witness_key = PrivateKey.load(config.witness_key)
    _check_published(sources, config, signer, witness_key)
    with contextlib.ExitStack() as stack:
        require_own(config)
        store = open_store(config, serving=True, clock=clock)
        stack.callback(store.close)
        common = open_common(config, clock)
        stack.callback(common.close)
        guard = ReplayGuard(common.claims, clock)
        stack.callback(guard.close)
        memory = open_memory(config)
        stack.callback(memory.close)
        halt = Halt(memory)
        halt.look()
        audit = open_log(config, clock)
        stack.callback(audit.close)
        context = Context(
            agency=config.agency,
            signer=signer,
            clock=clock,
            sources=sources,
            delivered=Delivered(config.data, sources.refresh),
            store=store,
            photos=Photos(config.data / "photos"),
            guard=guard,
            counting=common.counting,
            audit=audit,
            secret=read_secret_32(config.names_secret),
            halt=halt,
            brokers=config.brokers,
            bands=config.bands,
        )
        roots = _peer_roots(sources, config)
        purging = Purging(context, leap)
        ready = Readiness(lambda: why_not_ready(context, purging.stop))
        server, port = await build_server(
            address=config.listen,
            credentials=server_credentials(tls.current, roots),
            verifier=PeerVerifier(lambda agency: sources.federation.agency(agency), clock),
            add_services=lambda s: node_pb2_grpc.add_NodeServicer_to_server(
                NodeService(context, Witness(context, memory, witness_key)), s
            ),
            health_services=("accord.wire.v1.Node",),
            ready=ready,
            record=lambda fields: context.record("refusal", fields),
        )
        try:
            await context.record("start", {"agency": config.agency, "decision": "serving"})
            leader = Leader(context, config, purging, tls, memory)
            leading = Leading(common.seat, leader.working, lambda: not audit.failed)
            async with (
                leading.running(),
                _periodic(context, config, leader, leading),
                ready.looking(),
            ):
                log.info("serving", agency=config.agency, node=config.name, port=port)
                yield RunningNode(context, server, port, leader.accounts)
        finally:
            await server.stop(grace=5)


def _peer_roots(sources: Sources, config: NodeConfig) -> Callable[[], Sequence[x509.Certificate]]:
    """CAs of our own clients and of the brokers we authorised: nobody else connects."""
    names = {config.agency, *(SpiffeId.parse(broker).agency for broker in config.brokers)}

    def roots() -> Sequence[x509.Certificate]:
        agencies = sources.federation.agencies
        return [ca for name in sorted(names) if name in agencies for ca in agencies[name].cas]

    return roots


def _check_published(
    sources: Sources, config: NodeConfig, signer: PrivateKey, witness: PrivateKey
) -> None:
    """Refuse to start with a key that our agency.toml does not publish."""
    own = sources.federation.agencies[config.agency]
    audit = PrivateKey.load(config.audit_key)
    for role, path, key, so in (
        (KeyRole.NODE, config.node_key, signer, ""),
        (KeyRole.AUDIT, config.audit_key, audit, ", so nobody could check our receipts"),
        (KeyRole.WITNESS, config.witness_key, witness, ", so our cosignatures would not count"),
    ):
        if key.public not in own.keys_for(role):
            raise InputError(
                path,
                f"is no {role} key that agency.toml publishes{so}",
                "use the published key, or publish this one: accord certs publish",
            )


@asynccontextmanager
async def _periodic(
    context: Context, config: NodeConfig, leader: Leader, leading: Leading
) -> AsyncIterator[None]:
    """Do what every process of the node does while it serves, whoever leads."""

    async def refresh() -> None:
        await asyncio.to_thread(context.sources.refresh)
        leader.refreshed.set()
        await asyncio.to_thread(context.halt.look)

    async def glance() -> None:
        if not leading.leads:
            await leader.purging.glance()

    async def forget() -> None:
        if not leading.leads:
            # What the leader's purge deletes does not stay in this process' memory.
            await asyncio.to_thread(context.store.refresh)

    def witnessed() -> Witnessed:
        asked = witnesses(
            context.federation, context.agency, config.witnesses, context.clock.now_ms()
        )
        return look(log_place(config), leader.memory, config.witnesses, asked)

    async def write_metrics() -> None:
        try:
            await asyncio.to_thread(
                metrics.write, context, config.name, config.metrics, tuple(leader.accounts),
                leader.purging, leads=leading.leads, witnessed=witnessed,
            )  # fmt: skip
        except InputError as error:
            # Figures are no reason to stop answering.
            log.warning("metrics not written", problem=str(error))

    if not leading.leads:
        # One day it may: what a person must mend is told now.
        async with made(context, config, lambda: False):
            pass
        await glance()
    await write_metrics()
    tasks = [
        asyncio.create_task(every(metrics.EVERY_S, write_metrics)),
        asyncio.create_task(every(1.0, refresh)),
        asyncio.create_task(every(CLOCK_S, glance)),
        asyncio.create_task(every(config.purge_every_s, forget)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
