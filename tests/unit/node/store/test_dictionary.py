"""The plates in memory: what SELECT DISTINCT says, whoever wrote; matched as accord.plates."""

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from accord.agreements.terms import OPEN, Withholding
from accord.errors import Code, Refused
from accord.model import Read, WildcardPlate, Window
from accord.plates import matches
from node.store import dictionary
from node.store.base import ReadStore, Search
from node.store.dictionary import Dictionary
from node.store.migrations import MIGRATIONS
from node.store.shared import Sql
from node.store.sqlite import SqliteStore
from tests.cuts import all_before
from tests.examples import few_and_many
from tests.stores import SQLITE, Place

Make = Callable[..., Read]
START = 1_760_000_000_000
STATES = ("", "CA", "NV", "MX-BCN")
RELAXED = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60
)
short_plates = st.text("AB01", min_size=1, max_size=4)
patterns = st.text("AB01?*", min_size=1, max_size=8)


@pytest.fixture
def other(place: Place, store: ReadStore) -> Iterator[ReadStore]:
    """A second process' view of the same store."""
    opened = place.open()
    yield opened
    opened.close()


@pytest.fixture
def sql(place: Place, store: ReadStore) -> Iterator[Sql]:
    """A connection of the store's kind."""
    with place.connection() as connection:
        yield connection


def known(sql: Sql, plates: Dictionary) -> set[tuple[str, str]]:
    return {(plate, state) for state in STATES[1:] for plate in plates.find(sql, "*", state)}


def distinct(place: Place) -> set[tuple[str, str]]:
    return set(place.rows("SELECT DISTINCT plate, state FROM reads WHERE state != ''"))


steps = st.lists(
    st.one_of(
        st.lists(
            st.tuples(short_plates, st.sampled_from(STATES), st.integers(0, 9)),
            min_size=1,
            max_size=8,
        ),
        st.integers(0, 10),
    ),
    max_size=12,
)


@few_and_many(given(steps=steps, kept=st.sampled_from([2, 100_000])), 15, 60)
def test_after_any_adding_and_deleting_it_is_what_the_reads_have(
    place: Place,
    store: ReadStore,
    sql: Sql,
    other: ReadStore,
    make_read: Make,
    steps: list[list[tuple[str, str, int]] | int],
    kept: int,
) -> None:
    # A small ``kept`` makes it miss numbers, so that it starts anew.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{place.deleting}.KEPT_GONE", kept)
        ours, seldom = store._dictionary, Dictionary()
        for number, step in enumerate(steps):
            writer = (store, other)[number % 2]
            if isinstance(step, int):
                while writer.delete_reads(all_before(START + step), 3, lambda _: None):
                    pass
            else:
                writer.add([make_read(p, START + at, state=state) for p, state, at in step])
            assert known(sql, ours) == distinct(place)
            if number % 5 == 4:
                assert known(sql, seldom) == distinct(place)
        assert known(sql, seldom) == distinct(place)
        store.delete_reads(all_before(1 << 60), 10_000, lambda _: None)
        assert known(sql, ours) == set()
        assert len(ours) == 0


@given(plates=st.sets(short_plates, min_size=1, max_size=40), pattern=patterns)
@RELAXED
def test_a_pattern_finds_what_it_matches(
    store: ReadStore, sql: Sql, make_read: Make, plates: set[str], pattern: str
) -> None:
    store.delete_reads(all_before(1 << 60), 10_000, lambda _: None)
    store.add([make_read(plate, state=("CA", "NV")[len(plate) % 2]) for plate in plates])
    store.add([make_read(plate, state="CA") for plate in plates])
    expected = {plate for plate in plates if matches(pattern, plate)}
    found = store._dictionary.find(sql, pattern)
    assert set(found) == expected
    assert len(found) == len(expected)
    of_nevada = {plate for plate in expected if len(plate) % 2}
    assert set(store._dictionary.find(sql, pattern, "NV")) == of_nevada
    assert store._dictionary.find(sql, pattern, "ZZ") == []


