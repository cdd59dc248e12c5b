"""Searching an area: its window in stretches, the newest first, until the page is full.

The index knows a read's cell and time, so the reads of a stretch are counted
there before it runs: forty nanoseconds each, where looking at one takes a
hundred times as long. A stretch with too many is made shorter. What a page
costs is bounded by two numbers:

* reads that may be seen, looked at for one page, whether they lie in the area or
  beside it in a cell that it touches: :data:`MAX_SEEN`;
* all reads, the withheld ones too: :data:`MAX_LOOKED_AT`. That is a hard stop,
  far above the other, and can't mind what is withheld (see :mod:`node.store.base`).

Both refuse in the same words.
"""

import json
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import cache

from accord import areas
from accord.errors import Code, Refused
from accord.model import Area
from node import grid
from node.store.base import MAX_WITHHELD_COUNT, Search
from node.store.cells import around, cells_of
from node.store.fast import LAT, LON
from node.store.reading import About, Reading, Row
from node.store.statements import buckets, stretch

MAX_SEEN = 50_000
MAX_LOOKED_AT = 200_000
LONGEST = 10_000
"""A stretch with more reads than this is made shorter, down to one bucket."""
_FIRST_STRETCH_MS = 300_000
_STRETCHING = 4

Rows = list[Row]
_Inside = Callable[[int, int], bool]


def find_in_area(reading: Reading, search: Search, area: Area, snapshot: int) -> tuple[Rows, int]:
    """Return the rows of a page and one more, and how many before them are withheld.

    Each stretch is as long as the last one's rows say that the page still
    needs, and at most :data:`_STRETCHING` times as long as that.

    Raises:
        Refused: ``FIELD_NOT_SHARED``, ``SEARCH_TOO_WIDE``.
    """
    within_m, step, after = (
        search.redaction.place_within_m,
        search.redaction.time_step_ms,
        search.after,
    )
    if within_m is None:
        raise Refused(Code.FIELD_NOT_SHARED, detail="an area search where no place is shared")
    first, end = buckets(search)
    cells = json.dumps(cells_of(area, within_m, max(0, end - first) * step))
    near, inside = around(area, within_m), _inside(area, within_m)
    if after is not None:
        end = min(end, after.bucket + 1)
    rows: Rows = []
    seen = withheld = looked_at = 0
    length, wanted = max(1, _FIRST_STRETCH_MS // step), search.limit + 1
    while first < end and len(rows) < wanted:
        start = max(first, end - length)
        most = MAX_LOOKED_AT - looked_at + 1
        now = stretch(search, snapshot, cells, near, (start, end), after=after, most=most)
        about = About((start * step, end * step), step)
        there = reading.count(now.there, about, most)
        if there > LONGEST and end - start > 1:
            length = max(1, (end - start) // _STRETCHING)
            continue
        looked_at += there
        if looked_at > MAX_LOOKED_AT or seen > MAX_SEEN:
            raise _too_many()
        missing = wanted - len(rows)
        more: Rows = []
        if there:
            with closing(reading.rows(now.page, about)) as found:
                more, visible, held = _flagged(found, inside, missing)
            seen, withheld = seen + visible, withheld + held
        rows += more
        # A little more than needed, so that the next stretch is likely the last.
        growth = min(_STRETCHING, 1.25 * (missing / len(more) - 1)) if more else _STRETCHING
        end, length = start, max(1, int((end - start) * growth))
        # What lies at the cursor lies in the first stretch that runs.
        after = None
    return rows, min(withheld, MAX_WITHHELD_COUNT)


def _too_many() -> Refused:
    return Refused(
        Code.SEARCH_TOO_WIDE,
        text="Too many reads would be looked at for one page: narrow the time or the area.",
        detail="reads of an area",
    )


def _flagged(found: Iterable[Row], inside: _Inside, wanted: int) -> tuple[Rows, int, int]:
    """Return the visible rows in the area, and of the rows looked at for them two numbers.

    How many are visible, wherever they lie; how many in the area are withheld.
    """
    rows: Rows = []
    visible = withheld = 0
    for *row, is_withheld in found:
        visible += not is_withheld
        if not inside(row[LAT], row[LON]):
            continue
        if is_withheld:
            withheld += 1
            continue
        rows.append(tuple(row))
        if len(rows) == wanted:
            break
    return rows, visible, withheld


def _inside(area: Area, within_m: int) -> _Inside:
    """Return what tells whether the place, as it is shared, lies in the area."""

    # Cameras stand where they stand: the same few places come again and again.
    @cache
    def inside(lat_e7: int, lon_e7: int) -> bool:
        lat, lon = grid.snap(lat_e7, lon_e7, within_m) if within_m else (lat_e7, lon_e7)
        return areas.inside(area, lat, lon)

    return inside
