"""Searching hits: what may not be seen is as if it were not there; pages, places, ages."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.agreements.provisions import HotListRule, Stale
from accord.agreements.terms import OPEN, Withholding
from accord.areas import bounds, inside
from accord.errors import Code, Refused
from accord.hot_lists import HotListEntry
from accord.model import Area, AreaBox, AreaCircle, AreaPolygon, ExactPlate, Read, Window
from node.store.base import HitPage, HitSearch, ReadStore
from tests.examples import few_and_many
from tests.hot_lists import hold
from tests.stores import Place, Stores

NOW = 1_760_000_400_000 // 3_600_000 * 3_600_000
HOUR = 3_600_000
Make = Callable[..., Read]
RULE = HotListRule("III", None, None, Stale.MARKED, True, True, True, None, frozenset({"stolen"}))
BOX = AreaBox(337_000_000, -1_183_000_000, 338_000_000, -1_182_000_000)
INSIDE = {"lat_e7": 337_500_000, "lon_e7": -1_182_600_000}


class At:
    def __init__(self, ms: int) -> None:
        self.ms = ms

    def now_ms(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> At:
    return At(NOW)


@pytest.fixture
def store(place: Place, clock: At) -> Iterator[ReadStore]:
    opened = place.open(clock=clock)
    hold(opened, entry("TEST001"), entry("TEST0O2", state=""))
    hold(opened, entry("TEST001", list="wanted", source="county"))
    yield opened
    opened.close()


def entry(plate: str, **changes: Any) -> HotListEntry:
    fields: dict[str, Any] = {
        "list": "stolen", "source": "bureau", "state": "CA", "category": "stolen-vehicle",
        "published_ms": NOW - HOUR, "max_age_s": 7200,
    }  # fmt: skip
    return HotListEntry(plate=plate, **(fields | changes))


def look(store: ReadStore, **changes: Any) -> HitPage:
    search = HitSearch(
        ExactPlate("TEST001"), Window(NOW - 9 * HOUR, NOW + 9 * HOUR), OPEN, Withholding(), 0, 100
    )
    return store.hot_lists.search_hits(replace(search, **changes))


def seen(page: HitPage) -> list[tuple[str, list[str]]]:
    """Each read's plate, and the lists it met."""
    return [
        (row.read.plate, [hit.entry.list for hit in page.hits[row.row_id]])
        for row in page.page.rows
    ]


def test_a_plate_of_a_list_and_what_met_it(store: ReadStore, make_read: Make) -> None:
    store.add([make_read(captured_ms=NOW), make_read("TESTO01", NOW - 5), make_read("OTHER1", NOW)])
    page = look(store)
    assert seen(page) == [("TEST001", ["stolen", "wanted"]), ("TESTO01", ["stolen", "wanted"])]
    exact, possible = (page.hits[row.row_id][0] for row in page.page.rows)
    assert (exact.possible, possible.possible) == (False, True)
    assert exact.entry == entry("TEST001")
    assert (exact.matched_ms, exact.still_listed) == (NOW, True)
    # The read's own text is not what stands on the list.
    assert seen(look(store, of=ExactPlate("TESTO01"))) == []
    assert page.page.complete


def test_all_hits_behind_the_last_that_was_seen(store: ReadStore, make_read: Make) -> None:
    store.add([make_read(captured_ms=NOW), make_read("OTHER1", NOW), make_read("TEST0O2", NOW - 5)])
    first = look(store, of=None)
    assert {plate for plate, _ in seen(first)} == {"TEST001", "TEST0O2"}
    assert seen(look(store, of=None, above=first.page.snapshot)) == []
    # Captured long before: it is the order of arrival that counts.
    store.add([make_read("OTHER2", NOW), make_read(captured_ms=NOW - 8 * HOUR)])
    later = look(store, of=None, above=first.page.snapshot)
    assert seen(later) == [("TEST001", ["stolen", "wanted"])]
    assert later.page.snapshot > first.page.snapshot


