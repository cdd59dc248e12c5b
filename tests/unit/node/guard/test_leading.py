"""Who leads of several processes: one at a time, and another when it ends or loses its seat."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from accord.errors import InputError
from accord.testing import FixedClock
from node import leading
from node.common import Alone, Seat
from node.config import load_config
from node.leading import Leading
from node.store.postgres.common import SharedCommon
from node.store.postgres.connections import LEADER_LOCK
from node.store.postgres.store import PostgresStore
from tests.integration.ways import until
from tests.postgres import Database
from tests.unit.node.guard.conftest import START

CHECK_S, PAUSE_S = 0.1, 0.4


@dataclass
class Work:
    """Keeps when it ran; fails at its beginning as often as it is told."""

    name: str
    ran: list[tuple[str, str, float]]
    fails: int = 0
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def doing(self, leads: Leading) -> AsyncIterator[None]:
        if self.fails:
            self.fails -= 1
            raise InputError("a file", "must be mended")
        self.ran.append((self.name, "begins", time.monotonic()))
        self.begun.set()
        try:
            yield
        finally:
            self.begun.clear()
            self.ran.append((self.name, "ends", time.monotonic()))


@pytest.fixture
def seats(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Seat, Seat]]:
    """The seat as two processes see it."""
    monkeypatch.setattr(leading, "CHECK_S", CHECK_S)
    monkeypatch.setattr(leading, "PAUSE_S", PAUSE_S)
    url = database.url_file(tmp_path)
    PostgresStore.open(url).close()
    with contextlib.ExitStack() as stack:
        opened = [
            stack.enter_context(contextlib.closing(SharedCommon(url, FixedClock(START), tmp_path)))
            for _ in range(2)
        ]
        yield opened[0].seat, opened[1].seat


async def test_the_second_begins_when_the_first_has_ended(seats: tuple[Seat, Seat]) -> None:
    ran: list[tuple[str, str, float]] = []
    works = [Work("first", ran), Work("second", ran)]
    async with AsyncExitStack() as others:
        first = Leading(seats[0], works[0].doing)
        second = Leading(seats[1], works[1].doing)
        async with first.running():
            await others.enter_async_context(second.running())
            await asyncio.sleep(3 * CHECK_S)
            assert (first.leads, second.leads) == (True, False)
        async with asyncio.timeout(5):
            await works[1].begun.wait()
        assert (first.leads, second.leads) == (False, True)
    assert [(who, what) for who, what, _ in ran] == [
        ("first", "begins"), ("first", "ends"), ("second", "begins"), ("second", "ends"),
    ]  # fmt: skip


async def test_who_lost_its_seat_has_stopped_before_another_begins(
    seats: tuple[Seat, Seat], database: Database
) -> None:
    ran: list[tuple[str, str, float]] = []
    works = [Work("first", ran), Work("second", ran)]
    async with AsyncExitStack() as stack:
        for seat, work in zip(seats, works, strict=True):
            await stack.enter_async_context(Leading(seat, work.doing).running())
        for turn in range(3):
            before = len(ran)
            with database.connect() as sql:
                held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = %s"
                [(pid,)] = sql.execute(held, (LEADER_LOCK & 0xFFFFFFFF,)).fetchall()
                sql.execute("SELECT pg_terminate_backend(%s)", (pid,))
            await until(lambda wanted=before + 2: len(ran) >= wanted, 10)  # type: ignore[misc]
            (_, ended, at), (_, begun, then) = ran[before : before + 2]
            assert (ended, begun) == ("ends", "begins"), turn
            assert then - at > PAUSE_S / 2


async def test_who_can_t_begin_says_so_at_its_start_and_later_lets_another(
    seats: tuple[Seat, Seat],
) -> None:
    ran: list[tuple[str, str, float]] = []
    broken = Leading(seats[0], Work("broken", ran, fails=1).doing)
    with pytest.raises(InputError, match="must be mended"):
        async with broken.running():
            pass
    works = [Work("second", ran), Work("third", ran, fails=1)]
    async with Leading(seats[1], works[0].doing).running(), AsyncExitStack() as stack:
        third = Leading(seats[0], works[1].doing)
        await stack.enter_async_context(third.running())
        seats[1].leave()
        # It fails once when its turn comes, gives the seat up, and is there for the next.
        await until(lambda: not works[1].fails, 10)
        await until(lambda: any(work.begun.is_set() for work in works), 10)


async def test_a_node_alone_leads_at_once(tmp_path: Path, settings: Path) -> None:
    node = load_config(settings)
    alone = Alone(node, FixedClock(START))
    ran: list[tuple[str, str, float]] = []
    async with Leading(alone.seat, Work("alone", ran).doing).running():
        assert [what for _, what, _ in ran] == ["begins"]
    assert [what for _, what, _ in ran] == ["begins", "ends"]
    alone.claims.close()
    alone.close()
