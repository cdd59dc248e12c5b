"""Searches: order, windows, places, withholding, pages, bounds."""

import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accord.agreements.terms import OPEN, Redaction, Withholding
from accord.errors import Code, Refused
from accord.model import AreaBox, ExactPlate, Read, Vehicle, WildcardPlate, Window
from node.grid import snap
from node.store import statements
from node.store.base import Page, ReadStore, Search
from node.store.sqlite import SqliteStore
from tests.stores import SQLITE

HOUR = 3_600_000
MINUTE = 60_000
START = 1_760_000_400_000 // HOUR * HOUR
ALWAYS = Window(START - 1000 * HOUR, START + 1000 * HOUR)
HOURLY = Redaction(time_step_ms=HOUR)
EXACT = ExactPlate("TEST001")
Make = Callable[..., Read]
BASE = Search(EXACT, ALWAYS, OPEN, Withholding(), 0, 100)


def plates(page: Page) -> list[str]:
    return [row.read.plate for row in page.rows]


def all_pages(store: ReadStore, search: Search) -> list[Page]:
    pages = [store.search(search)]
    while pages[-1].cursor is not None:
        pages.append(store.search(replace(search, after=pages[-1].cursor)))
        assert len(pages) < 1000
    return pages


def test_what_is_stored_comes_back_as_it_was(store: ReadStore, make_read: Make) -> None:
    full = make_read(
        vehicle=Vehicle("MAKE", "MODEL", "red", ""),
        lat_e7=337_000_000,
        lon_e7=-1_182_000_000,
        confidence_pm=930,
        photo="ab" * 32,
        case="C-1",
    )
    bare = make_read(captured_ms=START - 1)
    store.add([full, bare])
    rows = store.search(BASE).rows
    assert [row.read for row in rows] == [full, bare]
    assert hash(rows[0].read) == hash(full)
    assert all(0 <= row.tag < 1 << 63 for row in rows)
    with pytest.raises(AttributeError):
        rows[0].read.plate = "OTHER"  # type: ignore[misc]


def test_newest_first_where_the_time_is_shared_exactly(store: ReadStore, make_read: Make) -> None:
    store.add([make_read(captured_ms=START + offset) for offset in (5, 1, 9, 3)])
    assert [row.read.captured_ms - START for row in store.search(BASE).rows] == [9, 5, 3, 1]


def test_order_inside_a_rounded_hour_is_not_the_order_of_the_minutes(
    store: ReadStore, make_read: Make
) -> None:
    store.add([make_read(captured_ms=START + minute * MINUTE) for minute in range(60)])
    rows = store.search(replace(BASE, redaction=HOURLY)).rows
    assert [row.tag for row in rows] == sorted((row.tag for row in rows), reverse=True)
    minutes = [row.read.captured_ms for row in rows]
    assert minutes not in (sorted(minutes), sorted(minutes, reverse=True))


def test_hours_are_in_order_where_the_time_is_rounded(store: ReadStore, make_read: Make) -> None:
    store.add([make_read(captured_ms=START + n * 7 * MINUTE) for n in range(60)])
    hours = [
        row.read.captured_ms // HOUR for row in store.search(replace(BASE, redaction=HOURLY)).rows
    ]
    assert hours == sorted(hours, reverse=True)


@given(
    minute=st.integers(0, 59),
    start=st.integers(-HOUR, 2 * HOUR),
    length=st.integers(1, 2 * HOUR),
)
@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60
)
def test_no_window_can_pin_the_minute_inside_a_rounded_hour(
    store: ReadStore, make_read: Make, minute: int, start: int, length: int
) -> None:
    plate = f"MIN{minute}"
    store.add([make_read(plate, START + minute * MINUTE, source_id=minute.to_bytes(16, "big"))])
    window = Window(START + start, START + start + length)
    search = replace(BASE, selector=ExactPlate(plate), window=window, redaction=HOURLY)
    # Found exactly when the rounded time lies in the window, whatever the minute.
    assert bool(store.search(search).rows) == (window.from_ms <= START < window.to_ms)


def test_a_window_is_half_open(store: ReadStore, make_read: Make) -> None:
    store.add([make_read(captured_ms=START)])
    for window, found in [
        (Window(START, START + 1), 1),
        (Window(START - 1, START), 0),
        (Window(START + 1, START + 2), 0),
    ]:
        assert len(store.search(replace(BASE, window=window)).rows) == found


