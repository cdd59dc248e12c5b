"""A broker that lies: the client or the node catches it, and shows nothing of it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from accord.cli.query import status_of
from accord.clock import SystemClock
from accord.errors import Code
from accord.federation_watch import FederationWatch
from accord.model import OutcomeKind
from accord.processes import EXIT_INCOMPLETE
from accord.transport.channels import ChannelPool
from accord.transport.peers import PeerVerifier
from accord.transport.server import build_server
from accord.transport.tls import server_credentials
from accord.wire.v1 import answer_pb2, broker_pb2, broker_pb2_grpc, node_pb2, node_pb2_grpc
from broker.config import load_config
from tests.conftest import HOUR_MS, Federation, make_files, read_at, running

Lie = Callable[[broker_pb2.QueryResponse], None]
Widen = Callable[[broker_pb2.QueryRequest], None]


class LyingBroker(broker_pb2_grpc.BrokerServicer):
    """Forwards everything to every node, then lies. Real certificate, real channels."""

    def __init__(self, watch: FederationWatch, pool: ChannelPool) -> None:
        self._watch = watch
        self._pool = pool
        self.lie: Lie = lambda _: None
        self.widen: Widen = lambda _: None
        self.replay: broker_pb2.QueryResponse | None = None
        self.last: broker_pb2.QueryResponse | None = None

    async def Query(self, request: broker_pb2.QueryRequest, context: Any) -> Any:
        self.widen(request)
        response = broker_pb2.QueryResponse()
        for envelope, name in zip(request.queries, ("city", "county"), strict=False):
            agency = self._watch.current.agencies[name]
            endpoint = agency.node_endpoint()
            assert endpoint is not None
            stub = node_pb2_grpc.NodeStub(self._pool.get(endpoint, agency.cas))
            outcome = response.outcomes.add(agency=name)
            try:
                answer = await stub.Answer(node_pb2.AnswerRequest(query=envelope), timeout=5)
                outcome.answer.CopyFrom(answer.answer)
            except Exception as error:
                code = getattr(error, "code", lambda: None)()
                outcome.claim.code = Code.NODE_UNREACHABLE.value
                outcome.claim.text = str(code)
        self.last = broker_pb2.QueryResponse()
        self.last.CopyFrom(response)
        self.lie(response)
        return self.replay or response

    async def Directory(self, request: Any, context: Any) -> broker_pb2.DirectoryResponse:
        return broker_pb2.DirectoryResponse()


@asynccontextmanager
async def lying(tmp_path: Path) -> AsyncIterator[tuple[Federation, LyingBroker]]:
    clock = SystemClock()
    files = make_files(tmp_path, clock)
    files.build()
    async with running(files, broker=False) as federation:
        now = clock.now_ms()
        for agency in ("city", "county"):
            reads = [read_at(now - hours * HOUR_MS) for hours in (1, 2)]
            federation.nodes[agency].context.store.add(reads)
        config = load_config(files.folder("exchange") / "broker.toml")
        watch = FederationWatch(config.federation, config.roots)
        watch.refresh()
        pool = ChannelPool(config.load_tls(now))
        liar = LyingBroker(watch, pool)
        server, _ = await build_server(
            address=config.listen,
            credentials=server_credentials(
                lambda: config.load_tls(now),
                lambda: [ca for a in watch.current.agencies.values() for ca in a.cas],
            ),
            verifier=PeerVerifier(watch.current.agencies.get, clock),
            add_services=lambda s: broker_pb2_grpc.add_BrokerServicer_to_server(liar, s),
            health_services=(),
        )
        try:
            yield federation, liar
        finally:
            await server.stop(grace=None)
            await pool.close()


def _alter_row(response: broker_pb2.QueryResponse) -> None:
    envelope = response.outcomes[0].answer
    answer = answer_pb2.Answer.FromString(envelope.payload)
    body = answer_pb2.AnswerBody.FromString(answer.body)
    body.reads[0].plate = "9TST002"
    answer.body = body.SerializeToString(deterministic=True)
    envelope.payload = answer.SerializeToString(deterministic=True)


def _drop_row(response: broker_pb2.QueryResponse) -> None:
    envelope = response.outcomes[0].answer
    answer = answer_pb2.Answer.FromString(envelope.payload)
    body = answer_pb2.AnswerBody.FromString(answer.body)
    del body.reads[0]
    body.count -= 1
    answer.body = body.SerializeToString(deterministic=True)
    envelope.payload = answer.SerializeToString(deterministic=True)


def _swap(response: broker_pb2.QueryResponse) -> None:
    first = response.outcomes[0].answer.SerializeToString()
    response.outcomes[0].answer.CopyFrom(response.outcomes[1].answer)
    response.outcomes[1].answer.ParseFromString(first)


def _drop_signature(response: broker_pb2.QueryResponse) -> None:
    del response.outcomes[0].answer.signatures[:]


@pytest.mark.parametrize("lie", [_alter_row, _drop_row, _drop_signature])
async def test_a_changed_answer_is_not_shown(tmp_path: Path, lie: Lie) -> None:
    async with lying(tmp_path) as (federation, liar), federation.client() as client:
        honest = await client.ask(federation.question())
        liar.lie = lie
        result = await client.ask(federation.question())
    assert len(honest.reads) == 4
    assert result.outcomes[0].kind is OutcomeKind.UNVERIFIED
    assert {read.originator for read in result.reads} == {"county"}
    assert not result.complete


async def test_swapped_answers_are_not_shown(tmp_path: Path) -> None:
    async with lying(tmp_path) as (federation, liar), federation.client() as client:
        liar.lie = _swap
        result = await client.ask(federation.question())
    assert {o.kind for o in result.outcomes} == {OutcomeKind.UNVERIFIED}
    assert result.reads == ()


async def test_an_agency_left_out_is_named(tmp_path: Path) -> None:
    def leave_out(response: broker_pb2.QueryResponse) -> None:
        del response.outcomes[0]

    async with lying(tmp_path) as (federation, liar), federation.client() as client:
        liar.lie = leave_out
        result = await client.ask(federation.question())
        directory = await client.directory()
        scope = client.scope()
    assert directory == []
    assert scope == ("city", "county")
    assert {o.agency: o.kind for o in result.outcomes} == {
        "city": OutcomeKind.UNVERIFIED,
        "county": OutcomeKind.ANSWERED,
    }
    assert not result.complete


async def test_an_old_answer_replayed_is_not_shown(tmp_path: Path) -> None:
    async with lying(tmp_path) as (federation, liar), federation.client() as client:
        await client.ask(federation.question())
        liar.replay = liar.last
        result = await client.ask(federation.question())
    assert {o.kind for o in result.outcomes} == {OutcomeKind.UNVERIFIED}
    assert result.reads == ()


async def test_a_widened_query_is_refused_by_the_node_and_recorded(tmp_path: Path) -> None:
    def widen(request: broker_pb2.QueryRequest) -> None:
        wire = request.queries[0]
        wire.payload = wire.payload.replace(b"stolen-vehicle", b"wanted-personn")

    async with lying(tmp_path) as (federation, liar), federation.client() as client:
        liar.widen = widen
        result = await client.ask(federation.question())
        entries = list(federation.nodes["city"].context.audit.entries())
    assert result.outcomes[0].kind is OutcomeKind.UNREACHABLE
    assert "UNAUTHENTICATED" in result.outcomes[0].text
    assert [e.fields["code"] for e in entries if e.kind == "refusal"] == ["SIGNATURE_INVALID"]


@pytest.mark.parametrize(
    ("said", "recorded"),
    [("PURPOSE_NOT_AGREED", "PURPOSE_NOT_AGREED"), ("SEEN NEAR 9TST001", "MALFORMED")],
)
async def test_a_forged_refusal_is_shown_as_the_brokers_claim(
    tmp_path: Path, said: str, recorded: str
) -> None:
    """What the broker words itself gets into no book: counterparts are shown that field."""

    def forge(response: broker_pb2.QueryResponse) -> None:
        response.outcomes[0].claim.code = said
        response.outcomes[0].claim.text = "not agreed"

    async with lying(tmp_path) as (federation, liar), federation.client() as client:
        liar.lie = forge
        result = await client.ask(federation.question())
        entries = list(federation.nodes["harbor"].context.audit.entries())
    assert result.outcomes[0].kind is OutcomeKind.NOT_FORWARDED
    assert not result.outcomes[0].signed
    assert recorded in [e.fields.get("code") for e in entries if e.kind == "returned"]
    assert not any("SEEN NEAR" in value for e in entries for value in e.fields.values())


async def test_an_envelope_sent_to_another_node_is_refused(tmp_path: Path) -> None:
    def misdirect(request: broker_pb2.QueryRequest) -> None:
        first = request.queries[0].SerializeToString()
        request.queries[0].CopyFrom(request.queries[1])
        request.queries[1].ParseFromString(first)

    async with lying(tmp_path) as (federation, liar), federation.client() as client:
        liar.widen = misdirect
        result = await client.ask(federation.question())
        kinds = {name: federation.kinds(name) for name in ("city", "county")}
    assert result.reads == ()
    assert kinds == {"city": ["start", "refusal"], "county": ["start", "refusal"]}


async def test_the_brokers_reason_is_shown_where_it_could_verify_nothing(tmp_path: Path) -> None:
    """Then it can't name the agency either: its place in the list does."""

    def unnamed(response: broker_pb2.QueryResponse) -> None:
        claim = broker_pb2.BrokerClaim(code="STALE", text="The query is too old.")
        response.outcomes[0].CopyFrom(broker_pb2.NodeOutcome(claim=claim))
        del response.order[:]

    async with lying(tmp_path) as (federation, liar), federation.client() as client:
        liar.lie = unnamed
        result = await client.ask(federation.question())
    assert [(o.kind, o.code, o.claimed) for o in result.outcomes] == [
        (OutcomeKind.NOT_FORWARDED, "STALE", True),
        (OutcomeKind.ANSWERED, "", False),
    ]
    assert not result.refused
    assert status_of(result) == EXIT_INCOMPLETE
