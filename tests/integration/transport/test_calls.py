"""What a call must look like, and what a caller learns when something goes wrong."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from accord.agreements.templates import MOA_ATTESTATIONS
from accord.client import AccordClient, Question
from accord.errors import Code, InputError, Refused, Unverified
from accord.model import ExactPlate, OutcomeKind, Window
from accord.transport.health import READY
from accord.transport.peers import PeerVerifier
from accord.transport.server import MAX_DEADLINE_S, build_server, refusal_from
from accord.transport.tls import server_credentials
from accord.wire.v1 import node_pb2, node_pb2_grpc
from node.config import load_config
from node.sources import Sources
from tests.conftest import HOUR_MS, PLATE
from tests.integration.transport.conftest import House
from tests.integration.transport.kit import (
    ANSWER,
    CHECK,
    COUNTERSIGN,
    QUERY,
    WATCH,
    Target,
    error_of,
    serving,
    status_of,
)

Handler = Callable[[Any, Any], Awaitable[Any]]


class Broken(node_pb2_grpc.NodeServicer):
    """A servicer whose ``Answer`` does what a test says."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def Answer(self, request: Any, context: Any) -> Any:
        return await self._handler(request, context)


async def broken(house: House, handler: Handler, address: str = "127.0.0.1:0") -> Target:
    """Start a server as the city's behind the real gate, whose servicer is broken."""
    config = load_config(house.files.folder("city") / "node.toml")
    sources = Sources(
        config.agency, config.federation, config.roots, config.policy, config.roster, config.data
    )
    server, port = await build_server(
        address=address,
        credentials=server_credentials(
            lambda: config.load_tls(house.clock.now_ms()),
            lambda: [ca for a in sources.federation.agencies.values() for ca in a.cas],
        ),
        verifier=PeerVerifier(lambda name: sources.federation.agencies.get(name), house.clock),
        add_services=lambda s: node_pb2_grpc.add_NodeServicer_to_server(Broken(handler), s),
        health_services=(),
    )
    house.stack.push_async_callback(server.stop, None)
    return Target(port, config.own_id, house.ca("city"))


async def test_a_servicer_that_works_is_heard(house: House) -> None:
    async def fine(request: Any, context: Any) -> Any:
        return node_pb2.AnswerResponse()

    target = await broken(house, fine)
    assert await target.call(house.client(), ANSWER) == "OK"


def _chained() -> Exception:
    error = RuntimeError("no words")
    error.__cause__ = KeyError(PLATE)
    return error


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ValueError(f"no such plate {PLATE}"), "INTERNAL", "Internal error."),
        (KeyError(PLATE), "INTERNAL", "Internal error."),
        (_chained(), "INTERNAL", "Internal error."),
        (ExceptionGroup(PLATE, [ValueError(PLATE)]), "INTERNAL", "Internal error."),
        (StopAsyncIteration(PLATE), "INTERNAL", "Internal error."),
        (TimeoutError(PLATE), "INTERNAL", "Internal error."),
        (OSError(5, "read", PLATE), "INTERNAL", "Internal error."),
        (InputError("file", f"holds {PLATE}"), "INTERNAL", "Internal error."),
        (aio.UsageError(PLATE), "INTERNAL", "Internal error."),
        (Refused(Code.NO_AGREEMENT), "PERMISSION_DENIED", "No agreement"),
        (Unverified(Code.MALFORMED, "not canonical"), "INVALID_ARGUMENT", "canonical form"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
async def test_an_exception_never_says_its_text(
    house: House, capfd: Any, caplog: Any, error: Exception, status: str, said: str
) -> None:
    async def fails(request: Any, context: Any) -> Any:
        raise error

    target = await broken(house, fails)
    async with target.channel(house.client()) as channel:
        came = await error_of(channel, ANSWER)
        assert await serving(channel)
    assert came is not None
    assert came.code().name == status
    assert said in (came.details() or "")
    out, err = capfd.readouterr()
    everything = f"{came.details()} {came.trailing_metadata()} {out} {err} {caplog.text}"
    assert PLATE not in everything
    assert "Traceback" not in everything
    assert (type(error).__name__ in out) == (status == "INTERNAL")


async def test_an_answer_of_the_wrong_type_says_nothing_of_itself(
    house: House, capfd: Any, caplog: Any
) -> None:
    async def wrong(request: Any, context: Any) -> Any:
        return PLATE

    target = await broken(house, wrong)
    async with target.channel(house.client()) as channel:
        came = await error_of(channel, ANSWER)
    assert came is not None
    assert (came.code().name, came.details()) == ("INTERNAL", "Internal error.")
    out, err = capfd.readouterr()
    assert PLATE not in out + err + caplog.text


async def test_bytes_that_are_no_message_are_malformed(
    house: House, capfd: Any, caplog: Any
) -> None:
    target = await house.start_node()
    async with target.channel(house.client()) as channel:
        came = await error_of(channel, ANSWER, b"\xff\xff" + PLATE.encode())
        empty = await error_of(channel, ANSWER, b"")
    assert came is not None
    assert came.code().name == "INVALID_ARGUMENT"
    assert came.details() == "The message is not in the canonical form of its version."
    assert empty is not None
    assert empty.code().name != "INTERNAL"
    out, err = capfd.readouterr()
    assert PLATE not in out + err + caplog.text


@pytest.mark.parametrize(
    ("seconds", "taken"),
    [(None, False), (1e7, False), (3600, False), (MAX_DEADLINE_S, True), (5, True)],
)
async def test_a_call_needs_a_deadline_that_is_near(
    house: House, seconds: float | None, taken: bool
) -> None:
    target = await house.start_node()
    async with target.channel(house.client()) as channel:
        came = await error_of(channel, COUNTERSIGN, timeout=seconds)
        assert await status_of(channel, CHECK, timeout=seconds) == "OK"
    assert came is not None
    assert came.code().name == "INVALID_ARGUMENT"
    assert ("deadline" in (came.details() or "")) is not taken
    assert ("Send 1 to" in (came.details() or "")) is taken


async def test_a_call_with_two_messages_or_none(house: House) -> None:
    """A unary method takes one message; the first decides, and none is malformed."""
    target = await house.start_node()
    async with target.channel(house.client()) as channel:
        call = channel.stream_unary(COUNTERSIGN)(timeout=5)
        await call.done_writing()
        assert (await call.code()).name == "INVALID_ARGUMENT"
        assert "canonical" in await call.details()


@pytest.mark.parametrize(
    "method",
    [
        "/accord.wire.v1.Node/Delete",
        "/accord.wire.v1.Node/answer",
        "/accord.wire.v1.Node/",
        "/accord.wire.v2.Node/Answer",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/grpc.channelz.v1.Channelz/GetServers",
        WATCH,
    ],
)
async def test_an_unknown_method_is_unimplemented(
    house: House, target: Target, method: str
) -> None:
    async with target.channel(house.client()) as channel:
        assert await status_of(channel, method) == "UNIMPLEMENTED"
        assert await serving(channel)


async def test_neither_serves_the_others_methods(house: House) -> None:
    node, broker = await house.start_node(), await house.start_broker()
    assert await node.call(house.client(), QUERY) == "UNIMPLEMENTED"
    assert await broker.call(house.client(), ANSWER) == "UNIMPLEMENTED"


@pytest.mark.parametrize("kind", ["node", "broker"])
async def test_health_is_told_per_service_over_mutual_tls_only(house: House, kind: str) -> None:
    target = await house.start(kind)
    name = {"node": "accord.wire.v1.Node", "broker": "accord.wire.v1.Broker"}[kind]
    async with target.channel(house.client()) as channel:
        assert await serving(channel)
        assert await serving(channel, name)
        assert await serving(channel, READY)
        stub = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(service="other"), timeout=5)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert await target.call(None, CHECK) == "UNAVAILABLE"
    async with aio.insecure_channel(f"127.0.0.1:{target.port}") as plain:
        assert await status_of(plain, CHECK) == "UNAVAILABLE"


