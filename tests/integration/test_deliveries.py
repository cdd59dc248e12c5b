"""Files of an agreement reach the other party through Accord, and liars get nothing in."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc import aio
from typer.testing import CliRunner

from accord import pins
from accord.agreements.acknowledgements import verify_acknowledgement
from accord.agreements.heads import HOUR_MS as HEAD_HOUR_MS
from accord.agreements.heads import Head, sign_head
from accord.agreements.instrument_payload import named_digest, sign_instrument
from accord.agreements.instruments import Details, Instrument, InstrumentKind
from accord.agreements.manifest_reading import parse_manifest
from accord.client import AccordClient
from accord.clock import SystemClock
from accord.codec import envelope_from_wire
from accord.deliveries import MAX_BYTES, AgreementFile, file_to_wire, missing
from accord.demo.processes import free_port
from accord.envelope_json import from_json
from accord.errors import Code, InputError, Refused
from accord.federation_watch import FederationWatch
from accord.identity import KeyRole
from accord.keys import PrivateKey
from accord.roster import Officer
from accord.testing import FederationSimulator, FixedClock
from accord.transport.channels import ChannelPool
from accord.transport.peers import PeerVerifier
from accord.transport.server import build_server, current_peer
from accord.transport.tls import server_credentials
from accord.wire.v1 import broker_pb2_grpc, delivery_pb2, node_pb2_grpc
from broker.carry import Carrier
from broker.config import load_config as load_broker_config
from node import permission_watch
from node.cli_agreement import app
from node.config import load_config as load_node_config
from tests.conftest import EVERY_PURPOSE, HOUR_MS, Federation, read_at, running
from tests.integration.test_lying_broker import LyingBroker


def agreed(base: Path, clock, hours: int = 24) -> FederationSimulator:
    """Three agencies; the harbour has an agreement with each other one, heads demanded."""
    files = FederationSimulator(base, clock)
    files.add_operator("exchange", "Exchange", f"127.0.0.1:{free_port()}")
    for agency in ("city", "harbor", "county"):
        files.add_agency(agency, agency.title(), "police", f"127.0.0.1:{free_port()}")
        files.add_officer(
            agency,
            Officer("O-1", f"Officer {agency}", "detective", "good", "2026-09-01", EVERY_PURPOSE),
        )
    files.add_agreement("city-harbor", ("city", "harbor"), head_hours=hours)
    files.add_agreement("county-harbor", ("county", "harbor"), head_hours=hours)
    files.build()
    return files


def folder(files: FederationSimulator, who: str, name: str = "city-harbor") -> Path:
    return files.folder(who) / "federation" / "agreements" / name


def manifest_of(files: FederationSimulator, name: str = "city-harbor"):
    path = folder(files, "harbor", name) / "agreement.toml"
    return parse_manifest(path.read_bytes(), path)


def key(files: FederationSimulator, agency: str, role: KeyRole) -> PrivateKey:
    return PrivateKey.load(files.members[agency].files.key(role))


def suspension(files, number: int = 1, *, name: str = "city-harbor", signer: str = "harbor"):
    one = Instrument("harbor", number, InstrumentKind.SUSPENSION, "B. Example", "General Counsel",
                     files.clock.now_ms(), Details(reason="a count"))  # fmt: skip
    return sign_instrument(manifest_of(files, name), one, key(files, signer, KeyRole.COUNSEL))


def head(files, number: int, *, name: str = "city-harbor", role=KeyRole.NODE, party="harbor",
         named: tuple[bytes, ...] = (), ahead_ms: int = 0):  # fmt: skip
    """Sign a head that is the ``number``-th from now on, or before now."""
    as_of_ms = files.clock.now_ms() + ahead_ms
    instruments = tuple(named_digest(data, "x") for data in named)
    number += files.clock.now_ms()
    one = Head(party, number, as_of_ms, as_of_ms + HEAD_HOUR_MS, instruments)
    return sign_head(manifest_of(files, name), one, key(files, party, role))


def put(path: Path, data: bytes) -> None:
    """Put a file there whole, as `accord agreement notice` and people do."""
    path.parent.mkdir(exist_ok=True)
    part = path.with_name(f".{path.name}")
    part.write_bytes(data)
    part.rename(path)


async def outcomes(federation: Federation, **options: object) -> dict[str, tuple[str, str]]:
    clock = federation.clock
    client = AccordClient.open(federation.files.client_toml("harbor", "O-1"), clock)
    async with client:
        result = await client.ask(federation.question(**options))
    return {o.agency: (o.kind.value, str(o.code or "")) for o in result.outcomes}


async def until(ready) -> None:
    """Wait until something is so: a minute, since machines are busy; how soon is the bench's."""
    for _ in range(1200):
        if ready():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come")


