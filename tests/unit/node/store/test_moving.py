"""All of a store moved into the other database: the same rows, and nobody notices."""

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from accord.agreements.terms import OPEN, Withholding
from accord.clock import SystemClock
from accord.errors import InputError, Refused
from accord.hot_lists import HotListEntry
from accord.model import AreaBox, ExactPlate, Read, Vehicle, WildcardPlate, Window
from node.holds import Hold, Note
from node.store.base import Cuts, DeadLetter, HitSearch, ReadStore, Search
from node.store.moving import HITS as HIT_ROWS
from node.store.moving import READS, TABLES, Side, fill, numbers
from node.store.numbers import number_of
from node.store.postgres import connections
from node.store.postgres.moving import PostgresSide
from node.store.postgres.moving_slices import SlicesSide
from node.store.sqlite_moving import SqliteSide
from node.store_copy import TableCopied, move_all
from tests.cuts import all_before
from tests.hot_lists import hold as put_list
from tests.postgres import Database, Server
from tests.stores import Place, PostgresPlace, ShardedPlace, SqlitePlace, shard_out

NOW = SystemClock().now_ms()
DAY = 86_400_000
PLATE = "TEST001"
BOX = AreaBox(0, 0, 100, 100)
SEARCH = Search(ExactPlate(PLATE), Window(0, NOW + DAY), OPEN, Withholding(), 0, 2)
HITS = HitSearch(ExactPlate(PLATE), Window(0, NOW + DAY), OPEN, Withholding(), 0, 2)
Make = Callable[..., Read]


def nothing(*_: object) -> None:
    """What is told does not matter."""


@dataclass
class Both:
    """Two places, the first one filled."""

    source: Place
    target: Place

    def side(self, place: Place) -> Side:
        if isinstance(place, SqlitePlace):
            return SqliteSide(place.path, SystemClock())
        if isinstance(place, ShardedPlace):
            return SlicesSide(place.path, place.shards, SystemClock())
        return PostgresSide(place.path, SystemClock())

    def move(self, told: Callable[[str, str, int, int], None] = nothing) -> list[TableCopied]:
        with (
            closing(self.side(self.source)) as source,
            closing(self.side(self.target)) as target,
            source.alone(),
            target.alone(),
        ):
            name = source.name()
            with source.still():
                target.begin(name, numbers(source, HIT_ROWS), 600 * DAY)
                done = move_all(source, target, told)
                if all(one.at_source == one.at_target for one in done):
                    target.end()
            return done

    def whole(self) -> bool:
        return all(one.at_source == one.at_target for one in self.move())


def note(detail: str) -> Note:
    return Note(secrets.token_hex(8), "held", "26-1", detail)


def filled(store: ReadStore, make_read: Make) -> None:
    """Put something into every table; the last read, letter and note are gone again."""
    # As by its first purge the store knows how long reads are kept: SQLite then has segments.
    kept = NOW - 600 * DAY
    store.drop_segments(Cuts(kept, kept, kept, kept, kept, NOW), nothing)
    listed = HotListEntry("stolen", "bureau", PLATE, "CA", "stolen-vehicle", NOW - DAY, 60)
    put_list(store, listed)
    put_list(store, replace(listed, list="wanted", plate="WANTED1"))
    store.add([make_read(PLATE, NOW - n * DAY - n, camera=f"C{n}") for n in range(5)])
    store.add(
        [
            make_read("OTHER1", NOW - 400 * DAY, lat_e7=50, lon_e7=-5, photo="ab" * 32),
            make_read("AB", NOW + 300 * DAY, raw_plate="\u00e4'\t\\n", case="26-1", state=""),
            make_read("TESTOO1", NOW - DAY),
            make_read("LAST1", NOW - 500 * DAY, vehicle=Vehicle("", "M", "red", "")),
            make_read("OTHER1", 0),
        ]
    )
    assert store.delete_reads(all_before(1), 10, nothing) == 1
    fields = {"case": "26-1", "authority": "order", "by": "J. Roe", "from_ms": 0, "to_ms": NOW}
    times = {"placed_ms": NOW, "until_ms": NOW + DAY}
    store.holds.place(Hold("h1", **fields, **times, plate=PLATE), note("one"))  # type: ignore[arg-type]
    store.holds.place(Hold("h2", **fields, **times, plate="", area=BOX), note("two"))  # type: ignore[arg-type]
    store.holds.forget(store.holds.notes()[-1].note_id)
    letters = [DeadLetter("gate", "axis", f"r{n}", NOW, bytes([n, 0, 255])) for n in range(3)]
    store.add_dead([*letters, replace(letters[0], content=b"part", cut=True)])
    store.remove_dead([store.dead(0, "", "", 9)[-1].letter_id])
    store.set_mark("gate", '{"at": "ü"}')


