"""Listening for hits, on both stores: whoever stores them, and that no plate is said aloud."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from accord.hot_lists import HotListEntry
from accord.model import Read
from node.store.base import ReadStore
from node.store.postgres.adding import HITS_CHANNEL
from node.store.postgres.store import PostgresStore
from tests.hot_lists import hold
from tests.postgres import Database
from tests.stores import Place

NOW = 1_760_000_400_000 // 3_600_000 * 3_600_000
Make = Callable[..., Read]


@pytest.fixture
def store(place: Place) -> Iterator[ReadStore]:
    opened = place.open()
    hold(opened, HotListEntry("stolen", "bureau", "TEST001", "CA", "stolen-vehicle", NOW, 7200))
    yield opened
    opened.close()


def test_a_hit_that_another_process_stores_is_heard(
    store: ReadStore, place: Place, make_read: Make
) -> None:
    other = place.open()
    with store.listening() as heard:
        assert not heard(0.1)
        other.add([make_read(captured_ms=NOW)])
        assert heard(5)
        assert not heard(0.1)
        later = threading.Timer(0.2, lambda: other.add([make_read(captured_ms=NOW)]))
        later.start()
        assert heard(10)
        later.join()
    other.close()


def test_of_what_is_no_hit_a_server_says_nothing_and_of_one_no_plate(
    database: Database, tmp_path: Path, make_read: Make
) -> None:
    store = PostgresStore.open(database.url_file(tmp_path))
    hold(store, HotListEntry("stolen", "bureau", "TEST001", "CA", "stolen-vehicle", NOW, 7200))
    with database.connect() as sql, store.listening() as heard:
        sql.execute(f"LISTEN {HITS_CHANNEL}")
        store.add([make_read("OTHER1", NOW)])
        assert not heard(0.2)
        store.add([make_read("TEST001", NOW), make_read("TEST0O1", NOW), make_read("OTHER2", NOW)])
        assert heard(5)
        (said,) = sql.notifies(timeout=5, stop_after=1)
        assert said.payload == "2"
    store.close()
