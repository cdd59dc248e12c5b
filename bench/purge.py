"""``python -m bench.purge``: a day's purge by segments, next to DELETE of the same reads.

    purge        the store's drop_segments
    settled      what it leaves to settle: plates that nobody has any longer, and VACUUM of the
                 main file; who stores reads waits for parts of it
    DELETE       the same reads out of the same store in one file, in one transaction
    stall        the longest search beside the purge
    exact        one plate, in segments and in one file
    read in      what a serving node reads into memory at its start

Beside purge and DELETE another process searches without a pause. Each round takes the oldest
segment that is left, and asks both stores the same questions. The median over the rounds is
printed with the lowest and the highest. The figures join build/bench.json.
"""

import argparse
import json
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from rich.table import Table

from accord.agreements.terms import OPEN
from accord.model import ExactPlate, Read, Window
from bench.run import RESULT
from bench.search import Found
from bench.search_data import BEGIN_MS, DAY_MS, END_MS, KEEP_MS, At, Reads, cuts
from node.store.base import NOTHING_WITHHELD, Search
from node.store.segments.parts import listed
from node.store.sqlite import SqliteStore

READS = 1_000_000
SEARCHES = 300
_BATCH = 5_000
_OF_EACH = 8
_WINDOW = Window(BEGIN_MS, END_MS + DAY_MS)


