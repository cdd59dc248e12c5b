"""Which server has which part of the reads: opened, moved, put back, and taken for another."""

import re
import subprocess
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from accord.clock import SystemClock
from accord.errors import Code, InputError, Refused
from accord.model import WildcardPlate
from node.config import load_config
from node.store.postgres.moving_slices import SlicesSide
from node.store.postgres.soundness import look_at
from node.store.postgres.store import PostgresStore
from node.store_restored import restored
from tests.conftest import make_files
from tests.postgres import Database, Server
from tests.sharded import CUTS, NOW, OLD, PLATES, SEARCH, Make, close_off, found, lying
from tests.stores import SHARDED, ShardedPlace

pytestmark = SHARDED


def test_a_store_is_opened_as_it_was_made(
    there: ShardedPlace, database: Database, make_read: Make, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="on several servers; name the files"):
        PostgresStore.open(there.path)
    with pytest.raises(InputError, match="on several servers"):
        PostgresStore.look(there.path, SystemClock())
    path = database.url_file(tmp_path)
    with pytest.raises(InputError, match=r"lacks postgres_fdw.*CREATE EXTENSION postgres_fdw"):
        PostgresStore.open(path, shards=there.shards)
    with database.connect() as sql:
        sql.execute("CREATE EXTENSION postgres_fdw")
    # The shards are another store's.
    with pytest.raises(InputError, match=r"shard1\.url: accord_00 there is another store's"):
        PostgresStore.open(path, shards=there.shards)
    store = PostgresStore.open(path)
    store.add([make_read()])
    store.close()
    with pytest.raises(InputError, match=r"in one database; .*accord-node store copy --shard"):
        PostgresStore.open(path, shards=there.shards)
    with pytest.raises(InputError, match="not sharded yet"):
        PostgresStore.look(path, SystemClock(), there.shards)
    there.open().close()  # copied, its coordinator has still to be told of the copies
    size, soundness = look_at(there.path, there.shards)
    assert (soundness.pending, soundness.unknown) == (0, 0)
    assert size > look_at(there.path)[0]


def test_the_files_of_shards_may_change_places_and_none_may_be_missing(
    store: PostgresStore, there: ShardedPlace, make_read: Make
) -> None:
    store.add([make_read(plate, NOW - 1) for plate in PLATES])
    turned = PostgresStore.open(there.path, shards=there.shards[::-1])
    assert all(len(found(turned, plate)) == 1 for plate in PLATES)
    assert turned.add([make_read("TEST001", NOW)]).taken == 1
    turned.close()
    with pytest.raises(InputError, match=r"slice \d of the reads is on none of the servers"):
        PostgresStore.open(there.path, shards=there.shards[:1])
    with pytest.raises(InputError, match="slice 0 is here and at"):
        PostgresStore.open(there.path, shards=(*there.shards, there.shards[0]))


def test_each_shard_has_a_database_of_its_own(
    there: ShardedPlace, postgres: Server, database: Database, tmp_path: Path
) -> None:
    """Whoever stores reads would wait for himself."""
    with database.connect() as sql:
        sql.execute("CREATE EXTENSION postgres_fdw")
    path = database.url_file(tmp_path)
    with postgres.database() as one:
        twice = [one.url_file(tmp_path, name=f"{n}.url") for n in (1, 2)]
        with pytest.raises(InputError, match=r"2\.url: names the database of another file"):
            PostgresStore.open(path, shards=twice)
        itself = (twice[0], database.url_file(tmp_path, name="3.url"))
        with pytest.raises(InputError, match=r"3\.url: names the database of another file"):
            PostgresStore.open(path, shards=itself)
        # Nothing was made that would be in the way.
        with one.connect() as sql:
            text = "SELECT count(*) FROM pg_namespace WHERE nspname ~ '^accord'"
            assert sql.execute(text).fetchall() == [(0,)]


def move(number: int, there: ShardedPlace, *, drop: bool) -> None:
    """Move a slice from the second server to the first by the documentation's two commands."""
    text = Path(__file__).parents[4].joinpath("docs", "operations.md").read_text()
    told = re.search(r"```\n(pg_dump --schema=accord_07 .*?)\n```", text, re.DOTALL)
    assert told is not None
    new, old = (database.url for database in there.databases)
    command = told[1].replace("07", f"{number:02}").replace("OLD", f"'{old}'")
    lines = command.replace("NEW", f"'{new}'").splitlines()
    command = "\n".join(lines if drop else lines[:1])
    subprocess.run(["bash", "-ceo", "pipefail", command], check=True, capture_output=True)


