"""Start and stop a node: open what it needs, refuse to start on anything doubtful."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from cryptography import x509
from grpc import aio

from accord.agreements.calendar import Event, due
from accord.clock import Clock, iso
from accord.durable import make_folder
from accord.errors import InputError, Refused
from accord.identity import SpiffeId
from accord.keys import PrivateKey, read_secret_32
from accord.processes import every
from accord.transport.channels import ChannelPool
from accord.transport.health import Readiness
from accord.transport.peers import PeerVerifier
from accord.transport.server import build_server
from accord.transport.tls import OwnCertificate, server_credentials
from accord.wire.v1 import node_pb2_grpc
from node import metrics
from node.acknowledged import Acknowledged
from node.activations import ActivationRecords
from node.ahead import days_ahead
from node.config import NodeConfig
from node.context import Context
from node.head_keeper import HeadKeeper
from node.head_records import HeadRecords
from node.leap import Leap
from node.list_ages import Age, ListAges
from node.opened import require_whole
from node.opened_log import open_log
from node.outbox import Outbox
from node.permission_history import PermissionHistory
from node.permission_watch import look_again
from node.photos import Photos
from node.purging import Purging
from node.readiness import why_not_ready
from node.replay import ReplayGuard
from node.retention_records import RetentionRecords
from node.service import NodeService
from node.sources import Sources
from node.store.opening import open_common, open_store
from node.ways.intake import Account
from node.ways.running import accounts_logged, taking

log = structlog.get_logger()

LISTS_S = 60.0
CLOCK_S = 60.0


@dataclass(frozen=True, slots=True)
class RunningNode:
    """A node that serves: its parts, the port it listens on, its sources' accounts."""

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
    _check_published(sources, config, signer)
    with contextlib.ExitStack() as stack:
        store = open_store(config, serving=True, clock=clock)
        stack.callback(store.close)
        common = open_common(config, clock)
        stack.callback(common.close)
        guard = ReplayGuard(common.claims, clock)
        stack.callback(guard.close)
        audit = open_log(config, clock)
        stack.callback(audit.close)
        context = Context(
            agency=config.agency,
            signer=signer,
            clock=clock,
            sources=sources,
            store=store,
            photos=Photos(config.data / "photos"),
            guard=guard,
            counting=common.counting,
            audit=audit,
            secret=read_secret_32(config.names_secret),
            brokers=config.brokers,
            bands=config.bands,
        )
        pool = ChannelPool(tls.current())
        outbox = Outbox(context, pool, Acknowledged(config.data))
        keeper = HeadKeeper(config.agency, sources, signer, clock)
        await asyncio.to_thread(keeper.keep)
        roots = _peer_roots(sources, config)
        purging = Purging(context, leap)
        ready = Readiness(lambda: why_not_ready(context, purging.stop))
        server, port = await build_server(
            address=config.listen,
            credentials=server_credentials(tls.current, roots),
            verifier=PeerVerifier(lambda agency: sources.federation.agency(agency), clock),
            add_services=lambda s: node_pb2_grpc.add_NodeServicer_to_server(
                NodeService(context), s
            ),
            health_services=("accord.wire.v1.Node",),
            ready=ready,
            record=lambda fields: context.record("refusal", fields),
        )
        try:
            await purging.look()
            await context.record("start", {"agency": config.agency, "decision": "serving"})
            activated = ActivationRecords(context)
            head_records = HeadRecords(context)
            recorded = (activated, head_records, RetentionRecords(context))
            for records in recorded:
                await records.record()
            log.info("serving", agency=config.agency, node=config.name, port=port)
            async with (
                taking(context, config, lambda: purging.stop is None) as accounts,
                _periodic(context, config, recorded, keeper, accounts, purging),
                _sending(outbox, pool, tls),
                ready.looking(),
            ):
                yield RunningNode(context, server, port, accounts)
        finally:
            await server.stop(grace=5)


