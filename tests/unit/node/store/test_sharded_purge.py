"""A purge while a server is away: what is due elsewhere goes, and what is not reached is told."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from accord.agreements.policy import RetentionDays
from accord.agreements.retention import limits
from accord.agreements.terms import OPEN, Withholding
from accord.clock import SystemClock
from accord.errors import InputError, Refused
from accord.hot_lists import HotListEntry
from accord.model import Read, WildcardPlate, Window
from node.holds import DUE as PURGED
from node.holds import Hold, Note
from node.photos import Photos
from node.purging import purge_noted
from node.retention import PurgeReport, cuts
from node.store.base import Search
from node.store.postgres.parts import DAY_MS, day_of
from node.store.postgres.shards import Shards
from node.store.postgres.store import PostgresStore
from tests.hot_lists import hold
from tests.postgres import Database
from tests.stores import SHARDED, Place, ShardedPlace

pytestmark = SHARDED

NOW = SystemClock().now_ms()
OLD = day_of(NOW) * DAY_MS - 40 * DAY_MS
KEPT = limits(RetentionDays(30, 30, 30, 30), ())
DUE = cuts(KEPT, NOW).reads_ms
ALL = Search(WildcardPlate("TEST*"), Window(OLD - 9 * DAY_MS, NOW), OPEN, Withholding(), 0, 999)
SEEN = replace(ALL, earliest_ms=DUE)
PLATES = [f"TEST{n:03}" for n in range(40)]
Make = Callable[..., Read]


@pytest.fixture
def there(place: Place) -> ShardedPlace:
    assert isinstance(place, ShardedPlace)
    return place


@contextmanager
def opened(there: ShardedPlace) -> Iterator[PostgresStore]:
    """Open the store anew: a pool that found nobody looks again only after a while."""
    store = there.open()
    assert isinstance(store, PostgresStore)
    for connections in (store._connections, *layout_of(store).shards):
        # Nobody waits five seconds for what a test has closed.
        connections._work.timeout = 0.5
    yield store
    store.close()


@pytest.fixture
def store(there: ShardedPlace) -> Iterator[PostgresStore]:
    with opened(there) as store:
        yield store


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    return Photos(tmp_path / "photos")


def layout_of(store: PostgresStore) -> Shards:
    assert isinstance(store._layout, Shards)
    return store._layout


def change(database: Database, text: str) -> None:
    """Change a database, for all who use it."""
    with database.server.connect() as sql:
        sql.execute(f"ALTER DATABASE {database.name} {text}")
        sql.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
            (database.name,),
        )


@contextmanager
def away(database: Database) -> Iterator[None]:
    """A server that nobody reaches."""
    change(database, "ALLOW_CONNECTIONS false")
    try:
        yield
    finally:
        change(database, "ALLOW_CONNECTIONS true")


@contextmanager
def refusing(database: Database) -> Iterator[None]:
    """A server that is asked, but takes no changes."""
    change(database, "SET default_transaction_read_only = on")
    try:
        yield
    finally:
        change(database, "RESET default_transaction_read_only")


def lying(database: Database) -> set[tuple[str, int]]:
    """Return plate and capture of every read on a server."""
    with database.connect() as sql:
        names = sql.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^accord_[0-9]'")
        return {
            row
            for (name,) in names.fetchall()
            for row in sql.execute(f"SELECT plate, captured_ms FROM {name}.reads")
        }


def purged(store: PostgresStore, photos: Photos) -> PurgeReport:
    return purge_noted(store, photos, KEPT, NOW, "by clerk")


def told(store: PostgresStore) -> list[str]:
    return [note.detail for note in store.holds.notes() if note.decision == PURGED]


def plates_known(there: ShardedPlace) -> set[str]:
    return {plate for (plate,) in there.rows("SELECT plate FROM accord.plates")}


def kept_photo(folder: Path, digest: str) -> Path:
    """Put a photo there that is long since no crash's."""
    path = folder / "photos" / digest[:2] / f"{digest}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(0o600)
    os.utime(path, (NOW / 1000 - 9 * 86_400,) * 2)
    return path


