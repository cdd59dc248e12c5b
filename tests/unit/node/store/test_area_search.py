"""What an area search may look at: shorter stretches, two bounds, and what each minds."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from accord.agreements.terms import OPEN, Redaction, Withholding
from accord.errors import Code, Refused
from accord.model import AreaBox, AreaPolygon, Read, Window
from node.store import area_search
from node.store.base import Page, ReadStore, Search

Make = Callable[..., Read]
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
START = 1_760_000_400_000 // DAY * DAY
BOX = AreaBox(337_000_000, -1_183_000_000, 337_099_999, -1_182_900_001)
# From corner to corner of the cell, and past the camera.
BESIDE = AreaPolygon(
    ((337_001_000, -1_182_999_000), (337_099_000, -1_182_901_000), (337_099_000, -1_182_900_500))
)
CAMERA = {"lat_e7": 337_050_000, "lon_e7": -1_182_930_000}
IN_BOTH = {"lat_e7": 337_001_000, "lon_e7": -1_182_999_000}
HIDING = Withholding(cameras=frozenset({"SECRET"}))
SEARCH = Search(
    selector=BOX,
    window=Window(START - 30 * DAY, START + DAY),
    redaction=OPEN,
    withholding=Withholding(),
    earliest_ms=0,
    limit=5,
)


@pytest.fixture(autouse=True)
def low_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(area_search, "MAX_SEEN", 50)
    monkeypatch.setattr(area_search, "MAX_LOOKED_AT", 200)
    monkeypatch.setattr(area_search, "LONGEST", 10)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each stretch that ran had."""
    lengths: list[int] = []
    plain = area_search._flagged

    def counting(found, inside, wanted):  # type: ignore[no-untyped-def]
        rows = list(found)
        lengths.append(len(rows))
        return plain(rows, inside, wanted)

    monkeypatch.setattr(area_search, "_flagged", counting)
    return lengths


def all_rows(store: ReadStore, search: Search) -> list[str]:
    page = store.search(search)
    found = [row.read.plate for row in page.rows]
    while page.cursor is not None:
        page = store.search(replace(search, after=page.cursor))
        found += [row.read.plate for row in page.rows]
    return found


def spread(make_read: Make, count: int, **more: object) -> list[Read]:
    """So many reads, an hour apart, back from the start."""
    return [make_read(f"R{n}", START - n * HOUR, **(CAMERA | more)) for n in range(count)]


def refused(store: ReadStore, search: Search) -> Refused:
    with pytest.raises(Refused) as caught:
        store.search(search)
    assert caught.value.code is Code.SEARCH_TOO_WIDE
    return caught.value


def test_a_shape_beside_the_cameras_is_refused_at_the_bound_and_not_below(
    store: ReadStore, make_read: Make, looked: list[int]
) -> None:
    search = replace(SEARCH, selector=BESIDE)
    store.add(spread(make_read, 50))
    assert store.search(search).rows == ()
    assert sum(looked) == 50
    looked.clear()
    store.add(spread(make_read, 90)[50:])
    error = refused(store, search)
    assert "narrow the time or the area" in error.text
    assert sum(looked) <= 50 + 10
    # Narrowed, it is answered.
    store.add([make_read("THERE", START - 3 * HOUR, **IN_BOTH)])
    narrow = replace(search, window=Window(START - DAY, START + DAY))
    assert all_rows(store, narrow) == ["THERE"]


def test_a_page_that_fills_is_never_refused_whatever_lies_behind(
    store: ReadStore, make_read: Make
) -> None:
    store.add(spread(make_read, 400))
    page = store.search(replace(SEARCH, window=Window(START - 399 * HOUR, START + DAY)))
    assert [row.read.plate for row in page.rows] == [f"R{n}" for n in range(5)]
    assert all_rows(store, SEARCH) == [f"R{n}" for n in range(400)]


def test_what_is_withheld_does_not_count_below_the_hard_stop(
    store: ReadStore, make_read: Make, looked: list[int]
) -> None:
    search = replace(SEARCH, withholding=HIDING)
    nothing = store.search(search)
    store.add(spread(make_read, 200, camera="SECRET"))
    page: Page = store.search(search)
    assert (page.rows, page.complete, page.cursor) == ((), True, None)
    assert (nothing.rows, nothing.complete, nothing.cursor) == ((), True, None)
    assert page.withheld == 200
    # The same reads, not withheld but beside the shape, are far too many.
    refused(store, replace(SEARCH, selector=BESIDE))
    looked.clear()
    store.add([make_read("MORE", START - 250 * HOUR, **CAMERA, camera="SECRET")])
    hard = refused(store, search)
    assert sum(looked) <= 200
    assert hard.text == refused(store, replace(SEARCH, selector=BESIDE)).text


def test_a_burst_after_a_quiet_time_is_looked_at_in_short_stretches(
    store: ReadStore, make_read: Make, looked: list[int]
) -> None:
    burst = [make_read(f"B{n}", START - 9 * DAY + n * 1000, **CAMERA) for n in range(120)]
    store.add([make_read("LATE", START, **CAMERA), *burst])
    page = store.search(SEARCH)
    assert [row.read.plate for row in page.rows] == ["LATE", "B119", "B118", "B117", "B116"]
    assert max(looked) <= 10
    assert all_rows(store, SEARCH) == ["LATE", *(f"B{n}" for n in reversed(range(120)))]


@pytest.mark.parametrize("step_ms", [HOUR, DAY])
def test_a_bucket_is_never_cut_and_one_that_is_too_large_is_refused(
    store: ReadStore, make_read: Make, step_ms: int
) -> None:
    search = replace(SEARCH, redaction=Redaction(step_ms, place_within_m=100))
    store.add([make_read(f"B{n}", START + n * 1000, **CAMERA) for n in range(200)])
    assert sorted(all_rows(store, search)) == sorted(f"B{n}" for n in range(200))
    store.add([make_read("B200", START + 200_000, **CAMERA)])
    refused(store, search)
    other = replace(search, window=Window(START - DAY, START))
    assert store.search(other).rows == ()


@pytest.mark.parametrize("redaction", [OPEN, Redaction(HOUR, 300), Redaction(DAY, 0)])
@pytest.mark.parametrize("selector", [BOX, BESIDE])
def test_short_stretches_give_the_same_rows(
    store: ReadStore,
    make_read: Make,
    monkeypatch: pytest.MonkeyPatch,
    redaction: Redaction,
    selector: AreaBox | AreaPolygon,
) -> None:
    ages = [n * MINUTE for n in range(15)] + [2**n * MINUTE for n in range(6, 15)]
    places = (CAMERA, IN_BOTH, CAMERA | {"camera": "SECRET"})
    store.add([make_read(f"T{n}", START - age, **places[n % 3]) for n, age in enumerate(ages)])
    search = replace(SEARCH, selector=selector, redaction=redaction, withholding=HIDING)
    short = all_rows(store, search)
    monkeypatch.setattr(area_search, "LONGEST", 10_000)
    assert short == all_rows(store, search)
    assert len(short) == len(set(short))
    # The thin one does not hold the centre of a cell of 300 m.
    assert len(short) >= 8 or (selector is BESIDE and redaction.place_within_m == 300)
