"""The SQL of a search, by its shape, and the values that go with it. Pure.

Every value is bound, none is written into the text; the text depends on the
shape of the search only, so it is built once and SQLite prepares it once.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from accord.agreements.terms import Withholding
from accord.areas import bounds
from accord.errors import Code, Refused
from accord.model import (
    Area,
    AreaBox,
    AreaCircle,
    AreaPolygon,
    ExactPlate,
    LookAlikePlate,
    PlateList,
    WildcardPlate,
)
from accord.plates import look_alikes
from node import grid
from node.store.base import MAX_WITHHELD_COUNT, NOTHING_WITHHELD, Cursor, Search
from node.store.fast import COLUMNS

CELL_E7 = 100_000
MAX_CELLS = 10_000
MAX_CELL_DAYS = 20_000
"""An area's cells times the days of its window: 0.1 by 0.1 degrees for five months."""
MAX_MATCHES = 50_000
SNAPSHOT = "SELECT ifnull(max(row_id), 0) FROM reads"
# Up to so many reads of a plate in the window, the search is a short one.
SHORT_ROWS = 2_000
SHORT = (
    "SELECT count(*) FROM (SELECT 1 FROM reads "  # noqa: S608 - a constant of this module
    f"WHERE plate = ? AND captured_ms >= ? AND captured_ms < ? LIMIT {SHORT_ROWS + 1})"
)
_CELLS_PER_ROW = 36_001
_DAY_MS = 86_400_000
_FIRST_STRETCH_MS = 300_000
_STRETCHING = 4

Values = tuple[object, ...]
Statement = tuple[str, Values]


def cell_of(lat_e7: int | None, lon_e7: int | None) -> int | None:
    """Return the number of the 0.01-degree cell; None without a position."""
    if lat_e7 is None or lon_e7 is None:
        return None
    row, column = (lat_e7 + 900_000_000) // CELL_E7, (lon_e7 + 1_800_000_000) // CELL_E7
    return row * _CELLS_PER_ROW + column


class Step(NamedTuple):
    """One part of a search; all its rows come before those of the next.

    ``page`` gives visible rows in their order, ``withheld`` counts those that
    are not, None where nothing is withheld.
    """

    page: Statement
    withheld: Statement | None


class Plan(NamedTuple):
    """The statements of one page: its steps, gone through until the page is full.

    ``bound`` counts visible matches up to one more than :data:`MAX_MATCHES`;
    None where the question alone bounds the work. Where ``shape`` is set, the
    rows still have to pass it, on the snapped place (see
    :func:`node.grid.snap` with ``within_m``), and no LIMIT was applied.
    """

    steps: tuple[Step, ...]
    bound: Statement | None
    shape: Area | None
    within_m: int


def plan(search: Search, snapshot: int, plates: Sequence[str] = ()) -> Plan:
    """Return the statements for a search; ``plates`` are those that fit a wildcard.

    Raises:
        Refused: ``FIELD_NOT_SHARED``, ``SEARCH_TOO_WIDE``.
    """
    selector, after = search.selector, search.after
    first, end = _buckets(search)
    match selector:
        case ExactPlate(plate, state):
            exact: Statement = (_EXACT_STATE, (plate, state)) if state else (_EXACT, (plate,))
            step = _step(search, snapshot, exact, (first, end), after)
            return Plan((step,), None, None, 0)
        case LookAlikePlate(plate, state, most):
            ranks = look_alikes(plate, most)
            start = after.rank if after else 0
            steps = tuple(
                _step(search, snapshot, _one_of(ranks[rank], state), (first, end),
                      after if rank == start else None)
                for rank in range(start, most + 1)
            )  # fmt: skip
            condition = _one_of([plate for rank in ranks for plate in rank], state)
        case WildcardPlate(_, state):
            condition = _one_of(plates, state)
            steps = (_step(search, snapshot, condition, (first, end), after),)
        case PlateList(several):
            condition = _each_of(several)
            steps = (_step(search, snapshot, condition, (first, end), after),)
        case AreaBox() | AreaCircle() | AreaPolygon():
            return _area_plan(search, selector, snapshot, (first, end))
    return Plan(steps, _bound(search, snapshot, condition, (first, end)), None, 0)


