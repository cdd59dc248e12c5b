"""No plate in the logs, the tables after a purge and the statistics of any server."""

import pytest

from accord.errors import Refused
from node.holds import Hold, Note
from node.store.postgres.parts import DAY_MS
from node.store.postgres.store import PostgresStore
from tests.hot_lists import hold
from tests.postgres import PASSWORD
from tests.sharded import CUTS, NOW, OLD, Make, entry, found
from tests.stores import SHARDED, ShardedPlace

pytestmark = SHARDED


def test_no_servers_log_holds_a_plate_or_a_password(
    store: PostgresStore, there: ShardedPlace, make_read: Make
) -> None:
    plates = [f"CANARY{n}" for n in range(20)]
    store.add([make_read(plate, NOW - 1) for plate in plates])
    for database in there.databases:
        with database.connect() as sql:
            for (name,) in sql.execute(
                "SELECT nspname FROM pg_namespace WHERE nspname ~ '^accord_[0-9]'"
            ).fetchall():
                for column in ("tag", "photo"):
                    sql.execute(f"ALTER TABLE {name}.reads RENAME {column} TO {column}_away")
    for plate in plates:
        with pytest.raises(Refused):
            found(store, plate)
        with pytest.raises(Refused):
            store.add([make_read(plate, NOW)])
        with pytest.raises(Refused):
            store.kept(plate, 9, NOW)
        with pytest.raises(Refused):
            store.add([make_read(plate, -5)])
    for server in {database.server for database in there.databases}:
        log = server.log()
        # What would have it is there: the statement that failed.
        assert 'column "tag" does not exist' in log
        assert 'column "photo" does not exist' in log
        assert "CANARY" not in log
        assert PASSWORD not in log


def test_after_a_purge_no_byte_of_the_plate_is_in_any_servers_tables(
    store: PostgresStore, there: ShardedPlace, make_read: Make
) -> None:
    databases = (there.database, *there.databases)

    def traces() -> int:
        for database in databases:
            with database.connect() as sql:
                sql.execute("CHECKPOINT")
        folders = {database.server.folder / "db" / "base" for database in databases}
        files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
        return sum(b"CANARY" in file.read_bytes() for file in files)

    hold(store, entry("CANARY5"))
    store.add([make_read(f"CANARY{n}", OLD + n) for n in range(500)])
    store.add([make_read(f"KEPT{n}", NOW - 1 - n) for n in range(500)])
    kept = Hold("h1", "case", "court", "clerk", 0, NOW, NOW, NOW + DAY_MS, "CANARY7", "", None)
    store.holds.place(kept, Note("n1", "hold placed", "case", ""))
    assert store.drop_segments(CUTS, lambda _: None).moved == 1
    assert store.settle(NOW)
    assert traces()  # the one that is held, the hold and the list
    store.holds.release("h1", Note("n2", "hold released", "case", ""))
    assert store.delete_reads(CUTS, 10, lambda _: None) == 1
    assert store.hot_lists.delete_published(NOW) == 1
    assert store.settle(NOW)
    assert traces() == 0
    assert store.counts().reads == 500


def test_no_plate_stands_in_any_servers_statistics(
    store: PostgresStore, there: ShardedPlace, make_read: Make
) -> None:
    store.add([make_read(f"CANARY{n % 9}", NOW - n, camera=f"SEEN{n % 3}") for n in range(300)])
    for database in (there.database, *there.databases):
        with database.connect() as sql:
            sql.execute("ANALYZE")
            if database is there.database:
                sql.execute("ANALYZE accord.reads, accord.reads_00, accord.reads_on_1")
            values = str(
                sql.execute("SELECT * FROM pg_stats WHERE schemaname ~ 'accord'").fetchall()
            )
        assert "SEEN1" in values
        assert "CANARY" not in values
