"""``accord query`` as a person or a program runs it: output, exit status, one-line errors."""

import csv
import io
import json

import pytest

from accord.hot_lists import HotListEntry
from accord.model import LOOSE_NOTICE, READ_NOTICE
from tests.conftest import HOUR_MS, PLATE, Federation, read_at
from tests.hot_lists import hold
from tests.integration.questions import WHY, asking
from tests.programs import Run


@pytest.fixture
def query(federation: Federation) -> Run:
    return asking(federation)


async def test_a_table_for_people(query: Run) -> None:
    ran = await query("plate", PLATE)
    assert ran.status == 0
    assert ran.out.count(f"{PLATE} CA") == 8
    assert "\x1b" not in ran.out
    assert ran.out.rstrip().endswith(READ_NOTICE)
    for agency in ("city", "county"):
        assert f"│ {agency}" in ran.out


async def test_one_json_object_for_programs(query: Run) -> None:
    ran = await query("plate", PLATE, "--json")
    content = json.loads(ran.out)
    assert (ran.status, content["complete"]) == (0, True)
    assert [o["outcome"] for o in content["outcomes"].values()] == ["answered", "answered"]
    times = [read["captured_at"] for read in content["reads"]]
    assert len(times) == 8
    assert times == sorted(times, reverse=True)
    assert content["notice"] == READ_NOTICE


async def test_plate_and_reason_need_not_be_arguments(query: Run) -> None:
    """Other users see a program's arguments: a dash reads them from standard input."""
    why = (*WHY[:-1], "-")
    ran = await query("plate", "-", "--json", why=why, typed=f"{PLATE}\ntest\n")
    assert (ran.status, len(json.loads(ran.out)["reads"])) == (0, 8)
    nothing = await query("plate", "-")
    assert (nothing.status, nothing.out) == (2, "")
    assert "ended before the plate" in nothing.err


async def test_a_box_may_begin_in_the_south(query: Run) -> None:
    for order in (
        ("-33.87,151.20,-33.86,151.21", "--json"),
        ("--json", "-33.87,151.20,-33.86,151.21"),
    ):
        ran = await query("area", *order)
        assert ran.status == 0


async def test_what_must_be_declared_is_said(query: Run) -> None:
    ran = await query("plate", PLATE, "--json", why=WHY[2:])
    (outcome, _) = json.loads(ran.out)["outcomes"].values()
    assert (ran.status, outcome["code"], outcome["section"]) == (3, "ATTESTATION_REQUIRED", "II.A")
    assert outcome["text"].startswith("The officer must declare no-civil-immigration: Neither")


async def test_pages_one_by_one_and_all_at_once(query: Run) -> None:
    first = await query("plate", PLATE, "--limit", "1", "--json")
    assert first.status == 4
    assert {o["outcome"] for o in json.loads(first.out)["outcomes"].values()} == {"truncated"}
    told = await query("plate", PLATE, "--limit", "1")
    assert "wait for an agency's next page: ask with --all" in told.out
    whole = json.loads((await query("plate", PLATE, "--json")).out)["reads"]
    ran = await query("plate", PLATE, "--limit", "1", "--all", "--json")
    assert ran.status == 0
    paged = json.loads(ran.out)["reads"]
    # Each page was received at its own moment.
    assert all(read.pop("delete_by") for read in (*paged, *whole))
    assert paged == whole


async def test_refused_by_all_is_3(query: Run) -> None:
    why = ("--purpose", "commercial", "--case", "T-1", "--reason", "test")
    ran = await query("plate", PLATE, "--json", why=why)
    outcomes = json.loads(ran.out)["outcomes"]
    assert ran.status == 3
    assert {o["code"] for o in outcomes.values()} == {"PURPOSE_PROHIBITED"}
    assert {o["refused_by"] for o in outcomes.values()} == {"harbor"}


async def test_a_node_that_is_off_makes_it_incomplete(query: Run, federation: Federation) -> None:
    await federation.nodes["city"].server.stop(None)
    ran = await query("plate", PLATE)
    assert ran.status == 4
    assert ran.out.count(f"{PLATE} CA") == 4
    assert "broker's claim, unsigned by the node" in ran.out


