"""Callers that skip, repeat or forge: what the nodes and the broker do on their own."""

import secrets
from dataclasses import replace
from typing import Any

import grpc
import pytest
from grpc import aio

from accord.agreements.templates import MOA_ATTESTATIONS
from accord.clock import new_query_id
from accord.codec import encode_query, envelope_to_bytes, envelope_to_wire
from accord.envelope import QUERY, Envelope, sign
from accord.identity import KeyRole
from accord.keys import PrivateKey
from accord.model import ExactPlate, Query, Window
from accord.roster import read_credential
from accord.transport.channels import ChannelPool
from accord.transport.server import refusal_from
from accord.wire.v1 import broker_pb2, broker_pb2_grpc, node_pb2, node_pb2_grpc
from broker.config import load_config as load_broker
from tests.conftest import FILES, HOUR_MS, PLATE, Federation


def last_entry(federation: Federation):
    """The city's last entry that is not about files, which come when they come."""
    entries = federation.nodes["city"].context.audit.entries()
    return [entry for entry in entries if entry.kind not in FILES][-1]


def forge(
    federation: Federation,
    audience: str,
    *,
    requester: str = "harbor",
    officer: str = "O-1",
    home: str | None = None,
    **changes: Any,
) -> Envelope:
    """Return a query signed by an officer and by a stolen home node key."""
    files = federation.files
    folder = files.client_toml(requester, officer).parent
    credential, envelope = read_credential(folder / "credential.json")
    now = federation.clock.now_ms()
    agreements = federation.nodes[requester].context.federation.scope(requester).get(audience, ())
    query = Query(
        query_id=new_query_id(federation.clock),
        nonce=secrets.token_bytes(16),
        issued_at_ms=now,
        not_after_ms=now + 60_000,
        requesting_agency=requester,
        audience=audience,
        credential=credential,
        purpose="stolen-vehicle",
        case_number="T-1",
        reason="test",
        on_behalf_of="",
        agreement_digest=agreements[0].manifest.digest if agreements else b"",
        selector=ExactPlate(PLATE, "CA"),
        window=Window(now - 24 * HOUR_MS, now),
        fields=(),
        row_limit=10,
        attestations=MOA_ATTESTATIONS,
    )
    payload = encode_query(replace(query, **changes), envelope_to_bytes(envelope))
    signers = [PrivateKey.load(folder / "officer.pem")]
    if home != "":
        signers.append(PrivateKey.load(files.members[home or requester].files.key(KeyRole.NODE)))
    return sign(QUERY, payload, *signers)


async def to_node(federation: Federation, agency: str, envelope: Envelope) -> Any:
    """Call a node as the broker would; return the answer or the error."""
    config = load_broker(federation.files.folder("exchange") / "broker.toml")
    pool = ChannelPool(config.load_tls(federation.clock.now_ms()))
    published = federation.files.members[agency].files.published()
    endpoint = published.node_endpoint()
    assert endpoint is not None
    stub = node_pb2_grpc.NodeStub(pool.get(endpoint, published.cas))
    try:
        return await stub.Answer(
            node_pb2.AnswerRequest(query=envelope_to_wire(envelope)), timeout=5
        )
    except aio.AioRpcError as error:
        return error
    finally:
        await pool.close()


async def to_broker(federation: Federation, requester: str, *envelopes: Envelope) -> Any:
    """Call the broker with an officer's certificate, past the home node."""
    async with federation.client(requester) as client:
        stub = broker_pb2_grpc.BrokerStub(client._calls._broker_channel())
        request = broker_pb2.QueryRequest(queries=[envelope_to_wire(e) for e in envelopes])
        return await stub.Query(request, timeout=5)


async def test_a_good_envelope_is_answered(federation: Federation) -> None:
    response = await to_node(federation, "city", forge(federation, "city"))
    assert response.answer.payload


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"home": ""}, "UNAUTHENTICATED", "SIGNATURE_INVALID"),
        ({"home": "county"}, "UNAUTHENTICATED", "SIGNATURE_INVALID"),
        ({"officer": "O-2"}, "PERMISSION_DENIED", "TRAINING_LAPSED"),
        ({"purpose": "hit-and-run"}, "PERMISSION_DENIED", "PURPOSE_NOT_AGREED"),
        ({"purpose": "Stolen-Vehicle"}, "PERMISSION_DENIED", "PURPOSE_UNKNOWN"),
        ({"purpose": "personal"}, "PERMISSION_DENIED", "PURPOSE_PROHIBITED"),
        ({"case_number": ""}, "PERMISSION_DENIED", "CASE_NUMBER_REQUIRED"),
        ({"on_behalf_of": "county"}, "PERMISSION_DENIED", "ONWARD_SHARING"),
        ({"audience": "county"}, "PERMISSION_DENIED", "WRONG_AUDIENCE"),
        ({"selector": ExactPlate("9TST00\u0661")}, "INVALID_ARGUMENT", "BAD_QUERY"),
        ({"selector": ExactPlate("' OR 1=1")}, "INVALID_ARGUMENT", "BAD_QUERY"),
        ({"window": Window(2_000_000_000_000, 1)}, "INVALID_ARGUMENT", "BAD_QUERY"),
        ({"row_limit": 4_000_000}, "INVALID_ARGUMENT", "BAD_QUERY"),
    ],
)
async def test_the_owner_refuses_whatever_a_home_node_signed(
    federation: Federation, changes: dict[str, Any], status: str, code: str
) -> None:
    audience = changes.pop("audience", "city")
    error = await to_node(federation, "city", forge(federation, audience, **changes))
    assert isinstance(error, aio.AioRpcError)
    assert error.code().name == status
    entry = last_entry(federation)
    assert entry.kind == "refusal"
    assert entry.fields["code"] == code
    assert PLATE not in (error.details() or "")


