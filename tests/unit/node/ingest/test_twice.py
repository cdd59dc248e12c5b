"""One key twice in an object: the record is not taken, and its neighbours are."""

import json

import pytest

from node.ingest.axis import Axis
from node.ingest.formats import Format
from node.ingest.frigate import Frigate
from node.ingest.json_messages import DAMAGED
from node.ingest.json_reads import JsonReads
from node.ingest.mapping import FORMAT, Mapping
from node.ingest.openalpr import OpenAlpr
from node.ingest.platerecognizer import PlateRecognizer
from node.ingest.settings import Settings
from tests.unit.node.ingest.damage import plates, refusals, run

MS = 1_772_353_800_000
MAPPED = Settings(
    mapping=Mapping(
        format=FORMAT, plate="a.plate", time="time", time_format="epoch-ms", camera="camera"
    )
)
CASES: list[tuple[Format, Settings, str]] = [
    (
        OpenAlpr(), Settings(),
        f'{{"data_type": "alpr_group", "epoch_start": {MS}, "camera_id": 1, '
        '"best_plate_number": "PLATE"}',
    ),
    (
        PlateRecognizer(), Settings(),
        '{"camera_id": "C1", "timestamp": "2026-03-01T08:30:00Z", '
        '"results": [{"plate": "PLATE", "vehicle": {"type": "plate"}}]}',
    ),
    (
        Axis(), Settings(),
        f'{{"carState": "lost", "sensorProviderID": "C1", "capture_timestamp": {MS}, '
        '"plateUTF8": "PLATE"}',
    ),
    (
        Frigate(), Settings(),
        f'{{"type": "lpr", "camera": "C1", "timestamp": {MS // 1000}, "plate": "PLATE"}}',
    ),
    (
        JsonReads(), MAPPED,
        f'{{"time": {MS}, "camera": "C1", "a": {{"plate": "PLATE"}}, "b": {{"plate": "X"}}}}',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("form", "settings", "event"), CASES, ids=lambda case: str(case)[:20])
def test_a_key_that_is_there_twice_is_never_guessed(
    form: Format, settings: Settings, event: str
) -> None:
    whole = [event.replace("PLATE", f"TEST00{n}") for n in range(1, 4)]
    assert plates(run(form, "\n".join(whole).encode(), settings)) == [
        "TEST001", "TEST002", "TEST003",
    ]  # fmt: skip
    twice = whole[1]
    start = twice.rindex('"', 0, twice.index('"TEST002"') - 2)
    key = twice[twice.rindex('"', 0, start) : start + 1]
    doubled = twice.replace('"TEST002"', f'"TEST002", {key}: "OTHER2"')
    json.loads(doubled)
    found = run(form, "\n".join([whole[0], doubled, whole[2]]).encode(), settings)
    assert plates(found) == ["TEST001", "TEST003"]
    (reason,) = refusals(found)
    assert "a key is there twice" in reason
    assert "2" not in reason


def test_what_only_looks_so_is_taken() -> None:
    form, settings, event = CASES[0]
    text = event.replace('"PLATE"', '"TEST001", "note": "{\\"best_plate_number\\": 1}"')
    assert plates(run(form, text.encode(), settings)) == ["TEST001"]


@pytest.mark.parametrize("depth", range(150, 1000, 10))
def test_a_deep_record_costs_itself_alone(depth: int) -> None:
    """Also where it can just be read, and not be looked through."""
    form, settings, event = CASES[0]
    first, second = (event.replace("PLATE", f"TEST00{n}") for n in (1, 2))
    deep = first.replace('"TEST001"', '"TEST001", "x": ' + '{"y":' * depth + "1" + "}" * depth)
    found = run(form, f"{deep}\n{second}".encode(), settings)
    assert plates(found)[-1:] == ["TEST002"]
    assert set(refusals(found)) <= {DAMAGED}
