"""Which span of captures a segment has, and which reads go into one. Pure.

Spans lie on a grid of ``max(22 h, keep / 32)``, so that there are about 32 of them while
reads are kept for ``keep``. What is due waits, hidden, until all of its segment is, at
the most :data:`LATE_MS`; with a purge every hour its bytes are then gone within a day of
their date. Out of a wider segment rows go one by one, each 22 hours of captures together.
Reads outside ``[now - keep, now + span)`` go to the main file, and all where reads are
kept for less than two days: rows go one by one there, and at once.
"""

from collections.abc import Sequence
from typing import NamedTuple

HOUR_MS = 3_600_000
LATE_MS = 22 * HOUR_MS + 45 * 60_000
"""How long a read that is due may wait for its segment."""
MOST = 60
"""More segments than these are not made: a mask of 64 bits names them."""
_ABOUT = 32
_SHORTEST_MS = 22 * HOUR_MS
_LEAST_KEPT_MS = 48 * HOUR_MS


class Segment(NamedTuple):
    """One segment: its number, never used twice, and its half-open span in ms UTC."""

    number: int
    from_ms: int
    to_ms: int
    deleted: bool = False

    def due_before(self, cut_ms: int) -> int:
        """Return before when its reads go, if what was captured before ``cut_ms`` is due."""
        if self.to_ms <= cut_ms:
            return self.to_ms
        if self.to_ms - self.from_ms <= LATE_MS:
            return self.from_ms
        return cut_ms // _SHORTEST_MS * _SHORTEST_MS


class Span(NamedTuple):
    """Captures from a moment on and before another, in ms UTC."""

    from_ms: int
    to_ms: int


class Moment(NamedTuple):
    """The segments, the newest captures first, and the last row number given out by then.

    ``version`` rises with every change of the list.
    """

    version: int
    last_row: int
    listed: tuple[Segment, ...]


def span_ms(keep_ms: int) -> int:
    """Return the width of the grid."""
    return max(_SHORTEST_MS, -(-keep_ms // _ABOUT))


def are_apart(keep_ms: int) -> bool:
    """Tell whether reads that are kept for so long lie in segments at all."""
    return keep_ms >= _LEAST_KEPT_MS


def place(
    captured_ms: int, listed: Sequence[Segment], keep_ms: int, now_ms: int
) -> Segment | Span | None:
    """Return the segment for a read, or the span of one to be made; None for the main file."""
    wide = span_ms(keep_ms)
    if not are_apart(keep_ms) or not now_ms - keep_ms <= captured_ms < now_ms + wide:
        return None
    start = captured_ms // wide * wide
    end = start + wide
    for one in listed:
        if one.from_ms <= captured_ms < one.to_ms:
            return one
        # Those of another grid, from when reads were kept for another time.
        if one.to_ms <= captured_ms:
            start = max(start, one.to_ms)
        else:
            end = min(end, one.from_ms)
    return Span(start, end) if len(listed) < MOST else None
