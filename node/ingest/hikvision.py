"""Reads from Hikvision cameras by ISAPI: pushed events, and pulled lists of plates.

    <EventNotificationAlert> ... <eventType>ANPR</eventType> <ANPR>...</ANPR>    pushed
    <Plates><Plate> ... </Plate></Plates>                                        pulled

A push is XML, or a form of XML and pictures. The root is in one of three name
spaces, or has a prefix; none of them matters. ``unknown`` is no plate. The
device's own position is that of its factory settings more often than not, so
positions come from the camera table alone. The camera is found there by its
MAC address, else IP address, each with ``/channel`` or without. A pulled list
does not say which camera it is from (``Settings.camera``), and its times are
local ones.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO
from xml.etree.ElementTree import Element

from node.ingest.fields import Found, account, camera_of, confidence_pm, country_of
from node.ingest.multipart import Part, forms_or_plain, with_pictures
from node.ingest.pictures import picture_bytes
from node.ingest.report import NotTaken, Record, Start
from node.ingest.settings import Camera, Settings
from node.ingest.times import time_of
from node.ingest.xml_records import XmlRecord, text_at, xml_records

_NAMES = ("EventNotificationAlert", "Plate")
_ROOT = re.compile(rb"<(?:[A-Za-z_][\w.-]*:)?(?:EventNotificationAlert|Plates)[\s/>]")
# 20200424T161627, then four digits whose meaning no document tells, or an offset.
_PULLED = re.compile(r"(\d{8}T\d{6})(?:\d{0,6}|([+-]\d\d:?\d\d|Z))", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Event:
    record: XmlRecord
    pictures: tuple[Part, ...] = ()
    other: str = ""

    def document(self) -> bytes | Start:
        return self.record.document()


class Hikvision:
    """Hikvision ISAPI."""

    name = "hikvision"
    about = "Hikvision ISAPI: EventNotificationAlert ANPR (XML or form), Plates"

    def recognises(self, head: bytes) -> bool:
        """Tell by the root element."""
        return _ROOT.search(head) is not None

    def parse(self, stream: BinaryIO, settings: Settings) -> Iterator[Record]:
        """Yield each event as a read or with the reason why not; events count from 1."""
        return account(
            _events(stream), lambda event: _take(event, settings), settings, _Event.document
        )


def _events(stream: BinaryIO) -> Iterator[_Event]:
    plain, forms = forms_or_plain(stream)
    if plain is not None:
        yield from (_Event(record) for record in xml_records(plain, _NAMES))
        return
    for form in forms:
        for part, pictures, holds_event in with_pictures(form, lambda part: b"<" in part.content):
            if not holds_event:
                yield _Event(XmlRecord(None, b""), other="a part of a form that is no event")
                continue
            for record in xml_records(io.BytesIO(part.content), _NAMES):
                yield _Event(record, pictures)


def _take(event: _Event, settings: Settings) -> Iterator[Found | str]:
    if event.other:
        yield event.other
        return
    element = event.record.whole()
    if element.tag == "Plate":
        yield _pulled(element, settings)
    else:
        yield _pushed(element, event.pictures, settings)


def _pushed(alert: Element, pictures: tuple[Part, ...], settings: Settings) -> Found | str:
    kind = text_at(alert, "eventType")
    if kind.upper() != "ANPR":
        return "an event that is no ANPR"
    plate = text_at(alert, "ANPR.licensePlate")
    if _unknown(plate):
        return "an event without a plate"
    notes: list[str] = []
    camera = _camera(alert, settings)
    zone = camera.zone or settings.zone
    at_ms = time_of(text_at(alert, "dateTime"), "iso", zone, notes)
    event, country = text_at(alert, "UUID"), text_at(alert, "countryAbbreviation")
    # Of the pictures the one of the whole scene, if it is there.
    pictures = tuple(sorted(pictures, key=lambda part: "detection" not in part.filename.lower()))
    return Found(
        plate=plate,
        camera=camera,
        captured_ms=at_ms,
        # The device makes its UUIDs itself: two devices may make the same.
        source=("hikvision", "id", camera.source, event)
        if event
        else ("hikvision", "pushed", camera.source, at_ms, plate, country),
        state=country_of(country, notes),
        vehicle=(
            "", "", _known(text_at(alert, "ANPR.vehicleInfo.color")),
            _known(text_at(alert, "ANPR.vehicleType")),
        ),
        confidence_pm=confidence_pm(text_at(alert, "ANPR.confidenceLevel")),
        picture=picture_bytes(pictures[0].content if pictures else b"", settings, notes),
        notes=notes,
    )  # fmt: skip


def _pulled(element: Element, settings: Settings) -> Found | str:
    plate = text_at(element, "plateNumber")
    if _unknown(plate):
        return "an event without a plate"
    notes: list[str] = []
    camera = camera_of(settings)
    time = _PULLED.fullmatch(text_at(element, "captureTime"))
    if time is None:
        raise NotTaken("the time is not in the form that the device writes")
    zone = camera.zone or settings.zone
    form = "%Y%m%dT%H%M%S" + ("%z" if time[2] else "")
    at_ms = time_of(time[1] + (time[2] or ""), form, zone, notes)
    event, country = text_at(element, "picName"), text_at(element, "country")
    return Found(
        plate=plate,
        camera=camera,
        captured_ms=at_ms,
        source=("hikvision", "picture", camera.source, event)
        if event
        else ("hikvision", "pulled", camera.source, at_ms, plate, country),
        state=country_of(country, notes),
        notes=notes,
    )


def _camera(alert: Element, settings: Settings) -> Camera:
    channel = text_at(alert, "channelID") or text_at(alert, "dynChannelID")
    addresses = [text_at(alert, name) for name in ("macAddress", "ipAddress")]
    names = [
        name
        for address in addresses
        if address
        for name in ([f"{address}/{channel}", address] if channel else [address])
    ]
    return camera_of(settings, *names)


def _unknown(plate: str) -> bool:
    return plate.lower() in ("", "unknown", "noplate", "no plate")


def _known(word: str) -> str:
    return "" if word.lower() in ("unknown", "other") else word
