"""Reads from AXIS License Plate Verifier, and the FF Group's program it stems from.

An event is JSON, or a form of JSON and pictures. For one vehicle (``carID``)
there is a ``new`` event, ``update`` ones while the text gets better, and one
``lost`` when it has gone, with the text to keep. That last one is the read; the
others are counted. Cameras are therefore set to send ``lost``. A document that
tells several steps and stops before the last gives the latest one, noted; one
event alone is a message, and the passage goes on in the next.

The time is ``capture_timestamp``; ``datetime`` is the camera's local one. The
camera is found in the table by serial number, MAC address or sensor's name.
"""

from collections.abc import Hashable, Iterator
from itertools import count
from typing import Any, BinaryIO

from node.ingest.fields import Found, account, camera_of, confidence_pm, country_of
from node.ingest.json_messages import Message, at_path, messages
from node.ingest.passages import Step, one_per_passage
from node.ingest.pictures import picture_bytes
from node.ingest.report import Record
from node.ingest.settings import Settings
from node.ingest.times import epoch_ms

_CAMERA = ("camera_info.SerialNumber", "camera_info.MACAddress", "sensorProviderID")
_LOST = "lost"
_STATES = ("new", "update", "updated", _LOST)


class Axis:
    """AXIS License Plate Verifier."""

    name = "axis"
    about = "AXIS License Plate Verifier push events (JSON or form)"

    def recognises(self, head: bytes) -> bool:
        """Tell by the state of the passage and a field of the plate."""
        return b'"carState"' in head or b'"plateUTF8"' in head

    def parse(self, stream: BinaryIO, settings: Settings) -> Iterator[Record]:
        """Yield one read for each passage; each event counts from 1."""
        seen = count(1)
        events = 0

        def counted() -> Iterator[Message]:
            nonlocal events
            for message in messages(stream, lambda found: "carState" in found):
                events = next(seen)
                yield message

        steps = one_per_passage(counted(), _passage, lambda *_: True, _is_lost)
        return account(
            steps,
            lambda step: _take(step, events > 1, settings),
            settings,
            lambda step: step.event.document(),
        )


def _passage(message: Message) -> Hashable:
    record = message.record
    if not isinstance(record, dict) or record.get("carState") not in _STATES:
        return None
    car = record.get("carID")
    return (_source(record), str(car)) if car else None


def _is_lost(message: Message) -> bool:
    return isinstance(message.record, dict) and message.record.get("carState") == _LOST


def _take(step: Step[Message], several: bool, settings: Settings) -> Iterator[Found | str]:
    message = step.event
    if message.other:
        yield message.other
        return
    record = message.whole()
    state = record.get("carState")
    if state not in _STATES:
        yield "an event that is no passage"
        return
    is_read = step.is_read and (state == _LOST or (several and not step.ended))
    if not is_read:
        yield f"a passage that goes on: {'new' if state == 'new' else 'update'}"
        return
    notes: list[str] = []
    if state != _LOST:
        notes.append("a passage whose end is missing: its latest event")
    plate = record.get("plateUTF8") or record.get("plateText") or record.get("plateASCII")
    camera = camera_of(settings, *(at_path(record, path) for path in _CAMERA))
    at_ms = epoch_ms(record.get("capture_timestamp"))
    picture = next((part.content for part in message.pictures), b"")
    car, country = record.get("carID"), record.get("plateCountry")
    yield Found(
        plate=plate,
        camera=camera,
        captured_ms=at_ms,
        # The number of a car starts anew with the program: the hour is part of it.
        source=("axis", "car", _source(record), car, at_ms // 3_600_000)
        if car
        else ("axis", "event", _source(record), at_ms, plate, country),
        state=country_of(country, notes),
        latitude=at_path(record, "geotag.lat"),
        longitude=at_path(record, "geotag.lon"),
        vehicle=(
            at_path(record, "vehicle_info.make"),
            at_path(record, "vehicle_info.model"),
            at_path(record, "vehicle_info.color"),
            at_path(record, "vehicle_info.type"),
        ),
        confidence_pm=confidence_pm(record.get("plateConfidence"), of=1),
        picture=picture_bytes(picture, settings, notes),
        notes=notes,
    )


def _source(record: dict[str, Any]) -> str:
    """Return the first name that the camera gives itself."""
    return next((str(found) for path in _CAMERA if (found := at_path(record, path))), "")
