"""The rows that searches are measured on: seeded, invented, at two sizes.

A city of half a degree by half a degree with 400 cameras that stand where they
stand, 30 days of reads in the order of their times, and 1,250,000 plates, each
with its own state. The rows are put into segments by bare SQL, without indexes, which
are made afterwards: ten million in a few minutes. What the searches then find is
what the store's own ``add`` would have left. The clock of all benches on them stands still
at the end of the 30 days.
"""

import random
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from accord.model import Read
from node.store.base import Cuts
from node.store.cells import cell_of
from node.store.rows import INSERT
from node.store.segments.adding import PLATES as SEEN
from node.store.segments.parts import listed
from node.store.segments.spans import Span, place
from node.store.sqlite import SqliteStore

PLATES = 1_250_000
CAMERAS = 400
DAYS = 30
DAY_MS = 86_400_000
KEEP_MS = 30 * DAY_MS
BEGIN_MS = 1_790_000_000_000
END_MS = BEGIN_MS + DAYS * DAY_MS
SOUTH_E7, WEST_E7, SIDE_E7 = 335_000_000, -1_185_000_000, 5_000_000
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


def state_of(plate: str) -> str:
    """Return the one state that a plate has here: nine of ten are of California."""
    return "NV" if plate.endswith("7") else "CA"


def make_plates(chance: random.Random) -> list[str]:
    """Return distinct plates of the form 7ABC123."""
    plates: set[str] = set()
    while len(plates) < PLATES:
        letters = "".join(chance.choices(_LETTERS, k=3))
        plates.add(f"{chance.randrange(1, 10)}{letters}{chance.randrange(1000):03}")
    return sorted(plates)


class Reads:
    """Makes reads, in the order of their times."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        self.plates = make_plates(chance)
        self.cameras = [
            (f"CAM-{n}", SOUTH_E7 + chance.randrange(SIDE_E7), WEST_E7 + chance.randrange(SIDE_E7))
            for n in range(CAMERAS)
        ]
        self._chance = chance
        self._numbers = np.random.default_rng(seed)

    def rows(self, first: int, size: int, count: int) -> Iterator[tuple[object, ...]]:
        """Yield the rows of ``size`` reads of all ``count``, as :data:`INSERT` takes them.

        Their numbers and source ids rise, which puts them in faster and finds none of them
        otherwise.
        """
        plates = self._numbers.integers(0, PLATES, size).tolist()
        cameras = self._numbers.integers(0, CAMERAS, size).tolist()
        tags = self._numbers.integers(0, 1 << 62, size).tolist()
        for number in range(size):
            plate = self.plates[plates[number]]
            camera, lat_e7, lon_e7 = self.cameras[cameras[number]]
            captured_ms = BEGIN_MS + (END_MS - BEGIN_MS) * (first + number) // count
            state = state_of(plate)
            yield (
                first + number + 1, tags[number], None, None, None, None, plate, plate, state,
                captured_ms, camera, (first + number).to_bytes(16, "big"), lat_e7, lon_e7, 900,
                "", "",
                cell_of(lat_e7, lon_e7),
            )  # fmt: skip

    def between(
        self, begin_ms: int, end_ms: int, count: int, plates: int = PLATES
    ) -> Iterator[Read]:
        """Yield so many reads of so many plates, evenly spread."""
        chance, span = self._chance, end_ms - begin_ms
        for number in range(count):
            plate = self.plates[int(chance.random() * plates)]
            camera, lat_e7, lon_e7 = self.cameras[int(chance.random() * CAMERAS)]
            yield Read(
                plate, plate, state_of(plate), begin_ms + span * number // count, camera,
                # Not seeded: a store that is kept takes new ones.
                secrets.token_bytes(16), lat_e7, lon_e7, None, 900,
            )  # fmt: skip


@dataclass
class At:
    """A clock that stands still."""

    ms: int = END_MS

    def now_ms(self) -> int:
        """Return the moment."""
        return self.ms


def cuts(now_ms: int) -> Cuts:
    """Return what is due where everything is kept for 30 days."""
    due_ms = now_ms - KEEP_MS
    return Cuts(due_ms, due_ms, due_ms, due_ms, due_ms, now_ms)


def fill(path: Path, reads: Reads, count: int) -> None:
    """Make a store with so many reads, in segments as ``add`` would have put them."""
    store = SqliteStore.open(path, clock=At())
    parts, mine = store._parts, store._connections.mine()
    until: dict[tuple[str, str], int] = {}
    try:
        # The purge says for how long reads are kept.
        store.drop_segments(cuts(END_MS), lambda photo: None)
        first = 0
        while first < count:
            captured_ms = BEGIN_MS + (END_MS - BEGIN_MS) * first // count
            with mine.writing() as sql:
                span = place(captured_ms, listed(sql), KEEP_MS, END_MS)
                if not isinstance(span, Span):
                    raise SystemExit("a read has no segment to be made for it")
                segment = parts.made(sql, span)
            end = min(count, -(-(span.to_ms - BEGIN_MS) * count // (END_MS - BEGIN_MS)))
            rows = reads.rows(first, end - first, count)
            seen = _fill_segment(parts.pool.path(segment.number), rows)
            until |= dict.fromkeys(seen, segment.to_ms)
            first = end
        with mine.writing() as sql:
            sql.executemany(SEEN, ((*plate, until_ms) for plate, until_ms in until.items()))
            sql.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'reads'", (count,))
    finally:
        store.close()


def _fill_segment(path: Path, rows: Iterable[tuple[object, ...]]) -> list[tuple[str, str]]:
    """Put rows in; return the plates that are there, each with its state."""
    sql = sqlite3.connect(path, isolation_level=None)
    try:
        # Nobody minds if a bench's half-made file is lost.
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-200000"):
            sql.execute(f"PRAGMA {pragma}")
        indexes = sql.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'reads' "
            "AND sql IS NOT NULL"
        ).fetchall()
        for name, _ in indexes:
            sql.execute(f"DROP INDEX {name}")
        sql.execute("BEGIN")
        sql.executemany(INSERT, rows)
        sql.execute("COMMIT")
        for _, text in indexes:
            sql.execute(text)
        return sql.execute("SELECT DISTINCT plate, state FROM reads").fetchall()
    finally:
        sql.close()