def test_look_back_hides_and_takes_a_rounded_hour_as_a_whole(
    store: ReadStore, make_read: Make
) -> None:
    store.add([make_read(captured_ms=START + 30 * MINUTE)])
    for earliest, exact, hourly in [
        (START, 1, 1),
        (START + 1, 1, 0),
        (START + 30 * MINUTE, 1, 0),
        (START + 30 * MINUTE + 1, 0, 0),
    ]:
        search = replace(BASE, earliest_ms=earliest)
        assert len(store.search(search).rows) == exact
        assert len(store.search(replace(search, redaction=HOURLY)).rows) == hourly
        (row_id,) = [row.row_id for row in store.search(BASE).rows]
        assert (store.read(row_id, Withholding(), earliest) is not None) == bool(exact)
        rounded = store.read(row_id, Withholding(), earliest, time_step_ms=HOUR)
        assert (rounded is not None) == bool(hourly)


def test_state_filters_only_when_given(store: ReadStore, make_read: Make) -> None:
    store.add([make_read(state="CA"), make_read(state="NV"), make_read(state="")])
    assert len(store.search(BASE).rows) == 3
    for selector in (ExactPlate("TEST001", "NV"), WildcardPlate("TEST*", "NV")):
        found = store.search(replace(BASE, selector=selector)).rows
        assert [row.read.state for row in found] == ["NV"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("ABC?23", {"ABC123", "ABC923"}),
        ("ABC*", {"ABC123", "ABC923", "ABC1", "ABCZZZ"}),
        ("*23", {"ABC123", "ABC923", "XX23"}),
        ("?BC1", {"ABC1"}),
        ("ABCZZ?", {"ABCZZZ"}),
        ("ABC123", {"ABC123"}),
        ("QQ*", set()),
    ],
)
def test_wildcards(store: ReadStore, make_read: Make, pattern: str, expected: set[str]) -> None:
    store.add([make_read(p) for p in ("ABC123", "ABC923", "ABC1", "ABCZZZ", "XX23", "AB")])
    page = store.search(replace(BASE, selector=WildcardPlate(pattern)))
    assert sorted(plates(page)) == sorted(expected)


def near(edge: int) -> st.SearchStrategy[int]:
    return st.integers(edge - 20_000, edge + 20_000)


BOX = AreaBox(337_000_000, -1_183_000_000, 337_100_000, -1_182_900_000)


def test_an_area_holds_its_edges_and_nothing_beyond(store: ReadStore, make_read: Make) -> None:
    corners = [
        (BOX.south_e7, BOX.west_e7, "INSW"),
        (BOX.north_e7, BOX.east_e7, "INNE"),
        (BOX.south_e7 - 1, BOX.west_e7, "OUTS"),
        (BOX.north_e7, BOX.east_e7 + 1, "OUTE"),
    ]
    store.add([make_read(name, lat_e7=lat, lon_e7=lon) for lat, lon, name in corners])
    store.add([make_read("NOPLACE")])
    page = store.search(replace(BASE, selector=BOX))
    assert sorted(plates(page)) == ["INNE", "INSW"]


@given(
    # Within a few hundred metres of the edges, where cells straddle them.
    lat=st.sampled_from([BOX.south_e7, BOX.north_e7]).flatmap(near),
    lon=st.sampled_from([BOX.west_e7, BOX.east_e7, BOX.west_e7 + 50_000]).flatmap(near),
    within=st.sampled_from([50, 500, 2000]),
    number=st.just(count()),
)
@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200
)
def test_an_area_filters_on_the_place_that_is_shared(
    store: ReadStore, make_read: Make, lat: int, lon: int, within: int, number: "count[int]"
) -> None:
    plate = f"GRID{next(number)}"
    store.add([make_read(plate, lat_e7=lat, lon_e7=lon)])
    search = replace(
        BASE, selector=BOX, redaction=Redaction(HOUR, place_within_m=within), limit=1000
    )
    centre_lat, centre_lon = snap(lat, lon, within)
    inside = BOX.south_e7 <= centre_lat <= BOX.north_e7 and BOX.west_e7 <= centre_lon <= BOX.east_e7
    assert (plate in plates(store.search(search))) == inside


def test_an_area_where_no_place_is_shared_is_refused(store: ReadStore) -> None:
    with pytest.raises(Refused) as refused:
        store.search(replace(BASE, selector=BOX, redaction=Redaction(place_within_m=None)))
    assert refused.value.code is Code.FIELD_NOT_SHARED


