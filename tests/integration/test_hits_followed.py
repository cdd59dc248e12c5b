"""``accord-node hits``: our own people see hits as they come, and nothing that is due."""

import json
import os
import queue
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from accord.clock import SystemClock
from accord.hot_lists import HIT_NOTICE, HotListEntry
from node.config import load_config
from node.store.base import ReadStore
from node.store.opening import open_store
from tests.conftest import HOUR_MS, read_at
from tests.hot_lists import hold
from tests.integration.ways import command
from tests.postgres import Database
from tests.programs import program

DAY_MS = 24 * HOUR_MS


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, city: Path) -> Iterator[ReadStore]:
    """The city's store, with a list of one plate in it."""
    if request.param == "postgres":
        database: Database = request.getfixturevalue("database")
        database.url_file(city / "keys")
        with (city / "node.toml").open("a") as file:
            file.write('\n[store]\npostgres = "keys/store.url"\n')
    opened = open_store(load_config(city / "node.toml"))
    at = SystemClock().now_ms() - HOUR_MS
    entry = HotListEntry("stolen", "bureau", "9TST001", "CA", "stolen-vehicle", at, 7200)
    hold(opened, entry)
    yield opened
    opened.close()


@contextmanager
def following(city: Path, *arguments: str) -> Iterator["queue.Queue[str]"]:
    """Run the command with ``--follow``; yield its lines as they come."""
    running = subprocess.Popen(
        [program("accord-node"), "hits", "--follow", *arguments,
         "--config", str(city / "node.toml")],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"GRPC_VERBOSITY": "NONE"},
    )  # fmt: skip
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        assert running.stdout is not None
        for line in running.stdout:
            lines.put(line.rstrip("\n"))

    reader = threading.Thread(target=read)
    with running:
        reader.start()
        try:
            yield lines
        finally:
            running.terminate()
            reader.join(10)


def test_hits_are_shown_as_they_come(store: ReadStore, city: Path) -> None:
    now = SystemClock().now_ms()
    store.add([read_at(now - 60_000), read_at(now, "OTHER1")])
    with following(city, "--json", "--by", "Watch commander") as lines:
        first: dict[str, Any] = json.loads(lines.get(timeout=20))
        assert (first["plate"], first["list"], first["possible"]) == ("9TST001", "stolen", False)
        assert first["notice"] == HIT_NOTICE
        store.add([read_at(now, "OTHER2"), read_at(now, "9TST0O1", camera="CAM-2")])
        second = json.loads(lines.get(timeout=10))
        assert (second["plate"], second["possible"], second["camera"]) == ("9TST0O1", True, "CAM-2")
        # Captured two days ago, and came just now.
        store.add([read_at(now - 2 * DAY_MS)])
        assert json.loads(lines.get(timeout=10))["read_before_list"] is True
        assert lines.empty()
    (note,) = [one for one in store.holds.notes() if one.decision == "hits shown"]
    assert note.detail.endswith("by Watch commander")
    assert "9TST" not in note.detail


def test_what_is_due_is_not_shown(store: ReadStore, city: Path) -> None:
    now = SystemClock().now_ms()
    store.add([read_at(now - 731 * DAY_MS), read_at(now - 800 * DAY_MS), read_at(now)])
    shown = command(city, "hits", "--hours", "8760").splitlines()
    assert shown[0] == HIT_NOTICE
    (line,) = shown[1:]
    assert "HIT 9TST001 CA at CAM-1 is 9TST001 CA, stolen-vehicle, on stolen (bureau)" in line
    with following(city) as lines:
        assert [lines.get(timeout=20), lines.get(timeout=20)] == shown
        store.add([read_at(now - 731 * DAY_MS)])
        store.add([read_at(now, "9TST001", state="")])
        assert "POSSIBLE 9TST001 -- at CAM-1" in lines.get(timeout=10)
        assert lines.empty()


def test_a_server_that_was_away_is_asked_again(city: Path, database: Database) -> None:
    database.url_file(city / "keys")
    with (city / "node.toml").open("a") as file:
        file.write('\n[store]\npostgres = "keys/store.url"\n')
    store = open_store(load_config(city / "node.toml"))
    now = SystemClock().now_ms()
    entry = HotListEntry("stolen", "bureau", "9TST001", "CA", "stolen-vehicle", now, 7200)
    hold(store, entry)
    store.add([read_at(now)])
    with following(city, "--json") as lines:
        assert json.loads(lines.get(timeout=20))["plate"] == "9TST001"
        store.close()
        database.server.restart()
        store = open_store(load_config(city / "node.toml"))
        store.add([read_at(now, "9TST0O1")])
        assert json.loads(lines.get(timeout=20))["plate"] == "9TST0O1"
        assert lines.empty()
    store.close()
