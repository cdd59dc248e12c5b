"""Reads on several servers: who is asked, what a server that ends or is away means, and moves.

What every store does is told by the tests that run on all; of these the run on several
servers is among the full ones.
"""

import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from accord.agreements.terms import OPEN, Redaction, Withholding
from accord.clock import SystemClock
from accord.errors import Code, InputError, Refused
from accord.hot_lists import HotListEntry
from accord.model import AreaBox, ExactPlate, Read, WildcardPlate, Window
from node.config import load_config
from node.holds import Hold, Note
from node.store.base import HitSearch, ReadStore, Search
from node.store.numbers import FIRST
from node.store.postgres import slices
from node.store.postgres.adding_to_slices import insert
from node.store.postgres.moving_slices import SlicesSide
from node.store.postgres.parts import DAY_MS, day_of
from node.store.postgres.shards import Shards
from node.store.postgres.soundness import look_at
from node.store.postgres.store import PostgresStore
from node.store.postgres.wording import Worded, worded
from node.store.shared import Part
from node.store_restored import restored
from tests.conftest import make_files
from tests.cuts import all_before
from tests.hot_lists import hold
from tests.postgres import PASSWORD, Database, Server
from tests.stores import SHARDED, Place, ShardedPlace

pytestmark = SHARDED

NOW = SystemClock().now_ms()
TODAY = day_of(NOW) * DAY_MS
OLD = TODAY - 40 * DAY_MS
CUTS = all_before(TODAY - 30 * DAY_MS)
BOX = AreaBox(337_000_000, -1_183_000_000, 338_000_000, -1_182_000_000)
INSIDE = {"lat_e7": 337_500_000, "lon_e7": -1_182_600_000}
SEARCH = Search(ExactPlate("TEST001"), Window(OLD - 10 * DAY_MS, NOW), OPEN, Withholding(), 0, 500)
AREA = replace(SEARCH, selector=BOX, redaction=Redaction(place_within_m=0, time_step_ms=60_000))
PLATES = [f"TEST{n:03}" for n in range(40)]
Make = Callable[..., Read]


@pytest.fixture
def there(place: Place) -> ShardedPlace:
    assert isinstance(place, ShardedPlace)
    return place


@pytest.fixture
def store(there: ShardedPlace) -> Iterator[PostgresStore]:
    opened = there.open()
    assert isinstance(opened, PostgresStore)
    yield opened
    opened.close()


def layout_of(store: PostgresStore) -> Shards:
    assert isinstance(store._layout, Shards)
    return store._layout


def found(store: PostgresStore, plate: str) -> list[Read]:
    return [row.read for row in store.search(replace(SEARCH, selector=ExactPlate(plate))).rows]


def lying(database: Database) -> list[tuple[str, str]]:
    """Return slice and plate of every read on a server, in order."""
    with database.connect() as sql:
        names = sql.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^accord_[0-9]'")
        return sorted(
            (name, plate)
            for (name,) in names.fetchall()
            for (plate,) in sql.execute(f"SELECT plate FROM {name}.reads")
        )


def explained(store: PostgresStore, words: str, values: str, *, run: bool = False) -> str:
    """Return the plan of a statement that a search has left prepared on its connection."""
    with store._connections.searching() as sql:
        ((name,),) = sql.execute(
            "SELECT name FROM pg_prepared_statements WHERE statement LIKE %s AND name NOT IN "
            "(SELECT name FROM pg_prepared_statements WHERE statement LIKE %s)",
            (f"%{words}%", "%pg_prepared_statements%"),
        ).fetchall()
        how = "ANALYZE, TIMING off, SUMMARY off, " if run else ""
        text = f"EXPLAIN ({how}VERBOSE, COSTS off) EXECUTE {name} ({values})"
        return "\n".join(line for (line,) in sql.execute(text, prepare=False).fetchall())


def asked(plan: str) -> set[str]:
    """Return the foreign tables of a plan."""
    return set(re.findall(r"Foreign Scan on accord\.(reads_\w+)", plan))


