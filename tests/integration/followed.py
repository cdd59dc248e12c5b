"""A table of a database that we did not write, and the settings of a node that follows it."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests.integration.ways import write_secret
from tests.postgres import PASSWORD, USER, Database

MAPPING = """
format = "accord-mapping/1"
plate = "plate"
time = "seen"
time_format = "iso"
zone = "America/Los_Angeles"
camera = "camera"
latitude = "lat"
longitude = "lon"
id = "n"
"""
TABLE = (
    "CREATE TABLE reads (n integer, at timestamptz, plate text, seen timestamp, camera text, "
    "lat numeric, lon numeric)"
)


@pytest.fixture
def rows(database: Database) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with database.connect() as connection:
        connection.execute(TABLE)
        yield connection


def insert(
    connection: psycopg.Connection[tuple[object, ...]], n: int | str, at: str, plate: str
) -> None:
    connection.execute(
        "INSERT INTO reads VALUES (%s, %s, %s, '2026-03-01 00:30', 'PIER-1', 33.7361, -118.2922)",
        (n, at, plate),
    )


def address(database: Database) -> str:
    """Return the URL as SQLAlchemy writes it."""
    at = f"127.0.0.1:{database.server.port}/{database.name}"
    return f"postgresql+psycopg://{USER}:{PASSWORD}@{at}"


def section(city: Path, database: Database, more: str) -> str:
    (city / "mapping.toml").write_text(MAPPING)
    write_secret(city / "keys" / "records.url", address(database) + "\n")
    return (
        '\n[[sources]]\nname = "records"\nway = "sql"\nurl = "keys/records.url"\n'
        f'mapping = "mapping.toml"\nevery_s = 1\n{more}\n'
    )


BY_NUMBER = 'table = "public.reads"\nwatermark = "n"\noverlap = 3'
BY_TIME = 'query = "SELECT * FROM reads WHERE n < 1000000"\nwatermark = "at"\noverlap = 60'
LOCAL = "ALTER TABLE reads ALTER at TYPE timestamp"


def letters(city: Path) -> list[tuple[str, dict[str, object]]]:
    """Return reason and row of each dead letter."""
    with closing(sqlite3.connect(city / "data" / "reads.db")) as database:
        found = database.execute("SELECT reason, content FROM dead_letters ORDER BY letter_id")
        return [(reason, json.loads(content)) for reason, content in found]


BAD_TIMES = ["infinity", "-infinity", "0044-03-15 BC", "12026-03-01"]


class Heard:
    """What has been logged since it was made."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd
        self._said = ""

    def has(self, words: str) -> bool:
        self._said += "".join(self._capfd.readouterr())
        return words in self._said
