"""Invented reads by a seeded generator: vehicles on plausible routes, seen again and again."""

import csv
import io
import random
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from PIL import Image, ImageDraw

from accord.clock import to_datetime

# Every fixture shows invented plates: a pattern that no state issues.
_LETTERS = "BCDFGHJKLMNPRSTVWXYZ"
MAPPING = """\
format = "accord-mapping/1"
plate = "plate"
state = "state"
time = "captured_at"
time_format = "iso"
latitude = "latitude"
longitude = "longitude"
camera = "camera"
make = "make"
colour = "colour"
photo = "photo"
"""
COLUMNS = (
    "plate", "state", "captured_at", "latitude", "longitude", "camera", "make", "colour", "photo",
)  # fmt: skip
_MAKES = ("Corvida", "Meridian", "Tamarack", "Solano")
_COLOURS = ("white", "silver", "blue", "red", "black", "green")


@dataclass(frozen=True, slots=True)
class Camera:
    """A fixed camera: name and position in degrees."""

    name: str
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Site:
    """An agency's cameras, and how many reads to invent."""

    agency: str
    cameras: tuple[Camera, ...]
    reads: int


def sites() -> tuple[Site, Site, Site]:
    """Return the cameras of the demo's city, harbour and county."""

    def row(prefix: str, south: float, west: float, count: int) -> tuple[Camera, ...]:
        return tuple(
            Camera(f"{prefix}-{i + 1}", south + 0.004 * (i % 4), west + 0.006 * (i // 4))
            for i in range(count)
        )

    return (
        Site("city", row("CITY", 33.90, -118.30, 12), 1500),
        Site("harbor", row("PORT", 33.74, -118.27, 6), 700),
        Site("county", row("CNTY", 33.80, -118.40, 8), 900),
    )


def plate(chance: random.Random) -> str:
    """Return an invented plate: two digits, three letters, two digits."""
    letters = "".join(chance.choice(_LETTERS) for _ in range(3))
    return f"{chance.randrange(10, 99)}{letters}{chance.randrange(10, 99)}"


TARGET = "47KWX83"


def write_reads(site: Site, folder: Path, now_ms: int, seed: int = 7) -> Path:
    """Write an agency's reads as CSV, with pictures beside it; return its path."""
    chance = random.Random(f"{seed}/{site.agency}")  # noqa: S311 - invented data, not secrets
    folder.mkdir(parents=True, exist_ok=True)
    fleet = [plate(chance) for _ in range(site.reads // 6)]
    rows: list[tuple[object, ...]] = []
    for _ in range(site.reads):
        camera = chance.choice(site.cameras)
        seen = chance.choice(fleet)
        age_s = chance.randrange(3600, 20 * 86_400)
        rows.append(_row(seen, camera, now_ms - age_s * 1000, chance, ""))
    start = {"city": 50, "harbor": 33, "county": 20}.get(site.agency, 40)
    for number, camera in enumerate(site.cameras[:3]):
        at_ms = now_ms - (start * 3600 + 240 * (3 - number)) * 1000
        picture = f"{site.agency}-{number}.jpg"
        draw(folder / picture, TARGET, camera.name, at_ms)
        rows.append(_row(TARGET, camera, at_ms, chance, picture))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    rows.sort(key=lambda row: str(row[2]))
    writer.writerows(rows)
    path = folder / "reads.csv"
    path.write_text(text.getvalue())
    return path


def _row(
    seen: str, camera: Camera, at_ms: int, chance: random.Random, picture: str
) -> tuple[object, ...]:
    look = random.Random(seen)  # noqa: S311 - a vehicle looks the same everywhere
    return (
        seen,
        "CA",
        (to_datetime(at_ms) + timedelta(milliseconds=chance.randrange(900))).isoformat(),
        f"{camera.latitude + chance.uniform(-2e-5, 2e-5):.7f}",
        f"{camera.longitude + chance.uniform(-2e-5, 2e-5):.7f}",
        camera.name,
        look.choice(_MAKES),
        look.choice(_COLOURS),
        picture,
    )


def draw(path: Path, text: str, camera: str, at_ms: int) -> None:
    """Draw a picture of a plate, with place and time burnt in as cameras do."""
    picture = Image.new("RGB", (480, 300), (60, 66, 74))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((90, 90, 390, 210), fill=(245, 245, 240), outline=(20, 30, 90), width=6)
    pen.text((120, 115), text, fill=(20, 30, 90), font_size=56)
    stamp = to_datetime(at_ms).isoformat(timespec="seconds")
    pen.text((8, 6), f"{camera}  {stamp}", fill=(255, 220, 60), font_size=16)
    picture.save(path, "JPEG", quality=85)