def test_reads_lie_by_their_plates_on_both_servers(
    store: PostgresStore, there: ShardedPlace, make_read: Make
) -> None:
    reads = [make_read(plate, NOW - 1 - n) for n in range(3) for plate in PLATES]
    assert store.add(reads).taken == 120
    one, two = map(lying, there.databases)
    assert sorted(plate for _, plate in one + two) == sorted(PLATES * 3)
    assert {name for name, _ in one} == {"accord_00", "accord_02"}
    assert {name for name, _ in two} == {"accord_01", "accord_03"}
    # A plate is in one slice.
    assert len(set(one + two)) == 40
    assert all(len(found(store, plate)) == 3 for plate in PLATES)
    assert store.counts().reads == 120
    assert store.add(reads[:7]).duplicates == tuple(range(7))


def test_for_a_plate_one_server_is_asked_and_for_an_area_both_at_once(
    store: PostgresStore, there: ShardedPlace, make_read: Make
) -> None:
    store.add([make_read(plate, NOW - 1, **INSIDE) for plate in PLATES])
    row = store.search(SEARCH).rows[0]
    values = f"'TEST001', {OLD}, {NOW}, {row.row_id}, 10"
    plan = explained(store, "plate = $1 AND captured_ms", values, run=True)
    assert asked(plan) == {slices.table_of(slices.slice_of(row.row_id))}
    assert "Subplans Removed: 3" in plan
    # The plate is a value, for no log, and so are the bounds; the server sorts.
    assert re.search(r"Remote SQL: .*\(plate = \$\d::text\).* ORDER BY captured_ms DESC", plan)
    assert "TEST001" not in plan.split("Remote SQL", 1)[1]
    assert len(store.search(AREA).rows) == 40
    plan = explained(
        store,
        "lat_e7 BETWEEN",
        f"'[1, 2]', 1, 2, 3, 4, {OLD}, {NOW}, {row.row_id}, 60000",
    )
    # Each once, for all its slices.
    assert asked(plan) == {"reads_on_1", "reads_on_2"}
    assert plan.count("Async Foreign Scan") == 2
    assert len(re.findall(r"Remote SQL: .*cell = ANY \(\$\d::integer\[\]\)", plan)) == 2
    for database in there.databases:
        with database.connect() as sql:
            view = "SELECT count(*) FROM accord_all.reads WHERE cell = ANY('{1,2}')"
            sql.execute("SET enable_seqscan = off")
            lines = sql.execute(f"EXPLAIN {view}").fetchall()
        assert "Seq Scan" not in str(lines)


def entry(plate: str) -> HotListEntry:
    return HotListEntry(
        plate=plate, list="stolen", source="bureau", state="CA", category="stolen-vehicle",
        published_ms=NOW - 1000, max_age_s=7200,
    )  # fmt: skip


def test_reads_of_hits_are_fetched_by_number_from_their_slice(
    store: PostgresStore, make_read: Make
) -> None:
    hold(store, entry("TEST001"), entry("TEST0O2"))
    reads = [make_read(plate, NOW - 1, **INSIDE) for plate in PLATES]
    assert store.add(reads).hits == 2
    of = HitSearch(ExactPlate("TEST001", "CA"), SEARCH.window, OPEN, Withholding(), 0, 10)
    page = store.hot_lists.search_hits(of)
    assert [row.read for row in page.page.rows] == [reads[1]]
    assert store.hot_lists.search_hits(replace(of, of=ExactPlate("TEST001", "TX"))).page.rows == ()
    area = replace(of, of=BOX, redaction=AREA.redaction)
    rows = store.hot_lists.search_hits(area).page.rows
    assert {row.read.plate for row in rows} == {"TEST001", "TEST002"}
    # What it asks of the servers: of the slice of each read, and by the numbers alone.
    layout, database = layout_of(store), layout_of(store).database
    with layout.connections.working() as sql:
        where = database.reads_with(Worded(sql), Part("listed_plate = ?", ("TEST001",)), (0, NOW))
        lines = sql.execute(
            worded(f"EXPLAIN (VERBOSE, COSTS off) SELECT plate {where.text}"), where.values
        ).fetchall()
    plan = "\n".join(line for (line,) in lines)
    assert asked(plan) == {slices.table_of(slices.slice_of(page.page.rows[0].row_id))}
    assert re.search(r"Remote SQL: .*WHERE .*row_id = ANY", plan)


