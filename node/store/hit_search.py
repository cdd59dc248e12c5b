"""Searching hits: reads that met an entry of a hot list, each with what it met.

The rules are those of any search (:mod:`node.store.base`), and one more: a hit
that may not be seen, by its list, its source, its category, its age or the plate
that stands on the list, is as if it were not there, and so is a read without another.
There are few hits, so they are where a search starts, and places are compared
one by one.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from accord.agreements.provisions import Stale
from accord.areas import inside
from accord.errors import Code, Refused
from accord.hot_lists import HotListEntry
from accord.lookalikes import skeleton
from accord.model import Area, ExactPlate
from node import grid
from node.store.base import MAX_WITHHELD_COUNT, Cursor, HitPage, HitSearch, Page, StoredHit
from node.store.fast import COLUMNS, LAT, LON, stored
from node.store.statements import MAX_MATCHES, SNAPSHOT, withheld_condition, withheld_values

Values = tuple[object, ...]

SPEAKS = "published_ms >= ? AND ? - published_ms <= hard_limit_s * 1000"
"""The condition for a list that says anything: not due for deletion, not past its hard limit.

Its values are when the oldest was published that is not due, and now: both ms UTC.
"""


class _Part(NamedTuple):
    """A condition and its values."""

    text: str
    values: Values


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked, as conditions: on hits, on hits that may be seen, on reads."""

    hits: _Part
    visible: _Part
    seen: _Part
    withheld: _Part
    area: Area | None
    within_m: int


def search_hits(sql: sqlite3.Connection, search: HitSearch, now_ms: int) -> HitPage:
    """Return one page of hits; ``now_ms`` (UTC) is when each list is asked what it holds now.

    Raises:
        Refused: ``FIELD_NOT_SHARED``, ``SEARCH_TOO_WIDE``.
    """
    after = search.after
    snapshot = after.snapshot if after else sql.execute(SNAPSHOT).fetchone()[0]
    asked = _asked(search, snapshot)
    _check_bound(sql, asked)
    rows = _page(sql, asked, search)
    withheld = _withheld(sql, asked)
    complete = len(rows) <= search.limit
    kept = tuple(map(stored, rows[: search.limit]))
    cursor = None
    if not complete:
        bucket = kept[-1].read.captured_ms // search.redaction.time_step_ms
        cursor = Cursor(bucket, kept[-1].tag, snapshot)
    page = Page(kept, complete, cursor, withheld, snapshot)
    speaks = (search.entries_from_ms, now_ms)
    return HitPage(page, _hits_of(sql, asked, [row.row_id for row in kept], speaks))


