"""``accord-node retention``: what is told, and what is refused in one line."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from accord.clock import SystemClock, iso
from accord.errors import InputError
from accord.keys import read_secret_32
from accord.model import Read
from node.config import load_config
from node.ids import Names
from node.store.sqlite import SqliteStore

DAY_MS = 86_400_000
BY = "R. Roe, records"
Run = Callable[..., Result]
Make = Callable[..., Read]


@pytest.fixture
def run(command: Run) -> Run:
    return partial(command, "retention")


def add(settings: Path, *reads: Read) -> None:
    store = SqliteStore.open(load_config(settings).data / "reads.db")
    store.add(reads)
    store.close()


def notes(settings: Path) -> list[Any]:
    store = SqliteStore.open(load_config(settings).data / "reads.db")
    found = store.holds.notes()
    store.close()
    return list(found)


def test_a_read_is_explained_by_its_plate_typed_in(
    run: Run, settings: Path, make_read: Make
) -> None:
    now = SystemClock().now_ms()
    add(settings, make_read("TEST001", now - DAY_MS), make_read("TEST002", now))
    told = json.loads(run("explain", "-", "--json", typed="test 001\n").output)["due"]
    assert [(row["what"], row["due"], row["section"]) for row in told] == [
        ("read", iso(now + 729 * DAY_MS), "policy.toml [retention] reads_days")
    ]
    said = run("explain", "TEST001").output
    assert "730 days" in said
    assert "kept" in said
    assert "Nothing of it is kept here" in run("explain", "TEST009").output
    assert [note.decision for note in notes(settings)] == ["explained"] * 3
    assert "TEST0" not in repr(notes(settings))


def test_a_read_that_waits_for_others_of_its_time_is_told_to_go_within_a_day(
    run: Run, settings: Path, make_read: Make
) -> None:
    """A purge does not take it yet, so it is not told to go with the next one."""
    now = SystemClock().now_ms()
    add(settings, make_read("TEST001", now - 730 * DAY_MS - 1_000))
    [row] = json.loads(run("explain", "TEST001", "--json").output)["due"]
    assert row["now"] == "hidden; gone within a day"


def test_a_read_is_explained_by_the_id_of_any_answer(
    run: Run, settings: Path, make_read: Make
) -> None:
    add(settings, make_read("TEST001", SystemClock().now_ms()))
    secret = read_secret_32(load_config(settings).names_secret)
    own = Names(secret, b"", "city").read_id(1).hex()
    assert len(json.loads(run("explain", own, "--json").output)["due"]) == 1
    with pytest.raises(InputError, match="none that this node gave"):
        run("explain", Names(secret, b"x", "nobody").read_id(1).hex())


def test_a_hold_is_placed_listed_and_released(run: Run, settings: Path, make_read: Make) -> None:
    now = SystemClock().now_ms()
    add(settings, make_read("TEST001", now - 800 * DAY_MS))
    words = ["--case", "26-1", "--authority", "Superior Court, order 7", "--by", BY]
    words += ["--until", iso(now + 30 * DAY_MS), "--plate", "-"]
    said = run("hold", *words, typed="TEST001\n").output
    assert "holds 1 reads now" in said
    assert "TEST001" not in said
    (one,) = json.loads(run("holds", "--json").output)["holds"]
    assert (one["case"], one["of"], one["in_force"]) == ("26-1", "plate TEST001", True)
    assert "Superior Court, order 7" in run("holds").output
    (row,) = json.loads(run("explain", "TEST001", "--json").output)["due"]
    assert row["now"] == f"hidden; held by {one['hold']}"
    assert "is released" in run("release", one["hold"], "--by", BY).output
    assert json.loads(run("holds", "--json").output)["holds"] == []
    told = notes(settings)
    assert [note.decision for note in told] == ["held", "explained", "released"]
    assert BY in told[0].detail
    assert "order 7" in told[0].detail
    assert "TEST001" not in repr(told)
    with pytest.raises(InputError, match="none that is here"):
        run("release", one["hold"], "--by", BY)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"--plate": ""}, "one plate, camera or area"),
        ({"--camera": "CAM-1"}, "one plate, camera or area"),
        ({"--plate": "NOT/A PLATE AT ALL"}, "^plate"),
        ({"--until": "2020-01-01T00:00Z"}, "not in the future"),
        ({"--until": "2099-01-01"}, "time with a zone"),
        ({"--from": "2098-01-01T00:00Z", "--to": "2097-01-01T00:00Z"}, "not before --to"),
        ({"--case": " "}, "--case: is empty"),
        ({"--authority": "a\nb"}, "not one line"),
        ({"--plate": "", "--area": "1,2,3"}, "four numbers"),
        ({"--plate": "", "--area": "99,0,100,1"}, "--area"),
    ],
)
def test_a_hold_that_is_none_is_refused_in_one_line(
    run: Run, settings: Path, changes: dict[str, str], told: str
) -> None:
    words = {"--case": "26-1", "--authority": "order 7", "--by": BY,
             "--until": "2099-01-01T00:00Z", "--plate": "TEST001"} | changes  # fmt: skip
    with pytest.raises(InputError, match=told) as refused:
        run("hold", *(part for pair in words.items() for part in pair))
    assert "\n" not in str(refused.value)
    assert "NOT/A" not in str(refused.value)
    assert json.loads(run("holds", "--json").output)["holds"] == []
