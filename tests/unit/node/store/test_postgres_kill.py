"""kill -9 of processes that purge or bring the tables up on a PostgreSQL server."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from accord.clock import SystemClock
from accord.model import Read
from node.holds import Hold, Note
from node.store.numbers import DAY_BITS, FIRST
from node.store.postgres.address import read_address
from node.store.postgres.connections import connect
from node.store.postgres.migrations import DAY_MS, STEPS, migrate
from node.store.postgres.parts import day_of, row_number
from node.store.postgres.store import PostgresStore
from tests.cuts import all_before
from tests.postgres import Database
from tests.stores import PostgresPlace

NOW = SystemClock().now_ms()
OLD = day_of(NOW) * DAY_MS - 40 * DAY_MS
CUTS = all_before(OLD + 10 * DAY_MS)
Make = Callable[..., Read]
TIMES = pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.full)])

PURGE = (
    PostgresPlace.opening
    + f"""
from tests.cuts import all_before
cuts, nothing = all_before({CUTS.reads_ms}), lambda photo: None
print("ready", flush=True)
store.drop_segments(cuts, nothing)
while store.delete_hits(cuts) + store.delete_reads(cuts, 7, nothing):
    pass
store.settle({NOW})
"""
)
OPEN = """
import sys; from pathlib import Path
from node.store.postgres.store import PostgresStore
print("ready", flush=True)
PostgresStore.open(Path(sys.argv[1])).close()
"""


def run(program: str, path: Path, kill_after_s: float | None) -> bool:
    """Run a program, from when it is ready for so long; tell whether it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[4],
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"ready\n"
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            process.kill()
        process.wait(60)
    assert process.returncode in (0, -9)
    return process.returncode == -9


@TIMES
def test_a_purge_that_is_killed_loses_doubles_and_brings_back_nothing(
    database: Database, tmp_path: Path, make_read: Make, times: int
) -> None:
    path, chance = database.url_file(tmp_path), Random()
    with closing(PostgresStore.open(path)) as store:
        held = Hold("h1", "case", "court", "clerk", 0, NOW, NOW, NOW + DAY_MS, "HELD1", "", None)
        store.holds.place(held, Note("n1", "hold placed", "case", ""))
    kept: list[Read] = []
    killed = 0
    while killed < times:
        with closing(PostgresStore.open(path)) as store:
            days = [OLD - n * DAY_MS for n in range(4)] + [NOW - 9_999 * DAY_MS]
            held_reads = [make_read("HELD1", day) for day in days]
            store.add(
                [*held_reads, *(make_read(f"DUE{n}", day) for day in days for n in range(20))]
            )
        kept += held_reads
        killed += run(PURGE, path, chance.uniform(0, 0.25))
        # Of each day all that is due is there or nothing, but of those row by row.
        assert of_plate(database, held=True) == Counter(read.source_id for read in kept)
        before = of_plate(database, held=False)
        assert set(before.values()) <= {1}
        assert not run(PURGE, path, None)
        assert of_plate(database, held=False) == Counter()
        assert of_plate(database, held=True) == Counter(read.source_id for read in kept)
    with database.connect() as sql:
        ids = sql.execute("SELECT source_id FROM accord.source_ids").fetchall()
        plates = sql.execute("SELECT plate FROM accord.plates").fetchall()
    assert Counter(one for (one,) in ids) == Counter(read.source_id for read in kept)
    assert plates == [("HELD1",)]


def of_plate(database: Database, *, held: bool) -> Counter[bytes]:
    """Return how often each read is there, by its source's identifier."""
    with database.connect() as sql:
        text = "SELECT source_id FROM accord.reads WHERE (plate = 'HELD1') = %s"
        return Counter(one for (one,) in sql.execute(text, (held,)))


def shape(database: Database) -> list[tuple[Any, ...]]:
    """Return all columns and indexes of the tables."""
    with database.connect() as sql:
        columns = sql.execute(
            "SELECT table_name, column_name, data_type, is_nullable FROM "
            "information_schema.columns WHERE table_schema = 'accord' ORDER BY 1, 2"
        ).fetchall()
        indexes = sql.execute(
            "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'accord' ORDER BY 1, 2"
        ).fetchall()
        steps = sql.execute("SELECT name FROM accord.steps ORDER BY name").fetchall()
    return [*columns, *indexes, *steps]


@TIMES
def test_tables_whose_making_is_killed_are_made_by_the_next(
    database: Database, tmp_path: Path, times: int
) -> None:
    path, chance = database.url_file(tmp_path), Random()
    PostgresStore.open(path).close()
    whole = shape(database)
    killed = 0
    while killed < times:
        with database.connect() as sql:
            sql.execute("DROP SCHEMA accord CASCADE")
        killed += run(OPEN, path, chance.uniform(0, 0.25))
        assert not run(OPEN, path, None)
        assert shape(database) == whole


@TIMES
def test_rows_of_a_database_that_is_brought_up_are_neither_lost_nor_changed_twice(
    database: Database, tmp_path: Path, times: int
) -> None:
    """The step that gives reads other numbers is the one that changes rows."""
    path, chance = database.url_file(tmp_path), Random()
    before = STEPS[: [step.name for step in STEPS].index("008-numbers")]
    rows = [(row_number(n, NOW), n) for n in range(1, 2001)]
    killed = 0
    while killed < times:
        with database.connect() as sql:
            sql.execute("DROP SCHEMA IF EXISTS accord CASCADE")
        with closing(connect(read_address(path))) as sql:
            migrate(sql, before)
            sql.cursor().executemany(
                "INSERT INTO reads VALUES (%s, %s, 'T', 'T', '', %s, 'C', %s, NULL, NULL, NULL, "
                "NULL, NULL, NULL, NULL, 0, '', '')",
                [(row, n, NOW, n.to_bytes(16, "big")) for row, n in rows],
            )
            sql.execute("UPDATE upkeep SET last_read = 2000")
        killed += run(OPEN, path, chance.uniform(0, 0.25))
        assert not run(OPEN, path, None)
        with database.connect() as sql:
            there = sql.execute("SELECT row_id, tag FROM accord.reads ORDER BY row_id").fetchall()
            last = sql.execute("SELECT last_read FROM accord.upkeep").fetchall()
        assert there == [(row + (FIRST << DAY_BITS), n) for row, n in rows]
        assert last == [(FIRST + 2000,)]
