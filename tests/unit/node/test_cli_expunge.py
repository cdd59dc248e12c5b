"""``accord-node audit expunge`` as a person runs it; a restore brings nothing of it back."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from accord.audit.extension import whole_head
from accord.audit.file import LogFile
from accord.audit.leaf import Record
from accord.clock import SystemClock
from accord.errors import InputError
from accord.keys import PrivateKey, read_secret_32
from node.backup import Log
from node.carried import LogKey, carry_log
from node.config import load_config
from node.opened_log import open_log, origin

QUERY = {"agency": "harbor", "plate": "7INV001", "case": "26-1", "officer": "H-1"}
ORDER = ("--authority", "Superior Court 26-001", "--signer", "A. Counsel")


@pytest.fixture
def log(settings: Path) -> Path:
    """The log of a node that has answered two queries."""
    for file in (settings.parent / "data").glob("audit.*"):
        file.unlink()
    opened = open_log(load_config(settings), SystemClock())

    async def fill() -> None:
        for kind in ("query", "answer", "purge"):
            await opened.append(Record(kind, QUERY))

    asyncio.run(fill())
    opened.close()
    return settings.parent / "data" / "audit.db"


def test_records_and_fields_are_expunged(command: Callable[..., Result], log: Path) -> None:
    said = command("audit", "expunge", "0", "1", "--field", "plate", *ORDER).output
    assert said == (
        "Entry 0: plate is destroyed; entry 3 names it.\n"
        "Entry 1: plate is destroyed; entry 4 names it.\n"
    )
    assert command("audit", "expunge", "0", *ORDER).output == (
        "Entry 0: the record is destroyed; entry 5 names it.\n"
    )
    assert command("audit", "expunge", "0", *ORDER).output == (
        "Entry 0: the record was expunged before, and is not there.\n"
    )
    with pytest.raises(InputError, match="of kind purge"):
        command("audit", "expunge", "2", *ORDER)
    assert (
        "Missing option '--signer'"
        in command("audit", "expunge", "1", "--authority", "x", status=2).output
    )


def test_a_node_that_serves_is_in_the_way(
    command: Callable[..., Result], settings: Path, log: Path
) -> None:
    serving = open_log(load_config(settings), SystemClock())
    try:
        with pytest.raises(InputError, match="another process writes this audit log"):
            command("audit", "expunge", "0", *ORDER)
    finally:
        serving.close()


@pytest.mark.parametrize("damage", ["", "sound head", "unreadable"])
def test_a_restore_brings_nothing_back(
    command: Callable[..., Result], settings: Path, log: Path, tmp_path: Path, damage: str
) -> None:
    loaded = load_config(settings)
    shutil.copy(log, tmp_path / "audit.db")
    key = LogKey(
        origin(loaded),
        PrivateKey.load(loaded.audit_key).public,
        read_secret_32(loaded.audit_secret),
    )

    head = whole_head(LogFile(log), key.origin, key.public)
    command("audit", "expunge", "0", *ORDER)
    if damage == "sound head":
        taken = LogFile(log).take()
        with taken.transaction() as sql:
            sql.execute("UPDATE head SET size = 2")
        taken.close()
    elif damage:
        log.write_bytes(b"\0" * 8192)
    claimed = Log(size=head.signed.size, checkpoint=head.note.decode())
    _, told = carry_log(log.parent, tmp_path, key, claimed)
    reading = LogFile(tmp_path / "audit.db").reading()
    ((there,),) = reading.execute("SELECT length(box) > 0 FROM entries WHERE idx = 0").fetchall()
    reading.close()
    if not damage:
        assert (there, told) == (0, [])
        return
    assert there == 1
    assert told[1] == (
        "it named as expunged: entries 0; expunge them again"
        if damage == "sound head"
        else "what was expunged since the backup is not known: expunge it again"
    )
