"""Reads from Rekor Scout / OpenALPR: the agent's JSON, whichever kind of message.

- ``alpr_group`` (versions 1 to 3) is one vehicle that passed: one read.
- ``alpr_results`` are the plates in one frame, of which a vehicle has many: a
  plate with its region at one camera is one read a minute. An agent that sends groups as well
  tells each vehicle twice: for that there is the format ``openalpr-groups``,
  which counts results and takes groups alone.
- ``alpr_alert`` has a group inside, which is the read; where the same group came
  by itself too, it is still one read.
- ``heartbeat`` and the rest are counted.

Version 1 has the plate in ``best_plate``, later ones in ``best_plate_number``.
A region such as ``us-ma`` is a state; two letters alone are one only where
``country`` is ``us``. ``vehicle_signature``, a print of the single vehicle, is
never kept. One object, a list of them, or one after another: damage is kept to
itself (:mod:`node.ingest.json_records`).
"""

from collections.abc import Iterator
from typing import Any, BinaryIO

from node.ingest.fields import Found, camera_of, confidence_pm, region_of
from node.ingest.json_messages import at_path, each_record
from node.ingest.pictures import picture_base64
from node.ingest.report import Record
from node.ingest.settings import Settings
from node.ingest.times import epoch_ms

_COUNTED = ("heartbeat", "alpr_results", "vehicle")
_MINUTE_MS = 60_000


class OpenAlpr:
    """Rekor Scout / OpenALPR JSON."""

    name = "openalpr"
    about = "Rekor Scout / OpenALPR: alpr_group, alpr_results, alpr_alert"
    _with_frames = True

    def recognises(self, head: bytes) -> bool:
        """Tell by the key that all of its messages have."""
        return head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[") and b'"data_type"' in head

    def parse(self, stream: BinaryIO, settings: Settings) -> Iterator[Record]:
        """Yield each record as a read or with the reason why not; records count from 1."""

        def take(record: dict[str, Any]) -> Iterator[Found | str]:
            kind = record.get("data_type")
            if kind == "alpr_alert":
                yield _group(_inside(record), settings)
            elif kind == "alpr_group":
                yield _group(record, settings)
            elif kind == "alpr_results" and self._with_frames:
                yield from _frame(record, settings)
            else:
                yield f"a record of kind {kind if kind in _COUNTED else 'other'}"

        return each_record(stream, lambda found: "data_type" in found, take, settings)


class OpenAlprGroups(OpenAlpr):
    """The same where the agent sends groups and the frames of them."""

    name = "openalpr-groups"
    about = "the same, where alpr_results only repeat the groups"
    _with_frames = False

    def recognises(self, head: bytes) -> bool:
        """Return False: whether groups follow, only the site knows."""
        return False


def _group(record: dict[str, Any], settings: Settings) -> Found | str:
    if record.get("is_preview"):
        return "a preview"
    best = record.get("best_plate")
    best = best if isinstance(best, dict) else {"plate": best}
    raw = record.get("best_plate_number") or best.get("plate")
    region = record.get("best_region") or best.get("region")
    at_ms = epoch_ms(record.get("epoch_start"))
    event = record.get("best_uuid") or at_path(record, "uuids.0")
    notes: list[str] = []
    return Found(
        plate=raw,
        camera=camera_of(settings, record.get("camera_id")),
        captured_ms=at_ms,
        source=("openalpr", "id", event)
        if event
        else (
            "openalpr", "group", record.get("agent_uid"), record.get("camera_id"), at_ms, raw,
            region,
        ),
        state=_state(region, record, notes),
        latitude=record.get("gps_latitude"),
        longitude=record.get("gps_longitude"),
        vehicle=_vehicle(record.get("vehicle")),
        confidence_pm=confidence_pm(record.get("best_confidence") or best.get("confidence")),
        picture=_picture(settings, notes, record, best),
        notes=notes,
    )  # fmt: skip


def _inside(alert: dict[str, Any]) -> dict[str, Any]:
    """Return the group of an alert, with what only the alert says."""
    own = {
        "agent_uid": alert.get("agent_uid"),
        "camera_id": alert.get("camera_number"),
        "epoch_start": alert.get("epoch_time"),
        "best_plate_number": alert.get("plate_number"),
    }
    group = alert.get("group")
    return own | group if isinstance(group, dict) else own


def _frame(record: dict[str, Any], settings: Settings) -> Iterator[Found | str]:
    results = record.get("results")
    if not isinstance(results, list) or not results:
        yield "a frame without a plate"
        return
    at_ms = epoch_ms(record.get("epoch_time"))
    camera = camera_of(settings, record.get("camera_id"))
    for result in results:
        notes: list[str] = []
        raw = at_path(result, "plate")
        plate = result if isinstance(result, dict) else {}
        region = plate.get("region")
        yield Found(
            plate=raw,
            camera=camera,
            captured_ms=at_ms,
            source=("openalpr", "frame", camera.source, raw, region, at_ms // _MINUTE_MS),
            state=_state(region, record, notes),
            latitude=record.get("gps_latitude"),
            longitude=record.get("gps_longitude"),
            vehicle=_vehicle(plate.get("vehicle")),
            confidence_pm=confidence_pm(plate.get("confidence")),
            picture=_picture(settings, notes, record, plate),
            notes=notes,
        )


def _state(region: object, record: dict[str, Any], notes: list[str]) -> str | None:
    country = record.get("country")
    alone = isinstance(region, str) and len(region) == 2
    if country == "us" and alone and str(region).lower() != "us":
        region = f"us-{region}"
    return region_of(region, notes)


def _vehicle(content: object) -> tuple[object, object, object, object]:
    """Return the likeliest of each attribute."""
    return (
        at_path(content, "make.0.name"),
        at_path(content, "make_model.0.name"),
        at_path(content, "color.0.name"),
        at_path(content, "body_type.0.name"),
    )


def _picture(settings: Settings, notes: list[str], *places: dict[str, Any]) -> bytes | None:
    """Return the widest picture that came along."""
    kinds = ("overview_jpeg", "vehicle_crop_jpeg", "plate_crop_jpeg")
    texts = (place.get(kind) for kind in kinds for place in places)
    return picture_base64(next((text for text in texts if text), None), settings, notes)
