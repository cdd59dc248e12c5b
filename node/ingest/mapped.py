"""One record of the customer's own layout to a read, by a mapping.

CSV, JSON, XML and tables of a database differ only in how a field is found;
what it means is said once, here.
"""

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from accord.errors import InputError
from node.ingest.fields import Found, camera_of, confidence_pm, state_of
from node.ingest.mapping import EPOCHS, Mapping
from node.ingest.pictures import picture_base64, picture_file
from node.ingest.report import NotTaken
from node.ingest.settings import Settings
from node.ingest.times import epoch_ms, local_ms, time_of

Look = Callable[[str], object]
"""Give the value of a named field: text, number, or None where it is not there."""


def need_mapping(settings: Settings, name: str, source: str = "") -> Mapping:
    """Return the mapping that a format can't do without.

    ``source`` names the settings' source in node.toml; "" are a command's options.

    Raises:
        InputError: there is none, or it can never give a time or a camera.
    """
    mapping, where = settings.mapping, f"{source}: " if source else ""
    if mapping is None:
        needed = 'mapping = "..." in its section of node.toml' if source else "--mapping FILE"
        raise InputError(f"{where}mapping", "is missing", f"{name} needs {needed}")
    zones = [mapping.zone, settings.zone, *(c.zone for c in settings.cameras.values())]
    form = f"{mapping.date_format} {mapping.time_format}"
    if not any(zones) and mapping.time_format not in ("iso", *EPOCHS) and "%z" not in form:
        elsewhere = 'by zone = "..." in node.toml' if source else "with --zone"
        remedy = f"a time without a zone is never guessed: name it in the mapping, or {elsewhere}"
        raise InputError(f"{where}zone", "is missing", remedy)
    if not mapping.camera and not settings.camera:
        elsewhere = 'write camera = "..." in node.toml' if source else "--camera NAME"
        remedy = f"name its field in the mapping, or {elsewhere}"
        raise InputError(f"{where}camera", "is missing", remedy)
    return mapping


def mapped(look: Look, mapping: Mapping, settings: Settings, kind: str) -> Found:
    """Return what one record holds, whose fields ``look`` finds.

    ``kind`` is what the layout is called in the read's source id, where the
    mapping names no field that is an id.

    Raises:
        NotTaken: with the reason.
    """
    notes: list[str] = []

    def value(name: str) -> object:
        if not name:
            return ""
        found = look(name)
        if isinstance(found, str):
            found = found.strip()
            return "" if found in mapping.nulls else found
        return "" if found is None or str(found) in mapping.nulls else found

    def text(name: str) -> str:
        return str(value(name))

    raw = text(mapping.plate)
    if not raw:
        raise NotTaken("no plate")
    camera = camera_of(settings, text(mapping.camera))
    zone = camera.zone or (ZoneInfo(mapping.zone) if mapping.zone else settings.zone)
    captured_ms = _time(value, mapping, zone, notes)
    latitude, longitude = value(mapping.latitude), value(mapping.longitude)
    event = text(mapping.id)
    return Found(
        plate=raw,
        camera=camera,
        captured_ms=captured_ms,
        source=(kind, "id", camera.source, event)
        if event
        else (
            kind, "record", raw, text(mapping.state), captured_ms, camera.source, latitude,
            longitude,
        ),
        state=state_of(mapping.state_is or value(mapping.state)),
        latitude=latitude,
        longitude=longitude,
        vehicle=(
            value(mapping.make), value(mapping.model), value(mapping.colour), value(mapping.body),
        ),
        confidence_pm=confidence_pm(value(mapping.confidence), mapping.confidence_of),
        case=text(mapping.case),
        picture=picture_file(text(mapping.photo), settings, notes)
        or picture_base64(value(mapping.photo_base64), settings, notes),
        notes=notes,
    )  # fmt: skip


def _time(value: Look, mapping: Mapping, zone: ZoneInfo | None, notes: list[str]) -> int:
    time = value(mapping.time)
    if mapping.time_format in EPOCHS:
        return epoch_ms(time, EPOCHS[mapping.time_format])
    if isinstance(time, datetime):
        # A database gives times as such; what zone they are in it may not say.
        return local_ms(time, zone, notes)
    if mapping.date:
        form = f"{mapping.date_format} {mapping.time_format}"
        return time_of(f"{value(mapping.date)} {time}", form, zone, notes)
    return time_of(str(time), mapping.time_format, zone, notes)
