"""A file of real reads for the demo: split by camera over the three agencies."""

import csv
import gzip
import io
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from accord.clock import to_ms
from accord.errors import InputError, Refused
from accord.model import Window
from accord.plates import normalise

_COLUMNS = ("plate", "captured_local", "latitude", "longitude", "camera")
_FORM = "%m/%d/%Y - %H:%M:%S"
_AGENCIES = ("city", "county", "harbor")
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Reads:
    """Rows by agency, the window that holds them all (UTC ms), and their CSV mapping."""

    parts: dict[str, list[dict[str, str]]]
    window: Window
    mapping: str

    def write_part(self, agency: str, folder: Path) -> Path:
        """Write one agency's rows as CSV; return the path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "reads.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, _COLUMNS, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(self.parts[agency])
        return path

    def days_since(self, now_ms: int) -> int:
        """Return how many days the oldest row lies back, and two more."""
        return max(1, (now_ms - self.window.from_ms) // _DAY_MS + 2)

    def target(self) -> str:
        """Return the plate that both the city and the county saw, the most often.

        Raises:
            InputError: there is none.
        """
        city, county = (Counter(r["plate"] for r in self.parts[a]) for a in ("city", "county"))
        both = {plate: city[plate] + county[plate] for plate in city.keys() & county.keys()}
        for plate, _ in sorted(both.items(), key=lambda item: (-item[1], item[0])):
            try:
                return normalise(plate)
            except Refused:
                continue
        raise InputError("reads", "no plate was seen by both the city and the county")


def load(path: Path, zone: str) -> Reads:
    """Read the file and split it: cameras in turn to city, county, harbour.

    Raises:
        InputError: naming the file, column or zone.
    """
    try:
        local = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise InputError("zone", f"{zone!r} is not one", "write America/Los_Angeles") from None
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError):
        raise InputError(path, "can't be read", "give a CSV file in UTF-8, or its .gz") from None
    rows = list(csv.DictReader(io.StringIO(text)))
    if not rows or not set(_COLUMNS) <= set(rows[0]):
        raise InputError(path, "lacks rows or a column", f"it needs {', '.join(_COLUMNS)}")
    cameras = sorted({row["camera"] for row in rows})
    home = {camera: _AGENCIES[i % 3] for i, camera in enumerate(cameras)}
    parts: dict[str, list[dict[str, str]]] = {agency: [] for agency in _AGENCIES}
    times = []
    for row in rows:
        parts[home[row["camera"]]].append(row)
        try:
            moment = datetime.strptime(row["captured_local"], _FORM).replace(tzinfo=local)
        except ValueError:
            continue  # the node's report says which row and why
        times.append(to_ms(moment))
    if not times:
        raise InputError(path, "no row has a time in the form MM/DD/YYYY - HH:MM:SS")
    mapping = (
        'format = "accord-mapping/1"\nplate = "plate"\ntime = "captured_local"\n'
        f'time_format = "{_FORM}"\nzone = "{zone}"\ncamera = "camera"\n'
        'latitude = "latitude"\nlongitude = "longitude"\nnulls = ["NA", ""]\n'
    )
    return Reads(parts, Window(min(times), max(times) + 1), mapping)
