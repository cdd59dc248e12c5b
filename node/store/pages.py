"""One page of a search for reads, by the statements that both databases are given."""

from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import islice

from accord.errors import Code, Refused
from accord.model import Area, WildcardPlate
from node.store.area_search import find_in_area
from node.store.base import MAX_WITHHELD_COUNT, Cursor, Page, Search, away
from node.store.fast import stored
from node.store.reading import About, Reading, Row
from node.store.statements import MAX_MATCHES, Plan, buckets, plan

Pause = Callable[[], None]
FindPlates = Callable[[str, str, Pause], Sequence[str]]


def one_page(
    reading: Reading, search: Search, snapshot: int, find_plates: FindPlates, pause: Pause
) -> Page:
    """Return the rows up to a snapshot, which was taken before this is called.

    ``find_plates`` gives the plates that fit a wildcard's pattern and state, and
    knows all those of the snapshot; it calls ``pause`` now and then.

    Raises:
        Refused: ``FIELD_NOT_SHARED``, ``SEARCH_TOO_WIDE``, and what ``pause`` raises.
    """
    selector = search.selector
    if isinstance(selector, Area):
        rows, withheld = find_in_area(reading, search, selector, snapshot)
    else:
        plates: Sequence[str] = ()
        if isinstance(selector, WildcardPlate):
            plates = find_plates(selector.pattern, selector.state, pause)
        rows, withheld = _found(reading, search, plan(search, snapshot, plates))
    complete = len(rows) <= search.limit
    kept = tuple(map(stored, rows[: search.limit]))
    cursor = None
    if not complete:
        last = kept[-1]
        bucket = last.read.captured_ms // search.redaction.time_step_ms
        cursor = Cursor(bucket, last.tag, snapshot, away(selector, last.read.plate))
    return Page(kept, complete, cursor, withheld, snapshot)


def _found(reading: Reading, search: Search, todo: Plan) -> tuple[list[Row], int]:
    """Go through the steps until the page is full, and one row more; count what is withheld there.

    Raises:
        Refused: ``SEARCH_TOO_WIDE``.
    """
    step_ms, wanted = search.redaction.time_step_ms, search.limit + 1
    first, end = buckets(search)
    span = first * step_ms, end * step_ms
    if (bound := todo.bound) is not None:
        about = About(span, step_ms, bound.plates)
        counts = (bound.all, bound.visible)
        if all(reading.count(one, about, MAX_MATCHES) > MAX_MATCHES for one in counts):
            raise Refused(Code.SEARCH_TOO_WIDE, detail=f"more than {MAX_MATCHES} matches")
    rows: list[Row] = []
    withheld = 0
    for step in todo.steps:
        about = About(span, step_ms, step.plates)
        with closing(reading.rows(step.page, about)) as found:
            rows += islice(found, wanted)
        if step.withheld is not None:
            withheld += reading.count(step.withheld, about, MAX_WITHHELD_COUNT)
        if len(rows) >= wanted:
            break
    return rows[:wanted], min(withheld, MAX_WITHHELD_COUNT)
