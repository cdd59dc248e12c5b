"""``accord-node store copy`` as a person runs it: both ways, killed at any moment, refused."""

import io
import os
import random
import secrets
import subprocess
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import psycopg
import pytest
from PIL import Image

from accord.agreements.terms import OPEN, Withholding
from accord.audit.checkpoint import Checkpoint, sign
from accord.audit.witness import Held
from accord.clock import SystemClock
from accord.keys import ED25519, PrivateKey
from accord.model import PhotoOf, WildcardPlate, Window
from node.config import load_config
from node.halt import Halt
from node.store.base import ReadStore, Search
from node.store.opening import open_memory, open_store
from node.witness_memory import Evidence, Kind
from tests.conftest import HOUR_MS, PLATE, make_files, read_at, running
from tests.cuts import all_before
from tests.integration.ways import command
from tests.postgres import Database, Server
from tests.programs import program

STORE = '\n[store]\npostgres = "keys/store.url"\n'
DAY_MS = 24 * HOUR_MS


def now() -> int:
    return SystemClock().now_ms()


def on_server(city: Path, on: bool) -> None:
    """Edit node.toml as the command's last line says."""
    path = city / "node.toml"
    path.write_text(path.read_text().replace(STORE, "") + STORE * on)


@pytest.fixture
def url(city: Path, database: Database) -> Path:
    return database.url_file(city / "keys")


@pytest.fixture(params=["to the server", "to the file"])
def way(request: pytest.FixtureRequest, city: Path, url: Path) -> tuple[bool, str]:
    """Whether node.toml names the server at first, and what ``--to`` is then."""
    from_server = request.param == "to the file"
    on_server(city, from_server)
    return from_server, "sqlite" if from_server else str(url)


def opened(city: Path) -> ReadStore:
    return open_store(load_config(city / "node.toml"))


def run(city: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = [program("accord-node"), *arguments, "--config", str(city / "node.toml")]
    env = os.environ | {"COLUMNS": "120"}
    return subprocess.run(words, capture_output=True, text=True, check=False, env=env)


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (20, 10), "white").save(file, "JPEG")
    return file.getvalue()


def test_a_node_moves_to_several_servers(
    city: Path, database: Database, other_postgres: Server
) -> None:
    """Into an empty database and two more, and node.toml edited as the last line says."""
    reads = [read_at(now() - n * HOUR_MS, f"8TST{n:03}") for n in range(1, 41)]
    with closing(opened(city)) as store:
        store.add(reads)
    servers = (database.server, other_postgres)
    with ExitStack() as stack:
        one, two = (stack.enter_context(server.database()) for server in servers)
        url = database.url_file(city / "keys")
        shards = (
            one.url_file(city / "keys", name="1.url"),
            two.url_file(city / "keys", name="2.url"),
        )
        words = ("store", "copy", "--to", str(url), *(f"--shard={shard}" for shard in shards))
        refused = run(city, *words)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "as a superuser, in this database: CREATE EXTENSION postgres_fdw" in refused.stderr
        with database.connect() as sql:
            sql.execute("CREATE EXTENSION postgres_fdw")
        done = run(city, *words)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("same") == 9
        told = 'postgres = "keys/store.url" and shards = ["keys/1.url", "keys/2.url"] in '
        assert f"write [store] and below it {told}" in done.stdout
        path = city / "node.toml"
        lines = told.removesuffix(" in ").replace(" and ", "\n")
        path.write_text(f"{path.read_text()}\n[store]\n{lines}\n")
        with closing(opened(city)) as store:
            search = Search(WildcardPlate("8T*"), Window(0, now()), OPEN, Withholding(), 0, 99)
            assert [row.read for row in store.search(search).rows] == reads
            assert store.add(reads).taken == 0
        for database in (one, two):
            with database.connect() as sql:
                text = "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^accord_[0-9]'"
                assert sql.execute(text).fetchall() == [(6,)]


def test_what_the_node_knows_as_a_witness_moves_too_and_its_halt(
    city: Path, way: tuple[bool, str]
) -> None:
    opened(city).close()
    note = sign(Checkpoint("city/node", 5, bytes(32)), PrivateKey.generate(ED25519))
    found = Evidence(Kind.OWN_SHORTER, "city/node", "harbor", 1, note, note)
    held = Held(Checkpoint("harbor/node", 9, bytes(32)), b"note", 1)
    with closing(open_memory(load_config(city / "node.toml"))) as memory:
        with memory.turn("city/node") as turn:
            turn.keep(found)
        with memory.turn("harbor/node") as turn:
            turn.replace(held)
    done = run(city, "store", "copy", "--to", way[1])
    assert (done.returncode, done.stderr) == (0, "")
    on_server(city, not way[0])
    if not way[0]:
        # It is not the old file that is looked at.
        (city / "data" / "witness.db").unlink()
    with closing(open_memory(load_config(city / "node.toml"))) as memory:
        assert (memory.held(), memory.evidence()) == ([held], [found])
        halt = Halt(memory)
        halt.look()
        assert halt.why == found.in_words


