"""``python -m bench.search``: every kind of search at ten million reads, next to bare SQL.

    exact        one plate, at all reads and at 10,000
    wildcard     no literal prefix, next to GLOB over the list of plates
    look-alike   two substitutions, next to one exact look-up
    area         the first 100 rows of 0.1 degree by one day, dense and empty
    list         ten plates at once
    ingest       the store's add, next to bare executemany on the same file
    load         reading the list of plates into memory, once at a node's start

Each round does all of them one after the other, each with new questions; the
median of a round is its figure, and the median over the rounds is printed with
the lowest and the highest. Beside the time by the clock stands the processor's:
where others use the machine too, the clock says how long a search waited, the
processor how much work it is. The owner withholds plates, a camera and an area,
and shares places on a grid of 500 m. The figures join build/bench.json.
"""

import argparse
import json
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from rich.table import Table

from accord.agreements.terms import Redaction, Withholding
from accord.model import (
    AreaBox,
    AreaCircle,
    ExactPlate,
    LookAlikePlate,
    PlateList,
    ReadSelector,
    WildcardPlate,
    Window,
)
from bench.run import RESULT
from bench.search_data import (
    BEGIN_MS,
    DAY_MS,
    END_MS,
    SIDE_E7,
    SOUTH_E7,
    WEST_E7,
    At,
    Reads,
    fill,
)
from node.store.base import Search
from node.store.dictionary import Dictionary
from node.store.rows import INSERT, row_of
from node.store.segments.parts import folder_of, listed
from node.store.sqlite import SqliteStore

READS = 10_000_000
FEW = 10_000
SEARCHES = 60
INGESTED = 10_000
_REDACTION = Redaction(time_step_ms=60_000, place_within_m=500)
Took = tuple[float, float]
"""By the clock, and of the processor."""
_WINDOW = Window(BEGIN_MS, END_MS + 10 * DAY_MS)


class Bench:
    """Both stores, and questions for them."""

    def __init__(self, folder: Path, reads: int, out: Callable[[str], None]) -> None:
        self.chance = Random(17)
        self.reads = Reads(11)
        paths = folder / "many.db", folder / "few.db"
        for path, count in zip(paths, (reads, FEW), strict=True):
            started = time.perf_counter()
            if not path.exists():
                fill(path, self.reads, count)
            out(f"{count:,} reads in {time.perf_counter() - started:.0f} s")
            _read_once(path)
        # As a node serves them: it knows what lies where.
        self.many, self.small = (SqliteStore.open(path, serving=True, clock=At()) for path in paths)
        self.bare = sqlite3.connect(paths[0], isolation_level=None)
        # Rows are put into a copy of the file into which the store puts its own.
        newest = listed(self.bare)[0]
        copy = shutil.copy(folder_of(paths[0]) / f"{newest.number}.db", folder / "bare.db")
        self.bare_rows = sqlite3.connect(copy, isolation_level=None)
        self.bare_rows.execute("PRAGMA synchronous=NORMAL")
        (self.distinct,) = self.bare.execute("SELECT count(*) FROM plates").fetchone()
        self.known = [p for (p,) in sqlite3.connect(paths[1]).execute("SELECT plate FROM plates")]
        self.withheld = Withholding(
            frozenset(self.chance.sample(self.reads.plates, 50)),
            frozenset({"CAM-7"}),
            (AreaBox(SOUTH_E7, WEST_E7, SOUTH_E7 + 50_000, WEST_E7 + 50_000),),
            frozenset(),
        )
        self._later_ms = END_MS

    def close(self) -> None:
        """Close the files."""
        self.many.close()
        self.small.close()
        self.bare.close()
        self.bare_rows.close()

    def search(self, selector: ReadSelector, window: Window = _WINDOW) -> Search:
        """Return a search as a partner's agreement would shape it."""
        return Search(selector, window, _REDACTION, self.withheld, 0, 100)

    def plate(self) -> str:
        """Return a plate at random."""
        return self.chance.choice(self.reads.plates)

    def wildcard(self) -> WildcardPlate:
        """Return a pattern that begins with ? or *, with three or four known characters."""
        plate = self.plate()
        first = self.chance.choice(("?", "*"))
        if first == "*":
            start = self.chance.randrange(1, 4)
            return WildcardPlate(f"*{plate[start : start + 4]}" + "*" * (start < 3))
        shown = self.chance.sample(range(1, 7), 4)
        return WildcardPlate("".join(c if n in shown else "?" for n, c in enumerate(plate)))

    def area(self) -> tuple[AreaBox, Window]:
        """Return a box of 0.1 degree inside the city, and a day."""
        side = 1_000_000
        south = SOUTH_E7 + self.chance.randrange(SIDE_E7 - side)
        west = WEST_E7 + self.chance.randrange(SIDE_E7 - side)
        begin = BEGIN_MS + self.chance.randrange(29 * DAY_MS)
        return AreaBox(south, west, south + side, west + side), Window(begin, begin + DAY_MS)

    def ingest(self) -> tuple[float, float]:
        """Return the seconds of the store's add and of bare executemany, for as many rows."""
        batches = []
        for _ in range(2):
            begin, self._later_ms = self._later_ms, self._later_ms + DAY_MS // 40
            batches.append(list(self.reads.between(begin, self._later_ms, INGESTED)))
        rows = [(None, *row_of(read)) for read in batches[1]]

        def bare() -> None:
            self.bare_rows.execute("BEGIN IMMEDIATE")
            self.bare_rows.executemany(INSERT, rows)
            self.bare_rows.execute("COMMIT")

        jobs: list[tuple[str, Callable[[], object]]] = [
            ("ours", lambda: self.many.add(batches[0])),
            ("bare", bare),
        ]
        self.chance.shuffle(jobs)
        took = {name: _seconds(job) for name, job in jobs}
        return took["ours"], took["bare"]


