"""Ids of reads: the same event is one read, and two plates of different states are two."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.ingest.axis import Axis
from node.ingest.csv_reads import CsvReads
from node.ingest.fields import source_id
from node.ingest.formats import Format
from node.ingest.frigate import Frigate
from node.ingest.hikvision import Hikvision
from node.ingest.json_reads import JsonReads
from node.ingest.mapping import FORMAT, Mapping
from node.ingest.openalpr import OpenAlpr
from node.ingest.platerecognizer import PlateRecognizer
from node.ingest.report import Parsed
from node.ingest.settings import Camera, Settings
from tests.unit.node.ingest.damage import run

MS = 1_772_353_800_000
MAPPING = Mapping(
    format=FORMAT, plate="plate", time="time", time_format="epoch-ms", camera="camera",
    state="state",
)  # fmt: skip
MAPPED = Settings(mapping=MAPPING)


def ids(form: Format, content: str, settings: Settings) -> list[bytes]:
    """The id of each read of a document, all of whose records are taken."""
    found = run(form, content.encode(), settings)
    assert all(isinstance(row, Parsed) for row in found)
    return [row.read.source_id for row in found if isinstance(row, Parsed)]


def openalpr(**more: Any) -> str:
    event = {
        "data_type": "alpr_group", "epoch_start": MS, "camera_id": 1, "agent_uid": "A",
        "best_plate_number": "TEST001", "best_region": "us-ca",
    }  # fmt: skip
    return json.dumps(event | more)


def frame(region: str, second: int = 0) -> str:
    result = {"plate": "TEST001", "region": region}
    message = {"data_type": "alpr_results", "epoch_time": MS + second * 1000, "camera_id": 1}
    return json.dumps(message | {"results": [result]})


def recognised(region: str) -> str:
    result = {"plate": "test001", "region": {"code": region}, "box": {"xmin": 1}}
    return json.dumps(
        {"results": [result], "camera_id": "lot", "timestamp": "2026-03-01T08:30:00Z"}
    )


def pushed(country: str, uuid: str = "", mac: str = "00:00:5e:00:53:01") -> str:
    return (
        f"<EventNotificationAlert><macAddress>{mac}</macAddress><UUID>{uuid}</UUID>"
        "<dateTime>2026-03-01T00:30:00-08:00</dateTime><eventType>ANPR</eventType>"
        f"<countryAbbreviation>{country}</countryAbbreviation>"
        "<ANPR><licensePlate>TEST001</licensePlate></ANPR></EventNotificationAlert>"
    )


def pulled(country: str) -> str:
    return (
        "<Plates><Plate><captureTime>20260301T003000Z</captureTime>"
        f"<plateNumber>TEST001</plateNumber><country>{country}</country></Plate></Plates>"
    )


def passage(country: str, plate: str = "TEST001") -> str:
    event = {"carState": "lost", "sensorProviderID": "S", "capture_timestamp": MS}
    return json.dumps(event | {"plateUTF8": plate, "plateCountry": country})


SETTINGS = Settings(camera="C1")
CASES = [
    pytest.param(
        CsvReads(), MAPPED,
        *(f"plate,time,camera,state\nTEST001,{MS},C1,{state}\n" for state in ("CA", "NV")),
        id="csv",
    ),
    pytest.param(
        JsonReads(), MAPPED,
        *(json.dumps({"plate": "TEST001", "time": MS, "camera": "C1", "state": state})
          for state in ("CA", "NV")),
        id="json",
    ),
    pytest.param(OpenAlpr(), SETTINGS, openalpr(), openalpr(best_region="us-nv"), id="group"),
    pytest.param(OpenAlpr(), SETTINGS, frame("us-ca"), frame("us-nv"), id="frame"),
    pytest.param(
        PlateRecognizer(), SETTINGS, recognised("us-ca"), recognised("us-nv"), id="recognised"
    ),
    pytest.param(Hikvision(), SETTINGS, pushed("USA"), pushed("MEX"), id="pushed"),
    pytest.param(Hikvision(), SETTINGS, pulled("USA"), pulled("MEX"), id="pulled"),
    pytest.param(Axis(), SETTINGS, passage("USA"), passage("MEX"), id="axis"),
    # Where no number of the car is told, another plate at the moment is another car.
    pytest.param(
        Axis(), SETTINGS, passage("USA"), passage("USA", "TEST002"), id="axis, two plates"
    ),
]  # fmt: skip


@pytest.mark.parametrize(("form", "settings", "one", "other"), CASES)
def test_one_number_of_two_states_is_two_reads(
    form: Format, settings: Settings, one: str, other: str
) -> None:
    (first,), (second,) = ids(form, one, settings), ids(form, other, settings)
    assert first != second
    assert ids(form, one, settings) == [first]


def test_two_states_in_one_document() -> None:
    text = f"plate,time,camera,state\nTEST001,{MS},C1,CA\nTEST001,{MS},C1,NV\n"
    assert len(set(ids(CsvReads(), text + f"TEST001,{MS},C1,CA\n", MAPPED))) == 2


def test_a_plate_with_its_region_is_one_read_a_minute() -> None:
    assert ids(OpenAlpr(), frame("us-ca"), SETTINGS) == ids(
        OpenAlpr(), frame("us-ca", 20), SETTINGS
    )


def test_the_state_of_table_or_site_is_no_part_of_it() -> None:
    """A camera table that is mended must not double what was taken before."""
    text = f"plate,time,camera,state\nTEST001,{MS},C1,\n"
    table = {"C1": Camera("PIER-1", state="CA", source="C1")}
    mended = Settings(mapping=MAPPING, cameras=table)
    assert ids(CsvReads(), text, MAPPED) == ids(CsvReads(), text, mended)
    assert ids(CsvReads(), text, MAPPED) == ids(
        CsvReads(), text, Settings(mapping=MAPPING, state="NV")
    )


@pytest.mark.parametrize(
    ("form", "one", "same", "other"),
    [
        (
            OpenAlpr(), openalpr(best_uuid="U1"), openalpr(best_uuid="U1", best_region="us-nv"),
            openalpr(best_uuid="U2"),
        ),
        (Hikvision(), pushed("USA", "U1"), pushed("MEX", "U1"), pushed("USA", "U2")),
    ],
)  # fmt: skip
def test_an_event_that_has_an_id_is_that_event(
    form: Format, one: str, same: str, other: str
) -> None:
    assert ids(form, one, SETTINGS) == ids(form, same, SETTINGS)
    assert ids(form, one, SETTINGS) != ids(form, other, SETTINGS)


def test_two_devices_with_one_uuid_are_two_events() -> None:
    other = pushed("USA", "U1", mac="00:00:5e:00:53:02")
    assert ids(Hikvision(), pushed("USA", "U1"), SETTINGS) != ids(Hikvision(), other, SETTINGS)


def test_an_id_is_no_other_record_s_plate() -> None:
    """Neither the parts of an event without an id."""
    event = {"type": "lpr", "plate": "TEST001", "camera": "C1", "timestamp": MS / 1000}
    mimic = json.dumps(event | {"id": f"{MS}/TEST001"})
    assert ids(Frigate(), json.dumps(event), SETTINGS) != ids(Frigate(), mimic, SETTINGS)


_part = st.none() | st.integers() | st.text(alphabet="a\0:-1 \ud800?", max_size=4)
_parts = st.lists(_part, max_size=4)


@given(_parts, _parts)
def test_other_parts_are_another_id(one: list[object], other: list[object]) -> None:
    def told(parts: list[object]) -> list[object]:
        return [None if part is None else str(part) for part in parts]

    assert (source_id(one) == source_id(other)) is (told(one) == told(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [(["a\0b"], ["a", "b"]), (["", "a"], ["a", ""]), ([None], ["None"]), (["\ud800"], ["?"])],
)
def test_no_part_passes_for_two(one: list[object], other: list[object]) -> None:
    assert source_id(one) != source_id(other)
    assert len(source_id(one)) == 16
