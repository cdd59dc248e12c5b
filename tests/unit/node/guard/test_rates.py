"""The owner's bounds on how much one officer and one agency may ask."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.agreements.policy import Rates
from accord.agreements.provisions import RateLimits
from accord.errors import Code, Refused
from accord.testing import FixedClock
from node.rates import DAY_MS, MINUTE_MS, Throttle, agreed_bounds, bounds

RATES = Rates(officer_per_minute=3, officer_per_day=5, agency_per_minute=4)


def ask(throttle: Throttle, officer: str = "O-1", agency: str = "harbor") -> bool:
    try:
        throttle.count(bounds("answer", agency, officer, "city", RATES))
    except Refused as refused:
        return refused.code is not Code.RATE_EXCEEDED
    return True


def test_an_officer_has_so_many_a_minute_and_a_day() -> None:
    clock = FixedClock(10 * DAY_MS)
    throttle = Throttle(clock)
    assert [ask(throttle) for _ in range(5)] == [True, True, True, False, False]
    clock.ms += MINUTE_MS
    assert [ask(throttle) for _ in range(3)] == [True, True, False]
    clock.ms += DAY_MS
    assert ask(throttle)


def test_an_agency_does_not_go_round_it_with_many_officers() -> None:
    throttle = Throttle(FixedClock(10 * DAY_MS))
    assert [ask(throttle, officer=f"O-{n}") for n in range(6)] == [True] * 4 + [False] * 2
    assert ask(throttle, agency="county")


def test_the_refusal_tells_the_bound() -> None:
    throttle = Throttle(FixedClock(0))
    for _ in range(3):
        assert ask(throttle)
    with pytest.raises(Refused, match="3 in one minute"):
        throttle.count(bounds("answer", "harbor", "O-1", "city", RATES))


def test_an_agreement_has_bounds_of_its_own() -> None:
    throttle = Throttle(FixedClock(0))
    rates = RateLimits("II.B", officer_per_day=2, agency_per_day=3)

    def agreed(officer: str, agreement: bytes = b"a") -> bool:
        with contextlib.suppress(Refused):
            throttle.count(agreed_bounds(agreement, "harbor", officer, rates))
            return True
        return False

    assert [agreed("O-1") for _ in range(3)] == [True, True, False]
    with pytest.raises(Refused, match="the agreement allows 2 in one day") as caught:
        throttle.count(agreed_bounds(b"a", "harbor", "O-1", rates))
    assert (caught.value.code, caught.value.section) == (Code.RATE_EXCEEDED, "II.B")
    assert [agreed("O-2") for _ in range(2)] == [True, False]
    assert agreed("O-1", b"b")
    throttle.count(agreed_bounds(b"a", "harbor", "O-1", RateLimits()))


def test_a_query_to_the_own_node_is_counted_once_in_each_of_its_roles() -> None:
    throttle = Throttle(FixedClock(0))
    for _ in range(3):
        throttle.count(bounds("countersign", "city", "O-1", "city", RATES))
        throttle.count(bounds("answer", "city", "O-1", "city", RATES))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40_000)), max_size=60))
def test_no_window_ever_holds_more_than_its_bound(steps: list[tuple[int, int]]) -> None:
    clock = FixedClock(0)
    throttle = Throttle(clock)
    taken: list[tuple[int, int]] = []
    for officer, wait_ms in steps:
        clock.ms += wait_ms
        if ask(throttle, officer=f"O-{officer}"):
            taken.append((officer, clock.ms // MINUTE_MS))
    for minute in {m for _, m in taken}:
        within = [o for o, m in taken if m == minute]
        assert len(within) <= RATES.agency_per_minute
        assert all(within.count(o) <= RATES.officer_per_minute for o in within)
    assert all([o for o, _ in taken].count(n) <= RATES.officer_per_day for n in range(4))
