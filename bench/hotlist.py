"""``python -m bench.hotlist``: what matching an arriving read against 500,000 entries costs.

    passing   reads of which five in a thousand are on the list, as on a street
    listed    reads that are all on it: each is looked up, and its hit stored
    store     the same reads inserted by bare ``executemany``, beside each of the two

Both run in one transaction on the node's own tables, one after the other, which
is then taken back; a ratio is taken within its round. Neither waits for a disk,
so what counts is the processor's time. The figures join build/bench.json.
"""

import argparse
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from accord.clock import SystemClock
from accord.lookalikes import skeleton
from accord.model import Read
from bench.run import RESULT
from node.store.base import HotList, Listed
from node.store.matcher import Matcher
from node.store.sqlite import SqliteStore

ENTRIES = 500_000
BATCH = 1_000
ON_LIST = 5
"""Of a thousand passing reads."""
GOAL_US = 50.0

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_INSERT = (
    "INSERT INTO reads (tag, plate, raw_plate, state, captured_ms, camera, source_id, "
    "confidence_pm, photo, \"case\") VALUES (?, ?, ?, 'CA', ?, 'CAM-1', ?, 900, '', '')"
)


class Setting:
    """A store with one list of 500,000 plates, and reads by chance."""

    def __init__(self, folder: Path) -> None:
        self._chance = Random(13)
        self._now_ms = SystemClock().now_ms()
        self._seen = 0
        plates: set[str] = set()
        while len(plates) < ENTRIES:
            plates.add(self._plate())
        self._listed = sorted(plates)
        self._skeletons = frozenset(map(skeleton, plates))
        store = SqliteStore.open(folder / "reads.db")
        new = HotList("bench", "bench", self._now_ms, 86_400, 604_800, self._now_ms, ENTRIES)
        started = time.perf_counter()
        store.hot_lists.replace(
            new, [Listed(plate, "CA", "stolen-vehicle") for plate in self._listed]
        )
        self.import_s = time.perf_counter() - started
        store.close()
        self.sql = sqlite3.connect(folder / "reads.db", isolation_level=None)
        self.matcher = Matcher()
        started = time.perf_counter()
        self.matcher.refresh(self.sql)
        self.load_s = time.perf_counter() - started

    def _plate(self) -> str:
        chance = self._chance
        letters = "".join(chance.choice(_LETTERS) for _ in range(3))
        return f"{chance.randrange(1, 10)}{letters}{chance.randrange(1000):03}"

    def _read(self, *, on_list: bool) -> Read:
        plate = self._chance.choice(self._listed)
        while not on_list and skeleton(plate) in self._skeletons:
            plate = self._plate()
        self._seen += 1
        number = self._seen.to_bytes(16, "big")
        return Read(plate, plate, "CA", self._now_ms, "CAM-1", number)

    def passing(self) -> list[Read]:
        """Return a batch as a street gives it."""
        return [self._read(on_list=number < ON_LIST) for number in range(BATCH)]

    def listed(self) -> list[Read]:
        """Return a batch of vehicles that are all on the list."""
        return [self._read(on_list=True) for _ in range(BATCH)]

    def measure(self, reads: Sequence[Read]) -> tuple[float, float, int]:
        """Return microseconds a read of matching and of storing, and the hits.

        The two take turns in one transaction, which is taken back.
        """
        numbers = {read.source_id: number for number, read in enumerate(reads)}
        rows = [
            (number, read.plate, read.raw_plate, read.captured_ms, read.source_id)
            for number, read in enumerate(reads)
        ]
        self.sql.execute("BEGIN IMMEDIATE")
        started = time.thread_time()
        self.sql.executemany(_INSERT, rows)
        stored = time.thread_time()
        hits = self.matcher.store_hits(
            self.sql, reads, self._now_ms, lambda read: numbers[read.source_id]
        )
        matched = time.thread_time()
        self.sql.execute("ROLLBACK")
        each = 1_000_000 / len(reads)
        return (matched - stored) * each, (stored - started) * each, hits


def main() -> None:
    """Measure, print, write.

    Raises:
        SystemExit: not every listed read was a hit, or another was.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=30, help="at least 3")
    rounds = parser.parse_args().rounds
    if rounds < 3:
        parser.error("--rounds: a median needs at least 3")
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        print(f"Making a list of {ENTRIES:,} entries ...")
        setting = Setting(Path(folder))
        print(f"imported in {setting.import_s:.1f} s, its plates read into memory "
              f"in {setting.load_s:.2f} s")  # fmt: skip
        times: dict[str, list[tuple[float, float]]] = {"passing": [], "listed": []}
        for _ in range(rounds):
            for name, reads, least in (
                ("passing", setting.passing(), ON_LIST),
                ("listed", setting.listed(), BATCH),
            ):
                matching_us, storing_us, hits = setting.measure(reads)
                if hits < least or (name == "passing" and hits > 20 * ON_LIST):
                    raise SystemExit(f"{name}: {hits} hits, not {least}")
                times[name].append((matching_us, storing_us))
        setting.sql.close()
    for name, pairs in times.items():
        ours = statistics.median(matching for matching, _ in pairs)
        ratio = statistics.median(matching / storing for matching, storing in pairs)
        key = f"match_500000_{name}"
        found[key] = {"median_us": round(ours, 2), "ratio_to_storing": round(ratio, 3)}
        reached = "reached" if ours <= GOAL_US else "falls short"
        print(f"{key}: {ours:.2f} us a read (at most {GOAL_US:g}: {reached}), "
              f"{ratio:.2f} of storing it")  # fmt: skip
    RESULT.parent.mkdir(exist_ok=True)
    before = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    RESULT.write_text(json.dumps(before | found, indent=1) + "\n")
    print(f"Written: {RESULT}")


if __name__ == "__main__":
    main()
