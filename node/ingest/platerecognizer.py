"""Reads from Plate Recognizer: Snapshot's answers and Stream's webhook.

Snapshot answers with ``results`` beside ``camera_id`` and ``timestamp``; Stream
posts the same inside ``data``, with a ``hook`` that says which event it is, as
JSON or as a form with the field ``json`` and a picture. A result is a plate, or
in newer versions a vehicle with ``props``. Plates come in lower case: the text
is kept, the plate is normalised. An answer without a time is none of now.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO

from node.ingest.fields import Found, account, camera_of, confidence_pm, region_of
from node.ingest.json_messages import Message, at_path, messages
from node.ingest.pictures import picture_bytes
from node.ingest.report import Record
from node.ingest.settings import Camera, Settings
from node.ingest.times import received_ms, time_of

_NO_PLATE = "a picture without a plate"


class PlateRecognizer:
    """Plate Recognizer Snapshot and Stream."""

    name = "platerecognizer"
    about = "Plate Recognizer: Snapshot answers, Stream webhook (JSON or form)"

    def recognises(self, head: bytes) -> bool:
        """Tell by ``results`` with a box, or by the hook of Stream."""
        if b'"data_type"' in head:
            return False
        beside = (b'"xmin"', b'"camera_id"', b'"filename"')
        answer = b'"results"' in head and any(key in head for key in beside)
        return answer or (b'"hook"' in head and b'"data"' in head and b'"event"' in head)

    def parse(self, stream: BinaryIO, settings: Settings) -> Iterator[Record]:
        """Yield each result as a read or with the reason why not; results count from 1."""
        return account(
            messages(stream, lambda found: bool(found.keys() & {"results", "hook"})),
            lambda message: _take(message, settings),
            settings,
            Message.document,
        )


def _take(message: Message, settings: Settings) -> Iterator[Found | str]:
    if message.other:
        yield message.other
        return
    record = message.whole()
    event = at_path(record, "hook.event")
    body = record.get("data") if "hook" in record else record
    if not isinstance(body, dict) or event not in (None, "recognition"):
        yield "an event that is no recognition"
        return
    results = body.get("results")
    if not isinstance(results, list) or not results:
        yield _NO_PLATE
        return
    camera = camera_of(settings, body.get("camera_id"))
    notes: list[str] = []
    time = body.get("timestamp") or body.get("timestamp_local")
    zone = camera.zone or settings.zone
    at_ms = time_of(str(time), "iso", zone, notes) if time else received_ms(settings, notes)
    picture = next((part.content for part in message.pictures), b"")
    for result in results:
        yield _result(result, body, camera, at_ms, list(notes), picture, settings)


def _result(
    result: Any,
    body: dict[str, Any],
    camera: Camera,
    at_ms: int,
    notes: list[str],
    picture: bytes,
    settings: Settings,
) -> Found | str:
    plate, score = at_path(result, "plate"), at_path(result, "score")
    region = at_path(result, "region.code")
    if isinstance(plate, dict):
        # A vehicle: the plate in it has values, the likeliest first.
        score = at_path(plate, "props.plate.0.score")
        region = at_path(plate, "props.region.0.value")
        plate = at_path(plate, "props.plate.0.value")
    if not plate:
        return _NO_PLATE
    return Found(
        plate=plate,
        camera=camera,
        captured_ms=at_ms,
        source=("platerecognizer", camera.source, body.get("filename"), at_ms, plate, region),
        state=region_of(region, notes),
        vehicle=(
            _first(result, "model_make.0.make", "vehicle.props.make_model.0.make"),
            _first(result, "model_make.0.model", "vehicle.props.make_model.0.model"),
            _first(result, "color.0.color", "vehicle.props.color.0.value"),
            _first(result, "vehicle.type"),
        ),
        confidence_pm=confidence_pm(score, of=1),
        picture=picture_bytes(picture, settings, notes),
        notes=notes,
    )


def _first(result: Any, *paths: str) -> object:
    return next((found for path in paths if (found := at_path(result, path))), "")