def test_a_state_that_is_asked_is_that_of_read_or_entry(store: ReadStore, make_read: Make) -> None:
    store.add([make_read("TEST002", NOW), make_read("TEST001", NOW, state="")])
    assert len(seen(look(store, of=ExactPlate("TEST0O2", "CA")))) == 1
    assert len(seen(look(store, of=ExactPlate("TEST0O2")))) == 1
    assert seen(look(store, of=ExactPlate("TEST0O2", "NV"))) == []
    assert len(seen(look(store, of=ExactPlate("TEST001", "CA")))) == 1


def test_a_list_that_changed_since(store: ReadStore, make_read: Make) -> None:
    store.add([make_read(captured_ms=NOW)])
    hold(store, entry("TEST009", published_ms=NOW))
    (row,) = look(store).page.rows
    stolen, wanted = look(store).hits[row.row_id]
    assert (stolen.still_listed, wanted.still_listed) == (False, True)
    # It says what the list said then.
    assert stolen.entry.published_ms == NOW - HOUR


@pytest.mark.parametrize(
    "changes",
    [{"category": "amber-alert"}, {"source": "county"}, {"state": "NV"}, {"plate": "TEST009"}],
)
def test_still_listed_is_the_very_entry_of_the_same_source(
    store: ReadStore, make_read: Make, changes: dict[str, str]
) -> None:
    store.add([make_read(captured_ms=NOW)])

    def still(**kept: str) -> bool:
        hold(store, entry(kept.pop("plate", "TEST001"), published_ms=NOW, **kept))
        (row,) = look(store).page.rows
        (found,) = (h for h in look(store).hits[row.row_id] if h.entry.list == "stolen")
        assert found.entry == entry("TEST001")
        return found.still_listed

    assert still()
    assert not still(**changes)
    assert still()


def test_a_list_past_its_hard_limit_lists_nothing(
    store: ReadStore, make_read: Make, clock: At
) -> None:
    hold(store, entry("TEST001"), hard_limit_s=7200)
    store.add([make_read(captured_ms=NOW)])

    def still(**changes: int) -> list[bool]:
        page = look(store, **changes)
        (row,) = page.page.rows
        return [hit.still_listed for hit in page.hits[row.row_id] if hit.entry.list == "stolen"]

    clock.ms = NOW + HOUR
    assert still() == [True]
    assert still(entries_from_ms=NOW - HOUR) == [True]
    # It is due for deletion: nobody may see what it holds.
    assert still(entries_from_ms=NOW - HOUR + 1) == [False]
    clock.ms += 1
    assert still() == [False]
    assert store.hot_lists.entries("TEST001", "CA")[0].list == "wanted"


def test_later_pages_hold_what_was_there_at_the_first(store: ReadStore, make_read: Make) -> None:
    """Reads that arrive between two pages are of no page, wherever their time would put them."""
    store.add([make_read(captured_ms=NOW - n) for n in range(0, 8, 2)])
    first = look(store, limit=2).page
    store.add([make_read(captured_ms=NOW - n) for n in range(1, 8, 2)])
    rest = look(store, limit=20, after=first.cursor).page
    assert [row.read.captured_ms for row in (*first.rows, *rest.rows)] == [
        NOW, NOW - 2, NOW - 4, NOW - 6,
    ]  # fmt: skip
    assert rest.complete


def test_an_area_by_the_place_as_it_is_shared(store: ReadStore, make_read: Make) -> None:
    away = {"lat_e7": 339_000_000, "lon_e7": -1_182_600_000}
    # Just outside, in a cell whose centre lies inside.
    edge = {"lat_e7": 336_999_000, "lon_e7": -1_182_600_000}
    reads = [
        make_read(captured_ms=NOW + n, **place) for n, place in enumerate((INSIDE, away, edge))
    ]
    store.add([*reads, make_read(captured_ms=NOW), make_read("OTHER1", NOW, **INSIDE)])
    exact = look(store, of=BOX)
    assert [row.read.captured_ms for row in exact.page.rows] == [NOW]
    rounded = look(store, of=BOX, redaction=replace(OPEN, place_within_m=5000))
    assert [row.read.captured_ms for row in rounded.page.rows] == [NOW + 2, NOW]
    with pytest.raises(Refused) as refused:
        look(store, of=BOX, redaction=replace(OPEN, place_within_m=None))
    assert refused.value.code is Code.FIELD_NOT_SHARED


