"""What changes while a connection is warm: it counts from the next call on."""

import asyncio
import shutil
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from grpc import aio

from accord.agencies import render_agency, sign_agency
from accord.agency_files import AgencyFiles
from accord.agreements.templates import MOA_ATTESTATIONS
from accord.client import AccordClient, Question
from accord.clock import SystemClock
from accord.identity import KeyRole, PeerRole, SpiffeId, dns_name
from accord.keys import PrivateKey
from accord.model import ExactPlate, OutcomeKind, Window
from accord.pki import issue, key_pem, new_authority, new_key
from tests.conftest import HOUR_MS, PLATE
from tests.integration.transport.conftest import House, client_id
from tests.integration.transport.kit import (
    Leaf,
    Target,
    authority_of,
    mint,
    status_of,
    tls_context,
)

_PEM, _DER = Encoding.PEM, Encoding.DER
MINUTE = 1 / 1440
_PUBLISHED = (
    KeyRole.NODE,
    KeyRole.PERSONNEL,
    KeyRole.COUNSEL,
    KeyRole.AUDIT,
    KeyRole.WITNESS,
)


def publish(
    house: House, agency: str, cas: Sequence[x509.Certificate], revoked: Sequence[int] = ()
) -> None:
    """Publish the agency's next ``agency.toml`` and give it to everybody who has one."""
    members = [*house.files.members.values()]
    assert house.files.operator is not None
    members.append(house.files.operator)
    files: AgencyFiles = next(m.files for m in members if m.files.agency == agency)
    old = files.published()
    data = render_agency(
        agency=agency,
        number=old.number + 1,
        name=old.name,
        kind=old.kind,
        state=old.state,
        contact=old.contact,
        cas=cas,
        keys=[(role, key) for role in _PUBLISHED for key in old.keys_for(role)],
        endpoints=old.endpoints,
        issued_at_ms=old.issued_at_ms,
        expires_at_ms=old.expires_at_ms,
        revoked=revoked,
    )
    (files.public / "agency.toml").write_bytes(data)
    (files.public / "agency.sig").write_bytes(sign_agency(data, PrivateKey.load(files.root)))
    for member in members:
        held = member.files.folder / "federation" / "agencies" / agency
        if held.is_dir():
            shutil.copytree(files.public, held, dirs_exist_ok=True)


async def becomes(channel: aio.Channel, status: str) -> bool:
    """Call until the server has read its folder again; it does so every second."""
    for _ in range(100):
        if await status_of(channel) == status:
            return True
        await asyncio.sleep(0.05)
    return False


def serial(leaf: Leaf) -> int:
    return x509.load_pem_x509_certificate(leaf.certificate).serial_number


@pytest.mark.parametrize("minutes", [120, -3], ids=["ended", "not begun"])
async def test_a_leaf_that_is_not_valid_any_more_while_the_connection_is_warm(
    house: House, target: Target, minutes: int
) -> None:
    city = authority_of(house.files, "city")
    short = mint(city, client_id("city"), days=(-MINUTE, 60 * MINUTE))
    longer = mint(city, client_id("city"))
    async with target.channel(short) as warm, target.channel(longer) as other:
        assert await status_of(warm) == "OK"
        assert await status_of(other) == "OK"
        house.clock.ms += minutes * 60_000
        assert await status_of(warm) == "UNAUTHENTICATED"
        assert await status_of(other) == "OK"


async def test_a_ca_that_ends_while_the_connection_is_warm(house: House, target: Target) -> None:
    """Its leaves end with it, also those that say otherwise."""
    ending = new_authority("city", SystemClock().now_ms(), days=1)
    publish(house, "city", [authority_of(house.files, "city").certificate, ending.certificate])
    async with target.channel(mint(ending, client_id("city"))) as warm:
        assert await becomes(warm, "OK")
        house.clock.ms += 48 * HOUR_MS
        assert await status_of(warm) == "UNAUTHENTICATED"
    assert await target.call(mint(authority_of(house.files, "city"), client_id("city"))) == "OK"


