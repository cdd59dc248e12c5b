"""A clock that leaps ahead, against one that only runs."""

from accord.testing import FixedClock
from node.leap import TOLERANCE_MS, Leap

START = 1_800_000_000_000


class Counter:
    """Milliseconds that pass as a test says."""

    ms = 5

    def __call__(self) -> int:
        return self.ms


def test_time_that_passes_is_no_leap() -> None:
    clock, counter = FixedClock(START), Counter()
    leap = Leap(clock, counter)
    for _ in range(400):
        clock.ms += 86_400_000
        counter.ms += 86_400_000
        assert not leap.leapt()
    # What a time service corrects, and a clock that goes back.
    clock.ms += TOLERANCE_MS
    assert not leap.leapt()
    clock.ms -= 10 * TOLERANCE_MS
    assert not leap.leapt()


def test_a_leap_is_remembered_though_the_clock_comes_back() -> None:
    clock, counter = FixedClock(START), Counter()
    leap = Leap(clock, counter)
    clock.ms += 365 * 86_400_000
    counter.ms += 1000
    assert leap.leapt()
    clock.ms = START + 2000
    assert leap.leapt()
    assert not Leap(clock, counter).leapt()
