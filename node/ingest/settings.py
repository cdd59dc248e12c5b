"""What a format is told beside the bytes: mapping, cameras, zone, state, photos.

A camera table says what cameras and their messages leave out, by the name that
the source gives the camera:

    format = "accord-cameras/1"
    [[cameras]]
    source = "1000"                      # as the source names it
    name = "PIER-1"                      # as reads name it; the same if left out
    latitude = 33.7361                   # degrees, WGS 84; both or neither
    longitude = -118.2922
    zone = "America/Los_Angeles"         # of its clock, where times have no offset
    state = "CA"                         # for reads whose state is not told

A position in the table is that of every read of the camera, whatever the
messages say; a camera on a car has none in the table.
"""

from collections.abc import Mapping as Table
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo

from pydantic import Field

from accord.errors import InputError
from accord.strict_toml import StrictModel, read_toml
from node.ingest.checks import state_of, zone_of
from node.ingest.mapping import Mapping
from node.ingest.report import MAX_CAMERA

FORMAT = "accord-cameras/1"


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera as the table has it; ``name`` is what reads call it.

    ``source`` is what the record calls it, which no change of the table changes:
    ids of reads are made of it.
    """

    name: str
    lat_e7: int | None = None
    lon_e7: int | None = None
    zone: ZoneInfo | None = None
    state: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a site says of one source of reads. Nothing in it is ever guessed.

    ``mapping`` says what each field is, for formats that are the customer's
    own. ``photo_folder`` is where relative paths of photos start. ``cameras``
    is the table above by ``source``; ``camera`` names the camera of records
    that name none, and ``at_ms`` (UTC) is the time of records that have none.
    ``zone`` and ``state`` hold where neither record nor camera tells. Where
    ``keep_photos`` is false, no picture is even decoded. A record that is dated later than
    ``latest_ms`` (UTC; None for no bound) is not taken.
    """

    mapping: Mapping | None = None
    photo_folder: Path | None = None
    cameras: Table[str, Camera] = field(default_factory=lambda: MappingProxyType({}))
    camera: str = ""
    at_ms: int | None = None
    zone: ZoneInfo | None = None
    state: str = ""
    keep_photos: bool = True
    latest_ms: int | None = None


class _Entry(StrictModel):
    source: str = Field(min_length=1)
    name: str = ""
    latitude: float | None = Field(default=None, ge=-90, le=90)
    longitude: float | None = Field(default=None, ge=-180, le=180)
    zone: str = ""
    state: str = ""


class _File(StrictModel):
    format: str
    cameras: list[_Entry]


def load_cameras(path: Path) -> Table[str, Camera]:
    """Read a camera table.

    Raises:
        InputError: naming the file and the key to mend.
    """
    file = read_toml(path, _File)
    if file.format != FORMAT:
        raise InputError(f"{path}: format", "is not one that this version reads", FORMAT)
    found: dict[str, Camera] = {}
    for number, entry in enumerate(file.cameras, 1):
        where = f"{path}: camera {number}"
        if entry.source in found:
            raise InputError(where, f"{entry.source!r} is there twice", "keep one")
        if (entry.latitude is None) != (entry.longitude is None):
            raise InputError(where, "has half a position", "write latitude and longitude, or none")
        name = entry.name or entry.source
        if len(name) > MAX_CAMERA or not name.isprintable():
            raise InputError(where, "the name is not one of at most 100 printable characters")
        found[entry.source] = Camera(
            name=name,
            lat_e7=None if entry.latitude is None else round(entry.latitude * 10**7),
            lon_e7=None if entry.longitude is None else round(entry.longitude * 10**7),
            zone=zone_of(entry.zone, f"{where}: zone") if entry.zone else None,
            state=state_of(entry.state, f"{where}: state"),
        )
    return MappingProxyType(found)
