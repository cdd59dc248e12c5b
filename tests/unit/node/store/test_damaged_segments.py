"""A file of reads that can't be read: it is told, and nothing but its own reads is lost by it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from accord.agreements.policy import RetentionDays
from accord.agreements.retention import DAY_MS, limits
from accord.agreements.terms import OPEN, Withholding
from accord.errors import Code, InputError, Refused
from accord.model import Read, WildcardPlate, Window
from node.holds import Hold, Note
from node.photos import Photos
from node.retention import purge
from node.store.base import DeadLetter, Search
from node.store.segments.spans import HOUR_MS, span_ms
from node.store.soundness import look_at_reads
from node.store.sqlite import SqliteStore

NOW = 1_760_000_000_000
KEPT = limits(RetentionDays(30, 30, 30), ())
SPAN_MS = span_ms(30 * DAY_MS)
ALL = Window(0, NOW + 100 * DAY_MS)
SEARCH = Search(WildcardPlate("*"), ALL, OPEN, Withholding(), 0, 1000)
Make = Callable[..., Read]
Spoil = Callable[[Path], None]


class Clock:
    ms = NOW

    def now_ms(self) -> int:
        return self.ms


def pages(file: Path) -> None:
    """Spoil all pages but the first."""
    content = file.read_bytes()
    file.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))


def head(file: Path) -> None:
    """Spoil what says that it is a database."""
    file.write_bytes(b"\x5a" * 100 + file.read_bytes()[100:])


def empty(file: Path) -> None:
    """Leave nothing in it, as a disk may after a power cut."""
    file.write_bytes(b"")


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    return Photos(tmp_path / "data" / "photos")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "reads.db"


@pytest.fixture(params=[pages, head, empty])
def store(
    path: Path, photos: Photos, make_read: Make, request: pytest.FixtureRequest
) -> Iterator[SqliteStore]:
    """One read for each hour of 29 days; what has those of four days ago is spoilt."""
    clock = Clock()
    opened = SqliteStore.open(path, clock=clock)
    purge(opened, photos, KEPT, NOW, dry_run=False)
    opened.add([make_read(f"H{n:04}", NOW - n * HOUR_MS) for n in range(29 * 24)])
    opened.close()
    request.param(damaged(path))
    opened = SqliteStore.open(path, clock=clock)
    yield opened
    opened.close()


def damaged(path: Path, at_ms: int = NOW - 4 * DAY_MS) -> Path:
    """Return the file that has the captures of a moment."""
    with closing(sqlite3.connect(path)) as sql:
        text = "SELECT number FROM segments WHERE from_ms <= ?1 AND to_ms > ?1"
        (number,) = sql.execute(text, (at_ms,)).fetchone()
    return path.with_suffix("") / f"{number}.db"


def test_a_node_does_not_start_on_it_and_says_what_to_do(store: SqliteStore, path: Path) -> None:
    store.close()
    with pytest.raises(InputError, match="restore it from the last backup"):
        SqliteStore.open(path, serving=True)


def test_it_is_no_empty_answer(store: SqliteStore, path: Path) -> None:
    for look in (
        lambda: store.search(SEARCH),
        lambda: store.kept(f"H{4 * 24:04}", 9, NOW),
        store.counts,
    ):
        with pytest.raises(Refused) as refused:
            look()
        assert refused.value.code is Code.STORE_CORRUPT
    newest = replace(SEARCH, window=Window(NOW - DAY_MS, NOW + 1))
    assert len(store.search(newest).rows) == 25


def test_a_look_at_the_files_finds_it(store: SqliteStore, path: Path) -> None:
    defects: int | None = None
    with suppress(Refused):  # that its first pages can't be read
        defects = look_at_reads(path, 20)[1].defects
    assert defects != 0


def test_all_else_that_is_due_goes_and_it_too_once_it_is_due(
    store: SqliteStore, path: Path, photos: Photos
) -> None:
    spoilt = damaged(path)
    placed = held(NOW - 2 * DAY_MS, NOW), Note("note-1", "held", "C-1", "placed")
    assert store.holds.place(*placed) == 0
    now = NOW + 26 * DAY_MS + 2 * SPAN_MS
    found = purge(store, photos, KEPT, now, dry_run=True)
    assert found.unreadable == 1
    assert purge(store, photos, KEPT, now, dry_run=False) == found
    assert not spoilt.exists()
    there = left(store)
    assert there == list(range(len(there)))
    assert 2 * 24 < len(there) < 4 * 24
    # An hour each, and a span of 22.5 hours.
    assert 29 * 24 - len(there) - found.reads in (22, 23)
    again = purge(store, photos, KEPT, now, dry_run=False)
    assert (again.reads, again.unreadable) == (0, 0)


def test_while_a_hold_may_hold_some_of_it_it_stays_and_all_else_goes(
    store: SqliteStore, path: Path, photos: Photos
) -> None:
    spoilt = damaged(path)
    store.holds.place(held(0, NOW), Note("note-1", "held", "C-1", "placed"))
    dead = DeadLetter("gate", "csv", "no plate", NOW - 31 * DAY_MS, b"PLATE")
    store.add_dead([dead])
    now = NOW + 40 * DAY_MS
    with pytest.raises(Refused) as refused:
        purge(store, photos, KEPT, now, dry_run=False)
    assert refused.value.code is Code.STORE_CORRUPT
    assert [file.name for file in spoilt.parent.glob("*.db")] == [spoilt.name]
    assert store.dead_counts() == ()
    store.holds.release("hold-1", Note("note-2", "released", "C-1", "over"))
    assert purge(store, photos, KEPT, now, dry_run=False).unreadable == 1
    assert not spoilt.exists()


def test_rows_of_a_wide_file_go_beside_it(path: Path, photos: Photos, make_read: Make) -> None:
    year, clock = limits(RetentionDays(400, 400, 400), ()), Clock()
    store = SqliteStore.open(path, clock=clock)
    purge(store, photos, year, NOW, dry_run=False)
    store.add([make_read(f"D{n:04}", NOW - n * DAY_MS) for n in range(60)])
    store.holds.place(held(0, NOW), Note("note-1", "held", "C-1", "placed"))
    store.close()
    spoilt = damaged(path, NOW - 40 * DAY_MS)
    pages(spoilt)
    store = SqliteStore.open(path, clock=clock)
    # What has the fortieth day is wholly due, what has the twentieth in part.
    now = NOW + 380 * DAY_MS
    with pytest.raises(Refused) as refused:
        purge(store, photos, year, now, dry_run=False)
    assert refused.value.code is Code.STORE_CORRUPT
    assert spoilt.exists()
    rows = store.search(replace(SEARCH, window=Window(NOW - 25 * DAY_MS, NOW + 1))).rows
    days = sorted(int(row.read.plate[1:]) for row in rows)
    assert days == list(range(len(days)))
    assert 20 <= len(days) <= 22
    store.close()


def test_a_link_is_refused_for_a_purge_would_leave_what_it_points_to(
    path: Path, make_read: Make, photos: Photos, tmp_path: Path
) -> None:
    store = SqliteStore.open(path, clock=Clock())
    purge(store, photos, KEPT, NOW, dry_run=False)
    store.add([make_read("FIRST", NOW)])
    store.close()
    file = damaged(path, NOW)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"1\.db: is a link; put the file itself in its place"):
        SqliteStore.open(path)


def test_what_is_no_file_of_ours_is_left_alone(path: Path, make_read: Make, photos: Photos) -> None:
    store = SqliteStore.open(path, clock=Clock())
    purge(store, photos, KEPT, NOW, dry_run=False)
    store.add([make_read("FIRST", NOW)])
    folder = path.with_suffix("")
    (folder / "99.db").mkdir()
    for name in ("007.db", "notes.txt"):
        (folder / name).write_text("somebody's")
    store.close()
    store = SqliteStore.open(path, clock=Clock())
    purge(store, photos, KEPT, NOW + 40 * DAY_MS, dry_run=False)
    assert {one.name for one in folder.iterdir()} == {"99.db", "007.db", "notes.txt"}
    store.close()


def held(from_ms: int, to_ms: int) -> Hold:
    """A hold of a plate that nobody saw."""
    ends = NOW + 400 * DAY_MS
    return Hold("hold-1", "C-1", "court", "R. Roe", from_ms, to_ms, NOW, ends, "NOBODY")


def left(store: SqliteStore) -> list[int]:
    return sorted(int(row.read.plate[1:]) for row in store.search(SEARCH).rows)
