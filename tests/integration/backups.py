"""What the tests of backups share: a city that has served, and runs of the two commands."""

import asyncio
import os
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from accord.audit.file import LogFile
from accord.audit.leaf import Record
from accord.audit.log import AuditLog
from accord.audit.reader import AuditReader, Shown
from accord.clock import SystemClock
from accord.errors import InputError
from accord.keys import PrivateKey, read_secret_32
from accord.model import Read
from accord.testing import FederationSimulator
from node.__main__ import app
from node.config import NodeConfig, load_config
from node.holds import Hold, Note
from node.photos import Photos
from node.serve import running_node
from node.store.sqlite import SqliteStore
from tests.conftest import HOUR_MS, make_files, read_at
from tests.integration.test_photos import picture

DAY_MS = 24 * HOUR_MS
NEW, OLD, PICTURED, HELD = "9TST001", "9TST002", "9TST003", "9TST004"
BY = "R. Roe"


def settings(city: Path) -> NodeConfig:
    return load_config(city / "node.toml")


@contextmanager
def store(city: Path) -> Any:
    opened = SqliteStore.open(settings(city).data / "reads.db")
    try:
        yield opened
    finally:
        opened.close()


def add(city: Path, *reads: Read) -> None:
    with store(city) as opened:
        opened.add(reads)


def plates(city: Path) -> list[str]:
    now = SystemClock().now_ms()
    with store(city) as opened:
        found = [plate for plate in (NEW, OLD, PICTURED, HELD) for _ in opened.kept(plate, 9, now)]
        assert len(found) == opened.counts().reads
    return found


def log(city: Path) -> AuditLog:
    node = settings(city)
    return AuditLog.open(
        LogFile(node.data / "audit.db"),
        origin="city/node",
        key=PrivateKey.load(node.audit_key),
        secret=read_secret_32(node.audit_secret),
        clock=SystemClock(),
    )


def write_entries(city: Path, count: int, detail: str = "") -> None:
    async def write() -> None:
        for _ in range(count):
            await opened.append(Record("start", {"agency": "city", "detail": detail}))

    opened = log(city)
    asyncio.run(write())
    opened.close()


def entries(city: Path) -> list[Shown]:
    node = settings(city)
    key = PrivateKey.load(node.audit_key).public
    with AuditReader.open(
        LogFile(node.data / "audit.db"), read_secret_32(node.audit_secret), key
    ) as reader:
        assert reader.verify().ok
        return list(reader.entries())


def place(city: Path, plate: str, number: int) -> Hold:
    now = SystemClock().now_ms()
    one = Hold(f"hold-0000000{number}", "26-1", "order 7", BY, 0, now, now, now + DAY_MS, plate)
    with store(city) as opened:
        opened.holds.place(one, Note(f"{number:032x}", "held", "26-1", f"{one.hold_id} of a plate"))
    return one


def keep_days(city: Path, days: int) -> None:
    path = city / "policy.toml"
    path.write_text(path.read_text().replace("reads_days = 730", f"reads_days = {days}"))


def served_city(files: FederationSimulator) -> Path:
    """Serve a city once, with a read of today, one of two days ago, one with a photo."""
    city = files.folder("city")

    async def serve() -> None:
        async with running_node(settings(city), SystemClock()):
            await asyncio.sleep(0)

    asyncio.run(serve())
    now = SystemClock().now_ms()
    photo = Photos(settings(city).data / "photos").keep(picture())
    add(
        city,
        read_at(now - HOUR_MS, NEW),
        read_at(now - 2 * DAY_MS, OLD),
        read_at(now - 2 * DAY_MS, PICTURED, photo=photo),
        read_at(now - 2 * DAY_MS, HELD),
    )
    return city


def made_city(base: Path) -> Path:
    files = make_files(base, SystemClock())
    files.build()
    return served_city(files)


def command(city: Path, *words: str) -> Result:
    """Run one of the commands; raise what a person is told."""
    # As the program's own start has it (accord.processes.keep_private).
    mask = os.umask(0o077)
    try:
        result = CliRunner().invoke(app, [*words, "--config", str(city / "node.toml"), "--by", BY])
    finally:
        os.umask(mask)
    if isinstance(result.exception, InputError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def before(city: Path) -> list[Path]:
    return sorted(city.glob("data.before-restore-*"))


def state(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder, without locks and what SQLite makes for a look."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith((".lock", "-shm", "-wal"))
    }


def copied(city: Path, target: Path) -> Path:
    shutil.copytree(city, target, symlinks=True)
    return target


Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A city that has served, and its backup."""
    base = tmp_path_factory.mktemp("made")
    city = made_city(base)
    command(city, "backup", str(base / "backup"))
    return city, base / "backup"
