"""Retention: what is due goes, to the last byte; what is not stays."""

import io
import os
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from accord.agreements.policy import RetentionDays
from accord.agreements.retention import DAY_MS, Limits, limits
from accord.agreements.terms import OPEN, Withholding
from accord.clock import SystemClock
from accord.errors import Code, Refused
from accord.hot_lists import HotListEntry
from accord.model import ExactPlate, Read, WildcardPlate, Window
from node.photos import Photos
from node.retention import limits_at, purge
from node.store.base import ReadStore, Search
from tests.hot_lists import hold
from tests.stores import SQLITE

NOW = 1_760_000_000_000
DAYS = limits(RetentionDays(30, 10, 5), ())
Make = Callable[..., Read]
SEARCH = Search(
    ExactPlate("KEPT1"), Window(NOW - 90 * DAY_MS, NOW + DAY_MS), OPEN, Withholding(), 0, 100
)


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    return Photos(tmp_path / "data" / "photos")


def picture(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (number, 5, 9)).save(buffer, "PNG")
    return buffer.getvalue()


def in_new_hampshire(days: RetentionDays) -> Limits:
    own = Owner("NH")
    return limits_at(days, own, None, NOW)


class Owner(NamedTuple):
    """An agency as far as the law looks at it."""

    state: str
    kind: str = "police"
    id: str = "city"


def test_in_new_hampshire_what_met_nothing_goes_after_three_minutes(
    store: ReadStore, make_read: Make, photos: Photos
) -> None:
    """RSA 261:75-b: to the millisecond; a plate that only looks alike met nothing."""
    hold(store, HotListEntry("stolen", "bureau", "KEPT1", "CA", "stolen-vehicle", NOW, 60))
    due_ms = NOW - 180_000
    for at in (due_ms - 1, due_ms):
        assert store.add([make_read("KEPT1", at), make_read("KEPTI", at)]).hits == 2
        store.add([make_read("GONE1", at)])
    kept = in_new_hampshire(RetentionDays(30, 10, 5, 8))
    dry = purge(store, photos, kept, NOW, dry_run=True)
    assert (dry.reads, dry.hits, dry.newest) == (2, 1, due_ms - 1)
    assert purge(store, photos, kept, NOW, dry_run=False) == dry
    assert (store.counts().reads, store.counts().hits) == (4, 3)
    # When the hit is over, so is its read.
    later = NOW + 8 * DAY_MS - 180_000
    assert purge(store, photos, kept, later, dry_run=False).reads == 3
    assert [row.read.captured_ms for row in store.search(SEARCH).rows] == [due_ms]
    assert purge(store, photos, kept, later + 1, dry_run=False).reads == 1
    assert (store.counts().reads, store.counts().hits) == (0, 0)


def test_what_is_due_goes_and_the_rest_stays(
    store: ReadStore, make_read: Make, photos: Photos
) -> None:
    boundary = NOW - 30 * DAY_MS
    store.add([make_read("GONE1", boundary - 1), make_read("KEPT1", boundary)])
    dry = purge(store, photos, DAYS, NOW, dry_run=True)
    assert (dry.reads, dry.oldest, dry.newest) == (1, boundary - 1, boundary - 1)
    assert store.counts().reads == 2
    assert purge(store, photos, DAYS, NOW, dry_run=False) == dry
    assert (store.counts().reads, store.counts().plates) == (1, 1)
    assert len(store.search(SEARCH).rows) == 1
    again = purge(store, photos, DAYS, NOW, dry_run=False)
    assert (again.reads, again.oldest) == (0, None)


def test_a_plate_stays_searchable_while_one_read_of_it_is_left(
    store: ReadStore, make_read: Make, photos: Photos
) -> None:
    store.add([make_read("KEPT1", NOW - 40 * DAY_MS), make_read("KEPT1", NOW)])
    purge(store, photos, DAYS, NOW, dry_run=False)
    found = store.search(replace(SEARCH, selector=WildcardPlate("KEPT*"))).rows
    assert [row.read.captured_ms for row in found] == [NOW]


def test_photos_go_before_their_reads_and_shared_ones_stay(
    store: ReadStore, make_read: Make, photos: Photos, tmp_path: Path
) -> None:
    alone, shared = photos.keep(picture(1)), photos.keep(picture(2))
    photos.prepare_masked(alone, (0.1, 0.0))
    store.add(
        [
            make_read("KEPT1", NOW - 11 * DAY_MS, photo=alone),
            make_read("KEPT1", NOW - 12 * DAY_MS, photo=shared),
            make_read("KEPT1", NOW, photo=shared),
        ]
    )
    dry = purge(store, photos, DAYS, NOW, dry_run=True)
    assert (dry.reads, dry.photos) == (0, 2)
    assert photos.given(alone, False, (0.0, 0.0))
    purge(store, photos, DAYS, NOW, dry_run=False)
    assert photos.given(alone, False, (0.0, 0.0)) == b""
    assert not list(tmp_path.rglob(f"{alone}*"))
    assert photos.given(shared, False, (0.0, 0.0))
    assert [row.read.photo for row in store.search(SEARCH).rows] == [shared, "", ""]


