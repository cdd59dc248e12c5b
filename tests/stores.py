"""The stores for tests that say what every store does: the same tests, run on each.

A test takes the fixture ``store``, or ``place`` where it opens the store itself or
looks behind its back. Tests of one database's own files or server take none of them.
"""

import fcntl
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from accord.clock import Clock
from node.store.base import ReadStore
from node.store.postgres.connections import IMPORT_LOCK, SCHEMA
from node.store.postgres.wording import Worded
from node.store.segments import spans
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

    @abstractmethod
    def wait_for_ends(self) -> None:
        """Wait until what killed processes had begun is done or undone, where a server does it.

        Nothing may have the store open.
        """


class SqlitePlace(Place):
    opening = (
        "import sys; from pathlib import Path\n"
        "from node.store.sqlite import SqliteStore\n"
        "store = SqliteStore.open(Path(sys.argv[1]))\n"
    )
    deleting = "node.store.segments.purging"

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

    def wait_for_ends(self) -> None:
        """What a killed process had begun ended with it."""


class SegmentsPlace(SqlitePlace):
    """The same, its reads in many files and some in the main one."""

    def open(self, *, clock: Clock | None = None) -> SqliteStore:
        store = super().open(clock=clock)
        # As a purge would: reads are kept for twenty years.
        self.rows("UPDATE upkeep SET keep_ms = ? WHERE keep_ms = 0", 20 * 365 * 86_400_000)
        return store

    def rows(self, text: str, *values: object) -> Rows:
        found = super().rows(text, *values)
        if "FROM reads" in text:
            for path in sorted(self.path.with_suffix("").glob("*.db")):
                found += SqlitePlace(path).rows(text, *values)
        return found


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
            try:
                yield
            finally:
                # A server hears of the end of a connection some time later.
                sql.execute("SELECT pg_advisory_unlock(%s)", (IMPORT_LOCK,))

    def wait_for_ends(self) -> None:
        self.database.wait_for_ends()


class ShardedPlace(PostgresPlace):
    """Reads on two servers: by the socket of one, over TLS to the other."""

    opening = (
        "import sys; from pathlib import Path\n"
        "from node.store.postgres.store import PostgresStore\n"
        "path = Path(sys.argv[1])\n"
        "store = PostgresStore.open(path, shards=sorted(path.parent.glob('shard?.url')))\n"
    )

    def __init__(self, database: Database, shards: Sequence[Database], folder: Path) -> None:
        super().__init__(database, folder)
        self.databases = shards
        one, two = shards
        self.shards = (
            one.url_file(folder, name="shard1.url"),
            two.url_file(folder, two.tls_url, "shard2.url"),
        )

    def open(self, *, clock: Clock | None = None) -> ReadStore:
        from node.store.postgres.store import PostgresStore

        return PostgresStore.open(self.path, shards=self.shards, clock=clock)

    def wait_for_ends(self) -> None:
        # The coordinator's own end those to its shards.
        for database in (self.database, *self.databases):
            database.wait_for_ends()


class Stores(Protocol):
    """One of the two databases, to make places in."""

    def place(self, folder: Path) -> AbstractContextManager[Place]:
        """Return a place for a store in a folder of its own, gone at the end."""


class SqliteStores:
    @contextmanager
    def place(self, folder: Path) -> Iterator[Place]:
        yield SqlitePlace(folder / "reads.db")


class SegmentsStores:
    SPAN_MS = 50_000

    @contextmanager
    def place(self, folder: Path) -> Iterator[Place]:
        with pytest.MonkeyPatch.context() as narrow:
            narrow.setattr(spans, "span_ms", lambda keep_ms: self.SPAN_MS)
            narrow.setattr(spans, "MOST", 5)
            # What is due goes at once, also out of a file that has more.
            narrow.setattr(spans, "LATE_MS", 0)
            narrow.setattr(spans, "_SHORTEST_MS", 1)
            yield SegmentsPlace(folder / "reads.db")


class PostgresStores:
    def __init__(self, server: Server, template: str) -> None:
        self._server, self._template = server, template

    @contextmanager
    def place(self, folder: Path) -> Iterator[Place]:
        with self._server.database(self._template) as database:
            yield PostgresPlace(database, folder)


class ShardedStores:
    """Two servers; the database of one has all but the reads too."""

    def __init__(self, servers: Sequence[Server], templates: Sequence[str]) -> None:
        self._servers, self._templates = servers, templates

    @contextmanager
    def place(self, folder: Path) -> Iterator[ShardedPlace]:
        with ExitStack() as stack:
            first, *shards = (
                stack.enter_context(server.database(template))
                for server, template in zip(self._servers, self._templates, strict=True)
            )
            yield ShardedPlace(first, shards, folder)


def shard_out(place: ShardedPlace, slices: int = 4) -> None:
    """Make the tables, with so few slices that a test has no long wait for them."""
    from node.store.postgres import sharding
    from node.store.postgres.connections import Connections
    from node.store.postgres.shards import shards_of
    from node.store.postgres.store import PostgresStore

    with place.database.connect() as sql:
        sql.execute("CREATE EXTENSION postgres_fdw")
    PostgresStore.open(place.path).close()
    coordinator, shards = Connections.open(place.path), shards_of(place.shards)
    sharding.prepare(coordinator, shards, slices)
    for one in (coordinator, *shards):
        one.close()


@contextmanager
def sharded_stores(servers: Sequence[Server], folder: Path) -> Iterator[ShardedStores]:
    """Make the databases that each test's are copied from."""
    with ExitStack() as stack:
        first, *shards = (stack.enter_context(server.database()) for server in servers)
        shard_out(ShardedPlace(first, shards, folder))
        yield ShardedStores(servers, [first.name, *(shard.name for shard in shards)])


SHARDED = pytest.mark.parametrize("stores", ["sharded"], indirect=True)
"""For a test of what is done on several servers alone."""


@pytest.fixture(
    scope="session",
    params=["sqlite", "segments", "postgres", pytest.param("sharded", marks=pytest.mark.full)],
)
def stores(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stores]:
    """Each database in turn; PostgreSQL is skipped where it is not installed.

    On several servers all of it takes long: the quick run has tests of their own, and
    what takes :data:`SHARDED`.
    """
    if request.param == "sqlite":
        yield SqliteStores()
        return
    if request.param == "segments":
        yield SegmentsStores()
        return
    server: Server = request.getfixturevalue("postgres")
    if request.param == "sharded":
        other: Server = request.getfixturevalue("other_postgres")
        folder = tmp_path_factory.mktemp("template")
        with sharded_stores((server, server, other), folder) as made:
            yield made
        return
    with server.database() as made:
        # A copy of a database with its tables is there sooner than new tables.
        PostgresPlace(made, tmp_path_factory.mktemp("template")).open().close()
        yield PostgresStores(server, made.name)


POSTGRES = pytest.mark.parametrize("stores", ["postgres"], indirect=True)
"""For a test of what one PostgreSQL server alone does."""

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