@pytest.fixture(
    params=[
        "to the server",
        "to the file",
        pytest.param("to several servers", marks=pytest.mark.full),
        pytest.param("from several servers", marks=pytest.mark.full),
    ]
)
def both(
    request: pytest.FixtureRequest, database: Database, tmp_path: Path, make_read: Make
) -> Iterator[Both]:
    with ExitStack() as stack:
        place: Place = PostgresPlace(database, tmp_path / "keys")
        if "several" in request.param:
            servers: list[Server] = [database.server, request.getfixturevalue("other_postgres")]
            shards = [stack.enter_context(server.database()) for server in servers]
            sharded = ShardedPlace(database, shards, tmp_path / "keys")
            shard_out(sharded)
            place = sharded
        places: list[Place] = [SqlitePlace(tmp_path / "data" / "reads.db"), place]
        if request.param in ("to the file", "from several servers"):
            places.reverse()
        with closing(places[0].open()) as store:
            filled(store, make_read)
        yield Both(*places)


def everything(store: ReadStore) -> dict[str, object]:
    """Return all that a store answers, without its own row numbers."""
    kinds = (ExactPlate(PLATE), WildcardPlate("*1"), WildcardPlate("??"), BOX)
    found = [store.search(replace(SEARCH, selector=kind, limit=99)).rows for kind in kinds]
    hits = store.hot_lists.search_hits(replace(HITS, limit=99))
    return {
        "reads": [[row[1:] for row in rows] for rows in found],
        "hits": [row[1:] for row in hits.page.rows],
        "met": [hits.hits[row.row_id] for row in hits.page.rows],
        "lists": store.hot_lists.lists(),
        "entries": store.hot_lists.entries(PLATE, "CA"),
        "holds": store.holds.all(),
        "notes": store.holds.notes(),
        "letters": store.dead(0, "", "", 99),
        "mark": store.mark("gate"),
        "counts": store.counts(),
        "kept": [row[1:] for row in store.kept(PLATE, 99, NOW)],
    }


def test_all_of_it_is_there_and_nobody_notices(both: Both, make_read: Make) -> None:
    with closing(both.source.open()) as store:
        before = everything(store)
        first = store.search(SEARCH)
        first_hits = store.hot_lists.search_hits(HITS)
        pages = [store.search(replace(SEARCH, after=first.cursor))]
        hit_pages = [store.hot_lists.search_hits(replace(HITS, after=first_hits.page.cursor)).page]
        given = store.search(replace(SEARCH, limit=99)).rows
    seen: list[str] = []
    done = both.move(lambda what, name, *_: seen.append(f"{what} {name}"))
    assert [one.name for one in done] == [table.name for table in TABLES]
    assert all(one.at_source == one.at_target for one in done)
    assert {one.name for one in done if not one.at_source.rows} == set()
    assert {f"{what} {table.name}" for what in ("copied", "verified") for table in TABLES} == set(
        seen
    )
    if isinstance(both.target, SqlitePlace):
        # As they would have come: by the time of their capture, those with hits apart.
        assert both.target.rows("SELECT count(*) > 1 FROM segments") == [(1,)]
        assert len(list(both.target.path.with_suffix("").glob("*.db"))) > 1
    with closing(both.target.open()) as store:
        assert everything(store) == before
        # What others hold goes on: pages that they began, and numbers behind read ids.
        pages.append(store.search(replace(SEARCH, after=first.cursor)))
        assert pages[0].rows
        again = store.hot_lists.search_hits(replace(HITS, after=first_hits.page.cursor))
        hit_pages.append(again.page)
        for one, other in (pages, hit_pages):
            assert [row[1:] for row in one.rows] == [row[1:] for row in other.rows]
            assert one.complete == other.complete
        for row in given:
            there = store.read(row.row_id, Withholding(), 0)
            assert there is not None
            assert there[1:] == row[1:]
            [kept] = store.kept(row.row_id, 9, NOW)
            assert kept.row_id == there.row_id
        # Ten were there, and the number of the last one, which is gone, is not used again.
        store.add([make_read("NEW1", NOW - 3 * DAY)])
        [new] = store.search(replace(SEARCH, selector=ExactPlate("NEW1"))).rows
        assert number_of(new.row_id) == 11
        assert store.read(new.row_id, Withholding(), 0) == new
        assert store.add_dead([DeadLetter("gate", "axis", "new", NOW, b"new")]) == 0
        assert store.dead(0, "", "", 99)[-1].letter_id == 5


