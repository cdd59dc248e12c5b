"""From a source's words to a read: time, place, state, plate, look, picture.

The one place where such words are judged, for every format:

- the plate is normalised and its text kept as it came; a look-alike of another
  alphabet is an error, never folded;
- the state is the record's own, else the camera's or the site's default;
- a local time takes the zone of its camera, mapping or site, and without one
  it is no time; an hour that comes twice at the end of summer time is taken as
  its first pass and noted, one that the clocks skipped is no time;
- a position that can't be right is left out and noted.

What a read has no field for (lane, direction, speed) is dropped.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from accord.clock import to_ms
from accord.errors import Refused
from accord.model import Read, Vehicle
from accord.plates import check_state, normalise
from node.ingest.report import MAX_CAMERA, MAX_LOOK, Parsed, Passed, Record, Rejected
from node.ingest.settings import Camera, Settings

MAX_PICTURE = 8 << 20
MAX_RAW_PLATE = 60
_EARLIEST_MS, _LATEST_MS = 946_684_800_000, 4_102_444_800_000
_NUMBER = re.compile(r"[+-]?\d{1,20}(?:\.\d{0,20})?", re.ASCII)

REPEATED = "a repeated hour, taken as its first pass"
NO_PICTURES = "a picture left out: the policy keeps none"


class NotTaken(Exception):
    """A record that can't be taken; its text is the reason and holds no plate."""


@dataclass
class Found:
    """What a format found in one record, still in the source's words.

    ``source`` are the parts that name this event and no other: the same event
    given twice is one read. ``vehicle`` is make, model, colour, body.
    """

    plate: object
    camera: Camera
    captured_ms: int
    source: tuple[object, ...]
    state: object = ""
    latitude: object = None
    longitude: object = None
    vehicle: tuple[object, object, object, object] = ("", "", "", "")
    confidence_pm: int = 0
    case: str = ""
    picture: bytes | None = None
    notes: list[str] = field(default_factory=list)


Outcome = Found | NotTaken | str
"""What a record holds: a read, a reason why it is none, or what it is instead."""

T = TypeVar("T")


def outcomes(take: Callable[[T], Iterable[Found | str]], record: T) -> Iterator[Outcome]:
    """Yield what ``take`` finds in one record; the :class:`NotTaken` that ends it, too."""
    try:
        yield from take(record)
    except NotTaken as reason:
        yield reason


def account(
    records: Iterable[T],
    take: Callable[[T], Iterable[Found | str]],
    settings: Settings,
    content: Callable[[T], bytes],
) -> Iterator[Record]:
    """Yield the account of all records, counted from 1.

    ``take`` finds the reads of one record, or says what it is instead of one;
    ``content`` gives the record by itself, for those that are refused.
    """
    number = 0
    for record in records:
        for outcome in outcomes(take, record):
            number += 1
            yield settle(number, outcome, settings, partial(content, record))


def settle(
    number: int, outcome: Outcome, settings: Settings, content: Callable[[], bytes]
) -> Record:
    """Return the entry of the account for one outcome; ``content`` is asked for if refused."""
    if isinstance(outcome, str):
        return Passed(number, outcome)
    try:
        if isinstance(outcome, NotTaken):
            raise outcome
        return parsed(number, outcome, settings)
    except NotTaken as reason:
        return Rejected(number, str(reason), content())


def parsed(number: int, found: Found, settings: Settings) -> Parsed:
    """Return the read of one record.

    Raises:
        NotTaken: plate, state or case can't be.
    """
    raw, plate = plate_of(found.plate)
    lat_e7, lon_e7 = found.camera.lat_e7, found.camera.lon_e7
    if lat_e7 is None:
        lat_e7, lon_e7 = place_of(found.latitude, found.longitude, found.notes)
    source = "\0".join(str(part) for part in found.source)
    read = Read(
        plate=plate,
        raw_plate=raw,
        state=state_of(found.state) or found.camera.state or settings.state,
        captured_ms=found.captured_ms,
        camera=found.camera.name,
        source_id=hashlib.sha256(source.encode("utf-8", "replace")).digest()[:16],
        lat_e7=lat_e7,
        lon_e7=lon_e7,
        vehicle=vehicle_of(*found.vehicle),
        confidence_pm=found.confidence_pm,
        case=_case(found.case),
    )
    return Parsed(number, read, tuple(found.notes), found.picture)


