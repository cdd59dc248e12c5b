"""The guard against a clock that goes back: claims can't be forgotten and used again."""

from pathlib import Path

import pytest

from accord.errors import Code, InputError, Refused
from accord.testing import FixedClock
from node.replay import Claim, ReplayGuard

START = 1_800_000_000_000
MINUTE = 60_000


async def test_a_clock_that_goes_back_stops_the_guard_and_then_goes_on(tmp_path: Path) -> None:
    clock = FixedClock(START)
    guard = ReplayGuard(tmp_path / "replay.db", clock)
    clock.ms = START + 60 * MINUTE
    assert await guard.claim(b"1" * 32, b"1" * 16, clock.ms + MINUTE) is Claim.NEW
    clock.ms -= 30_000  # what a time service corrects now and then
    assert await guard.claim(b"2" * 32, b"2" * 16, clock.ms + MINUTE) is Claim.NEW
    clock.ms = START
    with pytest.raises(Refused) as refused:
        await guard.claim(b"3" * 32, b"3" * 16, clock.ms + MINUTE)
    assert refused.value.code is Code.CLOCK_IMPLAUSIBLE
    clock.ms = START + 61 * MINUTE
    assert await guard.claim(b"3" * 32, b"3" * 16, clock.ms + MINUTE) is Claim.NEW
    guard.close()


async def test_a_clock_behind_the_guard_refuses_to_start(tmp_path: Path) -> None:
    clock = FixedClock(START)
    guard = ReplayGuard(tmp_path / "replay.db", clock)
    assert await guard.claim(b"1" * 32, b"1" * 16, clock.ms + MINUTE) is Claim.NEW
    guard.close()
    clock.ms = START - 60 * MINUTE
    with pytest.raises(InputError, match="set this machine's clock right"):
        ReplayGuard(tmp_path / "replay.db", clock)
    clock.ms = START
    ReplayGuard(tmp_path / "replay.db", clock).close()


async def test_forward_and_back_again_does_not_free_a_claim(tmp_path: Path) -> None:
    """A year ahead drops the claims as expired; back in time, none is taken."""
    clock = FixedClock(START)
    guard = ReplayGuard(tmp_path / "replay.db", clock)
    assert await guard.claim(b"1" * 32, b"1" * 16, START + MINUTE) is Claim.NEW
    clock.ms += 365 * 24 * 60 * MINUTE
    assert await guard.claim(b"2" * 32, b"2" * 16, clock.ms + MINUTE) is Claim.NEW
    clock.ms = START
    with pytest.raises(Refused):
        await guard.claim(b"1" * 32, b"1" * 16, START + MINUTE)
    guard.close()