async def test_a_stranger_to_the_agreement_never_reaches_the_node(federation: Federation) -> None:
    envelope = forge(federation, "city", requester="county")
    response = await to_broker(federation, "county", envelope)
    assert response.outcomes[0].claim.code == "NO_AGREEMENT"
    assert federation.kinds("city") == ["start"]
    error = await to_node(federation, "city", envelope)
    assert isinstance(error, aio.AioRpcError)


async def test_stale_and_future_queries_are_refused(federation: Federation) -> None:
    now = federation.clock.now_ms()
    for issued in (now - 200_000, now + 100_000):
        envelope = forge(federation, "city", issued_at_ms=issued, not_after_ms=issued + 60_000)
        error = await to_node(federation, "city", envelope)
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_retry_gets_the_stored_answer_and_a_used_nonce_is_refused(
    federation: Federation,
) -> None:
    envelope = forge(federation, "city", nonce=b"n" * 16)
    first = await to_node(federation, "city", envelope)
    again = await to_node(federation, "city", envelope)
    assert again.answer == first.answer
    assert federation.kinds("city").count("answer") == 1
    reused = await to_node(federation, "city", forge(federation, "city", nonce=b"n" * 16))
    assert reused.code() is grpc.StatusCode.ALREADY_EXISTS


async def test_a_refusal_is_signed_by_the_node(federation: Federation) -> None:
    error = await to_node(federation, "city", forge(federation, "city", purpose="hit-and-run"))
    refusal = refusal_from(error)
    assert refusal is not None
    node_key = federation.files.members["city"].files.published().keys_for("node")[0]
    assert refusal.signatures[0].keyid == node_key.keyid


async def test_the_broker_does_not_send_another_agencys_query(federation: Federation) -> None:
    response = await to_broker(federation, "county", forge(federation, "city"))
    assert response.outcomes[0].claim.code == "METHOD_NOT_ALLOWED"
    assert federation.kinds("city") == ["start"]


async def test_withheld_looks_like_nothing_found(federation: Federation) -> None:
    """Same outcome, count, fields of the leaf; the owner alone has the count."""
    policy = federation.files.folder("city") / "policy.toml"
    policy.write_text(policy.read_text().replace("plates = []", f'plates = ["{PLATE}"]'))
    federation.nodes["city"].context.sources.refresh()
    async with federation.client() as client:
        held = await client.ask(federation.question(agencies=("city",)))
        none = await client.ask(
            federation.question(agencies=("city",), selector=ExactPlate("9TST999", "CA"))
        )
    assert held.complete
    assert (held.reads, held.outcomes[0].rows) == (none.reads, none.outcomes[0].rows) == ((), 0)
    answers = [e for e in federation.nodes["city"].context.audit.entries() if e.kind == "answer"]
    assert [set(e.fields) for e in answers[:1]] == [set(e.fields) for e in answers[1:]]
    assert [e.fields["withheld"] for e in answers] == ["4", "0"]


async def test_enumeration_ends_at_the_owners_limit(federation: Federation) -> None:
    policy = federation.files.folder("city") / "policy.toml"
    text = policy.read_text().replace("officer_per_minute = 1000000", "officer_per_minute = 3")
    policy.write_text(text)
    federation.nodes["city"].context.sources.refresh()
    came = [
        await to_node(
            federation, "city", forge(federation, "city", selector=ExactPlate(f"9TST{n:03}"))
        )
        for n in range(5)
    ]
    codes = [e.code() for e in came if isinstance(e, aio.AioRpcError)]
    # A new minute may begin on the way.
    assert codes in ([grpc.StatusCode.RESOURCE_EXHAUSTED] * n for n in (1, 2))
    assert last_entry(federation).fields["mark"] == "S"


async def test_no_plate_stands_in_any_file_but_the_store(federation: Federation) -> None:
    async with federation.client() as client:
        await client.ask(federation.question())
        await client.ask(federation.question(purpose="hit-and-run"))
    files = [p for p in federation.files.base.rglob("*") if p.is_file()]
    others = [p for p in files if not p.name.startswith("reads.db")]
    assert len(others) > 50
    assert [p for p in others if PLATE.encode() in p.read_bytes()] == []
