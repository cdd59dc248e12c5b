"""Moving reads out of the main file into the segments that they belong to.

They lie in the main file where they were stored before segments were known, before the
first purge said for how long reads are kept, or with a date that lay ahead. Reads that
have hits stay there.

A batch is copied into its segments, which are committed, and then deleted from the main
file: a program that is killed between the two leaves reads in both under one row number,
of which a search gives one (:mod:`node.store.segments.reading`), and the serving process
ends what was begun when it starts. Only the serving process moves: what lies where it knows
by row numbers, and these were given out long ago.
"""

import sqlite3
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from node.store.connections import Bounded
from node.store.fast import COLUMNS
from node.store.segments.parts import Parts, listed
from node.store.segments.spans import Segment, Span, are_apart, place, span_ms
from node.store.shared import DELETED

_BATCH = 1_000
_PAUSE_S = 0.02
_PLATE, _STATE, _CAPTURED_MS, _SOURCE_ID = 6, 8, 9, 11
# Constants of the house make these texts, nothing from outside.
_FOUND = f"""
    SELECT {COLUMNS}, cell FROM reads WHERE captured_ms >= ? AND captured_ms < ?
    AND (captured_ms, row_id) > (?, ?)
    AND NOT EXISTS (SELECT 1 FROM hits WHERE read_row = row_id)
    ORDER BY captured_ms, row_id LIMIT ?
"""  # noqa: S608
INSERT_AGAIN = f"INSERT OR IGNORE INTO reads ({COLUMNS}, cell) VALUES ({'?, ' * 17}?)"  # noqa: S608
"""Stores a row unless it is there."""
_IN_BOTH = (
    "SELECT row_id, plate, state FROM main_file.reads WHERE captured_ms >= ? AND captured_ms < ? "
    "AND row_id IN (SELECT row_id FROM main.reads)"
)
_UNTIL = "UPDATE plates SET until_ms = ? WHERE plate = ? AND state = ? AND until_ms < ?"
_Row = tuple[Any, ...]


def move(parts: Parts, mine: Bounded, now_ms: int) -> int:
    """Move what belongs into segments; return how many reads were moved.

    Raises:
        Refused: as :class:`node.store.base.ReadStore`.
        sqlite3.Error: as the connections say.
    """
    with mine.unbounded() as sql:
        (keep_ms,) = sql.execute("SELECT keep_ms FROM upkeep").fetchone()
        first, end = now_ms - keep_ms, now_ms + span_ms(keep_ms)
        after, moved = (first - 1, 0), 0
        # Mostly there is nothing to do, and nobody need wait for it.
        if not are_apart(keep_ms) or not sql.execute(_FOUND, (first, end, *after, 1)).fetchall():
            return 0
    while True:
        with mine.writing() as sql:
            rows = sql.execute(_FOUND, (first, end, *after, _BATCH)).fetchall()
            moved += _moved(parts, sql, rows, keep_ms, now_ms)
        if len(rows) < _BATCH:
            return moved
        after = rows[-1][_CAPTURED_MS], rows[-1][0]
        # Whoever waits to store reads has a turn.
        time.sleep(_PAUSE_S)


def end_begun(parts: Parts, mine: Bounded) -> None:
    """End a move that was stopped between the two files.

    Raises:
        Gone: a segment was dropped meanwhile.
        Refused, sqlite3.Error: as :func:`move`.
    """
    with mine.unbounded() as sql:
        segments = listed(sql)
    for one in segments:
        with parts.beside_main(one) as part:
            rows = part.execute(_IN_BOTH, (one.from_ms, one.to_ms)).fetchall()
        if rows:
            with mine.writing() as sql:
                _forget(sql, one, rows)


def _forget(sql: sqlite3.Connection, segment: Segment, rows: Sequence[_Row]) -> None:
    """Delete from the main file what a segment holds; rows of number, plate and state."""
    sql.executemany("DELETE FROM reads WHERE row_id = ?", ((row[0],) for row in rows))
    until = segment.to_ms
    plates = {(plate, state) for _, plate, state in rows}
    sql.executemany(_UNTIL, ((until, *plate, until) for plate in plates))
    sql.execute(DELETED)


def _moved(
    parts: Parts, sql: sqlite3.Connection, rows: Sequence[_Row], keep_ms: int, now_ms: int
) -> int:
    segments = list(listed(sql))
    into: dict[Segment, list[_Row]] = defaultdict(list)
    for row in rows:
        to = place(row[_CAPTURED_MS], segments, keep_ms, now_ms)
        if isinstance(to, Span):
            to = parts.made(sql, to)
            segments.append(to)
        if to is not None:
            into[to].append(row)
    with parts.writing(list(into)) as files:
        for segment, some in into.items():
            file = files[segment.number]
            parts.cut_back(sql, file)
            file.execute("BEGIN IMMEDIATE")
            file.executemany(INSERT_AGAIN, some)
            file.execute("COMMIT")
            # Before the main file says so: who looks then finds them.
            parts.whereabouts.add(segment.number, [(row[_PLATE], row[_SOURCE_ID]) for row in some])
            _forget(sql, segment, [(row[0], row[_PLATE], row[_STATE]) for row in some])
    return sum(map(len, into.values()))
