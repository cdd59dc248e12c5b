"""Reads matched on arrival: in one transaction, by the lists of this moment, idempotent."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accord.agreements.policy import RetentionDays
from accord.agreements.retention import DAY_MS, limits
from accord.errors import Code, Refused
from accord.hot_lists import HIT_NOTICE, HotListEntry
from accord.model import Read
from node.photos import Photos
from node.retention import purge
from node.store.base import ReadStore
from tests.hot_lists import hold
from tests.stores import Place

NOW = 1_760_000_000_000
Make = Callable[..., Read]


class At:
    def __init__(self, ms: int) -> None:
        self.ms = ms

    def now_ms(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> At:
    return At(NOW)


@pytest.fixture
def store(place: Place, clock: At) -> Any:
    opened = place.open(clock=clock)
    yield opened
    opened.close()


def entry(plate: str, state: str = "CA", **changes: Any) -> HotListEntry:
    fields: dict[str, Any] = {
        "list": "stolen", "source": "bureau", "category": "stolen-vehicle",
        "published_ms": NOW - 60_000, "max_age_s": 3600,
    }  # fmt: skip
    return HotListEntry(plate=plate, state=state, **(fields | changes))


def hits(place: Place, columns: str = "listed_plate, possible") -> list[tuple[Any, ...]]:
    return place.rows(f"SELECT {columns} FROM hits ORDER BY read_row, listed_plate")


def test_a_hit_is_stored_with_the_age_of_its_list_and_the_notice(
    store: ReadStore, make_read: Make, place: Place, clock: At
) -> None:
    hold(store, entry("TEST001"), entry("TESTOO2"))
    clock.ms += 30_000
    added = store.add([make_read(captured_ms=NOW - 5), make_read("OTHER1"), make_read("TEST002")])
    assert (added.taken, added.hits) == (3, 2)
    assert hits(place) == [("TEST001", 0), ("TESTOO2", 1)]
    columns = "list, source, category, published_ms, max_age_s, matched_ms, age_s, captured_ms"
    assert hits(place, columns + ", notice")[0] == (
        "stolen", "bureau", "stolen-vehicle", NOW - 60_000, 3600, NOW + 30_000, 90, NOW - 5,
        HIT_NOTICE,
    )  # fmt: skip
    assert store.counts().hits == 2


def test_another_state_and_another_number_are_no_hits(store: ReadStore, make_read: Make) -> None:
    hold(store, entry("TEST001"))
    reads = [make_read(state="NV"), make_read("TEST003"), make_read("TEST00")]
    assert store.add(reads).hits == 0
    assert store.add([make_read(state="")]).hits == 1


def test_a_stale_list_matches_until_its_hard_limit(
    store: ReadStore, make_read: Make, clock: At
) -> None:
    hold(store, entry("TEST001"), hard_limit_s=7200)
    clock.ms = NOW - 60_000 + 7_200_000
    assert store.add([make_read()]).hits == 1
    clock.ms += 1
    assert store.add([make_read()]).hits == 0


def test_the_same_read_again_is_no_second_hit(store: ReadStore, make_read: Make) -> None:
    hold(store, entry("TEST001"))
    read = make_read()
    assert store.add([read, read]).hits == 1
    assert store.add([read]).hits == 0
    assert store.counts().hits == 1


def test_a_refused_batch_leaves_no_hit(store: ReadStore, make_read: Make) -> None:
    hold(store, entry("TEST001"))
    with pytest.raises(Refused) as refused:
        store.add([make_read(), make_read(captured_ms=-5)])
    assert refused.value.code is Code.STORE_UNAVAILABLE
    assert store.counts().hits == 0


def test_a_list_that_another_process_changes_counts_at_once(
    store: ReadStore, make_read: Make, place: Place
) -> None:
    hold(store, entry("TEST001"))
    assert store.add([make_read("TEST005")]).hits == 0
    program = place.opening + (
        "from node.store.base import HotList, Listed\n"
        f"new = HotList('stolen', 'bureau', {NOW}, 60, 60, 1, 1)\n"
        "store.hot_lists.replace(new, [Listed('TEST005', 'CA', 'stolen-vehicle')])\n"
    )
    subprocess.run([sys.executable, "-c", program, str(place.path)], check=True)
    assert store.add([make_read("TEST005")]).hits == 1
    # What the list no longer holds is no hit any longer; what was one stays.
    assert store.add([make_read("TEST001")]).hits == 0
    store.hot_lists.delete_published(NOW + 1)
    assert store.add([make_read("TEST005")]).hits == 0
    assert store.counts().hits == 1


def test_a_hit_goes_with_its_read_and_no_later_than_the_policy_says(
    store: ReadStore, make_read: Make, place: Place, tmp_path: Path
) -> None:
    hold(store, entry("TEST001"))
    old, young = NOW - 31 * DAY_MS, NOW - 9 * DAY_MS
    store.add([make_read(captured_ms=old), make_read(captured_ms=young), make_read()])
    photos = Photos(tmp_path / "data" / "photos")
    assert store.counts().hits == 3
    first = purge(store, photos, limits(RetentionDays(30, 10, 90), ()), NOW, dry_run=False)
    assert (first.reads, first.hits, store.counts().hits) == (1, 1, 2)
    days = limits(RetentionDays(30, 10, 90, 8), ())
    dry = purge(store, photos, days, NOW, dry_run=True)
    assert purge(store, photos, days, NOW, dry_run=False) == dry
    assert (dry.reads, dry.hits) == (0, 1)
    assert (store.counts().reads, store.counts().hits) == (2, 1)
    (left,) = hits(place, "captured_ms")
    assert left == (make_read().captured_ms,)


PROGRAM = """
from accord.model import Read
for start in range(0, 100_000, 100):
    batch = [Read(f"HIT{n % 10}", "", "CA", 1_760_000_000_000 + n, "C", n.to_bytes(16, "big"))
             for n in range(start, start + 100)]
    store.add(batch)
    print(start + 100, flush=True)
"""


@pytest.mark.parametrize("times", [2, pytest.param(8, marks=pytest.mark.full)])
def test_a_killed_ingest_has_each_hit_once(place: Place, times: int) -> None:
    chance, store = random.Random(11), place.open()
    hold(store, entry("HIT3"), entry("HIT7"))
    store.close()
    acknowledged = 0
    for _ in range(times):
        command = [sys.executable, "-c", place.opening + PROGRAM, str(place.path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            acknowledged = max(acknowledged, int(process.stdout.readline()))
            time.sleep(chance.uniform(0, 0.2))
            process.send_signal(signal.SIGKILL)
            said = process.stdout.read().split()
        acknowledged = max([acknowledged, *map(int, said)])
        place.wait_for_ends()
        store = place.open()
        counts = store.counts()
        assert counts.reads >= acknowledged
        assert counts.hits * 5 == counts.reads
        store.close()