def lose(
    store: PostgresStore,
    there: ShardedPlace,
    reads: list[Read],
    meanwhile: Callable[[], object] = lambda: None,
) -> None:
    """Store reads, and end the coordinator's side of it before the shards commit."""
    with layout_of(store).adding() as (sql, ats):
        insert(sql, ats, reads, NOW)
        end(there.database, sql)
        meanwhile()


def end(database: Database, sql: psycopg.Connection[Any]) -> None:
    """End a connection, as a crash of its server would."""
    with database.connect() as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (sql.info.backend_pid,))


def test_what_the_shards_have_and_the_coordinator_not_is_seen_by_nobody(
    store: PostgresStore, there: ShardedPlace, make_read: Make
) -> None:
    first = make_read("TEST000", NOW - 5)
    store.add([first])
    lost = [make_read(plate, NOW - 1, **INSIDE, photo="aa") for plate in PLATES]
    with pytest.raises(Refused):
        lose(store, there, lost)
    assert sum(len(lying(database)) for database in there.databases) == 41
    assert found(store, "TEST001") == []
    assert store.search(AREA).rows == ()
    assert store.kept("TEST001", 9, NOW) == []
    for number in range(4):
        assert store.read(slices.row_of_slice(FIRST + 2, NOW, number), Withholding(), 0) is None
    assert store.counts().reads == 1
    # Their numbers are used again, in one slice alone, and nothing of them comes up.
    other = make_read("TEST000", NOW - 2)
    assert store.add([other]).taken == 1
    assert sum(len(lying(database)) for database in there.databases) == 2
    assert store.add(lost).taken == 40
    assert found(store, "TEST000") == [lost[0], other, first]
    assert sum(len(lying(database)) for database in there.databases) == 42