def test_a_photo_left_by_a_stopped_ingest_goes_after_a_day(
    store: ReadStore, make_read: Make, photos: Photos, tmp_path: Path
) -> None:
    left, used, fresh = (photos.keep(picture(n)) for n in (1, 2, 3))
    # Files carry the machine's own time, so this test asks for it too.
    now = SystemClock().now_ms()
    store.add([make_read("KEPT1", now, photo=used)])
    half = tmp_path / "data" / "photos" / left[:2] / "partial-0123"
    half.write_bytes(b"half a photo")
    old = (now - 2 * DAY_MS) / 1000
    for file in tmp_path.rglob("*"):
        if file.is_file() and fresh not in file.name and file.parent.parent.name == "photos":
            os.utime(file, (old, old))
    purge(store, photos, DAYS, now, dry_run=False)
    assert photos.given(left, False, (0.0, 0.0)) == b""
    assert not half.exists()
    assert photos.given(used, False, (0.0, 0.0))
    assert photos.given(fresh, False, (0.0, 0.0))


def test_a_hot_list_goes_by_when_it_was_published(store: ReadStore, photos: Photos) -> None:
    for name, published in (("old", NOW - 6 * DAY_MS), ("new", NOW)):
        entry = HotListEntry(name, "bureau", "KEPT1", "CA", "stolen-vehicle", published, 60)
        hold(store, entry)
    assert purge(store, photos, DAYS, NOW, dry_run=False).entries == 1
    assert [entry.list for entry in store.hot_lists.entries("KEPT1", "")] == ["new"]


@SQLITE
def test_after_a_purge_no_byte_of_the_plate_is_left(
    store: ReadStore, make_read: Make, photos: Photos, tmp_path: Path
) -> None:
    """Free pages, the journal and the gaps inside pages included."""
    folder = tmp_path / "data"

    def traces() -> set[str]:
        found = set()
        for file in folder.rglob("*"):
            if file.is_file() and b"CANARY" in file.read_bytes():
                found.add(file.name)
        return found

    old = NOW - 31 * DAY_MS
    for _ in range(6):
        # Mixed with reads that stay, in random order, so that pages are split,
        # merged and half emptied.
        batch = []
        for _ in range(1500):
            number = secrets.randbelow(10**5)
            is_old = secrets.randbelow(2)
            plate = f"CANARY{number}" if is_old else f"KEPT{number}"
            batch.append(make_read(plate, (old if is_old else NOW) - number, camera=f"C{number}"))
        store.add(batch)
    assert traces() & {"reads.db", "reads.db-wal"}
    report = purge(store, photos, DAYS, NOW, dry_run=False)
    assert report.reads > 3000
    assert traces() == set()
    assert store.counts().reads == 9000 - report.reads


@SQLITE
def test_a_large_store_is_written_anew_twice_a_day(
    store: ReadStore, make_read: Make, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.store.sqlite._LARGE_BYTES", 1)
    store.add([make_read("GONE1", NOW - 40 * DAY_MS), make_read("GONE2", NOW - 30 * DAY_MS)])
    purge(store, photos, DAYS, NOW, dry_run=False)
    assert store.settle(NOW)
    purge(store, photos, DAYS, NOW + 1000, dry_run=False)
    assert not store.settle(NOW + 2000)
    assert store.settle(NOW + DAY_MS // 2 + 1000)


def test_a_purge_that_fails_says_so_and_goes_on_the_next_time(
    store: ReadStore, make_read: Make, photos: Photos, tmp_path: Path
) -> None:
    name = photos.keep(picture(1))
    store.add([make_read("GONE1", NOW - 40 * DAY_MS, photo=name)])
    bucket = tmp_path / "data" / "photos" / name[:2]
    moved = bucket.rename(tmp_path / "moved")
    bucket.write_text("a file where a folder belongs")
    with pytest.raises(Refused) as refused:
        purge(store, photos, DAYS, NOW, dry_run=False)
    assert refused.value.code is Code.STORE_UNAVAILABLE
    assert store.counts().reads == 1
    bucket.unlink()
    moved.rename(bucket)
    assert purge(store, photos, DAYS, NOW, dry_run=False).reads == 1
    assert not list(tmp_path.rglob(f"{name}*"))
