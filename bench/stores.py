"""``python -m bench.stores``: SQLite and PostgreSQL beside each other, at several sizes.

    add          the store's add, 1,000 reads at a time, matched against no list
    exact        one plate
    wildcard     no literal prefix
    look-alike   two substitutions
    area         the first 100 rows of 0.1 degree by one day
    memory       a serving node's process, resident, once it serves and was asked
    disk         all files of the reads' store

The reads are invented, of 1,250,000 plates at 400 cameras in 20 days up to now, and
are put in by ``add`` alone. Both stores are asked one after the other in each round,
each time new questions; medians over the rounds. The PostgreSQL server is one of
this machine's packages with its own settings, durable, asked over a socket; what of
its memory is the server's is not in the node's. Figures join build/bench.json.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

from rich.console import Console
from rich.table import Table

from accord.agreements.terms import Redaction
from accord.clock import SystemClock
from accord.demo.processes import Processes
from accord.model import AreaBox, ExactPlate, LookAlikePlate, ReadSelector, WildcardPlate, Window
from bench.run import RESULT
from bench.search_data import SIDE_E7, SOUTH_E7, WEST_E7, Reads, cuts
from bench.server import server as start_server
from bench.setting import OWNER, SPAN_MS, House, build
from node.config import load_config
from node.store.base import NOTHING_WITHHELD, ReadStore, Search
from node.store.opening import open_store

SIZES = (10_000, 1_000_000)
SEARCHES = 60
_BATCH = 1_000
_MANY = 10_000
_TIMED = 30_000
_DAY_MS = 86_400_000
_REDACTION = Redaction(time_step_ms=60_000, place_within_m=500)


class One:
    """One store of one size, and what was measured of it."""

    def __init__(self, name: str, house: House) -> None:
        self.name = name
        self.house = house
        self.found: dict[str, list[float]] = {}
        self.store = self.open()

    @property
    def config(self) -> Path:
        """Return the owner's node.toml."""
        return self.house.files.folder(OWNER) / "node.toml"

    def open(self) -> ReadStore:
        """Open the store as the node does that serves it."""
        return open_store(load_config(self.config), serving=True, clock=SystemClock())

    def add(self, name: str, value: float) -> None:
        """Add a figure."""
        self.found.setdefault(name, []).append(value)


class Questions:
    """Searches at random, over what was put in."""

    def __init__(self, plates: Sequence[str], now_ms: int, seed: int) -> None:
        self._plates, self._now_ms, self._chance = plates, now_ms, Random(seed)

    def exact(self) -> ReadSelector:
        """Return one plate."""
        return ExactPlate(self._chance.choice(self._plates))

    def alike(self) -> ReadSelector:
        """Return a plate and those that look like it."""
        return LookAlikePlate(self._chance.choice(self._plates))

    def wildcard(self) -> ReadSelector:
        """Return a pattern that begins with ?, with four known characters."""
        plate = self._chance.choice(self._plates)
        shown = self._chance.sample(range(1, 7), 4)
        return WildcardPlate("".join(c if n in shown else "?" for n, c in enumerate(plate)))

    def area(self) -> ReadSelector:
        """Return a box of 0.1 degree inside the city."""
        side = 1_000_000
        south = SOUTH_E7 + self._chance.randrange(SIDE_E7 - side)
        west = WEST_E7 + self._chance.randrange(SIDE_E7 - side)
        return AreaBox(south, west, south + side, west + side)

    def search(self, selector: ReadSelector) -> Search:
        """Return a search over all days, of an area over one of them."""
        begin, end = self._now_ms - SPAN_MS, self._now_ms
        if isinstance(selector, AreaBox):
            begin += self._chance.randrange(SPAN_MS - _DAY_MS)
            end = begin + _DAY_MS
        return Search(selector, Window(begin, end), _REDACTION, NOTHING_WITHHELD, 0, 100)


