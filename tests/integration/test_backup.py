"""Backup: what is copied, of which moment, where to, and until when it may be kept."""

import asyncio
import json
import shutil
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from accord.activation import FILE_NAME as ACTIVATED
from accord.clock import SystemClock, iso
from accord.errors import InputError
from node.backup import MANIFEST, read_backup
from node.serve import running_node
from tests.conftest import read_at
from tests.integration.backups import (
    DAY_MS,
    NEW,
    add,
    before,
    command,
    copied,
    entries,
    keep_days,
    settings,
    state,
    store,
)


@pytest.fixture
def city(made: tuple[Path, Path], tmp_path: Path) -> Path:
    return copied(made[0], tmp_path / "city")


def test_a_backup_holds_all_but_guard_and_clock_for_its_owner_alone(
    made: tuple[Path, Path],
) -> None:
    city, folder = made
    names = set(state(folder)) - {MANIFEST}
    photos = {name for name in names if name.startswith("photos/")}
    assert len(photos) == 1
    assert names - photos == {
        "reads.db", "audit.db", "witness.db", "permissions.db", "pins.json", ACTIVATED,
    }  # fmt: skip
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    content = json.loads((folder / MANIFEST).read_bytes())
    assert set(content["files"]) == names
    assert content["audit"]["size"] == len(entries(city))
    assert content["audit"]["checkpoint"].startswith(f"city/node\n{len(entries(city))}\n")
    found = read_backup(folder)
    # The oldest has 365 days for its photo, 730 for itself.
    due = found.destroy_by_ms
    assert due is not None
    assert abs(due - (found.made_ms + 363 * DAY_MS)) < 10 * 60_000
    with store(city) as opened:
        assert [note.decision for note in opened.holds.notes()] == ["backup"]


def test_a_backup_has_the_files_of_reads_too(city: Path, tmp_path: Path) -> None:
    now = SystemClock().now_ms()
    keep_days(city, 30)
    # From the first purge on the store knows how long reads are kept.
    command(city, "purge")
    add(city, *(read_at(now - days * DAY_MS, NEW) for days in range(1, 6)))
    with store(city) as opened:
        numbers = {one.row_id for one in opened.kept(NEW, 9, now)}
    folder = tmp_path / "files"
    command(city, "backup", str(folder))
    segments = {name for name in read_backup(folder).files if name.startswith("reads/")}
    assert 5 <= len(segments) <= 6
    assert segments == {f"reads/{path.name}" for path in (city / "data" / "reads").glob("*.db")}
    shutil.rmtree(city / "data" / "reads")
    with pytest.raises(InputError, match="is missing; restore it from the last backup"):
        add(city, read_at(now, NEW))
    command(city, "restore", str(folder))
    with store(city) as opened:
        assert {one.row_id for one in opened.kept(NEW, 9, now)} == numbers
        assert len(numbers) == 6
    (folder / sorted(segments)[0]).unlink()
    with pytest.raises(InputError, match="is missing; take another backup"):
        read_backup(folder)


def test_a_backup_tells_the_day_of_what_is_due_first_and_none_where_nothing_is(
    city: Path, tmp_path: Path
) -> None:
    keep_days(city, 10)
    said = command(city, "backup", str(tmp_path / "one")).output
    due = read_backup(tmp_path / "one").destroy_by_ms
    assert due is not None
    assert abs(due - (SystemClock().now_ms() + 8 * DAY_MS)) < 10 * 60_000
    assert f"Destroy it by {iso(due)}" in said
    keep_days(city, 730)
    with closing(sqlite3.connect(city / "data" / "reads.db")) as database, database:
        database.execute("DELETE FROM reads")
    assert "Nothing in it is ever due" in command(city, "backup", str(tmp_path / "two")).output


@pytest.mark.parametrize("where", ["full", "in the data", "above the data"])
def test_a_backup_goes_into_an_empty_folder_apart(city: Path, tmp_path: Path, where: str) -> None:
    folder = {"full": tmp_path / "full", "in the data": city / "data" / "b"}.get(where, city)
    if where == "full":
        folder.mkdir()
        (folder / "something").touch()
    with pytest.raises(InputError, match=r"is not empty|is not apart"):
        command(city, "backup", str(folder))
    assert not (folder / MANIFEST).exists()


async def test_a_backup_beside_a_node_that_takes_reads_is_of_one_moment(
    city: Path, tmp_path: Path
) -> None:
    stop = threading.Event()

    def write() -> int:
        number = 0
        with store(city) as opened:
            while not stop.is_set():
                at = SystemClock().now_ms()
                opened.add([read_at(at, f"T{number:06}"), read_at(at, f"U{number:06}")])
                number += 1
        return number

    async with running_node(settings(city), SystemClock()):
        writing = asyncio.create_task(asyncio.to_thread(write))
        try:
            for number in range(3):
                await asyncio.sleep(0.1)
                await asyncio.to_thread(command, city, "backup", str(tmp_path / str(number)))
            with pytest.raises(InputError, match=r"another node is serving|stop it"):
                await asyncio.to_thread(command, city, "restore", str(tmp_path / "0"))
        finally:
            stop.set()
        assert await writing > 20
        assert before(city) == []
    for number in range(3):
        with closing(sqlite3.connect(tmp_path / str(number) / "reads.db")) as database:
            rows = [row[0] for row in database.execute("SELECT plate FROM reads ORDER BY row_id")]
        # Pairs are whole, and none is left out.
        taken = rows[4:]
        assert taken == [f"{x}{n:06}" for n in range(len(taken) // 2) for x in "TU"]
