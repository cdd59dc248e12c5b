"""A node on PostgreSQL: backup and restore refuse, and what docs/operations.md tells instead."""

import os
import re
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from accord.clock import SystemClock
from accord.errors import InputError
from accord.model import ExactPlate, WildcardPlate
from node.config import load_config
from node.holds import Hold, Note
from node.store.numbers import GAP, number_of
from node.store.opening import open_store
from tests.conftest import HOUR_MS, PLATE, make_files, read_at, running
from tests.integration.test_store_copy import rows
from tests.integration.ways import command, needs
from tests.postgres import PASSWORD, USER, Database, Server
from tests.programs import folder as programs
from tests.programs import program

STORE = '\n[store]\npostgres = "keys/store.url"\n'
PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
DAY_MS = 24 * HOUR_MS


def now() -> int:
    return SystemClock().now_ms()


def blocks() -> tuple[str, str, str]:
    """Return what the page tells to dump, to put back, and to run then."""
    text = PAGE.read_text().split("**A node on PostgreSQL** is not copied")[1]
    dump, back, then = re.findall(r"^```\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)[:3]
    return dump, back, then


def typed(commands: str, database: Database, city: Path, folder: Path) -> None:
    """Run commands of the page as the server's administrator and the node's user would."""
    for said, meant in (
        ("sudo -u postgres ", ""),
        ("sudo -u accord ", ""),
        ("/srv/backup", str(folder)),
        ("/srv/audit", str(folder)),
        ("/etc/accord/node.toml", str(city / "node.toml")),
        ("--dbname=accord", f"--dbname={database.name}"),
        (" accord\n", f" {database.name}\n"),
        (" accord >", f" {database.name} >"),
    ):
        commands = commands.replace(said, meant)
    assert "/srv" not in commands
    tools = str(Path(needs("pg_restore")).parent)
    server = {
        "PGHOST": str(database.server.folder), "PGPORT": str(database.server.port),
        "PGUSER": USER, "PGPASSWORD": PASSWORD,
        "PATH": f"{programs()}:{tools}:{os.environ['PATH']}",
    }  # fmt: skip
    done = subprocess.run(
        ["/bin/sh", "-ec", commands], env=os.environ | server, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("verb", "remedy"),
    [
        ("backup", "dump its database with pg_dump, then copy the data folder"),
        ("restore", "put its database back with pg_restore, then run accord-node store restored"),
    ],
)
def test_backup_and_restore_say_what_to_do(
    city: Path, tmp_path: Path, verb: str, remedy: str
) -> None:
    settings = city / "node.toml"
    settings.write_text(settings.read_text() + STORE)
    (city / "keys" / "store.url").touch(0o600)
    folder = tmp_path / "backup"
    done = subprocess.run(
        [program("accord-node"), verb, str(folder), "--config", str(settings)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: {settings}: has its reads on a PostgreSQL server; "
        f"{remedy} (docs/operations.md, Backup)\n"
    )
    assert not folder.exists()
    assert not (city / "data.restoring").exists()


def test_the_word_for_a_dump_is_of_no_use_in_sqlite(city: Path) -> None:
    done = subprocess.run(
        [program("accord-node"), "store", "restored", "--config", str(city / "node.toml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "has its reads in SQLite; nothing is to be done" in done.stderr


async def test_a_dump_put_back_as_the_page_tells(tmp_path: Path, database: Database) -> None:
    files = make_files(tmp_path, SystemClock())
    files.build()
    city = files.folder("city")
    settings = city / "node.toml"
    settings.write_text(settings.read_text() + STORE)
    database.url_file(city / "keys")
    dump, back, then = blocks()
    held = Hold("h1", "26-1", "order", "J. Roe", 0, now(), now(), now() + DAY_MS, PLATE, "", None)
    purged = [read_at(now() - 800 * DAY_MS - n, f"9TST90{n}") for n in range(3)]
    async with running(files) as federation:
        store = federation.nodes["city"].context.store
        store.add([read_at(now() - HOUR_MS), *purged])
        store.holds.place(held, Note("n1", "hold placed", "26-1", "h1"))
        typed(dump, database, city, tmp_path)
        # All of this comes after the dump.
        assert command(city, "purge").startswith("Gone: 3 reads")
        store.holds.release("h1", Note("n2", "hold released", "26-1", "h1"))
        store.add([read_at(now() - HOUR_MS, "9TSTNEW")])
        async with federation.client() as client:
            asked = federation.question(selector=WildcardPlate("9TST*"), agencies=("city",))
            answer = await client.ask(asked)
        assert {read.plate for read in answer.reads} == {PLATE, "9TSTNEW"}
        last = number_of(store.kept("9TSTNEW", 1, now())[0].row_id)
        command(city, "audit", "export", str(tmp_path / "audit.db"))
        recorded = [one.kind for one in federation.nodes["city"].context.audit.entries()]
    typed(back, database, city, tmp_path)
    with closing(open_store(load_config(settings))) as store:
        # What the page says is back.
        assert store.counts().reads == 4
        assert [one.hold_id for one in store.holds.all()] == ["h1"]
    with pytest.raises(InputError, match="is not what it was then; put the newest database"):
        async with running(files):
            pass
    typed(then, database, city, tmp_path)
    with closing(open_store(load_config(settings))) as store:
        assert store.counts().reads == 1
        assert rows(store) == []
        store.add([read_at(now() - HOUR_MS, "9TSTNXT")])
        number = number_of(store.kept("9TSTNXT", 1, now())[0].row_id)
        assert number > last
        assert number > GAP
    async with running(files) as federation:
        node = federation.nodes["city"]
        assert node.context.store.counts().reads == 2
        async with federation.client() as client:
            asked = federation.question(selector=ExactPlate(PLATE, "CA"), agencies=("city",))
            # For half a minute: nothing that was answered since the dump is answered again.
            [outcome] = (await client.ask(asked)).outcomes
            assert outcome.code == "STALE"
        entries = list(node.context.audit.entries())
    assert [one.kind for one in entries[: len(recorded)]] == recorded
    told = [one.fields.get("detail", "") for one in entries[len(recorded) :]]
    assert any(text.startswith("the database was put back from a dump, by ") for text in told)


def test_a_store_on_several_servers_is_put_back_as_the_page_tells(
    city: Path, database: Database, other_postgres: Server, tmp_path: Path
) -> None:
    """Into new databases, from a set of dumps between which a read came and was purged."""
    text = PAGE.read_text().split("### Past one server")[1]
    dump, back = re.findall(r"^```\n(pg_(?:dump --format|restore).*?)^```$", text, re.S | re.M)[:2]
    servers = (database.server, database.server, other_postgres)
    names = ("store.url", "shard1.url", "shard2.url")
    keys, settings = city / "keys", city / "node.toml"

    def run(commands: str, databases: Sequence[Database]) -> None:
        for name, one in zip(("COORDINATOR", "SHARD1", "SHARD2"), databases, strict=True):
            commands = commands.replace(f"={name} ", f"='{one.url}' ")
            commands = commands.replace(f" {name} ", f" '{one.url}' ")
        commands = commands.replace("/srv/backup", str(tmp_path))
        path = f"{Path(needs('pg_restore')).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["/bin/sh", "-ec", commands], env=os.environ | {"PATH": path}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")

    with ExitStack() as stack:
        old, new = ([stack.enter_context(one.database()) for one in servers] for _ in "12")
        with old[0].connect() as sql:
            sql.execute("CREATE EXTENSION postgres_fdw")
        for one, name in zip(old, names, strict=True):
            one.url_file(keys, name=name)
        shards = 'shards = ["keys/shard1.url", "keys/shard2.url"]\n'
        settings.write_text(settings.read_text() + STORE + shards)
        first = [read_at(now() - HOUR_MS - n, f"9TST{n:02}0") for n in range(24)]
        with closing(open_store(load_config(settings))) as store:
            store.add(first)
            run(dump.splitlines()[0], old)
            # The shards' dumps have these; whoever put the set back has not.
            store.add([read_at(now() - HOUR_MS, f"9TST{n:02}0") for n in range(24)])
            last = max(number_of(one.row_id) for one in store.kept("9TST230", 9, now()))
        run("\n".join(dump.splitlines()[1:]), old)
        run(back, new)
        for one, name in zip(new, names, strict=True):
            one.url_file(keys, name=name)
        done = command(city, "store", "restored")
        assert "New reads get numbers that no read had" in done
        with closing(open_store(load_config(settings))) as store:
            assert sorted(rows(store)) == sorted(read.source_id for read in first)
            assert store.counts().reads == 24
            assert store.add(first).taken == 0
            assert store.add([read_at(now(), "9TST000")]).taken == 1
            assert number_of(store.kept("9TST000", 1, now())[0].row_id) > last
        with new[0].connect() as sql:
            # The coordinator's server asks the new ones, too.
            told = str(sql.execute("SELECT srvoptions FROM pg_foreign_server").fetchall())
        assert all(one.name in told for one in new[1:])
        assert not any(one.name in told for one in old)
