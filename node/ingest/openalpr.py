"""Reads from Rekor Scout / OpenALPR ``alpr_group`` JSON.

One object, a list of them, or one after another, each on its line or over
many. See :mod:`node.ingest.json_records` for how damage is kept to itself.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from accord.errors import Refused
from accord.model import Read, Vehicle
from accord.plates import check_state, normalise
from accord.received import NOT_OWN, is_answer
from node.ingest.json_records import json_records
from node.ingest.report import MAX_CAMERA, MAX_LOOK, Parsed, Passed, Rejected

MAX_RECORD = 16 << 20


def parse_openalpr(stream: BinaryIO) -> Iterator[Parsed | Rejected | Passed]:
    """Yield each record as a read or with the reason why not; records count from 1.

    A damaged line loses nothing but itself.
    """
    for number, record in enumerate(json_records(stream, MAX_RECORD), 1):
        if isinstance(record, str):
            yield Rejected(number, record)
            continue
        try:
            yield _parse(number, record)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
            yield Rejected(number, "not an alpr_group with plate, time and camera")


def _parse(number: int, record: Any) -> Parsed | Rejected | Passed:
    if isinstance(record, dict) and is_answer(record):
        return Rejected(number, NOT_OWN)
    if not isinstance(record, dict) or record.get("data_type") != "alpr_group":
        kind = record.get("data_type") if isinstance(record, dict) else None
        known = kind if kind in ("heartbeat", "alpr_results", "alpr_alert", "vehicle") else "other"
        return Passed(number, f"a record of kind {known}")
    if record.get("is_preview"):
        return Passed(number, "a preview")
    notes: list[str] = []
    raw = record["best_plate_number"]
    try:
        plate = normalise(raw)
    except Refused:
        return Rejected(number, "the plate holds other characters than A-Z and 0-9")
    at_ms = int(record["epoch_start"])
    if not 946_684_800_000 <= at_ms < 4_102_444_800_000:
        return Rejected(number, "the time is not between 2000 and 2100")
    camera = str(record["camera_id"])
    if not 1 <= len(camera) <= MAX_CAMERA or not camera.isprintable():
        return Rejected(number, "no camera, or not a name of at most 100 printable characters")
    source = str(record.get("best_uuid") or f"{record.get('agent_uid')}/{at_ms}/{raw}")
    lat_e7, lon_e7 = _place(record, notes)
    read = Read(
        plate=plate,
        raw_plate=raw,
        state=_state(record.get("best_region", ""), notes),
        captured_ms=at_ms,
        camera=camera,
        source_id=hashlib.sha256(b"openalpr\0" + source.encode()).digest()[:16],
        lat_e7=lat_e7,
        lon_e7=lon_e7,
        vehicle=_vehicle(record.get("vehicle")),
        confidence_pm=max(0, min(1000, round(float(record.get("best_confidence") or 0) * 10))),
    )
    picture = _picture(record, notes)
    return Parsed(number, read, tuple(notes), picture)


def _state(region: Any, notes: list[str]) -> str:
    """Return ``MA`` for ``us-ma``; the region's guess is dropped where it is none."""
    text = str(region).upper()
    try:
        return check_state(text.removeprefix("US-"))
    except Refused:
        notes.append("the region is not a state: left out")
        return ""


def _place(record: dict[str, Any], notes: list[str]) -> tuple[int | None, int | None]:
    lat, lon = record.get("gps_latitude"), record.get("gps_longitude")
    if not isinstance(lat, (int, float)) or not isinstance(lon, (int, float)):
        return None, None
    if not (abs(lat) <= 90 and abs(lon) <= 180) or (lat, lon) in ((0, 0), (-1, -1)):
        notes.append("the position can't be right: left out")
        return None, None
    return round(lat * 10**7), round(lon * 10**7)


def _vehicle(content: Any) -> Vehicle | None:
    """Return the likeliest of each attribute; ``vehicle_signature`` is never kept."""
    if not isinstance(content, dict):
        return None

    def top(name: str) -> str:
        guesses = content.get(name) or [{}]
        name = str(guesses[0].get("name", ""))
        # Half a surrogate pair, for one, is JSON but no text that can be stored.
        return "".join(c for c in name if c.isprintable())[:MAX_LOOK]

    looks = Vehicle(top("make"), top("make_model"), top("color"), top("body_type"))
    return looks if looks != Vehicle() else None


def _picture(record: dict[str, Any], notes: list[str]) -> bytes | None:
    text = record.get("overview_jpeg") or record.get("vehicle_crop_jpeg")
    if not text:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        notes.append("the picture is damaged: left out")
        return None
