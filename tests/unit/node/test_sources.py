"""Files that a node lives by: what can't be read takes its permissions with it."""

import os
from pathlib import Path

import pytest

from accord.errors import InputError
from node.watched import WatchedFile


def parse(data: bytes) -> bytes:
    if data == b"bad":
        raise InputError("policy.toml", "is not TOML")
    if data == b"odd":
        raise RuntimeError("nobody thought of this")
    return data


def write(path: Path, data: bytes, at_s: int) -> None:
    path.write_bytes(data)
    os.utime(path, (at_s, at_s))


@pytest.fixture
def watched(tmp_path: Path) -> tuple[Path, WatchedFile[bytes]]:
    path = tmp_path / "policy.toml"
    write(path, b"first", 1)
    file = WatchedFile(path, parse)
    assert file.refresh()
    assert (file.value, file.problem) == (b"first", "")
    assert not file.refresh()
    return path, file


def test_a_bad_file_and_a_missing_one_allow_nothing(
    watched: tuple[Path, WatchedFile[bytes]],
) -> None:
    path, file = watched
    write(path, b"bad", 2)
    assert file.refresh()
    assert (file.value, file.problem) == (None, "policy.toml: is not TOML")
    path.unlink()
    assert file.refresh()
    assert file.value is None
    assert "can't be read" in file.problem


def test_an_unforeseen_error_allows_nothing_and_is_tried_again(
    watched: tuple[Path, WatchedFile[bytes]],
) -> None:
    path, file = watched
    write(path, b"odd", 2)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            file.refresh()
        assert file.value is None
        assert "could not be read" in file.problem
    write(path, b"next", 3)
    assert file.refresh()
    assert file.value == b"next"