CIRCLE = AreaCircle(337_500_000, -1_182_600_000, 1000)
POLYGON = AreaPolygon(
    ((337_000_000, -1_183_000_000), (338_000_000, -1_183_000_000), (337_500_000, -1_182_000_000))
)


@pytest.mark.parametrize(
    ("area", "outside"),
    [
        # In the box around it, and not in it.
        (CIRCLE, {"lat_e7": 337_580_000, "lon_e7": -1_182_510_000}),
        (POLYGON, {"lat_e7": 337_900_000, "lon_e7": -1_182_100_000}),
    ],
)
def test_a_circle_and_a_polygon(
    store: ReadStore, make_read: Make, area: Area, outside: dict[str, int]
) -> None:
    assert inside(bounds(area), outside["lat_e7"], outside["lon_e7"])
    store.add([make_read(captured_ms=NOW, **INSIDE), make_read(captured_ms=NOW - 1, **outside)])
    store.add([make_read(captured_ms=NOW - 2)])
    page = look(store, of=area)
    assert [row.read.captured_ms for row in page.page.rows] == [NOW]
    kept_back = Withholding(plates=frozenset({"TEST001"}))
    page = look(store, of=area, withholding=kept_back)
    assert (seen(page), page.page.withheld) == ([], 1)


@pytest.mark.parametrize(
    "kept_back",
    [
        Withholding(plates=frozenset({"TEST001"})),
        Withholding(cameras=frozenset({"CAM-1"})),
        Withholding(cases=frozenset({"C-1"})),
        Withholding(areas=(BOX,)),
        Withholding(within=(AreaBox(0, 0, 1, 1),)),
    ],
)
def test_what_is_withheld_is_as_if_it_were_not_there(
    store: ReadStore, make_read: Make, kept_back: Withholding
) -> None:
    store.add([make_read(captured_ms=NOW, case="C-1", **INSIDE)])
    for of in (ExactPlate("TEST001"), BOX):
        assert len(seen(look(store, of=of))) == 1
        page = look(store, of=of, withholding=kept_back)
        assert (seen(page), page.page.complete, page.page.cursor) == ([], True, None)
        assert page.page.withheld == 1


def test_a_withheld_plate_is_not_told_by_its_look_alike(store: ReadStore, make_read: Make) -> None:
    """The read's plate may be shown, the one on the list may not."""
    store.add([make_read("TESTO01", NOW, **INSIDE)])
    kept_back = Withholding(plates=frozenset({"TEST001"}))
    assert seen(look(store, of=BOX)) == [("TESTO01", ["stolen", "wanted"])]
    assert seen(look(store, of=BOX, withholding=kept_back)) == []


def test_only_the_lists_that_are_named(store: ReadStore, make_read: Make) -> None:
    store.add([make_read(captured_ms=NOW, **INSIDE), make_read("TEST002", NOW - 1, **INSIDE)])
    both = frozenset({"stolen", "wanted"})
    for of in (ExactPlate("TEST001"), BOX):
        assert seen(look(store, of=of, rule=RULE))[0] == ("TEST001", ["stolen"])
        assert seen(look(store, of=of, rule=replace(RULE, hits=both)))[0][1] == [
            "stolen", "wanted",
        ]  # fmt: skip
        for narrow in (
            replace(RULE, hits=frozenset()),
            replace(RULE, lists=frozenset({"wanted"})),
            replace(RULE, sources=frozenset({"county"})),
        ):
            page = look(store, of=of, rule=narrow)
            assert (seen(page), page.page.complete) == ([], True)
        county = replace(RULE, hits=both, sources=frozenset({"county"}))
        assert seen(look(store, of=of, rule=county)) == [("TEST001", ["wanted"])]


