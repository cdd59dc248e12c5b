"""One log on a server, written by several processes in turn."""

import asyncio
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from accord.audit.log import AuditLog
from accord.audit.merkle import Frontier, leaf_hash
from accord.audit.once import Once
from accord.audit.reader import AuditReader
from accord.errors import Code, InputError, Refused
from accord.keys import PrivateKey
from node.store.postgres import log as on_server
from node.store.postgres.connections import SCHEMA
from node.store.postgres.log import LogTables
from tests.postgres import Database, Server
from tests.unit.accord.audit.conftest import SECRET, Book

TABLES = ("entries", "terms", "checkpoints", "nodes", "head")

# Tasks append and say so, line by line, once each is durable; without a count for ever.
WRITER = """
import asyncio, os, sys
from pathlib import Path
import structlog
from accord.audit.leaf import Record
from accord.audit.log import AuditLog
from accord.clock import SystemClock
from accord.errors import Refused
from accord.keys import PrivateKey
from node.store.postgres.log import LogTables

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
base, name, count, pause = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
log = AuditLog.open(
    LogTables.at(base / "store.url"), origin="harbor/node",
    key=PrivateKey.load(base / "audit.pem"), secret=bytes(range(32)), clock=SystemClock(),
)
os.write(1, b"ready\\n")
sys.stdin.readline()

async def append(task):
    number = 0
    while number != count:
        mark = f"{name}-{task}-{number}"
        try:
            entry = await log.append(Record("query", {"query_id": mark, "plate": "7INV001"}))
        except Refused:
            await asyncio.sleep(0.05)
        else:
            os.write(1, f"{entry.index} {mark}\\n".encode())
            await asyncio.sleep(pause)
        number += 1

async def main():
    await asyncio.gather(*(append(task) for task in range(6)))

asyncio.run(main())
log.close()
"""


