"""An identity is written in exactly one way, and a method is closed unless listed."""

import pytest

from accord.errors import InputError
from accord.identity import METHODS, PeerRole, SpiffeId, dns_name, may_call
from accord.wire.v1 import broker_pb2, node_pb2


def test_the_text_round_trips() -> None:
    identity = SpiffeId.parse("spiffe://harbor-police/node/main-2")
    assert identity == SpiffeId("harbor-police", PeerRole.NODE, "main-2")
    assert str(identity) == "spiffe://harbor-police/node/main-2"
    assert dns_name(identity) == "main-2.node.harbor-police.accord.internal"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "spiffe://",
        "spiffe://harbor",
        "spiffe://harbor/node",
        "spiffe://harbor/node/",
        "spiffe://harbor/node/main/",
        "spiffe://harbor/node/main/x",
        "spiffe://harbor//node/main",
        "spiffe://harbor/node/..",
        "spiffe://harbor/../node",
        "spiffe://harbor/node/.",
        "spiffe://Harbor/node/main",
        "spiffe://harbor/Node/main",
        "spiffe://harbor/node/Main",
        "SPIFFE://harbor/node/main",
        "Spiffe://harbor/node/main",
        "https://harbor/node/main",
        "spiffe:/harbor/node/main",
        "spiffe://harbor:443/node/main",
        "spiffe://user@harbor/node/main",
        "spiffe://harbor/node/main?x=1",
        "spiffe://harbor/node/main#x",
        "spiffe://harbor/node/ma%69n",
        "spiffe://h%61rbor/node/main",
        "spiffe://harbor/audit/main",
        "spiffe://harbor/node/main\n",
        " spiffe://harbor/node/main",
        "spiffe://harbor/node/main\x00",
        "spiffe://h\u0430rbor/node/main",
        "spiffe://harbor/node/ma\u0131n",
        "spiffe://harbor/node/\uff4dain",
        "spiffe://harbor/node/-main",
        "spiffe://harbor/node/a--b",
        "spiffe://harbor/node/" + "x" * 41,
        "spiffe://" + "x" * 41 + "/node/main",
    ],
)
def test_any_other_writing_is_no_identity(text: str) -> None:
    with pytest.raises(InputError, match="is not an identity"):
        SpiffeId.parse(text)


def test_a_bad_identity_can_not_be_built_from_parts() -> None:
    with pytest.raises(InputError, match="not an agency id"):
        SpiffeId("Harbor", PeerRole.NODE, "main")
    with pytest.raises(InputError, match="is not a name"):
        SpiffeId("harbor", PeerRole.NODE, "main/x")


def test_two_identities_never_share_a_dns_name() -> None:
    ids = [SpiffeId(a, r, n) for a in ("a", "a-b") for r in PeerRole for n in ("b", "a-b")]
    assert len({dns_name(identity) for identity in ids}) == len(ids)


def test_every_method_of_the_contract_is_in_the_table_and_no_other() -> None:
    declared = {
        f"/{service.full_name}/{method.name}"
        for module in (node_pb2, broker_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert set(METHODS) == declared | {"/grpc.health.v1.Health/Check"}


@pytest.mark.parametrize(
    ("role", "method", "allowed"),
    [
        (PeerRole.BROKER, "/accord.wire.v1.Node/Answer", True),
        (PeerRole.CLIENT, "/accord.wire.v1.Node/Answer", True),
        (PeerRole.NODE, "/accord.wire.v1.Node/Answer", False),
        (PeerRole.BROKER, "/accord.wire.v1.Node/Countersign", False),
        (PeerRole.CLIENT, "/accord.wire.v1.Node/Countersign", True),
        (PeerRole.BROKER, "/accord.wire.v1.Node/RecordAnswer", False),
        (PeerRole.NODE, "/accord.wire.v1.Broker/Query", False),
        (PeerRole.BROKER, "/accord.wire.v1.Broker/Query", False),
        (PeerRole.CLIENT, "/accord.wire.v1.Broker/Query", True),
        (PeerRole.NODE, "/accord.wire.v1.Broker/Directory", False),
        (PeerRole.NODE, "/grpc.health.v1.Health/Check", True),
        (PeerRole.CLIENT, "/accord.wire.v1.Node/answer", False),
        (PeerRole.CLIENT, "/accord.wire.v1.Node/Delete", False),
    ],
)
def test_who_may_call_what(role: PeerRole, method: str, allowed: bool) -> None:
    assert may_call(role, method) is allowed
