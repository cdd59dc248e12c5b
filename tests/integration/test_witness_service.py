"""A node is asked as a witness through the broker: what is cosigned, and each refusal."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from grpc import aio

from accord.audit.checkpoint import signature_line, verify
from accord.audit.cosignature import cosigned_at, lines_of, merged
from accord.audit.witness import MAX_BYTES, Request, Status, checkpoint_path
from accord.clock import SystemClock
from accord.errors import InputError
from accord.identity import KeyRole, SpiffeId
from accord.keys import ECDSA, ED25519, PrivateKey
from accord.transport.channels import ChannelPool
from accord.wire.v1 import broker_pb2_grpc, node_pb2_grpc, witness_pb2
from accord.witnessing import log_keys, witness_keys
from broker.config import load_config as load_broker_config
from node.witness import Witness
from node.witness_file import WitnessFile
from node.witness_memory import Kind, Memory
from tests.conftest import Federation, make_files
from tests.integration.witnesses import LEAVES, OTHER, Sender, data, head, key, request, sender

PATH = checkpoint_path("harbor/node")


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[Federation]:
    """The city's node and the broker; the harbour's node is the tests themselves."""
    files = make_files(tmp_path, SystemClock())
    files.build()
    async with AsyncExitStack() as stack:
        federation = Federation(files, SystemClock(), stack)
        await federation.start_node("city")
        await federation.start_broker()
        yield federation


@pytest.fixture
async def harbor(city: Federation) -> AsyncIterator[Sender]:
    async with sender(city.files, "harbor") as made:
        yield made


def memory(federation: Federation) -> Memory:
    return Memory(WitnessFile(data(federation.files, "city") / "witness.db"))


async def test_a_checkpoint_is_cosigned_and_given_to_whoever_asks(city, harbor) -> None:
    files = city.files
    witness = key(files, "city", KeyRole.WITNESS).public
    assert await harbor.ask("city", b"", PATH) == (404, b"")
    one = request(files, "harbor", 0, 5)
    status, body = await harbor.ask("city", one.to_bytes())
    whole = merged(one.note, lines_of(body))
    now_s = SystemClock().now_ms() // 1000
    assert (status, len(lines_of(body))) == (200, 1)
    assert now_s - 60 < (cosigned_at(whole, "city/witness", witness) or 0) <= now_s
    assert await harbor.ask("city", b"", PATH) == (200, whole)
    two = request(files, "harbor", 5, 9)
    assert await harbor.status("city", two.to_bytes()) is Status.COSIGNED
    _, newest = await harbor.ask("city", b"", PATH)
    assert verify(newest, "harbor/node", key(files, "harbor").public) == head("harbor", 9)
    kinds = city.kinds("city")
    assert kinds == ["start"]  # to record it would be one more entry to be cosigned


async def test_every_refusal_of_the_specification(city, harbor) -> None:
    files = city.files
    good = request(files, "harbor", 0, 5)
    false = good.note.replace(b"harbor/node ", b"harbor/node A")
    stranger = Request(0, (), good.note.split(b"\n\n")[0] + b"\n\n" + signature_line(
        "city/node", bytes(68)).encode())  # fmt: skip
    assert false != good.note
    assert await harbor.status("city", stranger.to_bytes()) is Status.FORBIDDEN
    assert await harbor.status("city", request(files, "harbor", 6, 5).to_bytes()) is (
        Status.BAD_REQUEST
    )
    assert await harbor.status("city", good.to_bytes()) is Status.COSIGNED
    assert await harbor.ask("city", good.to_bytes()) == (409, b"5\n")
    unproven = Request(5, (bytes(32),), request(files, "harbor", 0, 9).note)
    assert await harbor.status("city", unproven.to_bytes()) is Status.UNPROCESSABLE
    other = request(files, "harbor", 5, 5, OTHER)
    assert await harbor.status("city", other.to_bytes()) is Status.UNPROCESSABLE
    found = memory(city).evidence()
    assert [one.kind for one in found] == [Kind.NO_PROOF, Kind.SPLIT_VIEW]
    # Both notes are kept, and each is the log's own.
    public = key(files, "harbor").public
    assert verify(found[1].held, "harbor/node", public) == head("harbor", 5)
    assert verify(found[1].other, "harbor/node", public) == head("harbor", 5, OTHER)
    # What was cosigned first is still what is held.
    assert await harbor.status("city", request(files, "harbor", 5, 6).to_bytes()) is Status.COSIGNED


async def test_a_log_whose_agency_has_no_agreement_is_not_known(city, harbor, tmp_path) -> None:
    """The broker refuses it; a broker that lets it pass gets 404."""
    files = city.files
    async with sender(files, "county") as county:
        with pytest.raises(aio.AioRpcError) as caught:
            await county.ask("city", request(files, "county", 0, 5).to_bytes())
    assert caught.value.code().name == "PERMISSION_DENIED"
    async with lying_broker(files) as ask:
        assert await ask(request(files, "county", 0, 5).to_bytes()) == 404
        assert await ask(request(files, "harbor", 0, 5).to_bytes()) == 200
        assert await ask(b"old 0\n") == 400
        assert await ask(b"", checkpoint_path("county/node")) == 404
        assert await ask(b"", "../etc/passwd") == 404
        with pytest.raises(aio.AioRpcError) as caught:
            await ask(b"x" * (MAX_BYTES + 1))
        assert caught.value.code().name == "RESOURCE_EXHAUSTED"
        with pytest.raises(aio.AioRpcError) as caught:
            await ask(request(files, "harbor", 0, 5).to_bytes(), to="county")
        assert caught.value.code().name == "PERMISSION_DENIED"


@asynccontextmanager
async def lying_broker(files):
    """Call the city's node with the broker's own certificate."""
    config = load_broker_config(files.folder("exchange") / "broker.toml")
    pool = ChannelPool(config.load_tls(SystemClock().now_ms()))
    city = files.members["city"].files.published()
    stub = node_pb2_grpc.NodeStub(pool.get(city.node_endpoint(), city.cas))

    async def ask(body: bytes, path: str = "add-checkpoint", to: str = "city") -> int:
        message = witness_pb2.WitnessRequest(to=to, path=path, body=body)
        return int((await stub.Witness(message, timeout=5)).status)

    try:
        yield ask
    finally:
        await pool.close()


async def test_a_node_has_its_own_log_witnessed_and_no_other(city, harbor) -> None:
    files = city.files
    tries = [
        (request(files, "county", 0, 5).to_bytes(), "add-checkpoint", "PERMISSION_DENIED"),
        (b"", checkpoint_path("county/node"), "PERMISSION_DENIED"),
        (b"x", PATH, "PERMISSION_DENIED"),
        (b"old 0\n", "add-checkpoint", "INVALID_ARGUMENT"),
        (b"x" * (MAX_BYTES + 1), "add-checkpoint", "RESOURCE_EXHAUSTED"),
        (b"", "x" * 201, "RESOURCE_EXHAUSTED"),
    ]
    for body, path, status in tries:
        with pytest.raises(aio.AioRpcError) as caught:
            await harbor.ask("city", body, path)
        assert caught.value.code().name == status, path
    # A client has nothing to do with it.
    client = city.client("harbor")
    async with client:
        stub = broker_pb2_grpc.BrokerStub(client._calls._broker_channel())
        with pytest.raises(aio.AioRpcError) as caught:
            await stub.Witness(witness_pb2.WitnessRequest(to="city", path=PATH), timeout=5)
    assert caught.value.code().name == "PERMISSION_DENIED"


async def test_of_requests_at_once_one_wins_and_the_others_hear_what_is_held(city, harbor) -> None:
    files = city.files
    assert await harbor.status("city", request(files, "harbor", 0, 5).to_bytes()) is Status.COSIGNED
    bodies = [request(files, "harbor", 5, size).to_bytes() for size in range(6, 16)]
    answers = await asyncio.gather(*(harbor.ask("city", body) for body in bodies))
    winners = [at for at, (status, _) in enumerate(answers) if status == 200]
    assert len(winners) == 1
    held = f"{winners[0] + 6}\n".encode()
    assert {answer for at, answer in enumerate(answers) if at != winners[0]} == {(409, held)}


async def test_what_is_held_outlives_a_restart_of_the_witness(tmp_path) -> None:
    files = make_files(tmp_path, SystemClock())
    files.build()
    for old, size, wanted in ((0, 5, 200), (0, 5, 409), (5, 9, 200)):
        async with AsyncExitStack() as stack:
            federation = Federation(files, SystemClock(), stack)
            await federation.start_node("city")
            await federation.start_broker()
            async with sender(files, "harbor") as harbor:
                body = request(files, "harbor", old, size).to_bytes()
                assert (await harbor.ask("city", body))[0] == wanted


async def test_a_witness_whose_key_is_new_vouches_for_what_it_holds(city, harbor) -> None:
    assert await harbor.status("city", request(city.files, "harbor", 0, 5).to_bytes()) is (
        Status.COSIGNED
    )
    _, before = await harbor.ask("city", b"", PATH)
    new, context = PrivateKey.generate(ED25519), city.nodes["city"].context
    asked = witness_pb2.WitnessRequest(to="city", path=PATH)
    (broker,) = context.brokers
    after = await Witness(context, memory(city), new).answer(asked, SpiffeId.parse(broker))
    assert after.body.startswith(before)
    for public in (key(city.files, "city", KeyRole.WITNESS).public, new.public):
        assert cosigned_at(after.body, "city/witness", public)


async def test_a_published_key_of_another_kind_spoils_nothing(city) -> None:
    federation = city.nodes["city"].context.federation
    harbor, other = federation.agencies["harbor"], PrivateKey.generate(ECDSA).public
    both = replace(harbor, keys={role: (other, *keys) for role, keys in harbor.keys.items()})
    changed = replace(federation, agencies={**federation.agencies, "harbor": both})
    now_ms = city.clock.now_ms()
    assert log_keys(changed, "city", "harbor/node", now_ms) == harbor.keys_for(KeyRole.AUDIT)
    assert witness_keys(both) == harbor.keys_for(KeyRole.WITNESS)


async def test_a_node_with_a_witness_key_that_is_not_published_does_not_start(tmp_path) -> None:
    files = make_files(tmp_path, SystemClock())
    files.build()
    path = files.members["city"].files.key(KeyRole.WITNESS)
    path.unlink()
    async with AsyncExitStack() as stack:
        federation = Federation(files, SystemClock(), stack)
        with pytest.raises(InputError, match=r"witness\.pem: can't open this secret"):
            await federation.start_node("city")
        PrivateKey.generate(ED25519).save(path)
        with pytest.raises(InputError, match=r"is no witness key that agency\.toml publishes"):
            await federation.start_node("city")


def test_leaves_of_the_two_logs_part_after_the_third() -> None:
    assert LEAVES[:3] == OTHER[:3]
    assert not set(LEAVES[3:]) & set(OTHER[3:])
