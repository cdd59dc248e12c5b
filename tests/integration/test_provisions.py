"""What a text has beside its basic tables, kept by real servers."""

import io
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from accord.cli import show
from accord.clock import SystemClock, iso
from accord.errors import Code, InputError
from accord.hot_lists import HotListEntry
from accord.model import Approval, ApprovalKind, HotListPlate
from accord.results import AgencyOutcome
from accord.roster import Officer
from accord.testing import FederationSimulator
from node.ingest.csv_reads import CsvReads
from node.ingest.mapping import Mapping
from node.ingest.openalpr import OpenAlpr
from node.ingest.report import Rejected
from node.ingest.settings import Settings
from tests.conftest import EVERY_PURPOSE, HOUR_MS, PLATE, Federation, make_files, read_at, running
from tests.hot_lists import hold

TABLES = """
[territory]
section = "I.C"
areas = [{south = 33.7, west = -118.3, north = 33.8, east = -118.2}]
[hot_lists]
section = "III"
shared = ["list", "category"]
sources = ["State bureau"]
stale = "withheld"
[export]
section = "II.A"
allowed = "never"
[purposes.offences]
criminal-investigation = ["robbery"]
[limits.by_purpose]
wanted-person = 2
[[roles]]
section = "I.C"
role = "operator"
name = "The exchange"
agency = "%s"
sees = "answers"
"""
CHIEF = Officer(
    "O-9", "Officer Chief", "sergeant", "good", "2026-09-01", EVERY_PURPOSE, may_approve=True
)


def files_of(base: Path, operator: str = "exchange") -> FederationSimulator:
    files = make_files(base, SystemClock())
    files.add_officer("harbor", CHIEF)
    files.add_agreement(
        "city-harbor", ("city", "harbor"), tables=TABLES % operator, received_days=3, time="hour"
    )
    return files


@pytest.fixture
async def provided(tmp_path: Path) -> AsyncIterator[Federation]:
    files = files_of(tmp_path)
    files.build()
    async with running(files) as built:
        now, city = built.clock.now_ms(), built.nodes["city"].context
        inside = [read_at(now - hours * HOUR_MS, confidence_pm=900) for hours in (2, 3)]
        city.store.add([*inside, read_at(now - 4 * HOUR_MS, lat_e7=339_000_000)])
        fresh = HotListEntry("a", "State bureau", PLATE, "CA", "stolen-vehicle", now, 3600)
        stale = replace(fresh, list="b", published_ms=now - 2 * HOUR_MS)
        other = replace(fresh, list="c", source="A club")
        for entry in (fresh, stale, other):
            hold(city.store, entry)
        yield built


async def outcome(federation: Federation, **changes: object) -> AgencyOutcome:
    async with federation.client() as client:
        question = federation.question(agencies=("city",), **changes)
        return (await client.ask(question)).outcomes[0]


async def test_territory_hot_lists_and_confidence(provided: Federation) -> None:
    async with provided.client() as client:
        seen = await client.ask(provided.question(agencies=("city",)))
        selector = HotListPlate(PLATE, "CA")
        listed = await client.ask(provided.question(agencies=("city",), selector=selector))
    assert len(seen.reads) == 2
    assert {read.confidence_pm for read in seen.reads} == {0}
    assert [(e.entry.list, e.entry.source, e.entry.category) for e in listed.entries] == [
        ("a", "", "stolen-vehicle")
    ]


async def test_export_offence_and_look_back(provided: Federation) -> None:
    robbery = {"purpose": "criminal-investigation", "offence": "robbery"}
    assert (await outcome(provided, **robbery)).signed
    for bad, code in (
        ({"export": True}, Code.EXPORT_NOT_AGREED),
        (robbery | {"offence": ""}, Code.OFFENCE_NOT_AGREED),
        ({"purpose": "wanted-person"}, Code.LOOK_BACK_EXCEEDED),
    ):
        refused = await outcome(provided, **bad)
        assert (refused.code, bool(refused.section)) == (code, True)
    assert (await outcome(provided)).rows == 2
    recorded = [e for e in provided.nodes["harbor"].context.audit.entries() if e.kind == "refusal"]
    assert len(recorded) == 3


