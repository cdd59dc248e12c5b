"""The audit log of a node whose store is on a server: written there, exported, brought back."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from accord.audit.file import LogFile
from accord.audit.leaf import Record
from accord.audit.log import AuditLog
from accord.audit.reader import Filter
from accord.clock import SystemClock
from accord.errors import InputError
from accord.keys import PrivateKey, read_secret_32
from node.config import load_config
from node.doctor.checks import State, diagnose
from node.doctor.gather import gather
from node.opened_log import open_log
from node.serve import running_node
from tests.conftest import HOUR_MS, Federation, make_files, read_at
from tests.integration.test_node_on_postgres import served  # noqa: F401 - a fixture
from tests.integration.ways import command, until
from tests.postgres import Database
from tests.programs import program


def audit(city: Path, *arguments: str) -> tuple[int, str]:
    """Run ``accord audit`` with the city's node.toml; return its status and all that it says."""
    done = subprocess.run(
        [program("accord"), "audit", *arguments, "--config", str(city / "node.toml")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def refused(city: Path, *arguments: str) -> str:
    done = subprocess.run(
        [program("accord-node"), *arguments, "--config", str(city / "node.toml")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    return done.stderr


async def test_it_is_on_the_server_and_read_by_its_export(
    served: Federation,  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    city, file = served.files.folder("city"), tmp_path / "audit.db"
    served.nodes["city"].context.store.add([read_at(served.clock.now_ms() - HOUR_MS)])
    async with served.client() as client:
        answer = await client.ask(served.question())
        assert answer.complete
        assert len(answer.reads) == 1
        log = served.nodes["city"].context.audit
        assert {"query", "answer"} <= {e.kind for e in log.entries()}
        # The last that is written without being asked.
        await until(lambda: "delivery" in {e.kind for e in log.entries()})
        assert not (city / "data" / "audit.db").exists()
        status, said = audit(city, "show")
        assert (status, said.count("\n")) == (2, 1)
        assert "accord-node audit export" in said
        printed = await asyncio.to_thread(command, city, "audit", "export", str(file))
        assert f"{log.size} entries, the last of " in printed
        exported = log.size
        await client.ask(served.question())
        assert (await asyncio.to_thread(audit, city, "verify", "--log", str(file))) == (
            0, f"city/node: {exported} entries, ok\n",
        )  # fmt: skip
        status, said = audit(city, "show", "--log", str(file), "--kind", "answer", "--json")
        assert status == 0
        assert said.count('"kind": "answer"') == 1
        await asyncio.to_thread(command, city, "audit", "export", str(file))
    assert audit(city, "verify", "--log", str(file))[1] == f"city/node: {log.size} entries, ok\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "a node is serving this database" in refused(city, "audit", "import", str(file))
    settings = load_config(city / "node.toml")
    found = await asyncio.to_thread(
        lambda: diagnose(gather(settings, served.clock, lambda *_: [], True, 30.0))
    )
    assert [one.found for one in found if one.check == "database" and one.state != State.OK] == []
    with served.nodes["city"].context.audit.reader() as reader:
        assert reader.verify().ok


async def test_what_an_older_dump_lacks_comes_back_from_an_export(
    served: Federation,  # noqa: F811 - the fixture
    database: Database,
    tmp_path: Path,
) -> None:
    city, file = served.files.folder("city"), tmp_path / "audit.db"
    settings = load_config(city / "node.toml")
    await served.stack.aclose()
    with database.connect() as sql:
        sql.execute("CREATE SCHEMA older")
        tables = ("entries", "terms", "checkpoints", "nodes", "head")
        for table in tables:
            sql.execute(f"CREATE TABLE older.{table} AS TABLE accord.audit_{table}")
        async with running_node(settings, served.clock):
            pass
        command(city, "audit", "export", str(file))
        for table in tables:
            sql.execute(f"DELETE FROM accord.audit_{table}")
            sql.execute(f"INSERT INTO accord.audit_{table} TABLE older.{table}")
        ((lacking,),) = sql.execute("SELECT size FROM older.head").fetchall()
    with pytest.raises(InputError, match=r"had .* entries, and is not what it was then"):
        open_log(settings, served.clock)
    printed = command(city, "audit", "import", str(file))
    log = open_log(settings, served.clock)
    assert log.size > lacking
    assert printed == f"The log has {log.size} entries; all of them are sound.\n"
    assert log.verify().ok
    assert [e.kind for e in log.entries(Filter({"kind": "start"}))] == ["start"] * 2
    log.close()
    # Nothing is left to bring, and nothing is added twice.
    assert command(city, "audit", "import", str(file)) == printed


async def test_a_log_that_was_not_moved_stops_the_start(
    served: Federation,  # noqa: F811 - the fixture
) -> None:
    """A node that was on SQLite, whose reads were moved to a server and whose log was not."""
    await served.stack.aclose()
    city = served.files.folder("city")
    settings, file = load_config(city / "node.toml"), city / "data" / "audit.db"
    command(city, "audit", "export", str(file))
    log = open_log(settings, served.clock)
    size = log.size
    log.close()
    log = AuditLog.open(
        LogFile(file), origin="city/node", key=PrivateKey.load(settings.audit_key),
        secret=read_secret_32(settings.audit_secret), clock=served.clock,
    )  # fmt: skip
    await log.append(Record("start", {"agency": "city"}))
    log.close()
    with pytest.raises(InputError, match="has entries that the log on the PostgreSQL server lacks"):
        open_log(settings, served.clock)
    command(city, "audit", "import", str(file))
    log = open_log(settings, served.clock)
    assert log.size == size + 1
    log.close()


async def test_a_database_of_another_agency_is_not_touched(
    tmp_path: Path, database: Database
) -> None:
    """By the harbour's node.toml with the city's URL: its policy would purge the city's reads."""
    files = make_files(tmp_path, SystemClock())
    files.build()
    city, harbor = files.folder("city"), files.folder("harbor")
    for one in (city, harbor):
        database.url_file(one / "keys")
        settings = one / "node.toml"
        settings.write_text(settings.read_text() + '\n[store]\npostgres = "keys/store.url"\n')
    async with running_node(load_config(city / "node.toml"), SystemClock()):
        pass
    for asked in (["purge"], ["hits", "--json"], ["retention", "holds"]):
        said = refused(harbor, *asked)
        assert "the database holds the reads and the log of city/node, not of harbor/node" in said
    with database.connect() as sql:

        def there() -> list[tuple[object, ...]]:
            text = "SELECT g::text, u::text, m::text FROM accord.replay_guard g, accord.upkeep u "
            return sql.execute(f"{text} LEFT JOIN accord.moves m ON true").fetchall()

        before = there()
        own = (harbor / "node.toml").read_text()
        without = own.replace('\n[store]\npostgres = "keys/store.url"\n', "")
        for settings, asked in (
            (own, ["store", "restored"]),
            (own, ["store", "copy", "--to", "sqlite"]),
            (without, ["store", "copy", "--to", str(harbor / "keys" / "store.url")]),
        ):
            (harbor / "node.toml").write_text(settings)
            assert "not of harbor/node" in refused(harbor, *asked)
            assert there() == before
        (harbor / "node.toml").write_text(own)
        mark = sql.execute("SELECT mark FROM accord.data_folder").fetchone()
        with pytest.raises(InputError, match="not of harbor/node"):
            async with running_node(load_config(harbor / "node.toml"), SystemClock()):
                pass
        assert sql.execute("SELECT mark FROM accord.data_folder").fetchone() == mark
        command(city, "store", "restored")
        assert there() != before
    assert command(city, "purge").startswith("Gone")
