"""A clock that leaps ahead: what would be due by it is not deleted.

A purge can't be undone. The time that the wall clock says has passed since the
node started is compared with what the machine's own counter says: where the
wall clock is more than an hour ahead, somebody set it, or it is broken, and
until the node is started again nothing is purged. (A node that starts with a
wrong clock can't be told from one that was off for long.)
"""

from collections.abc import Callable

from accord.clock import Clock

TOLERANCE_MS = 3_600_000


class Leap:
    """Compares the clock with a counter of milliseconds that nobody can set."""

    def __init__(self, clock: Clock, counter_ms: Callable[[], int]) -> None:
        self._clock, self._counter_ms = clock, counter_ms
        self._ahead_ms = clock.now_ms() - counter_ms()
        self._leapt = False

    def leapt(self) -> bool:
        """Tell whether the clock has leapt ahead since the start, once or ever."""
        ahead_ms = self._clock.now_ms() - self._counter_ms()
        self._leapt = self._leapt or ahead_ms - self._ahead_ms > TOLERANCE_MS
        return self._leapt
