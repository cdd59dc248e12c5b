"""The SQLite file: private, one server, damaged, locked."""

import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from accord.agreements.terms import OPEN, Withholding
from accord.errors import Code, InputError, Refused
from accord.model import ExactPlate, Read, Window
from node.store import connections
from node.store.base import Search
from node.store.sqlite import SqliteStore
from tests.cuts import all_before
from tests.stores import SQLITE

START = 1_760_000_000_000
SEARCH = Search(
    ExactPlate("TEST001"), Window(START - 1, START + 10**6), OPEN, Withholding(), 0, 100
)
Make = Callable[..., Read]


@SQLITE
def test_files_are_for_the_owner_alone(store: SqliteStore, make_read: Make, tmp_path: Path) -> None:
    store.add([make_read()])
    folder = tmp_path / "data"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    names = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    assert {"reads.db", "reads.db-wal"} <= set(names)
    assert set(names.values()) == {0o600}


def test_one_process_serves_and_another_may_ingest(make_read: Make, tmp_path: Path) -> None:
    path = tmp_path / "reads.db"
    serving = SqliteStore.open(path, serving=True)
    with pytest.raises(InputError, match="another node is serving"):
        SqliteStore.open(path, serving=True)
    program = (
        "import sys; from pathlib import Path; from accord.model import Read\n"
        "from node.store.sqlite import SqliteStore\n"
        "store = SqliteStore.open(Path(sys.argv[1]))\n"
        f"store.add([Read('TEST001', 'TEST001', '', {START}, 'C', b'x' * 16)])\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)
    # It saw that others have the file open, and left them the journal.
    assert path.with_name("reads.db-wal").exists()
    assert len(serving.search(SEARCH).rows) == 1
    serving.close()
    SqliteStore.open(path, serving=True).close()


def test_a_file_that_is_no_store_is_named(tmp_path: Path) -> None:
    path = tmp_path / "reads.db"
    path.write_bytes(b"this is not a database, it only has the name of one" * 100)
    with pytest.raises(InputError) as error:
        SqliteStore.open(path)
    assert str(path) in str(error.value)
    assert "damaged" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_a_later_version_has_changed_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "reads.db"
    SqliteStore.open(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as sql:
        later = "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) SELECT "
        sql.execute(
            f"{later} migration_set, '099-later', applied_at FROM _sqlite_migrations LIMIT 1"
        )
        with pytest.raises(InputError, match="a later version of Accord") as refused:
            SqliteStore.open(path)
        assert refused.value.remedy == "install that version again"
        sql.execute("DELETE FROM _sqlite_migrations WHERE name = '099-later'")
    SqliteStore.open(path).close()


def test_a_damaged_page_is_data_loss(make_read: Make, tmp_path: Path) -> None:
    path = tmp_path / "reads.db"
    store = SqliteStore.open(path)
    store.add([make_read(captured_ms=START - 1 + n) for n in range(3000)])
    store.delete_reads(all_before(START), 1, lambda photo: None)
    store.settle(START)
    assert store.search(SEARCH).rows
    store.close()
    with closing(sqlite3.connect(path)) as sql:
        (first,) = sql.execute("SELECT max(rootpage) FROM sqlite_master").fetchone()
    content = bytearray(path.read_bytes())
    # Everything behind the tables' first pages.
    content[first * 4096 :] = b"\xa5" * (len(content) - first * 4096)
    path.write_bytes(content)
    store = SqliteStore.open(path)
    with pytest.raises(Refused) as refused:
        store.search(SEARCH)
    assert refused.value.code is Code.STORE_CORRUPT
    assert refused.value.status == "DATA_LOSS"
    assert "TEST001" not in str(refused.value) + refused.value.detail


def test_a_list_of_plates_that_is_damaged_is_told_at_the_start(
    make_read: Make, tmp_path: Path
) -> None:
    path = tmp_path / "reads.db"
    store = SqliteStore.open(path)
    store.add([make_read(f"P{n:05}") for n in range(3000)])
    store.close()
    SqliteStore.open(path, serving=True).close()
    content = bytearray(path.read_bytes())
    content[20 * 4096 :] = b"\xa5" * (len(content) - 20 * 4096)
    path.write_bytes(content)
    for _ in range(2):  # the lock is free again
        with pytest.raises(InputError, match="restore it from the last backup"):
            SqliteStore.open(path, serving=True)
    store.close()


def test_a_locked_store_is_unavailable_and_recovers(
    make_read: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "WRITE_WAIT_MS", 20)
    store = SqliteStore.open(tmp_path / "reads.db")
    other = sqlite3.connect(tmp_path / "reads.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Refused) as refused:
        store.add([make_read()])
    assert refused.value.code is Code.STORE_UNAVAILABLE
    # Readers are not held up by a writer.
    assert store.search(SEARCH).rows == ()
    other.execute("ROLLBACK")
    other.close()
    assert store.add([make_read()]).taken == 1
    store.close()


@SQLITE
def test_a_full_disk_is_unavailable(store: SqliteStore, make_read: Make) -> None:
    sql = store._connections.mine().sql
    pages = sql.execute("PRAGMA page_count").fetchone()[0]
    sql.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Refused) as refused:
        store.add([make_read(f"FULL{n}") for n in range(5000)])
    assert refused.value.code is Code.STORE_UNAVAILABLE
    assert "FULL" not in refused.value.detail.replace("SQLITE_FULL", "")
    sql.execute("PRAGMA max_page_count = 1000000")
    assert store.counts().reads == 0


def test_row_numbers_are_never_used_twice(store: SqliteStore, make_read: Make) -> None:
    store.add([make_read()])
    (first,) = store.search(SEARCH).rows
    store.delete_reads(all_before(START + 10**9), 10, lambda photo: None)
    store.add([make_read()])
    (second,) = store.search(SEARCH).rows
    assert second.row_id > first.row_id


@SQLITE
def test_closing_waits_for_who_is_in_the_middle_of_work(
    store: SqliteStore, make_read: Make, tmp_path: Path
) -> None:
    store.add([make_read()])
    used = connections.Connections(tmp_path / "data" / "reads.db")
    begun, told = threading.Event(), list[object]()

    def work() -> None:
        with used.mine().unbounded() as sql:
            begun.set()
            time.sleep(0.2)
            told.append(sql.execute("SELECT count(*) FROM reads").fetchone()[0])

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(30)
    used.close()
    assert told == [1]
    thread.join()
