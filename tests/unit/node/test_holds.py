"""Legal holds: no read outlives its date unless held, no held read goes early."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.agreements.law.rules import Covers, Retention
from accord.agreements.policy import RetentionDays
from accord.agreements.retention import DAY_MS, DataKind, Facts, due, limits
from accord.agreements.terms import OPEN, Withholding
from accord.hot_lists import HotListEntry
from accord.model import AreaBox, ExactPlate, Read, Window
from node.holds import Hold, Note
from node.photos import Photos
from node.retention import purge
from node.store.base import HitSearch, ReadStore, Search
from tests.examples import few_and_many
from tests.hot_lists import hold as put_list
from tests.stores import Stores
from tests.unit.accord.agreements.test_retention import with_demands

NOW = 1_760_000_000_000
SPAN = 20
DAYS = limits(RetentionDays(10, 10, 10, 5), ())
BOX = AreaBox(0, 0, 100, 100)
Make = Callable[..., Read]


def note() -> Note:
    return Note(secrets.token_hex(16), "held", "26-1", "")


def a_hold(**changes: object) -> Hold:
    fields: dict[str, object] = {
        "hold_id": f"hold-{secrets.token_hex(4)}", "case": "26-1", "authority": "order 7",
        "by": "J. Roe", "from_ms": 0, "to_ms": NOW + 99 * DAY_MS, "placed_ms": NOW,
        "until_ms": NOW + 30 * DAY_MS, "plate": "KEPT1",
    }  # fmt: skip
    return Hold(**(fields | changes))  # type: ignore[arg-type]  # checked by the class


moments = st.integers(0, SPAN).map(lambda days: NOW - days * DAY_MS)
plates = st.sampled_from(["KEPT1", "KEPTI", "GONE1"])
places = st.sampled_from([(None, None), (0, 100), (50, 50), (101, 50), (-1, 3)])
cameras = st.sampled_from(["CAM-1", "CAM-2"])
reads = st.lists(st.tuples(plates, moments, places, cameras), max_size=12)
targets = st.one_of(
    plates.map(lambda plate: {"plate": plate}),
    cameras.map(lambda camera: {"plate": "", "camera": camera}),
    st.just({"plate": "", "area": BOX}),
)
holds = st.lists(st.tuples(targets, moments, moments, st.integers(-3, 3)), max_size=4)
demands = st.lists(
    st.builds(
        Retention,
        st.sampled_from([180_000, 3 * DAY_MS, 12 * DAY_MS]),
        st.just(""),
        st.sampled_from([frozenset(Covers), frozenset({Covers.READS})]),
    ),
    max_size=2,
)
few = st.integers(0, SPAN)


draws = given(reads, holds, st.builds(RetentionDays, few, few, few, st.none() | few), demands)


@few_and_many(draws, 12, 60)
def test_no_read_outlives_its_date_unless_held_and_no_held_read_goes_early(
    stores: Stores,
    some: list[tuple[str, int, tuple[int | None, int | None], str]],
    held: list[tuple[dict[str, object], int, int, int]],
    days: RetentionDays,
    law: list[Retention],
) -> None:
    kept = limits(days, with_demands(law))
    with TemporaryDirectory() as folder, stores.place(Path(folder)) as place:
        store = place.open()
        put_list(store, HotListEntry("stolen", "bureau", "KEPT1", "CA", "stolen", NOW, 60))
        all_reads = [
            Read(plate, plate, "CA", at, camera, number.to_bytes(16, "big"), *place)
            for number, (plate, at, place, camera) in enumerate(some)
        ]
        store.add(all_reads)
        all_holds = [
            a_hold(**of, from_ms=min(one, other), to_ms=max(one, other),
                   until_ms=NOW + until * DAY_MS)
            for of, one, other, until in held
        ]  # fmt: skip
        for one in all_holds:
            store.holds.place(one, note())
        purge(store, Photos(Path(folder) / "photos"), kept, NOW, dry_run=False)
        left = {
            row
            for plate in ("KEPT1", "KEPTI", "GONE1")
            for row in (stored.read.source_id for stored in store.search(search(plate)).rows)
        }
        hits = {row.read.source_id for row in store.hot_lists.search_hits(hit_search()).page.rows}
        in_force = [one for one in store.holds.all() if one in all_holds]
        store.close()
    assert in_force == sorted(
        (one for one in all_holds if one.until_ms > NOW), key=lambda one: one.hold_id
    )
    for read in all_reads:
        # KEPTI looks alike: a possible hit, which lifts no law.
        facts = Facts(read.captured_ms, hit=read.plate == "KEPT1")
        is_held = any(one.holds(read, NOW) for one in all_holds)
        on_time = due(DataKind.READS, facts, kept).due_ms >= NOW
        assert (read.source_id in left) is (on_time or is_held)
        if read.plate != "GONE1":
            of_hit = due(DataKind.HITS, facts, kept).due_ms >= NOW
            assert (read.source_id in hits) is (of_hit or is_held)


def search(plate: str, earliest_ms: int = 0) -> Search:
    window = Window(0, NOW + DAY_MS)
    return Search(ExactPlate(plate), window, OPEN, Withholding(), earliest_ms, 100)


def hit_search(earliest_ms: int = 0, alike_from_ms: int = 0) -> HitSearch:
    window = Window(0, NOW + DAY_MS)
    of = ExactPlate("KEPT1")
    return HitSearch(of, window, OPEN, Withholding(), earliest_ms, 100, alike_from_ms=alike_from_ms)


def test_a_read_captured_later_is_held_too_and_its_photo_stays(
    store: ReadStore, make_read: Make, tmp_path: Path
) -> None:
    photos = Photos(tmp_path / "data" / "photos")
    assert store.holds.place(a_hold(), note()) == 0
    name = "ab" * 32
    store.add(
        [make_read("KEPT1", NOW - 20 * DAY_MS, photo=name), make_read("GONE1", NOW - 20 * DAY_MS)]
    )
    dry = purge(store, photos, DAYS, NOW, dry_run=True)
    assert (dry.reads, dry.photos) == (1, 0)
    assert purge(store, photos, DAYS, NOW, dry_run=False) == dry
    (row,) = store.search(search("KEPT1")).rows
    assert row.read.photo == name
    # Past its date it is hidden: queries ask from the date on.
    assert store.search(search("KEPT1", NOW - 10 * DAY_MS)).rows == ()
    (told,) = store.kept("KEPT1", 10, NOW)
    assert told.holds == (store.holds.all()[0].hold_id,)


@pytest.mark.parametrize("how", ["released", "over"])
def test_what_a_hold_kept_goes_after_it_and_no_byte_of_either_is_left(
    store: ReadStore, make_read: Make, tmp_path: Path, how: str
) -> None:
    photos = Photos(tmp_path / "data" / "photos")
    one = a_hold(plate="CANARY1", authority="CANARYORDER", until_ms=NOW + 30 * DAY_MS)
    assert store.holds.place(one, note()) == 0
    store.add([make_read("CANARY1", NOW - 20 * DAY_MS)])
    assert purge(store, photos, DAYS, NOW, dry_run=False).reads == 0
    later = one.until_ms - 1
    assert purge(store, photos, DAYS, later, dry_run=False).reads == 0
    if how == "released":
        store.holds.release(one.hold_id, note())
        store.holds.release(one.hold_id, note())  # gone already: nothing, and no second note
    else:
        later += 1
    assert purge(store, photos, DAYS, later, dry_run=False).reads == 1
    assert store.holds.all() == ()
    assert len(store.holds.notes()) == 2
    for path in (tmp_path / "data").rglob("*"):
        assert not path.is_file() or b"CANARY" not in path.read_bytes()


@pytest.mark.parametrize(
    ("at", "spot", "is_held"),
    [(-1, 50, False), (0, 50, True), (9, 50, True), (10, 50, False), (5, 0, True), (5, 100, True),
     (5, 101, False), (5, -1, False), (5, None, False)],
)  # fmt: skip
def test_the_edges_of_a_hold(
    store: ReadStore, make_read: Make, tmp_path: Path, at: int, spot: int | None, is_held: bool
) -> None:
    first = NOW - 20 * DAY_MS
    store.holds.place(a_hold(plate="", area=BOX, from_ms=first, to_ms=first + 10), note())
    read = make_read("KEPT1", first + at, lat_e7=spot, lon_e7=spot)
    store.add([read])
    purge(store, Photos(tmp_path / "data" / "photos"), DAYS, NOW, dry_run=False)
    (one,) = store.holds.all()
    assert one.holds(read, NOW) is is_held
    assert store.counts().reads == is_held


def test_notes_are_there_until_they_are_forgotten(store: ReadStore) -> None:
    one, other = note(), replace_note("other")
    store.holds.note(one)
    store.holds.note(other)
    assert list(store.holds.notes()) == [one, other]
    store.holds.forget(one.note_id)
    assert list(store.holds.notes()) == [other]


def replace_note(detail: str) -> Note:
    return note()._replace(detail=detail)


def test_past_the_law_on_reads_a_plate_that_looks_alike_is_no_hit(
    store: ReadStore, make_read: Make
) -> None:
    put_list(store, HotListEntry("stolen", "bureau", "KEPT1", "CA", "stolen", NOW, 60))
    edge = NOW - 180_000
    for at in (edge - 1, edge):
        store.add([make_read("KEPT1", at), make_read("KEPTI", at)])
    page = store.hot_lists.search_hits(hit_search(alike_from_ms=edge)).page
    assert sorted((row.read.plate, row.read.captured_ms - edge) for row in page.rows) == [
        ("KEPT1", -1), ("KEPT1", 0), ("KEPTI", 0),
    ]  # fmt: skip


@pytest.mark.parametrize("changes", [{"plate": ""}, {"camera": "CAM-1"}])
def test_a_hold_is_of_one_thing(changes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="one plate, camera or area"):
        replace(a_hold(), **changes)  # type: ignore[arg-type]  # checked by the class
