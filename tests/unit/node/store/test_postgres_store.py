"""What is PostgreSQL's own: partitions, several processes, its log, its statistics, its files.

What every store does is told by the tests that run on both.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from accord.agreements.terms import OPEN, Withholding
from accord.clock import SystemClock
from accord.errors import Code, InputError, Refused
from accord.model import (
    ExactPlate,
    LookAlikePlate,
    PlateList,
    Read,
    ReadSelector,
    WildcardPlate,
    Window,
)
from node.holds import Hold, Note
from node.store.base import Search
from node.store.postgres import connections, migrations, opening, parts, segments
from node.store.postgres.connections import Connections
from node.store.postgres.one_database import OneDatabase
from node.store.postgres.parts import DAY_MS, day_of
from node.store.postgres.soundness import look_at
from node.store.postgres.store import PostgresStore
from node.store.postgres.wording import worded
from node.store.statements import plan
from tests.cuts import all_before
from tests.postgres import Database

NOW = SystemClock().now_ms()
TODAY = day_of(NOW) * DAY_MS
OLD = TODAY - 40 * DAY_MS
CUTS = all_before(TODAY - 30 * DAY_MS)
SEARCH = Search(ExactPlate("TEST001"), Window(OLD - 10 * DAY_MS, NOW), OPEN, Withholding(), 0, 100)
Make = Callable[..., Read]
Open = Callable[[], PostgresStore]


@pytest.fixture
def open_store(database: Database, tmp_path: Path) -> Iterator[Open]:
    path, opened = database.url_file(tmp_path), list[PostgresStore]()

    def open_one() -> PostgresStore:
        opened.append(PostgresStore.open(path))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def store(open_store: Open) -> PostgresStore:
    return open_store()


def found(store: PostgresStore, **changes: object) -> list[Read]:
    return [row.read for row in store.search(replace(SEARCH, **changes)).rows]  # type: ignore[arg-type]


def part_names(database: Database) -> list[str]:
    with database.connect() as sql:
        return [name for (name,) in sql.execute("SELECT name FROM accord.parts ORDER BY day")]


def hold(plate: str) -> tuple[Hold, Note]:
    held = Hold("h1", "case", "court", "clerk", 0, NOW, NOW, NOW + DAY_MS, plate, "", None)
    return held, Note("n1", "hold placed", "case", "")


def nothing(photo: str) -> None:
    raise AssertionError(photo)


def test_a_day_is_dropped_and_what_is_held_stays_under_its_number(
    store: PostgresStore, database: Database, make_read: Make
) -> None:
    held, due, kept = (make_read(plate, OLD) for plate in ("HELD1", "DUE1", "HELD1"))
    newer = make_read("DUE1", NOW - 1000)
    store.add([held, due, kept, newer])
    store.holds.place(*hold("HELD1"))
    before = {
        row.row_id for row in store.search(replace(SEARCH, selector=ExactPlate("HELD1"))).rows
    }
    dropped = store.drop_segments(CUTS, nothing)
    assert (dropped.segments, dropped.reads, dropped.moved) == (1, 1, 2)
    assert (dropped.from_ms, dropped.to_ms) == (OLD, OLD)
    after = store.search(replace(SEARCH, selector=ExactPlate("HELD1"))).rows
    assert {row.row_id for row in after} == before
    assert len(before) == 2
    for row in after:
        assert store.read(row.row_id, Withholding(), 0) == row
        assert store.kept(row.row_id, 1, NOW)[0].holds == ("h1",)
    assert found(store, selector=ExactPlate("DUE1")) == [newer]
    assert len(part_names(database)) == 2  # today's and tomorrow's
    # What stays is known, and what went is not.
    assert store.add([held, due]).duplicates == (0,)


def test_what_a_dropped_day_has_left_is_known_no_longer(
    store: PostgresStore, database: Database, make_read: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The purge was stopped behind the drop.
    monkeypatch.setattr(segments, "look_after_dropped", lambda connections: None)
    read, other = make_read("AGAIN1", OLD), make_read("OTHER1", OLD)
    store.add([read, other])
    assert store.drop_segments(CUTS, nothing).reads == 2
    assert store.counts().plates == 2
    assert store.add([read]).taken == 1
    assert store.settle(NOW)
    assert store.add([read]).duplicates == (0,)
    assert store.counts().plates == 1
    with database.connect() as sql:
        assert sql.execute("SELECT count(*) FROM accord.source_ids").fetchall() == [(1,)]


def test_a_day_that_is_not_all_due_is_not_dropped(store: PostgresStore, make_read: Make) -> None:
    day = day_of(CUTS.reads_ms) * DAY_MS
    store.add([make_read(captured_ms=day - 1), make_read(captured_ms=day)])
    assert store.drop_segments(all_before(day - 1), nothing).segments == 0
    assert store.drop_segments(all_before(day), nothing).segments == 1
    assert store.drop_segments(all_before(day + 1), nothing).segments == 0
    assert store.delete_reads(all_before(day + 1), 10, nothing) == 1
    assert store.counts().reads == store.counts().plates == 0


def test_photos_go_with_a_day_unless_another_read_has_them(
    store: PostgresStore, make_read: Make
) -> None:
    store.add(
        [
            make_read(captured_ms=OLD, photo="aa"),
            make_read(captured_ms=OLD, photo="bb"),
            make_read(captured_ms=NOW - 1, photo="bb"),
            make_read("HELD1", OLD, photo="cc"),
        ]
    )
    store.holds.place(*hold("HELD1"))
    gone: list[str] = []
    assert store.drop_segments(CUTS, gone.append).photos == 2
    assert gone == ["aa"]
    assert store.in_use(["aa", "bb", "cc"]) == {"bb", "cc"}


def test_days_far_off_lie_in_the_rest(
    store: PostgresStore, database: Database, make_read: Make
) -> None:
    far = [make_read(captured_ms=at) for at in (0, NOW + 10 * DAY_MS)]
    near = make_read(captured_ms=NOW)
    assert store.add([*far, near]).taken == 3
    assert len(part_names(database)) == 2  # today's, and tomorrow's ahead
    everything = Window(0, NOW + 20 * DAY_MS)
    assert found(store, window=everything) == [far[1], near, far[0]]
    assert store.add(far).duplicates == (0, 1)
    assert store.delete_reads(CUTS, 10, nothing) == 1
    # Nothing of it is left: it is as if it was never seen.
    assert store.add(far).duplicates == (1,)


def test_a_day_of_which_something_was_kept_is_not_made_anew(
    store: PostgresStore, database: Database, make_read: Make
) -> None:
    held = make_read("HELD1", OLD)
    store.add([held])
    store.holds.place(*hold("HELD1"))
    assert store.drop_segments(CUTS, nothing).moved == 1
    late = make_read("LATE1", OLD + 1)
    store.add([late])
    assert len(part_names(database)) == 2
    assert found(store, selector=WildcardPlate("*1")) == [late, held]


def test_who_looks_at_a_day_keeps_it_and_holds_up_nobody(
    store: PostgresStore, database: Database, make_read: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "_TRIES", 2)
    store.add([make_read(captured_ms=OLD), make_read(captured_ms=NOW - 1)])
    with database.connect() as reader:
        with reader.transaction():
            reader.execute("SELECT count(*) FROM accord.reads")
            assert store.drop_segments(CUTS, nothing).segments == 0
            assert len(found(store)) == 2
            assert store.add([make_read(captured_ms=NOW - 2)]).taken == 1
        assert store.drop_segments(CUTS, nothing).segments == 1
    assert len(found(store)) == 2


@pytest.mark.parametrize("times", [4, pytest.param(20, marks=pytest.mark.full)])
def test_a_purge_that_is_cut_off_loses_and_doubles_nothing(
    store: PostgresStore, database: Database, make_read: Make, times: int
) -> None:
    """As when its process is killed: the server ends what was begun."""
    store.holds.place(*hold("HELD1"))
    random = Random(7)
    kept: list[Read] = []
    cut_off = 0
    for turn in range(times):
        days = [OLD - (5 * turn + n) * DAY_MS for n in range(5)]
        held = [make_read("HELD1", day) for day in days]
        due = [make_read(f"DUE{n}", day) for day in days for n in range(20)]
        store.add([*held, *due])
        kept += held
        ended = threading.Timer(random.uniform(0, 0.15), end_one, (database,))
        ended.start()
        try:
            store.drop_segments(CUTS, nothing)
        except Refused:
            cut_off += 1
        ended.join()
        with database.connect() as sql:
            text = "SELECT plate, source_id, captured_ms FROM accord.reads"
            there = sql.execute(text).fetchall()
        assert Counter(row[1] for row in there if row[0] == "HELD1") == Counter(
            read.source_id for read in kept
        )
        # Of each day all is there, or nothing.
        left = Counter(at for plate, _, at in there if plate != "HELD1")
        assert set(left.values()) <= {20}
        store.drop_segments(CUTS, nothing)
        store.delete_reads(CUTS, 1000, nothing)
        counts = store.counts()
        assert (counts.reads, counts.plates) == (len(kept), 1)
    assert cut_off > times // 6
    with database.connect() as sql:
        ids = sql.execute("SELECT source_id FROM accord.source_ids WHERE part = 0").fetchall()
    assert {source_id for (source_id,) in ids} == {read.source_id for read in kept}


def end_one(database: Database) -> None:
    """End a connection in the midst of something, if there is one within a second."""
    with database.connect() as sql:
        for _ in range(1000):
            ended = sql.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state != 'idle' "
                "AND datname = current_database() AND pid != pg_backend_pid()"
            ).fetchall()
            if ended:
                return
            time.sleep(0.001)


def test_several_processes_on_one_database(open_store: Open, make_read: Make) -> None:
    one, other = open_store(), open_store()
    reads = [make_read(f"PLATE{n}", OLD + n * DAY_MS // 10) for n in range(100)]
    taken: list[int] = []
    threads = [
        threading.Thread(target=lambda store=store: taken.append(store.add(reads).taken))
        for store in (one, other, one, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [0, 0, 0, 100]
    wild = {"selector": WildcardPlate("PLATE*")}
    assert found(one, **wild) == found(other, **wild) == reads[::-1]
    assert one.drop_segments(CUTS, nothing).reads == 100
    assert found(other, **wild) == []
    assert other.counts().plates == 0
    assert len(other._dictionary) == 0


def test_two_processes_make_the_tables_at_once(database: Database, tmp_path: Path) -> None:
    path, errors = database.url_file(tmp_path), list[Exception]()

    def start() -> None:
        try:
            PostgresStore.open(path).close()
        except Exception as error:  # told by the assertion
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("log_error_verbosity", "default", "log_error_verbosity is default"),
        ("log_parameter_max_length", "-1", "log_parameter_max_length is -1"),
        ("log_parameter_max_length_on_error", "64", "log_parameter_max_length_on_error is 64"),
        ("debug_print_plan", "on", "debug_print_plan is on"),
    ],
)
def test_a_server_whose_log_would_hold_plates_is_refused(
    database: Database, tmp_path: Path, setting: str, value: str, words: str
) -> None:
    with database.connect() as sql:
        sql.execute(f"ALTER DATABASE {database.name} SET {setting} = '{value}'")
    with pytest.raises(InputError, match=words):
        PostgresStore.open(database.url_file(tmp_path))


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_may_forget_what_it_committed_is_refused(
    database: Database, tmp_path: Path, setting: str
) -> None:
    path = database.url_file(tmp_path)
    PostgresStore.open(path).close()
    try:
        reloaded(database, f"ALTER SYSTEM SET {setting} = off", setting, "off")
        with pytest.raises(InputError, match=f"{setting} is off") as refused:
            PostgresStore.open(path)
        assert "postgresql.conf" in refused.value.remedy
        with pytest.raises(InputError, match=f"{setting} is off"):
            look_at(path)
    finally:
        reloaded(database, f"ALTER SYSTEM RESET {setting}", setting, "on")
    PostgresStore.open(path).close()


def reloaded(database: Database, text: str, setting: str, wanted: str) -> None:
    with database.connect() as sql:
        sql.execute(text)
        sql.execute("SELECT pg_reload_conf()")
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        with database.connect() as sql:
            if sql.execute(f"SHOW {setting}").fetchone() == (wanted,):
                return
        time.sleep(0.02)
    raise AssertionError("the server does not take it")


def test_a_commit_waits_for_the_disk_also_where_the_server_is_set_otherwise(
    database: Database, tmp_path: Path
) -> None:
    with database.connect() as sql:
        assert sql.execute("SHOW synchronous_commit").fetchone() == ("off",)
    with closing(Connections.open(database.url_file(tmp_path))) as made:
        with made.working() as worked:
            assert worked.execute("SHOW synchronous_commit").fetchone() == ("on",)
        with connections.connect(made.address) as one:
            assert one.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_a_server_that_does_not_tell_who_asked_when_is_refused(
    database: Database, tmp_path: Path
) -> None:
    with database.connect() as sql:
        sql.execute(f"ALTER DATABASE {database.name} SET track_activities = off")
    with pytest.raises(InputError, match="track_activities is off"):
        PostgresStore.open(database.url_file(tmp_path))


def test_tables_that_a_later_version_has_changed_are_not_opened(
    database: Database, tmp_path: Path
) -> None:
    path = database.url_file(tmp_path)
    PostgresStore.open(path).close()
    with database.connect() as sql:
        sql.execute("INSERT INTO accord.steps VALUES ('099-later')")
        with pytest.raises(InputError, match="a later version of Accord") as refused:
            PostgresStore.open(path, serving=True)
        assert refused.value.remedy == "install that version again"
        sql.execute("DELETE FROM accord.steps WHERE name = '099-later'")
    PostgresStore.open(path, serving=True).close()


def test_all_tables_are_looked_at_whether_they_are_there(
    database: Database, tmp_path: Path
) -> None:
    store = PostgresStore.open(database.url_file(tmp_path))
    store.require_ready()
    with database.connect() as sql:
        made = sql.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'accord'::regnamespace "
            "AND relkind IN ('r', 'p') AND NOT relispartition"
        ).fetchall()
        assert {name for (name,) in made} == set(migrations.TABLES)
        for name in migrations.TABLES:
            sql.execute(f"ALTER TABLE accord.{name} RENAME TO elsewhere")
            with pytest.raises(Refused) as refused:
                store.require_ready()
            assert refused.value.code is Code.STORE_CORRUPT
            assert refused.value.detail == f"tables of the database are gone: {name}"
            sql.execute(f"ALTER TABLE accord.elsewhere RENAME TO {name}")
    store.require_ready()
    store.close()
    with database.connect() as sql:
        sql.execute("DROP TABLE accord.rate_counts")
    with pytest.raises(InputError, match="tables of the database are gone: rate_counts"):
        PostgresStore.open(database.url_file(tmp_path))


def test_a_server_with_too_few_locks_is_refused(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = database.url_file(tmp_path)
    PostgresStore.open(path).close()
    needed = ("max_locks_per_transaction", "2048", "in postgresql.conf")
    monkeypatch.setattr(opening, "_SETTINGS", (needed,))
    with pytest.raises(InputError, match="max_locks_per_transaction is 1024"):
        PostgresStore.open(path)


def test_the_servers_log_holds_no_plate(
    store: PostgresStore, database: Database, tmp_path: Path, make_read: Make
) -> None:
    with pytest.raises(Refused) as refused:
        store.add([make_read("CANARY1", captured_ms=-5)])
    assert refused.value.code is Code.STORE_UNAVAILABLE
    assert "CANARY" not in str(refused.value) + refused.value.detail
    assert "CANARY1" not in database.server.log()
    # Set as it is at first, the log has it: what is refused at opening matters.
    with database.connect() as sql:
        sql.execute(f"ALTER DATABASE {database.name} SET log_error_verbosity = 'default'")
    other = PostgresStore(OneDatabase(Connections.open(database.url_file(tmp_path))), SystemClock())
    with pytest.raises(Refused):
        other.add([make_read("CANARY2", captured_ms=-5)])
    other.close()
    for _ in range(500):  # a process of its own writes it
        if "CANARY2" in database.server.log():
            return
        time.sleep(0.02)
    raise AssertionError("the log does not show what it would")


def test_no_plate_stands_in_the_servers_statistics(
    store: PostgresStore, database: Database, make_read: Make
) -> None:
    store.add([make_read(f"CANARY{n % 3}", NOW - n, camera=f"SEEN{n % 3}") for n in range(300)])
    with database.connect() as sql:
        sql.execute("ANALYZE")
        values = str(sql.execute("SELECT * FROM pg_stats WHERE schemaname = 'accord'").fetchall())
    assert "SEEN1" in values
    assert "CANARY" not in values


def test_after_a_purge_no_byte_of_the_plate_is_in_the_tables_files(
    store: PostgresStore, database: Database, make_read: Make
) -> None:
    def traces() -> set[str]:
        with database.connect() as sql:
            sql.execute("CHECKPOINT")
        base = database.server.folder / "db" / "base"
        return {
            file.name
            for file in base.rglob("*")
            if file.is_file() and b"CANARY" in file.read_bytes()
        }

    store.add([make_read(f"CANARY{n}", OLD + n) for n in range(2000)])
    store.add([make_read(f"KEPT{n}", NOW - n) for n in range(2000)])
    store.holds.place(*hold("CANARY7"))
    assert traces()
    assert store.drop_segments(CUTS, nothing).moved == 1
    assert store.settle(NOW)
    assert traces()  # the one that is held, and the hold
    store.holds.release("h1", Note("n2", "hold released", "case", ""))
    assert store.delete_reads(CUTS, 10, nothing) == 1
    assert store.settle(NOW)
    assert traces() == set()
    assert store.counts().reads == 2000


def test_no_search_is_short_enough_for_the_loop_of_events(store: PostgresStore) -> None:
    assert store.search_at_once(SEARCH) is None


def test_a_row_number_rises_and_names_its_day() -> None:
    numbers = [parts.row_number(count, at) for count, at in ((1, NOW), (2, 0), (3, NOW), (4, -5))]
    assert numbers == sorted(numbers)
    assert parts.span_of(numbers[0])[0] == TODAY
    assert numbers[1] <= parts.last_row(2) < numbers[2]


def test_a_search_is_planned_once_and_looks_only_at_the_days_it_asks_for(
    store: PostgresStore, database: Database, make_read: Make
) -> None:
    """Planning takes longer with every day that there is."""
    reads = [make_read("TEST001", TODAY - n * DAY_MS) for n in range(30)]
    store.add(reads)
    for n in range(1, 30):
        window = Window(TODAY - n * DAY_MS, TODAY - (n - 1) * DAY_MS)
        assert found(store, window=window) == [reads[n]]
    with store._connections.searching() as sql:
        ((plans, kept),) = sql.execute(
            "SELECT sum(custom_plans)::integer, max(generic_plans) FROM pg_prepared_statements"
        ).fetchall()
        assert (plans, kept) == (0, 29)
        ((name,),) = sql.execute(
            "SELECT name FROM pg_prepared_statements WHERE statement LIKE %s", ["%raw_plate%"]
        ).fetchall()
        values = f"'TEST001', {TODAY - DAY_MS}, {TODAY}, {parts.last_row(30)}, 10"
        plan = str(sql.execute(f"EXPLAIN EXECUTE {name} ({values})", prepare=False).fetchall())
    assert "Subplans Removed: 31" in plan  # of 30 days, tomorrow's and the rest
    assert plan.count("Index Scan") == 1


@pytest.mark.parametrize(
    ("selector", "index"),
    [
        (ExactPlate("TEST001"), "plate_captured_ms_tag_row_id_idx"),
        (LookAlikePlate("TEST001"), "plate_captured_ms_tag_row_id_idx"),
        (WildcardPlate("*EST*"), "plate_captured_ms_tag_row_id_idx"),
        (PlateList((ExactPlate("TEST001"), ExactPlate("B2"))), "plate_captured_ms_tag_row_id_idx"),
    ],
)
@pytest.mark.parametrize("reads", [400, 3000])
def test_a_search_goes_by_the_index_of_plates_and_never_through_all_rows(
    store: PostgresStore, make_read: Make, selector: ReadSelector, index: str, reads: int
) -> None:
    """The server notes nothing of plates by which it could choose."""
    store.add([make_read(f"TEST{n:04}", TODAY + n) for n in range(reads)])
    search = replace(SEARCH, selector=selector)
    with store._connections.searching() as sql:
        for step in plan(search, 1 << 60, ["TEST0001", "TEST0002"]).steps:
            text, values = step.page
            lines = sql.execute(f"EXPLAIN {worded(text)}", values).fetchall()
            scans = [line for (line,) in lines if " Scan " in line and " on reads_2" in line]
            assert scans
            assert [line for line in scans if index not in line] == []
