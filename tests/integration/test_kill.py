"""kill -9 of a node while reads come in: what it acknowledged is there, and nothing twice."""

import asyncio
import contextlib
import random
import sqlite3
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

from accord.demo.processes import free_port
from tests.integration.test_webhook import Sender, section, with_token
from tests.integration.ways import event, needs, plates, until, write_tls

ROWS = 10_000
PER_BODY = 50


def bodies() -> dict[int, bytes]:
    """Return bodies by number; together ten thousand reads, each of a plate of its own."""
    made = {}
    for number in range(ROWS // PER_BODY):
        first = number * PER_BODY
        lines = [event(f"T{row:06}") for row in range(first, first + PER_BODY)]
        made[number] = b"\n".join(lines)
    return made


def expected(numbers: Iterable[int]) -> set[str]:
    return {
        f"T{row:06}" for n in numbers for row in range(n * PER_BODY, (n + 1) * PER_BODY)
    }  # fmt: skip


async def serves(send: Sender) -> None:
    """Wait until the webhook answers."""
    answers: list[int] = []

    async def knock() -> None:
        answers.append((await send(b"", token=""))[0])

    await until(lambda: 401 in answers, works=knock)


async def kill_in_a_loop(city: Path, tls: Path, times: int) -> None:
    needs("curl")
    port = free_port()
    with (city / "node.toml").open("a") as file:
        more = with_token(tls) + "\nmax_body_kib = 64\nper_minute = 60000"
        file.write(section(port, tls, more))
    send, todo, acknowledged = Sender(port, tls), bodies(), set[int]()
    chance = random.Random(4)
    kills = 0
    while kills < times or todo:
        # All in flight again, and again, as a sender does that was not told of anything.
        if not todo:
            todo = bodies()
        node = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "node", "serve", "--config", str(city / "node.toml"),
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        waiting = asyncio.Queue[int]()
        for number in todo:
            waiting.put_nowait(number)

        async def work(
            waiting: asyncio.Queue[int] = waiting, todo: dict[int, bytes] = todo
        ) -> None:
            while not waiting.empty():
                number = waiting.get_nowait()
                status, _ = await send(todo[number])
                if status == 204:
                    acknowledged.add(number)
                elif status:
                    waiting.put_nowait(number)

        try:
            await serves(send)
            working = [asyncio.create_task(work()) for _ in range(4)]
            if kills < times:
                await asyncio.sleep(chance.uniform(0.02, 1.5))
                kills += 1
            else:
                await asyncio.gather(*working)
        finally:
            with contextlib.suppress(ProcessLookupError):
                node.kill()
            await node.wait()
        await asyncio.gather(*working)
        held = plates(city)
        assert expected(acknowledged) <= set(held)
        assert len(set(held)) == len(held)
        todo = {number: body for number, body in todo.items() if number not in acknowledged}
    assert sorted(plates(city)) == sorted(expected(bodies()))
    with closing(sqlite3.connect(city / "data" / "reads.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_killed_node_loses_nothing_that_it_acknowledged(city: Path, tmp_path: Path) -> None:
    await kill_in_a_loop(city, write_tls(tmp_path / "tls"), 2)


@pytest.mark.full
async def test_a_killed_node_loses_nothing_for_long(city: Path, tmp_path: Path) -> None:
    await kill_in_a_loop(city, write_tls(tmp_path / "tls"), 20)


@pytest.mark.full
async def test_a_killed_ingest_of_a_file_is_run_again(city: Path) -> None:
    path = city / "many.json"
    path.write_bytes(b"\n".join(bodies().values()))
    chance = random.Random(5)
    for turn in range(21):
        ingest = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "node", "ingest", str(path), "--config", str(city / "node.toml"),
            stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        if turn < 20:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ingest.wait(), chance.uniform(0.3, 1.5))
            with contextlib.suppress(ProcessLookupError):
                ingest.kill()
        await ingest.wait()
    assert ingest.returncode == 0
    assert sorted(plates(city)) == sorted(expected(bodies()))