async def test_a_node_moves_and_partners_notice_nothing(tmp_path: Path, database: Database) -> None:
    files = make_files(tmp_path, SystemClock())
    files.build()
    city, url = files.folder("city"), database.url_file(files.folder("city") / "keys")
    async with running(files) as federation:
        context = federation.nodes["city"].context
        photo = context.photos.keep(picture())
        context.store.add([read_at(now() - n * HOUR_MS, photo=photo) for n in range(1, 5)])
        served = run(city, "store", "copy", "--to", str(url))
        assert (served.returncode, served.stdout) == (2, "")
        assert "another node is serving this store; stop it first" in served.stderr
        async with federation.client() as client:
            before = await client.ask(federation.question(agencies=("city",)))
        recorded = [entry.kind for entry in context.audit.entries()]
    assert len(before.reads) == 4
    done = run(city, "store", "copy", "--to", str(url))
    assert (done.returncode, done.stderr) == (0, "")
    assert "differs" not in done.stdout
    assert done.stdout.count("same") == 9
    assert "no purge reaches it once the node has moved: destroy it by 20" in done.stdout
    assert done.stdout.endswith(
        f'Now write [store] and below it postgres = "keys/store.url" in {city / "node.toml"}, '
        "then start the node.\n"
    )
    assert PLATE not in done.stdout
    on_server(city, True)
    with database.connect() as sql:
        # Half a minute later.
        sql.execute("UPDATE accord.replay_guard SET created_ms = created_ms - 31000")
    async with running(files) as federation:
        assert federation.nodes["city"].context.store.may_wait
        async with federation.client() as client:
            after = await client.ask(federation.question(agencies=("city",)))
            assert [read.captured_ms for read in after.reads] == [
                read.captured_ms for read in before.reads
            ]
            for read in (before.reads[0], after.reads[0]):
                asked = federation.question(
                    selector=PhotoOf(read.read_id), agencies=("city",), row_limit=1
                )
                assert (await client.ask(asked)).photo is not None
        entries = list(federation.nodes["city"].context.audit.entries())
        notes = [
            one.fields["detail"] for one in entries if one.fields.get("decision") == "store copy"
        ]
    # The same log goes on.
    assert [one.kind for one in entries[: len(recorded)]] == recorded
    assert "answer" in recorded
    assert len(notes) == 1
    assert notes[0].startswith("all rows are moved to another store, by ")


def test_there_and_back(city: Path, url: Path) -> None:
    with closing(opened(city)) as store:
        store.add([read_at(now() - HOUR_MS), read_at(now() - 2 * HOUR_MS, "7ZZ9001")])
    (city / "data" / "replay.db").touch()
    assert run(city, "store", "copy", "--to", str(url)).returncode == 0
    assert (city / "data" / "replay.db").exists()
    on_server(city, True)
    # As a node that serves makes it.
    (city / "data" / "folder.id").touch()
    on_server(city, False)
    for words in (("purge",), ("serve",), ("store", "copy", "--to", str(url))):
        said = run(city, *words)
        assert said.returncode == 2
        assert "this node has served from a PostgreSQL server; put the section back" in said.stderr
    on_server(city, True)
    for path in (city / "data").glob("reads.*"):
        path.unlink()
    done = run(city, "store", "copy", "--to", "sqlite")
    assert (done.returncode, done.stderr) == (0, "")
    # What was asked of the node on the server it does not know of.
    assert (city / "data" / "replay.db").stat().st_size
    assert f"Now remove the section [store] in {city / 'node.toml'}" in done.stdout
    on_server(city, False)
    with closing(opened(city)) as store:
        assert store.counts().reads == 2


def test_a_store_that_was_left_and_is_served_again_gives_no_number_of_the_other(
    city: Path, url: Path
) -> None:
    """Else a read id that was given meanwhile would mean another read."""

    def added(plate: str) -> int:
        with closing(opened(city)) as store:
            store.add([read_at(now() - HOUR_MS, plate)])
            return store.kept(plate, 1, now())[0].row_id

    first = added("8TST000")
    for _ in "12":
        # What is whole is brought up to date.
        assert run(city, "store", "copy", "--to", str(url)).returncode == 0
    on_server(city, True)
    meanwhile = added("8TST001")
    on_server(city, False)
    added("8TST002")
    with closing(opened(city)) as store:
        assert store.read(meanwhile, Withholding(), 0) is None
        assert store.read(first, Withholding(), 0) is not None