def test_a_writer_that_lost_the_coordinator_commits_behind_nobodys_back(
    store: PostgresStore, there: ShardedPlace, make_read: Make
) -> None:
    lost, kept = make_read("TEST001", NOW - 5), make_read("TEST001", NOW - 4)
    taken: list[int] = []
    other = threading.Thread(target=lambda: taken.append(store.add([kept]).taken))

    def meanwhile() -> None:
        """Have another take the coordinator's lock, and wait for the shards'."""
        other.start()
        with there.databases[0].connect() as looker:
            while not looker.execute(
                "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            ).fetchone():
                assert other.is_alive()

    with pytest.raises(Refused):
        lose(store, there, [lost], meanwhile)
    other.join()
    assert taken == [1]
    assert found(store, "TEST001") == [kept]
    assert sum(len(lying(database)) for database in there.databases) == 1


def test_several_processes_store_and_purge_at_once(
    store: PostgresStore, there: ShardedPlace, make_read: Make
) -> None:
    other = there.open()
    due = [make_read(f"TEST{n:03}", OLD + n) for n in range(100)]
    new = [make_read(f"TEST{n:03}", NOW - 1 - n) for n in range(100)]
    store.add(due)
    taken, gone = list[int](), list[int]()

    def purge(one: ReadStore) -> None:
        dropped = one.drop_segments(CUTS, lambda _: None)
        gone.append(dropped.reads + one.delete_reads(CUTS, 1000, lambda _: None))

    threads = [
        *(
            threading.Thread(target=lambda one=one: taken.append(one.add(new).taken))
            for one in (store, other, store, other)
        ),
        *(threading.Thread(target=purge, args=(one,)) for one in (store, other)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [0, 0, 0, 100]
    assert sum(gone) == 100
    for one in (store, other):
        assert len(one.search(replace(SEARCH, selector=WildcardPlate("TEST*"))).rows) == 100
    assert sum(len(lying(database)) for database in there.databases) == 100
    other.close()


def close_off(database: Database, *, away: bool) -> None:
    """Let a database take nobody, as a server that is away, or take them again."""
    with database.server.connect() as sql:
        sql.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS {not away}")
        if away:
            sql.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
                (database.name,),
            )


@pytest.mark.full  # waits for connections again and again
def test_a_shard_that_is_away_is_never_left_out(
    store: PostgresStore, there: ShardedPlace, make_read: Make
) -> None:
    store.add([make_read(plate, at, **INSIDE) for plate in PLATES for at in (OLD, NOW - 1)])
    away = {plate for _, plate in lying(there.databases[1])}
    here = {plate for _, plate in lying(there.databases[0])}
    close_off(there.databases[1], away=True)
    try:
        assert all(len(found(store, plate)) == 2 for plate in sorted(here)[:3])
        look_ups: list[Callable[[], object]] = [
            lambda: found(store, min(away)),
            lambda: store.search(AREA),
            lambda: store.due(CUTS),
            lambda: store.add([make_read(min(here), NOW)]),
            lambda: store.in_use(["aa"]),
            store.counts,
        ]
        for look_up in look_ups:
            with pytest.raises(Refused) as refused:
                look_up()
            assert refused.value.code is Code.STORE_UNAVAILABLE
            assert min(away) not in str(refused.value) + refused.value.detail
        with pytest.raises(Refused):
            store.drop_segments(CUTS, lambda _: None)
        with pytest.raises(InputError, match=r"shard2\.url: the database can't be reached"):
            look_at(there.path, there.shards)
        # A node starts beside it.
        started = there.open()
        assert started.search(replace(SEARCH, selector=ExactPlate(min(here)))).rows
        started.close()
    finally:
        close_off(there.databases[1], away=False)
    # What was dropped before it came to the one that is away is gone, and told by nobody yet.
    left = len(store.search(AREA).rows) - 40
    assert left >= len(away)
    assert store.drop_segments(CUTS, lambda _: None).reads == left
    assert store.settle(NOW)
    assert len(store.search(AREA).rows) == 40
    assert store.counts().reads == 40
    with there.database.connect() as sql:
        assert sql.execute("SELECT count(*) FROM accord.source_ids").fetchall() == [(40,)]


def test_a_purge_that_is_cut_off_between_the_servers_is_gone_on_with(
    store: PostgresStore, there: ShardedPlace, make_read: Make
) -> None:
    """The coordinator forgot what is still on the shard: hidden, due, and gone the next time."""
    old, new = make_read("TEST001", OLD), make_read("TEST001", NOW - 1)
    store.add([old, new])
    hidden = replace(SEARCH, earliest_ms=CUTS.reads_ms)
    layout = layout_of(store)
    number = slices.slice_of(store.search(SEARCH).rows[0].row_id)

    def cut_off() -> None:
        with layout.writing(number) as place:
            place.sql.execute("DELETE FROM source_ids WHERE source_id = %s", (old.source_id,))
            place.at.execute("DELETE FROM reads WHERE source_id = %s", (old.source_id,))
            end(there.databases[layout.found[number]], place.at)

    with pytest.raises(Refused):
        cut_off()
    assert [row.read for row in store.search(hidden).rows] == [new]
    assert store.due(CUTS).reads == 1
    assert store.drop_segments(CUTS, lambda _: None).reads == 1
    assert found(store, "TEST001") == [new]
    assert store.due(CUTS).reads == 0


def test_what_is_held_stays_in_its_slice_and_photos_are_asked_for_everywhere(
    store: PostgresStore, there: ShardedPlace, make_read: Make
) -> None:
    store.add([make_read(plate, OLD, photo=f"p{n % 2}") for n, plate in enumerate(PLATES)])
    store.add([make_read("OTHER1", NOW - 1, photo="p1")])
    until = NOW + DAY_MS
    held = Hold("h1", "case", "court", "clerk", 0, NOW, NOW, until, "TEST004", "", None)
    assert store.holds.place(held, Note("n1", "hold placed", "case", "")) == 1
    gone: list[str] = []
    dropped = store.drop_segments(CUTS, gone.append)
    assert (dropped.reads, dropped.moved) == (39, 1)
    assert gone == []
    assert store.in_use(["p0", "p1"]) == {"p0", "p1"}
    ((row,), *_) = [store.search(replace(SEARCH, selector=ExactPlate("TEST004"))).rows]
    assert store.read(row.row_id, Withholding(), 0) == row
    assert store.kept(row.row_id, 1, NOW)[0].holds == ("h1",)
    store.holds.release("h1", Note("n2", "hold released", "case", ""))
    assert store.delete_reads(CUTS, 10, gone.append) == 1
    assert gone == ["p0"]
    assert store.counts().plates == 1


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