def _peer_roots(sources: Sources, config: NodeConfig) -> Callable[[], Sequence[x509.Certificate]]:
    """CAs of our own clients and of the brokers we authorised: nobody else connects."""
    names = {config.agency, *(SpiffeId.parse(broker).agency for broker in config.brokers)}

    def roots() -> Sequence[x509.Certificate]:
        agencies = sources.federation.agencies
        return [ca for name in sorted(names) if name in agencies for ca in agencies[name].cas]

    return roots


def _check_published(sources: Sources, config: NodeConfig, signer: PrivateKey) -> None:
    """Refuse to start with a key that our agency.toml does not publish."""
    own = sources.federation.agencies[config.agency]
    if signer.public not in own.keys_for("node"):
        raise InputError(
            config.node_key,
            "is not a node key that agency.toml publishes",
            "use the published key, or publish this one: accord certs publish",
        )


@asynccontextmanager
async def _periodic(
    context: Context,
    config: NodeConfig,
    recorded: Sequence[ActivationRecords | HeadRecords | RetentionRecords],
    keeper: HeadKeeper,
    accounts: Sequence[Account],
    purging: Purging,
) -> AsyncIterator[None]:
    """Read changed files, purge and tell what lies ahead, while serving."""
    changed = asyncio.Event()
    changed.set()  # the first look is at once
    history = PermissionHistory(config.data)

    seen = context.sources.changes

    async def refresh() -> None:
        nonlocal seen
        await asyncio.to_thread(context.sources.refresh)
        await asyncio.to_thread(keeper.keep)
        # A delivery refreshes too, before this does.
        if context.sources.changes != seen:
            seen = context.sources.changes
            changed.set()
        for records in recorded:
            await records.record()

    async def look() -> None:
        await look_again(context.agency, context.sources, history, context.clock, changed)

    told: set[tuple[Event, int]] = set()

    async def tell_ahead() -> None:
        """Log what lies 90, 60 or 30 days ahead, each once, and again after a restart."""
        today, found = days_ahead(context)
        for event, days, stage in due(found, today):
            if (event, stage) not in told:
                told.add((event, stage))
                log.warning("a day lies ahead", of=event.agreement, on=str(event.day), days=days,
                            section=event.section, what=event.text)  # fmt: skip

    ages = ListAges()

    async def tell_lists() -> None:
        """Log each hot list that went stale, or past its hard limit, once."""
        try:
            held = await asyncio.to_thread(context.store.hot_lists.lists)
        except Refused as problem:
            log.warning("the ages of the hot lists can't be told", problem=problem.text)
            return
        for one, age in ages.news(held, context.clock.now_ms()):
            published = iso(one.published_ms)
            if age is Age.NOT_MATCHED:
                log.error("alert: a hot list is past its hard limit and matches nothing",
                          list=one.name, published=published)  # fmt: skip
            else:
                log.warning("a hot list is stale", list=one.name, published=published)

    async def write_metrics() -> None:
        try:
            await asyncio.to_thread(
                metrics.write, context, config.name, config.metrics, accounts, purging
            )
        except InputError as error:
            # Figures are no reason to stop answering.
            log.warning("metrics not written", problem=str(error))

    await tell_ahead()
    await tell_lists()
    await write_metrics()
    tasks = [
        asyncio.create_task(every(metrics.EVERY_S, write_metrics)),
        asyncio.create_task(accounts_logged(accounts)),
        asyncio.create_task(every(1.0, refresh)),
        asyncio.create_task(every(0.0, look)),
        asyncio.create_task(every(3600.0, tell_ahead)),
        asyncio.create_task(every(LISTS_S, tell_lists)),
        asyncio.create_task(every(CLOCK_S, purging.look)),
        asyncio.create_task(every(config.purge_every_s, purging.purge)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(InputError):
            history.stopped()


@asynccontextmanager
async def _sending(outbox: Outbox, pool: ChannelPool, tls: OwnCertificate) -> AsyncIterator[None]:
    """Send what is due, while serving."""

    async def send() -> None:
        pool.renew(await asyncio.to_thread(tls.current))
        await outbox.send()

    task = asyncio.create_task(every(0.5, send))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await outbox.close()
        await pool.close()
