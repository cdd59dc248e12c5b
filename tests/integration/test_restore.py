"""Restore: what comes back, what is refused, and what it does not undo."""

import asyncio
import hashlib
import json
import shutil
import sqlite3
import stat
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from accord.activation import FILE_NAME as ACTIVATED
from accord.activation import read_activations
from accord.audit.checkpoint import Checkpoint
from accord.audit.witness import Held
from accord.clock import SystemClock, iso
from accord.errors import InputError, Refused
from accord.pins import Pins
from accord.testing import FixedClock
from accord.verification import SKEW_MS
from node import restore as restoring
from node.backup import MANIFEST, make_backup, read_backup
from node.holds import Note
from node.replay import ReplayGuard
from node.replay_file import ReplayFile
from node.restore import restore
from node.serve import running_node
from node.store.numbers import GAP
from node.witness_file import WitnessFile
from node.witness_memory import Memory
from tests.conftest import Federation, make_files, read_at
from tests.integration.backups import (
    BY,
    DAY_MS,
    HELD,
    NEW,
    OLD,
    PICTURED,
    Change,
    add,
    before,
    command,
    copied,
    entries,
    keep_days,
    made_city,
    place,
    plates,
    settings,
    state,
    store,
    write_entries,
)


@pytest.fixture
def city(made: tuple[Path, Path], tmp_path: Path) -> Path:
    return copied(made[0], tmp_path / "city")


@pytest.fixture
def backup(made: tuple[Path, Path], tmp_path: Path) -> Path:
    return copied(made[1], tmp_path / "backup")


def test_a_restore_puts_all_back_and_the_node_serves(city: Path, backup: Path) -> None:
    held, log = plates(city), len(entries(city))
    photos = {name for name in state(city / "data") if name.startswith("photos/")}
    shutil.rmtree(city / "data")
    said = command(city, "restore", str(backup)).output
    assert before(city) == []
    assert plates(city) == held
    assert {name for name in state(city / "data") if name.startswith("photos/")} == photos
    told = entries(city)[-1]
    assert (len(entries(city)), told.kind, told.fields["decision"]) == (
        log + 1, "restored", "restored",
    )  # fmt: skip
    found = read_backup(backup)
    for words in (iso(found.made_ms), f"{found.size} bytes", f"{log} audit entries", BY):
        assert words in told.fields["detail"]
    assert "no data were here before" in said
    for path in (city / "data").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    asyncio.run(serve(city))
    kinds = [entry.kind for entry in entries(city)]
    assert kinds[log:].count("retention") == 1
    assert "start" in kinds[log:]


async def serve(city: Path) -> None:
    async with running_node(settings(city), SystemClock()):
        await asyncio.sleep(0)


def test_what_was_there_is_moved_aside_whole(city: Path, backup: Path) -> None:
    add(city, read_at(SystemClock().now_ms(), NEW))
    there = state(city / "data")
    said = command(city, "restore", str(backup)).output
    [aside] = before(city)
    assert state(aside) == there
    assert str(aside) in said
    assert "up to you" in said
    assert plates(city) == [NEW, OLD, PICTURED, HELD]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def rewrite(folder: Path, **changes: Any) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changes))


def photo(folder: Path) -> Path:
    return next(folder.glob("photos/*/*.jpg"))


