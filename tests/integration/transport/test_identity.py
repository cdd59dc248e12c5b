"""Who a caller is, and what that kind of caller may call: decided on every call."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from grpc import aio

from accord.identity import METHODS, PeerRole, may_call
from accord.pki import Authority
from accord.wire.v1 import node_pb2, node_pb2_grpc
from tests.integration.transport.conftest import House, client_id
from tests.integration.transport.kit import (
    ANSWER,
    CARRY,
    CARRY_WITNESS,
    CHECK,
    COUNTERSIGN,
    DELIVER,
    DIRECTORY,
    QUERY,
    RECORD,
    WITNESS,
    Leaf,
    Target,
    authority_of,
    error_of,
    mint,
)

BOTH = (Usage.CLIENT_AUTH, Usage.SERVER_AUTH)


async def test_one_agencys_ca_can_not_make_another_agencys_identity(
    house: House, target: Target
) -> None:
    """Both CAs pass the handshake; the call looks whose identity the leaf claims."""
    exchange, city = authority_of(house.files, "exchange"), authority_of(house.files, "city")
    assert await target.call(mint(exchange, client_id("city"))) == "UNAUTHENTICATED"
    assert await target.call(mint(exchange, client_id("exchange"))) == "OK"
    broker = "spiffe://exchange/broker/main"
    assert await target.call(mint(city, broker, usages=BOTH)) == "UNAUTHENTICATED"
    assert await target.call(mint(city, client_id("nobody"))) == "UNAUTHENTICATED"


@pytest.mark.parametrize("ca", [False, True])
async def test_only_the_published_ca_itself_makes_identities(
    house: House, target: Target, ca: bool
) -> None:
    """Neither a caller's own leaf nor a CA below the agency's makes another leaf."""
    city = authority_of(house.files, "city")
    between = mint(city, client_id("city"), ca=ca)
    key = load_pem_private_key(between.key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    lower = Authority(x509.load_pem_x509_certificate(between.certificate), key)
    below = mint(lower, client_id("city"))
    chain = Leaf(below.certificate + between.certificate, below.key)
    assert await target.call(chain) == "UNAVAILABLE"
    assert await target.call(below) == "UNAVAILABLE"
    assert await target.call(mint(city, client_id("city"))) == "OK"


@pytest.mark.parametrize(
    ("uris", "status"),
    [
        (("spiffe://city/client/desk",), "OK"),
        ((), "UNAUTHENTICATED"),
        (("spiffe://city/client/desk", "spiffe://city/client/other"), "UNAUTHENTICATED"),
        (("spiffe://city/client/desk", "https://city/"), "UNAUTHENTICATED"),
        (("spiffe://City/client/desk",), "UNAUTHENTICATED"),
        (("spiffe://city/Client/desk",), "UNAUTHENTICATED"),
        (("SPIFFE://city/client/desk",), "UNAUTHENTICATED"),
        (("spiffe://c%69ty/client/desk",), "UNAUTHENTICATED"),
        (("spiffe://city/client/de%73k",), "UNAUTHENTICATED"),
        (("spiffe://city/%63lient/desk",), "UNAUTHENTICATED"),
        (("spiffe://city/client%2fdesk",), "UNAUTHENTICATED"),
        (("spiffe://city:443/client/desk",), "UNAUTHENTICATED"),
        (("spiffe://city/client/desk/",), "UNAUTHENTICATED"),
        (("spiffe://city/client/desk?x",), "UNAUTHENTICATED"),
        (("spiffe://city/client/desk#x",), "UNAUTHENTICATED"),
        (("spiffe://a@city/client/desk",), "UNAUTHENTICATED"),
        (("spiffe://city/officer/desk",), "UNAUTHENTICATED"),
        (("https://city/client/desk",), "UNAUTHENTICATED"),
    ],
)
async def test_an_identity_is_one_uri_letter_by_letter(
    house: House, uris: tuple[str, ...], status: str
) -> None:
    target = await house.start_node()
    leaf = mint(authority_of(house.files, "city"), *uris, dns=["city.example"])
    assert await target.call(leaf) == status


@pytest.mark.parametrize(
    ("uri", "usages", "status"),
    [
        ("spiffe://city/node/main", BOTH, "OK"),
        ("spiffe://city/node/main", (Usage.CLIENT_AUTH,), "UNAUTHENTICATED"),
        ("spiffe://city/broker/main", (Usage.CLIENT_AUTH,), "UNAUTHENTICATED"),
        ("spiffe://city/client/main", (Usage.CLIENT_AUTH,), "OK"),
    ],
)
async def test_a_servers_identity_needs_a_servers_usage(
    house: House, target: Target, uri: str, usages: tuple, status: str
) -> None:
    assert await target.call(mint(authority_of(house.files, "city"), uri, usages=usages)) == status


async def test_constraints_must_say_that_a_leaf_is_no_ca(house: House, target: Target) -> None:
    city = authority_of(house.files, "city")
    assert await target.call(mint(city, client_id("city"), constraints=False)) == "UNAUTHENTICATED"
    assert await target.call(mint(city, client_id("city"), constraints=True)) == "OK"


_ROLES = {
    PeerRole.CLIENT: "spiffe://city/client/desk",
    PeerRole.NODE: "spiffe://city/node/main",
    PeerRole.BROKER: "spiffe://city/broker/main",
}


@pytest.mark.parametrize("role", list(PeerRole))
@pytest.mark.parametrize("kind", ["node", "broker"])
async def test_each_kind_of_caller_reaches_its_methods_and_no_other(
    house: House, kind: str, role: PeerRole
) -> None:
    target = await house.start(kind)
    leaf = mint(authority_of(house.files, "city"), _ROLES[role], usages=BOTH)
    offered = {
        "node": {ANSWER, COUNTERSIGN, RECORD, DELIVER, WITNESS, CHECK},
        "broker": {QUERY, DIRECTORY, CARRY, CARRY_WITNESS, CHECK},
    }
    async with target.channel(leaf) as channel:
        for method in METHODS:
            error = await error_of(channel, method)
            said = (error.code().name, error.details()) if error else ("OK", "")
            if method not in offered[kind]:
                assert said[0] == "UNIMPLEMENTED"
            elif not may_call(role, method):
                refusal = "This kind of caller may not call this method."
                assert said == ("PERMISSION_DENIED", refusal), method
            elif method in (WITNESS, CARRY_WITNESS):
                # It asks first whose broker this is, and whose log is meant: of nobody here.
                assert said[0] == "PERMISSION_DENIED", method
            else:
                assert said[0] in ("OK", "INVALID_ARGUMENT", "UNAUTHENTICATED"), method
                assert "certificate" not in said[1], method


async def test_the_roles_of_the_brief_are_refused(house: House) -> None:
    """Written out, so that a change of the table is seen here."""
    node = await house.start_node()
    broker = await house.start_broker()
    exchange = house.peer("exchange", PeerRole.BROKER)
    assert await node.call(exchange, COUNTERSIGN) == "PERMISSION_DENIED"
    assert await node.call(exchange, RECORD) == "PERMISSION_DENIED"
    assert await node.call(house.client(), DELIVER) == "PERMISSION_DENIED"
    assert await broker.call(house.client(), CARRY) == "PERMISSION_DENIED"
    assert await node.call(house.client(), WITNESS) == "PERMISSION_DENIED"
    assert await broker.call(house.client(), CARRY_WITNESS) == "PERMISSION_DENIED"
    assert await broker.call(exchange, CARRY_WITNESS) == "PERMISSION_DENIED"
    assert await broker.call(exchange, CARRY) == "PERMISSION_DENIED"
    assert await node.call(house.peer("city", PeerRole.NODE), ANSWER) == "PERMISSION_DENIED"
    assert await broker.call(house.peer("city", PeerRole.NODE), QUERY) == "PERMISSION_DENIED"
    assert await broker.call(exchange, QUERY) == "PERMISSION_DENIED"
    assert await broker.call(house.peer("city", PeerRole.NODE), DIRECTORY) == "PERMISSION_DENIED"
    assert await broker.call(house.client(), DIRECTORY) == "OK"


async def test_a_client_asks_its_own_node_only_for_itself(house: House) -> None:
    """The operator's clients pass the handshake, and are no officers of this agency."""
    node = await house.start_node()
    stranger = mint(authority_of(house.files, "exchange"), client_id("exchange"))
    assert await node.call(stranger, COUNTERSIGN) == "PERMISSION_DENIED"
    assert await node.call(stranger, RECORD) == "PERMISSION_DENIED"
    assert house.node is not None
    refusals = [e for e in house.node.context.audit.entries() if e.kind == "refusal"]
    codes = [entry.fields["code"] for entry in refusals]
    assert codes == ["METHOD_NOT_ALLOWED", "METHOD_NOT_ALLOWED"]
    async with node.channel(house.client()) as channel:
        stub = node_pb2_grpc.NodeStub(channel)
        with pytest.raises(aio.AioRpcError, match="Send 1 to"):
            await stub.Countersign(node_pb2.CountersignRequest(), timeout=5)