def plate_of(raw: object) -> tuple[str, str]:
    """Return the plate as it came and normalised.

    Raises:
        NotTaken: it is no plate.
    """
    if not isinstance(raw, str) or not raw.strip():
        raise NotTaken("no plate")
    if len(raw) > MAX_RAW_PLATE:
        raise NotTaken("the plate is too long")
    try:
        return raw, normalise(raw)
    except Refused:
        raise NotTaken(
            "the plate holds other characters than A-Z and 0-9, or is too long"
        ) from None


def state_of(text: object) -> str:
    """Return the record's own state; "" where it has none.

    Raises:
        NotTaken: it is not two capital letters.
    """
    try:
        return check_state(str(text or ""))
    except Refused:
        raise NotTaken("the state is not two capital letters") from None


def region_of(text: object, notes: list[str]) -> str:
    """Return ``MA`` for a recogniser's ``us-ma``, ``CA-ON`` for ``ca-on``; else "".

    Two letters alone are a country in such codes (ISO 3166): ``ca`` is Canada
    and must never become California.
    """
    region = str(text or "").strip().upper()
    if not region or region == "UNKNOWN":
        return ""
    try:
        state = check_state(region)
    except Refused:
        notes.append("the region is not a state: left out")
        return ""
    if "-" not in state:
        notes.append("the region is a country, not a state: left out")
        return ""
    return state.removeprefix("US-")


def camera_of(settings: Settings, *names: object) -> Camera:
    """Return the camera that the table has under one of the names, the first that it has.

    Else it is one that has nothing but the first name that is told, else the
    one that the site gave for records that name none.

    Raises:
        NotTaken: no camera, or a name that no answer could carry.
    """
    told = [str(name).strip() for name in names if name is not None]
    told = [name for name in told if name] or [settings.camera]
    known = next((name for name in told if name in settings.cameras), None)
    if known is not None:
        return settings.cameras[known]
    if not told[0]:
        raise NotTaken("no camera is named, and none is configured")
    if len(told[0]) > MAX_CAMERA or not told[0].isprintable():
        raise NotTaken("the camera is not a name of at most 100 printable characters")
    return Camera(told[0])


def epoch_ms(value: object, per_second: int = 1000) -> int:
    """Return UTC ms for a count since 1970 of which ``per_second`` are a second.

    Raises:
        NotTaken: it is no number, or not between 2000 and 2100.
    """
    text = str(value).strip() if not isinstance(value, bool) else ""
    if not _NUMBER.fullmatch(text):
        raise NotTaken("no time, or not a number")
    # By digits: a float of nanoseconds would lose some.
    whole, _, part = text.partition(".")
    part = (part + "000")[:3]
    count = int(whole) * 1000 + (-int(part) if whole.startswith("-") else int(part))
    return _bounded(count // per_second)


def local_ms(moment: datetime, zone: ZoneInfo | None, notes: list[str]) -> int:
    """Return UTC ms; a time without an offset is of ``zone``.

    Raises:
        NotTaken: no zone to take it by, a time that the clocks skipped, or not
            between 2000 and 2100.
    """
    try:
        if moment.tzinfo is None:
            if zone is None:
                raise NotTaken("the time has no zone, and none is configured")
            local = moment.replace(tzinfo=zone, fold=0)
            if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None, fold=0) != moment:
                raise NotTaken("a local time that the clocks skipped")
            if local.utcoffset() != local.replace(fold=1).utcoffset():
                notes.append(REPEATED)
            moment = local
        return _bounded(to_ms(moment))
    except (OverflowError, ValueError):
        raise NotTaken("the time is not between 2000 and 2100") from None


def time_of(text: str, form: str, zone: ZoneInfo | None, notes: list[str]) -> int:
    """Return UTC ms of a text in the form "iso" or a pattern of strptime.

    Raises:
        NotTaken: it is not in that form, or as :func:`local_ms`.
    """
    try:
        if not text.isascii():
            # strptime would take digits of other alphabets too.
            raise ValueError
        moment = datetime.fromisoformat(text) if form == "iso" else datetime.strptime(text, form)
    except (ValueError, OverflowError, re.error):
        raise NotTaken("the time is not in the form that is configured") from None
    return local_ms(moment, zone, notes)


