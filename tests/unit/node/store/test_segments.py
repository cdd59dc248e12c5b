"""Segments: where reads go, what a purge takes as a whole, and that no byte of it is left."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from accord.agreements.policy import RetentionDays
from accord.agreements.retention import DAY_MS, limits
from accord.agreements.terms import OPEN, Redaction, Withholding
from accord.clock import SystemClock
from accord.errors import Code, InputError, Refused
from accord.hot_lists import HotListEntry
from accord.model import ExactPlate, Read, WildcardPlate, Window
from node.holds import Hold, Note
from node.photos import Photos
from node.retention import PurgeReport, cuts, purge
from node.store.base import Search
from node.store.segments import adding
from node.store.segments.parts import MISSING
from node.store.segments.spans import HOUR_MS, LATE_MS, MOST, Segment, Span, place, span_ms
from node.store.soundness import Soundness, look_at_reads
from node.store.sqlite import SqliteStore
from tests.hot_lists import hold

NOW = 1_760_000_000_000
KEPT = limits(RetentionDays(30, 30, 30), ())
KEEP_MS = 30 * DAY_MS
SPAN_MS = span_ms(KEEP_MS)
ALL = Window(0, NOW + 100 * DAY_MS)
SEARCH = Search(WildcardPlate("*"), ALL, OPEN, Withholding(), 0, 1000)
Make = Callable[..., Read]


@dataclass
class Clock:
    ms: int = NOW

    def now_ms(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    return Photos(tmp_path / "data" / "photos")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "reads.db"


@pytest.fixture
def store(path: Path, clock: Clock, photos: Photos) -> Iterator[SqliteStore]:
    """A serving node's store that knows for how long reads are kept."""
    opened = SqliteStore.open(path, serving=True, clock=clock)
    purge(opened, photos, KEPT, NOW, dry_run=False)
    yield opened
    opened.close()


def files(path: Path) -> list[str]:
    return sorted(file.name for file in path.with_suffix("").glob("*.db"))


def days_of_reads(make_read: Make, **more: object) -> list[Read]:
    """One read for each hour of 32 days, the oldest first."""
    return [make_read(f"H{n:04}", NOW - n * HOUR_MS, **more) for n in range(32 * 24, -1, -1)]


def found(store: SqliteStore, search: Search = SEARCH) -> list[str]:
    rows = [row.read.plate for row in store.search(search).rows]
    assert len(set(rows)) == len(rows)
    return rows


def held(plate: str, *, until_ms: int = NOW + 90 * DAY_MS, camera: str = "") -> tuple[Hold, Note]:
    one = Hold("hold-1", "C-1", "court", "R. Roe", 0, NOW * 2, NOW, until_ms, plate, camera)
    return one, Note("note-1", "hold", "C-1", "placed")


def run(store: SqliteStore, photos: Photos, now_ms: int) -> PurgeReport:
    """Purge, and see that it said before what it then took."""
    dry = purge(store, photos, KEPT, now_ms, dry_run=True)
    before = store.counts().reads
    report = purge(store, photos, KEPT, now_ms, dry_run=False)
    assert report == dry
    assert before - store.counts().reads == report.reads
    return report


def in_bytes(folder: Path, plate: str) -> list[str]:
    return [
        file.name
        for file in folder.rglob("*")
        if file.is_file() and plate.encode() in file.read_bytes()
    ]


def test_a_read_goes_to_the_segment_of_its_capture() -> None:
    wide = span_ms(KEEP_MS)
    assert wide == KEEP_MS // 32 == 22.5 * HOUR_MS
    assert span_ms(3 * DAY_MS) == 22 * HOUR_MS
    start = NOW // wide * wide
    assert place(NOW, [], KEEP_MS, NOW) == Span(start, start + wide)
    one = Segment(1, start, start + wide)
    assert place(NOW, [one], KEEP_MS, NOW) == one
    assert place(start + wide - 1, [one], KEEP_MS, NOW) == one
    assert place(start + wide, [one], KEEP_MS, NOW) == Span(start + wide, start + 2 * wide)
    # Due already, far ahead, or kept too short a time: the main file.
    assert place(NOW - KEEP_MS, [], KEEP_MS, NOW) is not None
    assert place(NOW - KEEP_MS - 1, [], KEEP_MS, NOW) is None
    assert place(NOW + wide - 1, [], KEEP_MS, NOW) is not None
    assert place(NOW + wide, [], KEEP_MS, NOW) is None
    assert place(NOW, [], 2 * DAY_MS - 1, NOW) is None
    assert place(NOW, [], 0, NOW) is None