async def test_a_broker_whose_operator_is_not_named_forwards_nothing(tmp_path: Path) -> None:
    files = files_of(tmp_path, operator="another")
    files.build()
    async with running(files) as built:
        refused = await outcome(built)
        assert refused.code == Code.OPERATOR_NOT_AGREED
        assert "query" not in built.kinds("city")


async def test_what_was_received_is_marked_and_never_taken_in(
    federation: Federation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """(MOA II.A) What an agency received is not its own, whatever form it has."""
    async with federation.client() as client:
        result = await client.ask(federation.question(agencies=("city",)))
    assert len(result.reads) == 4
    show.result(result, as_json=True, as_csv=False)
    as_json = capsys.readouterr().out
    show.result(result, as_json=False, as_csv=True)
    as_csv = capsys.readouterr().out
    rows = json.loads(as_json)["reads"]
    assert {(row["agency"], row["recipient"]) for row in rows} == {("city", "harbor")}
    duty = result.outcomes[0].duty
    assert duty is not None
    assert {row["delete_by"] for row in rows} == {iso(duty.delete_by_ms)}
    mapping = Mapping(
        format="accord-mapping/1", plate="plate", time="captured_at", time_format="iso",
        camera="camera",
    )  # fmt: skip
    settings = Settings(mapping=mapping)
    with pytest.raises(InputError, match="received from another agency"):
        list(CsvReads().parse(io.BytesIO(as_csv.encode()), settings))
    # The same rows under other names are what a person claims to be its own.
    own = as_csv.replace("recipient", "note", 1)
    assert len(list(CsvReads().parse(io.BytesIO(own.encode()), settings))) == 4
    for text in (as_json, json.dumps(rows), json.dumps(rows[0])):
        (found, *_) = OpenAlpr().parse(io.BytesIO(text.encode()), Settings())
        assert isinstance(found, Rejected)
        assert "received from another agency" in found.reason


async def test_what_was_received_goes_so_many_days_after_its_capture(tmp_path: Path) -> None:
    files = make_files(tmp_path, SystemClock())
    swap = '[survival]\nsection = "V"\nqueries_in_flight = "refused"\n'
    swap += 'received = "deleted-at-end"\nlogs_years = 5\n'
    day_ms = 24 * HOUR_MS
    now = files.clock.now_ms()
    # The agreement ends in some ten days: three years from its last signature.
    signed_ms = now - (3 * 365 + 1 - 10) * day_ms
    files.add_agreement(
        "city-harbor", ("city", "harbor"), tables=swap, received_days=60, signed_at_ms=signed_ms
    )
    files.build()
    async with running(files) as built:
        built.nodes["city"].context.store.add([read_at(now - HOUR_MS)])
        found = await outcome(built)
        (agreement,) = built.nodes["city"].context.federation.between("harbor", "city")
    assert found.duty is not None
    assert found.duty.delete_by_ms == agreement.term.expires_ms
    assert found.duty.section == "V"


async def test_a_supervisor_approves_and_nobody_else(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    files.add_agreement("city-harbor", ("city", "harbor"), approval="supervisor")
    files.build()
    async with running(files) as built:
        lately = (datetime.now(UTC) - timedelta(days=3)).date().isoformat()
        good = Approval(ApprovalKind.SUPERVISOR, "O-9", "A-17", lately)
        assert (await outcome(built, approval=good)).signed
        assert (await outcome(built)).code == Code.APPROVAL_REQUIRED
        for bad in (replace(good, by="O-1"), replace(good, by="nobody")):
            refused = await outcome(built, approval=bad)
            assert (refused.code, refused.refused_by) == (Code.APPROVAL_REQUIRED, "harbor")
        assert built.kinds("city").count("query") == 1
