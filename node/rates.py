"""How many queries one officer and one agency may ask: against enumeration.

Who asks for plate after plate learns, query by allowed query, what no single
query would give. The bounds are the owner's own, in ``policy.toml``:

    [rates]
    officer_per_minute = 60
    officer_per_day = 2000
    agency_per_minute = 600

An agreement may have bounds of its own, which count beside them.

Counted in windows that begin with the minute or day (UTC) and held in memory:
a restart starts at nought, and in the worst case twice the bound passes about
a window's edge. No library: those we know bring their own clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from accord.agreements.policy import Rates
from accord.agreements.provisions import RateLimits
from accord.clock import Clock
from accord.errors import Code, Refused

MINUTE_MS = 60_000
DAY_MS = 86_400_000


class Bound(NamedTuple):
    """Who (a key of texts), the window's length in milliseconds, how many in it, whose rule."""

    who: tuple[str, ...]
    length_ms: int
    most: int
    section: str = "II.B"
    whose: str = "the owner's policy"


def bounds(use: str, agency: str, officer: str, owner: str, rates: Rates) -> tuple[Bound, ...]:
    """Return the bounds that one query falls under.

    ``use`` keeps a node's two roles apart, as home and as owner: an officer's
    query to the own node is one query, not two.
    """
    who = (use, agency, officer, owner)
    return (
        Bound(who, MINUTE_MS, rates.officer_per_minute),
        Bound(who, DAY_MS, rates.officer_per_day),
        Bound((use, agency, owner), MINUTE_MS, rates.agency_per_minute),
    )


def agreed_bounds(
    agreement: bytes, agency: str, officer: str, rates: RateLimits
) -> tuple[Bound, ...]:
    """Return the bounds that the agreement itself sets for one query."""
    of_agency = ("agreed", agreement.hex(), agency)
    of_officer = (*of_agency, officer)
    bounds = (
        (of_officer, DAY_MS, rates.officer_per_day),
        (of_agency, DAY_MS, rates.agency_per_day),
        (of_agency, MINUTE_MS, rates.agency_per_minute),
    )
    return tuple(
        Bound(who, length_ms, most, rates.section, "the agreement")
        for who, length_ms, most in bounds
        if most is not None
    )


@dataclass(slots=True)
class _Window:
    number: int
    count: int


class Throttle:
    """Counts per window; a refused query is counted in none."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: dict[tuple[tuple[str, ...], int], _Window] = {}
        self._day = 0

    def admit(self, wanted: Iterable[Bound]) -> None:
        """Count one query, if every bound has room for it.

        Raises:
            Refused: ``RATE_EXCEEDED``.
        """
        now_ms = self._clock.now_ms()
        self._forget(now_ms)
        windows = []
        for who, length_ms, most, section, whose in wanted:
            window = self._windows.setdefault((who, length_ms), _Window(0, 0))
            if window.number != now_ms // length_ms:
                window.number, window.count = now_ms // length_ms, 0
            if window.count >= most:
                span = "day" if length_ms == DAY_MS else "minute"
                raise Refused(
                    Code.RATE_EXCEEDED,
                    section=section,
                    text=f"Too many queries: {whose} allows {most} in one {span}.",
                )
            windows.append(window)
        for window in windows:
            window.count += 1

    def _forget(self, now_ms: int) -> None:
        """Drop yesterday's counts, so that memory does not grow with the years."""
        if now_ms // DAY_MS != self._day:
            self._day = now_ms // DAY_MS
            self._windows.clear()
