"""Two processes of one node on one database: claims and counts are one."""

import asyncio
import contextlib
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from accord.errors import Code, InputError, Refused
from accord.testing import FixedClock
from node.rates import MINUTE_MS, Bound
from node.replay import Claim, ReplayGuard
from node.replay_file import ReplayFile
from node.store.postgres import claims
from node.store.postgres.common import SharedCommon
from node.store.postgres.connections import LEADER_LOCK, SERVING_LOCK
from node.store.postgres.seat import ANSWER_S
from node.store.postgres.store import PostgresStore
from tests.postgres import Database
from tests.unit.node.guard.conftest import START

MINUTE = 60_000
DIGEST, NONCE = b"d" * 32, b"n" * 16
AGENCY = Bound(("answer", "harbor", "city"), MINUTE_MS, 5)

Process = Callable[[FixedClock], SharedCommon]


@pytest.fixture
def process(database: Database, tmp_path: Path) -> Iterator[Process]:
    """Open the database as one more process of the node."""
    url = database.url_file(tmp_path)
    PostgresStore.open(url).close()
    with contextlib.ExitStack() as stack:
        yield lambda clock: stack.enter_context(
            contextlib.closing(SharedCommon(url, clock, tmp_path))
        )


async def test_of_copies_at_two_processes_one_is_new(process: Process, clock: FixedClock) -> None:
    guards = [ReplayGuard(process(clock).claims, clock) for _ in range(2)]
    made = [guards[n % 2].claim(DIGEST, NONCE, START + MINUTE) for n in range(40)]
    assert Counter(await asyncio.gather(*made)) == {Claim.NEW: 1, Claim.SAME: 39}
    first, second = guards
    assert first.running(DIGEST) != second.running(DIGEST)
    assert await second.claim(b"e" * 32, NONCE, START + MINUTE) is Claim.REUSED_NONCE
    assert await second.claim(b"e" * 32, b"m" * 16, START + MINUTE) is Claim.NEW


class Overtaken:
    """Claims in which the second to come is the first to be there."""

    at_once, created_ms = 2, START

    def __init__(self) -> None:
        self._came, self._there = threading.Semaphore(1), threading.Event()

    def claim(self, digest: bytes, nonce: bytes, expires_ms: int) -> Claim:
        if self._came.acquire(blocking=False):
            assert self._there.wait(10)
            return Claim.SAME
        return Claim.NEW

    def let(self) -> None:
        self._there.set()

    def close(self) -> None:
        pass


async def test_a_copy_that_was_overtaken_does_not_take_the_answer_with_it(
    clock: FixedClock,
) -> None:
    claims = Overtaken()
    guard = ReplayGuard(claims, clock)
    slow = asyncio.create_task(guard.claim(DIGEST, NONCE, START + MINUTE))
    await asyncio.sleep(0.1)
    assert await guard.claim(DIGEST, NONCE, START + MINUTE) is Claim.NEW
    claims.let()
    assert await slow is Claim.SAME
    assert guard.running(DIGEST)
    guard.close()


async def test_one_guard_begins_for_all(process: Process, clock: FixedClock) -> None:
    process(clock)
    later = ReplayGuard(process(FixedClock(START + 5_000)).claims, clock)
    later.check_issued(START)
    with pytest.raises(Refused, match="STALE"):
        later.check_issued(START - 1)


async def test_a_process_whose_clock_is_behind_the_others_claims_nothing(
    process: Process, clock: FixedClock
) -> None:
    behind = FixedClock(START)
    slow = ReplayGuard(process(behind).claims, behind)
    clock.ms += 31_000
    fast = ReplayGuard(process(clock).claims, clock)
    assert await slow.claim(b"1" * 32, b"1" * 16, START + MINUTE) is Claim.NEW
    assert await fast.claim(DIGEST, NONCE, clock.ms + MINUTE) is Claim.NEW
    with pytest.raises(Refused) as refused:
        await slow.claim(b"2" * 32, b"2" * 16, START + MINUTE)
    assert refused.value.code is Code.CLOCK_IMPLAUSIBLE
    behind.ms += 1_000
    assert await slow.claim(b"2" * 32, b"2" * 16, START + MINUTE) is Claim.NEW
    with pytest.raises(InputError, match="set this machine's clock right"):
        process(FixedClock(START))


