"""Hits through the broker: matched on arrival, asked for, withheld, redacted, aged."""

import csv
import io
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from accord.clock import SystemClock
from accord.errors import Code
from accord.hot_lists import HIT_NOTICE, HotListEntry
from accord.model import AreaBox, ExactPlate, HitsOf, HotListPlate
from accord.results import Hit, Result
from tests.conftest import HOUR_MS, PLATE, Federation, make_files, read_at, running
from tests.hot_lists import hold
from tests.integration.test_due_data import with_policy
from tests.integration.test_query_cli import query
from tests.programs import Run

__all__ = ["query"]

TABLES = """
[hot_lists]
section = "III"
shared = ["list", "category"]
max_age_hours = 2
hits = ["stolen"]
"""
BOX = AreaBox(337_000_000, -1_183_000_000, 338_000_000, -1_182_000_000)
OF_PLATE = HitsOf(ExactPlate(PLATE, "CA"))


@pytest.fixture
async def federation(tmp_path: Path) -> AsyncIterator[Federation]:
    """The city shares hits of one list with harbor; the county shares none."""
    files = make_files(tmp_path, SystemClock())
    files.add_agreement(
        "city-harbor", ("city", "harbor"), kinds=("reads", "hot-list", "hits"), tables=TABLES
    )
    files.build()
    async with running(files) as built:
        now = built.clock.now_ms()
        for agency in ("city", "county"):
            store = built.nodes[agency].context.store
            entry = HotListEntry(
                "stolen", "bureau", PLATE, "CA", "stolen-vehicle", now - HOUR_MS, 86_400
            )
            hold(store, entry)
            hold(store, replace(entry, list="secret", category="wanted-person"))
            store.add([read_at(now - hours * HOUR_MS) for hours in (1, 2)])
            store.add([read_at(now - 3 * HOUR_MS, PLATE.replace("0", "O"))])
            store.add([read_at(now - 1 * HOUR_MS, PLATE, state="NV")])
            store.add([read_at(now - 1 * HOUR_MS, "9TST555")])
        yield built


async def ask(federation: Federation, officer_of: str = "harbor", **changes: object) -> Result:
    async with federation.client(officer_of) as client:
        return await client.ask(
            federation.question(**({"selector": OF_PLATE, "agencies": ("city",)} | changes))
        )


def met(result: Result) -> list[tuple[str, bool]]:
    return [(hit.read.plate, hit.shared.possible) for hit in result.hits]


async def test_hits_of_a_plate_and_of_an_area(federation: Federation) -> None:
    for selector in (OF_PLATE, HitsOf(BOX)):
        result = await ask(federation, selector=selector)
        assert result.complete
        assert met(result) == [
            (PLATE, False), (PLATE, False), (PLATE.replace("0", "O"), True),
        ]  # fmt: skip
        assert len(result.reads) == 3
    assert met(await ask(federation, selector=HitsOf(AreaBox(0, 0, 1, 1)))) == []
    assert met(await ask(federation, selector=HitsOf(ExactPlate("9TST555")))) == []


async def test_a_hit_is_redacted_as_its_read_and_says_its_age(federation: Federation) -> None:
    hit: Hit = (await ask(federation)).hits[0]
    entry = hit.shared.entry
    # The agreement shares neither the source nor the exact time and place.
    assert (entry.list, entry.source, entry.category) == ("stolen", "", "stolen-vehicle")
    assert entry.max_age_s == 7200
    assert hit.read.place is not None
    assert hit.read.place.within_m == 500
    assert hit.shared.matched_ms % hit.read.time_step_ms == 0
    assert not hit.shared.stale
    assert HOUR_MS <= hit.age_ms < HOUR_MS + 3 * 60_000
    assert (hit.shared.still_listed, hit.shared.notice) == (True, HIT_NOTICE)


async def test_a_late_read_is_told_to_be_older_than_the_list(
    federation: Federation, query: Run
) -> None:
    now, city = federation.clock.now_ms(), federation.nodes["city"].context
    before = (await ask(federation)).hits
    assert [hit.read_before_list for hit in before] == [False, True, True]
    city.store.add([read_at(now - 30_000)])
    assert not (await ask(federation)).hits[0].read_before_list
    said = " ".join((await query("hits", PLATE, "--from", "city", "--csv")).out.split())
    assert "read_before_list" in said


async def test_lists_that_are_not_named_are_not_told(federation: Federation) -> None:
    assert {hit.shared.entry.list for hit in (await ask(federation)).hits} == {"stolen"}
    own = await ask(federation, "city")
    assert {hit.shared.entry.list for hit in own.hits} == {"stolen", "secret"}
    assert own.hits[0].shared.entry.source == "bureau"


