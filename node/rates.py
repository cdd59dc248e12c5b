"""How many queries one officer and one agency may ask: against enumeration.

Who asks for plate after plate learns, query by allowed query, what no single
query would give. The bounds are the owner's own, in ``policy.toml``:

    [rates]
    officer_per_minute = 60
    officer_per_day = 2000
    agency_per_minute = 600

An agreement may have bounds of its own, which count beside them.

Counted in windows that begin with the minute or day (UTC): in the worst case twice
the bound passes about a window's edge. A node that is one process counts in memory,
so that a restart starts at nought; several on one database count there, together
(:mod:`node.store.postgres.rates`). No library: those we know bring their own clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

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


def exceeded(bound: Bound) -> Refused:
    """Return the refusal of a query for which a bound has no room."""
    span = "day" if bound.length_ms == DAY_MS else "minute"
    return Refused(
        Code.RATE_EXCEEDED,
        section=bound.section,
        text=f"Too many queries: {bound.whose} allows {bound.most} in one {span}.",
    )


class Counting(Protocol):
    """Where a node counts: a refused query is counted in none."""

    async def admit(self, wanted: Iterable[Bound]) -> None:
        """Count one query, if every bound has room for it.

        Raises:
            Refused: ``RATE_EXCEEDED``; ``STORE_UNAVAILABLE`` where it can't be counted.
        """


@dataclass(slots=True)
class _Window:
    number: int
    count: int


class Throttle:
    """Counts in this process' memory: a :class:`Counting`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: dict[tuple[tuple[str, ...], int], _Window] = {}
        self._day = 0

    async def admit(self, wanted: Iterable[Bound]) -> None:
        """See :meth:`Counting.admit`."""
        self.count(wanted)

    def count(self, wanted: Iterable[Bound]) -> None:
        """Count one query, or whatever else has bounds.

        Raises:
            Refused: ``RATE_EXCEEDED``.
        """
        now_ms = self._clock.now_ms()
        self._forget(now_ms)
        windows = []
        for bound in wanted:
            window = self._windows.setdefault((bound.who, bound.length_ms), _Window(0, 0))
            if window.number != now_ms // bound.length_ms:
                window.number, window.count = now_ms // bound.length_ms, 0
            if window.count >= bound.most:
                raise exceeded(bound)
            windows.append(window)
        for window in windows:
            window.count += 1

    def _forget(self, now_ms: int) -> None:
        """Drop yesterday's counts, so that memory does not grow with the years."""
        if now_ms // DAY_MS != self._day:
            self._day = now_ms // DAY_MS
            self._windows.clear()