class Shared(Book):
    """A log on a server, with files by which other processes open it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.folder = folder
        self.database = database
        super().__init__(LogTables.at(database.url_file(folder)))
        self.key.save(folder / "audit.pem")

    def writer(self, name: str, count: int = -1, pause: float = 0.0) -> "subprocess.Popen[bytes]":
        """Start a process that has opened the log; it writes once its stdin ends."""
        started = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(self.folder), name, str(count), str(pause)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert started.stdout is not None
        assert started.stdout.readline() == b"ready\n", started.communicate()
        return started

    def held(self) -> dict[int, str]:
        """Return what the log holds, once all of it is verified."""
        with AuditReader.open(self.place, SECRET, self.key.public, self.origin) as reader:
            found = reader.verify()
            assert (found.ok, found.problem) == (True, "")
            held = {shown.index: shown.fields["query_id"] for shown in reader.entries()}
        # Another may write on meanwhile.
        assert list(held) == list(range(len(held)))
        assert len(held) >= found.entries
        assert max(Counter(held.values()).values(), default=1) == 1
        return held


@pytest.fixture
def shared(database: Database, tmp_path: Path) -> Iterator[Shared]:
    found = Shared(database, tmp_path)
    yield found
    found.close()


def said(printed: bytes) -> dict[int, str]:
    """Return what a writer acknowledged; a line cut by a kill was not heard by anybody."""
    lines = [line for line in printed.splitlines(True) if line[-1:] == b"\n"]
    return {int(index): mark for index, mark in (line.decode().split() for line in lines)}


def go(writer: "subprocess.Popen[bytes]") -> None:
    assert writer.stdin is not None
    writer.stdin.close()
    # Else communicate() would flush it.
    writer.stdin = None


async def append(log: AuditLog, number: int) -> int:
    return (await log.append(Book.record(number))).index


def test_several_processes_write_one_log(shared: Shared) -> None:
    writers = [shared.writer(name, 40, pause=0.01) for name in ("a", "b", "c")]
    acknowledged: dict[int, str] = {}
    for writer in writers:
        go(writer)
    for writer in writers:
        printed, complaint = writer.communicate(timeout=120)
        assert (complaint, writer.returncode) == (b"", 0)
        mine = said(printed)
        assert not acknowledged.keys() & mine.keys()
        acknowledged |= mine
    assert len(acknowledged) == 3 * 6 * 40
    assert shared.held() == acknowledged
    # They did take turns: each wrote where another had.
    names = [mark[0] for _, mark in sorted(acknowledged.items())]
    assert sum(one != after for one, after in pairwise(names)) > 20


def kill_in_a_loop(shared: Shared, times: int) -> None:
    acknowledged: dict[int, str] = {}
    lines: list[bytes] = []
    # Paced, since all of the log is verified in each round.
    with shared.writer("other", pause=0.05) as other:
        assert other.stdout is not None
        listening = threading.Thread(target=lambda out=other.stdout: lines.extend(out))
        listening.start()
        go(other)
        try:
            for turn in range(times):
                with shared.writer(f"t{turn}") as writer:
                    assert writer.stdout is not None
                    go(writer)
                    begun = [writer.stdout.readline() for _ in range(20 + 17 * (turn % 5))]
                    writer.kill()
                    rest, complaint = writer.communicate()
                assert complaint == b""
                acknowledged |= said(b"".join(begun) + rest)
                assert acknowledged.items() <= shared.held().items()
        finally:
            other.kill()
            listening.join()
    before = len(acknowledged)
    acknowledged |= said(b"".join(lines))
    assert acknowledged.items() <= shared.held().items()
    assert before >= 20 * times
    assert len(acknowledged) >= before + 20 * times


def test_one_that_is_killed_holds_up_nobody_and_loses_nothing(shared: Shared) -> None:
    kill_in_a_loop(shared, 5)


@pytest.mark.full
def test_one_that_is_killed_for_long(shared: Shared) -> None:
    kill_in_a_loop(shared, 20)


async def test_a_restart_of_the_server_needs_none_of_the_node(shared: Shared) -> None:
    log, other = shared.open(), shared.open()
    assert [await append(log, 0), await append(other, 1), await append(log, 2)] == [0, 1, 2]
    shared.database.server.restart()
    # The connection is found dead before anything was begun: nobody need be refused.
    assert [await append(log, 3), await append(other, 4)] == [3, 4]
    assert not log.failed
    assert log.verify().ok


async def test_connections_that_an_administrator_ends_are_made_anew(shared: Shared) -> None:
    log = shared.open()
    await append(log, 0)
    with shared.database.server.connect() as sql:
        text = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        assert sql.execute(text, (shared.database.name,)).fetchall() == [(True,)]
    assert await append(log, 1) == 1


def test_a_restart_in_the_middle_loses_nothing_that_was_acknowledged(shared: Shared) -> None:
    writers = [shared.writer(name, 250) for name in ("a", "b")]
    begun: dict[str, list[bytes]] = {}
    for writer, name in zip(writers, "ab", strict=True):
        go(writer)
        assert writer.stdout is not None
        begun[name] = [writer.stdout.readline() for _ in range(40)]
    shared.database.server.restart()
    acknowledged: dict[int, str] = {}
    for writer, name in zip(writers, "ab", strict=True):
        rest, told = writer.communicate(timeout=120)
        assert writer.returncode == 0
        assert b"audit log failed" not in told
        # Some were refused while it was away, and more were written when it was back.
        assert b"written now" in told
        assert b"written again" in told
        mine = said(b"".join(begun[name]) + rest)
        assert len(mine) > 100
        acknowledged |= mine
    assert acknowledged.items() <= shared.held().items()


async def test_while_the_server_is_away_callers_are_refused(shared: Shared) -> None:
    log = shared.open()
    await append(log, 0)
    with shared.database.server.away():
        results = await asyncio.gather(*(append(log, n) for n in range(9)), return_exceptions=True)
        assert {getattr(one, "code", one) for one in results} == {Code.AUDIT_UNAVAILABLE}
    assert not log.failed
    assert await append(log, 1) == 1
    assert log.verify().ok


async def test_a_commit_whose_end_is_not_heard_is_gone_on_from(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server committed it, and the connection went: refused, and there once all the same."""
    log = shared.open()
    await append(log, 0)
    execute = psycopg.Connection.execute

    def cut(self: psycopg.Connection[object], text: str, *args: object) -> object:
        done = execute(self, text, *args)
        if text == "COMMIT":
            self.close()
            raise psycopg.OperationalError("the connection is lost")
        return done

    monkeypatch.setattr(psycopg.Connection, "execute", cut)
    with pytest.raises(Refused) as caught:
        await append(log, 1)
    monkeypatch.undo()
    assert caught.value.code is Code.AUDIT_UNAVAILABLE
    assert not log.failed
    assert await append(log, 2) == 2
    assert [shown.fields["plate"] for shown in log.entries()] == ["7INV000", "7INV001", "7INV002"]
    assert log.verify().ok


