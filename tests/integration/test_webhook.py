"""A webhook that curl sends to, at a node that serves."""

import asyncio
import contextlib
import resource
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from accord.demo.processes import free_port
from accord.errors import InputError
from node.config import load_config
from node.ways import door, webhook
from tests.integration.ways import event, needs, plates, taking_node, until, write_secret, write_tls

TOKEN = "0123456789abcdef" * 3
FORM = (
    b'--b0\r\nContent-Disposition: form-data; name="json"\r\n\r\n'
    b'{"hook": {"event": "recognition"}, "data": {"camera_id": "pier", '
    b'"timestamp": "2026-03-01T08:30:00Z", '
    b'"results": [{"plate": "test002", "box": {"xmin": 1}, "score": 0.9}]}}\r\n--b0--\r\n'
)
XML = (
    b"<EventNotificationAlert><ipAddress>192.0.2.7</ipAddress>"
    b"<dateTime>2026-03-01T08:30:00-08:00</dateTime><eventType>ANPR</eventType>"
    b"<UUID>u-1</UUID><ANPR><licensePlate>TEST003</licensePlate></ANPR></EventNotificationAlert>"
)


class Sender:
    """curl, against one port."""

    def __init__(self, port: int, tls: Path, *always: str) -> None:
        self.curl = needs("curl")
        self.url = f"https://127.0.0.1:{port}/reads"
        self.always = ("-sS", "-m", "20", "--cacert", str(tls / "ca.crt"), *always)
        self.port = port

    async def __call__(
        self, body: bytes, *options: str, token: str = TOKEN, url: str = ""
    ) -> tuple[int, bytes]:
        """Return the status (0 where there is none) and the whole answer."""
        head = ("-H", f"Authorization: Bearer {token}") if token else ()
        process = await asyncio.create_subprocess_exec(
            self.curl, *self.always, *head, "-H", "Expect:", "--data-binary", "@-", "-i",
            *options, url or self.url,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate(body)
        return int(out.split()[1]) if out else 0, out


@pytest.fixture
def tls(tmp_path: Path) -> Path:
    return write_tls(tmp_path / "webhook")


def section(port: int, tls: Path, more: str) -> str:
    return (
        f'\n[[sources]]\nname = "gate"\nway = "webhook"\nlisten = "127.0.0.1:{port}"\n'
        f'certificate = "{tls}/server.crt"\nkey = "{tls}/server.pem"\n{more}\n'
    )


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def with_token(tls: Path) -> str:
    write_secret(tls / "token", TOKEN + "\n")
    return f'token = "{tls}/token"'


@pytest.fixture
async def sender(city: Path, tls: Path) -> AsyncIterator[Sender]:
    port = free_port()
    more = with_token(tls) + "\nmax_body_kib = 64"
    async with taking_node(city, section(port, tls, more)):
        yield Sender(port, tls)


async def test_json_forms_and_xml_are_taken_before_they_are_answered(
    city: Path, sender: Sender, capfd: pytest.CaptureFixture[str]
) -> None:
    for body, plate in ((event("TEST001"), "TEST001"), (FORM, "TEST002"), (XML, "TEST003")):
        status, answer = await sender(body)
        assert (status, plates(city)[-1]) == (204, plate)
        assert answer.split(b"\r\n\r\n")[1] == b""
    # Again, and nothing tells that it was known.
    assert (await sender(XML))[1].split(b"\r\n") == answer.split(b"\r\n")
    assert len(plates(city)) == 3
    assert "TEST00" not in "".join(capfd.readouterr())


async def test_who_has_no_token_is_turned_away(city: Path, sender: Sender) -> None:
    body = event("TEST001")
    for token in ("", TOKEN[:-1], TOKEN + "0"):
        assert (await sender(body, token=token))[0] == 401
    assert (await sender(body, "-u", f"camera:{TOKEN}x", token=""))[0] == 401
    assert (await sender(body, "-H", "Authorization: Basic !", token=""))[0] == 401
    assert plates(city) == []
    assert (await sender(body, "-u", f"camera:{TOKEN}", token=""))[0] == 204
    assert plates(city) == ["TEST001"]


async def test_nothing_but_tls_1_3_and_nothing_but_posts_to_one_path(
    city: Path, sender: Sender
) -> None:
    body = event("TEST001")
    assert (await sender(body, "--tls-max", "1.2"))[0] == 0
    assert (await sender(body, url=f"http://127.0.0.1:{sender.port}/reads"))[0] == 0
    assert (await sender(body, "-X", "GET"))[0] == 405
    for path in ("", "docs", "openapi.json", "metrics", "reads/1", "reads/"):
        assert (await sender(body, url=f"https://127.0.0.1:{sender.port}/{path}"))[0] == 404
    assert plates(city) == []
    assert (await sender(body, "--tlsv1.3"))[0] == 204


async def test_bad_bodies_are_refused_and_the_next_good_one_is_taken(
    city: Path, sender: Sender, capfd: pytest.CaptureFixture[str]
) -> None:
    assert (await sender(b"TEST009 was here"))[0] == 400
    assert (await sender(b""))[0] == 400
    assert (await sender(b"x" * (64 << 10) + b"x"))[0] == 413
    chunked = ("-H", "Transfer-Encoding: chunked", "-H", "Content-Length:")
    assert (await sender(b"x" * (65 << 10), *chunked))[0] == 413
    assert (await sender(b"x", "-H", "Content-Encoding: gzip"))[0] == 415
    for broken in (b"[" * 50_000, b'{"type": "lpr", "plate": "TEST009"', b"<a>" * 9_000):
        assert (await sender(broken))[0] in (204, 400)
    assert (await sender(event("TEST001"), *chunked))[0] == 204
    assert plates(city) == ["TEST001"]
    said = "".join(capfd.readouterr())
    assert "TEST009" not in said
    assert "Traceback" not in said


async def test_what_is_no_document_is_a_dead_letter(city: Path, tls: Path) -> None:
    port = free_port()
    async with taking_node(city, section(port, tls, with_token(tls))) as node:
        send = Sender(port, tls)
        assert (await send(b"TEST009 was here"))[0] == 400
        (letter,) = node.context.store.dead(0, "gate", "", 9)
    assert letter.content == b"TEST009 was here"
    assert letter.reason == "format: is not recognised from the content"


async def test_a_certificate_of_the_ca_is_asked_for(city: Path, tls: Path) -> None:
    port = free_port()
    async with taking_node(city, section(port, tls, f'ca = "{tls}/ca.crt"')):
        send, body = Sender(port, tls), event("TEST001")
        assert (await send(body, token=""))[0] == 0
        for name, status in (("stranger", 0), ("client", 204)):
            own = ("--cert", f"{tls}/{name}.crt", "--key", f"{tls}/{name}.pem")
            assert (await send(body, *own, token=""))[0] == status
            assert len(plates(city)) == (status == 204)


async def test_too_many_and_too_busy_are_told_to_come_again(
    city: Path, tls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    more = with_token(tls) + "\nper_minute = 3"
    async with taking_node(city, section(port, tls, more)):
        send = Sender(port, tls)
        monkeypatch.setattr(webhook, "WAITING", 0)
        status, answer = await send(event("TEST001"))
        assert (status, b"retry-after: 5" in answer.lower()) == (503, True)
        assert plates(city) == []
        monkeypatch.undo()
        # More than a window's, as the clock's minute may turn in between.
        answers = [await send(event("TEST001")) for _ in range(8)]
    away = [answer for status, answer in answers if status == 429]
    assert away
    assert b"retry-after: 60" in away[0].lower()
    assert answers[0][0] == 204


async def test_who_connects_and_says_nothing_is_let_go(
    sender: Sender, tls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "HEAD_S", 0.3)
    context = ssl.create_default_context(cafile=tls / "ca.crt")
    reader, writer = await asyncio.open_connection("127.0.0.1", sender.port, ssl=context)
    writer.write(b"POST /reads HTTP/1.1\r\nHost: a\r\n")
    async with asyncio.timeout(10):
        with pytest.raises((ConnectionError, ssl.SSLError, asyncio.IncompleteReadError)):
            assert await reader.readexactly(1)
    writer.close()


async def test_a_flood_of_connections_takes_few_of_the_nodes_descriptors(
    city: Path, sender: Sender
) -> None:
    before = descriptors()
    # From another process, so that only the node's own ends are counted.
    flood = await asyncio.create_subprocess_exec(
        sys.executable, "-c",
        "import socket, sys\n"
        f"held = [socket.create_connection(('127.0.0.1', {sender.port})) for _ in range(400)]\n"
        "print('held', flush=True)\nsys.stdin.read()",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert flood.stdout is not None
    assert flood.stdin is not None
    try:
        assert await flood.stdout.readline() == b"held\n"
        assert (await sender(event("TEST001")))[0] == 204
        assert descriptors() - before <= door.CONNECTIONS + 16
    finally:
        flood.stdin.close()
        await flood.wait()
    assert plates(city) == ["TEST001"]


@pytest.mark.parametrize(
    "said",
    [
        b"TEST009 was here\r\n\r\n",
        b"POST /reads HTTP/1.1\r\n\r\n",
        b"POST /reads HTTP/1.1\r\nHost: a\r\nX: " + b"TEST009" * 9_000,
        b"POST /reads HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
        b"Authorization: Bearer %s\r\n\r\nTEST009\r\n" % TOKEN.encode(),
    ],
)
async def test_what_is_no_http_is_answered_400_counted_and_said_nowhere(
    city: Path, tls: Path, said: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    context = ssl.create_default_context(cafile=tls / "ca.crt")
    async with taking_node(city, section(port, tls, with_token(tls))) as node:
        await until(lambda: node.accounts[0].up)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(said)
        async with asyncio.timeout(10):
            assert (await reader.readline()).split()[1] == b"400"
        writer.transport.abort()
        assert node.accounts[0].turned_away == 1
        assert (await Sender(port, tls)(event("TEST001")))[0] == 204
        assert node.accounts[0].turned_away == 1
    assert "TEST009" not in "".join(capfd.readouterr())


async def test_a_broken_body_of_a_request_that_was_answered_ends_its_connection_quietly(
    city: Path, tls: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    context = ssl.create_default_context(cafile=tls / "ca.crt")
    async with taking_node(city, section(port, tls, with_token(tls))) as node:
        await until(lambda: node.accounts[0].up)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(b"POST /reads HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        async with asyncio.timeout(10):
            assert (await reader.readline()).split()[1] == b"401"
            writer.write(b"TEST009, which is no chunk\r\n")
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await reader.read()
        assert node.accounts[0].turned_away == 1
    assert "Traceback" not in "".join(capfd.readouterr()) + caplog.text


async def test_who_begins_no_handshake_is_let_go(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "HANDSHAKE_S", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", sender.port)
    async with asyncio.timeout(3):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    writer.close()


async def test_idle_strangers_make_room_and_senders_with_a_token_keep_theirs(
    city: Path, tls: Path
) -> None:
    port = free_port()
    context = ssl.create_default_context(cafile=tls / "ca.crt")
    body = event("TEST001")
    async with taking_node(city, section(port, tls, with_token(tls))) as node:
        send = Sender(port, tls)
        assert (await send(event("TEST000")))[0] == 204
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(
            b"POST /reads HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n"
            b"Authorization: Bearer %s\r\n\r\n" % (len(body), TOKEN.encode())
        )
        await writer.drain()
        await asyncio.sleep(0.3)
        idle = [
            await asyncio.open_connection("127.0.0.1", port, ssl=context)
            for _ in range(door.CONNECTIONS + 8)
        ]
        assert (await send(event("TEST002")))[0] == 204
        # The oldest of the strangers went, the newest is there.
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                assert await idle[0][0].read() == b""
        assert not idle[-1][0].at_eof()
        assert node.accounts[0].turned_away >= 9
        writer.write(body)
        assert (await reader.readline()).split()[1] == b"204"
        for _, other in [*idle, (reader, writer)]:
            other.transport.abort()
    assert plates(city) == ["TEST000", "TEST002", "TEST001"]


@pytest.mark.parametrize(("slow", "places"), [(webhook.WAITING + 1, 64), (12, 4)])
async def test_slow_senders_with_a_token_keep_no_other_out(
    city: Path, tls: Path, monkeypatch: pytest.MonkeyPatch, slow: int, places: int
) -> None:
    monkeypatch.setattr(door, "CONNECTIONS", places)
    port = free_port()
    async with taking_node(city, section(port, tls, with_token(tls))) as node:
        await until(lambda: node.accounts[0].up)
        held = [await began(port, tls, event("TEST009")) for _ in range(slow)]
        send = Sender(port, tls)
        for plate in ("TEST001", "TEST002", "TEST003"):
            assert (await send(event(plate)))[0] == 204
        if slow < places:
            assert node.accounts[0].turned_away == 0
            for reader, writer in held:
                writer.write(event("TEST009")[-1:])
                assert (await reader.readline()).split()[1] == b"204"
        else:
            assert node.accounts[0].turned_away > slow - places
        for _, writer in held:
            writer.transport.abort()
    assert plates(city) == ["TEST001", "TEST002", "TEST003", *["TEST009"] * (slow < places)]


async def test_a_sender_that_stays_connected_is_as_new_as_its_last_request(
    city: Path, tls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "CONNECTIONS", 4)
    port, body = free_port(), event("TEST001")
    async with taking_node(city, section(port, tls, with_token(tls))) as node:
        await until(lambda: node.accounts[0].up)
        held = [await began(port, tls, body) for _ in range(4)]
        reader, writer = held[0]
        writer.write(body[-1:] + head(body) + body[:-1])
        assert (await reader.readline()).split()[1] == b"204"
        await asyncio.sleep(0.05)
        assert (await Sender(port, tls)(event("TEST002")))[0] == 204
        assert [one.at_eof() for one, _ in held] == [False, True, False, False]
        for _, writer in held:
            writer.transport.abort()


def head(body: bytes) -> bytes:
    return (
        b"POST /reads HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n"
        b"Authorization: Bearer %s\r\n\r\n" % (len(body), TOKEN.encode())
    )


async def began(
    port: int, tls: Path, body: bytes
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send all but the last byte of a body."""
    context = ssl.create_default_context(cafile=tls / "ca.crt")
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(head(body) + body[:-1])
    await writer.drain()
    await asyncio.sleep(0.05)
    return reader, writer


async def test_bodies_that_are_being_read_hold_few_bytes_and_who_made_room_is_told_so(
    city: Path, tls: Path
) -> None:
    port = free_port()
    more = with_token(tls) + "\nmax_body_kib = 1"
    async with taking_node(city, section(port, tls, more)):
        body = event("TEST001") + b" " * 800
        held = [await began(port, tls, body) for _ in range(10)]
        assert (await Sender(port, tls)(event("TEST002")))[0] == 204
        answers = []
        for reader, writer in held:
            writer.write(body[-1:])
            answers.append((await reader.readline()).split()[1])
            writer.transport.abort()
    assert answers.count(b"503") == 2
    assert answers.count(b"204") == 8
    assert sorted(plates(city)) == ["TEST001", "TEST002"]


def test_senders_keep_three_quarters_of_the_places_and_those_whose_document_is_being_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(door, "CONNECTIONS", 4)
    turned_away: list[int] = []
    entrance = door.Door(lambda: turned_away.append(1))
    ends = [socket.socketpair() for _ in range(8)]
    made = iter(one for one, _ in ends)

    def enter(host: str) -> door.Place | None:
        return entrance.enter(host, next(made))

    places = [enter(f"192.0.2.{n}") for n in (1, 2, 2, 3)]
    first, second, third, fourth = (place for place in places if place is not None)
    for place in (first, second, third):
        place.proven = True
    fifth = enter("192.0.2.1")
    assert fifth is not None
    assert list(entrance.places) == [first, second, third, fifth]
    fifth.proven = True
    second.since = fifth.since + 1
    fifth.storing = True
    # Of .1 one may go, of .2 both: the one whose request began first.
    sixth = enter("192.0.2.4")
    assert sixth is not None
    assert list(entrance.places) == [first, second, fifth, sixth]
    for place in (first, second, sixth):
        place.proven = place.storing = True
    assert enter("192.0.2.5") is None
    assert turned_away == [1, 1, 1]
    assert fourth not in entrance.places
    for one in (end for pair in ends for end in pair):
        one.close()


def test_the_address_with_most_strangers_makes_room() -> None:
    entrance = door.Door(lambda: None)
    ends = [socket.socketpair() for _ in range(door.CONNECTIONS)]
    hosts = ["192.0.2.1", "192.0.2.2", *["2001:db8::" + format(n, "x") for n in range(1, 63)]]
    places = [entrance.enter(host, one) for host, (one, _) in zip(hosts, ends, strict=True)]
    other, far = socket.socketpair()
    assert entrance.enter("192.0.2.3", other) is not None
    # One sender may have all of a /64: its oldest goes, and no one else's.
    assert [n for n, place in enumerate(places) if place not in entrance.places] == [2]
    for one in (other, far, *[end for pair in ends for end in pair]):
        one.close()


def test_a_node_of_few_descriptors_gives_few_places(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, places in ((8192, 64), (512, 64), (256, 32), (7, 1), (resource.RLIM_INFINITY, 64)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        assert door.most_connections() == places
    monkeypatch.setattr(resource, "getrlimit", lambda _: (16, 16))
    turned_away: list[int] = []
    entrance = door.Door(lambda: turned_away.append(1))
    ends = [socket.socketpair() for _ in range(3)]
    first, second, third = (entrance.enter("192.0.2.1", one) for one, _ in ends)
    assert list(entrance.places) == [second, third]
    assert first not in entrance.places
    assert turned_away == [1]
    for one in (end for pair in ends for end in pair):
        one.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("token = ", "# "), "a webhook needs token, ca or both"),
        (("/token", "/none"), "can't open this secret"),
        (("/server.pem", "/client.pem"), "can't be used"),
        (("/server.crt", "/none.crt"), "can't be used"),
        (('"127.0.0.1:', '"'), "is not an address"),
        (("max_body_kib", "max_body"), "sources.0.webhook holds a key that does not belong there"),
    ],
)
async def test_what_can_not_work_stops_the_start(
    city: Path, tls: Path, change: tuple[str, str], words: str
) -> None:
    text = section(free_port(), tls, with_token(tls) + "\nmax_body_kib = 64").replace(*change)
    with pytest.raises(InputError, match=words):
        async with taking_node(city, text):
            pass


async def test_a_short_token_stops_the_start(city: Path, tls: Path) -> None:
    more = with_token(tls)
    (tls / "token").write_text("a" * 31)
    with pytest.raises(InputError, match="no token of at least 32") as raised:
        async with taking_node(city, section(free_port(), tls, more)):
            pass
    assert "aaa" not in str(raised.value)


async def test_a_port_in_use_costs_the_source_and_not_the_node(city: Path, tls: Path) -> None:
    port = free_port()
    other = await asyncio.start_server(lambda r, w: None, "127.0.0.1", port)
    async with taking_node(city, section(port, tls, with_token(tls))):
        assert load_config(city / "node.toml").sources
        await asyncio.sleep(0.5)
        other.close()
        await other.wait_closed()
        send, answers = Sender(port, tls), []

        async def again() -> None:
            answers.append((await send(event("TEST001")))[0])

        await until(lambda: 204 in answers, works=again)
    assert plates(city) == ["TEST001"]
