"""The writer: durable, contiguous, one only; and what a reader finds."""

import asyncio
import contextlib
import resource
import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from accord.audit.file import LogFile
from accord.audit.leaf import Record, opening_matches
from accord.audit.log import AuditLog
from accord.audit.reader import AuditReader, Filter
from accord.errors import Code, InputError, Refused
from accord.keys import ECDSA, PrivateKey
from tests.stores import SQLITE


async def test_append_is_there_after_reopening(book):
    log = book.open()
    entry = await log.append(book.record(1))
    log.close()
    assert entry.index == 0
    assert opening_matches(entry.leaf, "plate", entry.salts["plate"], "7INV001")
    assert not opening_matches(entry.leaf, "plate", entry.salts["plate"], "7INV002")
    assert opening_matches(entry.leaf, "kind", entry.salts["kind"], "query")
    again = book.open()
    assert again.size == 1
    assert (await again.append(book.record(2))).index == 1
    assert again.verify().ok


async def test_time_is_the_clocks(book):
    log = book.open()
    entry = await log.append(book.record())
    assert entry.time_ms == book.start_ms + 1000
    (shown,) = log.entries()
    assert shown.time_ms == entry.time_ms
    assert shown.fields["time"] == "2026-09-21T14:13:21.000Z"
    assert shown.fields | {"time": "", "kind": ""} == dict(book.record().fields) | {
        "time": "",
        "kind": "",
    }


async def test_many_at_once_share_commits(book):
    log = book.open()
    entries = await asyncio.gather(*(log.append(book.record(n)) for n in range(200)))
    assert [entry.index for entry in entries] == list(range(200))
    ((commits,),) = book.rows("SELECT count(*) FROM checkpoints")
    # The empty checkpoint is one of them.
    assert 2 <= commits <= 40
    found = log.verify()
    assert (found.ok, found.entries) == (True, 200)


async def test_what_some_turns_of_the_loop_bring_is_one_commit(book):
    log = book.open()

    async def append(number: int) -> None:
        for _ in range(number % 3):
            await asyncio.sleep(0)
        # The loop is busy, and the writer could go on.
        time.sleep(0.002)  # noqa: ASYNC251 - it is to keep the loop busy
        await log.append(book.record(number))

    await asyncio.gather(*(append(number) for number in range(30)))
    assert book.rows("SELECT size FROM checkpoints ORDER BY size") == [(0,), (30,)]


def test_a_loop_that_stands_still_keeps_nobody_waiting(book):
    log = book.open()
    loop = asyncio.new_event_loop()
    task = loop.create_task(log.append(book.record(1)))
    loop.call_soon(loop.stop)
    loop.run_forever()
    other = asyncio.run(asyncio.wait_for(log.append(book.record(2)), 20))
    assert other.index == 0
    assert not task.done()
    # What was not handed over is written when the log is closed.
    log.close()
    assert loop.run_until_complete(asyncio.wait_for(task, 20)).index == 1
    loop.close()
    with book.reader() as reader:
        assert [shown.fields["plate"] for shown in reader.entries()] == ["7INV002", "7INV001"]


