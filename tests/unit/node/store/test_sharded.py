"""Reads on several servers: who is asked, and what a server that ends or is away means.

What every store does is told by the tests that run on all; of these the run on several
servers is among the full ones.
"""

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from accord.agreements.terms import OPEN, Withholding
from accord.errors import Code, InputError, Refused
from accord.model import ExactPlate, Read, WildcardPlate
from node.holds import Hold, Note
from node.store.base import HitSearch, ReadStore
from node.store.numbers import FIRST
from node.store.postgres import slices
from node.store.postgres.adding_to_slices import insert
from node.store.postgres.parts import DAY_MS
from node.store.postgres.shards import Shards
from node.store.postgres.soundness import look_at
from node.store.postgres.store import PostgresStore
from node.store.postgres.wording import Worded, worded
from node.store.shared import Part
from tests.hot_lists import hold
from tests.postgres import Database
from tests.sharded import (
    AREA,
    BOX,
    CUTS,
    INSIDE,
    NOW,
    OLD,
    PLATES,
    SEARCH,
    Make,
    close_off,
    entry,
    found,
    lying,
)
from tests.stores import SHARDED, ShardedPlace

pytestmark = SHARDED


def layout_of(store: PostgresStore) -> Shards:
    assert isinstance(store._layout, Shards)
    return store._layout


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
