"""A webhook that curl sends to, at a node that serves."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from accord.demo.processes import free_port
from accord.errors import InputError
from node.config import load_config
from node.ways import webhook
from tests.integration.ways import event, needs, plates, taking_node, until, write_tls

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


def with_token(tls: Path) -> str:
    (tls / "token").write_text(TOKEN + "\n")
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
    for path in ("", "docs", "openapi.json", "metrics", "reads/1"):
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
    monkeypatch.setattr(webhook, "HEAD_S", 0.3)
    context = ssl.create_default_context(cafile=tls / "ca.crt")
    reader, writer = await asyncio.open_connection("127.0.0.1", sender.port, ssl=context)
    writer.write(b"POST /reads HTTP/1.1\r\nHost: a\r\n")
    async with asyncio.timeout(10):
        with pytest.raises((ConnectionError, ssl.SSLError, asyncio.IncompleteReadError)):
            assert await reader.readexactly(1)
    writer.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("token = ", "# "), "a webhook needs token, ca or both"),
        (("/token", "/none"), "can't be read as a token"),
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