def received_ms(settings: Settings, notes: list[str]) -> int:
    """Return the time that the caller gave for records without one.

    Raises:
        NotTaken: it gave none.
    """
    if settings.at_ms is None:
        raise NotTaken("the record has no time")
    notes.append("no time of its own: the given one")
    return settings.at_ms


def _bounded(ms: int) -> int:
    if not _EARLIEST_MS <= ms < _LATEST_MS:
        raise NotTaken("the time is not between 2000 and 2100")
    return ms


def place_of(
    latitude: object, longitude: object, notes: list[str]
) -> tuple[int | None, int | None]:
    """Return degrees times 10^7, or nothing and a note where they can't be right."""
    if latitude in (None, "") or longitude in (None, ""):
        return None, None
    if isinstance(latitude, bool) or isinstance(longitude, bool):
        return None, None
    try:
        lat_e7 = round(float(str(latitude)) * 10**7)
        lon_e7 = round(float(str(longitude)) * 10**7)
    except (ValueError, OverflowError):
        notes.append("the position is not a number: left out")
        return None, None
    on_globe = abs(lat_e7) <= 900_000_000 and abs(lon_e7) <= 1_800_000_000
    if not on_globe or (lat_e7, lon_e7) in ((0, 0), (-(10**7), -(10**7))):
        notes.append("the position can't be right: left out")
        return None, None
    return lat_e7, lon_e7


def vehicle_of(make: object, model: object, colour: object, body: object) -> Vehicle | None:
    """Return what is said of the vehicle; None where nothing is."""
    looks = Vehicle(*(_word(part) for part in (make, model, colour, body)))
    return looks if looks != Vehicle() else None


def _word(part: object) -> str:
    text = part if isinstance(part, str) else ""
    # Half a surrogate pair, for one, is JSON but no text that can be stored.
    return "".join(c for c in text[:1000] if c.isprintable()).strip()[:MAX_LOOK]


def confidence_pm(value: object, of: int = 100) -> int:
    """Return per mille of a confidence from 0 to ``of``; 0 where there is none."""
    try:
        per_mille = float(str(value)) * 1000 / of if not isinstance(value, bool) else 0.0
        return max(0, min(1000, round(per_mille)))
    except (ValueError, OverflowError):
        return 0


def _case(text: str) -> str:
    if len(text) > MAX_CAMERA or not text.isprintable():
        raise NotTaken("the case is not a text of at most 100 printable characters")
    return text


def picture_base64(text: object, settings: Settings, notes: list[str]) -> bytes | None:
    """Return the bytes of an embedded picture, where the site keeps photos."""
    if not text:
        return None
    if not settings.keep_photos:
        notes.append(NO_PICTURES)
        return None
    if not isinstance(text, str) or len(text) > MAX_PICTURE * 4 // 3 + 4:
        notes.append("the picture is damaged or too large: left out")
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        notes.append("the picture is damaged or too large: left out")
        return None


def picture_bytes(content: bytes, settings: Settings, notes: list[str]) -> bytes | None:
    """Return a picture that came as a file of its own, where the site keeps photos."""
    if not content:
        return None
    if not settings.keep_photos:
        notes.append(NO_PICTURES)
        return None
    if len(content) > MAX_PICTURE:
        notes.append("the picture is damaged or too large: left out")
        return None
    return content


def picture_file(name: str, settings: Settings, notes: list[str]) -> bytes | None:
    """Return the photo that a record names, from the photo folder and nowhere else.

    Raises:
        NotTaken: the path leads out of the folder.
    """
    if not name:
        return None
    if not settings.keep_photos:
        notes.append(NO_PICTURES)
        return None
    folder = settings.photo_folder
    if folder is None:
        notes.append("a photo's path, but no folder to find it in")
        return None
    path = folder / name
    out = NotTaken("the photo's path leads out of the folder")
    try:
        if Path(name).is_absolute() or ".." in Path(name).parts or path.is_symlink():
            raise out
        if not path.resolve().is_relative_to(folder.resolve()):
            raise out
        with path.open("rb") as file:
            content = file.read(MAX_PICTURE + 1)
    except (OSError, ValueError):
        # ValueError: a null byte, or half a surrogate pair.
        notes.append("the photo is not there")
        return None
    return picture_bytes(content, settings, notes)