async def test_a_bound_holds_over_all_processes(process: Process, clock: FixedClock) -> None:
    places = [process(clock).counting for _ in range(2)]

    async def admitted(n: int, *bounds: Bound) -> bool:
        with contextlib.suppress(Refused):
            await places[n % 2].admit(bounds)
            return True
        return False

    assert sum(await asyncio.gather(*(admitted(n, AGENCY) for n in range(20)))) == 5
    with pytest.raises(Refused, match="5 in one minute") as refused:
        await places[0].admit([AGENCY])
    assert refused.value.code is Code.RATE_EXCEEDED
    clock.ms += MINUTE_MS
    assert await admitted(1, AGENCY)


async def test_a_query_over_one_bound_is_counted_in_none(
    process: Process, clock: FixedClock
) -> None:
    counting = process(clock).counting
    officers = [Bound(("answer", "harbor", f"O-{n}", "city"), MINUTE_MS, 2) for n in range(3)]

    async def refusals(officer: Bound, times: int) -> int:
        refused = 0
        for _ in range(times):
            try:
                await counting.admit([officer, AGENCY])
            except Refused:
                refused += 1
        return refused

    assert await refusals(officers[0], 10) == 8
    assert await refusals(officers[1], 10) == 8
    # Of the agency's five two and two are used: sixteen refused queries took none.
    assert await refusals(officers[2], 3) == 2


async def test_counts_and_claims_say_nothing_of_who_asked(
    process: Process, clock: FixedClock, database: Database
) -> None:
    common = process(clock)
    await common.counting.admit([AGENCY])
    await ReplayGuard(common.claims, clock).claim(DIGEST, NONCE, START + MINUTE)
    with database.connect() as sql:
        held = sql.execute("SELECT r::text, c::text FROM accord.rate_counts r, accord.claims c")
        (row,) = held.fetchall()
    assert "harbor" not in str(row)
    assert "64" * 32 in row[1]  # the digest, "d" 32 times


