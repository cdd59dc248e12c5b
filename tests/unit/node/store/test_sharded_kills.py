"""Reads on several servers while processes and connections end: nothing is lost or doubled."""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from random import Random

import pytest

from accord.agreements.terms import OPEN, Withholding
from accord.clock import SystemClock
from accord.errors import Refused
from accord.model import Read, WildcardPlate, Window
from node.holds import Hold, Note
from node.store.base import ReadStore, Search
from node.store.postgres.parts import DAY_MS, day_of
from tests.cuts import all_before
from tests.postgres import Database
from tests.stores import SHARDED, ShardedPlace

pytestmark = SHARDED
TIMES = [pytest.param(1, id="1"), pytest.param(20, id="20", marks=pytest.mark.full)]

NOW = SystemClock().now_ms()
OLD = day_of(NOW) * DAY_MS - 40 * DAY_MS
CUTS = all_before(OLD + 10 * DAY_MS)
SEARCH = Search(WildcardPlate("K*"), Window(OLD - 200 * DAY_MS, NOW), OPEN, Withholding(), 0, 9999)
Make = Callable[..., Read]

PROGRAM = f"""
from tests.unit.node.store.test_sharded_kills import batch
for turn in range(int(sys.argv[2]), 1 << 30):
    store.add(batch(turn, {NOW}))
    print(turn, flush=True)
"""


def batch(turn: int, now_ms: int) -> list[Read]:
    """Return the reads of a turn: always the same."""
    return [
        Read(
            f"K{n:02}", f"K{n:02}", "CA", now_ms - 1 - turn, "CAM-1",
            sha256(b"%d %d" % (turn, n)).digest()[:16],
        )
        for n in range(15)
    ]  # fmt: skip


def lying(there: ShardedPlace) -> Counter[bytes]:
    """Return how often each source identifier lies on the servers, seen or not."""
    found = Counter[bytes]()
    for database in there.databases:
        with database.connect() as sql:
            for number in range(4):
                name = f"accord_{number:02}"
                if sql.execute("SELECT to_regclass(%s)", (f"{name}.reads",)).fetchone() != (None,):
                    found.update(
                        one for (one,) in sql.execute(f"SELECT source_id FROM {name}.reads")
                    )
    return found


@pytest.mark.parametrize("times", TIMES)
def test_who_stores_reads_is_killed(store: ReadStore, there: ShardedPlace, times: int) -> None:
    random, turn = Random(11), 0
    for _ in range(times):
        command = [sys.executable, "-c", there.opening + PROGRAM, str(there.path), str(turn)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            said = [process.stdout.readline()]
            time.sleep(random.uniform(0, 0.2))
            process.kill()
            said += process.stdout.readlines()
        last = int(said[-1])
        rows = store.search(SEARCH).rows
        seen = Counter(row.read.source_id for row in rows)
        # What was told as stored is there, and of each turn all or nothing.
        for done in range(last + 1):
            assert all(seen[read.source_id] == 1 for read in batch(done, NOW))
        assert len(seen) in (15 * (last + 1), 15 * (last + 2))
        # A source comes again with what it was not told of.
        store.add(batch(last + 1, NOW))
        turn = last + 2
        assert set(lying(there).values()) == {1}
        assert len(store.search(SEARCH).rows) == 15 * turn
    assert store.counts().reads == 15 * turn


def end_one(databases: list[Database]) -> None:
    """End a connection in the midst of something on one of the servers, within a second."""
    for _ in range(300):
        for database in databases:
            with database.connect() as sql:
                if sql.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state != 'idle' "
                    "AND datname = current_database() AND pid != pg_backend_pid()"
                ).fetchall():
                    return


@pytest.mark.parametrize("times", TIMES)
def test_a_purge_is_cut_off_on_one_server_or_the_other(
    store: ReadStore, there: ShardedPlace, make_read: Make, times: int
) -> None:
    until = NOW + DAY_MS
    hold = Hold("h1", "case", "court", "clerk", 0, NOW, NOW, until, "KHELD", "", None)
    store.holds.place(hold, Note("n1", "hold placed", "case", ""))
    random = Random(7)
    kept: list[Read] = []
    for turn in range(times):
        days = [OLD - (3 * turn + n) * DAY_MS for n in range(3)]
        held = [make_read("KHELD", day) for day in days]
        store.add([*held, *(make_read(f"K{n}", day) for day in days for n in range(20))])
        kept += held
        databases = [there.database, *there.databases]
        random.shuffle(databases)
        ended = threading.Timer(random.uniform(0, 0.5), end_one, (databases,))
        ended.start()
        with suppress(Refused):
            store.drop_segments(CUTS, lambda _: None)
        ended.join()
        there_now = lying(there)
        assert set(there_now.values()) == {1}
        assert all(there_now[read.source_id] for read in kept)
        store.drop_segments(CUTS, lambda _: None)
        store.delete_reads(CUTS, 1000, lambda _: None)
        assert store.settle(NOW)
        assert lying(there).keys() == {read.source_id for read in kept}
        counts = store.counts()
        assert (counts.reads, counts.plates) == (len(kept), 1)
        # What is held is known, whatever was cut off.
        assert len(store.add(held).duplicates) == 3
