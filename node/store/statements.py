"""The SQL of a search, by its shape, and the values that go with it. Pure.

Every value is bound, none is written into the text; the text depends on the
shape of the search only, so it is built once and SQLite prepares it once. The
texts are SQLite's; :mod:`node.store.postgres.wording` puts them into PostgreSQL's words.
"""

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from accord.agreements.terms import Withholding
from accord.model import AreaBox, ExactPlate, LookAlikePlate, PlateList, WildcardPlate
from accord.plates import look_alikes
from node.store.base import MAX_WITHHELD_COUNT, NOTHING_WITHHELD, Cursor, Search
from node.store.fast import COLUMNS

MAX_MATCHES = 50_000
SNAPSHOT = "SELECT seq FROM sqlite_sequence WHERE name = 'reads'"
"""The last row number that SQLite's store has given out."""

Values = tuple[object, ...]
Statement = tuple[str, Values]


class Step(NamedTuple):
    """One part of a search; all its rows come before those of the next.

    ``page`` gives visible rows in their order and ``withheld`` counts those
    that are not; None where nothing is withheld. ``plates`` are all that are
    looked for. Of several, the statements' first value is their JSON list.
    """

    page: Statement
    withheld: Statement | None
    plates: Sequence[str] = ()


class Bound(NamedTuple):
    """Counts of matches up to one more than :data:`MAX_MATCHES`.

    ``all`` needs the index alone and counts what is withheld, or of another
    state, too; only where that is too much does ``visible`` tell. ``plates`` as
    in :class:`Step`.
    """

    all: Statement
    visible: Statement
    plates: Sequence[str]


class Plan(NamedTuple):
    """The statements of one page: its steps, gone through until the page is full.

    ``bound`` is None where the question alone bounds the work.
    """

    steps: Iterator[Step]
    bound: Bound | None


class Stretch(NamedTuple):
    """A part of the window of an area search; all its rows come before those of the next.

    ``there`` counts, by the index alone, the rows that ``page`` looks at, up to
    a number that is its last value. ``page`` gives them all in their order, and
    behind each whether it is withheld.
    """

    there: Statement
    page: Statement


def plan(search: Search, snapshot: int, plates: Sequence[str] = ()) -> Plan:
    """Return the statements for a search of plates; ``plates`` are those that fit a wildcard."""
    conditions: Sequence[tuple[Statement, Sequence[str]]]
    match search.selector:
        case ExactPlate(plate, state):
            exact: Statement = (_EXACT_STATE, (plate, state)) if state else (_EXACT, (plate,))
            return Plan(_one_by_one(search, snapshot, [(exact, (plate,))]), None)
        case LookAlikePlate(plate, state, most):
            ranks = look_alikes(plate, most)
            start = search.after.rank if search.after else 0
            conditions = [(_one_of(rank, state), rank) for rank in ranks[start:]]
            plates = [plate for rank in ranks for plate in rank]
            every = _one_of(plates, state)
        case WildcardPlate(_, state):
            every = _one_of(plates, state)
            conditions = [(every, plates)]
        case PlateList(several):
            plates = [one.plate for one in several]
            every = _each_of(several)
            conditions = [(every, plates)]
        case _ as other:
            raise TypeError(f"{type(other).__name__} is looked for by node.store.area_search")
    steps = _one_by_one(search, snapshot, conditions)
    return Plan(steps, _bound(search, snapshot, every, plates))


def _one_by_one(
    search: Search, snapshot: int, conditions: Sequence[tuple[Statement, Sequence[str]]]
) -> Iterator[Step]:
    """Give one step for each condition on plates; the cursor lies in the first."""
    held, step, after = search.withholding, search.redaction.time_step_ms, search.after
    nothing = held == NOTHING_WITHHELD
    for (match, match_values), plates in conditions:
        page, withheld = _texts(match, step > 1, after is not None, _kept_back(held))
        common = _common(search, snapshot, match_values, buckets(search))
        values = (*common, *withheld_values(held), *_after(after, step))
        yield Step(
            (page, (*values, *_order(step), search.limit + 1)),
            None if nothing else (withheld, (*common, *withheld_values(held))),
            plates,
        )
        after = None


def stretch(
    search: Search,
    snapshot: int,
    cells: str,
    near: AreaBox,
    span: tuple[int, int],
    *,
    after: Cursor | None,
    most: int,
) -> Stretch:
    """Return the statements for the buckets of a span, half-open, of an area search.

    ``cells`` is a JSON list; ``near`` a box around what may lie in the area.
    Where ``after`` is set, the span holds its bucket. ``most`` bounds the count.
    """
    held, step = search.withholding, search.redaction.time_step_ms
    text = _stretch_text(step > 1, after is not None, _kept_back(held))
    place = (cells, near.south_e7, near.north_e7, near.west_e7, near.east_e7)
    common = _common(search, snapshot, place, span)
    return Stretch(
        (_COUNT_CELLS, (*_common(search, snapshot, (cells,), span), most)),
        (text, (*withheld_values(held), *common, *_after(after, step), *_order(step))),
    )


def _common(search: Search, snapshot: int, match_values: Values, span: tuple[int, int]) -> Values:
    step = search.redaction.time_step_ms
    return (*match_values, span[0] * step, span[1] * step, snapshot)


def _after(after: Cursor | None, step: int) -> Values:
    """Return the values of the condition that rows come after a cursor."""
    if after is None:
        return ()
    # The coarse bound is what the index can use; the exact one follows it.
    coarse = (after.bucket + 1) * step
    return (coarse, *_order(step), after.bucket, after.tag)


