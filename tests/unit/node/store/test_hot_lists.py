"""Hot lists in the store: replaced at once, never by an older one, aged, cleared away."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from accord.agreements.terms import Withholding
from accord.errors import Code, InputError, Refused
from accord.hot_lists import HotListEntry
from accord.model import Read
from node.store.base import Listed, ReadStore
from node.store.hot_lists import MAX_ALIKE, HotLists
from node.store.migrations import MIGRATIONS
from node.store.sqlite import SqliteStore
from tests.hot_lists import hold, hot_list
from tests.stores import Place

START = 1_760_000_000_000


def entry(plate: str, state: str = "CA", list_name: str = "stolen") -> HotListEntry:
    return HotListEntry(list_name, "bureau", plate, state, "stolen-vehicle", START, 3600)


def test_a_hot_list_is_replaced_as_a_whole(store: ReadStore) -> None:
    hold(store, entry("AAA1"), entry("BBB2"), entry("AAA1"))
    hold(store, entry("AAA1", list_name="other"))
    hold(store, entry("CCC3"))
    assert [(one.name, one.entries) for one in store.hot_lists.lists()] == [
        ("other", 1), ("stolen", 1),
    ]  # fmt: skip
    assert [e.list for e in store.hot_lists.entries("AAA1", "")] == ["other"]
    assert store.hot_lists.entries("BBB2", "") == ()
    assert store.hot_lists.entries("CCC3", "") == (entry("CCC3"),)
    assert list(store.hot_lists.listed("stolen")) == [Listed("CCC3", "CA", "stolen-vehicle")]


def test_look_up_by_state_withholding_and_age(store: ReadStore) -> None:
    hold(store, entry("AAA1"), entry("AAA1", "NV"))
    look = store.hot_lists.entries
    assert [e.state for e in look("AAA1", "NV")] == ["NV"]
    assert len(look("AAA1", "")) == 2
    assert look("AAA1", "", Withholding(plates=frozenset({"AAA1"}))) == ()
    assert len(look("AAA1", "", earliest_ms=START)) == 2
    assert look("AAA1", "", earliest_ms=START + 1) == ()
    # A look-alike is not this plate.
    assert look("AAAI", "") == ()


def test_a_list_of_made_up_spellings_is_refused_and_the_old_one_stays(
    store: ReadStore, place: Place, make_read: Callable[..., Read]
) -> None:
    spellings = ["".join(signs) for signs in product("0DOQ", repeat=5)]
    hold(store, entry("AAA1"))
    with pytest.raises(InputError) as refused:
        hold(store, *(entry(plate) for plate in spellings[: MAX_ALIKE + 1]))
    assert "look alike" in str(refused.value)
    assert not any(plate in str(refused.value) for plate in spellings)
    (held,) = store.hot_lists.lists()
    assert (held.entries, store.counts().entries) == (1, 1)
    # As many as may be, with others beside them: none that is exact is lost.
    others = [entry(f"{n:05}X") for n in range(MAX_ALIKE)]
    listed = [entry(plate) for plate in spellings[:MAX_ALIKE]]
    hold(store, *listed, *others)
    assert store.counts().entries == 2 * MAX_ALIKE
    # The same entry many times is one.
    hold(store, *listed, *listed, name="twice")
    arriving = [make_read(one.plate) for one in (listed[0], listed[-1])]
    assert store.add(arriving).hits == 20
    exact = "SELECT count(*) FROM hits WHERE listed_plate = ? AND NOT possible"
    assert [place.rows(exact, read.plate) for read in arriving] == [[(2,)], [(2,)]]


def test_an_entry_without_a_state_is_told_as_on_arrival(store: ReadStore) -> None:
    hold(store, entry("AAA1", ""), entry("AAA1", "NV"))
    look = store.hot_lists.entries
    assert [e.state for e in look("AAA1", "CA")] == [""]
    assert [e.state for e in look("AAA1", "NV")] == ["", "NV"]
    assert [e.state for e in look("AAA1", "")] == ["", "NV"]


class At:
    def __init__(self, ms: int) -> None:
        self.ms = ms

    def now_ms(self) -> int:
        return self.ms


def test_a_list_past_its_hard_limit_says_nothing(place: Place) -> None:
    clock = At(START + 7_200_000)
    store = place.open(clock=clock)
    hold(store, entry("AAA1"), hard_limit_s=7200)
    (found,) = store.hot_lists.entries("AAA1", "")
    assert found.stale_at(clock.ms)
    (held,) = store.hot_lists.lists()
    assert (held.stale_at(clock.ms), held.refused_at(clock.ms)) == (True, False)
    clock.ms += 1
    assert store.hot_lists.entries("AAA1", "") == ()
    assert held.refused_at(clock.ms)
    store.close()


def test_an_older_publication_replaces_a_newer_one_only_where_that_is_said(
    store: ReadStore,
) -> None:
    hold(store, entry("AAA1"))
    older = replace(hot_list(entry("BBB2")), published_ms=START - 1)
    listed = [Listed("BBB2", "CA", "stolen-vehicle")]
    with pytest.raises(InputError, match="older") as error:
        store.hot_lists.replace(older, listed)
    assert "--older" in str(error.value)
    assert "BBB2" not in str(error.value)
    assert store.hot_lists.entries("AAA1", "")
    # The same moment is not older, and another list's moment says nothing.
    store.hot_lists.replace(replace(older, published_ms=START), listed)
    store.hot_lists.replace(replace(older, name="other"), listed)
    store.hot_lists.replace(older, listed, older=True)
    assert [one.published_ms for one in store.hot_lists.lists()] == [START - 1, START - 1]


def test_a_list_that_went_while_an_import_ran_stops_it(
    store: ReadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A purge needs no import's lock: what changes went upon may be gone when they are in."""
    hold(store, entry("AAA1"))
    (held,) = store.hot_lists.lists()
    write = HotLists._write

    def purged(self: HotLists, *given: Any) -> tuple[int, int]:
        written = write(self, *given)
        store.hot_lists.delete_published(START + 1)
        return written

    monkeypatch.setattr(HotLists, "_write", purged)
    with pytest.raises(InputError, match="run it again"):
        store.hot_lists.replace(
            hot_list(entry("AAA1")), [Listed("AAA1", "CA", "stolen-vehicle")], upon=held
        )
    assert store.hot_lists.lists() == ()
    assert store.hot_lists.entries("AAA1", "CA") == ()