async def test_what_is_listed_for_another_purpose_is_not_told(federation: Federation) -> None:
    """The agreement allows no missing-person: neither entry nor hit, as if it were not there."""
    now, city = federation.clock.now_ms(), federation.nodes["city"].context
    listed = HotListPlate(PLATE, "CA")
    before = await ask(federation, selector=listed)
    assert {one.entry.list for one in before.entries} == {"stolen", "secret"}
    missing = HotListEntry("stolen", "bureau", PLATE, "CA", "missing-person", now - HOUR_MS, 86_400)
    hold(city.store, missing)
    city.store.add([read_at(now - 30_000)])
    after = await ask(federation, selector=listed)
    assert [one.entry.list for one in after.entries] == ["secret"]
    for selector in (OF_PLATE, HitsOf(BOX)):
        assert len((await ask(federation, selector=selector)).hits) == 3
    own = (await ask(federation, "city", selector=OF_PLATE)).hits
    assert "missing-person" in {hit.shared.entry.category for hit in own}
    # Of an allowed purpose the same hit is told.
    hold(city.store, replace(missing, category="wanted-person"))
    city.store.add([read_at(now - 20_000)])
    assert len((await ask(federation)).hits) == 4


async def test_an_entry_without_a_state_is_told_as_possible(
    federation: Federation, query: Run
) -> None:
    now, city = federation.clock.now_ms(), federation.nodes["city"].context
    hold(city.store, HotListEntry(
        "stolen", "bureau", PLATE, "", "stolen-vehicle", now - HOUR_MS, 86_400
    ))  # fmt: skip
    result = await ask(federation, selector=HotListPlate(PLATE, "CA"))
    assert [(one.entry.list, one.entry.state) for one in result.entries] == [
        ("secret", "CA"), ("stolen", ""),
    ]  # fmt: skip
    said = (await query("hotlist", PLATE, "--from", "city")).out
    assert " ".join(said.split()).count("POSSIBLE: the list does not know its state") == 1
    content = json.loads((await query("hotlist", PLATE, "--json", "--from", "city")).out)
    assert [one["state_known"] for one in content["hot_list"]] == [True, False]


async def test_a_purpose_that_the_policy_takes_away_is_no_category_either(
    federation: Federation,
) -> None:
    listed = HotListPlate(PLATE, "CA")
    with_policy(
        federation,
        "city",
        'agency = "harbor"\n',
        'agency = "harbor"\npurposes = ["stolen-vehicle"]\n',
    )
    found = await ask(federation, selector=listed)
    assert [one.entry.list for one in found.entries] == ["stolen"]


async def test_an_agreement_without_hits_refuses_them(federation: Federation) -> None:
    (said,) = (await ask(federation, agencies=("county",))).outcomes
    assert (said.code, said.section) == (Code.KIND_NOT_AGREED, "II.A")
    assert "does not share hits" in said.text
    reads = federation.question(agencies=("county",))
    async with federation.client() as client:
        assert len((await client.ask(reads)).reads) == 2


async def test_a_list_that_has_grown_stale_is_told(federation: Federation) -> None:
    now, city = federation.clock.now_ms(), federation.nodes["city"].context
    old = HotListEntry("stolen", "bureau", PLATE, "CA", "stolen-vehicle", now - 3 * HOUR_MS, 86_400)
    hold(city.store, old)
    city.store.add([read_at(now - 60_000)])
    newest, *others = (await ask(federation)).hits
    assert newest.shared.stale
    assert not any(hit.shared.stale for hit in others)
    hold(city.store, replace(old, plate="9TST001"))
    hold(city.store, replace(old, plate="9TST777"))
    assert {hit.shared.still_listed for hit in (await ask(federation)).hits} == {False}
    # Past its hard limit the list matches nothing, and says nothing.
    hold(city.store, old, hard_limit_s=7200)
    assert city.store.add([read_at(now - 30_000)]).hits == 1  # the other list's
    assert len((await ask(federation)).hits) == 4


async def test_the_answer_says_how_old_the_lists_are(federation: Federation, query: Run) -> None:
    """Nothing found by a list that is not matched is not nothing."""
    now, city = federation.clock.now_ms(), federation.nodes["city"].context
    listed = HotListPlate(PLATE, "CA")

    async def states(selector: HitsOf | HotListPlate) -> list[tuple[str, bool, bool]]:
        found = (await ask(federation, selector=selector)).lists
        return [(one.state.list, one.state.stale, one.state.not_matched) for one in found]

    assert await states(OF_PLATE) == [("stolen", False, False)]
    assert await states(listed) == [("secret", False, False), ("stolen", False, False)]
    old = HotListEntry("stolen", "bureau", PLATE, "CA", "stolen-vehicle", now - 3 * HOUR_MS, 86_400)
    # Stale by the agreement's two hours, and past the owner's own limit.
    hold(city.store, old, hard_limit_s=7200)
    assert await states(OF_PLATE) == [("stolen", True, True)]
    assert (await states(listed))[1] == ("stolen", True, True)
    result = await ask(federation, selector=listed)
    assert {one.entry.list for one in result.entries} == {"secret"}
    said = await query("hotlist", PLATE, "--from", "city")
    assert "The hot list stolen of city is NOT MATCHED" in " ".join(said.out.split())
    assert HIT_NOTICE in " ".join(said.out.split())
    content = json.loads((await query("hotlist", PLATE, "--json", "--from", "city")).out)
    assert [one["not_matched"] for one in content["lists"]] == [False, True]