RULES = [
    Withholding(plates=frozenset({"HIDDEN1"})),
    Withholding(cameras=frozenset({"SECRET"})),
    Withholding(areas=(AreaBox(0, 0, 10, 10), BOX)),
    Withholding(cases=frozenset({"C-77"})),
]
HIDDEN = {
    "camera": "SECRET",
    "lat_e7": BOX.south_e7 + 5,
    "lon_e7": BOX.west_e7 + 5,
    "case": "C-77",
}


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("redaction", [OPEN, HOURLY, Redaction(HOUR, place_within_m=100)])
@pytest.mark.parametrize(
    "selector",
    [
        ExactPlate("HIDDEN1"),
        WildcardPlate("HIDD*"),
        AreaBox(BOX.south_e7 - 10**6, BOX.west_e7 - 10**6, BOX.north_e7, BOX.east_e7),
    ],
)
def test_withheld_and_nothing_found_give_the_same_page(
    store: ReadStore,
    make_read: Make,
    rules: Withholding,
    redaction: Redaction,
    selector: ExactPlate | WildcardPlate | AreaBox,
) -> None:
    search = replace(BASE, selector=selector, redaction=redaction, withholding=rules, limit=2)
    nothing = store.search(search)
    store.add([make_read("HIDDEN1", **HIDDEN) for _ in range(5)])
    hidden = store.search(search)
    assert (hidden.rows, hidden.complete, hidden.cursor) == ((), True, None)
    assert (nothing.rows, nothing.complete, nothing.cursor) == ((), True, None)
    assert (nothing.withheld, hidden.withheld) == (0, 5)
    shown = store.search(replace(search, withholding=Withholding()))
    assert (len(shown.rows), shown.complete, shown.withheld) == (2, False, 0)
    (row_id, _, _) = shown.rows[0]
    assert store.read(row_id, rules, 0) is None
    assert store.read(row_id, Withholding(), 0) is not None


def test_withheld_rows_are_gone_before_limit_and_cursor(store: ReadStore, make_read: Make) -> None:
    rows = [make_read(captured_ms=START + n, camera="SECRET" if n % 2 else "OK") for n in range(40)]
    store.add(rows)
    search = replace(BASE, withholding=Withholding(cameras=frozenset({"SECRET"})), limit=7)
    pages = all_pages(store, search)
    assert [len(page.rows) for page in pages] == [7, 7, 6]
    assert all(page.withheld == 20 for page in pages)
    seen = [row.read.captured_ms - START for page in pages for row in page.rows]
    assert seen == list(range(38, -1, -2))