def test_an_import_whose_entries_were_cleared_away_is_not_put_in_place(
    store: ReadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where its lock went with a connection, and another import began."""
    hold(store, entry("AAA1"))
    write = HotLists._write

    def cleared(self: HotLists, *given: Any) -> tuple[int, int]:
        written = write(self, *given)
        self._clear()
        return written

    monkeypatch.setattr(HotLists, "_write", cleared)
    with pytest.raises(InputError, match="run it again"):
        hold(store, entry("BBB2"))
    assert store.hot_lists.entries("AAA1", "CA")


def test_a_change_goes_upon_the_list_that_it_was_made_from(store: ReadStore) -> None:
    hold(store, entry("AAA1"))
    (held,) = store.hot_lists.lists()
    hold(store, entry("BBB2"), imported_ms=START + 1)
    new = hot_list(entry("CCC3"))
    with pytest.raises(InputError, match="run it again"):
        store.hot_lists.replace(new, [], upon=held)
    (held,) = store.hot_lists.lists()
    store.hot_lists.replace(new, [], upon=held)
    assert [one.entries for one in store.hot_lists.lists()] == [0]


def test_one_import_at_a_time(store: ReadStore, place: Place) -> None:
    hold(store, entry("AAA1"))
    with (
        place.importing(),
        pytest.raises(InputError, match="another hot list is being imported"),
    ):
        hold(store, entry("BBB2"))
    hold(store, entry("BBB2"))


def test_readers_see_the_old_list_or_the_new_one(store: ReadStore) -> None:
    """A plate of every publication is there once at any time, and never goes back."""
    seen: list[int] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            (found,) = store.hot_lists.entries("BOTH1", "")
            seen.append(found.published_ms)

    hold(store, entry("BOTH1"))
    reader = threading.Thread(target=look)
    reader.start()
    for turn in range(30):
        kept = [entry("BOTH1"), *(entry(f"AAA{n}") for n in range(500))]
        hold(store, *(replace(one, published_ms=START + turn) for one in kept))
    done.set()
    reader.join()
    assert seen == sorted(seen)
    assert len(set(seen)) > 3


PROGRAM = """
from node.store import hot_lists
from node.store.base import HotList, Listed
hot_lists._BATCH = 200
for turn in range(1, 10_000):
    kept = [Listed(f"N{turn}X{n}", "CA", "stolen-vehicle") for n in range(2000)]
    new = HotList("stolen", "bureau", turn, 60, 60, turn, len(kept))
    store.hot_lists.replace(new, kept)
    print(turn, flush=True)
"""


@pytest.mark.parametrize("times", [2, pytest.param(6, marks=pytest.mark.full)])
def test_an_import_that_is_killed_leaves_a_whole_list(place: Place, times: int) -> None:
    chance = random.Random(7)
    for _ in range(times):
        command = [sys.executable, "-c", place.opening + PROGRAM, str(place.path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "1\n"
            time.sleep(chance.uniform(0, 0.3))
            process.send_signal(signal.SIGKILL)
            said = process.stdout.read().split()
        place.wait_for_ends()
        store = place.open()
        (held,) = store.hot_lists.lists()
        plates = {one.plate for one in store.hot_lists.listed("stolen")}
        turn = held.published_ms
        assert turn >= int(said[-1] if said else 1)
        assert plates == {f"N{turn}X{n}" for n in range(2000)}
        assert held.entries == 2000
        # The next import clears away what was left.
        hold(store, replace(entry("AAA1"), published_ms=START))
        assert place.rows("SELECT count(*) FROM hot_list_entries") == [(1,)]
        store.hot_lists.delete_published(START + 1)
        store.close()


def test_a_purge_clears_away_what_a_killed_import_left(store: ReadStore, place: Place) -> None:
    hold(store, entry("AAA1"))

    def count() -> int:
        return int(place.rows("SELECT count(*) FROM hot_list_entries")[0][0])

    place.rows("UPDATE hot_list_version SET last_number = 2")
    place.rows("INSERT INTO hot_list_entries VALUES ('LEFT1', 'LEFT1', '', 'x', 2)")
    with place.importing():
        # It may be an import that is under way.
        assert store.hot_lists.delete_published(0) == 0
        assert count() == 2
    assert store.hot_lists.delete_published(0) == 0
    assert count() == 1
    assert store.hot_lists.delete_published(START + 1) == 1
    assert count() == 0


def test_a_damaged_entry_is_told(store: ReadStore, place: Place) -> None:
    hold(store, entry("AAA1"), entry("BBB2"))
    place.rows("UPDATE hot_list_entries SET skeleton = 'X' WHERE plate = 'BBB2'")
    with pytest.raises(Refused) as refused:
        list(store.hot_lists.listed("stolen"))
    assert refused.value.code is Code.STORE_CORRUPT


def test_lists_of_before_are_taken_over(tmp_path: Path) -> None:
    """The table as the first release wrote it: one row with everything for each entry."""
    from sqlite_utils import Database

    path = tmp_path / "reads.db"
    database = Database(path)
    MIGRATIONS.apply(database, stop_before="004-hot-lists-by-number")
    rows = [
        ("stolen", "bureau", "AAA1", "CA", "stolen-vehicle", START, 3600),
        ("stolen", "bureau", "BBB2", "", "stolen-vehicle", START, 3600),
        ("other", "state", "AAA1", "CA", "amber-alert", START + 5, 60),
    ]
    database.conn.executemany("INSERT INTO hot_list VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    database.conn.commit()
    database.close()
    store = SqliteStore.open(path, clock=At(START))
    assert [(e.list, e.category) for e in store.hot_lists.entries("AAA1", "CA")] == [
        ("other", "amber-alert"), ("stolen", "stolen-vehicle"),
    ]  # fmt: skip
    assert [(one.name, one.entries, one.hard_limit_s) for one in store.hot_lists.lists()] == [
        ("other", 1, 420), ("stolen", 2, 25_200),
    ]  # fmt: skip
    hold(store, entry("CCC3"))
    assert store.hot_lists.entries("BBB2", "") == ()
    store.close()
