"""Reads from CSV, by a mapping file that says what each column is.

    format = "accord-csv-mapping/1"
    plate = "plate"                       # names of columns
    time = "captured_local"
    time_format = "%m/%d/%Y - %H:%M:%S"   # or "iso"
    zone = "America/Los_Angeles"          # wanted unless the text has its offset
    camera = "camera"
    latitude = "latitude"
    longitude = "longitude"
    nulls = ["NA", ""]                    # texts that mean: not known
    state_is = "WA"                       # one state for all, or state = "column"

A time without a zone is never guessed. A repeated hour at the end of summer
time is taken as its first pass and noted; one that the clocks skipped is
rejected. Each line is a row of its own: a quote that is not closed spoils its
line and not the rest of the file, so a field with a line break is not taken.
"""

import csv
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field

from accord.clock import to_ms
from accord.errors import InputError, Refused
from accord.model import Read, Vehicle
from accord.plates import check_state, normalise
from accord.received import NOT_OWN, is_received
from accord.strict_toml import StrictModel, read_toml
from node.ingest.report import MAX_CAMERA, MAX_LOOK, Parsed, Passed, Rejected

FORMAT = "accord-csv-mapping/1"
MAX_LINE = 16_384
_PICTURE_BYTES = 8 << 20


class Mapping(StrictModel):
    """A mapping file. Columns that are left out are not there."""

    format: str
    plate: str
    time: str
    time_format: str
    camera: str
    zone: str = ""
    latitude: str = ""
    longitude: str = ""
    state: str = ""
    state_is: str = ""
    make: str = ""
    model: str = ""
    colour: str = ""
    body: str = ""
    photo: str = ""
    case: str = ""
    nulls: list[str] = Field(default_factory=lambda: [""])


class _Skip(Exception):
    """A row that can't be taken; its text is the reason."""


def load_mapping(path: Path) -> Mapping:
    """Read a mapping file.

    Raises:
        InputError: naming the file and the key to mend.
    """
    mapping = read_toml(path, Mapping)
    if mapping.format != FORMAT:
        raise InputError(f"{path}: format", "is not one that this version reads", FORMAT)
    try:
        ZoneInfo(mapping.zone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        problem = f"{mapping.zone!r} is not a zone"
        raise InputError(f"{path}: zone", problem, 'write it as "America/Los_Angeles"') from None
    if not mapping.zone and mapping.time_format != "iso" and "%z" not in mapping.time_format:
        raise InputError(f"{path}: zone", "is missing", "a time without a zone is never guessed")
    return mapping


def parse_csv(
    stream: BinaryIO, mapping: Mapping, folder: Path | None
) -> Iterator[Parsed | Rejected | Passed]:
    """Yield each row as a read or with the reason why not; rows count from 1.

    ``folder`` is where the photo column's relative paths start.

    Raises:
        InputError: a column of the mapping is not there, or the file holds what
            was received from other agencies.
    """
    lines = _lines(stream)
    header = next(lines, None) or []
    if is_received(header):
        raise InputError("CSV", f"is not taken in: {NOT_OWN}", "take in your own cameras' reads")
    wanted = [mapping.plate, mapping.time, mapping.camera]
    wanted += [getattr(mapping, name) for name in _OPTIONAL if getattr(mapping, name)]
    missing = [name for name in wanted if name not in header]
    if missing:
        problem = f"has no column {missing[0]!r}"
        raise InputError("CSV", problem, f"its columns are: {', '.join(header)[:300]}")
    zone = ZoneInfo(mapping.zone) if mapping.zone else None
    for number, fields in enumerate(lines, 1):
        if fields is None:
            yield Rejected(number, "the row is not CSV on one line, or is too long")
            continue
        if len(fields) != len(header):
            yield Rejected(number, "the row has more or fewer fields than the header")
            continue
        row = dict(zip(header, fields, strict=True))
        try:
            yield _parse_row(number, row, mapping, zone, folder)
        except _Skip as reason:
            yield Rejected(number, str(reason))


def _lines(stream: BinaryIO) -> Iterator[list[str] | None]:
    """Yield the fields of each line that is not blank; None for one that is no CSV."""
    first = True
    while line := stream.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_LINE)
            yield None
            continue
        if first:
            line = line.removeprefix(b"\xef\xbb\xbf")
            first = False
        text = line.decode("utf-8", errors="replace").rstrip("\r\n")
        if not text.strip():
            continue
        try:
            yield next(csv.reader([text], strict=True))
        except csv.Error:
            yield None


