"""Which store a node opens: by node.toml alone, and what is told where the driver is missing."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from accord.clock import SystemClock
from accord.errors import InputError, Refused
from node.config import load_config
from node.store.opening import look_at_soundness, look_at_store, open_common, open_store
from node.store.postgres.store import PostgresStore
from node.store.sqlite import SqliteStore
from tests.postgres import PASSWORD, Database, Server


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


def test_a_node_that_has_served_from_a_server_does_not_go_on_with_an_old_file(
    settings: Path, database: Database, tmp_path: Path
) -> None:
    node = load_config(settings)
    open_store(node).close()
    there = replace(node, store_url=database.url_file(tmp_path))
    open_store(there, serving=True).close()
    # A command alone is no node that serves.
    open_store(node).close()
    open_common(there, SystemClock()).close()
    for look in (open_store, lambda node: look_at_soundness(node, 9)):
        with pytest.raises(InputError, match=r"has no section \[store\]") as refused:
            look(node)
        assert refused.value.where == str(node.path)
        assert "store copy --to sqlite" in refused.value.remedy
    open_store(there, serving=True).close()
    (node.data / "folder.id").rename(tmp_path / "folder.id")
    open_store(node).close()


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


def test_with_a_section_it_is_the_server_of_the_url(
    settings: Path, database: Database, tmp_path: Path
) -> None:
    node = replace(load_config(settings), store_url=database.url_file(tmp_path))
    size, found = look_at_soundness(node, 9)
    assert size > 0
    assert (found.defects, found.unknown) == (0, 0)
    assert found.pending > 3
    assert found.empty
    store = open_store(node, serving=True)
    assert isinstance(store, PostgresStore)
    store.set_mark("pier", "7")
    # Commands work beside it, and so do other processes that serve.
    open_store(node).close()
    open_store(node, serving=True).close()
    store.close()
    with database.connect() as sql:
        sql.execute("INSERT INTO accord.steps VALUES ('099-later')")
    _, found = look_at_soundness(node, 9)
    assert (found.pending, found.unknown, found.empty) == (0, 1, False)
    looking = look_at_store(node, SystemClock())
    assert looking.mark("pier") == "7"
    with pytest.raises(Refused):
        looking.set_mark("pier", "8")
    looking.close()


def test_a_server_that_is_not_there_is_named_without_its_url(
    settings: Path, postgres: Server, tmp_path: Path
) -> None:
    path = tmp_path / "store.url"
    path.touch(0o600)
    path.write_text(postgres.url("nosuch"))
    node = replace(load_config(settings), store_url=path)
    for look in (open_store, lambda node: look_at_soundness(node, 9)):
        with pytest.raises(InputError, match="can't be reached") as error:
            look(node)
        assert str(path) in str(error.value)
        assert PASSWORD not in str(error.value)