def kinds(running_node) -> list[dict[str, str]]:
    return [e.fields for e in running_node.context.audit.entries() if e.kind == "acknowledged"]


def heads_in(context) -> list[dict[str, str]]:
    """The heads that a node's log holds, as their fields."""
    return [entry.fields for entry in context.audit.entries() if entry.kind == "head"]


async def test_a_head_is_recorded_once_also_after_a_restart(tmp_path: Path) -> None:
    files = agreed(tmp_path, SystemClock())
    seen = []
    for _ in range(2):
        async with AsyncExitStack() as stack:
            federation = Federation(files, SystemClock(), stack)
            city = (await federation.start_node("city")).context
            await asyncio.sleep(1.5)  # a look of its own, too
            seen.append([(one["agency"], one["decision"]) for one in heads_in(city)])
    assert seen[0] == seen[1] == [("city", "made"), ("harbor", "held")]


async def test_a_suspension_in_ones_own_folder_reaches_everybody(tmp_path: Path) -> None:
    files = agreed(tmp_path, SystemClock())
    async with running(files) as federation:
        now = federation.clock.now_ms()
        for agency in ("city", "county"):
            federation.nodes[agency].context.store.add([read_at(now - HOUR_MS)])
        before = await outcomes(federation)
        assert {kind for kind, _ in before.values()} == {"answered"}
        data = suspension(files)
        put(folder(files, "harbor") / "instruments" / "harbor-1.json", data)
        there = folder(files, "city") / "instruments" / "harbor-1.json"
        at_broker = folder(files, "exchange") / "instruments" / "harbor-1.json"
        await until(lambda: there.exists() and at_broker.exists())
        assert there.read_bytes() == data
        for name in ("city", "harbor"):
            node = federation.nodes[name].context
            digest = manifest_of(files).digest
            await until(lambda n=node, d=digest: n.federation.agreements[d].effects.stops)
        after = await outcomes(federation)
        assert after["city"][1] == "AGREEMENT_SUSPENDED"
        assert after["county"] == ("answered", "")
        record = tmp_path / "harbor/data/acknowledged" / manifest_of(files).digest.hex()
        file = record / "city" / "instruments-harbor-1.json"
        await until(lambda: file.exists() and len(kinds(federation.nodes["harbor"])) >= 6)
        city = federation.nodes["harbor"].context.federation.agencies["city"]
        kept = json.loads(file.read_text())
        received = AgreementFile(manifest_of(files).digest, "instruments/harbor-1.json", data)
        envelope = from_json(json.dumps(kept["acknowledgement"]).encode(), file)
        assert verify_acknowledgement(envelope, received.received, city) <= SystemClock().now_ms()
        claim = json.loads((record / "exchange" / "instruments-harbor-1.json").read_text())
        assert claim["acknowledgement"] is None
        entries = list(federation.nodes["city"].context.audit.entries())
        came = [e.fields["detail"].split()[0] for e in entries if e.kind == "delivery"]
        assert came.count("instruments/harbor-1.json") == 1
    config = str(files.folder("harbor") / "node.toml")
    done = CliRunner().invoke(app, ["deliveries", "--config", config], catch_exceptions=False)
    rows = [line for line in done.output.splitlines() if "instruments/harbor-1" in line]
    assert len(rows) == 2
    assert "signed by its node" in rows[0]
    assert "the broker's, unsigned" in rows[1]


