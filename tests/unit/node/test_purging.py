"""A purge is told before it begins, by whomever it is asked, and stops with the clock."""

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from accord.agreements.retention import DAY_MS
from accord.clock import SystemClock, iso
from accord.errors import InputError
from accord.model import Read
from node.config import load_config
from node.leap import FILE_NAME, Leap
from node.store.sqlite import SqliteStore

Make = Callable[..., Read]
Run = Callable[..., Result]
BY = "R. Roe, records"


@pytest.fixture(autouse=True)
def fresh(settings: Path) -> None:
    for path in (settings.parent / "data").glob("clock.*"):
        path.unlink()


def add(settings: Path, *reads: Read) -> None:
    store = SqliteStore.open(load_config(settings).data / "reads.db")
    store.add(reads)
    store.close()


def left(settings: Path) -> tuple[int, list[Any]]:
    store = SqliteStore.open(load_config(settings).data / "reads.db")
    found = store.counts().reads, list(store.holds.notes())
    store.close()
    return found


def jumped(settings: Path, days: int) -> None:
    """Leave what a look so many days away from now would have kept in this boot."""
    data, clock = load_config(settings).data, SystemClock()
    Leap(data, clock).look(lambda *_: None)
    kept = json.loads((data / FILE_NAME).read_text())
    kept["ahead_ms"] -= days * DAY_MS
    kept["seen"]["wall_ms"] -= days * DAY_MS
    kept["seen"]["boot"] = kept["seen"]["boot"] or secrets.token_hex(4)
    (data / FILE_NAME).write_text(json.dumps(kept))


def test_a_purge_by_command_notes_counts_and_range(
    command: Run, settings: Path, make_read: Make
) -> None:
    now = SystemClock().now_ms()
    old = [make_read("TEST001", now - days * DAY_MS) for days in (800, 900)]
    add(settings, *old, make_read("TEST002", now))
    assert "Would go: 2 reads" in command("purge", "--dry-run").output
    assert left(settings) == (3, [])
    assert "Gone: 2 reads" in command("purge", "--by", BY).output
    reads, (note,) = left(settings)
    assert (reads, note.decision) == (1, "due")
    captured = f"reads captured {iso(old[1].captured_ms)} to {iso(old[0].captured_ms)}; by {BY}"
    assert note.detail.startswith("2 reads, 0 photos")
    assert note.detail.endswith(captured)
    assert "TEST0" not in repr(note)
    command("purge")
    assert len(left(settings)[1]) == 1


@pytest.mark.parametrize("days", [3, -3])
def test_after_a_jump_a_purge_waits_for_a_person(
    command: Run, settings: Path, make_read: Make, days: int
) -> None:
    add(settings, make_read("TEST001", SystemClock().now_ms() - 800 * DAY_MS))
    jumped(settings, days)
    with pytest.raises(InputError, match="so nothing is deleted; if it is wrong, set it right"):
        command("purge")
    assert "Would go: 1 reads" in command("purge", "--dry-run").output
    words = ["retention", "confirm-clock", "--by", BY]
    with pytest.raises(InputError, match="set it right"):
        command(*words, typed="n\n")
    assert left(settings)[0] == 1
    assert "goes with the next purge" in command(*words, typed="y\n").output
    assert "Nothing is stopped" in command(*words, "--yes").output
    assert "Gone: 1 reads" in command("purge").output
    reads, notes = left(settings)
    assert reads == 0
    assert [note.decision for note in notes] == ["purge stopped", "clock confirmed", "due"]
    assert BY in notes[1].detail