_OPTIONAL = (
    "latitude", "longitude", "state", "make", "model", "colour", "body", "photo", "case",
)  # fmt: skip


def _parse_row(
    number: int, row: dict[str, str], mapping: Mapping, zone: ZoneInfo | None, folder: Path | None
) -> Parsed:
    notes: list[str] = []

    def value(column: str) -> str:
        text = row.get(column, "").strip() if column else ""
        return "" if text in mapping.nulls else text

    raw = value(mapping.plate)
    if not raw:
        raise _Skip("no plate")
    if "�" in "".join(str(part) for part in row.values()):
        raise _Skip("the row is not UTF-8")
    try:
        plate = normalise(raw)
    except Refused:
        raise _Skip("the plate holds other characters than A-Z and 0-9, or is too long") from None
    try:
        state = check_state(mapping.state_is or value(mapping.state))
    except Refused:
        raise _Skip("the state is not two capital letters") from None
    captured_ms = _time(value(mapping.time), mapping.time_format, zone, notes)
    lat_e7, lon_e7 = _place(value(mapping.latitude), value(mapping.longitude), notes)
    camera = value(mapping.camera)
    if not 1 <= len(camera) <= MAX_CAMERA or not camera.isprintable():
        raise _Skip("no camera, or not a name of at most 100 printable characters")
    looks = [
        value(getattr(mapping, name))[:MAX_LOOK] for name in ("make", "model", "colour", "body")
    ]
    source = "\0".join(("csv", raw, str(captured_ms), camera, str(lat_e7), str(lon_e7)))
    read = Read(
        plate=plate,
        raw_plate=raw,
        state=state,
        captured_ms=captured_ms,
        camera=camera,
        source_id=hashlib.sha256(source.encode()).digest()[:16],
        lat_e7=lat_e7,
        lon_e7=lon_e7,
        vehicle=Vehicle(*looks) if any(looks) else None,
        case=value(mapping.case),
    )
    picture = _picture(value(mapping.photo), folder, notes)
    return Parsed(number, read, tuple(notes), picture)


def _time(text: str, form: str, zone: ZoneInfo | None, notes: list[str]) -> int:
    try:
        if not text.isascii():
            # strptime would take digits of other alphabets too.
            raise ValueError
        parsed = datetime.fromisoformat(text) if form == "iso" else datetime.strptime(text, form)
    except ValueError:
        raise _Skip("the time is not in the form that the mapping says") from None
    if parsed.tzinfo is None:
        if zone is None:
            raise _Skip("the time has no zone")
        local = parsed.replace(tzinfo=zone)
        if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != parsed:
            raise _Skip("a local time that the clocks skipped")
        if local.utcoffset() != local.replace(fold=1).utcoffset():
            notes.append("a repeated hour, taken as its first pass")
        parsed = local
    ms = to_ms(parsed)
    if not 946_684_800_000 <= ms < 4_102_444_800_000:
        raise _Skip("the time is not between 2000 and 2100")
    return ms


def _place(latitude: str, longitude: str, notes: list[str]) -> tuple[int | None, int | None]:
    if not latitude or not longitude:
        return None, None
    try:
        lat_e7, lon_e7 = round(float(latitude) * 10**7), round(float(longitude) * 10**7)
    except (ValueError, OverflowError):
        notes.append("the position is not a number: left out")
        return None, None
    on_globe = abs(lat_e7) <= 900_000_000 and abs(lon_e7) <= 1_800_000_000
    if not on_globe or (lat_e7, lon_e7) == (0, 0):
        notes.append("the position can't be right: left out")
        return None, None
    return lat_e7, lon_e7


def _picture(name: str, folder: Path | None, notes: list[str]) -> bytes | None:
    if not name:
        return None
    if folder is None:
        notes.append("a photo's path, but no folder to find it in")
        return None
    parts = Path(name).parts
    path = folder / name
    if Path(name).is_absolute() or ".." in parts or "\0" in name or path.is_symlink():
        raise _Skip("the photo's path leads out of the folder")
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise _Skip("the photo's path leads out of the folder")
        with path.open("rb") as file:
            content = file.read(_PICTURE_BYTES + 1)
    except OSError:
        notes.append("the photo is not there")
        return None
    return content