async def test_an_agency_that_leaves_the_folder_is_refused_on_the_next_call(house: House) -> None:
    node = await house.start_node()
    assert house.node is not None
    broker = house.peer("exchange", PeerRole.BROKER)
    async with node.channel(broker) as warm, node.channel(house.client()) as own:
        assert await status_of(warm) == "OK"
        assert await status_of(own) == "OK"
        shutil.rmtree(house.files.folder("city") / "federation" / "agencies" / "exchange")
        house.node.context.sources.refresh()
        assert await status_of(warm) == "UNAUTHENTICATED"
        assert await status_of(own) == "OK"
    assert await node.call(broker) == "UNAVAILABLE"


async def test_a_folder_that_can_not_be_read_lets_nobody_in(house: House) -> None:
    node = await house.start_node()
    assert house.node is not None
    async with node.channel(house.client()) as warm:
        assert await status_of(warm) == "OK"
        (house.files.folder("city") / "federation").rename(house.files.base / "away")
        house.node.context.sources.refresh()
        # Nobody is known while it lasts, and the caller is told that it is the node's own trouble.
        assert await status_of(warm) == "UNAVAILABLE"
        assert await node.call(house.client()) == "UNAVAILABLE"
        (house.files.base / "away").rename(house.files.folder("city") / "federation")
        house.node.context.sources.refresh()
        assert await status_of(warm) == "OK"


async def test_a_ca_is_replaced_with_an_overlap(house: House, target: Target) -> None:
    """First both CAs, then the new one alone; nobody reconnects for it."""
    old, new = authority_of(house.files, "city"), new_authority("city", SystemClock().now_ms())
    before, after = mint(old, client_id("city")), mint(new, client_id("city"))
    async with target.channel(before) as was:
        assert await status_of(was) == "OK"
        assert await target.call(after) == "UNAVAILABLE"
        publish(house, "city", [old.certificate, new.certificate])
        async with target.channel(after) as fresh:
            assert await becomes(fresh, "OK")
            assert await status_of(was) == "OK"
            publish(house, "city", [new.certificate])
            assert await becomes(was, "UNAUTHENTICATED")
            assert await status_of(fresh) == "OK"
    assert await target.call(before) == "UNAVAILABLE"
    assert await target.call(after) == "OK"


async def test_a_revoked_leaf_is_refused_on_the_next_call(house: House, target: Target) -> None:
    city = authority_of(house.files, "city")
    lost, kept = mint(city, client_id("city")), mint(city, client_id("city"))
    async with target.channel(lost) as warm, target.channel(kept) as other:
        assert await status_of(warm) == "OK"
        publish(house, "city", [city.certificate], [serial(lost)])
        assert await becomes(warm, "UNAUTHENTICATED")
        assert await status_of(other) == "OK"
    assert await target.call(lost) == "UNAUTHENTICATED"
    assert await target.call(kept) == "OK"


async def test_one_agency_revokes_for_itself_alone(house: House) -> None:
    """A serial number on the city's list means nothing for the county's leaf of that number."""
    broker = await house.start_broker()
    county = house.client("county")
    city = authority_of(house.files, "city").certificate
    gone = house.client("city")
    publish(house, "city", [city], [serial(county), serial(gone)])
    async with broker.channel(gone) as channel:
        assert await becomes(channel, "UNAUTHENTICATED")
    assert await broker.call(county) == "OK"


