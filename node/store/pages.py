"""One page of a search for reads, by the statements that both databases are given."""

from collections.abc import Callable, Sequence
from typing import Any

from accord.errors import Code, Refused
from accord.model import Area, WildcardPlate
from node.store.area_search import find_in_area
from node.store.base import MAX_WITHHELD_COUNT, Cursor, Page, Search, away
from node.store.fast import stored
from node.store.shared import Sql
from node.store.statements import MAX_MATCHES, Plan, plan

Pause = Callable[[], None]
FindPlates = Callable[[str, str, Pause], Sequence[str]]


def one_page(
    sql: Sql, search: Search, snapshot: int, find_plates: FindPlates, pause: Pause
) -> Page:
    """Return the rows up to a snapshot, which was taken before this is called.

    ``find_plates`` gives the plates that fit a wildcard's pattern and state, and
    knows all those of the snapshot; it calls ``pause`` now and then.

    Raises:
        Refused: ``FIELD_NOT_SHARED``, ``SEARCH_TOO_WIDE``, and what ``pause`` raises.
    """
    selector = search.selector
    if isinstance(selector, Area):
        rows, withheld = find_in_area(sql, search, selector, snapshot)
    else:
        plates: Sequence[str] = ()
        if isinstance(selector, WildcardPlate):
            plates = find_plates(selector.pattern, selector.state, pause)
        rows, withheld = _found(sql, plan(search, snapshot, plates), search.limit + 1)
    complete = len(rows) <= search.limit
    kept = tuple(map(stored, rows[: search.limit]))
    cursor = None
    if not complete:
        last = kept[-1]
        bucket = last.read.captured_ms // search.redaction.time_step_ms
        cursor = Cursor(bucket, last.tag, snapshot, away(selector, last.read.plate))
    return Page(kept, complete, cursor, withheld, snapshot)


def _found(sql: Sql, todo: Plan, wanted: int) -> tuple[list[tuple[Any, ...]], int]:
    """Go through the steps until so many rows are found; count what is withheld there.

    Raises:
        Refused: ``SEARCH_TOO_WIDE``.
    """
    if todo.bound is not None and all(
        sql.execute(*count).fetchone()[0] > MAX_MATCHES for count in todo.bound
    ):
        raise Refused(Code.SEARCH_TOO_WIDE, detail=f"more than {MAX_MATCHES} matches")
    rows: list[tuple[Any, ...]] = []
    withheld = 0
    for step in todo.steps:
        rows += sql.execute(*step.page).fetchall()
        if step.withheld is not None:
            withheld += sql.execute(*step.withheld).fetchone()[0]
        if len(rows) >= wanted:
            break
    return rows[:wanted], min(withheld, MAX_WITHHELD_COUNT)
