"""One mapping for the customer's own layouts: JSON by paths, AutoVu's templates by elements."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accord.errors import InputError
from node.ingest.autovu import AutoVu
from node.ingest.json_reads import JsonReads
from node.ingest.mapping import FORMAT, Mapping, load_mapping
from node.ingest.report import Parsed, Rejected
from node.ingest.settings import Camera, Settings
from node.ingest.times import REPEATED
from tests.unit.node.ingest.damage import (
    check_neighbours,
    check_retry,
    cut,
    noise,
    plates,
    refusals,
    run,
    spliced,
)

JSON = JsonReads()
AUTOVU = AutoVu()
PATHS = Mapping(
    format=FORMAT, plate="vehicle.plates.0.text", time="seen", time_format="iso", camera="cam.id",
    latitude="cam.at.lat", longitude="cam.at.lon", state="vehicle.plates.0.state",
    colour="vehicle.colour", confidence="vehicle.plates.0.p", confidence_of=1, id="uid",
)  # fmt: skip
TEMPLATE = Mapping(
    format=FORMAT, record="AutoVu", plate="Plate", state="State", date="UTCDate",
    date_format="%Y:%m:%d", time="UTCTime", time_format="%H:%M:%S.%f", zone="UTC",
    camera="CameraName.@id", latitude="LatitudeY", longitude="LongitudeX", id="Guid",
)  # fmt: skip
AS_JSON = Settings(mapping=PATHS)
AS_XML = Settings(mapping=TEMPLATE)


def record(plate: str = "TEST001", **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "uid": f"u-{plate}",
        "seen": "2026-03-01T00:30:00-08:00",
        "cam": {"id": "PIER-1", "at": {"lat": 33.7361, "lon": "-118.2922"}},
        "vehicle": {"colour": "red", "plates": [{"text": plate, "state": "CA", "p": 0.8}]},
        "lane": 2,
    }
    return found | more


def xml(plate: str = "TEST001", date: str = "2026:03:01", time: str = "08:30:00.125") -> str:
    return (
        f"<AutoVu><Plate>{plate}</Plate><State>CA</State><UTCDate>{date}</UTCDate>"
        f'<UTCTime>{time}</UTCTime><CameraName id="PIER-1">Pier</CameraName>'
        f"<LongitudeX>-118.2922</LongitudeX><LatitudeY>33.7361</LatitudeY><Guid>g-{plate}</Guid>"
        "</AutoVu>"
    )


def lines(*records: dict[str, Any]) -> bytes:
    return b"\n".join(json.dumps(one).encode() for one in records)


def only(content: bytes, settings: Settings = AS_JSON) -> Parsed:
    form = AUTOVU if content.startswith(b"<") else JSON
    (found,) = run(form, content, settings)
    assert isinstance(found, Parsed)
    return found


@pytest.mark.parametrize("content", [lines(record()), xml().encode()])
def test_a_record_becomes_a_read(content: bytes) -> None:
    read = only(content, AS_XML if content.startswith(b"<") else AS_JSON).read
    assert (read.plate, read.state, read.camera) == ("TEST001", "CA", "PIER-1")
    assert (read.lat_e7, read.lon_e7) == (337_361_000, -1_182_922_000)
    assert read.captured_ms // 1000 == 1_772_353_800


def test_paths_of_json_reach_into_objects_and_lists() -> None:
    read = only(lines(record())).read
    assert read.vehicle is not None
    assert (read.vehicle.colour, read.confidence_pm) == ("red", 800)
    dotted = Settings(mapping=Mapping(**(PATHS.model_dump() | {"camera": "cam.id"})))
    assert only(lines(record() | {"cam.id": "DOTTED"}), dotted).read.camera == "DOTTED"


@pytest.mark.parametrize(
    ("form", "value", "utc_ms"),
    [
        ("epoch-s", 1_772_353_800, 1_772_353_800_000),
        ("epoch-s", "1772353800.125", 1_772_353_800_125),
        ("epoch-ms", 1_772_353_800_125, 1_772_353_800_125),
    ],
)
def test_counts_since_1970(form: str, value: object, utc_ms: int) -> None:
    mapping = Mapping(**(PATHS.model_dump() | {"time_format": form}))
    settings = Settings(mapping=mapping)
    assert only(lines(record(seen=value)), settings).read.captured_ms == utc_ms
    assert len(refusals(run(JSON, lines(record(seen="soon")), settings))) == 1


def test_the_order_of_day_and_month_is_configured_and_never_turned_round() -> None:
    def when(form: str, date: str) -> list[int]:
        settings = Settings(mapping=Mapping(**(TEMPLATE.model_dump() | {"date_format": form})))
        found = run(AUTOVU, xml(date=date).encode(), settings)
        return [row.read.captured_ms for row in found if isinstance(row, Parsed)]

    assert when("%m/%d/%Y", "03/01/2026") == [1_772_353_800_125]
    assert when("%d/%m/%Y", "01/03/2026") == [1_772_353_800_125]
    assert when("%m/%d/%Y", "01/03/2026") == [1_767_429_000_125]
    assert when("%m/%d/%Y", "13/01/2026") == []


def test_the_id_of_an_event_makes_it_one_read() -> None:
    moved = record(seen="2026-03-01T00:30:05-08:00")
    assert only(lines(record())).read.source_id == only(lines(moved)).read.source_id
    other = record(uid="u-other")
    assert only(lines(record())).read.source_id != only(lines(other)).read.source_id


@pytest.mark.parametrize("day", ["2026-03-01", "20260301", "2026-W09-7"])
def test_a_day_alone_is_no_time(day: str) -> None:
    site = Settings(mapping=PATHS, zone=ZoneInfo("UTC"))
    assert len(refusals(run(JSON, lines(record(seen=day)), site))) == 1


def test_zones_camera_before_mapping_before_site() -> None:
    local = lines(record(seen="2026-03-01T00:30:00"))
    site = Settings(mapping=PATHS, zone=ZoneInfo("UTC"))
    assert "zone" in refusals(run(JSON, local, AS_JSON))[0]
    assert only(local, site).read.captured_ms == 1_772_325_000_000
    mapping = Mapping(**(PATHS.model_dump() | {"zone": "America/Los_Angeles"}))
    both = Settings(mapping=mapping, zone=ZoneInfo("UTC"))
    assert only(local, both).read.captured_ms == 1_772_353_800_000
    table = {"PIER-1": Camera("PIER-1", zone=ZoneInfo("America/New_York"))}
    own = Settings(mapping=mapping, zone=ZoneInfo("UTC"), cameras=table)
    assert only(local, own).read.captured_ms == 1_772_343_000_000
    repeated = only(lines(record(seen="2026-11-01T01:30:00")), both)
    assert repeated.notes == (REPEATED,)


@pytest.mark.parametrize("settings", [Settings(), Settings(camera="C", zone=ZoneInfo("UTC"))])
def test_without_a_mapping_nothing_is_read(settings: Settings) -> None:
    for form in (JSON, AUTOVU):
        with pytest.raises(InputError, match="mapping"):
            run(form, b"{}", settings)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"record": ""}, "record"),
        ({"zone": ""}, "zone"),
        ({"camera": ""}, "camera"),
    ],
)
def test_a_mapping_that_can_give_no_read_is_an_error(change: dict[str, str], words: str) -> None:
    mapping = Mapping(**(TEMPLATE.model_dump() | change))
    with pytest.raises(InputError, match=words):
        run(AUTOVU, xml().encode(), Settings(mapping=mapping))


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], Mapping]:
    def write(text: str) -> Mapping:
        path = tmp_path / "mapping.toml"
        path.write_text(text)
        return load_mapping(path)

    return write


BASE = 'format = "accord-mapping/1"\nplate = "p"\ntime = "t"\ntime_format = "iso"\n'


def test_a_mapping_file_is_read_strictly(load: Callable[[str], Mapping]) -> None:
    assert load(BASE).fields == ["p", "t"]
    for wrong, words in [
        (BASE + 'plat = "x"\n', "plat"),
        (BASE.replace("accord-mapping/1", "accord-mapping/2"), "format"),
        (BASE + 'zone = "Mars/Olympus"\n', "zone"),
        (BASE + 'state_is = "California"\n', "state_is"),
        (BASE + 'date = "d"\n', "date_format"),
        (BASE + 'date = "d"\ndate_format = "%Y"\n', "time_format"),
        (BASE + "confidence_of = 0\n", "confidence_of"),
        (BASE.replace('"iso"', '"%H:%M %Z"'), "%Z"),
    ]:
        with pytest.raises(InputError) as error:
            load(wrong)
        assert words in str(error.value)
        assert "\n" not in str(error.value)


def test_what_was_refused_for_want_of_a_setting_is_taken_later() -> None:
    site = Settings(mapping=PATHS, zone=ZoneInfo("UTC"))
    check_retry(JSON, lines(record(seen="2026-03-01T00:30:00")), AS_JSON, site)
    sloppy = Settings(mapping=Mapping(**(TEMPLATE.model_dump() | {"date_format": "%d.%m.%Y"})))
    check_retry(AUTOVU, xml().encode(), sloppy, AS_XML)


def test_depth_is_no_crash_and_pictures_are_not_kept_of_what_is_refused() -> None:
    deep: object = "x"
    for _ in range(900):
        deep = [deep]
    found = run(JSON, lines(record(seen="soon", deep=deep, jpeg="A" * 9000), record()), AS_JSON)
    assert (plates(found), len(refusals(found))) == (["TEST001"], 1)
    nested = "<a>" * 50_000 + "</a>" * 50_000 + "<b>" + "A" * 9000 + "</b></AutoVu>"
    odd = xml(date="soon").replace("</AutoVu>", nested)
    again = run(AUTOVU, (odd + xml()).encode(), AS_XML)
    assert (plates(again), len(refusals(again))) == (["TEST001"], 1)
    kept = [row.content for row in (*found, *again) if isinstance(row, Rejected)]
    assert all(b"AAAA" not in content and b"TEST001" in content for content in kept)


EVENTS = [
    (JSON, AS_JSON, [lines(record(f"TEST{n:03}")) for n in (1, 2, 3)]),
    (AUTOVU, AS_XML, [xml(f"TEST{n:03}").encode() for n in (1, 2, 3)]),
]


@given(noise)
@hypothesis_settings(deadline=None)
def test_noise_never_crashes(content: bytes) -> None:
    for start in (b"", b'{"vehicle": {"plates": [', b"<AutoVu><Plate>"):
        assert plates(run(JSON, start + content, AS_JSON)) == []
        assert plates(run(AUTOVU, start + content, AS_XML)) == []


@given(st.data(), st.sampled_from(EVENTS), st.integers(0, 2), st.booleans())
@hypothesis_settings(deadline=None)
def test_a_cut_or_spliced_record_never_loses_its_neighbours(
    data: st.DataObject, kind: tuple[Any, Settings, list[bytes]], place: int, splice: bool
) -> None:
    form, settings, events = kind
    damaged = data.draw((spliced if splice else cut)(events[place]))
    check_neighbours(form, settings, events, place, damaged)
