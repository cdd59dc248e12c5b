"""Dead letters: kept once, tried again, counted without a plate, and purged like reads."""

import io
from dataclasses import replace
from pathlib import Path

import pytest

from accord.agreements.policy import RetentionDays
from accord.agreements.retention import DAY_MS, limits
from accord.testing import FixedClock
from node.ingest import ingest
from node.ingest.dead import DeadLetters, Retried, retry
from node.ingest.formats import named, records
from node.ingest.mapping import Mapping
from node.ingest.settings import Settings
from node.ingest.sql_rows import SqlRows
from node.photos import Photos
from node.retention import purge
from node.store import dead
from node.store.base import DeadLetter, ReadStore

NOW = 1_772_353_800_000
CSV = b"plate,when\nTEST001,2026-03-01T08:30:00Z\nTEST002,2026-03-01T08:31:00\n"
MAPPING = Mapping(
    format="accord-mapping/1", plate="plate", time="when", time_format="iso", camera=""
)
NO_ZONE = Settings(mapping=MAPPING, camera="GATE")


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    return Photos(tmp_path / "photos")


def take(store: ReadStore, photos: Photos, source: str = "gate", content: bytes = CSV) -> int:
    letters = DeadLetters(store, source, "csv", FixedClock(NOW))
    stream = records(named("csv"), io.BytesIO(content), NO_ZONE)
    report = ingest(stream, store, photos, refused=letters.keep)
    letters.flush()
    return report.taken


def again(store: ReadStore, photos: Photos, zone: str = "", **only: str) -> Retried:
    mapping = MAPPING.model_copy(update={"zone": zone})
    settings = Settings(mapping=mapping, camera="GATE")
    return retry(store, photos, lambda _: settings, **only)


def test_what_is_not_taken_waits_and_is_taken_once_its_reason_is_mended(
    store: ReadStore, photos: Photos
) -> None:
    assert take(store, photos) == 1
    (count,) = store.dead_counts()
    assert (count.source, count.format, count.letters, count.oldest_ms) == ("gate", "csv", 1, NOW)
    assert "TEST002" not in repr(store.dead(0, "", "", 9)) + count.reason
    still = again(store, photos)
    assert (still.letters, still.gone, store.counts().reads) == (1, 0, 1)
    mended = again(store, photos, "America/Los_Angeles")
    assert (mended.letters, mended.gone, mended.report.taken) == (1, 1, 1)
    assert (store.dead_counts(), store.counts().reads) == ((), 2)


def test_a_record_that_comes_again_is_one_letter_per_source(
    store: ReadStore, photos: Photos
) -> None:
    for source in ("gate", "gate", "pier"):
        take(store, photos, source)
    assert sorted((c.source, c.letters) for c in store.dead_counts()) == [("gate", 1), ("pier", 1)]
    zone = "America/Los_Angeles"
    assert again(store, photos, zone, source="nobody").letters == 0
    assert again(store, photos, zone, form="json").letters == 0
    assert again(store, photos, zone, source="pier", form="csv").gone == 1
    assert [c.source for c in store.dead_counts()] == ["gate"]


def test_a_letter_that_no_format_knows_stays_and_costs_no_other(
    store: ReadStore, photos: Photos
) -> None:
    store.add_dead([DeadLetter("gate", "", "not known", NOW, b"\0\0TEST003")])
    store.add_dead([DeadLetter("gate", "csv", "no content", NOW, b"")])
    take(store, photos)
    done = again(store, photos, "America/Los_Angeles")
    assert (done.letters, done.gone) == (3, 1)
    assert "TEST003" not in repr(done)


def test_a_source_gone_mad_fills_no_disk(
    store: ReadStore, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead, "MAX_LETTERS", 2)
    letters = DeadLetters(store, "gate", "csv", FixedClock(NOW))
    more = [DeadLetter("gate", "csv", "why", NOW, b"%d" % n) for n in range(5)]
    assert store.add_dead(more) == 3
    assert store.add_dead(more[:2]) == 0  # there already
    assert store.add_dead([DeadLetter("pier", "csv", "why", NOW, b"1")]) == 0
    assert letters.lost == 0


def test_letters_go_when_a_read_captured_at_their_arrival_goes(
    tmp_path: Path, store: ReadStore, photos: Photos
) -> None:
    take(store, photos)
    days = limits(RetentionDays(30, 30, 30), ())
    assert purge(store, photos, days, NOW + 30 * DAY_MS, dry_run=False).letters == 0
    assert len(store.dead_counts()) == 1
    due = NOW + 30 * DAY_MS + 1
    assert purge(store, photos, days, due, dry_run=True).letters == 1
    assert len(store.dead_counts()) == 1
    assert purge(store, photos, days, due, dry_run=False).letters == 1
    assert store.dead_counts() == ()
    for path in (tmp_path / "data").rglob("reads.db*"):
        assert b"TEST002" not in path.read_bytes()


def test_how_far_a_source_was_read_is_kept(store: ReadStore) -> None:
    assert store.mark("records") == ""
    store.set_mark("records", "1")
    store.set_mark("records", "2")
    assert (store.mark("records"), store.mark("others")) == ("2", "")


def test_a_letter_that_went_while_it_was_tried_is_not_put_back(
    store: ReadStore, photos: Photos
) -> None:
    take(store, photos)
    (letter,) = store.dead(0, "", "", 9)
    store.add_dead([replace(letter, reason="another")])
    assert store.dead(0, "", "", 9) == [replace(letter, reason="another")]
    store.remove_dead([letter.letter_id])  # by a purge, or another retry
    assert store.add_dead([replace(letter, reason="another")]) == 0
    assert store.dead(0, "", "", 9) == []


def test_a_row_waits_without_its_picture(store: ReadStore, photos: Photos) -> None:
    mapping = MAPPING.model_copy(update={"photo_base64": "image", "zone": ""})
    settings = Settings(mapping=mapping, camera="GATE")
    row: dict[str, object] = {
        "image": "A" * 70_000, "plate": "TEST001", "when": "2026-03-01T08:30:00"
    }  # fmt: skip
    letters = DeadLetters(store, "gate", "sql", FixedClock(NOW))
    ingest(SqlRows().rows([row], settings), store, photos, refused=letters.keep)
    letters.flush()
    (letter,) = store.dead(0, "", "", 9)
    assert (letter.cut, b"AAAA" in letter.content) == (False, False)
    assert again(store, photos, "America/Los_Angeles").report.taken == 1
