"""Parts of a throwaway log, in a file or on a server. Plates and people are invented."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from accord.audit.file import LogFile
from accord.audit.leaf import Record
from accord.audit.log import AuditLog
from accord.audit.places import Place, Sql
from accord.audit.reader import AuditReader
from accord.cli.audit import app
from accord.keys import ED25519, PrivateKey
from accord.processes import guarded
from tests.stores import PostgresPlace, Stores

ORIGIN = "harbor/node"
SECRET = bytes(range(32))
START_MS = 1_790_000_000_000

Rows = list[tuple[Any, ...]]


class Ticking:
    """A clock that moves one second at each look."""

    def __init__(self) -> None:
        self.ms = START_MS

    def now_ms(self) -> int:
        self.ms += 1000
        return self.ms


class Book:
    """One log in a place of its own: opened, read and reopened by a test."""

    origin = ORIGIN
    secret = SECRET
    start_ms = START_MS

    def __init__(self, place: Place) -> None:
        self.place = place
        self.key = PrivateKey.generate(ED25519)
        self.clock = Ticking()
        self.opened: list[AuditLog | AuditReader] = []

    @property
    def path(self) -> Path:
        return self.place.path

    def open(self) -> AuditLog:
        log = AuditLog.open(
            self.place, origin=ORIGIN, key=self.key, secret=SECRET, clock=self.clock
        )
        self.opened.append(log)
        return log

    def reader(self) -> AuditReader:
        reader = AuditReader.open(self.place, secret=SECRET, public=self.key.public)
        self.opened.append(reader)
        return reader

    @contextmanager
    def behind(self) -> Iterator[Sql]:
        """Return the tables behind the log's back; what is changed stays so."""
        taken = self.place.take()
        try:
            with taken.transaction() as sql:
                yield sql
        finally:
            taken.close()

    def rows(self, text: str, *values: object) -> Rows:
        """Return what a query finds while the log may be open."""
        sql = self.place.reading()
        try:
            return sql.execute(text, values).fetchall()
        finally:
            sql.close()

    def close(self) -> None:
        for each in self.opened:
            each.close()

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
def place(stores: Stores, tmp_path: Path) -> Iterator[Place]:
    """Where one log is kept: a file, then tables on a server."""
    with stores.place(tmp_path / "store") as found:
        if not isinstance(found, PostgresPlace):
            yield LogFile(tmp_path / "audit.db")
            return
        from node.store.postgres.log import LogTables

        yield LogTables.at(found.path)


@pytest.fixture
def book(place: Place) -> Iterator[Book]:
    found = Book(place)
    yield found
    found.close()


@pytest.fixture
def new_book(tmp_path: Path) -> Iterator[Callable[[str], Book]]:
    """Make logs in files."""
    books: list[Book] = []

    def make(name: str) -> Book:
        books.append(Book(LogFile(tmp_path / name)))
        return books[-1]

    yield make
    for found in books:
        found.close()


@pytest.fixture
def accord(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run ``accord audit`` as a person does: exit status, standard output and error."""

    def run(*args: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            guarded(lambda: app([str(arg) for arg in args], standalone_mode=False))
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run
