"""Segments: reads that are moved into them, and what lies where in the memory of a node."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from accord.agreements.retention import DAY_MS
from accord.hot_lists import HotListEntry
from accord.model import ExactPlate, Read
from node.photos import Photos
from node.retention import cuts, purge
from node.store.segments import spans
from node.store.segments.spans import HOUR_MS, Span
from node.store.sqlite import SqliteStore
from tests.hot_lists import hold
from tests.unit.node.store.test_segments import (
    KEPT,
    NOW,
    SEARCH,
    Clock,
    days_of_reads,
    files,
    found,
    held,
    run,
)

Make = Callable[..., Read]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    return Photos(tmp_path / "data" / "photos")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "reads.db"


def test_a_small_table_of_masks_leaves_none_out(
    path: Path, clock: Clock, make_read: Make, monkeypatch: pytest.MonkeyPatch, photos: Photos
) -> None:
    """Named for nothing is a segment that has none; left out is no segment."""
    monkeypatch.setattr("node.store.segments.whereabouts._FIRST_SIZE", 16)
    monkeypatch.setattr("node.store.segments.whereabouts._PER_READ", 1)
    store = SqliteStore.open(path, clock=clock)
    purge(store, photos, KEPT, NOW, dry_run=False)
    reads = days_of_reads(make_read)
    store.add(reads[::2])
    store.close()
    store = SqliteStore.open(path, serving=True, clock=clock)
    store.add(reads[1::2])
    for read in reads[::7]:
        assert found(store, replace(SEARCH, selector=ExactPlate(read.plate))) == [read.plate]
    assert store.add(reads).taken == 0
    assert len(files(path)) < spans.MOST
    store.close()


def test_what_was_stored_before_is_moved_to_segments(
    path: Path, clock: Clock, photos: Photos, make_read: Make
) -> None:
    """A store of an earlier version has all reads in one file: the serving node moves them."""
    store = SqliteStore.open(path, clock=clock)
    hold(store, HotListEntry("stolen", "bureau", "LISTED", "CA", "stolen-vehicle", NOW, 60))
    reads = days_of_reads(make_read)
    store.add([*reads, make_read("LISTED", NOW - DAY_MS)])
    assert reads[-100].source_id in b"".join(file.read_bytes() for file in path.parent.iterdir())
    numbers = {row.read.plate: row.row_id for row in store.search(SEARCH).rows}
    purge(store, photos, KEPT, NOW, dry_run=False)
    # A command leaves that to the node.
    assert files(path) == []
    store.close()
    store = SqliteStore.open(path, serving=True, clock=clock)
    purge(store, photos, KEPT, NOW, dry_run=False)
    assert 32 <= len(files(path)) <= 34
    left = {row.read.plate: row.row_id for row in store.search(SEARCH).rows}
    assert left == {p: n for p, n in numbers.items() if p == "LISTED" or int(p[1:]) <= 30 * 24}
    for plate in ("H0000", "H0100", "LISTED"):
        assert found(store, replace(SEARCH, selector=ExactPlate(plate))) == [plate]
    main = store._connections.mine().sql
    assert main.execute("SELECT plate FROM reads").fetchall() == [("LISTED",)]
    kept = b"".join(file.read_bytes() for file in path.parent.iterdir() if file.is_file())
    assert not [read for read in reads if read.source_id in kept]
    later = NOW + 15 * DAY_MS
    run(store, photos, later)
    assert store.counts().plates == store.counts().reads == len(found(store))
    store.close()


def test_searches_beside_a_move_lose_and_double_nothing(
    path: Path, clock: Clock, photos: Photos, make_read: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.store.segments.moving._BATCH", 20)
    store = SqliteStore.open(path, serving=True, clock=clock)
    reads = days_of_reads(make_read)[48:]
    store.add(reads)
    stop, seen, wrong = threading.Event(), [0], list[object]()

    def look() -> None:
        while not stop.is_set():
            one = reads[seen[0] * 37 % len(reads)].plate
            if found(store, replace(SEARCH, selector=ExactPlate(one))) != [one]:
                wrong.append(one)
            if seen[0] % 9 == 0 and len(set(found(store))) != len(reads):
                wrong.append("all")
            seen[0] += 1

    thread = threading.Thread(target=look)
    thread.start()
    try:
        purge(store, photos, KEPT, NOW, dry_run=False)
    finally:
        stop.set()
        thread.join()
    assert wrong == []
    assert seen[0] > 10
    assert store.counts().reads == len(reads)
    assert len(files(path)) > 30
    store.close()


def test_a_move_that_was_stopped_is_ended(
    path: Path, clock: Clock, photos: Photos, make_read: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the two files, a read lies in both, and is given once."""
    store = SqliteStore.open(path, serving=True, clock=clock)
    reads = days_of_reads(make_read)[-24:]
    store.add(reads)
    store.holds.place(*held("H0003"))
    purge(store, photos, KEPT, NOW, dry_run=True)
    store.drop_segments(cuts(KEPT, NOW), lambda photo: None)
    sql = store._connections.mine().sql
    made = store._connections.mine()
    with made.writing():
        segment = store._parts.made(sql, Span(NOW - 20 * HOUR_MS, NOW - HOUR_MS))
    with store._parts.writing([segment]) as taken:
        part = taken[segment.number]
        rows = sql.execute("SELECT * FROM reads WHERE captured_ms < ?", (NOW - 2 * HOUR_MS,))
        some = [row for row in rows if row[5] >= segment.from_ms]
        part.executemany(f"INSERT INTO reads VALUES ({', '.join('?' * 18)})", some)
    assert len(some) > 10
    store.close()
    store = SqliteStore.open(path, serving=True, clock=clock)
    assert sorted(found(store)) == sorted(read.plate for read in reads)
    assert store.counts().reads == len(reads)
    assert len(store.kept("H0003", 10, NOW)) == 1
    assert store.add(reads).taken == 0
    purge(store, photos, KEPT, NOW, dry_run=False)
    assert store.counts().reads == len(reads)
    purge(store, photos, KEPT, NOW + 40 * DAY_MS, dry_run=False)
    assert found(store) == ["H0003"]
    store.close()


def test_the_table_of_masks_grows_with_the_reads(
    path: Path, clock: Clock, make_read: Make, monkeypatch: pytest.MonkeyPatch, photos: Photos
) -> None:
    monkeypatch.setattr("node.store.segments.whereabouts._FIRST_SIZE", 16)
    store = SqliteStore.open(path, serving=True, clock=clock)
    purge(store, photos, KEPT, NOW, dry_run=False)
    reads = days_of_reads(make_read)[48:]
    store.add(reads)
    found(store)
    assert store._parts.whereabouts.is_small
    purge(store, photos, KEPT, NOW, dry_run=False)
    assert not store._parts.whereabouts.is_small
    listed = store._connections.mine().sql.execute("SELECT count(*) FROM segments").fetchone()[0]
    with store._connections.mine().unbounded() as sql:
        moment = store._parts.moment(sql)
    named = store._parts.whereabouts.of_plates(("H0100",), moment.listed)
    assert 1 <= sum(map(bool, named)) < listed / 4
    assert found(store, replace(SEARCH, selector=ExactPlate("H0100"))) == ["H0100"]
    store.close()
