"""The bounds on how much one officer and one agency may ask, in memory and in a database."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.agreements.policy import Rates
from accord.agreements.provisions import RateLimits
from accord.errors import Code, Refused
from accord.testing import FixedClock
from node.rates import DAY_MS, MINUTE_MS, Counting, Throttle, agreed_bounds, bounds
from tests.unit.node.guard.conftest import Kept

RATES = Rates(officer_per_minute=3, officer_per_day=5, agency_per_minute=4)


async def ask(counting: Counting, officer: str = "O-1", agency: str = "harbor") -> bool:
    try:
        await counting.admit(bounds("answer", agency, officer, "city", RATES))
    except Refused as refused:
        return refused.code is not Code.RATE_EXCEEDED
    return True


async def test_an_officer_has_so_many_a_minute_and_a_day(kept: Kept) -> None:
    clock = FixedClock(10 * DAY_MS)
    throttle = kept.counting(clock)
    assert [await ask(throttle) for _ in range(5)] == [True, True, True, False, False]
    clock.ms += MINUTE_MS
    assert [await ask(throttle) for _ in range(3)] == [True, True, False]
    clock.ms += DAY_MS
    assert await ask(throttle)


async def test_an_agency_does_not_go_round_it_with_many_officers(kept: Kept) -> None:
    throttle = kept.counting(FixedClock(10 * DAY_MS))
    assert [await ask(throttle, officer=f"O-{n}") for n in range(6)] == [True] * 4 + [False] * 2
    assert await ask(throttle, agency="county")


async def test_the_refusal_tells_the_bound(kept: Kept) -> None:
    throttle = kept.counting(FixedClock(0))
    for _ in range(3):
        assert await ask(throttle)
    with pytest.raises(Refused, match="3 in one minute"):
        await throttle.admit(bounds("answer", "harbor", "O-1", "city", RATES))


async def test_an_agreement_has_bounds_of_its_own(kept: Kept) -> None:
    throttle = kept.counting(FixedClock(0))
    rates = RateLimits("II.B", officer_per_day=2, agency_per_day=3)

    async def agreed(officer: str, agreement: bytes = b"a") -> bool:
        with contextlib.suppress(Refused):
            await throttle.admit(agreed_bounds(agreement, "harbor", officer, rates))
            return True
        return False

    assert [await agreed("O-1") for _ in range(3)] == [True, True, False]
    with pytest.raises(Refused, match="the agreement allows 2 in one day") as caught:
        await throttle.admit(agreed_bounds(b"a", "harbor", "O-1", rates))
    assert (caught.value.code, caught.value.section) == (Code.RATE_EXCEEDED, "II.B")
    assert [await agreed("O-2") for _ in range(2)] == [True, False]
    assert await agreed("O-1", b"b")
    await throttle.admit(agreed_bounds(b"a", "harbor", "O-1", RateLimits()))


async def test_a_query_to_the_own_node_is_counted_once_in_each_of_its_roles(kept: Kept) -> None:
    throttle = kept.counting(FixedClock(0))
    for _ in range(3):
        await throttle.admit(bounds("countersign", "city", "O-1", "city", RATES))
        await throttle.admit(bounds("answer", "city", "O-1", "city", RATES))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40_000)), max_size=60))
async def test_no_window_ever_holds_more_than_its_bound(steps: list[tuple[int, int]]) -> None:
    clock = FixedClock(0)
    throttle = Throttle(clock)
    taken: list[tuple[int, int]] = []
    for officer, wait_ms in steps:
        clock.ms += wait_ms
        if await ask(throttle, officer=f"O-{officer}"):
            taken.append((officer, clock.ms // MINUTE_MS))
    for minute in {m for _, m in taken}:
        within = [o for o, m in taken if m == minute]
        assert len(within) <= RATES.agency_per_minute
        assert all(within.count(o) <= RATES.officer_per_minute for o in within)
    assert all([o for o, _ in taken].count(n) <= RATES.officer_per_day for n in range(4))
