"""When a server says that it is ready: after a look that found nothing, and not for ever."""

import asyncio
from collections.abc import Sequence

import pytest

from accord.transport import health
from accord.transport.health import OLD_S, Readiness


class Server:
    """What a test says is amiss, at the second that it says."""

    def __init__(self) -> None:
        self.why: Sequence[str] = ()
        self.second = 0.0
        self.ready = Readiness(lambda: self.why, lambda: self.second)


async def test_before_the_first_look_and_after_the_last_it_is_not_ready() -> None:
    server = Server()
    assert not server.ready()
    async with server.ready.looking():
        assert server.ready()
    assert not server.ready()


async def test_what_is_amiss_is_told_once_and_so_is_its_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    server = Server()
    for server.why in ((), ("the policy",), ("the policy",), ("the policy", "the clock"), (), ()):
        await server.ready.look_again()
        assert server.ready() is not bool(server.why)
    told = [line for line in capsys.readouterr().out.splitlines() if "ready" in line]
    assert len(told) == 3
    assert "the policy" in told[0]
    assert "the policy; the clock" in told[1]
    assert "ready again" in told[2]


async def test_who_no_longer_looks_is_no_longer_ready() -> None:
    server = Server()
    await server.ready.look_again()
    server.second = OLD_S
    assert server.ready()
    server.second += 0.1
    assert not server.ready()
    await server.ready.look_again()
    assert server.ready()


async def test_a_look_that_fails_does_not_end_the_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LOOK_S", 0.001)
    looks = 0

    def look() -> Sequence[str]:
        nonlocal looks
        looks += 1
        if looks == 2:
            raise ValueError
        return ()

    async with Readiness(look).looking():
        for _ in range(1000):
            await asyncio.sleep(0.005)
            if looks >= 4:
                break
    assert looks >= 4