def test_an_old_copy_of_a_slice_is_not_taken_for_it_while_its_server_is_away(
    store: PostgresStore, there: ShardedPlace, make_read: Make
) -> None:
    """A move that was given up: what is purged since then would be back."""
    store.add([make_read(plate, NOW - 1) for plate in PLATES])
    move(1, there, drop=False)
    close_off(there.databases[1], away=True)
    try:
        with pytest.raises(InputError, match=r"shard2\.url: .*slice 1 is at .*shard1\.url"):
            there.open()
    finally:
        close_off(there.databases[1], away=False)
    with pytest.raises(InputError, match="slice 1 is here and at"):
        there.open()
    assert all(len(found(store, plate)) == 1 for plate in PLATES)


def test_a_shard_that_was_put_back_from_an_older_dump_is_refused(
    store: PostgresStore, there: ShardedPlace, make_read: Make, tmp_path: Path
) -> None:
    """Else its reads since then would silently be missing."""
    store.add([make_read(plate, NOW - 2) for plate in PLATES])
    shard = there.databases[1]

    def shell(command: str) -> None:
        done = ["bash", "-ec", command.format(url=shard.url, dump=tmp_path / "older.dump")]
        subprocess.run(done, check=True, capture_output=True)

    shell("pg_dump --format=custom '{url}' > {dump}")
    there.open().close()
    store.add([make_read(plate, NOW - 1) for plate in PLATES])
    there.open().close()
    store.close()
    with shard.connect() as sql:
        text = "SELECT nspname FROM pg_namespace WHERE nspname ~ '^accord'"
        for (name,) in sql.execute(text).fetchall():
            sql.execute(f"DROP SCHEMA {name} CASCADE")
    shell("pg_restore --single-transaction --dbname='{url}' {dump}")
    told = r"shard2\.url: slice 1 lacks reads that it had"
    with pytest.raises(InputError, match=told):
        there.open()
    with pytest.raises(InputError, match=told):
        look_at(there.path, there.shards)
    # Said to be lost by a person.
    there.rows("UPDATE accord.slices SET last_read = 0")
    there.open().close()


def test_a_slice_is_moved_as_the_documentation_says(
    store: PostgresStore, there: ShardedPlace, make_read: Make
) -> None:
    """Its two commands, with the servers' URLs in them."""
    store.add([make_read(plate, at) for plate in PLATES for at in (OLD, NOW - 1)])
    move(1, there, drop=True)
    with pytest.raises(Refused):  # not found again yet
        store.search(replace(SEARCH, selector=WildcardPlate("TEST*")))
    moved = there.open()
    rows = moved.search(replace(SEARCH, selector=WildcardPlate("TEST*"))).rows
    assert len(rows) == 80
    assert {name for name, _ in lying(there.databases[0])} == {f"accord_0{n}" for n in (0, 1, 2)}
    assert moved.add([make_read(plate, NOW - 2) for plate in PLATES]).taken == 40
    assert moved.drop_segments(CUTS, lambda _: None).reads == 40
    moved.close()


def copied(database: Database, other: Database, dump: Path) -> None:
    """Put a database's dump into a new one."""
    for command in (
        f"pg_dump --format=custom '{database.url}' > {dump}",
        f"pg_restore --single-transaction --dbname='{other.url}' {dump}",
    ):
        subprocess.run(["bash", "-ec", command], check=True, capture_output=True)


def test_an_older_copy_of_the_coordinator_deletes_nothing_on_its_shards(
    store: PostgresStore, there: ShardedPlace, make_read: Make, tmp_path: Path
) -> None:
    """A restore that was tried, with a node.toml that still names the live servers."""
    first, second, third = ([make_read(plate, NOW - n) for plate in PLATES] for n in (3, 2, 1))
    store.add(first)
    with there.database.server.database() as drill:
        copied(there.database, drill, tmp_path / "dump")
        place = ShardedPlace(drill, there.databases, tmp_path / "drill")
        # Nothing came after the dump: it can't be told from the other.
        older = place.open()
        store.add(second)
        store.add(third)
        changes: list[Callable[[], object]] = [
            lambda: older.add([make_read("OTHER1", NOW - 1)]),
            lambda: older.delete_reads(CUTS, 10, lambda _: None),
            lambda: older.delete_hits(CUTS),
        ]
        for change in changes:
            with pytest.raises(Refused) as refused:
                change()
            assert refused.value.code is Code.STORE_UNAVAILABLE
            assert "slice 0 is not this coordinator's" in refused.value.detail
            assert "store restored" in refused.value.detail
        older.close()
        told = r"shard1\.url: slice 0 has reads that came after the coordinator's last"
        with pytest.raises(InputError, match=told):
            place.open()
        with pytest.raises(InputError, match=told):
            look_at(place.path, place.shards)
        with pytest.raises(InputError, match=told):
            SlicesSide(place.path, place.shards, SystemClock())
    assert sum(len(lying(database)) for database in there.databases) == 120
    assert store.add([make_read("OTHER1", NOW - 1)]).taken == 1
    there.open().close()


