"""The two stores for tests that say what every store does: the same tests, run on both.

A test takes the fixture ``store``, or ``place`` where it opens the store itself or
looks behind its back. Tests of one database's own files or server take none of them.
"""

import fcntl
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from accord.clock import Clock
from node.store.base import ReadStore
from node.store.postgres.connections import IMPORT_LOCK, SCHEMA
from node.store.postgres.wording import Worded
from node.store.shared import Sql
from node.store.sqlite import SqliteStore
from tests.postgres import Database, Server

Rows = list[tuple[Any, ...]]


class Place(ABC):
    """Where one store is; none is opened or made before it is asked for."""

    opening: str
    """Lines of a program that open the store of ``sys.argv[1]`` as ``store``."""
    deleting: str
    """The module whose ``KEPT_GONE`` counts."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def open(self, *, clock: Clock | None = None) -> ReadStore:
        """Open the store, or make it."""

    @abstractmethod
    def rows(self, text: str, *values: object) -> Rows:
        """Run a statement behind the store's back, each value a ``?``, and return its rows."""

    @abstractmethod
    def connection(self) -> AbstractContextManager[Sql]:
        """Return a connection such as the store's own."""

    @abstractmethod
    def importing(self) -> AbstractContextManager[None]:
        """Hold the lock of an import, as another process would."""


class SqlitePlace(Place):
    opening = (
        "import sys; from pathlib import Path\n"
        "from node.store.sqlite import SqliteStore\n"
        "store = SqliteStore.open(Path(sys.argv[1]))\n"
    )
    deleting = "node.store.sqlite"

    def open(self, *, clock: Clock | None = None) -> SqliteStore:
        return SqliteStore.open(self.path, clock=clock)

    def rows(self, text: str, *values: object) -> Rows:
        with closing(sqlite3.connect(self.path)) as sql, sql:
            return sql.execute(text, values).fetchall()

    @contextmanager
    def connection(self) -> Iterator[Sql]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as sql:
            yield sql

    @contextmanager
    def importing(self) -> Iterator[None]:
        with self.path.with_suffix(".import.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class PostgresPlace(Place):
    opening = (
        "import sys; from pathlib import Path\n"
        "from node.store.postgres.store import PostgresStore\n"
        "store = PostgresStore.open(Path(sys.argv[1]))\n"
    )
    deleting = "node.store.postgres.purge"

    def __init__(self, database: Database, folder: Path) -> None:
        super().__init__(database.url_file(folder))
        self.database = database

    def open(self, *, clock: Clock | None = None) -> ReadStore:
        from node.store.postgres.store import PostgresStore

        return PostgresStore.open(self.path, clock=clock)

    def rows(self, text: str, *values: object) -> Rows:
        with self.connection() as sql:
            found = sql.sql.execute(text.replace("?", "%s"), values)
            return found.fetchall() if found.description else []

    @contextmanager
    def connection(self) -> Iterator[Worded]:
        with self.database.connect() as sql:
            sql.execute(f"SET search_path TO {SCHEMA}")
            yield Worded(sql)

    @contextmanager
    def importing(self) -> Iterator[None]:
        with self.database.connect() as sql:
            sql.execute("SELECT pg_advisory_lock(%s)", (IMPORT_LOCK,))
            yield


class Stores(Protocol):
    """One of the two databases, to make places in."""

    def place(self, folder: Path) -> AbstractContextManager[Place]:
        """Return a place for a store in a folder of its own, gone at the end."""


class SqliteStores:
    @contextmanager
    def place(self, folder: Path) -> Iterator[Place]:
        yield SqlitePlace(folder / "reads.db")


class PostgresStores:
    def __init__(self, server: Server, template: str) -> None:
        self._server, self._template = server, template

    @contextmanager
    def place(self, folder: Path) -> Iterator[Place]:
        with self._server.database(self._template) as database:
            yield PostgresPlace(database, folder)


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def stores(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stores]:
    """Each database in turn; PostgreSQL is skipped where it is not installed."""
    if request.param == "sqlite":
        yield SqliteStores()
        return
    server: Server = request.getfixturevalue("postgres")
    with server.database() as made:
        # A copy of a database with its tables is there sooner than new tables.
        PostgresPlace(made, tmp_path_factory.mktemp("template")).open().close()
        yield PostgresStores(server, made.name)


SQLITE = pytest.mark.parametrize("stores", ["sqlite"], indirect=True)
"""For a test of what SQLite's file alone does, or is."""


@pytest.fixture
def place(stores: Stores, tmp_path: Path) -> Iterator[Place]:
    """Where one empty store is, in the folder ``data``."""
    with stores.place(tmp_path / "data") as made:
        yield made


@pytest.fixture
def store(place: Place) -> Iterator[ReadStore]:
    """An empty store."""
    opened = place.open()
    yield opened
    opened.close()
