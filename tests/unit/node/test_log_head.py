"""A node does not go on with an audit log that is an older one than it has seen."""

import asyncio
import shutil
from pathlib import Path

import pytest

from accord.audit.checkpoint import Checkpoint, sign
from accord.audit.file import LogFile
from accord.audit.leaf import Record
from accord.audit.log import AuditLog
from accord.clock import SystemClock
from accord.errors import InputError
from accord.keys import ED25519, PrivateKey
from node.log_head import FILE_NAME, LogHead

ORIGIN = "city/node"
REMEDY = "do this"


class Log:
    """A log in a file, whose head a folder keeps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = PrivateKey.generate(ED25519)
        self.place = LogFile(folder / "audit.db")
        self.head = LogHead(folder, ORIGIN, self.key.public, REMEDY)

    def append(self, count: int = 1) -> None:
        log = AuditLog.open(
            self.place, origin=ORIGIN, key=self.key, secret=bytes(32), clock=SystemClock()
        )
        try:
            for _ in range(count):
                asyncio.run(log.append(Record("start", {"agency": "city"})))
        finally:
            log.close()

    def copy(self) -> Path:
        return Path(shutil.copy(self.place.path, self.folder / "older.db"))


@pytest.fixture
def log(tmp_path: Path) -> Log:
    made = Log(tmp_path)
    made.append(3)
    return made


def test_a_log_that_goes_on_is_taken(log: Log) -> None:
    log.head.require(log.place)
    log.head.keep(log.place)
    log.head.require(log.place)
    log.append()
    log.head.require(log.place)
    assert log.head.settle(log.place, SystemClock()) is None
    assert (log.folder / FILE_NAME).exists()


def test_an_older_copy_is_refused_until_a_person_says_that_it_is_to_be(log: Log) -> None:
    older = log.copy()
    log.append(2)
    log.head.keep(log.place)
    older.replace(log.place.path)
    with pytest.raises(InputError, match="had 5 entries, and is not what it was then; do this"):
        log.head.require(log.place)
    # Nor by who served while it was put back, and ends now.
    with pytest.raises(InputError, match="had 5 entries"):
        log.head.keep(log.place)
    aside = log.head.settle(log.place, SystemClock())
    assert aside is not None
    assert aside.read_bytes().startswith(b"city/node\n5\n")
    log.head.require(log.place)


def test_another_log_of_the_same_length_is_refused(log: Log) -> None:
    older = log.copy()
    log.append()
    log.head.keep(log.place)
    older.replace(log.place.path)
    log.append()
    with pytest.raises(InputError, match="had 4 entries"):
        log.head.require(log.place)


@pytest.mark.parametrize("spoilt", [b"", b"x" * 100, None])
def test_a_head_that_the_key_did_not_sign_is_refused(log: Log, spoilt: bytes | None) -> None:
    other = sign(Checkpoint(ORIGIN, 9, bytes(32)), PrivateKey.generate(ED25519))
    (log.folder / FILE_NAME).write_bytes(other if spoilt is None else spoilt)
    for demanded in (
        log.head.require,
        log.head.keep,
        lambda place: log.head.settle(place, SystemClock()),
    ):
        with pytest.raises(InputError, match="is no head that this node's log key signed; move"):
            demanded(log.place)
