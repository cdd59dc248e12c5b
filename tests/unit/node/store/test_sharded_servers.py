"""Another server than was found: by the coordinator's way, or put back under a node."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from accord.agreements.terms import OPEN, Withholding
from accord.errors import Code, InputError, Refused
from accord.model import ExactPlate, Read, WildcardPlate, Window
from node.photos import Photos
from node.purging import purge_noted
from node.store.base import ReadStore, Search
from node.store.postgres.soundness import look_at
from tests.postgres import Database, Server
from tests.stores import SHARDED, Place, ShardedPlace
from tests.unit.node.store.test_sharded_purge import KEPT, NOW, OLD, lying

pytestmark = SHARDED

PLATES = [f"TEST{n:03}" for n in range(40)]
ALL = Search(WildcardPlate("TEST*"), Window(OLD, NOW), OPEN, Withholding(), 0, 99)
ANOTHER = "the coordinator's server reaches another one by that name"
LACKS = "slice 1 lacks reads that it had"
Make = Callable[..., Read]


@pytest.fixture
def there(place: Place) -> ShardedPlace:
    assert isinstance(place, ShardedPlace)
    return place


@pytest.fixture
def store(there: ShardedPlace) -> Iterator[ReadStore]:
    opened = there.open()
    yield opened
    opened.close()


def shell(command: str) -> None:
    subprocess.run(["bash", "-ec", command], check=True, capture_output=True)


def put_back(dump: Path, database: Database) -> None:
    """Put a shard's dump in the place of what is there."""
    with database.connect() as sql:
        text = "SELECT nspname FROM pg_namespace WHERE nspname ~ '^accord'"
        for (name,) in sql.execute(text).fetchall():
            sql.execute(f"DROP SCHEMA {name} CASCADE")
    shell(f"pg_restore --single-transaction --dbname='{database.url}' {dump}")


def dumped(database: Database, folder: Path) -> Path:
    dump = folder / "older.dump"
    shell(f"pg_dump --format=custom '{database.url}' > {dump}")
    return dump