def relist(folder: Path, name: str) -> None:
    """Let the manifest name the file as it is now."""
    content = json.loads((folder / MANIFEST).read_bytes())
    data = (folder / name).read_bytes()
    content["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / MANIFEST).write_text(json.dumps(content))


def damage(folder: Path) -> None:
    """Damage pages of the reads in a way that a digest made after it does not tell."""
    path = folder / "reads.db"
    data = bytearray(path.read_bytes())
    data[4096 : len(data) - 4096] = bytes(len(data) - 8192)
    path.write_bytes(data)
    relist(folder, "reads.db")


def break_a_row(folder: Path) -> None:
    """Put a NULL where none may be: pages are in order, and the table is not."""
    text = "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = 'plates_gone'"
    strict, loose = "plate_id INTEGER NOT NULL", "plate_id INTEGER"
    steps = [(text, (strict, loose)), ("INSERT INTO plates_gone (plate_id) VALUES (NULL)", ()),
             (text, (loose, strict))]  # fmt: skip
    for statement, values in steps:
        with closing(sqlite3.connect(folder / "reads.db")) as database, database:
            database.execute("PRAGMA writable_schema=ON")
            database.execute(statement, values)
    relist(folder, "reads.db")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda b: flip(b / "reads.db"), "reads.db: is not what was copied"),
        (lambda b: flip(b / "audit.db"), "audit.db: is not what was copied"),
        (lambda b: flip(photo(b)), "jpg: is not what was copied"),
        (lambda b: photo(b).unlink(), "jpg: is missing"),
        (lambda b: (b / "pins.json").unlink(), r"pins.json: is missing"),
        (lambda b: (b / "reads.db-wal").touch(), "reads.db-wal: is not in backup.json"),
        (lambda b: (b / "photos" / "more").symlink_to("/etc"), "more: is not in backup.json"),
        (lambda b: (b / MANIFEST).unlink(), "is no backup"),
        (lambda b: (b / MANIFEST).write_text("{}"), "is not in its form"),
        (lambda b: rewrite(b, format="accord-backup/2"), "another version"),
        (lambda b: rewrite(b, more=1), "is not in its form"),
        (lambda b: rewrite(b, files={"../x": {"size": 0, "sha256": "0" * 64}}), "that no backup"),
        (lambda b: rewrite(b, agency="harbor"), "is a backup of harbor, not of city"),
        (lambda b: rewrite(b, audit={"size": 1, "checkpoint": "x"}), "has another head"),
        (damage, "reads.db: of the backup can't be used"),
        (break_a_row, "reads.db: of the backup is damaged"),
    ],
)
def test_what_is_not_whole_replaces_nothing(
    city: Path, backup: Path, change: Change, told: str
) -> None:
    change(backup)
    there = state(city / "data")
    with pytest.raises(InputError, match=told) as refused:
        command(city, "restore", str(backup))
    assert "\n" not in str(refused.value)
    assert state(city / "data") == there
    assert [path.name for path in city.glob("data*")] == ["data"]


def test_another_agencys_log_is_refused_though_the_manifest_says_it_is_ours(
    city: Path, backup: Path, tmp_path: Path
) -> None:
    other = made_city(tmp_path / "other")
    command(other, "backup", str(tmp_path / "theirs"))
    with pytest.raises(InputError, match="not signed by city/node"):
        command(city, "restore", str(tmp_path / "theirs"))
    assert before(city) == []


async def test_what_was_issued_before_a_restore_is_not_answered(tmp_path: Path) -> None:
    clock = SystemClock()
    files = make_files(tmp_path / "federation", clock)
    files.build()
    node, folder = settings(files.folder("city")), tmp_path / "backup"

    async def asked() -> str:
        async with running_node(node, clock), federation.client() as client:
            while True:
                [outcome] = (await client.ask(federation.question(agencies=("city",)))).outcomes
                # The broker waits a little before it calls again a node that was away.
                if outcome.code not in ("NODE_UNREACHABLE", "NODE_TIMED_OUT"):
                    return outcome.code
                await asyncio.sleep(0.2)

    async with AsyncExitStack() as stack:
        federation = Federation(files, clock, stack)
        await federation.start_node("harbor")
        await federation.start_broker()
        assert await asked() == ""
        await asyncio.to_thread(make_backup, node, folder, clock, BY)
        shutil.rmtree(node.data)
        await asyncio.to_thread(restore, node, folder, clock, BY, vouched=False)
        assert await asked() == "STALE"
        now, guard = clock.now_ms(), ReplayGuard(ReplayFile(node.data / "replay.db", clock), clock)
        # A clock that was ahead by as much as is borne may have issued it before.
        for issued_ms in (now - 60_000, now, now + SKEW_MS - 20_000):
            with pytest.raises(Refused, match="STALE"):
                guard.check_issued(issued_ms)
        guard.check_issued(now + SKEW_MS + 1)
        guard.close()
        # Half a minute later.
        with closing(sqlite3.connect(node.data / "replay.db")) as database, database:
            database.execute("UPDATE guard SET created_ms = created_ms - 60000")
        assert await asked() == ""


