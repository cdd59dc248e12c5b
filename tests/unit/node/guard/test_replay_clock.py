"""The guard against a clock that goes back: claims can't be forgotten and used again."""

import pytest

from accord.errors import Code, InputError, Refused
from accord.testing import FixedClock
from node.replay import Claim
from node.store.postgres import claims
from tests.unit.node.guard.conftest import START, Kept

MINUTE = 60_000


async def test_a_clock_that_goes_back_stops_the_guard_and_then_goes_on(
    kept: Kept, clock: FixedClock
) -> None:
    guard = kept.guard(clock)
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
    kept.close()


async def test_a_clock_behind_the_guard_refuses_to_start(kept: Kept, clock: FixedClock) -> None:
    guard = kept.guard(clock)
    assert await guard.claim(b"1" * 32, b"1" * 16, clock.ms + MINUTE) is Claim.NEW
    kept.close()
    clock.ms = START - 60 * MINUTE
    with pytest.raises(InputError, match="set this machine's clock right"):
        kept.guard(clock)
    clock.ms = START
    kept.guard(clock)


async def test_forward_and_back_again_does_not_free_a_claim(kept: Kept, clock: FixedClock) -> None:
    """A year ahead drops the claims as expired; back in time, none is taken."""
    guard = kept.guard(clock)
    assert await guard.claim(b"1" * 32, b"1" * 16, START + MINUTE) is Claim.NEW
    clock.ms += 365 * 24 * 60 * MINUTE
    assert await guard.claim(b"2" * 32, b"2" * 16, clock.ms + MINUTE) is Claim.NEW
    clock.ms = START
    with pytest.raises(Refused):
        await guard.claim(b"1" * 32, b"1" * 16, START + MINUTE)
    kept.close()


async def test_a_claim_that_expired_is_good_by_no_clock_that_is_taken(
    kept: Kept, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A time service sets the clock back by half a minute, after the claim was due to go."""
    monkeypatch.setattr(claims, "TIDY_S", 0.0)
    guard = kept.guard(clock)
    assert await guard.claim(b"1" * 32, b"1" * 16, START + MINUTE) is Claim.NEW
    clock.ms = START + MINUTE + 1
    for number in (2, 3):
        byte = bytes([number])
        assert await guard.claim(byte * 32, byte * 16, clock.ms + MINUTE) is Claim.NEW
    clock.ms -= 30_000
    assert await guard.claim(b"1" * 32, b"1" * 16, START + MINUTE) is Claim.SAME


async def test_claims_that_can_t_be_made_again_are_removed(
    kept: Kept, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "TIDY_S", 0.0)
    guard = kept.guard(clock)
    for number in range(5):
        byte = bytes([number])
        assert await guard.claim(byte * 32, byte * 16, clock.ms + MINUTE) is Claim.NEW
        clock.ms += MINUTE
    clock.ms += MINUTE
    for number in (5, 6):
        byte = bytes([number])
        assert await guard.claim(byte * 32, byte * 16, clock.ms + MINUTE) is Claim.NEW
    assert kept.digests() == [bytes([number]) * 32 for number in (5, 6)]
