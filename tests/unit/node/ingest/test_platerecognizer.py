"""Plate Recognizer: Snapshot's answers, Stream's webhook as JSON and as a form."""

import io
import json
import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image

from node.ingest.pictures import NO_PICTURES
from node.ingest.platerecognizer import PlateRecognizer
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

FORM = PlateRecognizer()
NONE = Settings()
SHARED = Path(__file__).parents[5] / "shared" / "samples" / "platerecognizer_snapshot.json"


def result(plate: str = "test001", **more: Any) -> dict[str, Any]:
    """An invented result of the older kind: a plate."""
    found: dict[str, Any] = {
        "box": {"xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4},
        "plate": plate,
        "region": {"code": "us-ca", "score": 0.9},
        "score": 0.904,
        "vehicle": {"type": "Sedan", "score": 0.5},
        "model_make": [{"make": "Riley", "model": "RMF", "score": 0.3}],
        "color": [{"color": "black", "score": 0.8}],
        "direction": 225,
    }
    return found | more


def answer(*results: dict[str, Any], **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "results": list(results or [result()]),
        "filename": "lot/1.jpg",
        "camera_id": "lot",
        "timestamp": "2026-03-01T08:30:00.125000Z",
    }
    return found | more


def hook(data: dict[str, Any], event: str = "recognition") -> dict[str, Any]:
    return {"hook": {"target": "https://node.example", "id": "lot", "event": event}, "data": data}


def body(*parts: tuple[str, str, bytes], boundary: str = "b0undary") -> bytes:
    """A form: parts of name, file name and content."""
    lines = b""
    for name, filename, content in parts:
        file = f'; filename="{filename}"' if filename else ""
        kind = "Content-Type: image/jpeg\r\n" if filename.endswith(".jpg") else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n{kind}\r\n'
        lines += head.encode() + content + b"\r\n"
    return lines + f"--{boundary}--\r\n".encode()


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (1, 2, 3)).save(buffer, "JPEG")
    return buffer.getvalue()


def only(record: dict[str, Any], settings: Settings = NONE) -> Parsed:
    (found,) = run(FORM, json.dumps(record).encode(), settings)
    assert isinstance(found, Parsed)
    return found


@pytest.mark.parametrize("wrap", [lambda d: d, hook])
def test_an_answer_becomes_a_read(wrap: Any) -> None:
    read = only(wrap(answer())).read
    assert (read.plate, read.raw_plate, read.state, read.camera) == (
        "TEST001", "test001", "CA", "lot",
    )  # fmt: skip
    assert (read.captured_ms, read.confidence_pm) == (1_772_353_800_125, 904)
    assert read.vehicle is not None
    assert (read.vehicle.make, read.vehicle.model, read.vehicle.colour, read.vehicle.body) == (
        "Riley", "RMF", "black", "Sedan",
    )  # fmt: skip


def test_a_vehicle_with_props_is_the_newer_kind() -> None:
    plate = {
        "type": "Plate",
        "props": {
            "plate": [{"value": "test002", "score": 0.8}, {"value": "testooz", "score": 0.1}],
            "region": [{"value": "us-nv", "score": 0.7}],
        },
    }
    vehicle = {
        "type": "SUV",
        "props": {
            "make_model": [{"make": "Riley", "model": "Kestrel", "score": 0.4}],
            "color": [{"value": "silver", "score": 0.9}],
        },
    }
    read = only(hook(answer({"plate": plate, "vehicle": vehicle}))).read
    assert (read.plate, read.state, read.confidence_pm) == ("TEST002", "NV", 800)
    assert read.vehicle is not None
    assert (read.vehicle.make, read.vehicle.colour) == ("Riley", "silver")


def test_each_result_is_a_read_and_a_bad_one_costs_itself() -> None:
    record = answer(result("test001"), result("t\u0435st"), result("test003"), {"plate": None}, 5)  # type: ignore[arg-type]
    found = run(FORM, json.dumps(record).encode(), NONE)
    assert plates(found) == ["TEST001", "TEST003"]
    assert len(refusals(found)) == 1
    assert "st" not in refusals(found)[0].split("plate")[0]
    assert sum(isinstance(row, Passed) for row in found) == 2