def test_what_is_due_at_a_restore_does_not_come_back(city: Path, backup: Path) -> None:
    place(city, HELD, 1)
    keep_days(city, 1)
    with store(city) as opened:
        notes = len(opened.holds.notes())
    said = command(city, "restore", str(backup)).output
    assert "Purged: 2 reads, 1 photos" in said
    assert plates(city) == [NEW, HELD]
    assert not list((city / "data").glob("photos/*/*.jpg"))
    for path in (city / "data").glob("reads.db*"):
        assert OLD.encode() not in path.read_bytes()
    with store(city) as opened:
        told = opened.holds.notes()
        assert [hold.hold_id for hold in opened.holds.all()] == ["hold-00000001"]
    assert len(told) == notes + 2
    assert told[-1].decision == "due"
    assert told[-1].detail.endswith(f"at a restore, by {BY}")


def test_a_hold_that_was_released_since_does_not_come_back(city: Path, tmp_path: Path) -> None:
    one, other = place(city, HELD, 1), place(city, OLD, 2)
    command(city, "backup", str(tmp_path / "later"))
    with store(city) as opened:
        for note in opened.holds.notes():
            opened.holds.forget(note.note_id)
        opened.holds.release(one.hold_id, Note("f" * 32, "released", "26-1", f"{one.hold_id} x"))
    # Both where the log tells it, and where only a note does yet.
    for _ in range(2):
        command(city, "restore", str(tmp_path / "later"))
        with store(city) as opened:
            assert opened.holds.all() == (other,)
        asyncio.run(serve(city))


def test_pins_and_activations_are_not_rolled_back(city: Path, backup: Path) -> None:
    pins = Pins.open(city / "data" / "pins.json")
    digest = next(iter(pins.texts))
    pins.instruments[digest, "harbor"] = 7
    pins.heads[digest, "harbor"], pins.named[digest, "harbor"] = 1 << 50, ("ab" * 32,)
    pins.agencies["0" * 64] = 3
    pins.save()
    activated = (city / "data" / ACTIVATED).read_bytes()
    content = json.loads(activated)
    content["activated"].append(content["activated"][0] | {"manifest_sha256": "cd" * 32})
    (city / "data" / ACTIVATED).write_text(json.dumps(content))
    command(city, "restore", str(backup))
    after = Pins.open(city / "data" / "pins.json")
    assert after == pins
    found = read_activations(city / "data" / ACTIVATED)
    assert [one.digest.hex() for one in found][-1] == "cd" * 32
    assert len(found) == len(content["activated"])


def cosigned(city: Path, size: int) -> None:
    """Remember a checkpoint as the node's witness does."""
    memory = Memory(WitnessFile(city / "data" / "witness.db"))
    signed = Checkpoint("harbor/node", size, bytes(32))
    with memory.turn("harbor/node") as turn:
        turn.replace(Held(signed, b"note", 1))
    memory.close()


def held_sizes(city: Path) -> list[int]:
    memory = Memory(WitnessFile(city / "data" / "witness.db"))
    found = [one.checkpoint.size for one in memory.held()]
    memory.close()
    return found


def test_what_a_witness_knows_is_in_a_backup_and_not_rolled_back(
    city: Path, tmp_path: Path
) -> None:
    cosigned(city, 5)
    command(city, "backup", str(tmp_path / "older"))
    cosigned(city, 9)
    command(city, "restore", str(tmp_path / "older"))
    assert held_sizes(city) == [9]
    (city / "data" / "witness.db").unlink()
    command(city, "restore", str(tmp_path / "older"))
    assert held_sizes(city) == [5]
    (city / "data" / "witness.db").write_bytes(b"x" * 5000)
    said = command(city, "restore", str(tmp_path / "older")).output
    assert "what was cosigned since the backup is not known" in said
    assert held_sizes(city) == [5]


def test_damaged_pins_are_replaced_and_it_is_told(city: Path, backup: Path) -> None:
    (city / "data" / "pins.json").write_text("{")
    said = command(city, "restore", str(backup)).output
    assert "what was seen since the backup is not known (is damaged" in said
    assert Pins.open(city / "data" / "pins.json").texts
    assert "is damaged" in entries(city)[-1].fields["detail"]


def test_a_log_that_goes_on_from_the_backups_is_kept(city: Path, backup: Path) -> None:
    write_entries(city, 3)
    there = [(entry.index, entry.fields) for entry in entries(city)]
    command(city, "restore", str(backup))
    assert [(entry.index, entry.fields) for entry in entries(city)][:-1] == there


