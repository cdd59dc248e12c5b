"""Rekor Scout / OpenALPR group events, whole, many, damaged."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from node.ingest import ingest
from node.ingest.openalpr import OpenAlpr, OpenAlprGroups
from node.ingest.pictures import NO_PICTURES
from node.ingest.report import Parsed, Passed, Rejected
from node.ingest.settings import Settings
from node.photos import Photos
from node.store.base import ReadStore


def group(number: int = 1, **more: Any) -> dict[str, Any]:
    """An invented event in the shape that the agent writes."""
    event: dict[str, Any] = {
        "data_type": "alpr_group",
        "version": 3,
        "epoch_start": 1_634_475_947_845 + number,
        "camera_id": 1000,
        "agent_uid": "AGENT",
        "gps_latitude": 39.6505,
        "gps_longitude": -78.7661,
        "vehicle_path": [{"x": 1, "y": 2}, {}],
        "best_plate_number": f"TEST{number:03}",
        "best_region": "us-ma",
        "best_confidence": 93.25465393,
        "best_uuid": f"AGENT-1000-{number}",
        "is_preview": False,
        "vehicle_signature": "1h_SIGNATURE",
        "vehicle_crop_jpeg": "",
        "overview_jpeg": "",
        "vehicle": {
            "color": [{"name": "white", "confidence": 99.1}, {"name": "red", "confidence": 0.2}],
            "make": [{"name": "bmw", "confidence": 99.9}],
            "make_model": [{"name": "bmw_x3", "confidence": 99.6}],
            "body_type": [{"name": "suv-crossover", "confidence": 99.8}],
        },
    }
    return event | more


def parse(content: str | bytes) -> list[Parsed | Rejected | Passed]:
    data = content.encode() if isinstance(content, str) else content
    return list(OpenAlpr().parse(io.BytesIO(data), Settings()))


def taken(found: list[Parsed | Rejected | Passed]) -> list[str]:
    return [row.read.plate for row in found if isinstance(row, Parsed)]


def one(**more: Any) -> Parsed:
    (row,) = parse(json.dumps(group(**more)))
    assert isinstance(row, Parsed)
    return row


def test_a_group_becomes_a_read() -> None:
    read = one().read
    assert (read.plate, read.state, read.camera) == ("TEST001", "MA", "1000")
    assert (read.captured_ms, read.confidence_pm) == (1_634_475_947_846, 933)
    assert (read.lat_e7, read.lon_e7) == (396_505_000, -787_661_000)
    assert read.vehicle is not None
    assert (read.vehicle.make, read.vehicle.colour, read.vehicle.body) == (
        "bmw", "white", "suv-crossover",
    )  # fmt: skip
    assert "SIGNATURE" not in repr(read)
    assert len(read.source_id) == 16


def test_the_same_uuid_is_the_same_read() -> None:
    assert one().read.source_id == one(epoch_start=1_634_475_999_999).read.source_id
    assert one().read.source_id != one(best_uuid="another").read.source_id


@pytest.mark.parametrize(
    ("region", "state"),
    [("us-ma", "MA"), ("us", ""), ("", ""), ("gb-eng-x", ""), (None, ""), (5, "")],
)
def test_regions(region: object, state: str) -> None:
    if region == "us":
        # A country is no state; "US" alone must not become one.
        assert one(best_region=region).read.state != "MA"
    else:
        assert one(best_region=region).read.state == state


@pytest.mark.parametrize("layout", ["object", "pretty", "lines", "array", "pretty array"])
def test_every_layout(layout: str) -> None:
    events = [group(n) for n in range(1, 4)]
    text = {
        "object": json.dumps(events[0]),
        "pretty": json.dumps(events[0], indent=1),
        "lines": "\n".join(map(json.dumps, events)) + "\n",
        "array": json.dumps(events),
        "pretty array": json.dumps(events, indent=2),
    }[layout]
    expected = 1 if layout in ("object", "pretty") else 3
    assert taken(parse(text)) == [f"TEST{n:03}" for n in range(1, expected + 1)]


def test_previews_and_other_kinds_are_passed_over_and_counted(
    store: ReadStore, tmp_path: Path
) -> None:
    lines = [group(1), group(2, is_preview=True), {"data_type": "heartbeat"}, group(3)]
    found = parse("\n".join(map(json.dumps, lines)))
    report = ingest(found, store, Photos(tmp_path / "photos"))
    assert (report.taken, report.passed.total(), report.seen) == (2, 2, 4)


@pytest.mark.parametrize(
    "change",
    [
        {"best_plate_number": "T\u0415ST"},
        {"best_plate_number": ""},
        {"best_plate_number": None},
        {"best_plate_number": 5},
        {"epoch_start": "soon"},
        {"epoch_start": -1},
        {"epoch_start": 10**400},
        {"epoch_start": None},
    ],
)
def test_a_bad_field_is_rejected_and_neighbours_are_taken(change: dict[str, Any]) -> None:
    lines = [group(1), group(2, **change), group(3)]
    found = parse("\n".join(map(json.dumps, lines)))
    assert taken(found) == ["TEST001", "TEST003"]
    assert [row.row for row in found if isinstance(row, Rejected)] == [2]
    assert all("ST" not in row.reason for row in found if isinstance(row, Rejected))


@pytest.mark.parametrize("vehicle", [None, [], "x", {"make": "x"}, {"make": [5]}, {"make": [{}]}])
def test_an_odd_vehicle_costs_at_most_its_own_record(vehicle: object) -> None:
    lines = [group(1, vehicle=vehicle), group(2)]
    assert "TEST002" in taken(parse("\n".join(map(json.dumps, lines))))


def test_positions_that_can_not_be_right_are_left_out_and_noted() -> None:
    for lat, lon in [(0, 0), (91, 0), (-1, -1), (float("nan"), 1)]:
        parsed = one(gps_latitude=lat, gps_longitude=lon)
        assert (parsed.read.lat_e7, len(parsed.notes)) == (None, 1)


def test_a_picture_comes_along_and_a_damaged_one_is_noted(store: ReadStore, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (1, 2, 3)).save(buffer, "JPEG")
    good = base64.b64encode(buffer.getvalue()).decode()
    lines = [
        group(1, vehicle_crop_jpeg=good),
        group(2, overview_jpeg=good),
        group(3, vehicle_crop_jpeg="@@not base64@@"),
        group(4, vehicle_crop_jpeg=base64.b64encode(b"no picture").decode()),
        group(5, vehicle_crop_jpeg=7),
    ]
    photos = Photos(tmp_path / "photos")
    report = ingest(parse("\n".join(map(json.dumps, lines))), store, photos)
    assert (report.taken, len(report.rejected), report.notes.total()) == (5, 0, 3)
    assert len(list((tmp_path / "photos").rglob("*.jpg"))) == 1


def group_v1(number: int = 1, **more: Any) -> dict[str, Any]:
    """An invented event of the first version: the plate is in ``best_plate``."""
    event: dict[str, Any] = {
        "data_type": "alpr_group",
        "version": 1,
        "epoch_start": 1_448_326_208_789,
        "site_id": "site",
        "camera_id": 1000,
        "uuids": [f"site-cam1000-{number}", "site-cam1000-x"],
        "best_plate": {
            "plate": f"TEST{number:03}",
            "confidence": 92.075203,
            "region": "mo",
            "coordinates": [{"x": 1, "y": 2}],
        },
        "candidates": [],
    }
    return event | more


def frame(*plates: str, at: int = 1_634_475_947_845, **more: Any) -> dict[str, Any]:
    """An invented frame: every plate in it."""
    results = [
        {"plate": plate, "confidence": 89.5, "region": "us-ca", "candidates": [{"plate": "X"}]}
        for plate in plates
    ]
    event: dict[str, Any] = {
        "data_type": "alpr_results",
        "version": 2,
        "epoch_time": at,
        "camera_id": 1000,
        "uuid": f"AGENT-1000-{at}",
        "results": results,
    }
    return event | more


def alert(**more: Any) -> dict[str, Any]:
    event: dict[str, Any] = {
        "data_type": "alpr_alert",
        "version": 1,
        "epoch_time": 1_634_475_947_846,
        "camera_number": 1000,
        "camera_name": "Pier",
        "plate_number": "TEST001",
        "description": "A Person",
        "alert_list": "list",
    }
    return event | more


def test_a_group_of_the_first_version() -> None:
    (row,) = parse(json.dumps(group_v1()))
    assert isinstance(row, Parsed)
    assert (row.read.plate, row.read.confidence_pm, row.read.camera) == ("TEST001", 921, "1000")
    # Two letters may be Missouri or a country: only with the country are they a state.
    assert row.read.state == ""
    (told,) = parse(json.dumps(group_v1(country="us")))
    assert isinstance(told, Parsed)
    assert told.read.state == "MO"
    (other,) = parse(json.dumps(group_v1(2)))
    assert isinstance(other, Parsed)
    assert other.read.source_id != row.read.source_id


def test_an_alert_holds_the_read_and_is_the_same_as_its_group() -> None:
    (row,) = parse(json.dumps(alert(group=group())))
    assert isinstance(row, Parsed)
    assert row.read == one().read
    assert "Person" not in repr(row)


def test_an_alert_without_a_group_says_all_by_itself() -> None:
    (row,) = parse(json.dumps(alert()))
    assert isinstance(row, Parsed)
    assert (row.read.plate, row.read.captured_ms) == ("TEST001", 1_634_475_947_846)


def test_an_alert_says_what_its_group_leaves_out() -> None:
    inner = group(best_uuid="AGENT-1000-1")
    del inner["camera_id"], inner["best_plate_number"], inner["epoch_start"]
    (row,) = parse(json.dumps(alert(group=inner)))
    assert isinstance(row, Parsed)
    assert row.read == one().read


def test_an_alert_that_is_cut_off_still_gives_its_group() -> None:
    text = json.dumps(alert(group=group(2)))[:-1] + "\n" + json.dumps(group(3))
    assert taken(parse(text)) == ["TEST002", "TEST003"]


def test_plates_of_a_frame_are_reads_and_its_next_frames_are_the_same(
    store: ReadStore, tmp_path: Path
) -> None:
    start = 1_634_475_960_000
    frames = [frame("TEST001", "TEST002", at=start + n * 500) for n in range(10)]
    report = ingest(parse("\n".join(map(json.dumps, frames))), store, Photos(tmp_path / "p"))
    assert (report.taken, report.duplicates) == (2, 18)
    later = frame("TEST001", at=start + 600_000)
    assert ingest(parse(json.dumps(later)), store, Photos(tmp_path / "p")).taken == 1


def test_a_frame_without_plates_and_a_heartbeat_are_counted() -> None:
    lines = [frame(), {"data_type": "heartbeat", "agent_uid": "AGENT"}, frame("TEST001")]
    found = parse("\n".join(map(json.dumps, lines)))
    assert [type(row) for row in found] == [Passed, Passed, Parsed]


def test_where_the_agent_sends_groups_too_frames_are_counted() -> None:
    text = "\n".join(map(json.dumps, [frame("TEST001"), group(), alert(group=group(2))]))
    found = list(OpenAlprGroups().parse(io.BytesIO(text.encode()), Settings()))
    assert taken(found) == ["TEST001", "TEST002"]
    assert [type(row) for row in found] == [Passed, Parsed, Parsed]


def test_a_bad_plate_in_a_frame_costs_itself() -> None:
    found = parse(json.dumps(frame("TEST001", "T\u0415ST", "TEST003")))
    assert taken(found) == ["TEST001", "TEST003"]


@pytest.mark.parametrize(
    ("region", "country", "state"),
    [
        ("ca", "us", "CA"),
        ("ca", None, ""),
        ("ca-on", "ca", "CA-ON"),
        ("us", "us", "AZ"),
        ("", "us", "AZ"),
        ("de", "eu", ""),
    ],
)
def test_a_country_never_becomes_a_state(region: str, country: str | None, state: str) -> None:
    text = json.dumps(group(best_region=region, country=country)).encode()
    (row,) = OpenAlpr().parse(io.BytesIO(text), Settings(state="AZ"))
    assert isinstance(row, Parsed)
    assert row.read.state == state


def test_no_picture_is_kept_where_the_policy_keeps_none() -> None:
    text = json.dumps(group(overview_jpeg=base64.b64encode(b"picture").decode())).encode()
    (kept,) = OpenAlpr().parse(io.BytesIO(text), Settings())
    (row,) = OpenAlpr().parse(io.BytesIO(text), Settings(keep_photos=False))
    assert isinstance(kept, Parsed)
    assert isinstance(row, Parsed)
    assert kept.picture == b"picture"
    assert (row.picture, row.notes) == (None, (NO_PICTURES,))


def test_what_is_kept_of_a_refused_record_is_the_record_without_pictures() -> None:
    text = json.dumps(group(camera_id=None, overview_jpeg="A" * 100_000))
    (row,) = parse(text)
    assert isinstance(row, Rejected)
    assert b"TEST001" in row.content
    assert "TEST001" not in repr(row) + str(row)
    assert b"AAAA" not in row.content
    (again,) = OpenAlpr().parse(io.BytesIO(row.content), Settings(camera="PIER-1"))
    assert isinstance(again, Parsed)
    (damaged, *_) = parse(text[:300] + "\n" + json.dumps(group(2)))
    assert isinstance(damaged, Rejected)
    assert damaged.content.decode().strip() == text[:300]


@given(cut=st.integers(1, 600), noise=st.binary(max_size=5), place=st.integers(0, 2))
@settings(deadline=None)
def test_a_truncated_line_never_loses_its_neighbours(cut: int, noise: bytes, place: int) -> None:
    lines = [json.dumps(group(n)).encode() for n in (1, 2, 3)]
    lines[place] = lines[place][:cut] + noise.replace(b"\n", b"")
    found = parse(b"\n".join(lines))
    expected = [f"TEST{n:03}" for n in (1, 2, 3) if n != place + 1]
    assert [plate for plate in taken(found) if plate != f"TEST{place + 1:03}"] == expected


@given(cut=st.integers(5, 900), indent=st.sampled_from([None, 0, 1]))
@settings(deadline=None)
def test_a_truncated_element_never_loses_its_neighbours_in_a_list(
    cut: int, indent: int | None
) -> None:
    parts = [json.dumps(group(n), indent=indent) for n in (1, 2, 3)]
    parts[1] = parts[1][: min(cut, len(parts[1]) - 2)]
    found = parse("[" + ",\n".join(parts) + "]")
    assert taken(found) == ["TEST001", "TEST003"]
    assert any(isinstance(row, Rejected) for row in found)


def test_a_damaged_event_is_one_record_whatever_it_holds() -> None:
    cut = json.dumps(group(2), indent=1)
    cut = cut[: cut.index("body_type")]
    found = parse("\n".join([json.dumps(group(1)), cut, json.dumps(group(3))]))
    assert [type(row) for row in found] == [Parsed, Rejected, Parsed]
    assert [row.row for row in found] == [1, 2, 3]


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_noise_never_crashes(noise: bytes) -> None:
    assert taken(parse(noise)) == []
    assert taken(parse(b'{"data_type": "alpr_group", ' + noise)) == []


def test_depth_and_digits_without_end_are_rejected_and_neighbours_taken() -> None:
    deep = '{"data_type": "alpr_group", "x": ' + "[" * 20_000
    long = '{"data_type": "alpr_group", "epoch_start": ' + "9" * 10_000 + "}"
    text = "\n".join([json.dumps(group(1)), deep, long, json.dumps(group(2))])
    assert taken(parse(text)) == ["TEST001", "TEST002"]


def test_an_event_of_a_real_agent(store: ReadStore) -> None:
    path = Path(__file__).parents[5] / "shared" / "samples" / "openalpr_alpr_group_v3.json"
    if not path.exists():
        pytest.skip("shared data not present: openalpr_alpr_group_v3.json")
    (row,) = parse(path.read_bytes())
    assert isinstance(row, Parsed)
    assert (row.read.state, row.read.captured_ms) == ("MA", 1_634_475_947_845)


@pytest.mark.parametrize("camera", ["c" * 101, "", "cam\ud800", "cam\x1b[2J"])
def test_a_camera_name_that_no_answer_can_carry_is_not_taken(
    camera: str, store: ReadStore, tmp_path: Path
) -> None:
    """One such row would make every answer that holds it one that nobody believes."""
    lines = [json.dumps(group(1, camera_id=camera)), json.dumps(group(2, camera_id="c" * 100))]
    records = parse("\n".join(lines))
    report = ingest(records, store, Photos(tmp_path))
    assert (report.taken, [r.row for r in report.rejected]) == (1, [1])
    assert "camera" in report.rejected[0].reason


def test_words_on_a_vehicle_that_are_no_text_are_left_out(store: ReadStore, tmp_path: Path) -> None:
    vehicle = {"make": [{"name": "b\ud800mw\x1b"}], "make_model": [{"name": "x" * 900}]}
    records = parse(json.dumps(group(vehicle=vehicle)))
    assert ingest(records, store, Photos(tmp_path)).taken == 1
    look = one(vehicle=vehicle).read.vehicle
    assert look is not None
    assert (look.make, look.model) == ("bmw", "x" * 60)
