"""Copies of plain files for a backup and a restore: nothing else is followed or waited for."""

import os
import stat
from pathlib import Path

import pytest

from accord.errors import InputError
from node.backup import copy_file


def test_a_plain_file_is_copied_for_its_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"some bytes")
    copied = copy_file(tmp_path / "one", tmp_path / "new" / "one")
    assert (tmp_path / "new" / "one").read_bytes() == b"some bytes"
    assert stat.S_IMODE((tmp_path / "new" / "one").stat().st_mode) == 0o600
    assert copied.size == 10


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    one = tmp_path / "one"
    match kind:
        case "link":
            (tmp_path / "other").write_bytes(b"some bytes")
            one.symlink_to(tmp_path / "other")
        case "pipe":
            os.mkfifo(one)
        case "folder":
            one.mkdir()
    with pytest.raises(InputError, match="is no plain file; move it away"):
        copy_file(one, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
