"""Start and stop a broker."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from grpc import aio

from accord.audit.file import LogFile
from accord.audit.leaf import Record
from accord.audit.log import AuditLog
from accord.clock import Clock
from accord.durable import make_folder
from accord.errors import InputError
from accord.federation_watch import FederationWatch
from accord.keys import PrivateKey, read_secret_32
from accord.pins import FILE_NAME, Pins
from accord.processes import every
from accord.transport.channels import ChannelPool
from accord.transport.health import Readiness
from accord.transport.peers import PeerVerifier
from accord.transport.server import build_server
from accord.transport.tls import OwnCertificate, server_credentials
from accord.wire.v1 import broker_pb2_grpc
from broker.carry import Carrier
from broker.config import BrokerConfig
from broker.fanout import Fanout
from broker.service import BrokerService
from broker.witnesses import Witnesses

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RunningBroker:
    """A broker that serves, and the port it listens on."""

    server: aio.Server
    port: int
    audit: AuditLog


@asynccontextmanager
async def running_broker(config: BrokerConfig, clock: Clock) -> AsyncIterator[RunningBroker]:
    """Serve until the block is left; calls in flight get a few seconds to end.

    Raises:
        InputError: a file, key or setting that a person must mend.
    """
    make_folder(config.data, 0o700)
    pins = Pins.open(config.data / FILE_NAME)
    watch = FederationWatch(config.federation, config.roots, pins)
    watch.refresh()
    _report(watch)
    if config.operator not in watch.current.agencies:
        problems = "; ".join(str(problem) for problem in watch.current.problems)
        raise InputError(
            config.federation, f"holds no valid agency.toml of {config.operator}", problems
        )
    tls = OwnCertificate(lambda: config.load_tls(clock.now_ms()), config.own_id, config.certificate)
    with contextlib.ExitStack() as stack:
        audit = AuditLog.open(
            LogFile(config.data / "audit.db"),
            origin=f"{config.operator}/broker",
            key=PrivateKey.load(config.audit_key),
            secret=read_secret_32(config.audit_secret),
            clock=clock,
        )
        stack.callback(audit.close)
        pool = ChannelPool(tls.current())
        carrier = Carrier(config.operator, watch, audit, pool, clock)
        witnesses = Witnesses(watch, pool, carrier.journal, clock)
        service = BrokerService(
            watch, audit, Fanout(pool), clock, config.node_deadline_s, config.operator, carrier,
            witnesses,
        )  # fmt: skip
        ready = Readiness(lambda: _why_not_ready(config.operator, watch, audit))
        server, port = await build_server(
            address=config.listen,
            credentials=server_credentials(
                tls.current,
                lambda: [ca for agency in watch.current.agencies.values() for ca in agency.cas],
            ),
            verifier=PeerVerifier(lambda agency: watch.current.agency(agency), clock),
            add_services=lambda s: broker_pb2_grpc.add_BrokerServicer_to_server(service, s),
            health_services=("accord.wire.v1.Broker",),
            ready=ready,
            record=lambda fields: audit.append(Record("refusal", fields)),
        )
        start = {"agency": config.operator, "decision": "serving"}
        await audit.append(Record("start", start))
        log.info("serving", operator=config.operator, broker=config.name, port=port)

        async def refresh() -> None:
            """Read the folder again if it changed, and our own certificate."""
            if await asyncio.to_thread(watch.refresh):
                _report(watch)
            pool.renew(await asyncio.to_thread(tls.current))

        task = asyncio.create_task(every(1.0, refresh))
        try:
            async with ready.looking():
                yield RunningBroker(server, port, audit)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await server.stop(grace=5)
            await pool.close()


def _why_not_ready(operator: str, watch: FederationWatch, audit: AuditLog) -> list[str]:
    """Return why nothing can be forwarded now, if so."""
    federation, why = watch.current, []
    if not federation.readable:
        why.append("the federation folder can't be used")
    elif operator not in federation.agencies:
        why.append("our own agency.toml is not valid")
    if audit.failed:
        why.append("the audit log can't be written")
    return why


def _report(watch: FederationWatch) -> None:
    for problem in watch.current.problems:
        log.warning("left out of the federation", problem=str(problem))
