"""A folder that files are put into, at a node that serves; and its figures and log."""

import asyncio
import errno
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from accord.agreements.policy import parse_policy
from accord.agreements.retention import DAY_MS, limits
from accord.clock import SystemClock
from accord.errors import Code, InputError, Refused
from accord.testing import FixedClock
from node import metrics
from node.config import load_config
from node.photos import Photos
from node.store import dead
from node.store.sqlite import SqliteStore
from node.ways import running
from node.ways.config import FolderSource
from node.ways.folder import FolderWay
from node.ways.intake import Account, Intake, settings_of
from tests.integration.test_metrics import samples
from tests.integration.ways import command, event, plates, taking_node, until

FOLDER = '\n[[sources]]\nname = "pier"\nway = "folder"\nfolder = "in"\nsettle_s = 0\n'


@pytest.fixture
def folder(city: Path) -> Path:
    made = city / "in"
    made.mkdir()
    return made


@pytest.fixture
def store(city: Path) -> Iterator[SqliteStore]:
    made = SqliteStore.open(city / "data" / "reads.db")
    yield made
    made.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


async def test_files_are_taken_and_moved(city: Path, folder: Path) -> None:
    (folder / "a.json").write_bytes(event("TEST001"))
    async with taking_node(city, FOLDER):
        await until(lambda: names(folder) == [])
        (folder / "a.json").write_bytes(event("TEST002"))
        await until(lambda: len(names(folder / "done")) == 2)
    assert plates(city) == ["TEST001", "TEST002"]
    assert (folder / "done" / "a.json").read_bytes() == event("TEST001")
    (later,) = (folder / "done").glob("a.json.*")
    assert later.read_bytes() == event("TEST002")
    assert (folder / "done").stat().st_mode & 0o777 == 0o700


async def test_files_are_removed_where_that_is_configured(city: Path, folder: Path) -> None:
    (folder / "a.json").write_bytes(event("TEST001"))
    async with taking_node(city, FOLDER + 'taken = "remove"\n'):
        await until(lambda: names(folder) == [])
    assert plates(city) == ["TEST001"]
    assert not (folder / "done").exists()


async def test_a_file_with_a_record_too_long_for_a_letter_is_kept(city: Path, folder: Path) -> None:
    damaged = b'{"type": "lpr", "id": "1", "thumb": "%b", "plate": "TEST001", "x": nope}' % (
        b"A" * 80_000
    )
    (folder / "a.json").write_bytes(damaged + event("TEST002"))
    async with taking_node(city, FOLDER + 'taken = "remove"\nformat = "frigate"\n') as node:
        await until(lambda: names(folder) == [])
        (letter,) = node.context.store.dead(0, "pier", "", 9)
    assert (plates(city), letter.cut) == (["TEST002"], True)
    assert b"TEST001" in (folder / "rejected" / "a.json").read_bytes()


async def test_what_is_no_document_is_set_aside_and_the_rest_is_taken(
    city: Path, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "TEST009.txt").write_bytes(b"TEST009")
    (folder / "b.json").write_bytes(event("TEST001") + b'\n{"type": "lpr", "plate": "TEST008"}')
    async with taking_node(city, FOLDER) as node:
        await until(lambda: names(folder) == [])
        letters = node.context.store.dead(0, "pier", "frigate", 9)
    assert names(folder / "rejected") == ["TEST009.txt"]
    assert names(folder / "done") == ["b.json"]
    assert plates(city) == ["TEST001"]
    assert [b"TEST008" in letter.content for letter in letters] == [True]
    said = "".join(capfd.readouterr())
    assert "file rejected" in said
    assert "TEST00" not in said