def _asked(search: HitSearch, snapshot: int) -> _Asked:
    step = search.redaction.time_step_ms
    # As in any search: a bucket counts only if look-back and retention leave all of it.
    first = -(-max(search.window.from_ms, search.earliest_ms) // step) * step
    end = -(-search.window.to_ms // step) * step
    text = "captured_ms >= ? AND captured_ms < ?"
    values: Values = (first, end)
    area, within_m = None, 0
    if isinstance(search.of, ExactPlate):
        text += (
            " AND listed_plate = ? AND (? = '' OR listed_state = ? OR ? = "
            "(SELECT state FROM reads WHERE row_id = read_row))"
        )
        state = search.of.state
        values += (search.of.plate, state, state, state)
    else:
        area = search.of
        shared = search.redaction.place_within_m
        if shared is None:
            raise Refused(Code.FIELD_NOT_SHARED, detail="an area search where no place is shared")
        within_m = shared
    hits = _Part(text, values)
    visible = _both(hits, _visible(search, step))
    alike_from = -(-search.alike_from_ms // step) * step
    visible = _both(visible, _Part("(NOT possible OR captured_ms >= ?)", (alike_from,)))
    withheld = _Part(withheld_condition(search.withholding), withheld_values(search.withholding))
    among = (
        f"row_id IN (SELECT read_row FROM hits WHERE {visible.text}) "  # noqa: S608 - texts of this module
        "AND row_id <= ?"
    )
    seen = _Part(f"{among} AND NOT {withheld.text}", (*visible.values, snapshot, *withheld.values))
    return _Asked(hits, visible, seen, withheld, area, within_m)


def _both(one: _Part, other: _Part) -> _Part:
    return _Part(f"{one.text} AND {other.text}", (*one.values, *other.values))


def _visible(search: HitSearch, step: int) -> _Part:
    """Return the condition for a hit that may be seen."""
    rule, one_of = search.rule, "IN (SELECT value FROM json_each(?))"
    plates = json.dumps(sorted(search.withholding.plates))
    part = _Part(f"listed_plate NOT {one_of}", (plates,))
    if search.purposes is not None:
        part = _both(part, _Part(f"category {one_of}", (json.dumps(sorted(search.purposes)),)))
    if rule is None:
        return part
    for column, names in (("list", rule.hits), ("list", rule.lists), ("source", rule.sources)):
        if names is not None:
            part = _both(part, _Part(f"{column} {one_of}", (json.dumps(sorted(names)),)))
    if rule.stale is Stale.WITHHELD:
        # Counted as the answer tells it: to the end of the step.
        age = "matched_ms / ? * ? + ? - 1 - published_ms"
        oldest = "max_age_s" if rule.max_age_s is None else "min(max_age_s, ?)"
        more: Values = () if rule.max_age_s is None else (rule.max_age_s,)
        part = _both(part, _Part(f"{age} <= {oldest} * 1000", (step, step, step, *more)))
    return part


def _check_bound(sql: sqlite3.Connection, asked: _Asked) -> None:
    text = (
        "SELECT count(*) FROM (SELECT 1 FROM reads NOT INDEXED "  # noqa: S608 - texts of this module
        f"WHERE {asked.seen.text} LIMIT {MAX_MATCHES + 1})"
    )
    if sql.execute(text, asked.seen.values).fetchone()[0] > MAX_MATCHES:
        raise Refused(Code.SEARCH_TOO_WIDE, detail=f"more than {MAX_MATCHES} matches")


def _page(sql: sqlite3.Connection, asked: _Asked, search: HitSearch) -> list[tuple[Any, ...]]:
    step, after, wanted = search.redaction.time_step_ms, search.after, search.limit + 1
    text = f"SELECT {COLUMNS} FROM reads NOT INDEXED WHERE {asked.seen.text}"  # noqa: S608
    values = asked.seen.values
    if after is not None:
        text += " AND (captured_ms / ?, tag) < (?, ?)"
        values += (step, after.bucket, after.tag)
    cursor = sql.execute(text + " ORDER BY captured_ms / ? DESC, tag DESC", (*values, step))
    rows: list[tuple[Any, ...]] = []
    for row in cursor:
        if _inside(asked, row[LAT], row[LON]):
            rows.append(row)
            if len(rows) == wanted:
                break
    cursor.close()
    return rows


def _withheld(sql: sqlite3.Connection, asked: _Asked) -> int:
    """Count reads whose hits were asked for and may not be seen, for the owner's own log."""
    cursor = sql.execute(
        "SELECT lat_e7, lon_e7 FROM reads NOT INDEXED "  # noqa: S608 - texts of this module
        f"WHERE row_id IN (SELECT read_row FROM hits WHERE {asked.hits.text}) "
        f"AND ({asked.withheld.text} OR row_id NOT IN "
        f"(SELECT read_row FROM hits WHERE {asked.visible.text}))",
        (*asked.hits.values, *asked.withheld.values, *asked.visible.values),
    )
    count = 0
    for lat_e7, lon_e7 in cursor:
        count += _inside(asked, lat_e7, lon_e7)
        if count == MAX_WITHHELD_COUNT:
            break
    cursor.close()
    return count


def _inside(asked: _Asked, lat_e7: int | None, lon_e7: int | None) -> bool:
    """Tell whether a place lies in the area, as the place is shared."""
    if asked.area is None:
        return True
    if lat_e7 is None or lon_e7 is None:
        return False
    if asked.within_m:
        lat_e7, lon_e7 = grid.snap(lat_e7, lon_e7, asked.within_m)
    return inside(asked.area, lat_e7, lon_e7)


def _hits_of(
    sql: sqlite3.Connection, asked: _Asked, reads: Sequence[int], speaks: Values
) -> Mapping[int, tuple[StoredHit, ...]]:
    """Return what may be seen of each read's hits, in an order that tells nothing."""
    rows = sql.execute(
        "SELECT read_row, list, source, listed_plate, listed_state, category, published_ms, "  # noqa: S608
        "max_age_s, possible, matched_ms, notice FROM hits "
        f"WHERE read_row IN (SELECT value FROM json_each(?)) AND {asked.visible.text} "
        "ORDER BY read_row, list, listed_plate, listed_state, category",
        (json.dumps(list(reads)), *asked.visible.values),
    ).fetchall()
    found: dict[int, tuple[StoredHit, ...]] = dict.fromkeys(reads, ())
    for read_row, *entry, possible, matched_ms, notice in rows:
        listed = HotListEntry(*entry)
        still = _still_listed(sql, listed, speaks)
        hit = StoredHit(listed, bool(possible), matched_ms, notice, still)
        found[read_row] += (hit,)
    return found


def _still_listed(sql: sqlite3.Connection, entry: HotListEntry, speaks: Values) -> bool:
    """Tell whether the list holds the entry now, as the same source keeps it, and may say so."""
    values = (entry.plate, entry.state, entry.category, entry.list, entry.source)
    return (
        sql.execute(
            "SELECT 1 FROM hot_list_entries JOIN hot_lists USING (number) WHERE skeleton = ? "  # noqa: S608 - texts of this module
            "AND plate = ? AND state = ? AND category = ? AND list = ? AND source = ? "
            f"AND {SPEAKS}",
            (skeleton(entry.plate), *values, *speaks),
        ).fetchone()
        is not None
    )