async def test_what_was_not_delivered_is_sent_once_the_other_node_is_back(tmp_path: Path) -> None:
    files = agreed(tmp_path, SystemClock())
    async with AsyncExitStack() as stack:
        federation = Federation(files, SystemClock(), stack)
        await federation.start_node("harbor")
        await federation.start_broker()
        put(folder(files, "harbor") / "instruments" / "harbor-1.json", suspension(files))
        at_broker = folder(files, "exchange") / "instruments" / "harbor-1.json"
        there = folder(files, "city") / "instruments" / "harbor-1.json"
        await until(at_broker.exists)
        assert not there.exists()
        await federation.start_node("city")
        await until(there.exists)


async def deliver(files, to: str, name: str, content: bytes, digest: bytes = b"", who="exchange"):
    """Bring a file to the city's node with a certificate of the broker; return the status."""
    config = load_broker_config(files.folder("exchange") / "broker.toml")
    pool = ChannelPool(config.load_tls(SystemClock().now_ms()))
    watch = FederationWatch(config.federation, config.roots)
    city = watch.current.agencies["city"]
    stub = node_pb2_grpc.NodeStub(pool.get(city.node_endpoint(), city.cas))
    file = AgreementFile(digest or manifest_of(files).digest, name, content)
    request = delivery_pb2.DeliverRequest(to=to, file=file_to_wire(file))
    try:
        response = await stub.Deliver(request, timeout=5)
    except aio.AioRpcError as error:
        return error.code().name
    finally:
        await pool.close()
    verify_acknowledgement(envelope_from_wire(response.acknowledgement), file.received, city)
    return "OK"


async def test_a_lying_broker_gets_nothing_in(tmp_path: Path) -> None:
    files = agreed(tmp_path, SystemClock())
    first, second = suspension(files), suspension(files)
    assert first != second
    manifest = (folder(files, "city") / "agreement.toml").read_bytes()
    instrument, harbor = "instruments/harbor-1.json", "heads/harbor.json"
    tries = [
        ("a head by another key", "city", harbor, head(files, 9, role=KeyRole.COUNSEL),
         "UNAUTHENTICATED"),
        ("a head of another agreement", "city", harbor, head(files, 9, name="county-harbor"),
         "INVALID_ARGUMENT"),
        ("another's head", "city", harbor, head(files, 9, party="city"), "UNAUTHENTICATED"),
        ("an older head", "city", harbor, head(files, -HEAD_HOUR_MS), "FAILED_PRECONDITION"),
        ("a head of tomorrow", "city", harbor, head(files, 9, ahead_ms=HEAD_HOUR_MS),
         "FAILED_PRECONDITION"),
        ("a head in the same minute that says nothing new", "city", harbor, head(files, 9),
         "RESOURCE_EXHAUSTED"),
        ("our own head", "city", "heads/city.json", head(files, 9, party="city"),
         "PERMISSION_DENIED"),
        ("an instrument by another's counsel", "city", instrument,
         suspension(files, signer="city"), "UNAUTHENTICATED"),
        ("an instrument of another text", "city", instrument,
         suspension(files, name="county-harbor"), "INVALID_ARGUMENT"),
        ("another number", "city", "instruments/harbor-2.json", first, "INVALID_ARGUMENT"),
        ("too large", "city", instrument, b"x" * (MAX_BYTES + 1), "RESOURCE_EXHAUSTED"),
        ("nearly too large", "city", instrument, b"x" * MAX_BYTES, "INVALID_ARGUMENT"),
        ("a manifest", "city", "agreement.toml", manifest, "FAILED_PRECONDITION"),
        ("a way out", "city", "instruments/../../x.json", first, "FAILED_PRECONDITION"),
        ("no party", "city", "counterparts/county.json", first, "FAILED_PRECONDITION"),
        ("for another", "harbor", instrument, first, "PERMISSION_DENIED"),
    ]  # fmt: skip
    async with AsyncExitStack() as stack:
        federation = Federation(files, SystemClock(), stack)
        node = await federation.start_node("city")
        held = folder(files, "city")
        before = {p: p.read_bytes() for p in held.rglob("*") if p.is_file()}
        for what, to, name, content, status in tries:
            assert await deliver(files, to, name, content) == status, what
        digest = manifest_of(files, "county-harbor").digest
        good = suspension(files, name="county-harbor")
        assert await deliver(files, "city", instrument, good, digest) == "PERMISSION_DENIED"
        assert {p: p.read_bytes() for p in held.rglob("*") if p.is_file()} == before
        refused = [e.fields for e in node.context.audit.entries() if e.kind == "refusal"]
        assert {"AGREEMENT_INVALID", "SIGNATURE_INVALID", "NO_AGREEMENT"} <= {
            one["code"] for one in refused
        }
        assert {e["mark"] for e in refused if e["code"] == "AGREEMENT_INVALID"} == {"S"}
        assert await deliver(files, "city", instrument, first) == "OK"
        assert await deliver(files, "city", instrument, first) == "OK"
        assert await deliver(files, "city", instrument, second) == "FAILED_PRECONDITION"
        assert (held / instrument).read_bytes() == first
        newest, older = head(files, 9, named=(first,)), head(files, -1000, named=(first,))
        assert await deliver(files, "city", harbor, newest) == "OK"
        assert await deliver(files, "city", harbor, older) == "FAILED_PRECONDITION"
        # Over a damaged one too: what was seen once is not forgotten with its file.
        (held / harbor).write_bytes(b"x")
        await asyncio.to_thread(node.context.sources.refresh)
        assert await deliver(files, "city", harbor, older) == "FAILED_PRECONDITION"
        assert await deliver(files, "city", harbor, newest) == "OK"
        kinds = [e.kind for e in node.context.audit.entries()]
        assert kinds.count("delivery") == 1


