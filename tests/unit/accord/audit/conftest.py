"""Parts of a throwaway log. Plates and people are invented."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from accord.audit.leaf import Record
from accord.audit.log import AuditLog
from accord.audit.reader import AuditReader
from accord.keys import ED25519, PrivateKey

ORIGIN = "harbor/node"
SECRET = bytes(range(32))
START_MS = 1_790_000_000_000


class Ticking:
    """A clock that moves one second at each look."""

    def __init__(self) -> None:
        self.ms = START_MS

    def now_ms(self) -> int:
        self.ms += 1000
        return self.ms


class Book:
    """One log in a folder of its own: opened, read and reopened by a test."""

    origin = ORIGIN
    secret = SECRET
    start_ms = START_MS

    def __init__(self, path: Path) -> None:
        self.path = path
        self.key = PrivateKey.generate(ED25519)
        self.clock = Ticking()
        self.opened: list[AuditLog | AuditReader] = []

    def open(self) -> AuditLog:
        log = AuditLog.open(self.path, origin=ORIGIN, key=self.key, secret=SECRET, clock=self.clock)
        self.opened.append(log)
        return log

    def reader(self) -> AuditReader:
        reader = AuditReader.open(self.path, secret=SECRET, public=self.key.public)
        self.opened.append(reader)
        return reader

    @staticmethod
    def record(number: int = 0, kind: str = "query", **more: str) -> Record:
        fields = {
            "officer": f"H-{number % 3}",
            "agency": "harbor",
            "purpose": "stolen-vehicle",
            "case": f"26-{number:05}",
            "plate": f"7INV{number:03}",
            "query_id": f"{number:032x}",
            "query_digest": f"{number:064x}",
            "decision": "allowed",
            "on_behalf_of": "",
        }
        return Record(kind, fields | more)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    found = Book(tmp_path / "audit.db")
    yield found
    for each in found.opened:
        each.close()


@pytest.fixture
def new_book(tmp_path: Path) -> Iterator[Callable[[str], Book]]:
    books: list[Book] = []

    def make(name: str) -> Book:
        books.append(Book(tmp_path / name))
        return books[-1]

    yield make
    for each in (log for found in books for log in found.opened):
        each.close()