def _order(step: int) -> Values:
    """Return the values by which rows are put into buckets; exact times need none."""
    return (step,) if step > 1 else ()


def _bound(search: Search, snapshot: int, condition: Statement, plates: Sequence[str]) -> Bound:
    match, match_values = condition
    span, held = buckets(search), search.withholding
    common = _common(search, snapshot, match_values, span)
    # The list of plates comes first in every condition on several plates.
    alone = _common(search, snapshot, match_values[:1], span)
    visible = f"{_from('reads_by_plate', match)} AND NOT {_withheld(_kept_back(held))}"
    return Bound(
        (_counted(_from("reads_by_plate", _PLATES), MAX_MATCHES + 1), alone),
        (_counted(visible, MAX_MATCHES + 1), (*common, *withheld_values(held))),
        plates,
    )


class _KeptBack(NamedTuple):
    """Which lists a withholding has, and how many boxes: what the text depends on."""

    plates: bool
    cameras: bool
    cases: bool
    areas: int
    within: int


def _kept_back(held: Withholding) -> _KeptBack:
    lists = bool(held.plates), bool(held.cameras), bool(held.cases)
    return _KeptBack(*lists, len(held.areas), len(held.within))


def one_read(
    row_id: int, withholding: Withholding, earliest_ms: int, time_step_ms: int
) -> Statement:
    """Return the statement for one read by its row number."""
    first_ms = -(-earliest_ms // time_step_ms) * time_step_ms
    text = _one_read(_kept_back(withholding))
    return text, (row_id, first_ms, *withheld_values(withholding))


@lru_cache(maxsize=256)
def withheld_values(withholding: Withholding) -> Values:
    """Return the values of the withholding rules: a JSON list for each, then the boxes.

    First those that are kept back, then those outside which all is.
    """
    lists = filter(None, (withholding.plates, withholding.cameras, withholding.cases))
    boxes = [
        edge
        for box in (*withholding.areas, *withholding.within)
        for edge in (box.south_e7, box.north_e7, box.west_e7, box.east_e7)
    ]
    return (*(json.dumps(sorted(names)) for names in lists), *boxes)


def buckets(search: Search) -> tuple[int, int]:
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
_CELLS = f"cell {_LISTED}"
_AREA = f"{_CELLS} AND lat_e7 BETWEEN ? AND ? AND lon_e7 BETWEEN ? AND ?"


def _withheld(kept: _KeptBack) -> str:
    """Return the condition for a row that the owner withholds; never NULL."""
    lists = (
        (kept.plates, f"plate {_LISTED}"),
        (kept.cameras, f"camera {_LISTED}"),
        (kept.cases, f'"case" {_LISTED}'),
    )
    box = "coalesce(lat_e7 BETWEEN ? AND ? AND lon_e7 BETWEEN ? AND ?, false)"
    conditions = [text for is_there, text in lists if is_there] + [box] * kept.areas
    if kept.within:
        conditions.append(f"NOT ({' OR '.join([box] * kept.within)})")
    return f"({' OR '.join(conditions or ['false'])})"


@lru_cache(maxsize=512)
def _texts(match: str, rounded: bool, paged: bool, kept: _KeptBack) -> Sequence[str]:
    """Return the text of a page and of the count of what is withheld."""
    rows, withheld = _from("reads_by_plate", match), _withheld(kept)
    page = f"SELECT {COLUMNS} {rows} AND NOT {withheld}{_ordered(rounded, paged)} LIMIT ?"
    return page, _counted(f"{rows} AND {withheld}", MAX_WITHHELD_COUNT)


@lru_cache(maxsize=512)
def _stretch_text(rounded: bool, paged: bool, kept: _KeptBack) -> str:
    """Return the text of a stretch of an area: all its rows, each flagged."""
    rows, withheld = _from("reads_by_cell", _AREA), _withheld(kept)
    return f"SELECT {COLUMNS}, {withheld} {rows}{_ordered(rounded, paged)}"


def _from(index: str, match: str) -> str:
    # The plus keeps PostgreSQL, which has no INDEXED BY, from going through all rows by
    # number: it knows nothing of how seldom a plate is.
    return (
        f"FROM reads INDEXED BY {index} WHERE {match} "
        "AND captured_ms >= ? AND captured_ms < ? AND +row_id <= ?"
    )


_COUNT_CELLS = (
    f"SELECT count(*) FROM (SELECT 1 {_from('reads_by_cell', _CELLS)} LIMIT ?) AS counted"  # noqa: S608
)


def _ordered(rounded: bool, paged: bool) -> str:
    bucket = "captured_ms / ?" if rounded else "captured_ms"
    after = f" AND captured_ms < ? AND ({bucket}, tag) < (?, ?)" if paged else ""
    return f"{after} ORDER BY {bucket} DESC, tag DESC"


def _counted(rows: str, most: int) -> str:
    return f"SELECT count(*) FROM (SELECT 1 {rows} LIMIT {most}) AS counted"  # noqa: S608 - texts of this module


@lru_cache(maxsize=64)
def _one_read(kept: _KeptBack) -> str:
    return (
        f"SELECT {COLUMNS} FROM reads "  # noqa: S608 - texts of this module
        "WHERE row_id = ? AND captured_ms >= ? "
        f"AND NOT {_withheld(kept)}"
    )


def withheld_condition(withholding: Withholding) -> str:
    """Return the condition for a read that is withheld; its values: :func:`withheld_values`."""
    return _withheld(_kept_back(withholding))
