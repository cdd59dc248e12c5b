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
from node.store.postgres import seat
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


async def test_who_can_t_do_the_work_leaves_it_to_another_until_it_can(
    seats: tuple[Seat, Seat],
) -> None:
    ran: list[tuple[str, str, float]] = []
    works = [Work("first", ran), Work("second", ran)]
    able = {"first": True, "second": False}
    first = Leading(seats[0], works[0].doing, lambda: able["first"])
    second = Leading(seats[1], works[1].doing, lambda: able["second"])
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(first.running())
        await stack.enter_async_context(second.running())
        able["first"] = False
        await until(lambda: not first.leads, 10)
        # None of the two can: the seat is nobody's.
        await asyncio.sleep(PAUSE_S + 4 * CHECK_S)
        assert (first.leads, second.leads) == (False, False)
        able["second"] = True
        await until(lambda: second.leads, 10)
        able.update(first=True, second=False)
        await until(lambda: first.leads, 10)
        assert not second.leads


async def test_a_node_alone_works_on_whatever_it_can_t(tmp_path: Path, settings: Path) -> None:
    alone = Alone(load_config(settings), FixedClock(START))
    work = Work("alone", [])
    async with Leading(alone.seat, work.doing, lambda: False).running():
        await asyncio.sleep(3 * CHECK_S)
        assert work.begun.is_set()
    alone.claims.close()
    alone.close()


async def test_who_stood_still_begins_nothing_before_it_knows_that_it_leads(
    seats: tuple[Seat, Seat], monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[float] = []
    asked: list[float] = []

    class Slow:
        """A seat that is not asked while it is told so: its process stands still."""

        shared, still = True, False

        def take(self) -> bool:
            return seats[0].take()

        def held(self) -> bool:
            while self.still:
                time.sleep(0.01)
            asked.append(time.monotonic())
            return seats[0].held()

        def leave(self) -> None:
            seats[0].leave()

    monkeypatch.setattr(leading, "LEASE_S", 0.5)
    slow, work = Slow(), Work("first", [])
    one = Leading(slow, work.doing)
    async with one.running():
        await one.surely()
        slow.still = True
        await asyncio.sleep(1)
        asked.clear()

        async def something() -> None:
            await one.surely()
            began.append(time.monotonic())

        task = asyncio.create_task(something())
        await asyncio.sleep(0.3)
        assert began == []
        slow.still = False
        await asyncio.wait_for(task, 5)
    assert began[0] >= asked[0]


def test_a_leader_that_asks_nothing_any_longer_loses_the_seat_and_one_that_asks_keeps_it(
    seats: tuple[Seat, Seat], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seat, "STANDING_S", 0.5)
    first, second = seats
    assert first.take()
    ends = time.monotonic() + 1.5
    while time.monotonic() < ends:
        assert first.held()
        assert not second.take()
        time.sleep(0.05)
    # From here on it stands still.
    ends = time.monotonic() + 5
    while not second.take():
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert not first.held()
    assert not first.take()
    assert second.held()


async def test_a_node_alone_leads_at_once(tmp_path: Path, settings: Path) -> None:
    node = load_config(settings)
    alone = Alone(node, FixedClock(START))
    ran: list[tuple[str, str, float]] = []
    async with Leading(alone.seat, Work("alone", ran).doing).running():
        assert [what for _, what, _ in ran] == ["begins"]
    assert [what for _, what, _ in ran] == ["begins", "ends"]
    alone.claims.close()
    alone.close()
