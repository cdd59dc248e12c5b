"""Searching hits: reads that met an entry of a hot list, each with what it met.

The rules are those of any search (:mod:`node.store.base`), and one more: a hit
that may not be seen, by its list, its source, its category, its age or the plate
that stands on the list, is as if it were not there, and so is a read without another.
There are few hits, so they are where a search starts, and places are compared
one by one.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from accord.agreements.provisions import Stale
from accord.areas import inside
from accord.errors import Code, Refused
from accord.hot_lists import HotListEntry
from accord.lookalikes import skeleton
from accord.model import Area, ExactPlate
from node import grid
from node.store.base import MAX_WITHHELD_COUNT, Cursor, HitPage, HitSearch, Page, StoredHit
from node.store.fast import COLUMNS, LAT, LON, stored
from node.store.shared import Database, Part, Sql
from node.store.statements import MAX_MATCHES, withheld_condition, withheld_values

Values = tuple[object, ...]

SPEAKS = "published_ms >= ? AND ? - published_ms <= hard_limit_s * 1000"
"""The condition for a list that says anything: not due for deletion, not past its hard limit.

Its values are when the oldest was published that is not due, and now: both ms UTC.
"""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked: a condition on hits that may be seen; FROM and WHERE for two kinds of reads.

    Those that have one, and those that have none or are withheld.
    """

    visible: Part
    seen: Part
    withheld: Part
    area: Area | None
    within_m: int


def search_hits(database: Database, sql: Sql, search: HitSearch, now_ms: int) -> HitPage:
    """Return one page of hits; ``now_ms`` (UTC) is when each list is asked what it holds now.

    Raises:
        Refused: ``FIELD_NOT_SHARED``, ``SEARCH_TOO_WIDE``.
    """
    snapshot = database.snapshot(sql, search.after)
    asked = _asked(database, sql, search, snapshot)
    _check_bound(sql, asked)
    rows = _page(database, sql, asked, search)
    withheld = _withheld(database, sql, asked)
    complete = len(rows) <= search.limit
    kept = tuple(map(stored, rows[: search.limit]))
    cursor = None
    if not complete:
        bucket = kept[-1].read.captured_ms // search.redaction.time_step_ms
        cursor = Cursor(bucket, kept[-1].tag, snapshot)
    page = Page(kept, complete, cursor, withheld, snapshot)
    speaks = (search.entries_from_ms, now_ms)
    return HitPage(page, _hits_of(sql, asked, [row.row_id for row in kept], speaks))