async def test_a_refused_identity_is_recorded_with_its_certificate_once_a_minute(
    house: House,
) -> None:
    node = await house.start_node()
    assert house.node is not None
    bad = mint(authority_of(house.files, "exchange"), client_id("city"))
    for _ in range(3):
        assert await node.call(bad) == "UNAUTHENTICATED"
    entries = [e for e in house.node.context.audit.entries() if e.kind == "refusal"]
    assert [e.fields["code"] for e in entries] == ["PEER_REFUSED"]
    assert entries[0].fields["mark"] == "S"
    assert entries[0].fields["peer"] == "unverified"
    assert "certificate sha256:" in entries[0].fields["detail"]
    house.clock.ms += 61_000
    assert await node.call(house.peer("city", PeerRole.NODE), ANSWER) == "PERMISSION_DENIED"
    last = list(house.node.context.audit.entries())[-1]
    assert last.fields["code"] == "METHOD_NOT_ALLOWED"
    assert last.fields["peer"] == "spiffe://city/node/main"
    assert last.fields["left_out"] == "2"


async def test_the_broker_records_whom_it_refuses(house: House) -> None:
    broker = await house.start_broker()
    assert house.broker is not None
    assert await broker.call(house.client(), DIRECTORY) == "OK"
    assert [e.kind for e in house.broker.audit.entries()] == ["start"]
    assert await broker.call(house.peer("city", PeerRole.NODE), QUERY) == "PERMISSION_DENIED"
    assert [e.kind for e in house.broker.audit.entries()] == ["start", "refusal"]
