"""A node whose reads are on a PostgreSQL server: asked over the wire, its commands beside it."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from accord.clock import SystemClock, iso
from accord.model import WildcardPlate
from node.config import load_config
from node.store.base import ReadStore
from node.store.opening import open_store
from node.store.postgres.store import PostgresStore
from tests.conftest import HOUR_MS, PLATE, Federation, make_files, read_at, running
from tests.cuts import all_before
from tests.integration.ways import command
from tests.postgres import PASSWORD, Database, Server


@pytest.fixture
async def served(tmp_path: Path, database: Database) -> AsyncIterator[Federation]:
    """As ``federation``, the city's reads on a server."""
    files = make_files(tmp_path, SystemClock())
    files.build()
    settings = files.folder("city") / "node.toml"
    settings.write_text(settings.read_text() + '\n[store]\npostgres = "keys/store.url"\n')
    database.url_file(files.folder("city") / "keys")
    async with running(files) as built:
        yield built


async def test_it_answers_and_its_commands_work_beside_it(
    served: Federation, tmp_path: Path
) -> None:
    city, now = served.files.folder("city"), served.clock.now_ms()
    store = served.nodes["city"].context.store
    assert isinstance(store, PostgresStore)
    store.add([read_at(now - hours * HOUR_MS) for hours in range(1, 5)])
    async with served.client() as client:
        answer = await client.ask(served.question())
        pages = [read async for read in client.reads(served.question(row_limit=2))]
        other = open_store(load_config(city / "node.toml"))
        before = await client.ask(served.question(selector=WildcardPlate("*ZZ9*")))
        other.add([read_at(now - HOUR_MS, "7ZZ9001")])
        after = await client.ask(served.question(selector=WildcardPlate("*ZZ9*")))
    assert [read.plate for read in answer.reads] == [PLATE] * 4
    assert {read.read_id for read in pages} == {read.read_id for read in answer.reads}
    assert before.reads == ()
    assert [read.plate for read in after.reads] == ["7ZZ9001"]
    kept(other, city, tmp_path)
    other.close()
    assert not (city / "data" / "reads.db").exists()


def test_what_operations_md_tells_an_administrator_is_enough(
    postgres: Server, tmp_path: Path
) -> None:
    """Its statements make a role that is no superuser, and a database of its own."""
    text = Path(__file__).parents[2].joinpath("docs", "operations.md").read_text()
    found = re.search(r"```\n(CREATE ROLE .*?;)\n```", text, re.DOTALL)
    assert found is not None
    said = found[1].replace("accord", "engineer").replace("'...'", f"'{PASSWORD}'")
    path = tmp_path / "store.url"
    path.touch(0o600)
    path.write_text(postgres.url("engineer").replace("//accord:", "//engineer:"))
    with postgres.connect() as sql:
        for statement in said.split(";\n"):
            sql.execute(statement)
        try:
            store = PostgresStore.open(path, serving=True)
            assert store.add([read_at(1_760_000_000_000)]).taken == 1
            assert store.drop_segments(all_before(1_770_000_000_000), lambda _: None).reads == 1
            assert store.settle(1)
            store.close()
        finally:
            sql.execute("DROP DATABASE IF EXISTS engineer WITH (FORCE)")
            sql.execute("DROP ROLE engineer")


def kept(store: ReadStore, city: Path, folder: Path) -> None:
    """What a person types: a hot list comes in, and a purge takes what is due."""
    listed = folder / "stolen.csv"
    listed.write_text("plate,state,category\n9TST001,CA,stolen-vehicle\n")
    command(city, "hotlist", "import", str(listed), "--name", "stolen", "--source", "bureau",
            "--published", iso(SystemClock().now_ms() - HOUR_MS))  # fmt: skip
    assert "stolen" in command(city, "hotlist", "list")
    now = SystemClock().now_ms()
    assert store.add([read_at(now), read_at(now - 800 * 24 * HOUR_MS)]).hits == 2
    assert "1 reads" in command(city, "purge")
    assert store.counts().reads == 6
