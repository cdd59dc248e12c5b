"""A folder's files that are not as one wishes: half written, in the way, gone, named by others."""

import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import pytest
from PIL import Image

from accord.agreements.policy import parse_policy
from accord.agreements.retention import DAY_MS, limits
from accord.clock import SystemClock
from accord.errors import Code, Refused
from accord.testing import FixedClock
from node.photos import Photos
from node.store.sqlite import SqliteStore
from node.ways import folder as ways_folder
from node.ways.config import FolderSource
from node.ways.folder import FolderWay
from node.ways.intake import Intake, settings_of
from tests.integration.ways import event, plates


class Made:
    """A folder's way that a test looks through by hand, at a time of its own."""

    def __init__(self, city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.city = city
        self.folder = city / "in"
        self.folder.mkdir()
        self.store = SqliteStore.open(city / "data" / "reads.db")
        self.now_s = 1000.0
        monkeypatch.setattr(ways_folder.time, "monotonic", lambda: self.now_s)

    def way(self, later_ms: int = 0, **keys: object) -> FolderWay:
        source = FolderSource.model_validate(
            {"name": "pier", "way": "folder", "folder": "in", "settle_s": 2} | keys
        )
        policy = parse_policy((self.city / "policy.toml").read_bytes(), "policy.toml")
        intake = Intake(
            source, settings_of(source, self.city), self.store, Photos(self.city / "photos"),
            FixedClock(SystemClock().now_ms() + later_ms), bands={},
            kept=lambda: limits(policy.retention, ()),
        )  # fmt: skip
        return FolderWay(intake, source, self.city)

    def settled(self, way: FolderWay) -> None:
        """Look, wait until what is there has settled, and look again."""
        way.look()
        self.now_s += 2.5
        way.look()

    def plates(self) -> list[str]:
        return plates(self.city)

    def there(self, below: str = "") -> list[str]:
        folder = self.folder / below
        return sorted(p.name for p in folder.iterdir() if p.is_file()) if folder.is_dir() else []


@pytest.fixture
def made(city: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    one = Made(city, monkeypatch)
    yield one
    one.store.close()


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something happen once, while the first file of a look has been read."""
    stream, left = Intake.stream, [happens]

    def then(self: Intake, file: BinaryIO) -> None:
        stream(self, file)
        if left:
            left.pop()()

    monkeypatch.setattr(Intake, "stream", then)


def test_a_file_that_changed_since_the_scan_waits(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    way, second = made.way(), made.folder / "b.json"
    (made.folder / "a.json").write_bytes(event("TEST001"))
    second.write_bytes(event("TEST002"))
    os.utime(made.folder / "a.json", (1, 1))
    meanwhile(monkeypatch, lambda: second.write_bytes(event("TEST003")[:50]))
    made.settled(way)
    assert (made.there(), made.there("done"), made.there("rejected")) == (
        ["b.json"], ["a.json"], [],
    )  # fmt: skip
    second.write_bytes(event("TEST003"))
    made.settled(way)
    assert made.plates() == ["TEST001", "TEST003"]


def test_a_file_that_another_took_the_place_of_is_not_moved(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = made.way()
    (made.folder / "a.json").write_bytes(event("TEST001"))
    (made.folder / "new.part").write_bytes(event("TEST002"))
    new = made.folder / "new.part"
    meanwhile(monkeypatch, lambda: new.rename(made.folder / "a.json"))
    made.settled(way)
    assert made.there() == ["a.json"]
    made.settled(way)
    assert made.plates() == ["TEST001", "TEST002"]


def test_one_bad_file_is_told_without_its_name_and_the_rest_go_on(
    made: Made, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    way, name = made.way(), "TEST009" + "x" * 243 + ".json"
    (made.folder / "done").mkdir()
    (made.folder / "done" / name).write_bytes(b"")
    for order, (file, plate) in enumerate(
        ((name, "TEST001"), ("gone.json", "TEST008"), ("z.json", "TEST002"))
    ):
        (made.folder / file).write_bytes(event(plate))
        os.utime(made.folder / file, (order, order))
    meanwhile(monkeypatch, lambda: (made.folder / "gone.json").unlink())
    made.settled(way)
    assert made.plates() == ["TEST001", "TEST002"]
    assert made.there() == [name]
    said = "".join(capfd.readouterr())
    assert said.count("file not taken") == 2
    assert "File name too long" in said
    assert "No such file" in said
    assert str((made.folder / name).stat().st_ino) in said
    assert "TEST00" not in said
    way.look()
    assert "file not taken" not in "".join(capfd.readouterr())
    made.now_s += 65
    way.look()
    assert "".join(capfd.readouterr()).count("file not taken") == 1


def test_old_files_go_though_nothing_can_be_taken(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise Refused(Code.STORE_UNAVAILABLE, detail="the disk is full")

    (made.folder / "done").mkdir()
    (made.folder / "done" / "old.json").write_bytes(event("TEST001"))
    (made.folder / "a.json").write_bytes(event("TEST002"))
    way = made.way(4000 * DAY_MS, settle_s=0)
    monkeypatch.setattr(SqliteStore, "add", full)
    with pytest.raises(Refused):
        way.look()
    assert made.there("done") == []
    assert made.there() == ["a.json"]


MAPPING = """format = "accord-mapping/1"
plate = "plate"
time = "seen"
time_format = "iso"
camera = "camera"
photo = "photo"
"""
ROWS = "seen,camera,plate,photo\n2026-03-01T08:30:00Z,PIER-1,TEST001,a.JPG\n"


def photos(made: Made) -> list[str]:
    with closing(sqlite3.connect(made.city / "data" / "reads.db")) as database:
        return [row[0] for row in database.execute("SELECT photo FROM reads")]


def picture(path: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(path, "JPEG")


def test_a_picture_waits_for_the_file_that_names_it(made: Made) -> None:
    (made.city / "m.toml").write_text(MAPPING)
    way = made.way(format="csv", mapping="m.toml")
    picture(made.folder / "a.JPG")
    made.settled(way)
    made.now_s += 3500
    way.look()
    assert (made.there(), made.there("rejected")) == (["a.JPG"], [])
    (made.folder / "a.csv").write_text(ROWS)
    # Both are whole at one look, the picture for an hour: what names it goes first.
    os.utime(made.folder / "a.csv")
    way.look()
    made.now_s += 3600
    way.look()
    assert made.there("done") == ["a.JPG", "a.csv"]
    assert len([photo for photo in photos(made) if photo]) == 1


@pytest.mark.parametrize(("taken", "left"), [("move", ["a.JPG"]), ("remove", [])])
def test_a_picture_that_nothing_names_goes_after_an_hour(
    made: Made, taken: str, left: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    way = made.way(taken=taken)
    picture(made.folder / "a.JPG")
    made.settled(way)
    assert made.there() == ["a.JPG"]
    made.now_s += 3600
    way.look()
    assert (made.there(), made.there("done"), made.there("rejected")) == ([], left, [])
    assert "rejected" not in "".join(capfd.readouterr())


def test_a_picture_is_kept_no_longer_than_photos_are(made: Made) -> None:
    policy = made.city / "policy.toml"
    text = re.sub(r"(?m)^photos_days.*$", "photos_days = 2", policy.read_text())
    policy.write_text(re.sub(r"(?m)^reads_days.*$", "reads_days = 9", text))
    (made.folder / "done").mkdir()
    picture(made.folder / "done" / "a.JPG.1")
    picture(made.folder / "done" / "a.JPG")
    (made.folder / "done" / "a.csv").write_text(ROWS)
    made.way(DAY_MS).look()
    assert made.there("done") == ["a.JPG", "a.JPG.1", "a.csv"]
    made.way(3 * DAY_MS).look()
    assert made.there("done") == ["a.csv"]


@pytest.mark.parametrize("moved_to", ["done", "rejected"])
def test_what_is_written_after_the_move_is_taken_too(
    made: Made, moved_to: str, capfd: pytest.CaptureFixture[str]
) -> None:
    way, cut = made.way(), 200 if moved_to == "done" else 1
    whole = event("TEST001") + b"\n" + event("TEST002")
    with (made.folder / "a.json").open("wb", buffering=0) as file:
        file.write(whole[:cut])
        made.settled(way)
        assert made.there(moved_to) == ["a.json"]
        way.look()
        assert "moved too early" not in "".join(capfd.readouterr())
        file.write(whole[cut:])
        way.look()
        assert "TEST002" not in made.plates()
        made.now_s += 2.5
        way.look()
    assert made.plates() == ["TEST001", "TEST002"]
    assert (made.there(), made.there("done")) == ([], ["a.json"])
    assert made.there("rejected") == []
    said = "".join(capfd.readouterr())
    assert said.count("moved too early") == 1
    assert "TEST00" not in said
    documents = way._intake.account.documents
    made.now_s += 5
    way.look()
    assert way._intake.account.documents == documents == 2


def test_what_was_moved_is_looked_at_for_a_while_and_not_for_ever(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ways_folder, "_WATCHED", 1)
    way = made.way()
    for order, name in enumerate(("a.json", "b.json", "c.json")):
        (made.folder / name).write_bytes(event(f"TEST00{order}"))
        os.utime(made.folder / name, (order, order))
    made.settled(way)
    (made.folder / "done" / "b.json").write_bytes(event("TEST007"))
    (made.folder / "done" / "c.json").unlink()
    made.settled(way)
    assert made.plates() == ["TEST000", "TEST001", "TEST002"]
    (made.folder / "d.json").write_bytes(event("TEST003"))
    made.settled(way)
    made.now_s += 3600
    way.look()
    (made.folder / "done" / "d.json").write_bytes(event("TEST007"))
    made.settled(way)
    assert made.plates() == ["TEST000", "TEST001", "TEST002", "TEST003"]