def test_inner_parts_come_in_their_order(store: ReadStore, sql: Sql, make_read: Make) -> None:
    store.add([make_read(plate) for plate in ("XA1B2Y", "XB2A1Y", "XA1B2", "XAA1BY", "AABB")])
    assert store._dictionary.find(sql, "*A1*B2*") == ["XA1B2", "XA1B2Y"]
    assert store._dictionary.find(sql, "X*A1*B2*Y") == ["XA1B2Y"]
    assert store._dictionary.find(sql, "*AB*BB*") == []


SLOW = [f"8AC{n:04}B" for n in range(200)]


@pytest.mark.parametrize("pattern", ["*" * 20 + "B*A*", "*B*A*", "*A*0*0*0*0*A*"])
def test_no_pattern_is_tried_plate_by_plate(
    store: ReadStore, sql: Sql, make_read: Make, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    store.add([make_read(plate) for plate in SLOW])
    compared: list[int] = []
    plain = dictionary._places
    monkeypatch.setattr(
        dictionary, "_places", lambda text, signs: compared.append(1) or plain(text, signs)
    )
    assert store._dictionary.find(sql, pattern) == []
    # At most one comparison for each part between stars at each place, for all plates at once.
    assert 1 <= len(compared) <= 6 * 8


def test_others_have_their_turn_between_the_parts_of_a_look_up(
    store: ReadStore, sql: Sql, make_read: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dictionary, "PART", 10)
    store.add([make_read(f"PART{n:03}", START) for n in range(95)])
    plates = store._dictionary
    turns: list[int] = []

    def turn() -> None:
        # Whoever waits may have it: the list even shrinks and begins anew meanwhile.
        assert plates._mutex.acquire(blocking=False)
        plates._mutex.release()
        turns.append(len(plates))
        if len(turns) == 3:
            store.delete_reads(all_before(1 << 60), 50, lambda _: None)
        if len(turns) == 5:
            store.add([make_read("PART999"), make_read("OTHER12")])
            plates._start_anew(0)

    found = plates.find(sql, "PART*", pause=turn)
    # Which ones went first is the store's to say.
    kept = {plate for (plate,) in sql.execute("SELECT plate FROM plates")} - {"PART999", "OTHER12"}
    assert len(kept) == 45
    assert turns[0] == 95
    assert 45 in turns
    assert 6 <= len(turns) <= 10
    assert len(found) == len(set(found))
    assert kept <= set(found) <= {f"PART{n:03}" for n in range(95)} | {"PART999"}
    assert set(plates.find(sql, "PART*")) == kept | {"PART999"}


@SQLITE
@pytest.mark.parametrize("inner", ["PA*", "*A*0*"])
def test_a_look_up_ends_where_nobody_waits_for_it(
    store: ReadStore, make_read: Make, monkeypatch: pytest.MonkeyPatch, inner: str
) -> None:
    monkeypatch.setattr(dictionary, "PART", 10)
    store.add([make_read(f"PART{n:03}", START) for n in range(95)])
    search = Search(WildcardPlate(inner), Window(START - 1, START + 1), OPEN, Withholding(), 0, 100)
    asked: list[bool] = []

    def cancelled() -> bool:
        asked.append(True)
        return len(asked) > 3

    with pytest.raises(Refused) as refused:
        store.search(search, cancelled)
    assert refused.value.code is Code.NODE_TIMED_OUT
    assert len(asked) == 4
    monkeypatch.setattr("node.store.connections.MAX_CALLBACKS", 5)
    with pytest.raises(Refused) as refused:
        store.search(search)
    assert refused.value.code is Code.SEARCH_TOO_WIDE
    monkeypatch.setattr("node.store.connections.MAX_CALLBACKS", 50)
    assert len(store.search(search, lambda: False).rows) == 95


def test_what_is_purged_leaves_the_memory_too(
    store: ReadStore, sql: Sql, other: ReadStore, make_read: Make
) -> None:
    plates = [f"PURGED{n}" for n in range(5)]
    store.add([make_read(plate, START) for plate in plates])
    store.add([make_read("KEPT001", START + 1)])
    assert len(store._dictionary.find(sql, "PURGED*")) == 5

    def held() -> bytes:
        return b"".join(b._text.T.tobytes() for b in store._dictionary._blocks.values())

    assert b"PURGED3" in held()
    store.delete_reads(all_before(START + 1), 3, lambda _: None)
    assert held().count(b"PURGED") == 2
    # Another process purges the rest: the next purge of this one sees to it.
    other.delete_reads(all_before(START + 1), 3, lambda _: None)
    assert held().count(b"PURGED") == 2
    store.settle(START)
    assert held().count(b"PURGED") == 0
    assert b"KEPT001" in held()
    assert store._dictionary.find(sql, "*001") == ["KEPT001"]


def test_a_plate_that_one_state_keeps_is_gone_from_the_other(
    store: ReadStore, sql: Sql, make_read: Make
) -> None:
    store.add([make_read("SAME111", START), make_read("SAME111", START + 1, state="NV")])
    assert store.counts().plates == 2
    assert store._dictionary.find(sql, "SAME*") == ["SAME111"]
    assert store._dictionary.find(sql, "SAME*", "CA") == ["SAME111"]
    store.delete_reads(all_before(START + 1), 10, lambda _: None)
    assert store._dictionary.find(sql, "SAME*", "CA") == []
    assert store._dictionary.find(sql, "SAME*", "NV") == ["SAME111"]
    assert store.counts().plates == 1


def test_growing_and_shrinking_loses_nobody(store: ReadStore, sql: Sql, make_read: Make) -> None:
    store.add([make_read(f"A{n:05}", START + n) for n in range(3000)])
    assert len(store._dictionary.find(sql, "A0*")) == 3000
    while store.delete_reads(all_before(START + 2500), 100, lambda _: None):
        pass
    assert sorted(store._dictionary.find(sql, "A0*")) == [f"A{n:05}" for n in range(2500, 3000)]
    store.add([make_read("A09999", START + 9999)])
    assert len(store._dictionary.find(sql, "A0*")) == 501


def test_a_pattern_that_fits_too_many_plates_is_refused(
    store: ReadStore, sql: Sql, make_read: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dictionary, "MAX_FOUND", 10)
    store.add([make_read(f"MANY{n}") for n in range(10)])
    assert len(store._dictionary.find(sql, "MANY*")) == 10
    store.add([make_read(f"MANYX{secrets.randbelow(10)}")])
    with pytest.raises(Refused) as refused:
        store._dictionary.find(sql, "MANY*")
    assert refused.value.code is Code.SEARCH_TOO_WIDE


def test_a_store_of_an_earlier_version_is_brought_up(make_read: Make, tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as old:
        MIGRATIONS.apply(Database(old), stop_before="004-plates-by-state")
        old.execute("INSERT INTO plates VALUES ('OLD0001')")
        marks = ", ".join("?" * 9)
        old.executemany(
            "INSERT INTO reads (tag, plate, raw_plate, state, captured_ms, camera, source_id, "
            f"confidence_pm, photo, \"case\") VALUES ({marks}, '')",
            [
                (n, "OLD0001", "", state, START, "", bytes([n]), 0, "")
                for n, state in enumerate(("CA", "NV", "CA"))
            ],
        )
    store = SqliteStore.open(path)
    try:
        store.add([make_read("NEW0001")])
        assert store.counts().plates == 3
        sql = store._connections.mine().sql
        assert store._dictionary.find(sql, "?????01", "NV") == ["OLD0001"]
        assert store._dictionary.find(sql, "?????01") == ["OLD0001", "NEW0001"]
    finally:
        store.close()