def test_what_is_due_goes_wherever_it_is_reached(
    store: PostgresStore, there: ShardedPlace, photos: Photos, make_read: Make
) -> None:
    one, two = there.databases
    store.add([make_read(plate, at) for plate in PLATES for at in (OLD, NOW - 1)])
    store.add([make_read(plate, OLD) for plate in ("TESTA", "TESTB", "TESTC", "TESTD")])
    here, there_too = ({plate for plate, _ in lying(one)}, {plate for plate, _ in lying(two)})
    held = min(here)
    until = NOW + DAY_MS
    store.holds.place(
        Hold("h1", "case", "court", "clerk", 0, NOW, NOW, until, held, "", None),
        Note("n1", "hold placed", "case", ""),
    )
    with away(two):
        with pytest.raises(
            InputError, match=r"shard2\.url \(.*\): what is due there is hidden"
        ) as left:
            purged(store, photos)
        assert "shard1" not in str(left.value)
        assert not any(plate in str(left.value) for plate in (*here, *there_too))
        # Nothing is lost of what is not due, or is held.
        assert lying(one) == {(plate, NOW - 1) for plate in here if len(plate) == 7} | {(held, OLD)}
        # Who looks for a plate that only they had finds it in no list.
        assert plates_known(there) == {p for p in here if len(p) == 7} | there_too
        (note,) = told(store)
        due_here = len(here) - 1
        assert note.startswith(f"{due_here} reads, ")
        assert note.endswith("by clerk")
        assert "not reached, and left for later: " in note
        assert f"{there.shards[1]} (" in note
        ((dropped,),) = there.rows("SELECT dropped_day FROM accord.upkeep")
        assert dropped == day_of(OLD)
        # Nothing is due here any longer: no entry, but it is said again.
        with pytest.raises(InputError, match=r"shard2\.url"):
            purged(store, photos)
        assert len(told(store)) == 1
    assert {(plate, OLD) for plate in there_too} < lying(two)
    with opened(there) as later:
        assert {row.read.captured_ms for row in later.search(SEEN).rows} == {NOW - 1}
        report = purged(later, photos)
    assert (report.reads, report.left_out) == (len(there_too), ())
    assert lying(two) == {(plate, NOW - 1) for plate in there_too if len(plate) == 7}
    assert plates_known(there) == {p for p in here | there_too if len(p) == 7}
    assert there.rows("SELECT count(*) FROM accord.source_ids") == [(len(PLATES) + 1,)]
    assert there.rows("SELECT dropped_day FROM accord.upkeep") == [(-1,)]
    assert len(told(store)) == 2


def test_a_photo_that_a_read_out_of_reach_may_have_is_kept_until_it_can_be_asked(
    store: PostgresStore, there: ShardedPlace, photos: Photos, make_read: Make, tmp_path: Path
) -> None:
    store.add([make_read(plate, NOW - 1) for plate in PLATES])
    here, out = (min(plate for plate, _ in lying(one)) for one in there.databases)
    shared, alone, both = "aa" * 32, "bb" * 32, "cc" * 32
    files = {name: kept_photo(tmp_path, name) for name in (shared, alone, both)}
    store.add([
        make_read(here, OLD, photo=shared), make_read(out, NOW - 2, photo=shared),
        make_read(here, OLD + 1, photo=alone),
        make_read(here, OLD + 2, photo=both), make_read(out, OLD + 2, photo=both),
    ])  # fmt: skip
    with away(there.databases[1]), pytest.raises(InputError, match=r"shard2\.url"):
        purged(store, photos)
    assert {at for plate, at in lying(there.databases[0]) if plate == here} == {NOW - 1}
    assert all(path.exists() for path in files.values())
    with opened(there) as later:
        assert purged(later, photos).reads == 1
    assert [name for name, path in files.items() if path.exists()] == [shared]


def test_hits_of_reads_out_of_reach_stay_with_them(
    store: PostgresStore, there: ShardedPlace, photos: Photos, make_read: Make
) -> None:
    """Whether one of the reads is held nobody can say."""
    hold(store, *(
        HotListEntry("stolen", "bureau", plate, "CA", "stolen", NOW, 60) for plate in PLATES
    ))  # fmt: skip
    store.add([make_read(plate, OLD) for plate in PLATES])
    out = len(lying(there.databases[1]))
    assert store.counts().hits == 40
    with away(there.databases[1]), pytest.raises(InputError, match=r"shard2\.url"):
        purged(store, photos)
    assert f"{40 - out} hits" in told(store)[0]
    with opened(there) as later:
        assert later.counts().hits == out
        assert purged(later, photos).hits == out
        assert (later.counts().hits, later.counts().reads) == (0, 0)


def test_a_server_that_takes_no_changes_is_told_though_it_was_counted(
    store: PostgresStore, there: ShardedPlace, photos: Photos, make_read: Make
) -> None:
    store.add([make_read(plate, OLD) for plate in PLATES])
    out = lying(there.databases[1])
    with (
        refusing(there.databases[1]),
        pytest.raises(InputError, match=r"shard2\.url \(the database says ReadOnlySql"),
    ):
        purged(store, photos)
    assert lying(there.databases[0]) == set()
    assert lying(there.databases[1]) == out
    counted, left = told(store)
    assert counted.startswith("40 reads, ")
    assert left.startswith(f"not all that was told: {there.shards[1]} (the database says ReadOnly")
    assert purged(store, photos).reads == len(out)
    assert store.counts().reads == 0


def test_without_the_coordinator_nothing_is_deleted_and_no_shard_is_blamed(
    store: PostgresStore, there: ShardedPlace, photos: Photos, make_read: Make
) -> None:
    store.add([make_read(plate, OLD) for plate in PLATES])
    with refusing(there.database), pytest.raises(Refused):
        purged(store, photos)
    with away(there.database), pytest.raises(Refused):
        purged(store, photos)
    assert sum(len(lying(database)) for database in there.databases) == 40
    with opened(there) as later:
        assert purged(later, photos).reads == 40
