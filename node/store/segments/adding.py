"""Storing reads: in the segments of their captures, and in the main file.

The main file's write transaction holds every other writer off. Segments are committed
first, so that of reads that a stopped program stored in one the main file knows nothing:
it gave out no such row numbers. They are removed before the next ones are given.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from accord.model import Read
from node.store.base import Added
from node.store.matcher import Matcher, store
from node.store.rows import INSERT, row_of
from node.store.segments.parts import Parts, listed
from node.store.segments.spans import Moment, Segment, Span, place
from node.store.statements import SNAPSHOT

_AT = f"SELECT ({SNAPSHOT}), keep_ms, version FROM upkeep"  # noqa: S608 - our own texts
# SQLite's own limit is 32,766 values in one statement.
_CHUNK = 500
PLATES = (
    "INSERT INTO plates (plate, state, until_ms) VALUES (?, ?, ?) ON CONFLICT (plate, state) "
    "DO UPDATE SET until_ms = excluded.until_ms WHERE until_ms < excluded.until_ms"
)
_Numbered = tuple[int, Read]


class Stored(NamedTuple):
    """What was stored where, as :meth:`node.store.segments.whereabouts.Whereabouts.note` has it."""

    keys: Mapping[int, Sequence[tuple[str, bytes]]]
    before: int
    last: int


def add(
    parts: Parts, sql: sqlite3.Connection, reads: Sequence[Read], matcher: Matcher, now_ms: int
) -> tuple[Added, Stored]:
    """Store reads, in a write transaction of the main file, which is to be committed next.

    Raises:
        Refused: as :meth:`Parts.writing` and :meth:`Parts.made`.
        sqlite3.Error: as the connections say.
    """
    last, keep_ms, version = sql.execute(_AT).fetchone()
    segments = list(listed(sql))
    with parts.writing(segments) as files:
        for file in files.values():
            parts.cut_back(sql, file)
        if parts.whereabouts.used:
            parts.whereabouts.catch_up(Moment(version, last, tuple(segments)), parts.pool)
        fresh, duplicates = _fresh(parts, sql, segments, files, reads)
        numbers = {read.source_id: number for number, read in enumerate(fresh, last + 1)}
        hits = matcher.hits_of(sql, fresh, now_ms, lambda read: numbers[read.source_id])
        met = {row[0] for row in hits}
        main: list[_Numbered] = []
        into: dict[Segment, list[_Numbered]] = defaultdict(list)
        for read in fresh:
            number = numbers[read.source_id]
            to = None if number in met else place(read.captured_ms, segments, keep_ms, now_ms)
            if isinstance(to, Span):
                to = parts.made(sql, to)
                segments.append(to)
            (main if to is None else into[to]).append((number, read))
        with parts.writing([one for one in into if one.number not in files]) as more:
            for segment, numbered in into.items():
                _store(files.get(segment.number) or more[segment.number], numbered)
    sql.executemany(INSERT, ((number, *row_of(read)) for number, read in main))
    until = {(read.plate, read.state): 0 for _, read in main}
    for segment, numbered in sorted(into.items(), key=lambda one: one[0].to_ms):
        until |= {(read.plate, read.state): segment.to_ms for _, read in numbered}
    sql.executemany(PLATES, ((*plate, until_ms) for plate, until_ms in until.items()))
    last_now = last + len(fresh)
    sql.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'reads'", (last_now,))
    store(sql, hits)
    keys = {
        segment.number: [(read.plate, read.source_id) for _, read in numbered]
        for segment, numbered in into.items()
    }
    return Added(len(fresh), tuple(duplicates), len(hits)), Stored(keys, last, last_now)


def _fresh(
    parts: Parts,
    sql: sqlite3.Connection,
    segments: Sequence[Segment],
    files: Mapping[int, sqlite3.Connection],
    reads: Sequence[Read],
) -> tuple[list[Read], list[int]]:
    """Return the reads that are not known yet, and the places of the others."""
    ids = [read.source_id for read in reads]
    known = _known(sql, ids)
    among = parts.whereabouts.of_ids(ids, segments)
    for segment, some in zip(segments, among, strict=True):
        known |= _known(files[segment.number], some)
    duplicates: list[int] = []
    fresh: list[Read] = []
    for at, read in enumerate(reads):
        if read.source_id in known:
            duplicates.append(at)
        else:
            known.add(read.source_id)
            fresh.append(read)
    return fresh, duplicates


def _known(sql: sqlite3.Connection, ids: Sequence[bytes]) -> set[bytes]:
    known: set[bytes] = set()
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        marks = ", ".join("?" * len(chunk))  # nothing but question marks
        text = f"SELECT source_id FROM reads WHERE source_id IN ({marks})"  # noqa: S608
        known.update(source_id for (source_id,) in sql.execute(text, chunk))
    return known


def _store(file: sqlite3.Connection, numbered: Sequence[_Numbered]) -> None:
    file.execute("BEGIN IMMEDIATE")
    file.executemany(INSERT, ((number, *row_of(read)) for number, read in numbered))
    file.execute("COMMIT")
