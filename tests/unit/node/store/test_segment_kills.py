"""Killed in the middle: nothing lost, nothing doubled, nothing purged comes back."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from accord.agreements.policy import RetentionDays
from accord.agreements.retention import DAY_MS, Limits, limits
from accord.agreements.terms import OPEN, Withholding
from accord.model import Read, WildcardPlate, Window
from node.holds import Hold, Note
from node.photos import Photos
from node.retention import cuts, purge
from node.store.base import Search
from node.store.sqlite import SqliteStore
from tests.unit.node.store.test_segments import KEPT, NOW, Clock, in_bytes

LATER = NOW + 24 * DAY_MS
PURGED_BEFORE = LATER - 30 * DAY_MS
YEAR = limits(RetentionDays(365, 365, 365), ())
LATER_ROWS = NOW + 362 * DAY_MS
SEARCH = Search(
    WildcardPlate("*"), Window(0, NOW + DAY_MS), OPEN, Withholding(), PURGED_BEFORE, 5000
)

# Runs one of the programs in a copy of a store, once in a child that counts its steps
# towards the disk, then in one that is killed before each of the steps asked for. Of
# "rows", which purges a wide segment, each commit is such a step and nothing else.
PROGRAM = """
import json, linecache, os, shutil, signal, sys
from pathlib import Path
from accord.model import Read
from node.photos import Photos
from node.retention import cuts, purge
from node.store.segments import moving
from node.store.sqlite import SqliteStore
from tests.unit.node.store.test_segments import KEPT, NOW, Clock
from tests.unit.node.store.test_segment_kills import LATER, LATER_ROWS, YEAR, reads_of

kind, base, times = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
moving._BATCH = 25
STEPS = {"execute", "executemany", "unlink", "fsync", "open", "close", "mkdir"}

def work(folder):
    path = folder / "data" / "reads.db"
    store = SqliteStore.open(
        path, clock=Clock({"purge": LATER, "rows": LATER_ROWS}.get(kind, NOW)),
        serving=kind == "move"
    )
    if kind == "move":
        store.drop_segments(cuts(KEPT, NOW), lambda photo: None)
        store.settle(NOW)
    elif kind == "add":
        for batch in range(3):
            store.add(reads_of(100 + batch))
            with (folder / "told").open("a") as told:
                told.write(f"{batch}\\n")
    else:
        kept, now_ms = (YEAR, LATER_ROWS) if kind == "rows" else (KEPT, LATER)
        purge(store, Photos(folder / "data" / "photos"), kept, now_ms, dry_run=False)

def run(folder, at):
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        seen = 0
        def count(frame, event, what):
            nonlocal seen
            if event == "c_call" and what.__name__ in STEPS and (
                kind != "rows" or '"COMMIT"' in linecache.getline(
                    frame.f_code.co_filename, frame.f_lineno)
            ):
                seen += 1
                if seen == at:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.setprofile(count)
        work(folder)
        sys.setprofile(None)
        os.write(theirs, str(seen).encode())
        os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    return int(os.read(ours, 20) or 0)

def copy(name):
    return Path(shutil.copytree(base / "made", base / name))