def test_spans_of_another_grid_are_gone_round() -> None:
    wide = span_ms(KEEP_MS)
    start = NOW // wide * wide
    before = Segment(1, start - wide, start + 5)
    behind = Segment(2, start + wide - 5, start + 2 * wide)
    assert place(start + 10, [behind, before], KEEP_MS, start + 10) == Span(
        start + 5, start + wide - 5
    )


def test_there_are_never_too_many_segments() -> None:
    wide = span_ms(KEEP_MS)
    many = [Segment(n, n * wide, n * wide + wide) for n in range(MOST)]
    now_ms = MOST * wide + 1
    assert place(now_ms, many, KEEP_MS, now_ms) is None
    assert place(now_ms - wide, many, KEEP_MS, now_ms) == many[-1]
    assert place(now_ms, many[1:], KEEP_MS, now_ms) is not None


def test_what_is_due_waits_for_its_segment_but_not_for_long() -> None:
    narrow = Segment(1, 5, 5 + LATE_MS)
    assert narrow.due_before(narrow.to_ms) == narrow.to_ms
    assert narrow.due_before(narrow.to_ms - 1) == narrow.from_ms
    wide = Segment(2, 5, 100 * HOUR_MS)
    assert wide.due_before(wide.to_ms) == wide.to_ms
    assert wide.due_before(wide.to_ms - 1) == wide.due_before(88 * HOUR_MS) == 88 * HOUR_MS
    assert wide.due_before(88 * HOUR_MS - 1) == 66 * HOUR_MS
    # With a purge each hour at the latest, all is gone within a day.
    assert LATE_MS + HOUR_MS < DAY_MS


def test_about_thirty_two_files_hold_thirty_days(
    store: SqliteStore, path: Path, make_read: Make
) -> None:
    store.add(days_of_reads(make_read))
    assert 32 <= len(files(path)) <= 34
    assert store.counts().reads == len(found(store)) == 32 * 24 + 1
    assert found(store) == [f"H{n:04}" for n in range(32 * 24 + 1)]


def test_a_store_that_knows_no_retention_makes_no_files(
    path: Path, clock: Clock, make_read: Make
) -> None:
    store = SqliteStore.open(path, clock=clock)
    store.add(days_of_reads(make_read))
    assert files(path) == []
    assert len(found(store)) == 32 * 24 + 1
    store.close()