async def test_counts_of_the_past_are_removed(
    process: Process, clock: FixedClock, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "TIDY_S", 0.0)
    common = process(clock)
    guard = ReplayGuard(common.claims, clock)

    async def windows() -> int:
        await common.counting.admit([AGENCY])
        byte = bytes([clock.ms // MINUTE_MS % 256])
        await guard.claim(byte * 32, byte * 16, clock.ms + MINUTE)
        with database.connect() as sql:
            return sql.execute("SELECT count(*) FROM accord.rate_counts").fetchall()[0][0]

    counts = []
    for _ in range(6):
        counts.append(await windows())
        clock.ms += 2 * MINUTE_MS
    assert counts == [1, 2, 2, 2, 2, 2]


async def test_a_moment_that_could_not_be_noted_removes_no_claim(
    process: Process, clock: FixedClock, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "TIDY_S", 0.0)
    guard = ReplayGuard(process(clock).claims, clock)

    async def claimed() -> bool:
        byte = bytes([clock.ms // 1_000 % 251])
        clock.ms += 1_000
        with contextlib.suppress(Refused):
            await guard.claim(byte * 32, byte * 16, clock.ms + MINUTE)
            return True
        return False

    with database.connect() as sql:

        def first() -> object:
            text = "SELECT min(claimed_ms) FROM accord.claims"
            return sql.execute(text).fetchall()[0][0]

        assert await claimed()
        earliest = first()
        clock.ms += 5 * MINUTE
        with sql.transaction():
            sql.execute("SELECT 1 FROM accord.replay_guard FOR UPDATE")
            assert not await claimed()
        # Its moment is known to all from here on; the next who tidies goes by it.
        assert await claimed()
        assert first() == earliest
        assert await claimed()
        assert first() != earliest


async def test_without_the_server_nothing_is_claimed_or_counted_and_then_again(
    process: Process, clock: FixedClock, database: Database
) -> None:
    common = process(clock)
    guard = ReplayGuard(common.claims, clock)
    assert await guard.claim(DIGEST, NONCE, START + MINUTE) is Claim.NEW
    with database.server.away():
        for asked in (
            common.counting.admit([AGENCY]),
            guard.claim(b"e" * 32, b"m" * 16, START + MINUTE),
        ):
            with pytest.raises(Refused) as refused:
                await asked
            assert refused.value.code is Code.STORE_UNAVAILABLE
        assert not guard.running(b"e" * 32)
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with contextlib.suppress(Refused):
            await common.counting.admit([AGENCY])
            break
    assert await guard.claim(DIGEST, NONCE, START + MINUTE) is Claim.SAME
    assert await guard.claim(b"e" * 32, b"m" * 16, START + MINUTE) is Claim.NEW


def test_one_process_leads_and_another_once_it_is_gone(
    process: Process, clock: FixedClock, database: Database
) -> None:
    first, second = process(clock).seat, process(clock).seat
    assert first.take()
    assert not second.take()
    assert first.held()
    first.leave()
    assert second.take()
    assert not first.take()
    with database.connect() as sql:
        held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = %s"
        for (pid,) in sql.execute(held, (LEADER_LOCK & 0xFFFFFFFF,)).fetchall():
            sql.execute("SELECT pg_terminate_backend(%s)", (pid,))
    assert not second.held()
    assert first.take()
    assert not second.take()


def test_who_needs_the_store_alone_waits_until_nobody_serves(
    process: Process, clock: FixedClock, database: Database
) -> None:
    serving = process(clock)
    with database.connect() as sql:
        alone = "SELECT pg_try_advisory_lock(%s)"
        assert sql.execute(alone, (SERVING_LOCK,)).fetchone() == (False,)
        serving.close()
        # The server needs a moment to see it.
        sql.execute("SET lock_timeout TO '5s'")
        sql.execute("SELECT pg_advisory_lock(%s)", (SERVING_LOCK,))
        with pytest.raises(InputError, match="needs the store for itself"):
            process(clock)
    process(clock)


def test_a_server_that_does_not_answer_is_taken_for_gone(
    process: Process, clock: FixedClock, database: Database
) -> None:
    """Its process for our connection is stopped, so that the connection stays open."""
    seat = process(clock).seat
    assert seat.take()
    with database.connect() as sql:
        held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = %s"
        [(pid,)] = sql.execute(held, (LEADER_LOCK & 0xFFFFFFFF,)).fetchall()
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert not seat.held()
        assert ANSWER_S <= time.monotonic() - began < ANSWER_S + 2
    finally:
        os.kill(pid, signal.SIGCONT)
    until = time.monotonic() + 5
    while not seat.take():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_all_who_serve_have_one_data_folder(
    process: Process, clock: FixedClock, database: Database, tmp_path: Path
) -> None:
    serving = process(clock)
    process(clock)
    url, other = tmp_path / "store.url", tmp_path / "other"
    other.mkdir()
    with pytest.raises(InputError, match="is not the data folder of the node's processes"):
        SharedCommon(url, clock, other)
    serving.close()
    with pytest.raises(InputError, match="is not the data folder of the node's processes"):
        SharedCommon(url, clock, other)
    # One that was copied to another machine has the same files, and is no shared one.
    copied = shutil.copytree(tmp_path, tmp_path.with_name("copied"))
    with pytest.raises(InputError, match="is not the data folder of the node's processes"):
        SharedCommon(url, clock, copied)


def test_a_server_that_another_has_taken_over_from_is_refused(
    process: Process, clock: FixedClock, database: Database, tmp_path: Path
) -> None:
    """As it comes back after its standby was promoted, which raised the timeline."""
    first = process(clock)
    note = tmp_path / "server.id"
    system, timeline = note.read_text().split()
    with database.connect() as sql:
        assert sql.execute("SELECT system_identifier FROM pg_control_system()").fetchone() == (
            int(system),
        )
        assert timeline == "1"
        note.write_text(f"{system} 2")
        with pytest.raises(InputError, match="was taken over from: its timeline is 1, and was 2"):
            process(clock)
        # One that serves and has lost its connection does not lead by it any longer.
        assert first.seat.take()
        ended(sql, LEADER_LOCK)
        assert not first.seat.held()
        with pytest.raises(InputError, match="was taken over from"):
            first.seat.take()
    assert note.read_text() == f"{system} 2"
    # Another server altogether: reads were moved there.
    note.write_text(f"{int(system) + 1} 7")
    process(clock)
    assert note.read_text() == f"{system} 1"
    assert first.seat.take()


def test_who_serves_alone_may_have_moved(
    process: Process, clock: FixedClock, database: Database, tmp_path: Path
) -> None:
    process(clock).close()
    other = tmp_path / "other"
    other.mkdir()
    with database.connect() as sql:
        # The server needs a moment to see that nobody serves.
        sql.execute("SET lock_timeout TO '5s'")
        sql.execute("SELECT pg_advisory_lock(%s)", (SERVING_LOCK,))
    moved = SharedCommon(tmp_path / "store.url", clock, other)
    with pytest.raises(InputError, match="is not the data folder of the node's processes"):
        process(clock)
    moved.close()


def test_a_process_without_the_server_does_not_serve_beside_those_that_have_it(
    process: Process, clock: FixedClock, tmp_path: Path
) -> None:
    """Its node.toml lacks the section [store], say: it would answer again what they answered."""
    serving = process(clock)
    with pytest.raises(InputError, match="another process is using this node's data"):
        ReplayFile(tmp_path / "replay.db", clock)
    second = process(clock)
    serving.close()
    with pytest.raises(InputError, match="another process is using this node's data"):
        ReplayFile(tmp_path / "replay.db", clock)
    second.close()
    ReplayFile(tmp_path / "replay.db", clock).close()


def test_a_process_on_another_database_does_not_serve_from_the_same_data_folder(
    process: Process, clock: FixedClock, database: Database, tmp_path: Path
) -> None:
    first = process(clock)
    with database.server.database() as other:
        url = other.url_file(tmp_path, name="other.url")
        PostgresStore.open(url).close()
        clock.ms += 1
        with pytest.raises(InputError, match="whose replay guard is another one"):
            SharedCommon(url, clock, tmp_path)
        first.close()
        alone = ReplayFile(tmp_path / "replay.db", clock)
        with pytest.raises(InputError, match="whose replay guard is another one"):
            SharedCommon(url, clock, tmp_path)
        alone.close()
        SharedCommon(url, clock, tmp_path).close()
    process(clock)


async def test_nothing_is_claimed_while_a_command_has_the_store_or_once_the_guard_is_anew(
    process: Process, clock: FixedClock, database: Database
) -> None:
    """The connection that says that a process serves is lost; its others are not."""
    common = process(clock)
    guard = ReplayGuard(common.claims, clock)
    assert await guard.claim(DIGEST, NONCE, START + MINUTE) is Claim.NEW
    with database.connect() as sql:
        sql.execute("SET search_path TO accord")
        ended(sql, SERVING_LOCK)
        sql.execute("SET lock_timeout TO '5s'")
        sql.execute("SELECT pg_advisory_lock(%s)", (SERVING_LOCK,))
        with pytest.raises(Refused) as refused:
            await guard.claim(b"e" * 32, b"m" * 16, START + MINUTE)
        assert refused.value.code is Code.STORE_UNAVAILABLE
        assert not common.seat.take()
        # As accord-node store restored does.
        sql.execute("DELETE FROM claims")
        sql.execute("UPDATE replay_guard SET created_ms = %s", (START + 30_000,))
        sql.execute("SELECT pg_advisory_unlock(%s)", (SERVING_LOCK,))
        with pytest.raises(Refused) as refused:
            await guard.claim(DIGEST, NONCE, START + MINUTE)
        assert refused.value.code is Code.STORE_UNAVAILABLE
        assert sql.execute("SELECT count(*) FROM claims").fetchone() == (0,)


async def test_a_database_that_was_put_back_beneath_a_process_is_not_claimed_in(
    process: Process, clock: FixedClock, database: Database
) -> None:
    guard = ReplayGuard(process(clock).claims, clock)
    with database.connect() as sql:
        sql.execute("SET search_path TO accord")
        sql.execute("CREATE TABLE dumped AS SELECT * FROM replay_guard")
        assert await guard.claim(DIGEST, NONCE, START + MINUTE) is Claim.NEW
        sql.execute("DROP TABLE replay_guard")
        sql.execute("DELETE FROM claims")
        sql.execute("ALTER TABLE dumped RENAME TO replay_guard")
    with pytest.raises(Refused) as refused:
        await guard.claim(DIGEST, NONCE, START + MINUTE)
    assert refused.value.code is Code.STORE_UNAVAILABLE


def test_a_process_that_comes_back_to_others_of_another_data_folder_does_not_lead(
    process: Process, clock: FixedClock, database: Database
) -> None:
    seat = process(clock).seat
    with database.connect() as sql:
        ended(sql, SERVING_LOCK)
        was = sql.execute("UPDATE accord.data_folder SET mark = 'x' || mark RETURNING 1").fetchall()
        assert was == [(1,)]
        assert not seat.held()
        assert not seat.take()
        sql.execute("UPDATE accord.data_folder SET mark = substr(mark, 2)")
        assert seat.take()


def ended(sql: psycopg.Connection[Any], lock: int) -> None:
    """End the one connection that has a lock."""
    held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = %s"
    [(pid,)] = sql.execute(held, (lock & 0xFFFFFFFF,)).fetchall()
    sql.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
