"""A federation whose nodes can be asked as witnesses by hand, and logs made beside theirs."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from accord.audit.checkpoint import Checkpoint, sign
from accord.audit.merkle import consistency_proof, leaf_hash, nodes_over, root
from accord.audit.witness import ADD, Request, Status
from accord.clock import SystemClock
from accord.federation_watch import FederationWatch
from accord.identity import KeyRole
from accord.keys import PrivateKey
from accord.testing import FederationSimulator
from accord.transport.channels import ChannelPool
from accord.wire.v1 import broker_pb2_grpc, witness_pb2
from node.config import load_config

LEAVES = [leaf_hash(b"mine %d" % number) for number in range(64)]
OTHER = [*LEAVES[:3], *(leaf_hash(b"another %d" % number) for number in range(61))]


def key(files: FederationSimulator, agency: str, role: KeyRole = KeyRole.AUDIT) -> PrivateKey:
    return PrivateKey.load(files.members[agency].files.key(role))


def head(agency: str, size: int, leaves: Sequence[bytes] = LEAVES) -> Checkpoint:
    return Checkpoint(f"{agency}/node", size, root(leaves[:size]))


def request(
    files: FederationSimulator, agency: str, old: int, size: int, leaves: Sequence[bytes] = LEAVES
) -> Request:
    """What a log of these leaves sends; signed by the agency's own log key."""
    proof = consistency_proof(old, size, nodes_over(leaves[:size])) if 0 < old <= size else []
    return Request(old, tuple(proof), sign(head(agency, size, leaves), key(files, agency)))


class Sender:
    """The node of one agency, as the broker sees it."""

    def __init__(self, stub: broker_pb2_grpc.BrokerStub) -> None:
        self._stub = stub

    async def ask(self, to: str, body: bytes, path: str = ADD) -> tuple[int, bytes]:
        message = witness_pb2.WitnessRequest(to=to, path=path, body=body)
        response = await self._stub.Witness(message, timeout=8)
        return response.status, response.body

    async def status(self, to: str, body: bytes, path: str = ADD) -> Status:
        return Status((await self.ask(to, body, path))[0])


@asynccontextmanager
async def sender(files: FederationSimulator, agency: str) -> AsyncIterator[Sender]:
    """Call the broker with the certificate of an agency's node."""
    config = load_config(files.folder(agency) / "node.toml")
    pool = ChannelPool(config.load_tls(SystemClock().now_ms()))
    watch = FederationWatch(config.federation, config.roots)
    exchange = watch.current.agencies["exchange"]
    try:
        yield Sender(broker_pb2_grpc.BrokerStub(pool.get(exchange.endpoints[0], exchange.cas)))
    finally:
        await pool.close()


def data(files: FederationSimulator, agency: str) -> Path:
    return files.folder(agency) / "data"
