"""Reads from Frigate's MQTT messages: ``lpr`` updates, or the ends of events.

    frigate/tracked_object_update    {"type": "lpr", "id": ..., "plate": ..., "camera": ...}
    frigate/events                   {"type": "end", "after": {"recognized_license_plate": ...}}

A tracked object (``id``) is one passage and one read, however often its plate
is read: within a document the update with the best score is it; of messages
that come one by one the first is, since nobody knows whether a better one
follows. A site that wants the final text follows ``frigate/events``, where the
end of an event tells it. Frigate knows no place: positions come from the camera
table, as zone and state do. ``name`` and ``sub_label``, which may be a person's,
are dropped.
"""

from collections.abc import Hashable, Iterator
from typing import Any, BinaryIO

from node.ingest.fields import Found, account, camera_of, confidence_pm
from node.ingest.json_messages import Message, at_path
from node.ingest.json_records import json_records
from node.ingest.passages import Step, one_per_passage
from node.ingest.report import Record
from node.ingest.settings import Settings
from node.ingest.times import epoch_ms


class Frigate:
    """Frigate over MQTT."""

    name = "frigate"
    about = "Frigate MQTT: lpr updates of tracked objects, ends of events"

    def recognises(self, head: bytes) -> bool:
        """Tell by the kind of update, or by the states of an event."""
        squeezed = b"".join(head.split())
        return b'"type":"lpr"' in squeezed or (
            b'"before":{' in squeezed and b'"after":{' in squeezed
        )

    def parse(self, stream: BinaryIO, settings: Settings) -> Iterator[Record]:
        """Yield one read for each tracked object; messages count from 1."""
        found = (Message(*record) for record in json_records(stream, lambda r: "type" in r))
        return account(
            one_per_passage(found, _tracked, _better),
            lambda step: _take(step, settings),
            settings,
            lambda step: step.event.document(),
        )


def _reading(record: dict[str, Any]) -> tuple[object, object, dict[str, Any]] | None:
    """Return plate, score and the object that has id and camera; None where there is none."""
    if record.get("type") == "lpr":
        return record.get("plate"), record.get("score"), record
    after = record.get("after")
    if record.get("type") != "end" or not isinstance(after, dict):
        return None
    plate, score = (
        after.get("recognized_license_plate"),
        after.get("recognized_license_plate_score"),
    )
    if isinstance(plate, list):
        plate, score = at_path(plate, "0"), at_path(plate, "1")
    return (plate, score, after) if plate else None


def _tracked(message: Message) -> Hashable:
    found = _reading(message.record) if isinstance(message.record, dict) else None
    return str(found[2].get("id") or "") or None if found else None


def _better(first: Message, second: Message) -> bool:
    """Tell whether the second has the better score; the end of an event counts most."""

    def score(message: Message) -> tuple[bool, int]:
        assert isinstance(message.record, dict)
        found = _reading(message.record)
        return message.record.get("type") == "end", confidence_pm(found[1] if found else 0, of=1)

    return score(second) > score(first)


def _take(step: Step[Message], settings: Settings) -> Iterator[Found | str]:
    record = step.event.whole()
    found = _reading(record)
    if found is None:
        yield "a message without a reading of a plate"
        return
    if not step.is_read:
        yield "another reading of the same passage"
        return
    plate, score, tracked = found
    camera = camera_of(settings, tracked.get("camera"))
    time = tracked.get("timestamp") or tracked.get("frame_time") or tracked.get("start_time")
    at_ms = epoch_ms(time, per_second=1)
    yield Found(
        plate=plate,
        camera=camera,
        captured_ms=at_ms,
        source=("frigate", "id", camera.source, tracked["id"])
        if tracked.get("id")
        else ("frigate", "reading", camera.source, at_ms, plate),
        confidence_pm=confidence_pm(score, of=1),
    )