def test_a_note_is_on_the_read_that_it_is_about() -> None:
    record = answer(result(region={"code": "ca"}), result("test002"))
    first, second = run(FORM, json.dumps(record).encode(), NONE)
    assert isinstance(first, Parsed)
    assert isinstance(second, Parsed)
    assert (len(first.notes), second.notes) == (1, ())


@pytest.mark.parametrize(
    "record",
    [
        answer(results=[]),
        hook(answer(), "image_change"),
        hook({"status": "running"}, "heartbeat"),
        {"hook": {"event": "recognition"}, "data": None},
        {"results": None},
    ],
)
def test_what_is_no_recognition_is_passed_over(record: dict[str, Any]) -> None:
    (found,) = run(FORM, json.dumps(record).encode(), NONE)
    assert isinstance(found, Passed)


def test_the_same_event_is_the_same_read() -> None:
    assert only(answer()).read.source_id == only(hook(answer())).read.source_id
    other = answer(timestamp="2026-03-01T08:30:01Z")
    assert only(answer()).read.source_id != only(other).read.source_id


@pytest.mark.parametrize("time", [None, ""])
def test_without_a_time_it_is_not_taken_unless_one_is_given(time: str | None) -> None:
    record = answer(timestamp=time)
    assert refusals(run(FORM, json.dumps(record).encode(), NONE)) == ["the record has no time"]
    given_time = only(record, Settings(at_ms=1_772_000_000_000))
    assert given_time.read.captured_ms == 1_772_000_000_000
    assert len(given_time.notes) == 1


def test_a_local_time_needs_a_zone() -> None:
    record = answer(timestamp="2026-03-01 00:30:00")
    assert "zone" in refusals(run(FORM, json.dumps(record).encode(), NONE))[0]
    local = only(record, Settings(zone=ZoneInfo("America/Los_Angeles")))
    assert local.read.captured_ms == 1_772_353_800_000


@pytest.mark.parametrize(
    ("code", "state", "with_default"),
    [
        ("us-ca", "CA", "CA"),
        ("ca-on", "CA-ON", "CA-ON"),
        ("ca", "", ""),
        ("gb", "", ""),
        ("us", "", "NV"),
        ("", "", "NV"),
        ("us-calif", "", ""),
    ],
)
def test_a_country_never_becomes_a_state(code: str, state: str, with_default: str) -> None:
    record = answer(result(region={"code": code}))
    assert only(record).read.state == state
    assert only(record, Settings(state="NV")).read.state == with_default


def test_a_form_brings_its_picture_where_the_policy_keeps_photos() -> None:
    content = body(("json", "", json.dumps(hook(answer())).encode()), ("upload", "1.jpg", jpeg()))
    (found,) = run(FORM, content, NONE)
    assert isinstance(found, Parsed)
    assert found.picture == jpeg()
    (without,) = run(FORM, content, Settings(keep_photos=False))
    assert isinstance(without, Parsed)
    assert (without.picture, without.notes) == (None, (NO_PICTURES,))


def test_forms_follow_one_another_and_other_parts_are_counted() -> None:
    one = body(("json", "", json.dumps(hook(answer())).encode()), ("note", "", b"hello"))
    two = body(("json", "", json.dumps(answer(result("test002"))).encode()), boundary="other")
    found = run(FORM, one + two, NONE)
    assert plates(found) == ["TEST001", "TEST002"]
    assert [row.what for row in found if isinstance(row, Passed)] == [
        "a part of a form that is no event"
    ]


def test_a_form_cut_off_never_gives_its_picture_to_the_next() -> None:
    event = json.dumps(hook(answer())).encode()
    first = body(("json", "", event), ("upload", "1.jpg", jpeg()))
    second = body(("json", "", event.replace(b"test001", b"test002")), ("upload", "2.jpg", b""))
    whole = first[: first.rindex(b"--b0undary--")]
    found = run(FORM, whole + second, NONE)
    assert plates(found) == ["TEST001", "TEST002"]
    assert [row.picture for row in found if isinstance(row, Parsed)] == [None, None]
    apart = run(FORM, first + second, NONE)
    assert [row.picture for row in apart if isinstance(row, Parsed)] == [jpeg(), None]