async def test_a_broker_takes_files_of_the_callers_agency_only(tmp_path: Path) -> None:
    files = agreed(tmp_path, SystemClock())
    async with AsyncExitStack() as stack:
        federation = Federation(files, SystemClock(), stack)
        await federation.start_broker()
        config = load_node_config(files.folder("city") / "node.toml")
        pool = ChannelPool(config.load_tls(SystemClock().now_ms()))
        stack.push_async_callback(pool.close)
        watch = FederationWatch(config.federation, config.roots)
        exchange = watch.current.agencies["exchange"]
        stub = broker_pb2_grpc.BrokerStub(pool.get(exchange.endpoints[0], exchange.cas))

        async def carry(to: str, name: str, content: bytes) -> str:
            file = AgreementFile(manifest_of(files).digest, name, content)
            request = delivery_pb2.DeliverRequest(to=to, file=file_to_wire(file))
            try:
                await stub.Deliver(request, timeout=5)
            except aio.AioRpcError as error:
                return error.code().name
            return "OK"

        name, own = "instruments/harbor-1.json", "heads/city.json"
        assert await carry("exchange", name, suspension(files)) == "PERMISSION_DENIED"
        city_head = head(files, 5, party="city", named=(suspension(files),))
        assert await carry("county", own, city_head) == "PERMISSION_DENIED"
        assert await carry("harbor", own, city_head) == "UNAVAILABLE"
        assert await carry("exchange", own, city_head) == "OK"
        assert not (folder(files, "exchange") / name).exists()