class Bench:
    """The same reads in two stores."""

    def __init__(self, folder: Path, count: int, out: Callable[[str], None]) -> None:
        self.chance, self.reads = Random(23), Reads(11)
        # As many reads of each as at ten million, so most are seen again within the month.
        self.plates = self.reads.plates[: count // _OF_EACH]
        self.paths = paths = folder / "one" / "reads.db", folder / "parts" / "reads.db"
        if not paths[1].exists():
            self._fill(paths, count, out)
        self.one = SqliteStore.open(paths[0], clock=At())
        started = time.perf_counter()
        self.parts = SqliteStore.open(paths[1], serving=True, clock=At())
        self.read_in = time.perf_counter() - started

    def _fill(self, paths: Sequence[Path], count: int, out: Callable[[str], None]) -> None:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        one, parts = (SqliteStore.open(path, clock=At()) for path in paths)
        parts.drop_segments(cuts(END_MS), lambda photo: None)
        took = [0.0, 0.0]
        for batch in self._batches(count):
            for place, store in enumerate((one, parts)):
                started = time.perf_counter()
                store.add(batch)
                took[place] += time.perf_counter() - started
        one.close()
        parts.close()
        out(f"{count:,} reads stored in one file in {took[0]:.0f} s, in segments in {took[1]:.0f}")

    def _batches(self, count: int) -> Iterator[list[Read]]:
        reads = self.reads.between(BEGIN_MS, END_MS, count, len(self.plates))
        while batch := list(islice(reads, _BATCH)):
            yield batch

    def oldest(self) -> tuple[int, int]:
        """Return the span of the oldest segment."""
        with self.parts._connections.mine().unbounded() as sql:
            *_, last = listed(sql)
        return last.from_ms, last.to_ms

    def search(self) -> Search:
        """Return a search for one plate at random."""
        plate = self.chance.choice(self.plates)
        return Search(ExactPlate(plate), _WINDOW, OPEN, NOTHING_WITHHELD, 0, 100)

    def close(self) -> None:
        """Close the files."""
        self.one.close()
        self.parts.close()


@contextmanager
def reader(path: Path) -> Iterator[list[tuple[float, float]]]:
    """Search in another process all the while; then what is given holds starts and seconds."""
    command = [sys.executable, "-m", "bench.purge", "--as-reader", str(path)]
    took: list[tuple[float, float]] = []
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield took
        said, _ = process.communicate("stop")
    took += json.loads(said)


def read_on(path: Path) -> None:
    """Search until something comes in, as :func:`reader` has it."""
    store, chance = SqliteStore.open(path, clock=At()), Random(5)
    with store._connections.mine().unbounded() as sql:
        plates = [plate for (plate,) in sql.execute("SELECT plate FROM plates LIMIT 1000")]
    took: list[tuple[float, float]] = []
    while not select.select([sys.stdin], [], [], 0)[0]:
        one = Search(ExactPlate(chance.choice(plates)), _WINDOW, OPEN, NOTHING_WITHHELD, 0, 100)
        started = time.perf_counter()
        store.search(one)
        took.append((started, time.perf_counter() - started))
        if len(took) == 300:
            sys.stdout.write("warm\n")
            sys.stdout.flush()
    sys.stdout.write(json.dumps(took))


def _beside_reader(path: Path, job: Callable[[], int]) -> tuple[int, float, float, float]:
    """Return what a job gives, its seconds, and a reader's longest search before and beside it."""
    with reader(path) as searches:
        time.sleep(0.5)
        started = time.perf_counter()
        gave = job()
        ended = time.perf_counter()
        # The search that the job may have held up is over.
        time.sleep(0.1)
    before = [took for start, took in searches if started - 0.5 < start < started - took]
    beside = [took for start, took in searches if start + took > started and start < ended]
    return gave, ended - started, max(before), max(beside)


def one_round(bench: Bench, found: Found) -> None:
    """Take one day."""
    searches = [bench.search() for _ in range(SEARCHES)]
    took: dict[str, list[float]] = {"one": [], "parts": []}
    for search in searches:
        rows = []
        for name, store in (("one", bench.one), ("parts", bench.parts)):
            started = time.perf_counter()
            page = store.search(search)
            took[name].append(time.perf_counter() - started)
            rows.append([row.read.captured_ms for row in page.rows])
        if len(rows[0]) != len(rows[1]):
            raise SystemExit("the two stores differ")
    one, parts = (statistics.median(took[name]) * 1000 for name in ("one", "parts"))
    found.add("exact plate in one file, ms", one)
    found.add("exact plate in segments, ms", parts)
    found.add("exact plate, segments / one file", parts / one, "at most", 2)
    _, end_ms = bench.oldest()
    sql = bench.one._connections.mine().sql

    def delete() -> int:
        sql.execute("BEGIN IMMEDIATE")
        gone = sql.execute("DELETE FROM reads WHERE captured_ms < ?", (end_ms,)).rowcount
        sql.execute("COMMIT")
        return gone

    def drop() -> int:
        return bench.parts.drop_segments(cuts(end_ms + KEEP_MS), lambda photo: None).reads

    def settle() -> int:
        return bench.parts.settle(end_ms + KEEP_MS)

    rows_gone, deleted, _, _ = _beside_reader(bench.paths[0], delete)
    rows_dropped, purged, quiet, stall = _beside_reader(bench.paths[1], drop)
    _, settled, _, beside = _beside_reader(bench.paths[1], settle)
    if rows_gone != rows_dropped:
        raise SystemExit(f"{rows_gone} reads were deleted, {rows_dropped} dropped")
    found.add("reads of the day", rows_gone)
    found.add("purge by segments, ms", purged * 1000)
    found.add("DELETE, ms", deleted * 1000)
    found.add("DELETE / purge by segments", deleted / purged, "at least", 50)
    found.add("longest search beside the purge, ms", stall * 1000, "at most", 10)
    found.add("longest search before it, ms", quiet * 1000)
    found.add("settled after the purge, ms", settled * 1000)
    found.add("longest search beside settling, ms", beside * 1000, "at most", 10)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5, help="at least 3, at most 20")
    parser.add_argument("--reads", type=int, default=READS, help="such as 10000000")
    parser.add_argument("--keep", type=Path, help="a folder for the stores, used again if there")
    parser.add_argument("--as-reader", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.as_reader:
        read_on(given.as_reader)
        return
    if not 3 <= given.rounds <= 20:
        parser.error("--rounds: a median needs at least 3, and there are some 30 segments")
    out = Console()
    folder = given.keep or Path(tempfile.mkdtemp())
    try:
        bench = Bench(folder, given.reads, out.print)
        found = Found()
        one_round(bench, Found())  # warms the files' pages, and takes what is no whole day
        for _ in range(given.rounds):
            one_round(bench, found)
        bench.close()
    finally:
        if given.keep is None:
            shutil.rmtree(folder)
    table = Table("figure", "median", "lowest", "highest", "goal")
    content: dict[str, Any] = {"reads": given.reads, "read_in_s": round(bench.read_in, 2)}
    for name, values in found.rounds.items():
        middle = statistics.median(values)
        content[name] = round(middle, 4)
        cells = [f"{value:.3g}" for value in (middle, min(values), max(values))]
        table.add_row(name, *cells, found.verdict(name))
    table.add_row("read into memory at a start, s", f"{bench.read_in:.3g}", "", "", "")
    out.print(table)
    RESULT.parent.mkdir(exist_ok=True)
    before = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    RESULT.write_text(json.dumps(before | {"purge": content}, indent=1) + "\n")
    out.print(f"Written: {RESULT}")


if __name__ == "__main__":
    main()
