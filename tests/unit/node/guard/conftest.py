"""The two places where claims are kept and queries counted, for tests that say what both do."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from accord.clock import Clock
from accord.testing import FixedClock
from node.rates import Counting, Throttle
from node.replay import Claims, ReplayGuard
from node.replay_file import ReplayFile
from node.store.postgres.common import SharedCommon
from node.store.postgres.store import PostgresStore
from tests.postgres import Database

START = 1_800_000_000_000


class Kept:
    """Where claims are; a guard that is opened there again is the next start of the node."""

    def __init__(self, folder: Path) -> None:
        self._stack = ExitStack()
        self.folder = folder

    def guard(self, clock: Clock) -> ReplayGuard:
        return self._stack.enter_context(closing(ReplayGuard(self._claims(clock), clock)))

    def _claims(self, clock: Clock) -> Claims:
        return ReplayFile(self.folder / "replay.db", clock)

    def counting(self, clock: Clock) -> Counting:
        return Throttle(clock)

    def digests(self) -> list[bytes]:
        """Return what is claimed, as it lies there."""
        with closing(sqlite3.connect(self.folder / "replay.db")) as sql:
            return [digest for (digest,) in sql.execute("SELECT digest FROM claims ORDER BY 1")]

    def lose(self) -> None:
        """Lose what is there, while nobody has it open."""
        (self.folder / "replay.db").unlink()

    def close(self) -> None:
        """End the process that has opened it."""
        self._stack.close()


class KeptTogether(Kept):
    """In a database, where others may have it open too."""

    def __init__(self, folder: Path, database: Database) -> None:
        super().__init__(folder)
        self._database = database
        self._url = database.url_file(folder)
        PostgresStore.open(self._url).close()

    def _common(self, clock: Clock) -> SharedCommon:
        return self._stack.enter_context(closing(SharedCommon(self._url, clock, self.folder)))

    def _claims(self, clock: Clock) -> Claims:
        return self._common(clock).claims

    def counting(self, clock: Clock) -> Counting:
        return self._common(clock).counting

    def digests(self) -> list[bytes]:
        with self._database.connect() as sql:
            found = sql.execute("SELECT digest FROM accord.claims ORDER BY 1").fetchall()
        return [digest for (digest,) in found]

    def lose(self) -> None:
        with self._database.connect() as sql:
            sql.execute("TRUNCATE accord.claims, accord.replay_guard")


@pytest.fixture(params=["file", "database"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    """Each place in turn; PostgreSQL is skipped where it is not installed."""
    if request.param == "file":
        place = Kept(tmp_path)
    else:
        place = KeptTogether(tmp_path, request.getfixturevalue("database"))
    yield place
    place.close()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(START)


@pytest.fixture
def guard(kept: Kept, clock: FixedClock) -> ReplayGuard:
    return kept.guard(clock)