steps = run(copy("whole"), -1)
times = times or steps
for number in range(times):
    assert run(copy(f"killed-{number}"), 1 + number * (steps - 1) // times) == 0
print(json.dumps(steps))
"""


def reads_of(batch: int) -> list[Read]:
    """Return reads of 30 days, each batch its own."""
    return [
        Read(f"B{batch:03}N{day:02}", "", "CA", NOW - day * DAY_MS, f"CAM-{batch}",
             batch.to_bytes(8, "big") + day.to_bytes(8, "big"))
        for day in range(30)
    ]  # fmt: skip


def made(base: Path, kept: Limits | None) -> None:
    """Make a store with reads of 30 days, some of them held; in segments if ``kept`` so long."""
    store = SqliteStore.open(base / "made" / "data" / "reads.db", clock=Clock())
    if kept:
        purge(store, Photos(base / "made" / "data" / "photos"), kept, NOW, dry_run=False)
    for batch in range(3):
        store.add(reads_of(batch))
    one = Hold("hold-1", "C-1", "court", "R. Roe", 0, 2 * NOW, NOW, 2 * NOW, "", "CAM-1")
    store.holds.place(one, Note("note-1", "hold", "C-1", "placed"))
    store.close()


def run(base: Path, kind: str, times: int) -> list[Path]:
    made(base, {"move": None, "rows": YEAR}.get(kind, KEPT))
    command = [sys.executable, "-c", PROGRAM, kind, str(base), str(times)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    steps = int(json.loads(said))
    assert steps > 3 * times
    return [base / f"killed-{number}" for number in range(times or steps)]


def plates(store: SqliteStore, search: Search = SEARCH) -> Counter[str]:
    page = store.search(search)
    assert page.complete
    return Counter(row.read.plate for row in page.rows)


def kill_purges(base: Path, times: int) -> None:
    undue = {
        read.plate for n in range(3) for read in reads_of(n) if read.captured_ms >= PURGED_BEFORE
    }
    held = {read.plate for read in reads_of(1)}
    numbers: dict[str, int] = {}
    for folder in run(base, "purge", times):
        path = folder / "data" / "reads.db"
        photos = Photos(folder / "data" / "photos")
        store = SqliteStore.open(path, serving=True, clock=Clock(LATER))
        assert plates(store) == Counter(undue)
        old = Search(WildcardPlate("*"), Window(0, 2 * NOW), OPEN, Withholding(), 0, 5000)
        found = {row.read.plate: row.row_id for row in store.search(old).rows}
        assert held <= set(found)
        # Under the numbers that they always had.
        numbers = numbers or found
        assert all(found[plate] == numbers[plate] for plate in held | undue)
        purge(store, photos, KEPT, LATER, dry_run=False)
        whole = SqliteStore.open(base / "whole" / "data" / "reads.db", clock=Clock(LATER))
        assert plates(store, old) == plates(whole, old)
        assert store.counts() == whole.counts()
        left = set(plates(store, old))
        whole.close()
        store.close()
        for read in reads_of(0):
            gone = read.plate not in left
            assert bool(in_bytes(path.parent, read.plate)) != gone
        listed = len(list(path.with_suffix("").glob("*.db")))
        assert listed == len(list((base / "whole/data/reads").glob("*.db")))
        shutil.rmtree(folder)


def test_a_purge_of_rows_that_is_killed_at_a_commit_goes_on(tmp_path: Path) -> None:
    """Two files are written: neither forgets what the other still needs."""
    folders = run(tmp_path, "rows", 0)
    assert len(folders) > 3
    whole = SqliteStore.open(tmp_path / "whole" / "data" / "reads.db", clock=Clock(LATER_ROWS))
    for folder in folders:
        path = folder / "data" / "reads.db"
        store = SqliteStore.open(path, serving=True, clock=Clock(LATER_ROWS))
        purge(store, Photos(folder / "data" / "photos"), YEAR, LATER_ROWS, dry_run=False)
        assert store.counts() == whole.counts()
        gone = [plate for plate in (read.plate for read in reads_of(0))
                if not store.kept(plate, 1, LATER_ROWS)]  # fmt: skip
        store.close()
        assert 0 < len(gone) < 30
        assert not [plate for plate in gone if in_bytes(path.parent, plate)]
    whole.close()


def kill_adds(base: Path, times: int) -> None:
    before = Counter(read.plate for n in range(3) for read in reads_of(n))
    all_of_it = Search(WildcardPlate("*"), Window(0, 2 * NOW), OPEN, Withholding(), 0, 5000)
    for folder in run(base, "add", times):
        told = (folder / "told").read_text().split() if (folder / "told").exists() else []
        store = SqliteStore.open(folder / "data" / "reads.db", clock=Clock())
        found = plates(store, all_of_it) - before
        for batch in range(3):
            mine = [found[read.plate] for read in reads_of(100 + batch)]
            assert mine in ([0] * 30, [1] * 30)
            assert mine == [1] * 30 or str(batch) not in told
        for batch in range(3):
            store.add(reads_of(100 + batch))
        found = plates(store, all_of_it)
        assert set(found.values()) == {1}
        assert len(found) == 6 * 30 == store.counts().reads
        store.close()
        shutil.rmtree(folder)


def kill_moves(base: Path, times: int) -> None:
    reads = [read for n in range(3) for read in reads_of(n)]
    all_of_it = Search(WildcardPlate("*"), Window(0, 2 * NOW), OPEN, Withholding(), 0, 5000)
    began = 0
    for folder in run(base, "move", times):
        path = folder / "data" / "reads.db"
        store = SqliteStore.open(path, serving=True, clock=Clock())
        assert plates(store, all_of_it) == Counter(read.plate for read in reads)
        assert store.counts().reads == len(reads)
        began += len(list(path.with_suffix("").glob("*.db"))) > 0
        store.drop_segments(cuts(KEPT, NOW), lambda photo: None)
        store.settle(NOW)
        assert store.counts().reads == len(reads)
        assert plates(store, all_of_it) == Counter(read.plate for read in reads)
        assert store.add(reads).taken == 0
        assert len(list(path.with_suffix("").glob("*.db"))) == 30
        store.close()
        shutil.rmtree(folder)
    # The rest were killed before they began, or after they had ended.
    assert began > times // 8


def test_a_killed_move_is_ended(tmp_path: Path) -> None:
    kill_moves(tmp_path, 4)


@pytest.mark.full
def test_a_killed_move_is_ended_forty_times(tmp_path: Path) -> None:
    kill_moves(tmp_path, 40)


def test_a_killed_purge_goes_on(tmp_path: Path) -> None:
    kill_purges(tmp_path, 4)


@pytest.mark.full
def test_a_killed_purge_goes_on_forty_times(tmp_path: Path) -> None:
    kill_purges(tmp_path, 40)


def test_a_killed_add_is_whole_or_nothing(tmp_path: Path) -> None:
    kill_adds(tmp_path, 4)


@pytest.mark.full
def test_a_killed_add_is_whole_or_nothing_forty_times(tmp_path: Path) -> None:
    kill_adds(tmp_path, 40)
