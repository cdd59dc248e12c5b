"""The SQL of a search, by its shape, and the values that go with it. Pure.

Every value is bound, none is written into the text; the text depends on the
shape of the search only, so it is built once and SQLite prepares it once.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from accord.agreements.terms import Withholding
from accord.errors import Code, Refused
from accord.model import AreaBox, ExactPlate, WildcardPlate
from node import grid
from node.store.base import MAX_WITHHELD_COUNT, Search
from node.store.fast import COLUMNS

CELL_E7 = 100_000
MAX_CELLS = 10_000
MAX_MATCHES = 50_000
SNAPSHOT = "SELECT ifnull(max(row_id), 0) FROM reads"
# Up to so many reads of a plate in the window, the search is a short one.
SHORT_ROWS = 2_000
SHORT = (
    "SELECT count(*) FROM (SELECT 1 FROM reads "  # noqa: S608 - a constant of this module
    f"WHERE plate = ? AND captured_ms >= ? AND captured_ms < ? LIMIT {SHORT_ROWS + 1})"
)
_CELLS_PER_ROW = 36_001

Values = tuple[object, ...]
Statement = tuple[str, Values]


def cell_of(lat_e7: int | None, lon_e7: int | None) -> int | None:
    """Return the number of the 0.01-degree cell; None without a position."""
    if lat_e7 is None or lon_e7 is None:
        return None
    row, column = (lat_e7 + 900_000_000) // CELL_E7, (lon_e7 + 1_800_000_000) // CELL_E7
    return row * _CELLS_PER_ROW + column


class Plan(NamedTuple):
    """The statements of one page.

    ``bound`` counts visible matches up to one more than :data:`MAX_MATCHES`;
    None for an exact plate. Where ``exact_box`` is set, the page's and the
    withheld rows still have to pass it, on the snapped place (see
    :func:`node.grid.snap` with ``within_m``), and no LIMIT was applied.
    """

    page: Statement
    withheld: Statement
    bound: Statement | None
    exact_box: AreaBox | None
    within_m: int


def plan(search: Search, snapshot: int, plates: Sequence[str] = ()) -> Plan:
    """Return the statements for a search; ``plates`` are those that fit a wildcard.

    Raises:
        Refused: ``FIELD_NOT_SHARED``, ``SEARCH_TOO_WIDE``.
    """
    selector = search.selector
    within_m = _within_m(search) if isinstance(selector, AreaBox) else 0
    exact_box = selector if isinstance(selector, AreaBox) and within_m else None
    step = search.redaction.time_step_ms
    first, end = _buckets(search)
    kept = withheld_values(search.withholding)
    areas, within = len(search.withholding.areas), len(search.withholding.within)
    match, match_values = _match(selector, within_m, plates)
    base: Values = (*match_values, first * step, end * step, snapshot)
    after = search.after
    texts = _texts(match, step > 1, after is not None, areas, within, exact_box is not None)
    kept_base = page_values = base + kept
    if after is not None:
        # The coarse bound is what the index can use; the exact one follows it.
        page_values += ((after.bucket + 1) * step,)
        page_values += (step, after.bucket, after.tag) if step > 1 else (after.bucket, after.tag)
    if step > 1:
        page_values += (step,)
    if exact_box is None:
        page_values += (search.limit + 1,)
    bound = None if isinstance(selector, ExactPlate) else (texts[2], kept_base)
    return Plan((texts[0], page_values), (texts[1], kept_base), bound, exact_box, within_m)


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


def _within_m(search: Search) -> int:
    within_m = search.redaction.place_within_m
    if within_m is None:
        raise Refused(Code.FIELD_NOT_SHARED, detail="an area search where no place is shared")
    return within_m


def _match(
    selector: ExactPlate | WildcardPlate | AreaBox, within_m: int, plates: Sequence[str]
) -> tuple[str, Values]:
    """Return the condition that the selector makes, and its values."""
    match selector:
        case ExactPlate(plate, state):
            return _EXACT if not state else _EXACT_STATE, (plate, state) if state else (plate,)
        case WildcardPlate(_, state):
            values: Values = (json.dumps(plates),)
            return (_PLATES, values) if not state else (_PLATES_STATE, (*values, state))
        case AreaBox():
            return _AREA, _area_values(selector, within_m)


_EXACT = "plate = ?"
_EXACT_STATE = "plate = ? AND state = ?"
_PLATES = "plate IN (SELECT value FROM json_each(?))"
_PLATES_STATE = _PLATES + " AND state = ?"
_AREA = (
    "cell IN (SELECT value FROM json_each(?)) AND lat_e7 BETWEEN ? AND ? AND lon_e7 BETWEEN ? AND ?"
)


def _area_values(box: AreaBox, within_m: int) -> Values:
    south, west, north, east = box.south_e7, box.west_e7, box.north_e7, box.east_e7
    if within_m:
        south, west, north, east = grid.widened(south, west, north, east, within_m)
    south, north = max(south, -900_000_000), min(north, 900_000_000)
    west, east = max(west, -1_800_000_000), min(east, 1_800_000_000)
    rows = range((south + 900_000_000) // CELL_E7, (north + 900_000_000) // CELL_E7 + 1)
    columns = range((west + 1_800_000_000) // CELL_E7, (east + 1_800_000_000) // CELL_E7 + 1)
    if len(rows) * len(columns) > MAX_CELLS:
        raise Refused(Code.SEARCH_TOO_WIDE, detail="the area covers too many cells")
    cells = [row * _CELLS_PER_ROW + column for row in rows for column in columns]
    return json.dumps(cells), south, north, west, east


def _withheld(areas: int, within: int) -> str:
    """Return the condition for a row that the owner withholds; never NULL."""
    one_of = "IN (SELECT value FROM json_each(?))"
    lists = f'plate {one_of} OR camera {one_of} OR "case" {one_of}'
    box = " OR ifnull(lat_e7 BETWEEN ? AND ? AND lon_e7 BETWEEN ? AND ?, 0)"
    outside = f" OR NOT (0{box * within})" if within else ""
    return f"({lists}{box * areas}{outside})"


@lru_cache(maxsize=512)
def _texts(
    match: str, rounded: bool, paged: bool, areas: int, within: int, boxed: bool
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
    page += f" ORDER BY {bucket} DESC, tag DESC" + ("" if boxed else " LIMIT ?")
    # The box is checked row by row where places are rounded; else just count.
    what = "lat_e7, lon_e7" if boxed else "1"
    cap = "" if boxed else f" LIMIT {MAX_WITHHELD_COUNT}"
    held = f"SELECT {what} {common} AND {withheld}{cap}"
    if not boxed:
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
