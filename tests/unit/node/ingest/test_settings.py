"""The camera table, and what of it a read takes."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from accord.errors import InputError
from node.ingest.settings import Camera, load_cameras

TABLE = """
format = "accord-cameras/1"
[[cameras]]
source = "1000"
name = "PIER-1"
latitude = 33.7361
longitude = -118.2922
zone = "America/Los_Angeles"
state = "CA"
[[cameras]]
source = "CAR-7"
"""
Load = Callable[[str], Mapping[str, Camera]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def write(text: str) -> Mapping[str, Camera]:
        path = tmp_path / "cameras.toml"
        path.write_text(text)
        return load_cameras(path)

    return write


def test_a_table_is_read(load: Load) -> None:
    table = load(TABLE)
    pier = table["1000"]
    assert (pier.name, pier.lat_e7, pier.lon_e7, pier.state) == (
        "PIER-1", 337_361_000, -1_182_922_000, "CA",
    )  # fmt: skip
    assert str(pier.zone) == "America/Los_Angeles"
    assert table["CAR-7"] == Camera("CAR-7")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("accord-cameras/1", "accord-cameras/9", "format"),
        ('source = "CAR-7"', 'source = "1000"', "twice"),
        ("longitude = -118.2922\n", "", "half a position"),
        ("33.7361", "133.7361", "latitude"),
        ("America/Los_Angeles", "Mars/Olympus", "zone"),
        ('state = "CA"', 'state = "California"', "state"),
        ("PIER-1", "p" * 101, "name"),
        ('source = "CAR-7"', 'sauce = "CAR-7"', "cameras.1 holds a key"),
        ('source = "CAR-7"', 'source = ""', "source"),
    ],
)
def test_a_slip_in_the_table_is_named(load: Load, old: str, new: str, words: str) -> None:
    with pytest.raises(InputError) as error:
        load(TABLE.replace(old, new))
    assert words in str(error.value)
    assert "\n" not in str(error.value)
