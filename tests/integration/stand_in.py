"""A federation in which the city's node is another program with the city's certificate."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from accord.clock import SystemClock
from accord.federation_watch import FederationWatch
from accord.transport.peers import PeerVerifier
from accord.transport.server import build_server
from accord.transport.tls import server_credentials
from accord.wire.v1 import node_pb2_grpc
from node.config import load_config
from tests.conftest import HOUR_MS, Federation, make_files, read_at


@asynccontextmanager
async def stand_in(
    base: Path,
    node: node_pb2_grpc.NodeServicer,
    *,
    signed_by: tuple[str, ...] = ("city", "harbor"),
    node_deadline_s: float = 5.0,
) -> AsyncIterator[Federation]:
    """Run harbor's and county's nodes, the broker, and ``node`` at the city.

    The county holds four reads of the test's plate.
    """
    clock = SystemClock()
    files = make_files(base, clock)
    for party in {"city", "harbor"} - set(signed_by):
        (base / "agreements" / "city-harbor" / "counterparts" / f"{party}.json").unlink()
    files.build()
    broker = files.folder("exchange") / "broker.toml"
    text = broker.read_text()
    assert "node_deadline_s = 5.0" in text
    broker.write_text(text.replace("= 5.0", f"= {node_deadline_s}"))
    async with AsyncExitStack() as stack:
        federation = Federation(files, clock, stack)
        for agency in ("harbor", "county"):
            await federation.start_node(agency)
        now = clock.now_ms()
        reads = [read_at(now - hours * HOUR_MS) for hours in range(1, 5)]
        federation.nodes["county"].context.store.add(reads)
        config = load_config(files.folder("city") / "node.toml")
        watch = FederationWatch(config.federation, config.roots)
        server, _ = await build_server(
            address=config.listen,
            credentials=server_credentials(
                lambda: config.load_tls(clock.now_ms()),
                lambda: [ca for a in watch.current.agencies.values() for ca in a.cas],
            ),
            verifier=PeerVerifier(watch.current.agencies.get, clock),
            add_services=lambda s: node_pb2_grpc.add_NodeServicer_to_server(node, s),
            health_services=(),
        )
        stack.push_async_callback(server.stop, None)
        # Last: a node that it has not reached it calls again after a while only.
        await federation.start_broker()
        yield federation
