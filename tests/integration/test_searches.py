"""Every kind of search over the federation: merged, ranked, marked, bounded, refused."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from accord.areas import inside
from accord.audit.reader import Filter
from accord.clock import SystemClock
from accord.model import (
    Area,
    AreaBox,
    AreaCircle,
    AreaPolygon,
    ExactPlate,
    LookAlikePlate,
    PlateList,
    SharedRead,
    WildcardPlate,
    Window,
)
from accord.plates import substitutions
from node.store.sqlite import SqliteStore
from tests.conftest import HOUR_MS, PLATE, Federation, make_files, read_at, running
from tests.cuts import all_before

ALIKE = ("9TST0O1", "9TSTDO1", "9TSTQ0I", "9TSTQDI", "9TST002", "97ST001")
SPOT = (337_500_000, -1_182_600_000)


@pytest.fixture
async def listed(tmp_path: Path) -> AsyncIterator[Federation]:
    """As ``federation``, with a city that agreed on three plates in one search."""
    files = make_files(tmp_path, SystemClock())
    files.add_agreement("city-harbor", ("city", "harbor"), plates_per_query=3)
    files.build()
    async with running(files) as built:
        now = built.clock.now_ms()
        for agency in ("city", "county"):
            store = built.nodes[agency].context.store
            store.add([read_at(now - n * HOUR_MS, f"9TST00{n}") for n in range(1, 5)])
        yield built


def add_alikes(federation: Federation) -> None:
    now = federation.clock.now_ms()
    for agency in ("city", "county"):
        store = federation.nodes[agency].context.store
        store.add([read_at(now - n * 40 * 60_000, plate) for n, plate in enumerate(ALIKE, 1)])


def places(reads: list[SharedRead]) -> list[tuple[int, int]]:
    return [(read.substitutions, -read.captured_ms) for read in reads]


async def test_look_alikes_come_ranked_and_marked_page_after_page(federation: Federation) -> None:
    add_alikes(federation)
    question = federation.question(selector=LookAlikePlate(PLATE, "CA"))
    pages: list[SharedRead] = []
    async with federation.client() as client:
        whole = await client.ask(question)
        small = federation.question(selector=LookAlikePlate(PLATE, "CA"), row_limit=2)
        async for read in client.reads(small):
            pages.append(read)
        other = await client.ask(federation.question(selector=LookAlikePlate(PLATE, "NV")))
        strict = await client.ask(federation.question(selector=LookAlikePlate(PLATE, "CA", 1)))
    reads = list(whole.reads)
    # One exact plate four times, one look-alike by one character, three by two.
    assert [read.substitutions for read in reads] == [0] * 8 + [1] * 4 + [2] * 4
    assert {r.plate for r in reads} == {PLATE, "9TST0O1", "97ST001", "9TSTDO1", "9TSTQ0I"}
    assert all(substitutions(PLATE, read.plate) == read.substitutions for read in reads)
    assert places(reads) == sorted(places(reads))
    assert places(pages) == places(reads)
    assert {read.read_id for read in pages} == {read.read_id for read in reads}
    assert other.reads == ()
    assert max(read.substitutions for read in strict.reads) == 1


CIRCLE = AreaCircle(*SPOT, 1500)
TRIANGLE = AreaPolygon(
    ((337_400_000, -1_182_700_000), (337_600_000, -1_182_700_000), (337_500_000, -1_182_400_000))
)


@pytest.mark.parametrize("area", [CIRCLE, TRIANGLE])
async def test_circle_and_polygon_hold_what_lies_in_them_as_it_is_shared(
    federation: Federation, area: Area
) -> None:
    now = federation.clock.now_ms()
    for agency in ("city", "county"):
        spots = [(SPOT[0] + n * 20_000, SPOT[1] - n * 30_000) for n in range(-8, 9)]
        federation.nodes[agency].context.store.add(
            [
                read_at(now - n * 60_000, f"AT{n:02}", lat_e7=lat, lon_e7=lon)
                for n, (lat, lon) in enumerate(spots)
            ]
        )
    async with federation.client() as client:
        found = await client.ask(federation.question(selector=area))
        away = await client.ask(federation.question(selector=AreaCircle(0, 0, 1500)))
    assert found.complete
    for agency in ("city", "county"):
        spots = [read.place for read in found.reads if read.originator == agency]
        assert 4 < len(spots) < 21
        assert all(s is not None and inside(area, s.lat_e7, s.lon_e7) for s in spots)
    assert away.complete
    assert away.reads == ()


async def test_several_plates_only_where_the_agreement_says_how_many(listed: Federation) -> None:
    three = PlateList(tuple(ExactPlate(f"9TST00{n}", "CA") for n in (1, 2, 4)))
    async with listed.client() as client:
        found = await client.ask(listed.question(selector=three))
        four = PlateList(tuple(ExactPlate(f"9TST00{n}") for n in range(1, 5)))
        more = await client.ask(listed.question(selector=four, agencies=("city",)))
        nevada = PlateList((ExactPlate("9TST001", "NV"), ExactPlate("9TST002")))
        states = await client.ask(listed.question(selector=nevada, agencies=("city",)))
    city, county = found.outcomes
    assert [read.plate for read in found.reads] == ["9TST001", "9TST002", "9TST004"]
    assert {read.originator for read in found.reads} == {"city"}
    assert (city.rows, county.code, county.section) == (3, "PLATES_NOT_AGREED", "II.B")
    assert more.refused
    assert "At most 3 plates" in more.outcomes[0].text
    assert [read.plate for read in states.reads] == ["9TST002"]
    # The home node refused for the county: nothing went to it.
    assert listed.kinds("county") == ["start"]
    entries = listed.nodes["city"].context.audit.entries()
    asked = [entry.fields for entry in entries if entry.kind == "query"]
    assert asked[0]["plates"] == "CA:9TST001,CA:9TST002,CA:9TST004"
    found_by = listed.nodes["city"].context.audit.entries(Filter({"plate": "9TST004"}))
    assert {entry.fields["asked"] for entry in found_by} == {"plates"}


async def test_a_search_too_wide_is_refused_with_what_to_narrow(federation: Federation) -> None:
    now = federation.clock.now_ms()
    wide = AreaBox(337_000_000, -1_183_000_000, 347_000_000, -1_173_000_000)
    long = AreaBox(337_000_000, -1_183_000_000, 342_000_000, -1_178_000_000)
    month = Window(now - 30 * 24 * HOUR_MS, now)
    async with federation.client() as client:
        too_wide = await client.ask(federation.question(selector=wide))
        too_long = await client.ask(federation.question(selector=long, window=month))
        good = await client.ask(federation.question(selector=long))
    assert {o.code for o in (*too_wide.outcomes, *too_long.outcomes)} == {"SEARCH_TOO_WIDE"}
    assert all(o.signed for o in too_wide.outcomes)
    assert "at most 100 by 100" in too_wide.outcomes[0].text
    assert "hours at once: narrow the time or the area" in too_long.outcomes[0].text
    assert len(good.reads) == 8


async def test_a_wildcard_finds_what_another_process_took_in_a_moment_ago(
    federation: Federation,
) -> None:
    selector = WildcardPlate("*ZZ9*")
    other = SqliteStore.open(federation.files.folder("city") / "data" / "reads.db")
    async with federation.client() as client:
        before = await client.ask(federation.question(selector=selector))
        other.add([read_at(federation.clock.now_ms() - HOUR_MS, "7ZZ9001")])
        after = await client.ask(federation.question(selector=selector))
        other.delete_reads(
            all_before(federation.clock.now_ms() - HOUR_MS // 2), 10_000, lambda _: None
        )
        gone = await client.ask(federation.question(selector=selector))
    other.close()
    assert before.reads == gone.reads == ()
    assert [read.plate for read in after.reads] == ["7ZZ9001"]