def test_the_bound_counts_what_is_visible_only(
    store: ReadStore, make_read: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The bound's text is built from the constant: rebuild it with a small one.
    monkeypatch.setattr("node.store.statements.MAX_MATCHES", 10)
    monkeypatch.setattr("node.store.pages.MAX_MATCHES", 10)
    statements._texts.cache_clear()
    try:
        store.add([make_read(f"WIDE{n}", camera="SECRET") for n in range(50)])
        store.add([make_read(f"WIDE{n}") for n in range(50, 60)])
        hiding = Withholding(cameras=frozenset({"SECRET"}))
        search = replace(BASE, selector=WildcardPlate("WIDE*"), withholding=hiding)
        assert len(store.search(search).rows) == 10
        store.add([make_read("WIDE99")])
        with pytest.raises(Refused) as refused:
            store.search(search)
        assert refused.value.code is Code.SEARCH_TOO_WIDE
    finally:
        statements._texts.cache_clear()


def test_an_area_of_too_many_cells_is_refused_before_it_runs(store: ReadStore) -> None:
    with pytest.raises(Refused) as refused:
        store.search(replace(BASE, selector=AreaBox(0, 0, 20_000_000, 20_000_000)))
    assert refused.value.code is Code.SEARCH_TOO_WIDE


def test_a_search_that_nobody_waits_for_ends(store: ReadStore, make_read: Make) -> None:
    store.add([make_read(f"A{n}", camera="SECRET") for n in range(4000)])
    search = replace(BASE, selector=WildcardPlate("*A1*"))
    with pytest.raises(Refused) as refused:
        store.search(search, lambda: True)
    assert refused.value.code is Code.NODE_TIMED_OUT
    assert store.search(search).rows


@SQLITE
def test_the_hard_stop(store: ReadStore, make_read: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add([make_read(f"A{n}", camera="SECRET") for n in range(4000)])
    search = replace(BASE, selector=WildcardPlate("*A1*"))
    monkeypatch.setattr("node.store.connections.MAX_CALLBACKS", 1)
    with pytest.raises(Refused) as refused:
        store.search(search)
    assert refused.value.code is Code.SEARCH_TOO_WIDE
    monkeypatch.undo()
    assert store.search(search).rows


@pytest.mark.parametrize("redaction", [OPEN, HOURLY, Redaction(HOUR, place_within_m=300)])
@pytest.mark.parametrize("selector", [EXACT, WildcardPlate("TE*"), BOX])
def test_pages_are_complete_and_repeat_nothing_while_others_insert(
    store: ReadStore,
    make_read: Make,
    redaction: Redaction,
    selector: ExactPlate | WildcardPlate | AreaBox,
) -> None:
    middle = {"lat_e7": 337_050_000, "lon_e7": -1_182_950_000}

    def batch(first: int) -> list[Read]:
        return [
            make_read(captured_ms=START + n * 13 * MINUTE, **middle)
            for n in range(first, first + 40)
        ]

    expected = batch(0)
    store.add(expected)
    search: Search = replace(BASE, selector=selector, redaction=redaction, limit=7)
    pages = [store.search(search)]
    done = threading.Event()

    def insert() -> None:
        for first in (3, 11, 17):
            store.add(batch(first))
        done.set()

    writer = threading.Thread(target=insert)
    writer.start()
    while pages[-1].cursor is not None:
        pages.append(store.search(replace(search, after=pages[-1].cursor)))
        writer.join()
    assert done.is_set()
    rows = [row for page in pages for row in page.rows]
    assert len({row.row_id for row in rows}) == len(rows)
    assert {row.read.source_id for row in rows} == {read.source_id for read in expected}
    assert [page.complete for page in pages] == [False] * 5 + [True]
    # The new rows are there for whoever asks anew.
    assert sum(len(page.rows) for page in all_pages(store, search)) == 160


@SQLITE
def test_an_exact_plate_is_short_unless_it_has_very_many_reads(
    store: ReadStore, make_read: Make
) -> None:
    store.add([make_read(captured_ms=START + n) for n in range(3000)])
    # In order of the index it is the page that is looked at, and no more.
    assert store.search_at_once(BASE) == store.search(BASE)
    rounded = replace(BASE, redaction=Redaction(time_step_ms=60_000))
    assert store.search_at_once(rounded) is None
    assert len(store.search(rounded).rows) == 100
    few = replace(rounded, selector=ExactPlate("NONE"))
    assert store.search_at_once(few) == store.search(few)
    withheld = replace(BASE, withholding=Withholding(plates=frozenset({"TEST001"})))
    assert store.search_at_once(withheld) is None
    assert store.search_at_once(replace(BASE, selector=WildcardPlate("NO*"))) is None
    assert store.search_at_once(replace(BASE, selector=BOX)) is None


@SQLITE
def test_exact_searches_use_the_index_for_their_order(store: SqliteStore) -> None:
    text, values = next(statements.plan(BASE, 10).steps).page
    sql = store._connections.mine().sql
    steps = [row[3] for row in sql.execute("EXPLAIN QUERY PLAN " + text, values)]
    assert any("reads_by_plate (plate=? AND captured_ms>" in step for step in steps)
    assert not any("ORDER BY" in step for step in steps)


GROUND = AreaBox(330_000_000, -1_190_000_000, 340_000_000, -1_180_000_000)
FAR = AreaBox(100_000_000, 0, 110_000_000, 10_000_000)


@pytest.mark.parametrize("redaction", [OPEN, replace(HOURLY, place_within_m=500)])
def test_only_what_was_read_in_the_territory_is_seen(
    store: ReadStore, make_read: Make, redaction: Redaction
) -> None:
    inside = {"lat_e7": 335_000_000, "lon_e7": -1_185_000_000}
    outside = {"lat_e7": 345_000_000, "lon_e7": -1_185_000_000}
    spots = [inside, outside, {"lat_e7": None, "lon_e7": None}]
    store.add([make_read(captured_ms=START + n, **spot) for n, spot in enumerate(spots)])
    search = replace(BASE, redaction=redaction)
    assert len(store.search(search).rows) == 3
    for boxes, seen in (((GROUND,), 1), ((FAR,), 0), ((FAR, GROUND), 1)):
        page = store.search(replace(search, withholding=Withholding(within=boxes)))
        assert len(page.rows) == seen
        assert page.withheld == 3 - seen
        assert all(row.read.lat_e7 == 335_000_000 for row in page.rows)
    both = Withholding(within=(GROUND,), areas=(GROUND,))
    assert store.search(replace(search, withholding=both)).rows == ()
    row_id = store.search(replace(BASE, withholding=Withholding(within=(GROUND,)))).rows[0].row_id
    assert store.read(row_id, Withholding(within=(GROUND,)), 0) is not None
    assert store.read(row_id, Withholding(within=(FAR,)), 0) is None
