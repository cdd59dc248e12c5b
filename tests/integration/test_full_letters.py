"""Sources whose dead letters are full: what needs one waits where it is, and the rest is taken."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from node.store import dead
from node.ways import mqtt
from tests.integration.test_mqtt import Server, server
from tests.integration.ways import event, plates, taking_node, until

__all__ = ["server"]
BAD = b'{"type": "lpr", "id": "%d", "plate": "TEST00%d"}'
ACKNOWLEDGED = "Received PUBACK from accord.city.main.yard"


async def test_messages_that_need_a_letter_wait_and_others_are_taken(
    city: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead, "MAX_LETTERS", 1)
    monkeypatch.setattr(mqtt, "AGAIN_S", 0.2)
    async with server.running(), taking_node(city, server.section()) as node:
        await until(lambda: "Sending SUBACK to accord.city.main.yard" in server.log())
        for number in range(3):
            await server.publish(BAD % (number, number))
        await server.publish(event("TEST011"))
        await until(lambda: plates(city) == ["TEST011"])
        # The first found room, and so did the good one.
        await until(lambda: server.log().count(ACKNOWLEDGED) == 2)
        await asyncio.sleep(1)
        assert server.log().count(ACKNOWLEDGED) == 2
        monkeypatch.setattr(dead, "MAX_LETTERS", 9)
        await until(lambda: server.log().count(ACKNOWLEDGED) == 4)
        assert len(node.context.store.dead(0, "yard", "", 9)) == 3
        assert server.log().count("Sending SUBACK") == 1  # one connection for all of it


MAPPING = (
    'format = "accord-mapping/1"\nplate = "plate"\ntime = "seen"\ntime_format = "iso"\n'
    'camera = "camera"\nid = "n"\n'
)


async def test_rows_that_need_a_letter_hold_the_mark_and_others_are_taken(
    city: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead, "MAX_LETTERS", 1)
    monkeypatch.setattr("node.ways.sql.BATCH", 2)
    (city / "m.toml").write_text(MAPPING)
    (city / "records.url").write_text(f"sqlite:///{city}/theirs.db")
    (city / "records.url").chmod(0o600)
    section = (
        '\n[[sources]]\nname = "records"\nway = "sql"\nurl = "records.url"\ntable = "reads"\n'
        'watermark = "n"\noverlap = 0\nevery_s = 1\nmapping = "m.toml"\n'
    )
    with closing(sqlite3.connect(city / "theirs.db")) as theirs:
        theirs.execute("CREATE TABLE reads (n INTEGER, plate TEXT, seen TEXT, camera TEXT)")

        def insert(n: int, seen: str) -> None:
            theirs.execute("INSERT INTO reads VALUES (?, ?, ?, 'C')", (n, f"TEST{n:03}", seen))
            theirs.commit()

        for n in range(1, 9):
            insert(n, "2026-03-01T08:30:00" + ("" if n in (3, 4) else "Z"))
        async with taking_node(city, section) as node:
            taken = ["TEST001", "TEST002", *(f"TEST{n:03}" for n in range(5, 9))]
            await until(lambda: plates(city) == taken)
            insert(9, "2026-03-01T08:30:00Z")
            await until(lambda: plates(city) == [*taken, "TEST009"])
            assert len(node.context.store.dead(0, "", "", 9)) == 1
            assert '"3"' in node.context.store.mark("records")
            monkeypatch.setattr(dead, "MAX_LETTERS", 9)
            await until(lambda: len(node.context.store.dead(0, "", "", 9)) == 2)
            await until(lambda: '"9"' in node.context.store.mark("records"))
