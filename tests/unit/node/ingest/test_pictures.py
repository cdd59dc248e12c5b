"""Pictures that a record names: plain files of the photo folder and nothing else."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.ingest.pictures import picture_file
from node.ingest.settings import Settings


@pytest.fixture(autouse=True)
def alarm() -> Iterator[None]:
    """A pipe that is opened by mistake waits for ever: not in a test."""

    def late(*_: object) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 5)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def picture(folder: Path, name: str) -> tuple[bytes | None, list[str]]:
    notes: list[str] = []
    return picture_file(name, Settings(photo_folder=folder), notes), notes


def test_a_file_is_a_picture(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"picture")
    assert picture(tmp_path, "a.jpg") == (b"picture", [])


def test_what_is_no_plain_file_is_none_and_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    for name in ("pipe.jpg", "folder.jpg", "none.jpg"):
        assert picture(tmp_path, name) == (None, ["the photo is not there"])