@contextmanager
def meant_otherwise(
    one: Database, other: Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    """Let the port that a URL leaves out be another server's for the coordinator.

    That one has an empty database of the same name.
    """
    default = one.server.folder / ".s.PGSQL.5432"
    default.symlink_to(other.folder / f".s.PGSQL.{other.port}")
    monkeypatch.setenv("PGPORT", str(one.server.port))
    try:
        with other.connect() as sql:
            sql.execute(f'CREATE DATABASE "{one.name}" TEMPLATE template0')
        yield Database(other, one.name)
    finally:
        default.unlink()
        with other.connect() as sql:
            sql.execute(f'DROP DATABASE "{one.name}" WITH (FORCE)')


def test_a_coordinator_that_reaches_another_server_is_refused(
    there: ShardedPlace,
    other_postgres: Server,
    make_read: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A port left out, that means another one on the coordinator's machine."""
    shard = there.databases[0]
    url = shard.url.replace(f"&port={shard.server.port}", "")
    assert url != shard.url
    with meant_otherwise(shard, other_postgres, monkeypatch) as other:
        there.open().close()  # its port is named
        shard.url_file(there.path.parent, url, "shard1.url")
        with pytest.raises(InputError, match=rf"shard1\.url: {ANOTHER}, without our tables"):
            there.open()
        # Nor is it believed when it has all that a shard has.
        shell(f"pg_dump --format=custom '{shard.url}' > {tmp_path / 'dump'}")
        shell(f"pg_restore --dbname='{other.url}' {tmp_path / 'dump'}")
        with pytest.raises(InputError, match=rf"shard1\.url: {ANOTHER}; let host"):
            there.open()
        # Nothing of it is left with the coordinator.
        shard.url_file(there.path.parent, name="shard1.url")
        opened = there.open()
        assert opened.add([make_read(plate, NOW - 1) for plate in PLATES]).taken == 40
        assert len(opened.search(ALL).rows) == 40
        opened.close()


def test_a_coordinator_that_is_led_to_another_server_while_a_node_serves_is_noticed(
    store: ReadStore, there: ShardedPlace, make_read: Make, tmp_path: Path
) -> None:
    """A copy of the shard, which has what is purged."""
    store.add([make_read(plate, at) for plate in PLATES for at in (OLD, NOW - 1)])
    out = {plate for plate, _ in lying(there.databases[1])}
    shard = there.databases[1]
    with shard.server.database() as copy:
        shell(f"pg_restore --dbname='{copy.url}' {dumped(shard, tmp_path)}")
        store.refresh()
        look_at(there.path, there.shards)
        there.rows(f"ALTER SERVER accord_shard_2 OPTIONS (SET dbname '{copy.name}')")
        with pytest.raises(InputError, match=rf"shard2\.url: {ANOTHER}"):
            look_at(there.path, there.shards)
        with pytest.raises(InputError, match=rf"shard2\.url \({ANOTHER}"):
            purge_noted(store, Photos(tmp_path / "photos"), KEPT, NOW, "by clerk")
        # It was not deleted there alone, and what the copy says is told nobody.
        assert {(plate, OLD) for plate in out} < lying(shard)
        with pytest.raises(Refused) as refused:
            store.search(ALL)
        assert refused.value.code is Code.STORE_UNAVAILABLE
        assert ANOTHER in refused.value.detail
        # By the start the coordinator is told the right one anew.
        again = there.open()
        assert len(again.search(ALL).rows) == 40 + len(out)
        again.close()


def test_a_shard_that_the_coordinator_alone_cannot_reach_is_told_by_doctor(
    store: ReadStore, there: ShardedPlace, make_read: Make
) -> None:
    """Searches that don't need it are answered, so the node goes on."""
    store.add([make_read(plate, NOW - 1) for plate in PLATES])
    there.rows("ALTER SERVER accord_shard_2 OPTIONS (SET port '1')")
    with pytest.raises(InputError, match=r"shard2\.url: the coordinator's server can't reach that"):
        look_at(there.path, there.shards)
    store.refresh()
    here = min(plate for plate, _ in lying(there.databases[0]))
    assert len(store.search(replace(ALL, selector=ExactPlate(here))).rows) == 1
    with pytest.raises(Refused):
        store.search(ALL)


def test_a_shard_that_is_put_back_under_a_node_is_noticed_by_the_next_write(
    store: ReadStore, there: ShardedPlace, make_read: Make, tmp_path: Path
) -> None:
    store.add([make_read(plate, NOW - 2) for plate in PLATES])
    dump = dumped(there.databases[1], tmp_path)
    store.add([make_read(plate, NOW - 1) for plate in PLATES])
    put_back(dump, there.databases[1])
    with pytest.raises(Refused) as refused:
        store.add([make_read("OTHER1", NOW - 1)])
    assert refused.value.code is Code.STORE_UNAVAILABLE
    assert f"shard2.url: {LACKS}" in refused.value.detail
    # Answers would lack reads, and not tell.
    look_ups: list[Callable[[], object]] = [
        lambda: store.search(ALL),
        lambda: store.search(replace(ALL, selector=ExactPlate("TEST001"))),
        lambda: store.read(1, Withholding(), 0),
    ]
    for look_up in look_ups:
        with pytest.raises(Refused, match="STORE_UNAVAILABLE"):
            look_up()


def test_a_shard_that_is_put_back_under_a_node_is_noticed_by_the_purge_and_by_each_process(
    store: ReadStore, there: ShardedPlace, make_read: Make, tmp_path: Path
) -> None:
    other = there.open()
    shard = there.databases[1]
    store.add([make_read(plate, OLD) for plate in PLATES])
    dump = dumped(shard, tmp_path)
    store.add([make_read(plate, NOW - 1) for plate in PLATES])
    other.refresh()
    put_back(dump, shard)
    with pytest.raises(InputError, match=rf"shard2\.url \({LACKS}"):
        purge_noted(store, Photos(tmp_path / "photos"), KEPT, NOW, "by clerk")
    # Elsewhere it was done, there not.
    assert {at for _, at in lying(there.databases[0])} == {NOW - 1}
    assert {at for _, at in lying(shard)} == {OLD}
    with pytest.raises(Refused):
        store.search(ALL)
    # A process that does not write looks at its turn.
    assert len(other.search(ALL).rows) < 80
    with pytest.raises(InputError, match=rf"shard2\.url: {LACKS}"):
        other.refresh()
    with pytest.raises(Refused):
        other.search(ALL)
    other.close()
    # Said to be lost by a person.
    there.rows("UPDATE accord.slices SET last_read = 0")
    again = there.open()
    again.refresh()
    assert purge_noted(again, Photos(tmp_path / "photos"), KEPT, NOW, "by clerk").reads > 0
    assert len(again.search(ALL).rows) == len(lying(there.databases[0]))
    again.close()