MIB = 1 << 20


@pytest.mark.parametrize(
    ("size", "compression", "status"),
    [
        (MIB - 1024, grpc.Compression.NoCompression, "INVALID_ARGUMENT"),
        (MIB + 1, grpc.Compression.NoCompression, "RESOURCE_EXHAUSTED"),
        (5 * MIB, grpc.Compression.NoCompression, "RESOURCE_EXHAUSTED"),
        (MIB - 1024, grpc.Compression.Gzip, "INVALID_ARGUMENT"),
        (64 * MIB, grpc.Compression.Gzip, "RESOURCE_EXHAUSTED"),
    ],
    ids=["1 MiB", "above", "5 MiB", "1 MiB in gzip", "64 MiB in gzip"],
)
async def test_a_message_may_be_1_mib(
    house: House, target: Target, size: int, compression: grpc.Compression, status: str
) -> None:
    method = ANSWER if target.spiffe.role == "node" else QUERY
    async with target.channel(house.client()) as channel, target.channel(house.client()) as other:
        assert await serving(other)
        came = await error_of(channel, method, b"\0" * size, compression=compression)
        assert came is not None
        assert came.code().name == status
        assert await serving(other)
        assert await serving(channel)


@pytest.mark.parametrize(
    ("size", "status"), [(4 << 10, "OK"), (17 << 10, "RESOURCE_EXHAUSTED"),
                         (64 << 10, "RESOURCE_EXHAUSTED")],
)  # fmt: skip
async def test_metadata_may_be_16_kib(house: House, target: Target, size: int, status: str) -> None:
    async with target.channel(house.client()) as channel, target.channel(house.client()) as other:
        assert await serving(other)
        assert await status_of(channel, metadata=(("x-long", "a" * size),)) == status
        assert await serving(other)
        assert await serving(channel)


@pytest.mark.parametrize("details", [b"", b"\xff", b"\x08\x07\x1a\x03abc", b"\x1a\x02\x12\xff"])
def test_status_details_of_a_hostile_server_are_no_refusal(details: bytes) -> None:
    """What can't be read is no refusal, and no exception either."""
    trailing = aio.Metadata(("grpc-status-details-bin", details))
    error = aio.AioRpcError(grpc.StatusCode.PERMISSION_DENIED, aio.Metadata(), trailing)
    assert refusal_from(error) is None


async def test_a_hostile_node_costs_only_its_own_outcome(house: House) -> None:
    async def hostile(request: Any, context: Any) -> Any:
        context.set_trailing_metadata((("grpc-status-details-bin", b"\xff"),))
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, "see details")

    await broken(house, hostile, house.files.members["city"].address)
    for agency in ("harbor", "county"):
        await house.start_node(agency)
    await house.start_broker()
    now = house.clock.now_ms()
    question = Question(
        ExactPlate(PLATE, "CA"), "stolen-vehicle", "T-1", "test", Window(now - HOUR_MS, now),
        attestations=MOA_ATTESTATIONS,
    )  # fmt: skip
    async with AccordClient.open(house.files.client_toml("harbor", "O-1")) as client:
        result = await client.ask(question)
    outcomes = {outcome.agency: outcome.kind for outcome in result.outcomes}
    assert outcomes == {"city": OutcomeKind.UNREACHABLE, "county": OutcomeKind.ANSWERED}