async def test_a_home_node_that_is_off_is_told_in_one_line(
    query: Run, federation: Federation
) -> None:
    await federation.nodes["harbor"].server.stop(None)
    ran = await query("plate", PLATE)
    assert (ran.status, ran.out) == (4, "")
    said = "Can't reach the home node. Whom to talk to: ALPR coordinator, Harbor"
    assert ran.err == f"error: NODE_UNREACHABLE: {said}\n"


HOSTILE = "=1+1\x1b[31m[red]"


async def test_what_others_wrote_steers_nothing(query: Run, federation: Federation) -> None:
    """A camera's name from another agency, signed and all (the county shares it)."""
    now = federation.clock.now_ms()
    store = federation.nodes["county"].context.store
    store.add([read_at(now - HOUR_MS, "9TST002", camera=HOSTILE)])
    table = await query("plate", "9TST002")
    assert "\x1b" not in table.out
    assert "=1+1\N{REPLACEMENT CHARACTER}[31m[red]" in table.out
    rows = list(csv.DictReader(io.StringIO((await query("plate", "9TST002", "--csv")).out)))
    assert [row["camera"] for row in rows] == ["'=1+1\N{REPLACEMENT CHARACTER}[31m[red]"]
    content = json.loads((await query("plate", "9TST002", "--json")).out)
    assert content["reads"][0]["camera"] == HOSTILE


async def test_csv_holds_reads_or_hot_list_entries(query: Run, federation: Federation) -> None:
    now = federation.clock.now_ms()
    entry = HotListEntry("stolen", "State Bureau", PLATE, "CA", "stolen-vehicle", now, 86_400)
    hold(federation.nodes["city"].context.store, entry)
    reads = await query("plate", PLATE, "--csv")
    assert len(list(csv.DictReader(io.StringIO(reads.out)))) == 8
    assert READ_NOTICE in reads.err
    ran = await query("hotlist", PLATE, "--csv")
    (row,) = csv.DictReader(io.StringIO(ran.out))
    assert (row["agency"], row["list"], row["stale"]) == ("city", "stolen", "False")
    none = await query("plate", "9TST999", "--csv")
    assert (none.status, none.out.count("\n")) == (0, 1)
    assert none.out.startswith("read_id,agency,recipient,delete_by,plate,state")


async def test_a_photo_that_is_not_there_is_told(query: Run) -> None:
    content = json.loads((await query("plate", PLATE, "--from", "county", "--json")).out)
    read_id = content["reads"][0]["read_id"]
    ran = await query("photo", read_id, "--from", "county", "--out", "none.jpg")
    assert ran.status == 0
    assert ran.err == "There is no photo to give.\n"


async def test_every_way_of_searching_has_a_command(query: Run, federation: Federation) -> None:
    now = federation.clock.now_ms()
    store = federation.nodes["city"].context.store
    store.add([read_at(now - 5 * HOUR_MS, "9TST0O1")])
    alike = await query("lookalike", PLATE, "--state", "CA")
    assert alike.status == 0
    assert alike.out.count("9TST0O1 CA (loose: 1)") == 1
    assert LOOSE_NOTICE in alike.out
    asked = json.loads((await query("lookalike", PLATE, "--json")).out)
    assert [read["substitutions"] for read in asked["reads"]] == [0] * 8 + [1]
    circle = await query("circle", "33.75,-118.26,1500", "--csv")
    rows = list(csv.DictReader(io.StringIO(circle.out)))
    assert (circle.status, len(rows)) == (0, 9)
    assert {row["substitutions"] for row in rows} == {"0"}
    corners = ("33.7,-118.3", "33.7,-118.2", "33.8,-118.26")
    polygon = await query("polygon", *corners, "--json")
    assert (polygon.status, len(json.loads(polygon.out)["reads"])) == (0, 9)
    several = await query("plates", PLATE, "CA:9TST0O1")
    assert several.status == 3
    assert "PLATES_NOT_AGREED" in several.out
