"""Look-alikes, lists, circles and polygons in the store; bounds before they run."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.agreements.terms import OPEN, Redaction, Withholding
from accord.areas import bounds, check_area, inside
from accord.errors import Code, Refused
from accord.model import (
    Area,
    AreaBox,
    AreaCircle,
    AreaPolygon,
    ExactPlate,
    LookAlikePlate,
    PlateList,
    Read,
    ReadSelector,
    Window,
)
from accord.plates import substitutions
from node.grid import snap
from node.store.base import Page, ReadStore, Search
from node.store.cells import MAX_CELL_DAYS
from tests.examples import few_and_many

Make = Callable[..., Read]
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
START = 1_760_000_400_000 // HOUR * HOUR
MIDDLE = (337_050_000, -1_182_950_000)
CIRCLE = AreaCircle(*MIDDLE, 600)
POLYGON = AreaPolygon(
    ((337_000_000, -1_183_000_000), (337_100_000, -1_183_000_000), (337_060_000, -1_182_900_000))
)
BASE = Search(
    selector=LookAlikePlate("8ABC120"),
    window=Window(START - DAY, START + DAY),
    redaction=OPEN,
    withholding=Withholding(),
    earliest_ms=0,
    limit=100,
)


def plates(page: Page) -> list[str]:
    return [row.read.plate for row in page.rows]


def all_pages(store: ReadStore, search: Search) -> list[Page]:
    pages = [store.search(search)]
    while pages[-1].cursor is not None:
        pages.append(store.search(replace(search, after=pages[-1].cursor)))
    return pages


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_look_alikes_come_closest_first_then_newest(
    store: ReadStore, make_read: Make, limit: int
) -> None:
    names = ["8ABC120", "BABC120", "8A8C12O", "BABCI2O", "8ABC129", "8ABC12", "BA8CI2O"]
    for age, name in enumerate(names):
        store.add([make_read(name, START + age * MINUTE), make_read(name, START + age * HOUR)])
    pages = all_pages(store, replace(BASE, limit=limit))
    found = [row.read for page in pages for row in page.rows]
    assert len(found) == 6
    order = [(substitutions("8ABC120", r.plate), -r.captured_ms) for r in found]
    assert order == sorted(order)
    assert {r.plate for r in found} == {"8ABC120", "BABC120", "8A8C12O"}
    wider = all_pages(store, replace(BASE, limit=limit, selector=LookAlikePlate("8ABC120", "", 3)))
    assert {p for page in wider for p in plates(page)} == set(names[:4])
    other = replace(BASE, selector=LookAlikePlate("8ABC120", "NV"))
    assert store.search(other).rows == ()


def test_what_has_another_state_is_another_plate(store: ReadStore, make_read: Make) -> None:
    for state in ("CA", "NV", ""):
        store.add([make_read("8ABC120", state=state), make_read("OTHER11", state=state)])
    asked = (ExactPlate("8ABC120", "NV"), ExactPlate("OTHER11"))
    page = store.search(replace(BASE, selector=PlateList(asked)))
    found = sorted((row.read.plate, row.read.state) for row in page.rows)
    assert found == [("8ABC120", "NV"), ("OTHER11", ""), ("OTHER11", "CA"), ("OTHER11", "NV")]
    alike = store.search(replace(BASE, selector=LookAlikePlate("BABC120", "CA")))
    assert [(row.read.plate, row.read.state) for row in alike.rows] == [("8ABC120", "CA")]


def test_several_plates_come_in_one_order(store: ReadStore, make_read: Make) -> None:
    store.add([make_read(f"LIST{n % 4}", START + n * MINUTE) for n in range(40)])
    listed = PlateList((ExactPlate("LIST1"), ExactPlate("LIST3"), ExactPlate("NOBODY")))
    pages = all_pages(store, replace(BASE, selector=listed, limit=7))
    times = [row.read.captured_ms for page in pages for row in page.rows]
    assert len(times) == 20
    assert times == sorted(times, reverse=True)
    assert {p for page in pages for p in plates(page)} == {"LIST1", "LIST3"}


spread = st.integers(-200_000, 200_000)


@st.composite
def areas(draw: st.DrawFn) -> Area:
    if draw(st.booleans()):
        lat, lon = MIDDLE[0] + draw(spread), MIDDLE[1] + draw(spread)
        return AreaCircle(lat, lon, draw(st.integers(1, 2500)))
    corners = draw(st.integers(3, 8))
    # Around the middle, in order of their angle: simple, whatever the distances.
    points = []
    for n in range(corners):
        angle, far = 2 * math.pi * n / corners, draw(st.integers(2_000, 250_000))
        points.append(
            (MIDDLE[0] + round(far * math.sin(angle)), MIDDLE[1] + round(far * math.cos(angle)))
        )
    return check_area(AreaPolygon(tuple(points)))


@few_and_many(
    given(
        area=areas(),
        spots=st.lists(st.tuples(spread, spread), min_size=1, max_size=8),
        within=st.sampled_from([0, 50, 500, 2000]),
        number=st.just(count()),
    ),
    25,
    150,
)
def test_a_shape_holds_what_lies_in_it_on_the_shared_grid_and_nothing_else(
    store: ReadStore,
    make_read: Make,
    area: Area,
    spots: list[tuple[int, int]],
    within: int,
    number: "count[int]",
) -> None:
    names, expected = [], []
    for up, right in spots:
        lat, lon = MIDDLE[0] + up, MIDDLE[1] + right
        names.append(f"AT{next(number)}")
        store.add([make_read(names[-1], START + len(names), lat_e7=lat, lon_e7=lon)])
        shared = snap(lat, lon, within) if within else (lat, lon)
        if inside(area, *shared):
            expected.append(names[-1])
    window = Window(START, START + 9)
    redaction = Redaction(1, place_within_m=within)
    search = replace(BASE, selector=area, redaction=redaction, limit=3, window=window)
    found = [plate for page in all_pages(store, search) for plate in plates(page)]
    assert [plate for plate in found if plate in names] == expected[::-1]
    assert len(found) == len(set(found))
    for page in all_pages(store, search):
        for row in page.rows:
            lat, lon = row.read.lat_e7, row.read.lon_e7
            assert lat is not None
            assert lon is not None
            assert inside(area, *(snap(lat, lon, within) if within else (lat, lon)))


@pytest.mark.parametrize("area", [CIRCLE, POLYGON])
def test_a_shape_where_no_place_is_shared_is_refused(store: ReadStore, area: Area) -> None:
    with pytest.raises(Refused) as refused:
        store.search(replace(BASE, selector=area, redaction=Redaction(place_within_m=None)))
    assert refused.value.code is Code.FIELD_NOT_SHARED


KINDS: list[ReadSelector] = [
    LookAlikePlate("H1DDEN1"),
    PlateList((ExactPlate("HIDDEN1"), ExactPlate("HIDDEN2", "CA"))),
    CIRCLE,
    POLYGON,
]


@pytest.mark.parametrize("selector", KINDS)
@pytest.mark.parametrize("redaction", [OPEN, Redaction(HOUR, place_within_m=100)])
@pytest.mark.parametrize(
    "rules",
    [
        Withholding(plates=frozenset({"HIDDEN1"})),
        Withholding(cameras=frozenset({"SECRET"})),
        Withholding(areas=(bounds(CIRCLE),)),
        Withholding(cases=frozenset({"C-77"})),
        Withholding(within=(AreaBox(0, 0, 10, 10),)),
    ],
)
def test_withheld_and_nothing_found_are_one_page(
    store: ReadStore,
    make_read: Make,
    selector: ReadSelector,
    redaction: Redaction,
    rules: Withholding,
) -> None:
    search = replace(BASE, selector=selector, redaction=redaction, withholding=rules, limit=2)
    nothing = store.search(search)
    hidden = {"camera": "SECRET", "case": "C-77", "lat_e7": MIDDLE[0], "lon_e7": MIDDLE[1]}
    store.add([make_read("HIDDEN1", START + n * MINUTE, **hidden) for n in range(5)])
    page = store.search(search)
    assert (page.rows, page.complete, page.cursor) == ((), True, None)
    assert (nothing.rows, nothing.complete, nothing.cursor) == ((), True, None)
    assert (nothing.withheld, page.withheld) == (0, 5)
    shown = store.search(replace(search, withholding=Withholding()))
    assert (len(shown.rows), shown.complete, shown.withheld) == (2, False, 0)


@pytest.mark.parametrize("selector", [CIRCLE, POLYGON, bounds(CIRCLE)])
@pytest.mark.parametrize("redaction", [OPEN, Redaction(HOUR, 300), Redaction(DAY, 0)])
def test_the_stretches_of_an_area_search_lose_nothing(
    store: ReadStore, make_read: Make, selector: ReadSelector, redaction: Redaction
) -> None:
    spot = {"lat_e7": MIDDLE[0], "lon_e7": MIDDLE[1]}
    # Far apart in the past, close together lately.
    ages = [n * MINUTE for n in range(40)] + [2**n * MINUTE for n in range(6, 16)]
    store.add([make_read(f"T{n}", START - age, **spot) for n, age in enumerate(ages)])
    window = Window(START - 60 * DAY, START + 2 * DAY)
    search = replace(BASE, selector=selector, redaction=redaction, window=window, limit=7)
    pages = all_pages(store, search)
    rows = [row for page in pages for row in page.rows]
    step = redaction.time_step_ms
    buckets = [row.read.captured_ms // step for row in rows]
    assert buckets == sorted(buckets, reverse=True)
    assert sorted(row.read.plate for row in rows) == sorted(f"T{n}" for n in range(len(ages)))
    hiding = Withholding(plates=frozenset({"T3", "T49"}))
    held = all_pages(store, replace(search, withholding=hiding))
    assert sum(len(page.rows) for page in held) == len(ages) - 2
    assert {"T3", "T49"}.isdisjoint(p for page in held for p in plates(page))
    assert sum(page.withheld for page in held) >= 2


@pytest.mark.parametrize("days", [1, 30, 1800])
def test_an_area_may_be_the_larger_the_shorter_the_time(store: ReadStore, days: int) -> None:
    side = math.isqrt(MAX_CELL_DAYS // days)
    side = min(side, 100) - 2
    south, west = 337_000_000, -1_183_000_000
    window = Window(START - days * DAY, START)
    box = AreaBox(south, west, south + side * 100_000, west + side * 100_000)
    assert store.search(replace(BASE, selector=box, window=window)).rows == ()
    wide = AreaBox(south, west, south + (side + 3) * 100_000, west + (side + 3) * 100_000)
    with pytest.raises(Refused) as refused:
        store.search(replace(BASE, selector=wide, window=window))
    assert refused.value.code is Code.SEARCH_TOO_WIDE
    assert "at most 100 by 100" in refused.value.text or "hours at once" in refused.value.text
    # What is asked decides, not what is there or withheld.
    assert "hours" in refused.value.text or days == 1


def test_the_bound_of_look_alikes_counts_what_is_visible_only(
    store: ReadStore, make_read: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.store.pages.MAX_MATCHES", 10)
    store.add([make_read("BABC120", START + n, camera="SECRET") for n in range(50)])
    store.add([make_read("8ABC120", START + n) for n in range(10)])
    search = replace(BASE, withholding=Withholding(cameras=frozenset({"SECRET"})))
    assert len(store.search(search).rows) == 10
    store.add([make_read("8ABC12O")])
    with pytest.raises(Refused) as refused:
        store.search(search)
    assert refused.value.code is Code.SEARCH_TOO_WIDE