def test_a_shorter_log_is_replaced_and_a_fork_refused(
    city: Path, backup: Path, tmp_path: Path
) -> None:
    other = copied(city, tmp_path / "other")
    write_entries(other, 2, "one")
    command(other, "backup", str(tmp_path / "longer"))
    write_entries(city, 1, "two")
    with pytest.raises(InputError, match="part from each other: one of them is a fork"):
        command(city, "restore", str(tmp_path / "longer"))
    assert before(city) == []
    command(city, "restore", str(backup))
    shutil.rmtree(city / "data")
    copied(before(city)[0], city / "data")
    with pytest.raises(InputError, match="fork"):
        command(city, "restore", str(tmp_path / "longer"))
    shutil.rmtree(city / "data")
    command(city, "restore", str(tmp_path / "longer"))
    shorter = copied(other, tmp_path / "shorter")
    shutil.copy(backup / "audit.db", shorter / "data" / "audit.db")
    for more in ("audit.db-wal", "audit.db-shm"):
        (shorter / "data" / more).unlink(missing_ok=True)
    command(shorter, "restore", str(tmp_path / "longer"))
    assert len(entries(shorter)) == len(entries(other)) + 1


def test_a_damaged_log_is_replaced_and_that_is_recorded(city: Path, backup: Path) -> None:
    write_entries(city, 2)
    with closing(sqlite3.connect(city / "data" / "audit.db")) as database, database:
        database.execute("UPDATE entries SET leaf = x'00' WHERE idx = 1")
    said = command(city, "restore", str(backup)).output
    assert "the audit log that was here is not sound" in said
    assert "is not sound" in entries(city)[-1].fields["detail"]


def test_row_numbers_that_were_given_out_since_are_not_used_again(city: Path, backup: Path) -> None:
    add(city, read_at(SystemClock().now_ms(), NEW))
    command(city, "restore", str(backup))
    add(city, read_at(SystemClock().now_ms(), NEW))
    numbers = []
    # The restore has purged, so that the store makes segments.
    for path in (city / "data" / "reads.db", *(city / "data" / "reads").glob("*.db")):
        with closing(sqlite3.connect(path)) as database:
            numbers += [row[0] for row in database.execute("SELECT row_id FROM reads")]
    numbers.sort()
    assert numbers[:-1] == [1, 2, 3, 4]
    assert numbers[-1] > GAP


@pytest.mark.parametrize("days", [3, -3])
def test_a_clock_in_doubt_deletes_nothing_unless_somebody_vouches_for_it(
    city: Path, backup: Path, days: int
) -> None:
    clock = FixedClock(SystemClock().now_ms() + days * DAY_MS)
    with pytest.raises(InputError, match=r"^clock: "):
        restore(settings(city), backup, clock, BY, vouched=False)
    assert before(city) == []
    if days > 0:
        restore(settings(city), backup, clock, BY, vouched=True)
        assert "who says that the clock is right" in entries(city)[-1].fields["detail"]
    else:
        with pytest.raises(InputError, match="behind the last entry"):
            restore(settings(city), backup, clock, BY, vouched=True)


def test_while_a_restore_is_under_way_or_half_way_nothing_starts(city: Path, backup: Path) -> None:
    (city / "data.restoring").mkdir()
    with pytest.raises(InputError, match="run accord-node restore again"):
        asyncio.run(serve(city))
    with pytest.raises(InputError, match="run accord-node restore again"):
        command(city, "purge")
    command(city, "restore", str(backup))
    asyncio.run(serve(city))


def test_what_somebody_made_while_the_data_were_aside_is_not_taken_for_them(
    city: Path, backup: Path
) -> None:
    there = state(city / "data")
    making, aside = city / "data.restoring", city / "data.before-restore-x"
    (making / "new").mkdir(parents=True)
    (making / restoring._READY).write_text(json.dumps({"before": aside.name}))
    (city / "data").rename(aside)
    (city / "data").mkdir()
    for _ in range(2):
        with pytest.raises(InputError, match=r"your data are in .*before-restore-x"):
            command(city, "restore", str(backup))
    (city / "data").rmdir()
    command(city, "restore", str(backup))
    assert [state(one) for one in before(city)] == [there]


def test_a_second_restore_waits_for_the_first(city: Path, backup: Path) -> None:
    with restoring._making(city / "data"), pytest.raises(InputError, match="under way"):
        command(city, "restore", str(backup))
    assert before(city) == []
