"""Frigate: one read for each tracked object; places come from the camera table."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from node.ingest.frigate import Frigate
from node.ingest.report import Parsed, Passed
from node.ingest.settings import Camera, Settings
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

FORM = Frigate()
NONE = Settings()


def lpr(plate: str = "TEST001", number: int = 1, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "lpr",
        "id": f"1772353800.25-abc{number}",
        "name": "A Person's Car",
        "plate": plate,
        "score": 0.95,
        "camera": "pier_cam",
        "timestamp": 1_772_353_800.748393,
    }
    return found | more


def ended(plate: object, number: int = 1, kind: str = "end", **more: Any) -> dict[str, Any]:
    after: dict[str, Any] = {
        "id": f"1772353800.25-abc{number}",
        "camera": "pier_cam",
        "frame_time": 1_772_353_801.5,
        "label": "car",
        "sub_label": "A Person's Car",
        "recognized_license_plate": plate,
        "recognized_license_plate_score": 0.97,
    }
    return {"type": kind, "before": {}, "after": after | more}


def lines(*events: dict[str, Any]) -> bytes:
    return b"\n".join(json.dumps(one).encode() for one in events)


def only(record: dict[str, Any], settings: Settings = NONE) -> Parsed:
    (found,) = run(FORM, lines(record), settings)
    assert isinstance(found, Parsed)
    return found


def test_an_update_becomes_a_read_that_names_no_person() -> None:
    found = only(lpr())
    read = found.read
    assert (read.plate, read.state, read.camera) == ("TEST001", "", "pier_cam")
    assert (read.captured_ms, read.confidence_pm) == (1_772_353_800_748, 950)
    assert (read.lat_e7, read.vehicle) == (None, None)
    assert "Person" not in repr(found)


@pytest.mark.parametrize("plate", ["TEST001", ["TEST001", 0.97]])
def test_the_end_of_an_event_is_a_read(plate: object) -> None:
    read = only(ended(plate)).read
    assert (read.plate, read.captured_ms, read.confidence_pm) == ("TEST001", 1_772_353_801_500, 970)
    assert read.source_id == only(lpr()).read.source_id


def test_place_and_state_come_from_the_table() -> None:
    table = {"pier_cam": Camera("PIER-1", 337_361_000, -1_182_922_000, None, "CA")}
    read = only(lpr(), Settings(cameras=table)).read
    assert (read.camera, read.state) == ("PIER-1", "CA")
    assert (read.lat_e7, read.lon_e7) == (337_361_000, -1_182_922_000)


def test_readings_of_one_object_are_one_read_with_the_best_score() -> None:
    found = run(
        FORM,
        lines(
            lpr("TESTO01", score=0.8),
            lpr("TEST002", 2),
            lpr("TEST001", score=0.9),
            lpr("TE5TO01", score=0.7),
        ),
        NONE,
    )
    assert sorted(plates(found)) == ["TEST001", "TEST002"]
    assert sum(isinstance(row, Passed) for row in found) == 2


def test_the_end_counts_more_than_any_score() -> None:
    found = run(FORM, lines(lpr("TESTO01", score=0.99), ended("TEST001"), lpr("TE5T001")), NONE)
    assert plates(found) == ["TEST001"]


@pytest.mark.parametrize(
    "record",
    [
        {"type": "face", "id": "x", "name": "A Person"},
        {"type": "description", "description": "a car"},
        ended(None),
        ended("TEST001", kind="update"),
        ended("TEST001", kind="new"),
        {"type": "end", "after": None},
        {},
    ],
)
def test_other_messages_are_passed_over(record: dict[str, Any]) -> None:
    (found,) = run(FORM, lines(record), NONE)
    assert isinstance(found, Passed)


@pytest.mark.parametrize(
    "change",
    [
        {"plate": "T\u0415ST"},
        {"plate": None},
        {"timestamp": "soon"},
        {"timestamp": -5},
        {"timestamp": None},
        {"camera": "c" * 101},
    ],
)
def test_a_bad_field_costs_its_own_record(change: dict[str, Any]) -> None:
    found = run(FORM, lines(lpr(), lpr("TEST002", 2) | change, lpr("TEST003", 3)), NONE)
    assert plates(found) == ["TEST001", "TEST003"]
    assert len(refusals(found)) == 1
    assert "ST" not in refusals(found)[0]


def test_what_was_refused_for_want_of_a_setting_is_taken_later() -> None:
    check_retry(FORM, lines(lpr(camera=None)), NONE, Settings(camera="PIER-1"))


EVENTS = [lines(lpr(f"TEST{n:03}", n)) for n in (1, 2, 3)]


@given(noise)
@hypothesis_settings(deadline=None)
def test_noise_never_crashes(content: bytes) -> None:
    assert plates(run(FORM, content, NONE)) == []
    assert plates(run(FORM, b'{"type": "lpr", ' + content, NONE)) == []


@given(st.data(), st.integers(0, 2), st.booleans())
@hypothesis_settings(deadline=None)
def test_a_cut_or_spliced_message_never_loses_its_neighbours(
    data: st.DataObject, place: int, splice: bool
) -> None:
    damaged = data.draw((spliced if splice else cut)(EVENTS[place]))
    check_neighbours(FORM, NONE, EVENTS, place, damaged)
