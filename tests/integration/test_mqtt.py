"""Topics of a Mosquitto that we did not write, at a node that serves."""

import asyncio
import contextlib
import json
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from paho.mqtt.client import Client

from accord.demo.processes import free_port
from accord.errors import Code, Refused
from node.serve import RunningNode
from node.store.sqlite import SqliteStore
from tests.integration.ways import event, needs, plates, taking_node, until, write_secret, write_tls

PAGE = (Path(__file__).parents[2] / "docs" / "sources.md").read_text()
(PAGE_CONF,) = re.findall(r"^```conf\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
PASSWORD = "not-a-secret-0"


class Server:
    """Mosquitto on TLS with a password; started again, it knows its sessions."""

    def __init__(self, base: Path) -> None:
        self.program = needs("mosquitto")
        self.publisher = needs("mosquitto_pub")
        self.port = free_port()
        self.base = base
        self.tls = write_tls(base / "tls")
        (base / "sessions").mkdir()
        write_secret(base / "password", PASSWORD + "\n")
        subprocess.run(
            [needs("mosquitto_passwd"), "-b", "-c", str(base / "users"), "accord", PASSWORD],
            check=True,
        )
        (base / "mosquitto.conf").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous false\n"
            f"password_file {base}/users\ncafile {self.tls}/ca.crt\n"
            f"certfile {self.tls}/server.crt\nkeyfile {self.tls}/server.pem\n"
            f"persistence true\npersistence_location {base}/sessions/\n"
            f"user root\nlog_dest file {base}/log\nlog_type all\n"
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        process = await asyncio.create_subprocess_exec(
            self.program, "-c", str(self.base / "mosquitto.conf")
        )
        try:
            looks: list[bool] = []

            async def look() -> None:
                looks.append(await self._listens())

            await until(lambda: True in looks, works=look)
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def publish(
        self,
        body: bytes,
        topic: str = "cameras/lpr",
        *,
        each_line: bool = False,
        retained: bool = False,
    ) -> None:
        process = await asyncio.create_subprocess_exec(
            self.publisher, "-h", "127.0.0.1", "-p", str(self.port), "--cafile",
            str(self.tls / "ca.crt"), "-u", "accord", "-P", PASSWORD, "-q", "1", "-t", topic,
            "-l" if each_line else "-s", *(["-r"] if retained else []),
            stdin=asyncio.subprocess.PIPE,
        )  # fmt: skip
        await process.communicate(body)
        assert process.returncode == 0

    def set(self, more: str) -> None:
        """Add settings of a Mosquitto's own file; what is there already stays."""
        path = self.base / "mosquitto.conf"
        known = {line.partition(" ")[0] for line in path.read_text().splitlines()}
        added = [line for line in more.splitlines() if line.partition(" ")[0] not in known]
        path.write_text("\n".join([path.read_text(), *added, ""]))

    def section(self, more: str = "") -> str:
        return (
            f'\n[[sources]]\nname = "yard"\nway = "mqtt"\nhost = "127.0.0.1"\nport = {self.port}\n'
            f'topics = ["cameras/#"]\nca = "{self.tls}/ca.crt"\nuser = "accord"\n'
            f'password = "{self.base}/password"\nformat = "frigate"\n{more}\n'
        )

    def log(self) -> str:
        path = self.base / "log"
        return path.read_text(errors="replace") if path.exists() else ""


@pytest.fixture
def server(tmp_path: Path) -> Server:
    (tmp_path / "mqtt").mkdir()
    return Server(tmp_path / "mqtt")


async def test_messages_are_taken_and_then_acknowledged(
    city: Path, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    async with server.running(), taking_node(city, server.section()):
        await until(lambda: "Sending SUBACK to accord.city.main.yard" in server.log())
        await server.publish(event("TEST001"))
        await until(lambda: plates(city) == ["TEST001"])
        # No message ends the task, whatever is in it.
        for bad in (b"TEST009", b"\0" * 9_000, b"[" * 9_000):
            await server.publish(bad)
        await server.publish(event("TEST002"))
        await until(lambda: plates(city) == ["TEST001", "TEST002"])
        await until(lambda: server.log().count("Received PUBACK from accord.city.main.yard") == 5)
    said = "".join(capfd.readouterr())
    assert "TEST00" not in said
    assert PASSWORD not in said


async def test_what_was_sent_while_we_were_away_comes_later(city: Path, server: Server) -> None:
    async with server.running():
        async with taking_node(city, server.section()):
            await until(lambda: "Sending SUBACK to accord.city.main.yard" in server.log())
        await server.publish(event("TEST001"))
        assert plates(city) == []
        async with taking_node(city, ""):
            await until(lambda: plates(city) == ["TEST001"])
    # The server itself goes, and comes again.
    async with taking_node(city, ""):
        await asyncio.sleep(0.3)
        async with server.running():
            await until(lambda: server.log().count("Sending SUBACK to accord.city.main.yard") == 3)
            await server.publish(event("TEST002"))
            await until(lambda: "TEST002" in plates(city))


@pytest.mark.parametrize(("settings", "taken"), [("", False), (PAGE_CONF, True)])
async def test_what_a_server_keeps_for_us_goes_by_its_settings(
    city: Path, server: Server, settings: str, taken: bool
) -> None:
    server.set(settings)
    sent = [f"T{n:05}" for n in range(1_100)]
    async with server.running():
        async with taking_node(city, server.section()):
            await until(lambda: "Sending SUBACK to accord.city.main.yard" in server.log())
        await server.publish(b"\n".join(map(event, sent)), each_line=True)
    # Started again, it has what it kept.
    async with server.running(), taking_node(city, ""):
        await until(lambda: len(plates(city)) >= (1_100 if taken else 1_000), 60)
        await server.publish(event("TEST001"))
        await until(lambda: "TEST001" in plates(city))
    came = plates(city)[:-1]
    assert came == (sent if taken else sent[: len(came)])
    assert taken or len(came) in (1_000, 1_020)


@pytest.mark.parametrize(
    ("settings", "taken"), [("max_queued_messages 20", False), (PAGE_CONF, True)]
)
async def test_a_burst_that_comes_faster_than_it_is_stored_waits_at_the_server_or_is_lost(
    city: Path, server: Server, settings: str, taken: bool
) -> None:
    server.set(settings)
    sent = [f"T{n:05}" for n in range(300)]
    async with server.running(), taking_node(city, server.section()):
        await until(lambda: "Sending SUBACK to accord.city.main.yard" in server.log())
        await server.publish(b"\n".join(map(event, sent)), each_line=True)

        async def last() -> None:
            await server.publish(event("TEST001"))

        await until(lambda: "TEST001" in plates(city), works=last)
    came = plates(city)[:-1]
    assert (came == sent) == taken
    assert ("are being dropped" in server.log()) != taken


async def test_a_retained_message_comes_once_and_not_at_every_connection(
    city: Path, server: Server
) -> None:
    us = "accord.city.main.yard"

    def letters(node: RunningNode) -> int:
        return len(node.context.store.dead(0, "yard", "", 9))

    async with server.running():
        # One that is there before us, and one that is no read.
        await server.publish(event("TEST001"), "cameras/one", retained=True)
        await server.publish(b"TEST009 was here", "cameras/two", retained=True)
        async with taking_node(city, server.section()) as node:
            await until(lambda: plates(city) == ["TEST001"] and letters(node) == 1)
        # One that comes while we are away waits as any other does.
        await server.publish(event("TEST002"), "cameras/one", retained=True)
        async with taking_node(city, "") as node:
            await until(lambda: plates(city) == ["TEST001", "TEST002"])
            # And one that comes while we are there.
            await server.publish(event("TEST003"), "cameras/one", retained=True)
            await until(lambda: "TEST003" in plates(city))
        for number in (3, 4):
            async with taking_node(city, "") as node:
                await until(lambda: server.log().count(f"Sending SUBACK to {us}") == number)  # noqa: B023
                await server.publish(event(f"TEST00{number + 1}"))
                await until(lambda: f"TEST00{number + 1}" in plates(city))  # noqa: B023
                assert letters(node) == 1
        # A topic that is new to the session brings what is retained there.
        await server.publish(event("TEST006"), "others/lpr", retained=True)
        rename(city, '["cameras/#"]', '["cameras/#", "others/#"]')
        async with taking_node(city, "") as node:
            await until(lambda: "TEST006" in plates(city))
            assert letters(node) == 1
    assert plates(city) == [f"TEST00{n}" for n in range(1, 7)]
    # Two from before us, one while we were away, three of this topic and one of another.
    sent = server.log().count(f"Sending PUBLISH to {us}")
    assert sent == 7


def rename(city: Path, old: str, new: str) -> None:
    whole = (city / "node.toml").read_text()
    assert old in whole
    (city / "node.toml").write_text(whole.replace(old, new))


async def test_a_topic_that_is_taken_out_of_the_settings_is_left(
    city: Path, server: Server
) -> None:
    both, one = '["cameras/#", "others/#"]', '["cameras/#"]'
    async with server.running():
        async with taking_node(city, server.section().replace(one, both)):
            await until(lambda: "Sending SUBACK to accord.city.main.yard" in server.log())
        await server.publish(event("TEST001"), "others/lpr")
        rename(city, both, one)
        async with taking_node(city, ""):
            await until(lambda: "Sending UNSUBACK to accord.city.main.yard" in server.log())
            await server.publish(event("TEST002"), "others/lpr")
            await server.publish(event("TEST003"))
            await until(lambda: "TEST003" in plates(city))
        # What was queued by then still came, and is all of it.
        assert plates(city) == ["TEST001", "TEST003"]
        for _ in range(2):
            subscribed = server.log().count("Sending SUBACK")
            async with taking_node(city, ""):
                await until(lambda: server.log().count("Sending SUBACK") > subscribed)  # noqa: B023
        assert server.log().count("Received UNSUBSCRIBE") == 1
        # It may be named again.
        rename(city, one, both)
        async with taking_node(city, ""):
            await server.publish(event("TEST004"), "others/lpr")
            await until(lambda: "TEST004" in plates(city))


async def test_a_topic_is_left_later_where_the_server_never_said_that_it_was(
    city: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    both, one = '["cameras/#", "others/#"]', '["cameras/#"]'
    async with server.running():
        async with taking_node(city, server.section().replace(one, both)):
            await until(lambda: "Sending SUBACK to accord.city.main.yard" in server.log())
        rename(city, both, one)
        with monkeypatch.context() as broken:
            broken.setattr(Client, "unsubscribe", lambda *_: None)
            async with taking_node(city, ""):
                await until(lambda: server.log().count("Sending SUBACK") == 2)
        async with taking_node(city, ""):
            await until(lambda: "Sending UNSUBACK to accord.city.main.yard" in server.log())
            await server.publish(event("TEST001"), "others/lpr")
            await server.publish(event("TEST002"))
            await until(lambda: plates(city) == ["TEST002"])


async def test_a_mark_of_another_way_or_server_is_none_of_ours(city: Path, server: Server) -> None:
    marks = (["int", "5", "0" * 64], ["topics", ["others/#"], "another.example:8883 x"])
    async with server.running():
        for number, mark in enumerate(marks, 1):
            async with taking_node(city, server.section() if number == 1 else "") as node:
                await until(lambda: server.log().count("Sending SUBACK") == 2 * number - 1)  # noqa: B023
                node.context.store.set_mark("yard", json.dumps(mark))
            async with taking_node(city, "") as node:
                await until(lambda: server.log().count("Sending SUBACK") == 2 * number)  # noqa: B023
                kept = json.loads(node.context.store.mark("yard"))
                assert kept[:2] == ["topics", ["cameras/#"]]
    assert "UNSUBSCRIBE" not in server.log()


async def test_a_message_that_can_not_be_stored_is_not_acknowledged_and_comes_again(
    city: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def full(*_: object) -> None:
        tries.append(1)
        raise Refused(Code.STORE_UNAVAILABLE, detail="the disk is full")

    async with server.running(), taking_node(city, server.section()):
        await until(lambda: "Sending SUBACK to accord.city.main.yard" in server.log())
        with monkeypatch.context() as broken:
            broken.setattr(SqliteStore, "add", full)
            await server.publish(event("TEST001"))
            await until(lambda: len(tries) == 2)
        assert "Received PUBACK from accord.city.main.yard" not in server.log()
        await until(lambda: plates(city) == ["TEST001"])
        await until(lambda: "Received PUBACK from accord.city.main.yard" in server.log())


# paho leaves the socket of a failed handshake for the interpreter to close, which it does.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "change", [("tls/ca.crt", "tls/other-ca.crt"), ('user = "accord"', 'user = "nobody"')]
)
async def test_a_server_or_user_that_is_not_ours_gives_nothing(
    city: Path, server: Server, change: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    async with server.running(), taking_node(city, server.section().replace(*change)):
        said: list[str] = []

        def stopped() -> bool:
            said.append("".join(capfd.readouterr()))
            return "source stopped" in "".join(said)

        await until(stopped)
        assert "SUBACK" not in server.log()
        assert plates(city) == []
    assert "yard" in "".join(said)


async def test_a_message_too_large_is_never_sent_to_us(city: Path, server: Server) -> None:
    async with server.running(), taking_node(city, server.section("max_message_kib = 1")):
        await until(lambda: "Sending SUBACK to accord.city.main.yard" in server.log())
        await server.publish(event("TEST001") + b" " * 2_000)
        await server.publish(event("TEST002"))
        await until(lambda: plates(city) == ["TEST002"])