def test_a_hit_of_another_purpose_is_as_if_it_were_not_there(
    store: ReadStore, make_read: Make
) -> None:
    """Also for paging, and whatever the rule on lists says."""
    hold(store, entry("TEST001", list="wanted", category="wanted-person"))
    hold(store, entry("TEST009", list="missing", category="missing-person"))
    store.add([make_read("TEST009", NOW, **INSIDE), make_read(captured_ms=NOW - 1, **INSIDE)])
    for rule in (None, replace(RULE, hits=frozenset({"stolen", "wanted", "missing"}))):
        for of in (ExactPlate("TEST001"), BOX):
            told = {"of": of, "rule": rule, "limit": 1}
            page = look(store, **told, purposes=frozenset({"stolen-vehicle", "hit-and-run"}))
            assert seen(page) == [("TEST001", ["stolen"])]
            assert (page.page.complete, page.page.cursor) == (True, None)
            page = look(store, **told, purposes=frozenset({"wanted-person"}))
            assert seen(page) == [("TEST001", ["wanted"])]
            page = look(store, **told, purposes=frozenset())
            assert (seen(page), page.page.complete) == ([], True)
            assert page.page.withheld == (1 if isinstance(of, ExactPlate) else 2)


def test_a_hit_of_a_stale_list_is_withheld_where_the_text_says_so(
    store: ReadStore, make_read: Make, clock: At
) -> None:
    for minutes in (30, 60, 61):
        clock.ms = NOW + minutes * 60_000
        store.add([make_read(captured_ms=clock.ms)])
    withheld = replace(RULE, stale=Stale.WITHHELD)
    assert len(seen(look(store, rule=RULE))) == 3
    assert len(seen(look(store, rule=withheld))) == 2
    assert len(seen(look(store, rule=replace(withheld, max_age_s=5400)))) == 1
    assert len(seen(look(store, rule=replace(withheld, max_age_s=9000)))) == 2
    # Where the time is rounded, the age is counted to the end of the step.
    hourly = replace(OPEN, time_step_ms=HOUR)
    assert len(seen(look(store, rule=withheld, redaction=hourly))) == 1


def test_the_window_and_the_look_back(store: ReadStore, make_read: Make) -> None:
    store.add([make_read(captured_ms=NOW - n * HOUR) for n in range(4)])
    window = Window(NOW - 2 * HOUR, NOW)
    assert len(seen(look(store, window=window))) == 2
    assert len(seen(look(store, window=window, earliest_ms=NOW - HOUR))) == 1
    assert len(seen(look(store, window=window, earliest_ms=NOW - HOUR + 1))) == 0


@few_and_many(
    given(
        times=st.lists(st.integers(0, 5), min_size=1, max_size=12),
        limit=st.integers(1, 5),
        step=st.sampled_from([1, 2, 3600]),
    ),
    8,
    30,
)
def test_pages_give_every_read_once(
    tmp_path_factory: pytest.TempPathFactory,
    stores: Stores,
    make_read: Make,
    times: list[int],
    limit: int,
    step: int,
) -> None:
    with stores.place(tmp_path_factory.mktemp("s")) as place:
        store = place.open(clock=At(NOW))
        hold(store, entry("TEST001"))
        reads = [make_read(captured_ms=NOW + n, **INSIDE) for n in times]
        store.add(reads)
        for of in (ExactPlate("TEST001"), BOX):
            found: list[bytes] = []
            after = None
            redaction = replace(OPEN, time_step_ms=step)
            while True:
                page = look(store, of=of, limit=limit, after=after, redaction=redaction).page
                found += [row.read.source_id for row in page.rows]
                after = page.cursor
                if not found[limit:] and after is not None:
                    # What comes later is not in the snapshot of the first page.
                    store.add([make_read(captured_ms=NOW, **INSIDE)])
                if after is None:
                    break
            assert len(set(found)) == len(found) >= len(times)
            assert {read.source_id for read in reads} <= set(found)
        store.close()