async def test_pages_of_hits_hold_each_read_once(federation: Federation) -> None:
    now, city = federation.clock.now_ms(), federation.nodes["city"].context
    city.store.add([read_at(now - HOUR_MS - minutes * 60_000) for minutes in range(20)])
    async with federation.client() as client:
        question = federation.question(selector=OF_PLATE, agencies=("city",), row_limit=4)
        pages = [page async for page in client.pages(question)]
    hits = [hit for page in pages for hit in page.hits]
    assert len(pages) > 4
    assert len(hits) == len({hit.read.read_id for hit in hits}) == 23


async def test_a_withheld_plate_is_nothing_found(federation: Federation) -> None:
    assert len((await ask(federation)).hits) == 3
    with_policy(federation, "city", "plates = []", f'plates = ["{PLATE}"]')
    for selector in (OF_PLATE, HitsOf(BOX)):
        result = await ask(federation, selector=selector)
        assert (result.hits, result.reads, result.complete) == ((), (), True)
    # Own officers are under no withholding.
    assert len((await ask(federation, "city")).hits) == 6


async def test_hits_past_their_days_are_not_shown_and_their_reads_are(
    federation: Federation,
) -> None:
    old = federation.clock.now_ms() - 47 * HOUR_MS
    federation.nodes["city"].context.store.add([read_at(old)])
    assert len((await ask(federation)).hits) == 4
    with_policy(federation, "city", "hot_list_days = 30", "hot_list_days = 30\nhits_days = 1")
    assert len((await ask(federation)).hits) == 3
    assert len((await ask(federation, selector=OF_PLATE.of)).reads) == 3


async def test_the_books_say_that_hits_were_asked(federation: Federation) -> None:
    await ask(federation)
    await ask(federation, selector=HitsOf(BOX))
    for agency in ("city", "harbor"):
        audit = federation.nodes[agency].context.audit
        asked = [entry.fields for entry in audit.entries() if entry.fields.get("asked")]
        assert {fields["asked"] for fields in asked} == {"hits"}
        assert {fields.get("plate") for fields in asked} == {PLATE, None}
        assert any("area" in fields for fields in asked)


async def test_the_command_for_people_and_programs(query: Run) -> None:
    table = await query("hits", PLATE, "--from", "city")
    assert table.status == 0
    assert table.out.count("exact") == 2
    assert table.out.count("POSSIBLE") == 1
    assert HIT_NOTICE in " ".join(table.out.split())
    area = await query("hits", "--area=33.7,-118.3,33.8,-118.2", "--json", "--from", "city")
    found = json.loads(area.out)["hits"]
    assert {hit["match"] for hit in found} == {"exact", "possible"}
    assert all(hit["notice"] == HIT_NOTICE and hit["list_age_s"] >= 3600 for hit in found)
    rows = list(csv.DictReader(io.StringIO(
        (await query("hits", PLATE, "--csv", "--all", "--limit", "1", "--from", "city")).out
    )))  # fmt: skip
    assert [row["match"] for row in rows] == ["exact", "exact", "possible"]
    assert {row["stale"] for row in rows} == {"False"}
    for place in (
        ("--circle=33.75,-118.26,2000",),
        ("--corner=33.7,-118.3", "--corner=33.8,-118.3", "--corner=33.75,-118.2"),
    ):
        said = await query("hits", *place, "--json", "--from", "city")
        there = json.loads(said.out)["hits"]
        assert [hit["read_id"] for hit in there] == [hit["read_id"] for hit in found]
        away = [one.replace("33.", "43.") for one in place]
        none = await query("hits", *away, "--json", "--from", "city")
        assert json.loads(none.out)["hits"] == []
    for wrong in (
        (), (PLATE, "--area=1,2,3,4"), ("--area=1,2",), (PLATE, "--circle=1,2,3"),
        ("--area=1,2,3,4", "--circle=1,2,3"), ("--circle=1,2,3", "--corner=1,2"), ("--corner=1,2",),
    ):  # fmt: skip
        said = await query("hits", *wrong)
        assert said.status == 2
        assert said.err.count("\n") == 1
    refused = await query("hits", PLATE, "--from", "county")
    assert refused.status == 3
    assert "KIND_NOT_AGREED" in refused.out
