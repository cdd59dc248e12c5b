"""AXIS License Plate Verifier: of new, update and lost one read for each passage."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from node.ingest import ingest
from node.ingest.axis import Axis
from node.ingest.fields import FOREIGN
from node.ingest.report import Parsed, Passed
from node.ingest.settings import Camera, Settings
from node.photos import Photos
from node.store.sqlite import SqliteStore
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

FORM = Axis()
NONE = Settings()
SHARED = Path(__file__).parents[5] / "shared" / "samples" / "axis_lpv_event.json"
START = 1_772_353_800_000


def event(plate: str = "TEST001", state: str = "lost", car: int = 1, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "packetCounter": "7",
        "capture_timestamp": str(START + car * 1000),
        "datetime": "20260301 003000252",
        "plateUTF8": plate,
        "plateCountry": "USA",
        "plateConfidence": "0.719034",
        "carState": state,
        "geotag": {"lat": 33.7361, "lon": -118.2922},
        "carMoveDirection": "in",
        "carID": str(car),
        "camera_info": {"SerialNumber": "ACCC00000001", "MACAddress": "AC:CC:00:00:00:01"},
        "sensorProviderID": "pier",
        "vehicle_info": {"color": "WHITE", "type": "CAR"},
    }
    return found | more


def lines(*events: dict[str, Any]) -> bytes:
    return b"\n".join(json.dumps(one).encode() for one in events)


def only(record: dict[str, Any], settings: Settings = NONE) -> Parsed:
    (found,) = run(FORM, lines(record), settings)
    assert isinstance(found, Parsed)
    return found


def test_a_lost_event_becomes_a_read() -> None:
    read = only(event()).read
    assert (read.plate, read.state, read.camera) == ("TEST001", "", "ACCC00000001")
    assert (read.captured_ms, read.confidence_pm) == (START + 1000, 719)
    assert (read.lat_e7, read.lon_e7) == (337_361_000, -1_182_922_000)
    assert read.vehicle is not None
    assert (read.vehicle.colour, read.vehicle.body) == ("WHITE", "CAR")


def test_a_passage_is_one_read_with_the_text_that_stood_at_its_end() -> None:
    found = run(
        FORM,
        lines(
            event("TEST0O1", "new"),
            event("TEST002", "new", 2),
            event("TESTO01", "update"),
            event("TEST001", "updated"),
            event("TEST001", "lost"),
            event("TEST002", "lost", 2),
        ),
        NONE,
    )
    assert plates(found) == ["TEST001", "TEST002"]
    assert sum(isinstance(row, Passed) for row in found) == 4


@pytest.mark.parametrize("state", ["new", "update"])
def test_one_event_alone_is_a_message_whose_passage_goes_on(state: str) -> None:
    (found,) = run(FORM, lines(event(state=state)), NONE)
    assert isinstance(found, Passed)


def test_a_document_that_stops_too_early_gives_the_latest_event_noted() -> None:
    found = run(FORM, lines(event("TEST0O1", "new"), event("TEST001", "update")), NONE)
    assert plates(found) == ["TEST001"]
    assert [type(row) for row in found] == [Passed, Parsed]
    last = found[-1]
    assert isinstance(last, Parsed)
    assert "end is missing" in last.notes[0]
    # Its end, in the next document, is the same read.
    assert only(event()).read.source_id == last.read.source_id


def test_messages_one_by_one_and_again_are_one_read(store: SqliteStore, tmp_path: Path) -> None:
    photos = Photos(tmp_path / "photos")
    steps = [event("TEST0O1", "new"), event(state="update"), event(), event()]
    reports = [ingest(run(FORM, lines(step), NONE), store, photos) for step in steps]
    assert [(r.taken, r.duplicates, r.passed.total()) for r in reports] == [
        (0, 0, 1), (0, 0, 1), (1, 0, 0), (0, 1, 0),
    ]  # fmt: skip


def test_another_camera_with_the_same_number_is_another_passage() -> None:
    other = {"SerialNumber": "ACCC00000002"}
    found = run(FORM, lines(event(), event("TEST002", camera_info=other)), NONE)
    assert plates(found) == ["TEST001", "TEST002"]
    ids = {row.read.source_id for row in found if isinstance(row, Parsed)}
    assert len(ids) == 2


def test_a_number_that_starts_anew_later_is_another_passage() -> None:
    later = event(capture_timestamp=str(START + 7_200_000))
    assert only(event()).read.source_id != only(later).read.source_id


@pytest.mark.parametrize("source", ["ACCC00000001", "AC:CC:00:00:00:01", "pier"])
def test_the_table_finds_the_camera_by_any_of_its_names(source: str) -> None:
    table = {source: Camera("PIER-1", 1, 2, None, "CA")}
    read = only(event(), Settings(cameras=table)).read
    assert (read.camera, read.lat_e7, read.state) == ("PIER-1", 1, "CA")
    assert only(event(), Settings(camera="OTHER")).read.camera == "ACCC00000001"


def test_a_plate_of_another_country_takes_no_default_state() -> None:
    settings = Settings(state="CA")
    assert only(event(), settings).read.state == "CA"
    foreign = only(event(plateCountry="POL"), settings)
    assert (foreign.read.state, foreign.notes) == ("", (FOREIGN,))


@pytest.mark.parametrize(
    "change",
    [
        {"plateUTF8": "T\u0415ST"},
        {"plateUTF8": ""},
        {"plateUTF8": ["TEST001"]},
        {"capture_timestamp": "soon"},
        {"capture_timestamp": None},
        {"capture_timestamp": True},
    ],
)
def test_a_bad_field_costs_its_own_record(change: dict[str, Any]) -> None:
    found = run(
        FORM, lines(event(), event("TEST002", car=2, **change), event("TEST003", car=3)), NONE
    )
    assert plates(found) == ["TEST001", "TEST003"]
    assert len(refusals(found)) == 1
    assert "ST" not in refusals(found)[0]


def test_a_form_brings_its_picture() -> None:
    head = b"--x\r\nContent-Type: application/json\r\n\r\n"
    image = b"\r\n--x\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\xffscene\r\n--x--\r\n"
    (found,) = run(FORM, head + lines(event()) + image, NONE)
    assert isinstance(found, Parsed)
    assert found.picture == b"\xff\xd8\xffscene"


def test_what_was_refused_for_want_of_a_setting_is_taken_later() -> None:
    nameless = event(camera_info={}, sensorProviderID="")
    check_retry(FORM, lines(nameless), NONE, Settings(camera="PIER-1"))


EVENTS = [lines(event(f"TEST{n:03}", car=n)) for n in (1, 2, 3)]


@given(noise)
@hypothesis_settings(deadline=None)
def test_noise_never_crashes(content: bytes) -> None:
    assert plates(run(FORM, content, NONE)) == []
    assert plates(run(FORM, b'{"carState": "lost", ' + content, NONE)) == []


@given(st.data(), st.integers(0, 2), st.booleans())
@hypothesis_settings(deadline=None)
def test_a_cut_or_spliced_event_never_loses_its_neighbours(
    data: st.DataObject, place: int, splice: bool
) -> None:
    damaged = data.draw((spliced if splice else cut)(EVENTS[place]))
    check_neighbours(FORM, NONE, EVENTS, place, damaged)


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["new", "update", "lost"]))))
@hypothesis_settings(deadline=None)
def test_every_event_is_counted_once_and_every_end_is_a_read(steps: list[tuple[int, str]]) -> None:
    found = run(FORM, lines(*(event(f"TEST{car}", state, car) for car, state in steps)), NONE)
    assert len(found) == len(steps)
    reads = [row.read.plate for row in found if isinstance(row, Parsed)]
    for car in range(1, 5):
        states = [state for of, state in steps if of == car]
        open_at_end = bool(states) and states[-1] != "lost" and len(steps) > 1
        assert reads.count(f"TEST{car}") == states.count("lost") + open_at_end


def test_an_event_as_a_camera_writes_it() -> None:
    if not SHARED.exists():
        pytest.skip("shared data not present: axis_lpv_event.json")
    (found,) = run(FORM, SHARED.read_bytes(), Settings(state="CA"))
    assert isinstance(found, Parsed)
    assert (found.read.plate, found.read.state) == ("RLE11684", "")
    assert found.read.captured_ms == 1_623_405_938_252