def _seconds(job: Callable[[], object]) -> float:
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def _read_once(path: Path) -> None:
    """Have the operating system keep all files in memory, as a running node's are."""
    for one in (path, *folder_of(path).glob("*.db")):
        with one.open("rb") as file:
            while file.read(1 << 24):
                pass


def _both(job: Callable[[], object]) -> Took:
    """Return the seconds that a job took, by the clock and of the processor."""
    clock, cpu = time.perf_counter(), time.process_time()
    job()
    return time.perf_counter() - clock, time.process_time() - cpu


class Found:
    """Figures by name: what each round said, and the goal."""

    def __init__(self) -> None:
        self.rounds: dict[str, list[float]] = {}
        self.goals: dict[str, tuple[str, float]] = {}
        self.work: dict[str, list[float]] = {}

    def add(self, name: str, value: float, goal: str = "", bound: float = 0.0) -> None:
        """Add one round's value."""
        self.rounds.setdefault(name, []).append(value)
        self.goals[name] = (goal, bound)

    def time(self, name: str, took: Took, goal: str = "", bound: float = 0.0) -> None:
        """Add one round's milliseconds."""
        self.add(name, took[0], goal, bound)
        self.work.setdefault(name, []).append(took[1])

    def verdict(self, name: str) -> str:
        """Say whether the goal is reached."""
        goal, bound = self.goals[name]
        if not goal:
            return ""
        value = statistics.median(self.rounds[name])
        reached = value <= bound if goal == "at most" else value >= bound
        return f"{goal} {bound:g}: " + ("reached" if reached else "falls short")


