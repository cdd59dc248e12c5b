"""A node in New Hampshire: what met nothing goes after three minutes, hits and held reads stay."""

import asyncio
import secrets
from pathlib import Path
from typing import Any

from accord.hot_lists import HotListEntry
from accord.model import ExactPlate, HitsOf, Window
from node import metrics
from node.holds import Hold, Note
from node.leap import Leap, machine_counter
from node.purging import Purging
from node.retention_records import RetentionRecords
from tests.conftest import HOUR_MS, PLATE, Federation, read_at
from tests.hot_lists import hold as put_list
from tests.integration.test_due_data import with_policy
from tests.integration.test_law import MINUTE_MS, asked, two

OTHER = "9TST555"


def place(federation: Federation, plate: str) -> Hold:
    now = federation.clock.now_ms()
    one = Hold(
        "hold-00000001", "26-1", "order 7", "R. Roe", 0, now + HOUR_MS, now, now + HOUR_MS, plate
    )
    note = Note(secrets.token_hex(16), "held", one.case, f"{one.hold_id} of a plate, by R. Roe")
    federation.nodes["city"].context.store.holds.place(one, note)
    return one


async def test_a_hit_is_given_to_a_search_for_hits_and_a_held_read_to_nobody(
    tmp_path: Path,
) -> None:
    async with two(tmp_path, "NH police", "NH police") as federation:
        city, now = federation.nodes["city"].context, federation.clock.now_ms()
        old = now - 4 * MINUTE_MS
        put_list(
            city.store, HotListEntry("stolen", "bureau", PLATE, "CA", "stolen-vehicle", now, 60)
        )
        # One more of the plate, now that it is listed; and one of a plate that is held.
        city.store.add([read_at(old), read_at(old, OTHER), read_at(old, "9TST556")])
        # It only looks like the one listed: a possible hit, for three minutes.
        assert city.store.add([read_at(old, PLATE.replace("0", "O"))]).hits == 1
        place(federation, OTHER)
        wide = Window(now - HOUR_MS, now + MINUTE_MS)

        async def rows(agency: str, **changes: Any) -> int:
            return int((await asked(federation, agency, "city", window=wide, **changes)).rows)

        for _ in ("before the purge", "after it"):
            for agency in ("city", "harbor"):
                assert await rows(agency) == 1
                assert await rows(agency, selector=ExactPlate(OTHER, "CA")) == 0
            assert await rows("city", selector=HitsOf(ExactPlate(PLATE, "CA"))) == 1
            await Purging(city, Leap(federation.files.folder("city") / "data", city.clock)).purge()
            counts = city.store.counts()
            # The recent read, the hit, the held one.
            assert (counts.reads, counts.hits) == (3, 1)


async def test_past_the_days_of_the_policy_a_read_is_hidden_at_once(
    federation: Federation,
) -> None:
    now = federation.clock.now_ms()
    federation.nodes["city"].context.store.add([read_at(now - 2 * 24 * HOUR_MS, OTHER)])

    async def rows() -> int:
        return int((await asked(federation, "harbor", "city", selector=ExactPlate(OTHER))).rows)

    assert await rows() == 1
    with_policy(federation, "city", "reads_days = 730", "reads_days = 1")
    assert await rows() == 0
    assert len(federation.nodes["city"].context.store.kept(OTHER, 9, now)) == 1


async def test_each_note_is_recorded_once_and_names_no_plate(tmp_path: Path) -> None:
    async with two(tmp_path, "NH police", "NH police") as federation:
        city = federation.nodes["city"].context
        place(federation, OTHER)
        (note,) = city.store.holds.notes()
        for _ in range(2):
            await RetentionRecords(city).record()
            # As if the node had stopped before the note was removed.
            if not city.store.holds.notes():
                city.store.holds.note(note)
        records = [one.fields for one in city.audit.entries() if one.kind == "retention"]
        assert [(one["decision"], one["case"]) for one in records] == [("held", "26-1")]
        assert OTHER not in repr(records)


async def test_the_serving_node_stops_with_the_clock_and_tells_of_each_purge(
    federation: Federation,
) -> None:
    city = federation.nodes["city"].context
    city.store.add([read_at(federation.clock.now_ms() - 800 * 24 * HOUR_MS, OTHER)])
    counter = machine_counter()[0]
    leap = Leap(federation.files.base / "other", city.clock, lambda: (counter, "boot"))
    purging = Purging(city, leap)
    await purging.look()
    counter -= 2 * 24 * HOUR_MS
    await purging.purge()
    assert purging.stop is not None
    assert len(city.store.kept(OTHER, 9, federation.clock.now_ms())) == 1
    figures = metrics.exposition(city, "main", (), purging).decode()
    assert "accord_purge_stopped 1.0" in figures
    assert "accord_purge_timestamp" not in figures
    leap.confirm(lambda *_: None, "R. Roe")
    await purging.purge()
    assert city.store.kept(OTHER, 9, federation.clock.now_ms()) == []
    figures = metrics.exposition(city, "main", (), purging).decode()
    assert "accord_purge_stopped 0.0" in figures
    assert "accord_purge_timestamp" in figures
    await asyncio.sleep(2.5)
    (entry,) = [one.fields for one in city.audit.entries() if one.kind == "purge"]
    assert entry["detail"].startswith("1 reads, 0 photos")
    assert entry["detail"].endswith("on schedule")
    stops = [one.fields["decision"] for one in city.audit.entries() if one.kind == "retention"]
    assert stops == ["purge stopped"]
