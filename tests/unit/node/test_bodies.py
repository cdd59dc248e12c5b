"""Bodies of a webhook that come in beside one another."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from node.ways import bodies
from node.ways.bodies import Bodies, Crowded, TooLarge

LARGEST = 1_000


class Coming:
    """A body whose bytes come when the test says so."""

    def __init__(self, reader: Bodies, share: bytes) -> None:
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self.task = asyncio.create_task(reader.read(self._stream(), share))

    async def _stream(self) -> AsyncIterator[bytes]:
        while chunk := await self._chunks.get():
            yield chunk

    async def send(self, size: int) -> None:
        self._chunks.put_nowait(b"x" * size)
        await asyncio.sleep(0.01)

    async def failure(self) -> type[BaseException] | None:
        """Return what it ended with, None while it goes on."""
        await asyncio.sleep(0.01)
        return type(self.task.exception()) if self.task.done() else None


async def sent(reader: Bodies, share: bytes, size: int) -> Coming:
    made = Coming(reader, share)
    await made.send(size)
    return made


async def ended(*all_: Coming) -> None:
    for one in all_:
        if not one.task.done():
            await one.send(0)
            assert set(await one.task) == {ord("x")}


async def test_a_body_comes_whole_and_one_too_large_does_not() -> None:
    reader = Bodies(LARGEST)
    whole = await sent(reader, b"a", 600)
    await whole.send(400)
    await ended(whole)
    assert await whole.task == b"x" * LARGEST
    large = await sent(reader, b"a", 600)
    await large.send(401)
    assert await large.failure() is TooLarge


async def test_one_that_is_not_whole_in_time_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_S", 0.1)
    late = await sent(Bodies(LARGEST), b"a", 1)
    with pytest.raises(TimeoutError):
        await late.task


async def test_of_the_address_with_most_bytes_the_slowest_makes_room() -> None:
    reader = Bodies(LARGEST)
    slow = await sent(reader, b"a", 1)
    many = [await sent(reader, b"a", 990) for _ in range(6)]
    other = [await sent(reader, b"b", 990) for _ in range(2)]
    assert await slow.failure() is None
    # 79 bytes are left.
    newcomer = await sent(reader, b"c", 79)
    assert [await one.failure() for one in (slow, *many, *other, newcomer)] == [None] * 10
    await newcomer.send(1)
    assert await slow.failure() is Crowded
    assert [await one.failure() for one in (*many, *other, newcomer)] == [None] * 9
    await newcomer.send(900)
    assert [await one.failure() for one in many].count(Crowded) == 1
    assert [await one.failure() for one in (*other, newcomer)] == [None] * 3
    await ended(*many, *other, newcomer)


async def test_one_that_stands_still_falls_behind_those_with_fewer_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bodies, "BODY_S", 3)
    reader = Bodies(LARGEST)
    still = await sent(reader, b"a", 500)
    await asyncio.sleep(1.2)
    many = [await sent(reader, b"a", 990) for _ in range(7)]
    newcomer = await sent(reader, b"a", 300)
    assert await still.failure() is None
    await newcomer.send(300)
    assert await still.failure() is Crowded
    await ended(*many, newcomer)


async def test_where_all_keep_pace_the_last_one_is_told_to_come_again() -> None:
    reader = Bodies(LARGEST)
    many = [await sent(reader, b"a", 990) for _ in range(8)]
    last = await sent(reader, b"a", 50)
    await last.send(40)
    assert await last.failure() is Crowded
    assert [await one.failure() for one in many] == [None] * 8
    # The others end, and it finds room.
    await ended(*many)
    again = await sent(reader, b"a", 990)
    await ended(again)


async def test_what_ended_in_any_way_holds_nothing() -> None:
    reader = Bodies(LARGEST)
    for _ in range(20):
        gone = await sent(reader, b"a", 990)
        gone.task.cancel()
        large = await sent(reader, b"a", LARGEST + 1)
        assert await large.failure() is TooLarge
    many = [await sent(reader, b"a", LARGEST) for _ in range(8)]
    assert [await one.failure() for one in many] == [None] * 8
    await ended(*many)