def test_store_restored_goes_on_without_what_came_later_and_shuts_the_other_out(
    store: PostgresStore, there: ShardedPlace, make_read: Make, tmp_path: Path
) -> None:
    first, second, third = ([make_read(plate, NOW - n) for plate in PLATES] for n in (3, 2, 1))
    store.add(first)
    files = make_files(tmp_path, SystemClock())
    files.build()
    city = files.folder("city")
    with there.database.server.database() as other:
        copied(there.database, other, tmp_path / "dump")
        place = ShardedPlace(other, there.databases, tmp_path / "back")
        store.add(second)
        store.add(third)
        settings = city / "node.toml"
        names = ", ".join(f'"{path}"' for path in place.shards)
        with settings.open("a") as toml:
            toml.write(f'\n[store]\npostgres = "{place.path}"\nshards = [{names}]\n')
        # Cut off, once it had drawn: nobody but itself goes on.
        place.rows("INSERT INTO accord.sharded VALUES (gen_random_uuid())")
        with pytest.raises(InputError, match=r"restored was cut off.*run it again"):
            place.open()
        restored(load_config(settings), SystemClock(), "clerk")
        assert sum(len(lying(database)) for database in there.databases) == 40
        back = place.open()
        # Though it knows of more than the shards do.
        with pytest.raises(Refused) as refused:
            store.add(third)
        assert "is not this coordinator's" in refused.value.detail
        assert back.add(second).taken == 40
        with pytest.raises(InputError, match=r"accord_00 there is another store's"):
            there.open()
        search = replace(SEARCH, selector=WildcardPlate("TEST*"))
        assert {row.read for row in back.search(search).rows} == {*first, *second}
        back.close()
    assert sum(len(lying(database)) for database in there.databases) == 80


def test_dumps_of_all_servers_are_put_back_the_coordinators_taken_first(
    store: PostgresStore, there: ShardedPlace, make_read: Make, tmp_path: Path
) -> None:
    first = [make_read(plate, NOW - 2) for plate in PLATES]
    later = [make_read(plate, NOW - 1) for plate in PLATES]
    store.add(first)
    old = [there.database, *there.databases]
    with ExitStack() as stack:
        new = [stack.enter_context(database.server.database()) for database in old]
        for number, (database, other) in enumerate(zip(old, new, strict=True)):
            dump = f"pg_dump --format=custom '{database.url}' > dump"
            restore = f"pg_restore --single-transaction --dbname='{other.url}' dump"
            for command in (dump, restore):
                subprocess.run(
                    ["bash", "-ceo", "pipefail", command], check=True, cwd=tmp_path, text=True
                )
            if number == 0:
                # More than one add: what was cut off is no more than that.
                store.add(later[:20])
                store.add(later[20:])
        place = ShardedPlace(new[0], new[1:], tmp_path / "restored")
        # Reads, but not what the coordinator did not know of; the old servers are not asked.
        store.close()
        for database in old:
            close_off(database, away=True)
        try:
            with pytest.raises(InputError, match=r"run accord-node store restored"):
                place.open()
            with closing(
                SlicesSide(place.path, place.shards, SystemClock(), put_back=True)
            ) as side:
                side.take_over()
            back = place.open()
            search = replace(SEARCH, selector=WildcardPlate("TEST*"))
            assert {row.read for row in back.search(search).rows} == set(first)
            assert back.add([*first, *later]).taken == 40
            assert {row.read for row in back.search(search).rows} == {*first, *later}
            assert sum(len(lying(database)) for database in new[1:]) == 80
            back.close()
        finally:
            for database in old:
                close_off(database, away=False)


def test_a_slice_that_a_later_version_has_changed_is_refused(there: ShardedPlace) -> None:
    store = there.open()
    store.require_ready()
    store.close()
    with there.databases[1].connect() as sql:
        sql.execute("INSERT INTO accord_01.steps VALUES ('099-later')")
        with pytest.raises(InputError, match=r"shard2\.url: a later version of Accord"):
            there.open()
        sql.execute("DELETE FROM accord_01.steps WHERE name = '099-later'")
    there.open().close()


def test_a_servers_settings_are_looked_at_on_each(there: ShardedPlace) -> None:
    with there.databases[1].connect() as sql:
        sql.execute(f"ALTER DATABASE {there.databases[1].name} SET log_error_verbosity = 'default'")
    with pytest.raises(InputError, match=r"shard2\.url: the server's log_error_verbosity"):
        there.open()
    with pytest.raises(InputError, match=r"shard2\.url: the server's log_error_verbosity"):
        look_at(there.path, there.shards)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("postgresql://accord@/db?host=/run", "has no password"),
        ("postgresql://accord:x@db/db?sslcert=/x", "sslcert is not taken"),
    ],
)
def test_a_url_that_the_coordinator_cannot_use_is_refused(
    there: ShardedPlace, url: str, problem: str
) -> None:
    there.shards[0].write_text(url)
    with pytest.raises(InputError, match=problem):
        there.open()