async def test_one_that_holds_the_head_lets_others_wait_but_not_fail(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(on_server._WRITING, "lock_timeout", "200ms")
    log = shared.open()
    await append(log, 0)
    with shared.database.connect() as sql, sql.transaction():
        sql.execute(f"SELECT 1 FROM {SCHEMA}.audit_head FOR UPDATE")
        with pytest.raises(Refused) as caught:
            await append(log, 1)
    assert caught.value.code is Code.AUDIT_UNAVAILABLE
    assert not log.failed
    assert await append(log, 2) == 1


def test_a_commit_waits_for_the_disk_whatever_the_server_does_else(
    shared: Shared, postgres: Server
) -> None:
    shown = ("synchronous_commit", "idle_in_transaction_session_timeout")
    with postgres.connect() as sql:
        assert sql.execute("SHOW synchronous_commit").fetchone() == ("off",)
    with shared.behind() as sql:
        assert [sql.execute(f"SHOW {name}").fetchone() for name in shown] == [("on",), ("10s",)]


def test_two_that_open_a_new_log_at_once(shared: Shared) -> None:
    shared.place.take().close()
    start, opened = threading.Barrier(8), []

    def open_one() -> None:
        start.wait()
        opened.append(shared.open())

    threads = [threading.Thread(target=open_one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [log.size for log in opened] == [0] * 8
    assert shared.rows("SELECT size FROM checkpoints") == [(0,)]


async def test_an_older_database_in_its_place_fails_the_log(shared: Shared) -> None:
    log, other = shared.open(), shared.open()
    for number in range(4):
        await append(log, number)
    older = Frontier()
    for (leaf,) in shared.rows("SELECT leaf FROM entries WHERE idx < 2 ORDER BY idx"):
        older.append(leaf_hash(leaf))
    with shared.behind() as sql:
        sql.execute("DELETE FROM entries WHERE idx >= 2")
        sql.execute("DELETE FROM terms WHERE idx >= 2")
        sql.execute("DELETE FROM checkpoints WHERE size > 2")
        sql.execute("DELETE FROM nodes WHERE level > 1 OR idx > 0")
        sql.execute("UPDATE head SET size = 2, frontier = ?", (older.to_bytes(),))
    # It is sound by itself, and only who has seen more can tell.
    assert log.verify().ok
    logs: list[Any] = []
    for _ in range(2):
        with capture_logs() as told, pytest.raises(Refused) as caught:
            await append(log, 5)
        logs += told
        assert caught.value.code is Code.AUDIT_UNAVAILABLE
        assert log.failed
    assert "the log went back: 4 entries were signed, now 2" in logs[0]["reason"]
    # The other had seen none of the four: it can't know.
    assert await append(other, 6) == 2
    assert len(shared.held()) == 3


@pytest.mark.parametrize("length", [1, 2])
async def test_a_fork_in_its_place_fails_the_log(
    shared: Shared, postgres: Server, tmp_path: Path, length: int
) -> None:
    """As long or longer, and signed with the right key; but not what was signed here."""
    log = shared.open()
    await append(log, 0)
    with postgres.database() as made:
        (tmp_path / "fork").mkdir()
        fork = Shared(made, tmp_path / "fork")
        fork.key = shared.key
        forked = fork.open()
        for number in range(length):
            await append(forked, 90 + number)
        forked.close()
        tables = {name: fork.rows(f"SELECT * FROM {name}") for name in TABLES}
    with shared.behind() as sql:
        for name, rows in tables.items():
            sql.execute(f"DELETE FROM {name}")
            sql.insert(name, rows)
    with capture_logs() as logs, pytest.raises(Refused):
        await append(log, 1)
    assert log.failed
    assert "parts from the one whose 1 entries were signed here" in logs[0]["reason"]
    assert len(shared.held()) == length


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE entries SET leaf = key WHERE idx = 1", "an entry from 1 to 2 was altered"),
        ("DELETE FROM entries WHERE idx = 1", "entry 1: is missing: 3 entries are signed"),
        ("UPDATE head SET frontier = key FROM entries WHERE idx = 1", "frontier is damaged"),
        ("UPDATE head SET size = 2", "frontier is damaged"),
        ("UPDATE checkpoints SET note = leaf FROM entries WHERE size = 3 AND idx = 1", "size 3"),
        ("UPDATE checkpoints SET note = leaf FROM entries WHERE size = 1 AND idx = 1", "size 1"),
        ("DELETE FROM checkpoints WHERE size = 1", "the checkpoint of size 1 is missing"),
        ("DELETE FROM head", "the log has no head"),
    ],
)
async def test_what_another_wrote_is_verified_before_it_is_built_on(
    shared: Shared, change: str, words: str
) -> None:
    log, other = shared.open(), shared.open()
    assert [await append(log, 0), await append(other, 1), await append(other, 2)] == [0, 1, 2]
    with shared.behind() as sql:
        sql.execute(change)
    with capture_logs() as logs, pytest.raises(Refused) as caught:
        await append(log, 3)
    assert caught.value.code is Code.AUDIT_UNAVAILABLE
    assert log.failed
    assert words in logs[0]["reason"]
    assert shared.rows("SELECT max(size) FROM checkpoints") == [(3,)]


async def test_many_that_another_wrote_are_followed_by_the_newest(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accord.audit.store._FOLLOWED", 8)
    log, other = shared.open(), shared.open()
    for number in range(2):
        await append(log, number)
    await asyncio.gather(*(append(other, number) for number in range(2, 40)))
    assert await append(log, 40) == 40
    assert len(shared.held()) == 41
    await asyncio.gather(*(append(other, number) for number in range(41, 60)))
    with shared.behind() as sql:
        sql.execute("UPDATE entries SET leaf = key WHERE idx = 59")
    with pytest.raises(Refused):
        await append(log, 60)
    assert log.failed


async def test_another_key_signs_nothing(shared: Shared) -> None:
    log = shared.open()
    await append(log, 0)
    shared.key = PrivateKey.generate("ed25519")
    with pytest.raises(InputError, match="not signed by harbor/node"):
        shared.open()


async def test_two_checkpoints_of_one_size_can_not_be(shared: Shared) -> None:
    log = shared.open()
    await append(log, 0)
    with pytest.raises(psycopg.errors.UniqueViolation), shared.behind() as sql:
        sql.execute("INSERT INTO checkpoints VALUES (1, ?)", (b"another",))


async def test_one_that_is_made_anew_knows_what_the_other_recorded(shared: Shared) -> None:
    """Whoever leads next reads what the one before it recorded once."""
    log, other = shared.open(), shared.open()
    note = {"note": "1" * 32, "decision": "released"}
    await Once(log, "retention", ("note",)).record(note)
    await Once(other, "retention", ("note",)).record(note)
    await Once(other, "retention", ("note",)).record(note | {"note": "2" * 32})
    await Once(log, "retention", ("note",)).record(note | {"note": "2" * 32})
    assert [shown.fields["note"][0] for shown in log.entries()] == ["1", "2"]


async def test_nothing_stands_in_the_clear(shared: Shared, postgres: Server) -> None:
    before = len(postgres.log())
    log = shared.open()
    secrets = {"plate": "7INV999", "case": "CASE-77", "officer_name": "Q. Example"}
    await log.append(shared.record(**secrets))
    with shared.behind() as sql:
        ((row),) = sql.execute("SELECT * FROM entries").fetchall()
    # What the server does not take, it logs.
    with pytest.raises(psycopg.Error), shared.behind() as sql:
        sql.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", row)
    raw = b"".join(
        value if isinstance(value, bytes) else str(value).encode()
        for table in TABLES
        for row in shared.rows(f"SELECT * FROM {table}")
        for value in row
    )
    told = postgres.log()[before:]
    assert "duplicate key" in told
    for word in ("7INV999", "CASE-77", "Example", "stolen-vehicle", "H-0"):
        assert word.encode() not in raw
        assert word.encode().hex() not in told
        assert word not in told
    assert row[2].hex()[:40] not in told
    assert b"harbor/node" in raw