def _area_plan(search: Search, area: Area, snapshot: int, span: tuple[int, int]) -> Plan:
    """Look through the window in stretches, the newest first, each longer than the last."""
    within_m = search.redaction.place_within_m
    if within_m is None:
        raise Refused(Code.FIELD_NOT_SHARED, detail="an area search where no place is shared")
    step_ms, after = search.redaction.time_step_ms, search.after
    first, end = span
    condition = _AREA, _area_values(area, within_m, max(0, end - first) * step_ms)
    shape = area if within_m or not isinstance(area, AreaBox) else None
    if after is not None:
        end = min(end, after.bucket + 1)
    steps: list[Step] = []
    length = max(1, _FIRST_STRETCH_MS // step_ms)
    while first < end:
        start = max(first, end - length)
        steps.append(
            _step(search, snapshot, condition, (start, end), after, unlimited=shape is not None)
        )
        # What lies at the cursor lies in the first stretch.
        end, length, after = start, length * _STRETCHING, None
    return Plan(tuple(steps), None, shape, within_m)


def _step(
    search: Search,
    snapshot: int,
    condition: Statement,
    span: tuple[int, int],
    after: Cursor | None,
    *,
    unlimited: bool = False,
) -> Step:
    """Return the statements for the buckets from ``span[0]`` up to, without, ``span[1]``."""
    match, match_values = condition
    step = search.redaction.time_step_ms
    base: Values = (*match_values, span[0] * step, span[1] * step, snapshot)
    texts = _shape_texts(search, match, paged=after is not None, unlimited=unlimited)
    kept_base = page_values = base + withheld_values(search.withholding)
    if after is not None:
        # The coarse bound is what the index can use; the exact one follows it.
        page_values += ((after.bucket + 1) * step,)
        page_values += (step, after.bucket, after.tag) if step > 1 else (after.bucket, after.tag)
    if step > 1:
        page_values += (step,)
    if not unlimited:
        page_values += (search.limit + 1,)
    nothing = search.withholding == NOTHING_WITHHELD
    return Step((texts[0], page_values), None if nothing else (texts[1], kept_base))


def _bound(search: Search, snapshot: int, condition: Statement, span: tuple[int, int]) -> Statement:
    match, match_values = condition
    step = search.redaction.time_step_ms
    base: Values = (*match_values, span[0] * step, span[1] * step, snapshot)
    texts = _shape_texts(search, match, paged=False, unlimited=False)
    return texts[2], base + withheld_values(search.withholding)


def _shape_texts(search: Search, match: str, *, paged: bool, unlimited: bool) -> Sequence[str]:
    held = search.withholding
    rounded = search.redaction.time_step_ms > 1
    return _texts(match, rounded, paged, len(held.areas), len(held.within), unlimited)


def one_read(
    row_id: int, withholding: Withholding, earliest_ms: int, time_step_ms: int
) -> Statement:
    """Return the statement for one read by its row number."""
    first_ms = -(-earliest_ms // time_step_ms) * time_step_ms
    text = _one_read(len(withholding.areas), len(withholding.within))
    return text, (row_id, first_ms, *withheld_values(withholding))


@lru_cache(maxsize=256)
def withheld_values(withholding: Withholding) -> Values:
    """Return the values of the withholding rules: three JSON lists, then the boxes.

    First those that are kept back, then those outside which all is.
    """
    lists = (withholding.plates, withholding.cameras, withholding.cases)
    boxes = [
        edge
        for box in (*withholding.areas, *withholding.within)
        for edge in (box.south_e7, box.north_e7, box.west_e7, box.east_e7)
    ]
    return (*(json.dumps(sorted(names)) for names in lists), *boxes)


def _buckets(search: Search) -> tuple[int, int]:
    """Return the half-open range of buckets whose start lies in the window.

    A bucket counts only if the look-back and the retention leave all of it.
    """
    step = search.redaction.time_step_ms
    first_ms = max(search.window.from_ms, search.earliest_ms)
    return -(-first_ms // step), -(-search.window.to_ms // step)


def _one_of(plates: Sequence[str], state: str) -> Statement:
    values: Values = (json.dumps(plates),)
    return (_PLATES_STATE, (*values, state)) if state else (_PLATES, values)


def _each_of(several: Sequence[ExactPlate]) -> Statement:
    """Return the condition for several plates, each of its own state or of any."""
    plates = json.dumps([one.plate for one in several])
    if not any(one.state for one in several):
        return _PLATES, (plates,)
    anywhere = json.dumps([one.plate for one in several if not one.state])
    pairs = json.dumps([f"{one.plate} {one.state}" for one in several if one.state])
    return _PLATES_STATES, (plates, anywhere, pairs)


_EXACT = "plate = ?"
_EXACT_STATE = "plate = ? AND state = ?"
_LISTED = "IN (SELECT value FROM json_each(?))"
_PLATES = f"plate {_LISTED}"
_PLATES_STATE = f"{_PLATES} AND state = ?"
_PLATES_STATES = f"{_PLATES} AND (plate {_LISTED} OR plate || ' ' || state {_LISTED})"
_AREA = f"cell {_LISTED} AND lat_e7 BETWEEN ? AND ? AND lon_e7 BETWEEN ? AND ?"


def _area_values(area: Area, within_m: int, window_ms: int) -> Values:
    box = bounds(area)
    south, west, north, east = box.south_e7, box.west_e7, box.north_e7, box.east_e7
    if within_m:
        south, west, north, east = grid.widened(south, west, north, east, within_m)
    south, north = max(south, -900_000_000), min(north, 900_000_000)
    west, east = max(west, -1_800_000_000), min(east, 1_800_000_000)
    rows = range((south + 900_000_000) // CELL_E7, (north + 900_000_000) // CELL_E7 + 1)
    columns = range((west + 1_800_000_000) // CELL_E7, (east + 1_800_000_000) // CELL_E7 + 1)
    count = len(rows) * len(columns)
    if count > MAX_CELLS:
        text = "The area is too large: at most 100 by 100 hundredths of a degree."
        raise Refused(Code.SEARCH_TOO_WIDE, text=text, detail=f"{count} cells")
    if count * window_ms > MAX_CELL_DAYS * _DAY_MS:
        hours = MAX_CELL_DAYS * 24 // count
        text = f"An area of this size can be searched for {hours} hours at once: "
        text += "narrow the time or the area."
        raise Refused(Code.SEARCH_TOO_WIDE, text=text, detail=f"{count} cells")
    cells = [row * _CELLS_PER_ROW + column for row in rows for column in columns]
    return json.dumps(cells), south, north, west, east


def _withheld(areas: int, within: int) -> str:
    """Return the condition for a row that the owner withholds; never NULL."""
    lists = f'plate {_LISTED} OR camera {_LISTED} OR "case" {_LISTED}'
    box = " OR ifnull(lat_e7 BETWEEN ? AND ? AND lon_e7 BETWEEN ? AND ?, 0)"
    outside = f" OR NOT (0{box * within})" if within else ""
    return f"({lists}{box * areas}{outside})"


@lru_cache(maxsize=512)
def _texts(
    match: str, rounded: bool, paged: bool, areas: int, within: int, unlimited: bool
) -> Sequence[str]:
    """Return page, withheld and bound text of one shape."""
    index = "reads_by_cell" if match == _AREA else "reads_by_plate"
    common = (
        f"FROM reads INDEXED BY {index} WHERE {match} "
        "AND captured_ms >= ? AND captured_ms < ? AND row_id <= ?"
    )
    withheld = _withheld(areas, within)
    bucket = "captured_ms / ?" if rounded else "captured_ms"
    page = f"SELECT {COLUMNS} {common} AND NOT {withheld}"
    if paged:
        page += f" AND captured_ms < ? AND ({bucket}, tag) < (?, ?)"
    page += f" ORDER BY {bucket} DESC, tag DESC" + ("" if unlimited else " LIMIT ?")
    # A shape is checked row by row; else just count.
    what = "lat_e7, lon_e7" if unlimited else "1"
    cap = "" if unlimited else f" LIMIT {MAX_WITHHELD_COUNT}"
    held = f"SELECT {what} {common} AND {withheld}{cap}"
    if not unlimited:
        held = f"SELECT count(*) FROM ({held})"  # noqa: S608 - texts of this module
    bound = (
        f"SELECT count(*) FROM (SELECT 1 {common} "  # noqa: S608 - texts of this module
        f"AND NOT {withheld} LIMIT {MAX_MATCHES + 1})"
    )
    return page, held, bound


@lru_cache(maxsize=64)
def _one_read(areas: int, within: int) -> str:
    return (
        f"SELECT {COLUMNS} FROM reads "  # noqa: S608 - texts of this module
        "WHERE row_id = ? AND captured_ms >= ? "
        f"AND NOT {_withheld(areas, within)}"
    )