def one_round(bench: Bench, found: Found) -> None:
    """Measure everything once."""

    def timed(make: Callable[[], tuple[ReadSelector, Window]], store: SqliteStore) -> Took:
        searches = [bench.search(*make()) for _ in range(SEARCHES)]
        took = [_both(partial(store.search, one)) for one in searches]
        clock, cpu = (statistics.median(part) * 1000 for part in zip(*took, strict=True))
        return clock, cpu

    def anywhen(make: Callable[[], ReadSelector]) -> Took:
        return timed(lambda: (make(), _WINDOW), bench.many)

    known = timed(lambda: (ExactPlate(bench.chance.choice(bench.known)), _WINDOW), bench.small)
    exact = anywhen(lambda: ExactPlate(bench.plate()))
    found.time("exact, ms", exact)
    found.add("exact / exact at 10,000", exact[0] / known[0], "at most", 4)
    wild = anywhen(bench.wildcard)
    found.time("wildcard without a prefix, ms", wild, "at most", 5)
    bare = statistics.median(_check(bench, bench.wildcard()) for _ in range(3))
    found.add("wildcard / GLOB over the plates alone", wild[0] / bare / 1000)
    alike = anywhen(lambda: LookAlikePlate(bench.plate()))
    found.time("look-alike, ms", alike, "at most", 5)
    found.add("look-alike / exact", alike[0] / exact[0])
    found.time("area 0.1 degree, one day, ms", timed(bench.area, bench.many), "at most", 2)
    found.time("circle of 2 km, one day, ms", timed(lambda: _circle(bench), bench.many))
    found.time("area without a read, one day, ms", timed(lambda: _away(bench), bench.many))
    found.time("ten plates at once, ms", anywhen(lambda: _several(bench)))
    ours, theirs = bench.ingest()
    found.add("ingest, rows a second", INGESTED / ours)
    found.add("ingest / bare executemany, speed", theirs / ours, "at least", 0.5)
    found.add("the list of plates loaded, s", _seconds(lambda: Dictionary().refresh(bench.bare)))


def _check(bench: Bench, wildcard: WildcardPlate) -> float:
    """Return the seconds that GLOB takes over the list of plates.

    Raises:
        SystemExit: it does not hold what the node finds.
    """
    text, began = "SELECT plate FROM plates WHERE plate GLOB ?", time.perf_counter()
    held = bench.bare.execute(text, (wildcard.pattern,)).fetchall()
    took = time.perf_counter() - began
    rows = bench.many.search(bench.search(wildcard)).rows
    if not {row.read.plate for row in rows} <= {plate for (plate,) in held}:
        raise SystemExit("the node found a plate that GLOB does not")
    return took


def _several(bench: Bench) -> PlateList:
    return PlateList(tuple(ExactPlate(one) for one in sorted(bench.plate() for _ in range(10))))


def _circle(bench: Bench) -> tuple[ReadSelector, Window]:
    box, window = bench.area()
    return AreaCircle(box.south_e7 + 500_000, box.west_e7 + 500_000, 2_000), window


def _away(bench: Bench) -> tuple[ReadSelector, Window]:
    box, window = bench.area()
    return AreaBox(box.south_e7 + 10**7, box.west_e7, box.north_e7 + 10**7, box.east_e7), window


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5, help="at least 3")
    parser.add_argument("--reads", type=int, default=READS, help="the goals are for 10,000,000")
    parser.add_argument("--keep", type=Path, help="a folder for the stores, used again if there")
    given = parser.parse_args()
    if given.rounds < 3:
        parser.error("--rounds: a median needs at least 3")
    out = Console()
    folder = given.keep or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    try:
        bench = Bench(folder, given.reads, out.print)
        out.print(f"{bench.distinct:,} distinct plates; measuring {given.rounds} rounds ...")
        found = Found()
        one_round(bench, Found())  # warms the files' pages, and is not counted
        for _ in range(given.rounds):
            one_round(bench, found)
        bench.close()
    finally:
        if given.keep is None:
            shutil.rmtree(folder)
    table = Table("figure", "median", "lowest", "highest", "processor", "goal")
    content: dict[str, Any] = {"reads": given.reads, "distinct_plates": bench.distinct}
    for name, values in found.rounds.items():
        middle = statistics.median(values)
        content[name] = round(middle, 4)
        cells = [f"{value:.3g}" for value in (middle, min(values), max(values))]
        cells.append(f"{statistics.median(found.work[name]):.3g}" if name in found.work else "")
        table.add_row(name, *cells, found.verdict(name))
    out.print(table)
    RESULT.parent.mkdir(exist_ok=True)
    before = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    RESULT.write_text(json.dumps(before | {"search": content}, indent=1) + "\n")
    out.print(f"Written: {RESULT}")


if __name__ == "__main__":
    main()