async def test_what_is_held_is_recorded_though_the_log_failed_when_it_came(
    tmp_path: Path, monkeypatch
) -> None:
    files = agreed(tmp_path, SystemClock())
    data, name = suspension(files), "instruments/harbor-1.json"
    async with AsyncExitStack() as stack:
        federation = Federation(files, SystemClock(), stack)
        node = await federation.start_node("city")
        audit = node.context.audit
        append = audit.append

        async def full(record):
            if record.kind == "delivery":
                raise Refused(Code.AUDIT_UNAVAILABLE)
            return await append(record)

        monkeypatch.setattr(audit, "append", full)
        assert await deliver(files, "city", name, data) == "UNAVAILABLE"
        monkeypatch.undo()
        assert await deliver(files, "city", name, data) == "OK"
        assert await deliver(files, "city", name, data) == "OK"
        assert [e.kind for e in audit.entries()].count("delivery") == 1


async def test_while_what_was_seen_can_not_be_kept_callers_are_told_to_try_again(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    files = agreed(tmp_path, SystemClock())
    data, name = suspension(files), "instruments/harbor-1.json"
    async with AsyncExitStack() as stack:
        federation = Federation(files, SystemClock(), stack)
        node = await federation.start_node("city")
        tries = []

        def full(path: Path, content: bytes) -> None:
            tries.append(path)
            raise InputError(path, "can't be written (No space left on device)")

        monkeypatch.setattr(pins, "replace_file", full)
        assert await deliver(files, "city", name, data) == "UNAVAILABLE"
        assert await deliver(files, "city", name, data) == "UNAVAILABLE"
        assert not node.context.federation.agreements
        await until(lambda: len(tries) > 3)
        monkeypatch.undo()
        await until(lambda: node.context.federation.agreements)
        assert await deliver(files, "city", name, data) == "OK"
        assert [e.kind for e in node.context.audit.entries()].count("delivery") == 1
    assert capsys.readouterr().out.count("periodic work failed") == 1


async def test_a_delivery_wakes_the_look_at_who_may_ask(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(permission_watch, "LOOK_EVERY_S", 3600.0)
    looks = []
    look = permission_watch.look
    monkeypatch.setattr(permission_watch, "look", lambda *all: looks.append(look(*all)))
    files = agreed(tmp_path, SystemClock())
    async with AsyncExitStack() as stack:
        federation = Federation(files, SystemClock(), stack)
        await federation.start_node("city")
        await until(lambda: looks)
        await asyncio.sleep(2)
        before = len(looks)
        assert await deliver(files, "city", "instruments/harbor-1.json", suspension(files)) == "OK"
        await until(lambda: len(looks) > before)


async def test_who_lost_a_file_says_so_when_a_head_comes(tmp_path: Path) -> None:
    files = agreed(tmp_path, SystemClock())
    data, name = suspension(files), "instruments/harbor-1.json"
    async with AsyncExitStack() as stack:
        federation = Federation(files, SystemClock(), stack)
        node = await federation.start_node("city")
        newest = head(files, 9, named=(data,))
        file = AgreementFile(manifest_of(files).digest, "heads/harbor.json", newest)
        assert await deliver(files, "city", file.name, newest) == "OK"
        assert missing(file, node.context.federation) == [name]
        assert await deliver(files, "city", name, data) == "OK"
        assert missing(file, node.context.federation) == []
        (folder(files, "city") / "counterparts" / "harbor.json").unlink()
        await asyncio.to_thread(node.context.sources.refresh)
        assert missing(file, node.context.federation) == ["counterparts/harbor.json"]


async def test_what_a_broker_lost_is_there_again_with_the_next_head(tmp_path: Path) -> None:
    files = agreed(tmp_path, SystemClock())
    async with AsyncExitStack() as stack:
        federation = Federation(files, SystemClock(), stack)
        await federation.start_node("harbor")
        await federation.start_broker()
        there, own = (folder(files, who) / "instruments" for who in ("exchange", "harbor"))
        put(own / "harbor-1.json", suspension(files))
        await until((there / "harbor-1.json").exists)
        (there / "harbor-1.json").unlink()
        put(own / "harbor-2.json", suspension(files, 2))
        await until((there / "harbor-2.json").exists)
        await until((there / "harbor-1.json").exists)


class Freezing(LyingBroker):
    """A broker that passes questions on, and drops what the harbour sends the city."""

    def __init__(self, watch: FederationWatch, pool: ChannelPool, carrier: Carrier) -> None:
        super().__init__(watch, pool)
        self._carrier = carrier
        self.frozen = True

    async def Deliver(self, request, context) -> delivery_pb2.DeliverResponse:
        if self.frozen and current_peer().agency == "harbor" and request.to == "city":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "frozen")
        return await self._carrier.carry(request, current_peer(), 5.0)


@asynccontextmanager
async def freezing(files, clock) -> AsyncIterator[tuple[Federation, Freezing]]:
    async with AsyncExitStack() as stack:
        federation = Federation(files, clock, stack)
        for agency in files.members:
            await federation.start_node(agency)
        config = load_broker_config(files.folder("exchange") / "broker.toml")
        watch = FederationWatch(config.federation, config.roots)
        pool = ChannelPool(config.load_tls(clock.now_ms()))
        stack.push_async_callback(pool.close)
        audit = federation.nodes["county"].context.audit  # any log will do for a liar
        liar = Freezing(watch, pool, Carrier("exchange", watch, audit, pool, clock))
        server, _ = await build_server(
            address=config.listen,
            credentials=server_credentials(
                lambda: config.load_tls(clock.now_ms()),
                lambda: [ca for a in watch.current.agencies.values() for ca in a.cas],
            ),
            verifier=PeerVerifier(watch.current.agencies.get, clock),
            add_services=lambda s: broker_pb2_grpc.add_BrokerServicer_to_server(liar, s),
            health_services=(),
        )
        stack.push_async_callback(server.stop, None)
        yield federation, liar


@pytest.mark.parametrize("frozen", [True, False])
async def test_a_broker_that_holds_a_side_back_closes_it(tmp_path: Path, frozen: bool) -> None:
    """The freeze (attack A9): what nobody hears of for an hour is not trusted any longer."""
    clock = FixedClock(SystemClock().now_ms())
    files = agreed(tmp_path, clock, hours=1)
    async with freezing(files, clock) as (federation, liar):
        liar.frozen = frozen
        put(folder(files, "harbor") / "instruments" / "harbor-1.json", _dispute(files))
        clock.ms += 61 * 60_000
        for number, agency in enumerate(files.members, 2):
            files.publish_roster(agency, number)
        city, harbor = (federation.nodes[name].context for name in ("city", "harbor"))
        digest = manifest_of(files).digest

        def fresh(context, party: str) -> bool:
            return not context.federation.agreements[digest].unconfirmed(party, clock.ms)

        await until(lambda: fresh(harbor, "harbor") and fresh(harbor, "city"))
        await until(lambda: fresh(city, "city"))
        if not frozen:
            await until(lambda: fresh(city, "harbor"))
        assert fresh(city, "harbor") is not frozen
        await asyncio.sleep(1.2)  # the roster is read again at each question
        came = await outcomes(federation, agencies=("city",))
        refusals = [e.fields for e in city.audit.entries() if e.kind == "refusal"]
        mine = [(one["agency"], one["decision"]) for one in heads_in(city)]
        # Of each the head that it began with, and what came since.
        assert mine.count(("city", "made")) == 2
        assert (mine.count(("harbor", "held")) == 1) is frozen
        if frozen:
            assert came["city"][0] != "answered"  # this broker tells no refusal on
            assert (refusals[-1]["code"], refusals[-1]["mark"]) == ("HEAD_STALE", "S")
            assert refusals[-1]["section"] == "V"
        else:
            assert came["city"][0] == "answered"


def _dispute(files) -> bytes:
    one = Instrument("harbor", 1, InstrumentKind.DISPUTE, "B. Example", "General Counsel",
                     files.clock.now_ms(), Details(reason="a count"))  # fmt: skip
    return sign_instrument(manifest_of(files), one, key(files, "harbor", KeyRole.COUNSEL))