def test_a_purge_takes_files_that_are_wholly_due(
    store: SqliteStore, path: Path, photos: Photos, make_read: Make
) -> None:
    store.add(days_of_reads(make_read))
    run(store, photos, NOW)
    there = files(path)
    oldest = store._connections.mine().sql.execute("SELECT min(to_ms) FROM segments").fetchone()[0]
    assert run(store, photos, oldest + KEEP_MS - 1).reads == 0
    assert files(path) == there
    report = run(store, photos, oldest + KEEP_MS)
    assert 0 < report.reads <= 23
    assert len(files(path)) == len(there) - 1
    assert report.newest is not None
    assert report.newest < oldest
    assert store.due(cuts(KEPT, oldest + KEEP_MS)).waiting == 0
    # No file of it is kept open either, so the disk has its room back.
    opened = [str(fd.readlink()) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
    assert not [name for name in opened if str(path.parent) in name and "deleted" in name]


def test_rows_of_a_wide_segment_go_within_a_day(
    path: Path, clock: Clock, photos: Photos, make_read: Make
) -> None:
    """Of a year in 32 files each has more than a day: out of it rows go one by one."""
    kept = limits(RetentionDays(365, 365, 365), ())
    store = SqliteStore.open(path, serving=True, clock=clock)
    purge(store, photos, kept, NOW, dry_run=False)
    store.add([make_read(f"W{n:05}", NOW - n * HOUR_MS) for n in range(200)])
    assert len(files(path)) in (1, 2)
    for hours in range(165 * 24, 366 * 24 + 200, 7):
        now_ms = NOW + hours * HOUR_MS
        before = cuts(kept, now_ms)
        purge(store, photos, kept, now_ms, dry_run=False)
        left = found(store)
        late = [p for p in left if NOW - int(p[1:]) * HOUR_MS < before.reads_ms - LATE_MS]
        assert late == []
        assert len(left) >= sum(NOW - n * HOUR_MS >= before.reads_ms for n in range(200))
        gone = {f"W{n:05}" for n in range(200)} - set(left)
        assert not [plate for plate in list(gone)[:3] if in_bytes(path.parent, plate)]
    assert found(store) == []
    store.close()


def test_after_a_purge_no_file_has_a_byte_of_the_plate(
    store: SqliteStore, path: Path, photos: Photos, make_read: Make
) -> None:
    hold(store, HotListEntry("stolen", "bureau", "CANARYHIT", "CA", "stolen-vehicle", NOW, 60))
    old = NOW - 29 * DAY_MS
    for n in range(40):
        store.add([make_read(f"FILL{n:03}{k:02}", old + k * HOUR_MS) for k in range(48)])
        store.add([make_read(f"CANARY{n:03}", old + n * HOUR_MS), make_read("CANARYHIT", old + n)])
    assert in_bytes(path.parent, "CANARY000")
    later = old + KEEP_MS + 4 * DAY_MS
    run(store, photos, later)
    assert found(store) == []
    # What stands on the hot list is there as long as the list is.
    assert set(in_bytes(path.parent, "CANARY")) == {"reads.db"}
    store.hot_lists.delete_published(NOW + 1)
    assert store.settle(later)
    assert in_bytes(path.parent, "CANARY") == []
    assert in_bytes(path.parent, "FILL") == []
    assert files(path) == []


def test_a_purge_empties_the_journals_unless_somebody_reads(
    store: SqliteStore, path: Path, photos: Photos, make_read: Make, clock: Clock
) -> None:
    reads = [make_read("NEWER", NOW), make_read("OLDER", NOW - 5 * DAY_MS)]
    store.add(reads)
    journals = {one.name: one for one in path.with_suffix("").glob("*.db-wal")}
    assert len(journals) == 2
    assert all(one.stat().st_size for one in journals.values())
    other = SqliteStore.look(path, clock)
    part = other._parts.pool.take(1)
    part.execute("BEGIN")
    assert part.execute("SELECT plate FROM reads").fetchall()
    run(store, photos, NOW)
    assert {name for name, one in journals.items() if one.stat().st_size} == {"1.db-wal"}
    part.execute("COMMIT")
    other._parts.pool.give(1, part)
    run(store, photos, NOW)
    assert not any(one.stat().st_size for one in journals.values())
    assert sorted(found(store)) == ["NEWER", "OLDER"]
    assert store.add(reads).taken == 0
    other.close()


@pytest.mark.parametrize("by_camera", [False, True])
def test_what_is_held_stays_under_its_number(
    store: SqliteStore, path: Path, photos: Photos, make_read: Make, clock: Clock, by_camera: bool
) -> None:
    old = NOW - 29 * DAY_MS
    store.add([make_read(f"HELD{n}", old + n, camera="CAM-9") for n in range(3)])
    store.add([make_read(f"FREE{n}", old + n) for n in range(3)])
    numbers = {row.read.plate: row.row_id for row in store.search(SEARCH).rows}
    one = held("", camera="CAM-9") if by_camera else held("HELD1")
    count = 3 if by_camera else 1
    assert store.holds.place(*one) == count
    later = old + KEEP_MS + 2 * DAY_MS
    run(store, photos, later)
    kept = {row.read.plate: row.row_id for row in store.search(SEARCH).rows}
    assert len(kept) == count
    assert all(plate.startswith("HELD") and numbers[plate] == row for plate, row in kept.items())
    assert files(path) == []
    (told,) = store.kept("HELD1", 10, later)
    assert told.holds == ("hold-1",)
    # Released it goes with the next purge, to the last byte.
    store.holds.release("hold-1", Note("note-2", "released", "C-1", ""))
    run(store, photos, later)
    assert found(store) == []
    assert in_bytes(path.parent, "HELD") == []


def test_a_hold_of_another_moment_or_camera_holds_nothing(
    store: SqliteStore, photos: Photos, make_read: Make
) -> None:
    old = NOW - 29 * DAY_MS
    store.add([make_read("FREE1", old)])
    assert store.holds.place(*held("", camera="CAM-8")) == 0
    run(store, photos, old + KEEP_MS + 2 * DAY_MS)
    assert found(store) == []


def test_what_met_a_list_is_kept_as_long_as_its_hit(
    store: SqliteStore, photos: Photos, make_read: Make, path: Path
) -> None:
    hold(store, HotListEntry("stolen", "bureau", "LISTED", "CA", "stolen-vehicle", NOW, 60))
    old = NOW - 29 * DAY_MS
    assert store.add([make_read("LISTED", old), make_read("PLAIN", old)]).hits == 1
    longer = replace(KEPT, hits=limits(RetentionDays(60, 60, 60), ()).hits,
                     hit_reads=limits(RetentionDays(60, 60, 60), ()).hit_reads)  # fmt: skip
    later = old + KEEP_MS + 2 * DAY_MS
    purge(store, photos, longer, later, dry_run=False)
    assert found(store) == ["LISTED"]
    assert files(path) == []


def test_plates_stay_listed_while_a_read_has_them(
    store: SqliteStore, photos: Photos, make_read: Make
) -> None:
    old = NOW - 29 * DAY_MS
    store.add([make_read("BOTH", old), make_read("OLD", old), make_read("BOTH", NOW)])
    run(store, photos, old + KEEP_MS + 2 * DAY_MS)
    assert found(store) == ["BOTH"]
    assert store.counts().plates == 1


def test_the_same_event_is_known_in_whatever_file_it_lies(
    store: SqliteStore, path: Path, make_read: Make, clock: Clock
) -> None:
    reads = days_of_reads(make_read)
    assert store.add(reads).taken == len(reads)
    later = [replace(read, captured_ms=NOW - read.captured_ms % DAY_MS) for read in reads]
    other = SqliteStore.open(path, clock=clock)
    for one in (store, other):
        assert one.add(later).duplicates == tuple(range(len(later)))
    other.close()


def test_another_process_adds_and_drops_and_this_one_sees_it(
    store: SqliteStore, path: Path, make_read: Make, clock: Clock, photos: Photos
) -> None:
    store.add(days_of_reads(make_read))
    assert len(found(store)) == 769
    other = SqliteStore.open(path, clock=clock)
    fresh = make_read("FRESH", NOW + HOUR_MS)
    other.add([fresh])
    exact = replace(SEARCH, selector=ExactPlate("FRESH"))
    assert found(store, exact) == ["FRESH"]
    assert store.add([fresh]).duplicates == (0,)
    purge(other, photos, KEPT, NOW + 20 * DAY_MS, dry_run=False)
    assert len(found(store)) == store.counts().reads < 400
    other.close()


def test_what_a_stopped_program_left_is_seen_by_nobody(
    store: SqliteStore, path: Path, make_read: Make, clock: Clock
) -> None:
    store.add([make_read("FIRST", NOW)])
    other = SqliteStore.open(path, clock=clock)
    sql = other._connections.mine().sql
    sql.execute("BEGIN IMMEDIATE")
    adding.add(other._parts, sql, [make_read("LOST", NOW)], other._matcher, NOW)
    # As if it ended here: the segment is committed, the main file not.
    sql.execute("ROLLBACK")
    (file,) = files(path)
    assert in_bytes(path.with_suffix(""), "LOST")
    assert found(store) == ["FIRST"]
    assert store.counts().reads == 1
    assert store.kept("LOST", 10, NOW) == []
    assert store.due(cuts(KEPT, NOW + 60 * DAY_MS)).reads == 1
    store.add([make_read("NEXT", NOW - 5 * DAY_MS)])
    assert sorted(found(store)) == ["FIRST", "NEXT"]
    assert file in files(path)
    other.close()


def test_a_file_that_is_in_no_list_is_removed_and_one_that_is_missing_told(
    store: SqliteStore, path: Path, make_read: Make, clock: Clock, photos: Photos
) -> None:
    store.add([make_read("FIRST", NOW)])
    for name in ("77.db", "77.db-wal", "78.db-wal"):
        (path.with_suffix("") / name).write_bytes(b"left over")
    SqliteStore.open(path, clock=clock).close()
    names = {file.name.split("-")[0] for file in path.with_suffix("").iterdir()}
    assert names == set(files(path)) == {"1.db"}
    store.close()
    (path.with_suffix("") / "1.db").rename(path.with_name("elsewhere"))
    with pytest.raises(InputError, match=r"1\.db: is missing; restore it from the last backup"):
        SqliteStore.open(path, clock=clock)
    with pytest.raises(InputError, match="is missing"):
        SqliteStore.open(path, clock=clock, serving=True)


def test_a_file_that_goes_missing_is_no_empty_answer(
    path: Path, make_read: Make, clock: Clock, store: SqliteStore
) -> None:
    store.add([make_read("FIRST", NOW)])
    other = SqliteStore.look(path, clock)
    (path.with_suffix("") / "1.db").rename(path.with_name("elsewhere"))
    with pytest.raises(Refused) as refused:
        other.search(SEARCH)
    assert refused.value.code is Code.STORE_CORRUPT
    other.close()


def test_searches_beside_purges_lose_and_double_nothing(
    store: SqliteStore, path: Path, make_read: Make, clock: Clock, photos: Photos
) -> None:
    """What is held moves from file to file under a reader; it is there once, always."""
    store.add(days_of_reads(make_read, camera="CAM-9"))
    store.add([make_read(f"F{n}", NOW - n * HOUR_MS) for n in range(769)])
    store.holds.place(*held("", camera="CAM-9"))
    hourly = replace(SEARCH, redaction=Redaction(time_step_ms=HOUR_MS * 7), limit=50)
    stop, seen, wrong = threading.Event(), [0], list[object]()

    def look() -> None:
        while not stop.is_set():
            page = store.search(hourly)
            rows = list(page.rows)
            while page.cursor is not None:
                page = store.search(replace(hourly, after=page.cursor))
                rows += page.rows
            plates = [row.read.plate for row in rows if row.read.camera == "CAM-9"]
            if len(plates) != 769 or len(set(plates)) != 769:
                wrong.append(len(plates))
            seen[0] += 1

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for day in range(1, 34):
            purge(store, photos, KEPT, NOW + day * DAY_MS, dry_run=False)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert seen[0] > 0
    assert store.counts().reads == 769
    assert files(path) == []


def test_a_hold_placed_beside_a_purge_tells_all_that_it_holds(
    store: SqliteStore, path: Path, make_read: Make, clock: Clock, photos: Photos
) -> None:
    """What is held moves from file to file meanwhile, and is counted once."""
    store.add(days_of_reads(make_read, camera="CAM-9"))
    placed, note = held("", camera="CAM-9")
    assert store.holds.place(placed, note) == 769
    other, stop, told = SqliteStore.open(path, clock=clock), threading.Event(), list[int]()

    def place() -> None:
        while not stop.is_set():
            name = f"{len(told) + 2}"
            again = replace(placed, hold_id=f"hold-{name}")
            told.append(other.holds.place(again, note._replace(note_id=f"note-{name}")))

    thread = threading.Thread(target=place)
    thread.start()
    try:
        purge(store, photos, KEPT, NOW + 33 * DAY_MS, dry_run=False)
    finally:
        stop.set()
        thread.join()
    other.close()
    assert files(path) == []
    assert set(told) == {769}


def test_the_clock_of_the_machine_serves_too(path: Path, make_read: Make, photos: Photos) -> None:
    store = SqliteStore.open(path)
    now_ms = SystemClock().now_ms()
    purge(store, photos, KEPT, now_ms, dry_run=False)
    store.add([make_read("TODAY", now_ms)])
    assert len(files(path)) == 1
    store.close()


def test_a_look_at_the_files_finds_what_is_amiss_with_any(
    store: SqliteStore, path: Path, make_read: Make
) -> None:
    store.add([make_read(f"P{n:04}", NOW - n * HOUR_MS) for n in range(500)])
    store.close()
    size, sound = look_at_reads(path, 20)
    assert sound == Soundness(0)
    files_there = [path, *path.with_suffix("").glob("*.db")]
    assert size == sum(file.stat().st_size for file in files_there)
    damaged = files_there[-1]
    content = damaged.read_bytes()
    damaged.write_bytes(content[:8192] + b"\xa5" * (len(content) - 8192))
    with suppress(Refused):  # its first pages can't be read at all
        assert look_at_reads(path, 20)[1].defects
    damaged.unlink()
    with pytest.raises(Refused) as gone:
        look_at_reads(path, 20)
    assert (gone.value.code, gone.value.detail) == (Code.STORE_CORRUPT, MISSING)
