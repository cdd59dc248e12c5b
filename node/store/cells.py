"""Cells of 0.01 by 0.01 degrees, by which the store finds what lies in an area. Pure.

A read is kept with the number of its cell. A search looks through the cells
that its area touches, a thin triangle's or a circle's no more than those, and
compares each read's place then.
"""

from accord.areas import bounds, spans
from accord.errors import Code, Refused
from accord.model import Area, AreaBox
from node import grid

CELL_E7 = 100_000
MAX_CELLS = 10_000
MAX_CELL_DAYS = 50_000
"""An area's cells times the days of its window: 0.1 by 0.1 degrees for a year."""
_CELLS_PER_ROW = 36_001
_DAY_MS = 86_400_000
_SOUTH_E7, _WEST_E7 = -900_000_000, -1_800_000_000


def cell_of(lat_e7: int | None, lon_e7: int | None) -> int | None:
    """Return the number of the 0.01-degree cell; None without a position."""
    if lat_e7 is None or lon_e7 is None:
        return None
    return _row(lat_e7) * _CELLS_PER_ROW + _column(lon_e7)


def around(area: Area, within_m: int) -> AreaBox:
    """Return a box with every position whose place, as it is shared, lies in the area."""
    box = _widened(area, within_m)
    south, north = max(box.south_e7, _SOUTH_E7), min(box.north_e7, -_SOUTH_E7)
    return AreaBox(south, max(box.west_e7, _WEST_E7), north, min(box.east_e7, -_WEST_E7))


def cells_of(area: Area, within_m: int, window_ms: int) -> list[int]:
    """Return the cells with a position whose place, as it is shared, may lie in the area.

    Raises:
        Refused: ``SEARCH_TOO_WIDE`` for too many cells, or too many for the window.
    """
    near = around(area, within_m)
    rows = range(_row(near.south_e7), _row(near.north_e7) + 1)
    columns = range(_column(near.west_e7), _column(near.east_e7) + 1)
    count = len(rows) * len(columns)
    if count > MAX_CELLS:
        text = "The area is too large: at most 100 by 100 hundredths of a degree."
        raise Refused(Code.SEARCH_TOO_WIDE, text=text, detail=f"{count} cells")
    # What is shared lies off the position by no more than the box is widened.
    box, widened = bounds(area), _widened(area, within_m)
    high, wide = box.south_e7 - widened.south_e7, box.west_e7 - widened.west_e7
    cells: list[int] = []
    for row in rows:
        south = row * CELL_E7 + _SOUTH_E7
        touched: set[int] = set()
        for west, east in spans(area, south - high, south + CELL_E7 - 1 + high):
            first, last = max(west - wide, near.west_e7), min(east + wide, near.east_e7)
            touched.update(range(_column(first), _column(last) + 1))
        cells += [row * _CELLS_PER_ROW + column for column in sorted(touched)]
    if len(cells) * window_ms > MAX_CELL_DAYS * _DAY_MS:
        hours = MAX_CELL_DAYS * 24 // len(cells)
        text = f"An area of this size can be searched for {hours} hours at once: "
        text += "narrow the time or the area."
        raise Refused(Code.SEARCH_TOO_WIDE, text=text, detail=f"{len(cells)} cells")
    return cells


def _widened(area: Area, within_m: int) -> AreaBox:
    box = bounds(area)
    if not within_m:
        return box
    south, west, north, east = grid.widened(
        box.south_e7, box.west_e7, box.north_e7, box.east_e7, within_m
    )
    return AreaBox(south, west, north, east)


def _row(lat_e7: int) -> int:
    return (lat_e7 - _SOUTH_E7) // CELL_E7


def _column(lon_e7: int) -> int:
    return (lon_e7 - _WEST_E7) // CELL_E7
