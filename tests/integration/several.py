"""Two serving processes of the city's node on one database, as programs of their own."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from grpc import aio

from accord.clock import SystemClock
from accord.codec import envelope_to_wire
from accord.codec_answer import decode_refusal
from accord.deliveries import AgreementFile, file_to_wire
from accord.demo.processes import free_port
from accord.envelope import Envelope
from accord.testing import FederationSimulator
from accord.transport.channels import ChannelPool
from accord.transport.server import refusal_from
from accord.wire.v1 import delivery_pb2, node_pb2, node_pb2_grpc
from broker.config import load_config as load_broker
from node.config import load_config
from node.store.opening import open_store
from tests.conftest import Federation, make_files, read_at
from tests.integration.ways import until
from tests.postgres import Database
from tests.programs import program

NAMES = ("a", "b")


@dataclass
class Process:
    """One serving process: its node.toml, where it listens, what it logs."""

    config: Path
    port: int
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.config.with_suffix(".log").open("ab") as log:
            self.running = subprocess.Popen(
                [program("accord-node"), "serve", "--config", str(self.config)],
                stderr=log, env=os.environ | {"GRPC_VERBOSITY": "NONE"},
            )  # fmt: skip

    def events(self) -> list[dict[str, Any]]:
        """Return the lines of its log, in order."""
        lines = self.config.with_suffix(".log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")]

    def said(self, event: str) -> int:
        """Count a line of its log."""
        return [one["event"] for one in self.events()].count(event)

    def leads(self) -> bool:
        return self.said("leading") > self.said("no longer leading")

    def kill(self) -> None:
        """kill -9, and wait for it."""
        assert self.running is not None
        self.running.send_signal(signal.SIGKILL)
        self.running.wait(10)

    def stop(self) -> None:
        if self.running is not None and self.running.poll() is None:
            self.running.terminate()
            self.running.wait(20)


@dataclass
class Several:
    """The city's processes, and a partner's node to ask them."""

    federation: Federation
    processes: dict[str, Process]
    city: Path

    @asynccontextmanager
    async def broker(self, names: str) -> AsyncIterator[Callable[[Envelope], Awaitable[Any]]]:
        """Yield what calls these processes as one address that the broker knows.

        It returns the answer, or the refusal's code.
        """
        async with self._stub(names) as stub:

            async def ask(envelope: Envelope) -> Any:
                request = node_pb2.AnswerRequest(query=envelope_to_wire(envelope))
                try:
                    return (await stub.Answer(request, timeout=10)).answer
                except aio.AioRpcError as error:
                    refusal = refusal_from(error)
                    return decode_refusal(refusal.payload).code if refusal else error.details()

            yield ask

    async def deliver(self, name: str, file: AgreementFile) -> delivery_pb2.DeliverResponse:
        """Bring a file of an agreement to one process, as the broker does."""
        async with self._stub(name) as stub:
            request = delivery_pb2.DeliverRequest(to="city", file=file_to_wire(file))
            return await stub.Deliver(request, timeout=10)

    @asynccontextmanager
    async def _stub(self, names: str) -> AsyncIterator[node_pb2_grpc.NodeStub]:
        files = self.federation.files
        published = files.members["city"].files.published()
        endpoint = published.node_endpoint()
        assert endpoint is not None
        addresses = [f"127.0.0.1:{self.processes[name].port}" for name in names]
        # As a name would, that has so many addresses.
        there = replace(endpoint, address=f"ipv4:{','.join(addresses)}")
        config = load_broker(files.folder("exchange") / "broker.toml")
        pool = ChannelPool(config.load_tls(self.federation.clock.now_ms()))
        try:
            yield node_pb2_grpc.NodeStub(pool.get(there, published.cas))
        finally:
            await pool.close()

    async def ask(self, name: str, envelope: Envelope) -> Any:
        """Call one process, over a connection of its own."""
        async with self.broker(name) as ask:
            return await ask(envelope)

    def leader(self) -> Process:
        """Return the one that leads."""
        (one,) = (process for process in self.processes.values() if process.leads())
        return one


@asynccontextmanager
async def several(
    base: Path, database: Database, more: str = "", policy: tuple[str, str] = ("", "")
) -> AsyncIterator[Several]:
    """Run two processes, the first of which leads; ``more`` goes into their node.toml.

    ``policy`` is a text of the city's policy, and what stands in its place.
    """
    files = make_files(base, SystemClock())
    files.build({"city": files.policy("city").replace(*policy)})
    processes, city = configured(files, database, more), files.folder("city")
    store = open_store(load_config(processes["a"].config))
    store.add([read_at(SystemClock().now_ms() - 3_600_000)])
    store.close()
    async with AsyncExitStack() as stack:
        federation = Federation(files, SystemClock(), stack)
        await federation.start_node("harbor")
        try:
            for process in processes.values():
                process.start()
                await until(lambda one=process: one.said("serving"))  # type: ignore[misc]
            yield Several(federation, processes, city)
        finally:
            for process in processes.values():
                process.stop()


def configured(
    files: FederationSimulator, database: Database, more: str = ""
) -> dict[str, Process]:
    """Write a node.toml for each of the city's processes; none is started."""
    city = files.folder("city")
    database.url_file(city / "keys")
    text = (city / "node.toml").read_text() + f'\n[store]\npostgres = "keys/store.url"\n{more}'
    return {name: _process(files, city, text, name) for name in NAMES}


def _process(files: FederationSimulator, city: Path, text: str, name: str) -> Process:
    port = free_port()
    text = text.replace(f'"{files.members["city"].address}"', f'"127.0.0.1:{port}"')
    text = text.replace('data = "data"', f'data = "data"\nmetrics = "{name}.prom"')
    config = city / f"node-{name}.toml"
    config.write_text(text)
    return Process(config, port)


async def soon(true: Any, seconds: float = 15) -> None:
    """Wait until it holds, within so many seconds."""
    await until(true, seconds)
    await asyncio.sleep(0)