async def test_cancelled_caller_leaves_the_record(book):
    log = book.open()
    task = asyncio.create_task(log.append(book.record(1)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await log.append(book.record(2))).index == 1
    assert [shown.fields["plate"] for shown in log.entries()] == ["7INV001", "7INV002"]


@SQLITE
async def test_second_writer_is_refused(book):
    log = book.open()
    with pytest.raises(InputError, match="another process writes this audit log"):
        book.open()
    log.close()
    assert book.open().size == 0


async def test_append_after_close_is_refused(book):
    log = book.open()
    log.close()
    with pytest.raises(Refused) as caught:
        await log.append(book.record())
    assert caught.value.code is Code.AUDIT_UNAVAILABLE


async def test_reader_runs_beside_the_writer(book):
    log = book.open()
    await log.append(book.record(1))
    reader = book.reader()
    assert reader.verify().entries == 1
    await log.append(book.record(2))
    assert reader.verify().entries == 2
    assert reader.origin == "harbor/node"


async def test_filters_find_and_leave_out(book):
    log = book.open()
    for number in range(6):
        await log.append(book.record(number))
    await log.append(Record("purge", {"agency": "harbor", "reads": "7"}))

    def found(**kwargs):
        return [shown.index for shown in log.entries(Filter(**kwargs))]

    assert found(equal={"plate": "7INV003"}) == [3]
    assert found(equal={"officer": "H-1"}) == [1, 4]
    assert found(equal={"officer": "H-1", "case": "26-00004"}) == [4]
    assert found(equal={"kind": "purge"}) == [6]
    assert found(equal={"officer": "H-9"}) == []
    assert found(equal={}, limit=2) == [5, 6]
    assert found(equal={"agency": "harbor"}, since_ms=book.start_ms + 6000) == [5, 6]
    assert found(equal={}, until_ms=book.start_ms + 2000) == [0]
    with pytest.raises(ValueError, match="can't be looked up"):
        found(equal={"query_digest": "00"})


async def test_all_pages_are_read(book, monkeypatch):
    monkeypatch.setattr("accord.audit.reader._PAGE", 3)
    log = book.open()
    await asyncio.gather(*(log.append(book.record(n)) for n in range(10)))
    assert [shown.index for shown in log.entries()] == list(range(10))


@SQLITE
async def test_nothing_stands_in_the_clear(book):
    log = book.open()
    secrets = {"plate": "7INV999", "case": "CASE-77", "officer_name": "Q. Example"}
    await log.append(book.record(**secrets, reason="parked by the old crane"))
    raw = [p.read_bytes() for p in book.path.parent.iterdir()]
    assert book.path.with_name("audit.db-wal").stat().st_size > 0
    log.close()
    raw += [p.read_bytes() for p in book.path.parent.iterdir()]
    for word in (b"7INV999", b"CASE-77", b"Example", b"crane", b"stolen-vehicle", b"H-0"):
        assert not any(word in content for content in raw)
    # The twin: the same search does find what is in the clear.
    assert any(b"harbor/node" in content for content in raw)


@SQLITE
async def test_files_are_ours_alone(book):
    log = book.open()
    await log.append(book.record())
    modes = {p.name: p.stat().st_mode & 0o777 for p in book.path.parent.iterdir()}
    assert set(modes.values()) == {0o600}
    log.close()
    book.path.chmod(0o640)
    with pytest.raises(InputError, match="chmod 600"):
        book.open()


@SQLITE
def test_commits_wait_for_the_disk(book):
    with contextlib.closing(LogFile(book.path).take()) as taken, taken.transaction() as sql:
        connection = sql.connection
        assert connection.execute("PRAGMA journal_mode").fetchone() == (b"wal",)
        full = 2
        assert connection.execute("PRAGMA synchronous").fetchone() == (full,)


@SQLITE
async def test_full_disk_halts_the_log_until_it_is_reopened(book):
    log = book.open()
    first = await log.append(book.record(1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = book.path.with_name("audit.db-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 4096, limits[1]))
    try:
        with pytest.raises(Refused) as caught:
            await log.append(book.record(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.code is Code.AUDIT_UNAVAILABLE
    assert log.failed
    # There is room again, but a failed log is never trusted to go on.
    with pytest.raises(Refused) as caught:
        await log.append(book.record(3))
    assert caught.value.code is Code.AUDIT_UNAVAILABLE
    log.close()
    again = book.open()
    assert (first.index, again.size) == (0, 1)
    assert (await again.append(book.record(4))).index == 1
    assert again.verify().ok


@SQLITE
async def test_every_waiting_append_hears_of_the_failure(book):
    log = book.open()
    await log.append(book.record(0))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        results = await asyncio.gather(
            *(log.append(book.record(n)) for n in range(50)), return_exceptions=True
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {type(result) for result in results} == {Refused}


@SQLITE
async def test_a_busy_file_refuses_but_does_not_halt(book, monkeypatch):
    monkeypatch.setattr("accord.audit.file.BUSY_MS", 1)
    log = book.open()
    with contextlib.closing(sqlite3.connect(book.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Refused) as caught:
            await log.append(book.record(1))
        other.execute("ROLLBACK")
    assert caught.value.code is Code.AUDIT_UNAVAILABLE
    assert not log.failed
    assert (await log.append(book.record(2))).index == 0


def test_another_key_does_not_open_it(book):
    book.open().close()
    book.key = PrivateKey.generate("ed25519")
    with pytest.raises(InputError, match="not signed by harbor/node"):
        book.open()


def test_another_secret_opens_no_record(book):
    log = book.open()
    asyncio.run(log.append(book.record()))
    with AuditReader.open(book.place, secret=bytes(32), public=book.key.public) as reader:
        assert (
            reader.verify().problem
            == "entry 0: the sealed record does not open: altered, or another secret"
        )
        with pytest.raises(Refused) as caught:
            list(reader.entries())
    assert caught.value.code is Code.STORE_CORRUPT


@SQLITE
def test_only_ed25519_signs_checkpoints(book):
    book.key = PrivateKey.generate(ECDSA)
    with pytest.raises(InputError, match="not an Ed25519 key"):
        book.open()
    assert not book.path.exists()


@SQLITE
def test_a_file_of_another_kind(book):
    book.path.write_bytes(b"no database at all, " * 400)
    book.path.chmod(0o600)
    with pytest.raises(InputError, match="is not a sound audit log") as caught:
        book.open()
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="is not a sound audit log"):
        book.reader()


@SQLITE
def test_missing_file_and_folder(tmp_path: Path, book):
    with pytest.raises(InputError, match="is not there"):
        book.reader()
    shutil.rmtree(tmp_path)
    with pytest.raises(InputError, match="can't be written"):
        book.open()
    tmp_path.mkdir()


def test_unknown_kind_and_bad_names():
    with pytest.raises(ValueError, match="not a kind"):
        Record("gossip", {})
    with pytest.raises(ValueError, match="not the name"):
        Record("query", {"Plate!": "x"})
    with pytest.raises(ValueError, match="the log itself sets"):
        Record("query", {"time": "now"})


def test_origin_is_checked(book):
    with pytest.raises(InputError, match="can't be its name"):
        AuditLog.open(
            book.place, origin="harbor node", key=book.key, secret=book.secret, clock=book.clock
        )
