"""Fixtures shared by all tests: a federation of real servers on real mutual TLS."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings

from accord.agreements.templates import MOA_ATTESTATIONS
from accord.client import AccordClient, Question
from accord.clock import SystemClock
from accord.demo.processes import free_port
from accord.model import PROHIBITED, ExactPlate, Purpose, Read, Window
from accord.roster import Officer
from accord.testing import FederationSimulator
from broker.config import load_config as load_broker_config
from broker.serve import RunningBroker, running_broker
from node.config import load_config as load_node_config
from node.serve import RunningNode, running_node
from tests.examples import WITH_MANY
from tests.postgres import database, other_postgres, postgres  # noqa: F401 - fixtures
from tests.stores import place, store, stores  # noqa: F401 - fixtures

# What a machine takes for an example says nothing of the code.
settings.register_profile("accord", deadline=None)
settings.load_profile("accord")

AGENCIES = ("city", "harbor", "county")
HOUR_MS = 3_600_000
PLATE = "9TST001"
FILES = {"activation", "delivery", "acknowledged", "head"}
EVERY_PURPOSE = frozenset(str(p) for p in Purpose if p not in PROHIBITED)


@dataclass
class Federation:
    """Servers that run, and the files they run on."""

    files: FederationSimulator
    clock: SystemClock
    stack: AsyncExitStack
    nodes: dict[str, RunningNode] = field(default_factory=dict)
    broker: RunningBroker | None = None

    async def start_node(self, agency: str) -> RunningNode:
        config = load_node_config(self.files.folder(agency) / "node.toml")
        self.nodes[agency] = await self.stack.enter_async_context(running_node(config, self.clock))
        return self.nodes[agency]

    async def start_broker(self) -> None:
        config = load_broker_config(self.files.folder("exchange") / "broker.toml")
        self.broker = await self.stack.enter_async_context(running_broker(config, self.clock))

    def client(self, agency: str = "harbor", officer: str = "O-1") -> AccordClient:
        return AccordClient.open(self.files.client_toml(agency, officer))

    def question(self, **changes: object) -> Question:
        now = self.clock.now_ms()
        fields: dict[str, object] = {
            "selector": ExactPlate(PLATE, "CA"),
            "purpose": "stolen-vehicle",
            "case_number": "T-1",
            "reason": "test",
            "attestations": MOA_ATTESTATIONS,
            "window": Window(now - 5 * 24 * HOUR_MS, now),
        }
        return Question(**(fields | changes))  # type: ignore[arg-type]

    def kinds(self, agency: str) -> list[str]:
        """Kinds of the entries in a node's audit log, in order, without those on files."""
        kinds = [entry.kind for entry in self.nodes[agency].context.audit.entries()]
        return [kind for kind in kinds if kind not in FILES]

    def last(self, agency: str) -> Mapping[str, str]:
        """Fields of the last entry that is not on files: heads are recorded whenever they come."""
        entries = list(self.nodes[agency].context.audit.entries())
        return [entry.fields for entry in entries if entry.kind not in FILES][-1]


def read_at(ms: int, plate: str = PLATE, **changes: object) -> Read:
    """Return an invented read."""
    fields: dict[str, object] = {
        "plate": plate,
        "raw_plate": plate,
        "state": "CA",
        "captured_ms": ms,
        "camera": "CAM-1",
        "source_id": secrets.token_bytes(16),
        "lat_e7": 337_500_000,
        "lon_e7": -1_182_600_000,
    }
    return Read(**(fields | changes))  # type: ignore[arg-type]


def make_files(
    base: Path, clock: SystemClock, *, states: Mapping[str, str] | None = None
) -> FederationSimulator:
    """Write the files of three agencies; the city and the county share nothing."""
    files = FederationSimulator(base, clock)
    files.add_operator("exchange", "Exchange", f"127.0.0.1:{free_port()}")
    for agency in AGENCIES:
        state = (states or {}).get(agency, "CA")
        files.add_agency(agency, agency.title(), "police", f"127.0.0.1:{free_port()}", state=state)
    files.add_agreement("city-harbor", ("city", "harbor"))
    files.add_agreement(
        "county-harbor", ("county", "harbor"), time="exact", place="exact", camera="exact"
    )
    for agency in AGENCIES:
        files.add_officer(
            agency,
            Officer("O-1", f"Officer {agency}", "detective", "good", "2026-09-01", EVERY_PURPOSE),
        )
    files.add_officer(
        "harbor", Officer("O-2", "Officer Lapsed", "officer", "good", "2020-01-01", EVERY_PURPOSE)
    )
    return files


@asynccontextmanager
async def running(files: FederationSimulator, *, broker: bool = True) -> AsyncIterator[Federation]:
    """Run every node of the files, and the broker."""
    async with AsyncExitStack() as stack:
        federation = Federation(files, SystemClock(), stack)
        for agency in files.members:
            await federation.start_node(agency)
        if broker:
            await federation.start_broker()
        yield federation


@pytest.fixture
async def federation(tmp_path: Path) -> AsyncIterator[Federation]:
    """Three nodes and a broker, with four reads of one plate at city and county each."""
    files = make_files(tmp_path, SystemClock())
    files.build()
    async with running(files) as built:
        now = built.clock.now_ms()
        for agency in ("city", "county"):
            reads = [read_at(now - hours * HOUR_MS) for hours in range(1, 5)]
            built.nodes[agency].context.store.add(reads)
        yield built


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out many examples on several servers: the few there, and the many elsewhere, do."""
    out = [item for item in items if f"{WITH_MANY}[sharded" in item.name]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]