def test_what_can_not_be_is_one_line(city: Path, url: Path, database: Database) -> None:
    def told(*arguments: str) -> str:
        done = run(city, "store", "copy", *arguments)
        assert done.returncode == 2, done.stdout
        assert "Traceback" not in done.stderr
        return done.stderr

    with closing(opened(city)) as store:
        store.add([read_at(now() - HOUR_MS)])
    assert "names the store that the node has; name another one" in told("--to", "sqlite")
    assert "no.url: can't open this secret" in told("--to", str(city / "no.url"))
    on_server(city, True)
    with closing(opened(city)) as store:
        store.add([read_at(now() - HOUR_MS)])
    assert "holds reads already; move it away" in told("--to", "sqlite")
    assert "names the store that the node has" in told("--to", str(url))
    on_server(city, False)
    assert "holds reads already; name an empty database" in told("--to", str(url))
    url.write_text("postgresql://accord:hush@/none?host=/nowhere\n")
    said = told("--to", str(url))
    assert "the database can't be reached" in said
    assert "hush" not in said


def test_what_is_begun_no_node_serves(city: Path, url: Path, database: Database) -> None:
    with closing(opened(city)) as store:
        store.add([read_at(now() - n * 1000) for n in range(6000)])
    process = subprocess.Popen(
        [program("accord-node"), "store", "copy", "--to", str(url),
         "--config", str(city / "node.toml")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with database.connect() as sql:
        while process.poll() is None:
            with suppress(psycopg.Error):  # there are no tables yet
                if sql.execute("SELECT 1 FROM accord.moves").fetchone():
                    process.kill()
    process.wait()
    on_server(city, True)
    for words in (("purge", "--dry-run"), ("serve",)):
        said = run(city, *words)
        assert said.returncode == 2
        assert "is being filled by accord-node store copy; run accord-node store copy again" in (
            said.stderr
        )
    on_server(city, False)
    assert run(city, "store", "copy", "--to", str(url)).returncode == 0
    on_server(city, True)
    assert "Would go: " in command(city, "purge", "--dry-run")


def rows(store: ReadStore) -> list[bytes]:
    """Return the identifiers of all reads, as a search finds them."""
    everything = Window(0, now() + DAY_MS)
    search = Search(WildcardPlate("*0"), everything, OPEN, Withholding(), 0, 50_000)
    return [row.read.source_id for row in store.search(search).rows]


def kill_in_a_loop(city: Path, from_server: bool, to: str, times: int) -> None:
    """Kill the copy at random; between two runs the source purges and takes in."""
    chance = random.Random(secrets.randbits(32))
    oldest = now() - 40 * DAY_MS
    with closing(opened(city)) as store:
        for day in range(40):
            at = oldest + day * DAY_MS
            store.add([read_at(at + n, f"{day}X{n % 90}0") for n in range(10 + 25 * times)])
    killed, took = 0, 2.0
    words = [
        program("accord-node"),
        "store",
        "copy",
        "--to",
        to,
        "--config",
        str(city / "node.toml"),
    ]
    while killed < times:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        began = time.monotonic()
        try:
            _, said = process.communicate(timeout=chance.uniform(0.05, took))
            # It was done before: what is whole is gone on with, too.
            assert process.returncode == 0, said
            took = max(0.3, time.monotonic() - began)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            killed += 1
        with closing(opened(city)) as store:
            cuts = all_before(oldest + killed * DAY_MS)
            store.drop_segments(cuts, lambda _: None)
            store.delete_reads(cuts, 10_000, lambda _: None)
            store.add([read_at(now() - chance.randrange(DAY_MS), f"9X{killed}0")])
            left = rows(store)
    done = run(city, "store", "copy", "--to", to)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("same") == 9
    on_server(city, not from_server)
    with closing(opened(city)) as store:
        there = rows(store)
        assert there == left
        assert len(set(there)) == len(there) == store.counts().reads


def test_a_copy_that_is_killed_is_run_again(city: Path, way: tuple[bool, str]) -> None:
    kill_in_a_loop(city, *way, 1)


@pytest.mark.full
def test_a_copy_that_is_killed_twenty_times(city: Path, way: tuple[bool, str]) -> None:
    kill_in_a_loop(city, *way, 20)
