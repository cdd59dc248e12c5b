"""A node whose reads are on a PostgreSQL server: asked over the wire, its commands beside it."""

import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from accord.agreements.terms import OPEN, Withholding
from accord.clock import SystemClock, iso
from accord.model import ExactPlate, WildcardPlate, Window
from node.config import load_config
from node.store.base import ReadStore, Search, StoredRead
from node.store.opening import open_store
from node.store.postgres.slices import slice_of
from node.store.postgres.store import PostgresStore
from tests.conftest import HOUR_MS, PLATE, Federation, make_files, read_at, running
from tests.cuts import all_before
from tests.integration.ways import command
from tests.postgres import PASSWORD, Database, Server
from tests.stores import ShardedPlace, shard_out


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


@pytest.fixture
async def served_by_two(
    tmp_path: Path, postgres: Server, other_postgres: Server
) -> AsyncIterator[Federation]:
    """As ``served``, the reads on two servers."""
    files = make_files(tmp_path, SystemClock())
    files.build()
    settings, keys = files.folder("city") / "node.toml", files.folder("city") / "keys"
    settings.write_text(
        settings.read_text() + '\n[store]\npostgres = "keys/store.url"\n'
        'shards = ["keys/shard1.url", "keys/shard2.url"]\n'
    )
    with ExitStack() as stack:
        servers = (postgres, postgres, other_postgres)
        databases = [stack.enter_context(server.database()) for server in servers]
        shard_out(ShardedPlace(databases[0], databases[1:], keys))
        async with running(files) as built:
            yield built


async def test_a_node_whose_reads_are_on_two_servers_answers_for_all(
    served_by_two: Federation, tmp_path: Path
) -> None:
    city, now = served_by_two.files.folder("city"), served_by_two.clock.now_ms()
    store = served_by_two.nodes["city"].context.store
    plates = [PLATE, *(f"8TST{n:03}" for n in range(20))]
    store.add([read_at(now - hours * HOUR_MS, plate) for hours in range(1, 5) for plate in plates])
    async with served_by_two.client() as client:
        answer = await client.ask(served_by_two.question())
        wild = served_by_two.question(selector=WildcardPlate("8TST*"), row_limit=7)
        every = [read async for read in client.reads(wild)]
    assert [read.plate for read in answer.reads] == [PLATE] * 4
    assert Counter(read.plate for read in every) == dict.fromkeys(plates[1:], 4)
    assert len({read.read_id for read in every}) == 80
    assert Counter(slice_of(read.row_id) for read in rows(store, now)).keys() == {0, 1, 2, 3}
    other = open_store(load_config(city / "node.toml"))
    kept(other, city, tmp_path, left=84 + 1)
    other.close()


def rows(store: ReadStore, now: int) -> Sequence[StoredRead]:
    window = Window(now - 9 * HOUR_MS, now)
    search = Search(WildcardPlate("8TST*"), window, OPEN, Withholding(), 0, 500)
    return store.search(search).rows


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
    kept(other, city, tmp_path, left=6)
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
            # What more is told for several servers; here the shard is a database of the same.
            found = re.search(r"```\n(CREATE EXTENSION postgres_fdw;.*?;)\n```", text, re.DOTALL)
            assert found is not None
            with postgres.connect("engineer") as own:
                for statement in found[1].replace("accord", "engineer").split(";\n"):
                    own.execute(statement)
            sql.execute("CREATE DATABASE engineer_shard OWNER engineer TEMPLATE template0")
            shard = tmp_path / "shard.url"
            shard.touch(0o600)
            url = postgres.tls_url("engineer_shard")
            shard.write_text(url.replace("//accord:", "//engineer:"))
            store = PostgresStore.open(path, shards=[shard], serving=True)
            assert store.add([read_at(1_760_000_000_000)]).taken == 1
            assert [read.read.plate for read in store.search(exact()).rows] == [PLATE]
            assert store.drop_segments(all_before(1_770_000_000_000), lambda _: None).reads == 1
            assert store.settle(1)
            store.close()
        finally:
            sql.execute("DROP DATABASE IF EXISTS engineer_shard WITH (FORCE)")
            sql.execute("DROP DATABASE IF EXISTS engineer WITH (FORCE)")
            sql.execute("DROP ROLE engineer")


def exact() -> Search:
    window = Window(1_750_000_000_000, 1_770_000_000_000)
    return Search(ExactPlate(PLATE), window, OPEN, Withholding(), 0, 5)


def kept(store: ReadStore, city: Path, folder: Path, *, left: int) -> None:
    """What a person types: a hot list comes in, and a purge takes what is due."""
    listed = folder / "stolen.csv"
    listed.write_text("plate,state,category\n9TST001,CA,stolen-vehicle\n")
    command(city, "hotlist", "import", str(listed), "--name", "stolen", "--source", "bureau",
            "--published", iso(SystemClock().now_ms() - HOUR_MS))  # fmt: skip
    assert "stolen" in command(city, "hotlist", "list")
    now = SystemClock().now_ms()
    assert store.add([read_at(now), read_at(now - 800 * 24 * HOUR_MS)]).hits == 2
    assert "1 reads" in command(city, "purge")
    assert store.counts().reads == left
