"""Who gets through the TLS handshake: callers of known agencies, with a leaf that is good now."""

import asyncio
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from grpc import aio

from accord.clock import SystemClock
from accord.identity import PeerRole
from accord.pki import certificate_pem, new_authority
from tests.integration.transport.conftest import House, client_id
from tests.integration.transport.kit import (
    AnyKey,
    Leaf,
    Target,
    authority_of,
    mint,
    relayed,
    serving,
    status_of,
    tls_context,
)


async def test_a_good_client_is_served(house: House, target: Target) -> None:
    async with target.channel(house.client()) as channel:
        assert await serving(channel)


async def test_a_caller_without_a_certificate_is_not_served(house: House, target: Target) -> None:
    assert await target.call(None) == "UNAVAILABLE"
    assert await target.call(house.client()) == "OK"


async def test_a_plaintext_caller_is_not_served(house: House, target: Target) -> None:
    async with aio.insecure_channel(f"127.0.0.1:{target.port}") as channel:
        assert await status_of(channel) == "UNAVAILABLE"
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    said = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert b"HTTP/" not in said
    assert await target.call(house.client()) == "OK"


@pytest.mark.parametrize(
    ("days", "status"), [((-2, 30), "OK"), ((-30, -1), "UNAVAILABLE"), ((1, 30), "UNAVAILABLE")]
)
async def test_a_leaf_must_be_valid_now(
    house: House, target: Target, days: tuple[float, float], status: str
) -> None:
    leaf = mint(authority_of(house.files, "city"), client_id("city"), days=days)
    assert await target.call(leaf) == status


async def test_a_ca_that_nobody_published_opens_nothing(house: House, target: Target) -> None:
    stranger = new_authority("city", SystemClock().now_ms())
    assert await target.call(mint(stranger, client_id("city"))) == "UNAVAILABLE"
    assert await target.call(mint(authority_of(house.files, "city"), client_id("city"))) == "OK"


async def test_a_leaf_that_signs_itself_is_not_served(house: House, target: Target) -> None:
    own = new_authority("city", SystemClock().now_ms())
    stranger = Leaf(certificate_pem(own.certificate), mint(own, key=own.key).key)
    assert await target.call(stranger) == "UNAVAILABLE"


async def test_a_node_lets_in_no_clients_of_its_partners(house: House) -> None:
    """A partner's officers come through the broker; their CA is none of the node's."""
    target = await house.start_node("city")
    assert await target.call(house.client("harbor")) == "UNAVAILABLE"
    assert await target.call(house.peer("exchange", PeerRole.BROKER)) == "OK"


@pytest.mark.parametrize(
    ("usages", "status"),
    [
        ((Usage.CLIENT_AUTH,), "OK"),
        ((Usage.CLIENT_AUTH, Usage.SERVER_AUTH), "OK"),
        ((Usage.SERVER_AUTH,), "UNAVAILABLE"),
        ((Usage.CODE_SIGNING,), "UNAVAILABLE"),
    ],
)
async def test_a_callers_leaf_must_be_for_calling(
    house: House, target: Target, usages: tuple, status: str
) -> None:
    leaf = mint(authority_of(house.files, "city"), client_id("city"), usages=usages)
    assert await target.call(leaf) == status


@pytest.mark.parametrize(
    ("usages", "status"),
    [((), "UNAUTHENTICATED"), ((Usage.ANY_EXTENDED_KEY_USAGE,), "UNAVAILABLE")],
)
async def test_a_leaf_must_say_what_it_is_for(
    house: House, target: Target, usages: tuple, status: str
) -> None:
    leaf = mint(authority_of(house.files, "city"), client_id("city"), usages=usages)
    assert await target.call(leaf) == status


async def test_no_call_is_served_on_tls_1_2(house: House, target: Target, tmp_path: Path) -> None:
    versions = {ssl.TLSVersion.TLSv1_2: "UNAUTHENTICATED", ssl.TLSVersion.TLSv1_3: "OK"}
    for version, status in versions.items():
        context = tls_context(tmp_path, house.client(), version)
        async with relayed(target.port, context) as channel:
            assert await status_of(channel) == status


async def test_the_relay_shows_that_a_certificate_is_asked_for(
    house: House, target: Target, tmp_path: Path
) -> None:
    async with relayed(target.port, tls_context(tmp_path, None)) as channel:
        assert await status_of(channel) == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("key", "status"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "OK"),
        (ec.generate_private_key(ec.SECP384R1()), "UNAUTHENTICATED"),
        (rsa.generate_private_key(65537, 2048), "UNAUTHENTICATED"),
        (ed25519.Ed25519PrivateKey.generate(), "UNAVAILABLE"),
    ],
    ids=["P-256", "P-384", "RSA", "Ed25519"],
)
async def test_a_callers_leaf_must_be_p256(
    house: House, target: Target, key: AnyKey, status: str
) -> None:
    leaf = mint(authority_of(house.files, "city"), client_id("city"), key=key)
    assert await target.call(leaf) == status
