"""A search in what lies in no day's partition goes by plate, not through all of it."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from accord.agreements.terms import OPEN, Withholding
from accord.model import ExactPlate, LookAlikePlate, Read, WildcardPlate, Window
from node.store.base import ReadStore, Search
from tests.postgres import Database
from tests.stores import SHARDED, Place, ShardedPlace
from tests.unit.node.store.test_sharded_purge import DAY_MS, NOW

pytestmark = [SHARDED, pytest.mark.full]

# Too long ago for partitions of their own.
FAR = NOW - 7 * 366 * DAY_MS
MONTH = Window(FAR + 100 * DAY_MS, FAR + 130 * DAY_MS)
ALL = Search(WildcardPlate("T01*"), Window(FAR, FAR + 400 * DAY_MS), OPEN, Withholding(), 0, 50)
KINDS = [
    ALL,
    replace(ALL, window=MONTH),
    replace(ALL, selector=LookAlikePlate("T0101")),
    replace(ALL, selector=ExactPlate("T0101")),
    replace(ALL, selector=ExactPlate("T0101"), window=MONTH),
]


def explaining(database: Database) -> None:
    """Have the plans of a shard's sessions in its server's log; the plates are invented."""
    told = {"log_min_duration": 0, "log_analyze": "on", "log_timing": "off"}
    with database.connect() as sql:
        sql.execute(f"ALTER DATABASE {database.name} SET session_preload_libraries = auto_explain")
        for name, value in told.items():
            sql.execute(f"ALTER DATABASE {database.name} SET auto_explain.{name} = '{value}'")


def plans(there: ShardedPlace, store: ReadStore, search: Search) -> str:
    """Return what both servers log of a search."""
    servers = [database.server for database in there.databases]
    before = [len(server.log()) for server in servers]
    store.search(search)
    time.sleep(0.5)  # a process of its own writes it
    return "".join(server.log()[at:] for server, at in zip(servers, before, strict=True))


def looked_through(plan: str) -> int:
    return sum(int(count) for count in re.findall(r"Rows Removed by Filter: (\d+)", plan))


@pytest.fixture
def there(place: Place) -> ShardedPlace:
    assert isinstance(place, ShardedPlace)
    return place


@pytest.fixture
def store(there: ShardedPlace) -> Iterator[ReadStore]:
    opened = there.open()
    drawn = Random(5)
    for turn in range(4):
        opened.add([
            Read(
                f"T{drawn.randrange(9000):04}", "T", "CA", FAR + drawn.randrange(400 * DAY_MS),
                "CAM-1", (turn * 4000 + n).to_bytes(16, "big"),
            )
            for n in range(4000)
        ])  # fmt: skip
    for database in there.databases:
        with database.connect() as sql:
            sql.execute("ANALYZE")
        # Those who ask by way of the coordinator connect after it.
        explaining(database)
    yield opened
    opened.close()


def test_no_search_goes_through_all_that_has_no_day(store: ReadStore, there: ShardedPlace) -> None:
    for search in KINDS:
        plan = plans(there, store, search)
        assert "reads_rest_plate_captured_ms_tag_row_id_idx" in plan
        assert "rest_by_" not in plan
        assert "reads_rest_pkey" not in plan
        assert looked_through(plan) < 100


def test_an_index_by_time_would_be_taken_for_one(store: ReadStore, there: ShardedPlace) -> None:
    """As it was: what a step of the tables took away."""
    for database in there.databases:
        with database.connect() as sql:
            names = sql.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^accord_[0-9]'")
            for (name,) in names.fetchall():
                sql.execute(f"CREATE INDEX rest_by_time ON {name}.reads_rest (captured_ms)")
    plan = plans(there, store, ALL)
    assert "rest_by_time" in plan
    assert looked_through(plan) > 5_000


def test_what_lies_there_of_a_day_is_found_by_the_index_of_days(
    store: ReadStore, there: ShardedPlace
) -> None:
    """Before a partition of that day is made, which it must keep away."""
    for database in there.databases:
        with database.connect() as sql:
            sql.execute("SET enable_seqscan = off")
            text = f"SELECT 1 FROM accord_0{there.databases.index(database)}.reads_rest "
            lines = sql.execute(f"EXPLAIN {text} WHERE captured_ms / {DAY_MS} = 5").fetchall()
        assert "rest_by_day" in str(lines)
