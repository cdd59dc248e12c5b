"""``accord-node doctor`` where the reads are on a database server."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from node.config import NodeConfig, load_config
from node.store.opening import open_store
from tests.conftest import read_at
from tests.postgres import PASSWORD, Server
from tests.postgres import Database as ServerDatabase
from tests.stores import ShardedPlace, shard_out
from tests.unit.node.doctored import DAY_MS, FAULT, amiss, change, look, now


def with_server(folder: Path, database: ServerDatabase) -> NodeConfig:
    """Let the node's store be the database, whose tables are made."""
    change(folder / "node.toml", "[tls]", '[store]\npostgres = "keys/store.url"\n[tls]')
    database.url_file(folder / "keys")
    settings = load_config(folder / "node.toml")
    open_store(settings).close()
    return settings


def test_a_node_on_a_database_server_has_no_fault(folder: Path, database: ServerDatabase) -> None:
    store = open_store(with_server(folder, database))
    store.add([read_at(now() - 800 * DAY_MS)])
    store.close()
    found = look(folder)
    assert [one.check for one in amiss(found)] == ["retention"]
    said = "\n".join(one.found for one in found)
    assert "store.url: " in said
    assert "its server answers" in said
    assert "reads.db" not in said


def test_the_server_of_reads_that_is_away_is_named(
    folder: Path, postgres: Server, other_postgres: Server
) -> None:
    with ExitStack() as stack:
        servers = (postgres, postgres, other_postgres)
        databases = [stack.enter_context(server.database()) for server in servers]
        place = ShardedPlace(databases[0], databases[1:], folder / "keys")
        shard_out(place)
        told = (
            '[store]\npostgres = "keys/store.url"\nshards = ["keys/shard1.url", "keys/shard2.url"]'
        )
        change(folder / "node.toml", "[tls]", f"{told}\n[tls]")
        store = open_store(load_config(folder / "node.toml"))
        assert store.add([read_at(now() - 800 * DAY_MS)]).taken == 1
        store.close()
        assert [one.check for one in amiss(look(folder))] == ["retention"]
        place.shards[0].chmod(0o644)
        assert [one.found for one in amiss(look(folder)) if "shard1.url" in one.found]
        place.shards[0].chmod(0o600)
        place.shards[1].write_text(other_postgres.url("nosuch"))
        faults = [one for one in amiss(look(folder)) if one.check == "database"]
    assert [one.state for one in faults] == [FAULT]
    assert "shard2.url: the database can't be reached" in faults[0].found
    assert "psql" in faults[0].remedy


def server_gone(folder: Path, database: ServerDatabase) -> None:
    database.url_file(folder / "keys", database.server.url("nosuch"))


def url_of_others(folder: Path, database: ServerDatabase) -> None:
    (folder / "keys" / "store.url").chmod(0o644)


def tables_of_a_later_version(folder: Path, database: ServerDatabase) -> None:
    with database.connect() as sql:
        sql.execute("INSERT INTO accord.steps VALUES ('099-later')")


def table_gone(folder: Path, database: ServerDatabase) -> None:
    with database.connect() as sql:
        sql.execute("DROP TABLE accord.rate_counts, accord.audit_head")


def half_filled(folder: Path, database: ServerDatabase) -> None:
    with database.connect() as sql:
        sql.execute("INSERT INTO accord.moves VALUES ('to', 'x', false)")


@pytest.mark.parametrize(
    ("plant", "check", "found", "remedy"),
    [
        (server_gone, "database", "store.url: the database can't be reached", "with psql"),
        (url_of_others, "keys", "store.url", "chmod 600"),
        (table_gone, "database", "tables are gone: audit_head, rate_counts", "its last dump"),
        (half_filled, "database", "store copy fills it, or was stopped", "store copy again"),
        (tables_of_a_later_version, "database", "later version", "install that"),
    ],
)
def test_a_planted_fault_of_the_server_is_found(
    folder: Path,
    database: ServerDatabase,
    plant: Callable[[Path, ServerDatabase], None],
    check: str,
    found: str,
    remedy: str,
) -> None:
    with_server(folder, database)
    plant(folder, database)
    told = look(folder)
    assert PASSWORD not in str(told)
    match = [one for one in amiss(told) if one.check == check and found in one.found]
    assert [one.state for one in match] == [FAULT]
    assert remedy in match[0].remedy