def _asked(database: Database, sql: Sql, search: HitSearch, snapshot: int) -> _Asked:
    step = search.redaction.time_step_ms
    # As in any search: a bucket counts only if look-back and retention leave all of it.
    first = -(-max(search.window.from_ms, search.earliest_ms) // step) * step
    span = first, -(-search.window.to_ms // step) * step
    hits = Part("captured_ms >= ? AND captured_ms < ?", span)
    if search.above:
        hits = hits.also(Part("read_row > ?", (search.above,)))
    area, within_m = None, 0
    if isinstance(search.of, ExactPlate):
        hits = hits.also(Part("listed_plate = ?", (search.of.plate,)))
        if state := search.of.state:
            of_read = database.state_of_read(span)
            either = f"(listed_state = ? OR ? = {of_read.text})"
            hits = hits.also(Part(either, (state, state, *of_read.values)))
    elif search.of is not None:
        area = search.of
        shared = search.redaction.place_within_m
        if shared is None:
            raise Refused(Code.FIELD_NOT_SHARED, detail="an area search where no place is shared")
        within_m = shared
    alike_from = -(-search.alike_from_ms // step) * step
    alike = Part("(NOT possible OR captured_ms >= ?)", (alike_from,))
    visible = hits.also(_visible(search, step)).also(alike)
    held = Part(withheld_condition(search.withholding), withheld_values(search.withholding))
    there = Part(f"row_id <= ? AND NOT {held.text}", (snapshot, *held.values))
    has_visible = f"SELECT 1 FROM hits WHERE read_row = row_id AND {visible.text}"  # noqa: S608
    kept_back = Part(
        f"({held.text} OR NOT EXISTS ({has_visible}))", (*held.values, *visible.values)
    )
    return _Asked(
        visible,
        database.reads_with(sql, visible, span).also(there),
        database.reads_with(sql, hits, span).also(kept_back),
        area,
        within_m,
    )


def _visible(search: HitSearch, step: int) -> Part:
    """Return the condition for a hit that may be seen."""
    rule = search.rule
    plates = _among("listed_plate", search.withholding.plates)
    part = Part(f"NOT {plates.text}", plates.values)
    if search.purposes is not None:
        part = part.also(_among("category", search.purposes))
    if rule is None:
        return part
    for column, names in (("list", rule.hits), ("list", rule.lists), ("source", rule.sources)):
        if names is not None:
            part = part.also(_among(column, names))
    if rule.stale is Stale.WITHHELD:
        # Counted as the answer tells it: to the end of the step.
        age = "matched_ms / ? * ? + ? - 1 - published_ms"
        part = part.also(Part(f"{age} <= max_age_s * 1000", (step, step, step)))
        if rule.max_age_s is not None:
            part = part.also(Part(f"{age} <= ?", (step, step, step, rule.max_age_s * 1000)))
    return part


def _among(column: str, names: Collection[str] | Collection[int]) -> Part:
    """Return the condition that a column holds one of these."""
    text = f"{column} IN (SELECT value FROM json_each(?))"  # noqa: S608 - our own columns
    return Part(text, (json.dumps(sorted(names)),))


def _check_bound(sql: Sql, asked: _Asked) -> None:
    text = (
        f"SELECT count(*) FROM (SELECT 1 {asked.seen.text} "  # noqa: S608 - our own texts
        f"LIMIT {MAX_MATCHES + 1}) AS seen"
    )
    if sql.execute(text, asked.seen.values).fetchone()[0] > MAX_MATCHES:
        raise Refused(Code.SEARCH_TOO_WIDE, detail=f"more than {MAX_MATCHES} matches")


def _page(database: Database, sql: Sql, asked: _Asked, search: HitSearch) -> list[tuple[Any, ...]]:
    step, after, wanted = search.redaction.time_step_ms, search.after, search.limit + 1
    text = f"SELECT {COLUMNS} {asked.seen.text}"
    values = asked.seen.values
    if after is not None:
        text += " AND (captured_ms / ?, tag) < (?, ?)"
        values += (step, after.bucket, after.tag)
    text += " ORDER BY captured_ms / ? DESC, tag DESC"
    with database.rows(sql, Part(text, (*values, step))) as found:
        return list(islice((r for r in found if _inside(asked, r[LAT], r[LON])), wanted))


def _withheld(database: Database, sql: Sql, asked: _Asked) -> int:
    """Count reads whose hits were asked for and may not be seen, for the owner's own log."""
    text = f"SELECT lat_e7, lon_e7 {asked.withheld.text}"
    with database.rows(sql, Part(text, asked.withheld.values)) as found:
        held = (1 for place in found if _inside(asked, *place))
        return sum(islice(held, MAX_WITHHELD_COUNT))


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
    sql: Sql, asked: _Asked, reads: Sequence[int], speaks: Values
) -> Mapping[int, tuple[StoredHit, ...]]:
    """Return what may be seen of each read's hits, in an order that tells nothing."""
    these = _among("read_row", reads).also(asked.visible)
    rows = sql.execute(
        "SELECT read_row, list, source, listed_plate, listed_state, category, published_ms, "  # noqa: S608
        f"max_age_s, possible, matched_ms, notice FROM hits WHERE {these.text} "
        "ORDER BY read_row, list, listed_plate, listed_state, category",
        these.values,
    ).fetchall()
    found: dict[int, tuple[StoredHit, ...]] = dict.fromkeys(reads, ())
    for read_row, *entry, possible, matched_ms, notice in rows:
        listed = HotListEntry(*entry)
        still = _still_listed(sql, listed, speaks)
        hit = StoredHit(listed, bool(possible), matched_ms, notice, still)
        found[read_row] += (hit,)
    return found


def _still_listed(sql: Sql, entry: HotListEntry, speaks: Values) -> bool:
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
