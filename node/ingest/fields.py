"""From a source's words to a read: plate, state, camera, place, look.

Here such words are judged, for every format; times and pictures are so in
:mod:`node.ingest.times` and :mod:`node.ingest.pictures`:

- the plate is normalised and its text kept as it came; a look-alike of another
  alphabet is an error, never folded; a word for none is no plate;
- the state is the record's own, else the camera's or the site's default;
- a position that can't be right is left out and noted.

What a read has no field for (lane, direction, speed) is dropped.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from accord.errors import Refused
from accord.model import Read, Vehicle
from accord.plates import check_state, normalise
from node.ingest.report import (
    MAX_CAMERA,
    MAX_LOOK,
    NotTaken,
    Parsed,
    Passed,
    Record,
    Rejected,
    Start,
)
from node.ingest.settings import Camera, Settings
from node.placeholders import is_placeholder

MAX_RAW_PLATE = 60

FOREIGN = "a plate of another country: no state"


_NOT_TOLD = ("", "US", "USA", "UNKNOWN", "UNK", "NON")


@dataclass(slots=True)
class Found:
    """What a format found in one record, still in the source's words.

    ``source`` are the parts that name this event and no other, in the source's own
    words: the same event given twice is one read (:func:`source_id`). Where a source
    has no id for its events, plate and state as it told them are among the parts.
    ``state`` None takes the default of the camera or the site, "" does not.
    ``vehicle`` is make, model, colour, body.
    """

    plate: object
    camera: Camera
    captured_ms: int
    source: tuple[object, ...]
    state: str | None = None
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
    content: Callable[[T], bytes | Start],
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
    number: int, outcome: Outcome, settings: Settings, content: Callable[[], bytes | Start]
) -> Record:
    """Return the entry of the account for one outcome; ``content`` is asked for if refused."""
    if isinstance(outcome, str):
        return Passed(number, outcome)
    try:
        if isinstance(outcome, NotTaken):
            raise outcome
        return parsed(number, outcome, settings)
    except NotTaken as reason:
        kept = content()
        if isinstance(kept, Start):
            return Rejected(number, str(reason), kept.content, cut=True)
        return Rejected(number, str(reason), kept)


def parsed(number: int, found: Found, settings: Settings) -> Parsed:
    """Return the read of one record.

    Raises:
        NotTaken: plate, case or time can't be.
    """
    if settings.latest_ms is not None and found.captured_ms > settings.latest_ms:
        # It would be kept as much longer as its camera's clock is ahead.
        raise NotTaken("the time is more than a day ahead of this node's clock")
    raw, plate = plate_of(found.plate)
    lat_e7, lon_e7 = found.camera.lat_e7, found.camera.lon_e7
    if lat_e7 is None:
        lat_e7, lon_e7 = place_of(found.latitude, found.longitude, found.notes)
    read = Read(
        plate=plate,
        raw_plate=raw,
        state=found.camera.state or settings.state if found.state is None else found.state,
        captured_ms=found.captured_ms,
        camera=found.camera.name,
        source_id=source_id(found.source),
        lat_e7=lat_e7,
        lon_e7=lon_e7,
        vehicle=vehicle_of(*found.vehicle),
        confidence_pm=found.confidence_pm,
        case=_case(found.case),
    )
    return Parsed(number, read, tuple(found.notes), found.picture)


def source_id(parts: Iterable[object]) -> bytes:
    """Return the id of a read, 16 bytes: of other parts another, whatever they hold.

    Each part is told with its length, so none can pass for two, nor nothing for a text.
    """
    digest = hashlib.sha256()
    for part in parts:
        # Half a surrogate pair is a text of its own too.
        text = b"" if part is None else str(part).encode("utf-8", "surrogatepass")
        digest.update(b"-" if part is None else b"%d:%b" % (len(text), text))
    return digest.digest()[:16]


def plate_of(raw: object) -> tuple[str, str]:
    """Return the plate as it came and normalised.

    Raises:
        NotTaken: it is no plate.
    """
    if not isinstance(raw, str) or not raw.strip():
        raise NotTaken("no plate")
    if is_placeholder(raw):
        raise NotTaken("the plate is a word for none, such as UNKNOWN or NULL")
    if len(raw) > MAX_RAW_PLATE:
        raise NotTaken("the plate is too long")
    try:
        return raw, normalise(raw)
    except Refused:
        raise NotTaken(
            "the plate holds other characters than A-Z and 0-9, or is too long"
        ) from None


def state_of(text: object) -> str | None:
    """Return the record's own state; None where it tells none.

    Raises:
        NotTaken: it is not two capital letters.
    """
    if text is None or text == "":
        return None
    try:
        return check_state(str(text))
    except Refused:
        raise NotTaken("the state is not two capital letters") from None


def region_of(text: object, notes: list[str]) -> str | None:
    """Return ``MA`` for a recogniser's ``us-ma``, ``CA-ON`` for ``ca-on``.

    None where it does not tell, and "" where it is told and no state: then no
    default takes its place. Two letters alone are a country in such codes (ISO
    3166): ``ca`` is Canada and must never become California.
    """
    region = str(text or "").strip().upper()
    if region in _NOT_TOLD:
        return None
    try:
        state = check_state(region)
    except Refused:
        notes.append("the region is not a state: left out")
        return ""
    if "-" not in state:
        notes.append(FOREIGN)
        return ""
    return state.removeprefix("US-")


def country_of(text: object, notes: list[str]) -> str | None:
    """Return None for a country that tells nothing of the state, "" for another's plate.

    Codes are those of ISO 3166, with two letters or three.
    """
    if str(text or "").strip().upper() in _NOT_TOLD:
        return None
    notes.append(FOREIGN)
    return ""


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
        return replace(settings.cameras[known], source=told[0])
    if not told[0]:
        raise NotTaken("no camera is named, and none is configured")
    if len(told[0]) > MAX_CAMERA or not told[0].isprintable():
        raise NotTaken("the camera is not a name of at most 100 printable characters")
    return Camera(told[0], source=told[0])


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
    if not (make or model or colour or body):
        return None
    looks = Vehicle(*(_word(part) for part in (make, model, colour, body)))
    return looks if looks != Vehicle() else None


def _word(part: object) -> str:
    text = part if isinstance(part, str) else ""
    # Half a surrogate pair, for one, is JSON but no text that can be stored.
    return "".join(c for c in text[:1000] if c.isprintable()).strip()[:MAX_LOOK]


def confidence_pm(value: object, of: int = 100) -> int:
    """Return per mille of a confidence from 0 to ``of``; 0 where there is none."""
    if value is None or value == "":
        return 0
    try:
        per_mille = float(str(value)) * 1000 / of if not isinstance(value, bool) else 0.0
        return max(0, min(1000, round(per_mille)))
    except (ValueError, OverflowError):
        return 0


def _case(text: str) -> str:
    if len(text) > MAX_CAMERA or not text.isprintable():
        raise NotTaken("the case is not a text of at most 100 printable characters")
    return text
