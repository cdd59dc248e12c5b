"""A node's folder with all that a healthy node has, and what `accord-node doctor` says of it."""

import asyncio
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from accord.clock import SystemClock
from node.config import NodeConfig, load_config
from node.doctor.checks import Finding, State, diagnose
from node.doctor.facts import (
    BrokerFacts,
    Facts,
)
from node.doctor.gather import gather
from node.serve import running_node
from node.store.sqlite import SqliteStore
from tests.conftest import HOUR_MS, PLATE, make_files, read_at

DAY_MS = 24 * HOUR_MS


class At:
    """A clock that can be set."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def now_ms(self) -> int:
        return SystemClock().now_ms() + self.ahead_ms


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a node that has served."""
    files = make_files(tmp_path_factory.mktemp("made"), SystemClock())
    files.build()
    folder = files.folder("city")

    async def serve_once() -> None:
        async with running_node(load_config(folder / "node.toml"), SystemClock()) as node:
            node.context.store.add([read_at(now() - HOUR_MS)])

    umask = os.umask(0o077)
    asyncio.run(serve_once())
    os.umask(umask)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "city")
    return tmp_path / "city"


def now() -> int:
    return SystemClock().now_ms()


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def with_store(folder: Path, work: Callable[[SqliteStore], object]) -> None:
    store = SqliteStore.open(folder / "data" / "reads.db")
    work(store)
    store.close()


def look(folder: Path, ahead_ms: int = 0, kept: bool | None = True) -> tuple[Finding, ...]:
    clock = At()
    clock.ahead_ms = ahead_ms

    def reach(settings: NodeConfig, *_: object) -> list[BrokerFacts]:
        return [BrokerFacts(name, "127.0.0.1:1") for name in settings.brokers]

    facts = gather(load_config(folder / "node.toml"), clock, reach, kept, 30.0)
    found = diagnose(facts)
    for secret in (PLATE, "O-1", "Officer"):
        assert secret not in str(found)
    return found


def amiss(found: tuple[Finding, ...]) -> list[Finding]:
    return [one for one in found if one.state is not State.OK]


FAULT, WARNING = State.FAULT, State.WARNING


def facts_of(folder: Path, **changes: object) -> Facts:
    facts = gather(load_config(folder / "node.toml"), At(), lambda *_: (), True, 30.0)
    return replace(facts, **changes)  # type: ignore[arg-type]


def of(facts: Facts, check: str) -> list[Finding]:
    return [one for one in diagnose(facts) if one.check == check]