def handshake(
    target: Target, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[bytes, ssl.SSLSession | None, bool]:
    """Return the server's certificate, the session and whether it was resumed.

    Reads what comes first, so that a refusal of our certificate is seen.

    Raises:
        OSError: the server refused the handshake.
    """
    name = dns_name(target.spiffe)
    with (
        socket.create_connection(("127.0.0.1", target.port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=name, session=session) as connection,
    ):
        if not connection.recv(1):
            raise ConnectionResetError("closed by the server")
        der = connection.getpeercert(binary_form=True)
        assert der is not None
        return der, connection.session, bool(connection.session_reused)


async def test_no_session_outlives_its_ca(house: House, target: Target, tmp_path: Path) -> None:
    """A ticket skips the check of the certificate: with its CA gone it is of no use."""
    new = new_authority("city", SystemClock().now_ms())
    context = tls_context(tmp_path, house.client())
    _, session, _ = await asyncio.to_thread(handshake, target, context)
    _, _, resumed = await asyncio.to_thread(handshake, target, context, session)
    assert resumed
    async with target.channel(house.client()) as warm:
        assert await status_of(warm) == "OK"
        publish(house, "city", [new.certificate])
        assert await becomes(warm, "UNAUTHENTICATED")
    with pytest.raises(OSError, match=r"alert|closed|reset"):
        await asyncio.to_thread(handshake, target, context, session)


def reissue(house: House, agency: str, role: PeerRole) -> Leaf:
    """Issue a second certificate for a server, as its agency would."""
    key = new_key()
    spiffe = SpiffeId(agency, role, "main")
    now_ms = SystemClock().now_ms()
    made = issue(authority_of(house.files, agency), spiffe, key.public_key(), now_ms)
    return Leaf(made.public_bytes(_PEM), key_pem(key))


async def test_a_server_shows_its_new_certificate_and_never_half_a_pair(
    house: House, target: Target, tmp_path: Path, capfd
) -> None:
    agency, role = target.spiffe.agency, target.spiffe.role
    context = tls_context(tmp_path, house.client())
    stem = house.files.folder(agency) / "tls" / f"{role}-main"
    before, _, _ = await asyncio.to_thread(handshake, target, context)
    new = reissue(house, agency, role)
    stem.with_suffix(".crt").write_bytes(new.certificate)
    half, _, _ = await asyncio.to_thread(handshake, target, context)
    assert half == before
    assert "is not the key of" in capfd.readouterr().out
    new.save(stem.with_suffix(".crt"), stem.with_suffix(".pem"))
    after, _, _ = await asyncio.to_thread(handshake, target, context)
    assert after == x509.load_pem_x509_certificate(new.certificate).public_bytes(_DER)
    other = mint(authority_of(house.files, agency), f"spiffe://{agency}/{role}/other")
    other.save(stem.with_suffix(".crt"), stem.with_suffix(".pem"))
    still, _, _ = await asyncio.to_thread(handshake, target, context)
    assert still == after
    assert await target.call(house.client()) == "OK"


async def test_roots_change_although_the_own_certificate_is_broken(
    house: House, target: Target
) -> None:
    stem = house.files.folder(target.spiffe.agency) / "tls" / f"{target.spiffe.role}-main"
    stem.with_suffix(".crt").write_text("damaged")
    new = new_authority("city", SystemClock().now_ms())
    assert await target.call(mint(new, client_id("city"))) == "UNAVAILABLE"
    publish(house, "city", [authority_of(house.files, "city").certificate, new.certificate])
    async with target.channel(mint(new, client_id("city"))) as channel:
        assert await becomes(channel, "OK")


async def test_the_broker_calls_with_its_new_certificate(house: House) -> None:
    """The old one is revoked once the new one is in place; no query is lost by it."""
    for agency in ("city", "harbor"):
        await house.start_node(agency)
    await house.start_broker()
    assert house.broker is not None
    now = SystemClock().now_ms()
    question = Question(
        ExactPlate(PLATE, "CA"), "stolen-vehicle", "T-1", "test", Window(now - HOUR_MS, now),
        agencies=("city",), attestations=MOA_ATTESTATIONS,
    )  # fmt: skip
    exchange = authority_of(house.files, "exchange").certificate
    old = house.peer("exchange", PeerRole.BROKER)
    async with AccordClient.open(house.files.client_toml("harbor", "O-1")) as client:
        assert (await client.ask(question)).complete
        new = reissue(house, "exchange", PeerRole.BROKER)
        stem = house.files.folder("exchange") / "tls" / "broker-main"
        new.save(stem.with_suffix(".crt"), stem.with_suffix(".pem"))
        publish(house, "exchange", [exchange], [serial(old)])
        kinds = []
        for _ in range(100):
            kinds.append((await client.ask(question)).outcomes[0].kind)
            if len(kinds) > 40 and kinds[-1] is OutcomeKind.ANSWERED:
                break
            await asyncio.sleep(0.05)
    assert kinds[-1] is OutcomeKind.ANSWERED