async def test_links_folders_and_unfinished_files_are_left_alone(
    city: Path, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere.json").write_bytes(event("TEST009"))
    (folder / "link.json").symlink_to(tmp_path / "elsewhere.json")
    os.mkfifo(folder / "pipe")
    (folder / "below").mkdir()
    (folder / "below" / "c.json").write_bytes(event("TEST008"))
    for name in (".hidden", "a.json.part", "a.TMP"):
        (folder / name).write_bytes(event("TEST007"))
    async with taking_node(city, FOLDER):
        (folder / "z.json").write_bytes(event("TEST001"))
        await until(lambda: (folder / "done" / "z.json").exists())
    assert plates(city) == ["TEST001"]
    assert names(folder) == [".hidden", "a.TMP", "a.json.part", "link.json"]


async def test_a_file_that_is_still_written_waits(city: Path, folder: Path) -> None:
    async with taking_node(city, FOLDER.replace("settle_s = 0", "settle_s = 3")):
        path = folder / "a.json"
        path.write_bytes(event("TEST001"))
        await until(lambda: time.time() - path.stat().st_mtime > 1.5)
        with path.open("ab") as file:
            file.write(b"\n" + event("TEST002"))
        grown = time.monotonic()
        await until(lambda: plates(city) != [])
        assert time.monotonic() - grown > 2.5
        await until(lambda: names(folder) == [])
    assert plates(city) == ["TEST001", "TEST002"]


def folder_way(city: Path, store: SqliteStore, later_ms: int = 0, taken: str = "move") -> FolderWay:
    policy = parse_policy((city / "policy.toml").read_bytes(), "policy.toml")
    source = FolderSource(name="pier", way="folder", folder="in", settle_s=0, taken=taken)
    intake = Intake(
        source, settings_of(source, city), store, Photos(city / "photos"),
        FixedClock(SystemClock().now_ms() + later_ms), bands={},
        kept=lambda: limits(policy.retention, ()),
    )  # fmt: skip
    return FolderWay(intake, source, city)


@pytest.mark.parametrize("taken", ["move", "remove"])
def test_a_link_in_place_of_done_or_rejected_leads_nowhere(
    city: Path, folder: Path, store: SqliteStore, taken: str
) -> None:
    keys = city / "keys-of-another"
    keys.mkdir()
    (keys / "old.pem").write_bytes(b"key")
    for name in ("done", "rejected"):
        (folder / name).symlink_to(keys)
    (folder / "a.json").write_bytes(event("TEST001"))
    (folder / "node.toml").write_bytes(b"no document")
    way = folder_way(city, store, taken=taken)
    with capture_logs() as logs:
        way.look()
        way.look()
    folder_way(city, store, 4000 * DAY_MS, taken).look()
    assert names(keys) == ["old.pem"]
    assert plates(city) == ["TEST001"]  # taken; where it should go is mended by a person
    left = ["node.toml"] if taken == "remove" else ["a.json", "node.toml"]
    assert [name for name in names(folder) if not (folder / name).is_symlink()] == left
    said = [line for line in logs if "can't be used" in line["event"]]
    assert [line["event"].partition("/")[0] for line in said] == ["done", "rejected"]
    for name in ("done", "rejected"):
        (folder / name).unlink()
    folder_way(city, store, taken=taken).look()
    assert (names(folder), names(folder / "rejected")) == ([], ["node.toml"])


def test_a_file_called_done_stops_no_other(city: Path, folder: Path, store: SqliteStore) -> None:
    (folder / "a.json").write_bytes(event("TEST001"))
    (folder / "b.json").write_bytes(event("TEST002"))
    (folder / "c.json").write_bytes(b"no document")
    for name in ("done", "rejected"):
        (folder / name).write_bytes(event("TEST009"))
    with capture_logs() as logs:
        folder_way(city, store).look()
    assert plates(city) == ["TEST001", "TEST002"]
    assert names(folder) == ["a.json", "b.json", "c.json", "done", "rejected"]
    remedies = [line["remedy"] for line in logs if "remedy" in line]
    assert remedies == [
        f"remove what is called {name}; the node makes the folder" for name in ("done", "rejected")
    ]


def test_where_the_node_may_not_write_the_log_names_the_unit(
    city: Path, folder: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    monkeypatch.setattr(os, "mkdir", read_only)
    (folder / "a.json").write_bytes(event("TEST001"))
    with capture_logs() as logs:
        folder_way(city, store).look()
    remedies = [line["remedy"] for line in logs if "remedy" in line]
    assert len(remedies) == 2
    assert all("ReadWritePaths" in remedy for remedy in remedies)
    assert names(folder) == ["a.json"]


def test_without_room_for_letters_a_file_waits_and_the_others_go_on(
    city: Path, folder: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead, "MAX_LETTERS", 2)
    bad = b"\n".join(b'{"type": "lpr", "id": "%d", "plate": "TEST00%d"}' % (n, n) for n in range(4))
    (folder / "a.json").write_bytes(bad + b"\n" + event("TEST010"))
    os.utime(folder / "a.json", (1e9, 1e9))
    for number in range(3):
        (folder / f"b{number}.json").write_bytes(event(f"TEST02{number}"))
    way, now_s = folder_way(city, store), time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    with capture_logs() as logs:
        way.look()
        (folder / "c.json").write_bytes(event("TEST030"))
        way.look()
    assert sorted(plates(city)) == ["TEST010", "TEST020", "TEST021", "TEST022", "TEST030"]
    assert names(folder) == ["a.json"]
    assert ["no room" in line["event"] for line in logs] == [True]
    monkeypatch.setattr(dead, "MAX_LETTERS", 9)
    way.look()
    assert names(folder) == ["a.json"]  # not before a minute is over
    now_s += 61
    way.look()
    assert (names(folder), len(store.dead(0, "", "", 9))) == ([], 4)


class Failing(io.RawIOBase):
    """A file on a disk that fails after the first bytes."""

    def __init__(self, path: Path, good: int) -> None:
        super().__init__()
        self._file, self._good = path.open("rb", buffering=0), good

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def fileno(self) -> int:
        return self._file.fileno()

    def readinto(self, buffer: Any) -> int:
        given = self._file.read(min(len(memoryview(buffer)), self._good))
        if not given:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._good -= len(given)
        memoryview(buffer)[: len(given)] = given
        return len(given)


@pytest.mark.parametrize("good", [10, 70_000])
def test_a_file_that_can_not_be_read_to_its_end_is_tried_again(
    city: Path, folder: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch, good: int
) -> None:
    path = folder / "a.json"
    path.write_bytes(b"\n".join(event(f"TEST{n:03}") for n in range(900)))
    way, now_s = folder_way(city, store), time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    with monkeypatch.context() as broken, capture_logs() as logs:
        broken.setattr(os, "fdopen", lambda d, _: (os.close(d), Failing(path, good))[1])
        way.look()
    ((event_, problem),) = [(line["event"], line["problem"]) for line in logs]
    assert (event_, "Input/output error" in problem) == ("file not taken", True)
    assert names(folder) == ["a.json"]
    now_s += 61
    way.look()
    assert (names(folder), names(folder / "done")) == ([], ["a.json"])
    assert len(plates(city)) == 900


def test_done_and_rejected_are_there_from_the_start(
    city: Path, folder: Path, store: SqliteStore
) -> None:
    folder_way(city, store, taken="remove").look()
    assert sorted(path.name for path in folder.iterdir()) == ["rejected"]
    folder_way(city, store).look()
    assert sorted(path.name for path in folder.iterdir()) == ["done", "rejected"]


def test_files_of_one_name_are_all_kept(city: Path, folder: Path, store: SqliteStore) -> None:
    way = folder_way(city, store)
    for number in range(4):
        (folder / "a.json").write_bytes(event(f"TEST00{number}"))
        way.look()
    moved = [path.read_bytes() for path in (folder / "done").iterdir()]
    assert sorted(moved) == [event(f"TEST00{number}") for number in range(4)]
    assert [name for name in names(folder / "done") if len(name) < 12] == ["a.json"]


def test_old_files_go_as_reads_do(city: Path, folder: Path, store: SqliteStore) -> None:
    for name in ("done", "rejected"):
        (folder / name).mkdir()
        (folder / name / "old.json").write_bytes(event("TEST001"))
    policy = parse_policy((city / "policy.toml").read_bytes(), "policy.toml")
    source = FolderSource(name="pier", way="folder", folder="in")
    now, days = SystemClock().now_ms(), policy.retention.reads_days
    for later_ms, left in ((days * DAY_MS - 60_000, 1), (days * DAY_MS + 60_000, 0)):
        intake = Intake(
            source, settings_of(source, city), store, Photos(city / "photos"),
            FixedClock(now + later_ms), bands={}, kept=lambda: limits(policy.retention, ()),
        )  # fmt: skip
        FolderWay(intake, source, city).look()
        assert len(names(folder / "done")) == len(names(folder / "rejected")) == left


async def test_the_store_that_is_full_leaves_the_file_for_later(
    city: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def full(*_: object) -> None:
        tries.append(1)
        raise Refused(Code.STORE_UNAVAILABLE, detail="the disk is full")

    async with taking_node(city, FOLDER):
        with monkeypatch.context() as broken:
            broken.setattr(SqliteStore, "add", full)
            (folder / "a.json").write_bytes(event("TEST001"))
            await until(lambda: len(tries) == 2)
        assert names(folder) == ["a.json"]
        await until(lambda: plates(city) == ["TEST001"])


async def test_a_folder_that_is_not_there_costs_the_source_and_not_the_node(
    city: Path, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = FOLDER.replace('"in"', '"later"')
    said: list[str] = []

    def told() -> bool:
        said.append("".join(capfd.readouterr()))
        return "No such file or directory" in "".join(said)

    async with taking_node(city, text):
        await until(told)
        (folder / "a.json").write_bytes(event("TEST001"))
        Path.rename(folder, city / "later")
        await until(lambda: plates(city) == ["TEST001"])


async def test_every_source_has_its_figures_and_no_plate_is_in_them(
    city: Path, folder: Path
) -> None:
    twice = FOLDER + FOLDER.replace("pier", "gate").replace('"in"', '"none"')
    async with taking_node(city, twice) as node:
        (folder / "a.json").write_bytes(event("TEST001") + b'\n{"type": "lpr", "plate": "TEST8"}')
        (folder / "b.json").write_bytes(event("TEST001"))
        (folder / "c.txt").write_bytes(b"TEST009")
        path = city / "data" / "metrics.prom"
        await until(lambda: names(folder) == [])
        metrics.write(node.context, "main", path, node.accounts)
        data = samples(path.read_bytes())
    assert data["accord_source_up", "pier", "folder"] == 1
    assert data["accord_source_up", "gate", "folder"] == 0
    assert data["accord_source_documents", "pier"] == 3
    assert data["accord_source_unreadable", "pier"] == 1
    outcomes = {key[1]: data[key] for key in data if key[0] == "accord_source_records"
                and key[2] == "pier"}  # fmt: skip
    assert outcomes == {"taken": 1, "known": 1, "refused": 1, "no read": 0,
                        "older than kept": 0, "no room": 0}  # fmt: skip
    assert data["accord_dead_letters", "pier"] == 1
    assert data["accord_source_last_timestamp_seconds", "pier"] > 1_700_000_000
    assert ("accord_source_last_timestamp_seconds", "gate") not in data
    assert "TEST" not in path.read_text()


async def test_the_log_tells_each_source_s_account(capfd: pytest.CaptureFixture[str]) -> None:
    one = Account("pier", "folder", documents=3)
    task = asyncio.create_task(running.accounts_logged([one], 0.01))
    await asyncio.sleep(0.2)
    task.cancel()
    assert "".join(capfd.readouterr()).count("documents=3") == 1


def test_two_sources_of_one_name_are_refused(city: Path, folder: Path) -> None:
    with (city / "node.toml").open("a") as file:
        file.write(FOLDER + FOLDER)
    with pytest.raises(InputError, match="'pier' is there twice"):
        load_config(city / "node.toml")


@pytest.mark.parametrize("own", [".", "..", "data", "data/../in/.."])
async def test_the_node_s_own_files_are_never_taken(city: Path, folder: Path, own: str) -> None:
    with pytest.raises(InputError, match="the node's own files"):
        async with taking_node(city, FOLDER.replace('"in"', f'"{own}"')):
            pass
    assert (city / "node.toml").exists()


def test_letters_of_a_file_are_tried_again_by_command(city: Path) -> None:
    snapshot = b'{"camera_id": "pier", "results": [{"plate": "test001", "box": {"xmin": 1}}]}'
    (city / "b.json").write_bytes(snapshot)
    assert "1 not taken" in command(city, "ingest", str(city / "b.json"))
    assert "1 of file (platerecognizer) since" in command(city, "ingest", "dead")
    same = command(city, "ingest", "retry")
    assert same.startswith("1 dead letters: 0 gone, 1 stay.")
    none = command(city, "ingest", "retry", "--source", "pier", "--at", "2026-03-01T08:30Z")
    assert none.startswith("0 dead letters")
    again = command(city, "ingest", "retry", "--format", "platerecognizer", "--at",
                    "2026-03-01T08:30Z")  # fmt: skip
    assert again.startswith("1 dead letters: 1 gone, 0 stay.")
    assert command(city, "ingest", "dead") == "No dead letters.\n"
    assert plates(city) == ["TEST001"]
    assert "test001" not in (same + again).lower()
