"""Which store a node opens: by node.toml alone, and what is told where the driver is missing."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from accord.clock import SystemClock
from accord.errors import InputError
from node.config import load_config
from node.store.opening import look_at_soundness, look_at_store, open_store
from node.store.sqlite import SqliteStore


def test_without_a_section_it_is_sqlite(settings: Path) -> None:
    node = load_config(settings)
    store = open_store(node)
    assert isinstance(store, SqliteStore)
    store.close()
    assert node.reads == settings.parent / "data" / "reads.db"
    size, found = look_at_soundness(node, 9)
    assert (found.defects, found.pending, found.unknown) == (0, 0, 0)
    assert size == node.reads.stat().st_size
    look_at_store(node, SystemClock()).close()


def test_a_node_without_the_driver_says_what_to_install(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("node.store.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    node = replace(load_config(settings), store_url=settings.parent / "store.url")
    with pytest.raises(InputError, match="driver is not installed") as error:
        open_store(node)
    assert "pip install 'accord-alpr[postgres]'" in str(error.value)
    assert str(node.store_url) in str(error.value)
