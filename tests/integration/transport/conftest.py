"""A node and a broker that run, one at a time, and leaves to call them with."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from accord.clock import SystemClock
from accord.identity import PeerRole, SpiffeId
from accord.testing import FederationSimulator, FixedClock
from broker.config import load_config as load_broker_config
from broker.serve import RunningBroker, running_broker
from node.config import load_config as load_node_config
from node.serve import RunningNode, running_node
from tests.conftest import make_files
from tests.integration.transport.kit import Leaf, Target, issued


@dataclass
class House:
    """The files of a federation, and the servers of it that were started."""

    files: FederationSimulator
    clock: FixedClock
    stack: AsyncExitStack
    node: RunningNode | None = None
    broker: RunningBroker | None = None

    async def start_node(self, agency: str = "city") -> Target:
        """Start one node, on the clock of the house."""
        config = load_node_config(self.files.folder(agency) / "node.toml")
        self.node = await self.stack.enter_async_context(running_node(config, self.clock))
        return Target(self.node.port, config.own_id, self.ca(agency))

    async def start_broker(self) -> Target:
        """Start the broker, on the clock of the house."""
        config = load_broker_config(self.files.folder("exchange") / "broker.toml")
        self.broker = await self.stack.enter_async_context(running_broker(config, self.clock))
        return Target(self.broker.port, config.own_id, self.ca("exchange"))

    async def start(self, kind: str) -> Target:
        """Start the node of the city, or the broker."""
        return await (self.start_node() if kind == "node" else self.start_broker())

    def ca(self, agency: str) -> bytes:
        return (self.files.folder(agency) / "ca" / "ca.crt").read_bytes()

    def client(self, agency: str = "city") -> Leaf:
        """Return the leaf of an agency's own client."""
        return issued(self.files, agency, PeerRole.CLIENT, "desk-o-1")

    def peer(self, agency: str, role: PeerRole) -> Leaf:
        return issued(self.files, agency, role, "main")


def client_id(agency: str) -> str:
    return str(SpiffeId(agency, PeerRole.CLIENT, "desk"))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    files = make_files(tmp_path, SystemClock())
    files.build()
    async with AsyncExitStack() as stack:
        yield House(files, FixedClock(SystemClock().now_ms()), stack)


@pytest.fixture(params=["node", "broker"])
async def target(request: pytest.FixtureRequest, house: House) -> Target:
    """The city's node, then the broker."""
    return await house.start(request.param)