def test_what_an_answer_of_accord_holds_is_refused() -> None:
    record = result() | {"agency": "city", "recipient": "harbor", "delete_by": "2026-03-01"}
    (reason,) = refusals(run(FORM, json.dumps(record).encode(), NONE))
    assert "received from another agency" in reason


def test_the_table_names_the_camera_and_gives_its_place() -> None:
    table = {"lot": Camera("LOT-7", 337_361_000, -1_182_922_000, None, "AZ")}
    read = only(answer(result(region={})), Settings(cameras=table)).read
    assert (read.camera, read.lat_e7, read.lon_e7, read.state) == (
        "LOT-7", 337_361_000, -1_182_922_000, "AZ",
    )  # fmt: skip


def test_what_was_refused_for_want_of_a_setting_is_taken_later() -> None:
    record = json.dumps(answer(camera_id=None)).encode()
    check_retry(FORM, record, NONE, Settings(camera="LOT-7"))


EVENTS = [json.dumps(hook(answer(result(f"test{n:03}")))).encode() for n in (1, 2, 3)]


def forms(boundaries: list[str]) -> list[bytes]:
    picture = b"\xff\xd8\xff\x00picture"
    return [
        body(("json", "", event), ("upload", "1.jpg", picture), boundary=boundary)
        for event, boundary in zip(EVENTS, boundaries, strict=True)
    ]


FORMS = [forms(["same"] * 3), forms(["one", "two", "three"]), forms(["one", "two", "one"])]


@given(noise)
@hypothesis_settings(deadline=None)
def test_noise_never_crashes(content: bytes) -> None:
    assert plates(run(FORM, content, NONE)) == []
    assert plates(run(FORM, b'{"results": [' + content, NONE)) == []
    assert (
        plates(run(FORM, b'--b\r\nContent-Disposition: form-data; name="json"' + content, NONE))
        == []
    )


@given(st.data(), st.integers(0, 2), st.booleans())
@hypothesis_settings(deadline=None)
def test_a_cut_or_spliced_event_never_loses_its_neighbours(
    data: st.DataObject, place: int, splice: bool
) -> None:
    damaged = data.draw((spliced if splice else cut)(EVENTS[place]))
    check_neighbours(FORM, NONE, EVENTS, place, damaged)


@given(st.data(), st.sampled_from(FORMS), st.integers(0, 2), st.booleans())
@hypothesis_settings(deadline=None)
def test_a_damaged_form_never_loses_its_neighbours(
    data: st.DataObject, parts: list[bytes], place: int, splice: bool
) -> None:
    """The first line is what names the boundary: a body without it is no form."""
    first, rest = parts[place].split(b"\r\n", 1)
    damaged = first + b"\r\n" + data.draw((spliced if splice else cut)(rest))
    check_neighbours(FORM, NONE, parts, place, damaged)


def test_a_text_of_escapes_that_never_ends_is_not_slow() -> None:
    started = time.process_time()
    content = b'{"results": "' + b'\\"' * 200_000
    assert len(refusals(run(FORM, content, NONE))) == 1
    # Read once it takes a hundredth of that; from each quote anew, ten seconds.
    assert time.process_time() - started < 3


def test_an_answer_as_the_service_writes_it() -> None:
    if not SHARED.exists():
        pytest.skip("shared data not present: platerecognizer_snapshot.json")
    assert refusals(run(FORM, SHARED.read_bytes(), NONE)) == [
        "no camera is named, and none is configured"
    ]
    (found,) = run(FORM, SHARED.read_bytes(), Settings(camera="LOT-7", at_ms=1_772_000_000_000))
    assert isinstance(found, Parsed)
    assert (found.read.plate, found.read.confidence_pm) == ("ABC123", 904)
