"""Words for no plate: a closed list, refused with a reason by every way in."""

import json

import pytest

from node.ingest.fields import plate_of
from node.ingest.formats import Format
from node.ingest.openalpr import OpenAlpr
from node.ingest.platerecognizer import PlateRecognizer
from node.ingest.report import NotTaken
from node.ingest.settings import Settings
from node.placeholders import PLACEHOLDERS, is_placeholder
from tests.unit.node.ingest.damage import plates, refusals, run

WORDS = [*sorted(PLACEHOLDERS), "unknown", "No Plate", "no_plate", "NO-PLATE", " null ", "n/a"]
PLATES = ["UNKNWN", "UNKNOWN1", "NA", "UNK", "NONE5", "NULLS", "N0NE", "NIL", "TEST001"]


@pytest.mark.parametrize("word", WORDS)
def test_a_word_for_none_is_no_plate(word: str) -> None:
    assert is_placeholder(word)
    with pytest.raises(NotTaken, match="a word for none"):
        plate_of(word)


@pytest.mark.parametrize("plate", PLATES)
def test_what_only_looks_like_one_is_a_plate(plate: str) -> None:
    assert plate_of(plate) == (plate, plate)


GROUP = {"data_type": "alpr_group", "epoch_start": 1_772_353_800_000, "camera_id": 1}
ANSWER = {"camera_id": "lot", "timestamp": "2026-03-01T08:30:00Z"}


@pytest.mark.parametrize(
    ("form", "documents"),
    [
        (OpenAlpr(), [GROUP | {"best_plate_number": text} for text in ("unknown", "TEST001")]),
        (
            PlateRecognizer(),
            [ANSWER | {"results": [{"plate": text}]} for text in ("unknown", "test001")],
        ),
    ],
)
def test_it_is_not_taken_and_never_passed_over(form: Format, documents: list[object]) -> None:
    found = run(form, "\n".join(map(json.dumps, documents)).encode(), Settings())
    assert plates(found) == ["TEST001"]
    assert refusals(found) == ["the plate is a word for none, such as UNKNOWN or NULL"]