def test_there_and_back_again_is_the_same_store(both: Both, tmp_path: Path) -> None:
    assert both.whole()
    both.target.open().close()
    back: Place = SqlitePlace(tmp_path / "again" / "reads.db")
    if isinstance(both.source, PostgresPlace):
        back = both.source
        shards = both.source.databases if isinstance(both.source, ShardedPlace) else ()
        for database in (both.source.database, *shards):
            with database.connect() as sql:
                for (name,) in sql.execute(
                    "SELECT nspname FROM pg_namespace WHERE nspname ~ '^accord'"
                ).fetchall():
                    sql.execute(f"DROP SCHEMA {name} CASCADE")
        back.open().close()
    else:
        with closing(both.source.open()) as store:
            before = everything(store)
    assert Both(both.target, back).whole()
    with closing(back.open()) as store, closing(both.target.open()) as other:
        found = store.search(SEARCH).rows
        assert [store.read(row.row_id, Withholding(), 0) for row in other.search(SEARCH).rows] == [
            *found
        ]
        if isinstance(both.source, SqlitePlace):
            assert everything(store) == before
            with closing(both.source.open()) as first:
                assert first.search(SEARCH) == store.search(SEARCH)


class Stopped(Exception):
    """The process ended here."""


def test_stopped_anywhere_it_is_run_again(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind each transaction at the target in turn."""
    stops = 0
    kind: type[SqliteSide] | type[PostgresSide] = SqliteSide
    if not isinstance(both.target, SqlitePlace):
        kind = PostgresSide
    if isinstance(both.target, ShardedPlace):
        kind = SlicesSide
    real = kind.change
    left = 0

    def change(self: Side, *values: object) -> None:
        nonlocal left
        real(self, *values)  # type: ignore[arg-type]
        left -= 1
        if left == 0:
            raise Stopped

    monkeypatch.setattr(kind, "change", change)
    while True:
        left = 1
        try:
            done = both.move()
        except Stopped:
            stops += 1
            with pytest.raises(InputError, match="run accord-node store copy again"):
                both.target.open()
            continue
        break
    assert stops == len(TABLES)
    assert all(one.at_source == one.at_target for one in done)
    both.target.open().close()


def test_what_was_purged_or_changed_between_two_runs_is_so_at_the_target(
    both: Both, make_read: Make
) -> None:
    def stop(what: str, name: str, *_: int) -> None:
        if (what, name) == ("verified", "reads"):
            raise Stopped

    with pytest.raises(Stopped):
        both.move(stop)
    with closing(both.source.open()) as store:
        store.holds.release("h1", note("released"))
        cuts = all_before(NOW - 2 * DAY)
        store.drop_segments(cuts, nothing)
        assert store.delete_reads(cuts, 99, nothing) > 0 or store.counts().reads < 9
        assert store.delete_photos(all_before(NOW + 999 * DAY), 99, nothing) == 0
        put_list(store, HotListEntry("stolen", "bureau", "NEWLY1", "CA", "stolen-vehicle", NOW, 60))
        store.add([make_read("NEWLY1", NOW)])
        store.set_mark("gate", "further")
        store.remove_dead([1])
        assert store.settle(NOW)  # plates that nobody has any longer are not copied
        before = everything(store)
    assert both.whole()
    with closing(both.target.open()) as store:
        assert everything(store) == before
        assert store.search(replace(SEARCH, selector=ExactPlate("LAST1"))).rows == ()
        assert store.settle(NOW)
    if isinstance(both.target, SqlitePlace):
        for path in both.target.path.parent.rglob("*"):
            assert not path.is_file() or b"LAST1" not in path.read_bytes()
    assert both.target.rows("SELECT count(*) FROM plates WHERE plate = 'LAST1'") == [(0,)]


def test_a_second_copy_catches_up_until_somebody_opens_the_first(
    both: Both, make_read: Make
) -> None:
    assert both.whole()
    with closing(both.source.open()) as store:
        store.add([make_read("LATER1", NOW)])
    assert both.whole()
    with closing(both.target.open()) as store:
        assert store.search(replace(SEARCH, selector=ExactPlate("LATER1"))).rows
    with pytest.raises(InputError, match="holds reads already"):
        both.move()


def test_a_read_that_a_stopped_node_left_in_two_files_is_moved_once(
    database: Database, tmp_path: Path, make_read: Make
) -> None:
    place = SqlitePlace(tmp_path / "data" / "reads.db")
    with closing(place.open()) as store:
        filled(store, make_read)
    with closing(sqlite3.connect(place.path)) as sql:
        segment = next(place.path.with_suffix("").glob("*.db"))
        sql.execute("ATTACH ? AS segment", (str(segment),))
        assert sql.execute("INSERT INTO main.reads SELECT * FROM segment.reads").rowcount
        sql.commit()
    target = PostgresPlace(database, tmp_path)
    assert Both(place, target).whole()
    with closing(target.open()) as store:
        assert store.counts().reads == 9


def test_a_server_is_moved_to_another(
    postgres: Server, database: Database, tmp_path: Path, make_read: Make
) -> None:
    with postgres.database() as other:
        places = [PostgresPlace(one, tmp_path / one.name) for one in (database, other)]
        with closing(places[0].open()) as store:
            filled(store, make_read)
            before = everything(store), store.search(SEARCH)
        assert Both(*places).whole()
        with closing(places[1].open()) as store:
            assert (everything(store), store.search(SEARCH)) == before


def test_a_target_that_holds_something_else_is_refused(
    both: Both, tmp_path: Path, make_read: Make
) -> None:
    with closing(both.target.open()) as store:
        store.set_mark("gate", "x")
    with pytest.raises(InputError, match="holds source marks already"):
        both.move()
    with closing(both.target.open()) as store:
        assert (store.counts().reads, store.mark("gate")) == (0, "x")


def test_a_copy_of_another_store_is_not_gone_on_with(both: Both, tmp_path: Path) -> None:
    assert both.whole()
    other = SqlitePlace(tmp_path / "other" / "reads.db")
    other.open().close()
    with pytest.raises(InputError, match="begun as a copy of another store"):
        Both(other, both.target).move()
    with closing(both.target.open()) as store:
        assert store.counts().reads == 9


@pytest.mark.parametrize("served", ["source", "target"])
def test_neither_may_be_served(both: Both, served: str) -> None:
    place = both.source if served == "source" else both.target
    with (
        closing(both.side(place)) as side,
        side.alone(),
        pytest.raises(InputError, match="is serving this"),
    ):
        both.move()
    assert both.whole()


def test_nobody_writes_to_the_source_meanwhile(
    both: Both, make_read: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.store.connections.WRITE_WAIT_MS", 50)
    monkeypatch.setitem(connections._SESSION, "lock_timeout", "50")
    refused = 0

    def told(*_: object) -> None:
        nonlocal refused
        if not refused:
            with pytest.raises(Refused):
                writer.add([make_read("LATE1", NOW)])
            refused += 1

    with closing(both.source.open()) as writer:
        both.move(told)
    assert refused


def test_what_is_not_the_same_is_told_and_mended_by_the_next(both: Both) -> None:
    def tamper(what: str, name: str, *_: int) -> None:
        if (what, name) == ("copied", "counters"):
            both.target.rows("UPDATE holds SET authority = 'another'")

    done = both.move(tamper)
    assert [one.name for one in done if one.at_source != one.at_target] == ["holds"]
    with pytest.raises(InputError, match="is being filled"):
        both.target.open()
    assert both.whole()


def test_rows_come_in_pages_of_any_size(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(both.side(both.source)) as source, closing(both.side(both.target)) as target:
        for batch in (1, 2, 9, 10):
            reads = READS._replace(batch=batch)
            fill(source, target, reads, nothing)
            assert source.rows(READS, None, None) == target.rows(READS, None, None)
