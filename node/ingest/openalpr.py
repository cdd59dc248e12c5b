"""Reads from Rekor Scout / OpenALPR ``alpr_group`` JSON.

One object, a list of them, or one after another, each on its line or over
many. See :mod:`node.ingest.json_records` for how damage is kept to itself.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO

from node.ingest.fields import (
    Found,
    camera_of,
    confidence_pm,
    epoch_ms,
    picture_base64,
    region_of,
)
from node.ingest.json_records import each_record
from node.ingest.report import Record
from node.ingest.settings import Settings

_KINDS = ("heartbeat", "alpr_results", "alpr_alert", "vehicle")


class OpenAlpr:
    """Rekor Scout / OpenALPR JSON."""

    name = "openalpr"
    about = "Rekor Scout / OpenALPR agent: alpr_group"

    def recognises(self, head: bytes) -> bool:
        """Tell by the key that all of its messages have."""
        return head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[") and b'"data_type"' in head

    def parse(self, stream: BinaryIO, settings: Settings) -> Iterator[Record]:
        """Yield each record as a read or with the reason why not; records count from 1."""
        yield from each_record(
            stream, lambda found: "data_type" in found, lambda r: _take(r, settings), settings
        )


def _take(record: dict[str, Any], settings: Settings) -> Iterator[Found | str]:
    kind = record.get("data_type")
    if kind != "alpr_group":
        yield f"a record of kind {kind if kind in _KINDS else 'other'}"
        return
    if record.get("is_preview"):
        yield "a preview"
        return
    notes: list[str] = []
    raw = record.get("best_plate_number")
    at_ms = epoch_ms(record.get("epoch_start"))
    yield Found(
        plate=raw,
        camera=camera_of(record.get("camera_id"), settings),
        captured_ms=at_ms,
        source=(
            "openalpr",
            record.get("best_uuid") or f"{record.get('agent_uid')}/{at_ms}/{raw}",
        ),
        state=region_of(record.get("best_region"), notes),
        latitude=record.get("gps_latitude"),
        longitude=record.get("gps_longitude"),
        vehicle=_vehicle(record.get("vehicle")),
        confidence_pm=confidence_pm(record.get("best_confidence")),
        picture=picture_base64(
            record.get("overview_jpeg") or record.get("vehicle_crop_jpeg"), settings, notes
        ),
        notes=notes,
    )


def _vehicle(content: object) -> tuple[object, object, object, object]:
    """Return the likeliest of each attribute; ``vehicle_signature`` is never kept."""

    def top(name: str) -> object:
        guesses = content.get(name) if isinstance(content, dict) else None
        first = guesses[0] if isinstance(guesses, list) and guesses else None
        return first.get("name") if isinstance(first, dict) else None

    return top("make"), top("make_model"), top("color"), top("body_type")