def _fill(one: One, count: int, now_ms: int) -> list[str]:
    """Put the reads in, in the order of their times; return some of their plates.

    The pace is that of the last ones, a thousand at a time. Each store is given the same.
    """
    reads, plates, took = Reads(11), list[str](), list[float]()
    span_ms, timed, first = SPAN_MS - 3_600_000, min(count // 2, _TIMED), 0
    # As a node does at its start: SQLite's files by time are as wide as what is kept asks for.
    one.store.drop_segments(cuts(now_ms), lambda _: None)
    while first < count:
        size = _BATCH if first >= count - timed else min(_MANY, count - timed - first)
        begin, end = (now_ms - SPAN_MS + span_ms * at // count for at in (first, first + size))
        batch = list(reads.between(begin, end, size))
        started = time.perf_counter()
        one.store.add(batch)
        if first >= count - timed:
            took.append(time.perf_counter() - started)
        plates += [read.plate for read in batch[::10]]
        first += size
    one.add("add, reads a second", _BATCH / statistics.median(took))
    return plates


def _round(stores: Sequence[One], plates: Sequence[str], now_ms: int, seed: int) -> None:
    kinds: tuple[tuple[str, Callable[[Questions], ReadSelector]], ...] = (
        ("exact, ms", Questions.exact),
        ("wildcard, ms", Questions.wildcard),
        ("look-alike, ms", Questions.alike),
        ("area, one day, ms", Questions.area),
    )
    for name, make in kinds:
        for one in stores if seed % 2 else reversed(stores):
            # The same questions for both, and new ones in each round.
            questions = Questions(plates, now_ms, seed)
            took = []
            for _ in range(SEARCHES):
                search = questions.search(make(questions))
                started = time.perf_counter()
                one.store.search(search)
                took.append(time.perf_counter() - started)
            one.add(name, statistics.median(took) * 1000)


def _memory(one: One) -> None:
    """Serve the store by a node of its own, and look at its process."""
    one.store.close()
    with Processes() as processes:
        processes.start(OWNER, "node", one.config)
        time.sleep(3)
        status = Path(f"/proc/{processes.pid(OWNER)}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    one.add("memory of a serving node, MiB", int(line.split()[1]) / 1024)


@contextmanager
def _stores(base: Path) -> Iterator[list[tuple[One, Callable[[], int]]]]:
    """Make both, empty, each with what tells its bytes on the disk."""
    with ExitStack() as stack:
        files = build(base / "sqlite", reads=0)
        sqlite = One("SQLite", files)
        data = files.database().parent
        server = start_server()
        stack.callback(server.close)
        database = stack.enter_context(server.database())
        house = build(base / "postgres", reads=0, store=lambda folder: database.url_file(folder))
        postgres = One("PostgreSQL", house)

        def of_server() -> int:
            with database.connect() as sql:
                text = "SELECT pg_database_size(current_database())"
                return int(sql.execute(text).fetchall()[0][0])

        def of_files() -> int:
            # The main file, and the files by time in the folder beside it.
            files = [*data.glob("reads.db*"), *(data / "reads").glob("*")]
            return sum(f.stat().st_size for f in files)

        try:
            yield [(sqlite, of_files), (postgres, of_server)]
        finally:
            sqlite.store.close()
            postgres.store.close()


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5, help="at least 3")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of reads")
    given = parser.parse_args()
    if given.rounds < 3:
        parser.error("--rounds: a median needs at least 3")
    out = Console()
    content: dict[str, dict[str, dict[str, float]]] = {}
    table = Table("figure", "reads", "SQLite", "PostgreSQL", "ratio")
    for size in given.sizes:
        with tempfile.TemporaryDirectory() as folder, _stores(Path(folder)) as both:
            stores = [one for one, _ in both]
            now_ms = SystemClock().now_ms()
            plates: list[str] = []
            for one, bytes_of in both:
                out.print(f"{size:,} reads into {one.name} ...")
                before = bytes_of()
                plates = _fill(one, size, now_ms)
                one.add("disk, bytes a read", (bytes_of() - before) / size)
            for number in range(given.rounds + 1):
                _round(stores, plates, now_ms, number)
                if number == 0:  # warms what the systems keep in memory, and is not counted
                    for one in stores:
                        one.found = {k: v for k, v in one.found.items() if not k.endswith("ms")}
            for one in stores:
                _memory(one)
        sqlite, postgres = stores
        for name, values in sqlite.found.items():
            ours, theirs = statistics.median(values), statistics.median(postgres.found[name])
            cells = (f"{value:.3g}" for value in (ours, theirs, theirs / ours))
            table.add_row(name, f"{size:,}", *cells)
            content.setdefault(str(size), {})[name] = {
                "sqlite": round(ours, 3), "postgres": round(theirs, 3)
            }  # fmt: skip
    out.print(table)
    RESULT.parent.mkdir(exist_ok=True)
    figures = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    RESULT.write_text(json.dumps(figures | {"stores": content}, indent=1) + "\n")
    out.print(f"Written: {RESULT}")


if __name__ == "__main__":
    main()
