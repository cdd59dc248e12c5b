"""Dead letters of the ways: never parsed from their start alone, none lost for want of room."""

import asyncio
import io
import json
import sqlite3
import time
from collections.abc import Awaitable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlite_utils import Database
from structlog.testing import capture_logs

from accord.errors import Code, InputError, Refused
from accord.testing import FixedClock
from node.ingest.dead import Retried, retry
from node.ingest.report import MAX_CONTENT
from node.photos import Photos
from node.store import dead
from node.store.base import DeadLetter, ReadStore
from node.store.migrations import MIGRATIONS
from node.store.sqlite import SqliteStore
from node.ways.config import WebhookSource
from node.ways.intake import Intake, settings_of

NOW = 1_772_353_800_000
MAPPING = (
    'format = "accord-mapping/1"\nplate = "{plate}"\ntime = "seen"\ntime_format = "iso"\n'
    'camera = "camera"\n{more}'
)
ZONE = 'zone = "America/Los_Angeles"\n'
ROWS = 3000


class Gate:
    """A source's intake on a store of its own, whose mapping can be mended."""

    def __init__(self, folder: Path, store: ReadStore) -> None:
        self.folder = folder
        self.store = store
        self.photos = Photos(folder / "photos")

    def source(self, form: str) -> WebhookSource:
        return WebhookSource(
            name="gate", way="webhook", listen="localhost:1", certificate="a", key="b", token="c",
            format=form, mapping="m.toml",
        )  # fmt: skip

    def intake(self, form: str, *, plate: str = "plate", more: str = "") -> Intake:
        (self.folder / "m.toml").write_text(MAPPING.format(plate=plate, more=more))
        source = self.source(form)
        settings = settings_of(source, self.folder)
        clock = FixedClock(NOW)
        return Intake(source, settings, self.store, self.photos, clock, bands={}, kept=lambda: None)

    def again(self, form: str, *, more: str = "") -> Retried:
        settings = self.intake(form, more=more).settings
        return retry(self.store, self.photos, lambda _: settings, source="gate")

    def letters(self) -> int:
        return sum(count.letters for count in self.store.dead_counts())


@pytest.fixture
def gate(tmp_path: Path, store: ReadStore) -> Gate:
    return Gate(tmp_path, store)


def table(rows: int) -> bytes:
    lines = (f"2026-03-01T08:30:00Z,PIER-1,TEST{n:05}\n" for n in range(rows))
    return ("seen,camera,plate\n" + "".join(lines)).encode()


def local(n: int, *, long: bool = False) -> dict[str, object]:
    """Return a record without a zone; a long one not by a picture, which would be left out."""
    more = {"notes": ["x" * 99] * 1000} if long else {}
    return {**more, "plate": f"TEST{n:03}", "seen": "2026-03-01T08:30:00", "camera": "PIER-1"}


def test_a_long_document_refused_whole_is_kept_whole(gate: Gate) -> None:
    content = table(ROWS)
    assert len(content) > MAX_CONTENT
    with pytest.raises(InputError):
        gate.intake("csv", plate="tag").document(content)
    (letter,) = gate.store.dead(0, "gate", "", 9)
    assert letter.content == content
    done = gate.again("csv")
    assert (done.gone, done.report.taken, gate.letters()) == (1, ROWS, 0)


def test_the_start_of_a_record_is_never_parsed(gate: Gate) -> None:
    stump = table(ROWS)[:MAX_CONTENT]
    gate.store.add_dead([DeadLetter("gate", "csv", "no column tag", NOW, stump, cut=True)])
    for _ in range(2):
        done = gate.again("csv")
        assert (done.letters, done.gone, gate.store.counts().reads) == (1, 0, 0)
        (letter,) = gate.store.dead(0, "gate", "", 9)
        assert letter.content == stump
        assert letter.reason.count("only its start is kept") == 1
        assert letter.reason.endswith("no column tag")


def test_a_long_record_of_a_document_keeps_the_document(gate: Gate) -> None:
    content = "\n".join(json.dumps(local(n, long=True)) for n in range(2)).encode()
    gate.intake("json").document(content)
    assert gate.letters() == 1
    done = gate.again("json", more=ZONE)
    assert (done.gone, done.report.taken, gate.letters()) == (1, 2, 0)


def test_a_long_record_of_a_stream_is_left_to_who_has_it(gate: Gate) -> None:
    content = json.dumps(local(1, long=True)).encode()
    intake = gate.intake("json")
    with pytest.raises(InputError, match="too long to keep"):
        intake.stream(io.BytesIO(content))
    assert gate.again("json", more=ZONE).gone == 0
    intake.stream(io.BytesIO(json.dumps(local(2)).encode()))  # a short one waits


def csv_of(row: str) -> bytes:
    return f"seen,camera,plate,what\n{row}\n".encode()


# Records of which a letter keeps a part alone; each has its plate behind what is left out.
LONG = {
    "json": b'{"thumb": "%b", "plate": "TEST001", "seen": nope}' % (b"A" * 80_000),
    "json: short, but with a text left open": b'{"thumb": "%b, "plate": "TEST001"}' % (b"A" * 9000),
    "csv": csv_of("2026-03-01T08:30:00,PIER-1,TEST001," + "A" * 17_000),
    "autovu": b"<Read><Image>%b</Image><plate>TEST001</plate><seen></Read>" % (b"A" * 80_000),
    "autovu: no end": b"<Read><Image>%b<plate>TEST001</plate>" % (b"A" * 80_000),
}


@pytest.mark.parametrize("case", LONG)
def test_a_record_kept_in_part_is_cut_whatever_its_length_and_format(gate: Gate, case: str) -> None:
    form, more = case.partition(":")[0], 'record = "Read"\n' if case.startswith("autovu") else ""
    intake = gate.intake(form, more=more)
    with pytest.raises(InputError, match="too long to keep"):
        intake.stream(io.BytesIO(LONG[case]))
    (letter,) = gate.store.dead(0, "gate", "", 9)
    assert letter.cut
    assert "only its start is kept" in letter.reason
    assert len(letter.content) < len(LONG[case])
    gate.store.remove_dead([letter.letter_id])
    intake.document(LONG[case])  # who sent this has nobody else to keep it
    (letter,) = gate.store.dead(0, "gate", "", 9)
    assert (letter.content, letter.cut) == (LONG[case], False)


def test_a_whole_record_as_long_as_a_letter_may_be_is_tried_again(gate: Gate) -> None:
    record = local(1) | {"notes": ["x" * 4000] * 16, "more": ""}
    record["more"] = "x" * (MAX_CONTENT - len(json.dumps(record)))
    content = json.dumps(record).encode()
    assert len(content) == MAX_CONTENT
    gate.intake("json").stream(io.BytesIO(content))
    assert gate.again("json", more=ZONE).gone == 1


def test_a_start_that_reads_as_a_whole_record_is_a_letter_of_its_own(gate: Gate) -> None:
    whole = DeadLetter("gate", "json", "no zone", NOW, json.dumps(local(1)).encode())
    for letter in (whole, replace(whole, cut=True), whole, replace(whole, cut=True)):
        assert gate.store.add_dead([letter]) == 0
    assert [letter.cut for letter in gate.store.dead(0, "gate", "", 9)] == [False, True]
    assert gate.again("json", more=ZONE).gone == 1
    assert [letter.cut for letter in gate.store.dead(0, "gate", "", 9)] == [True]


def test_letters_from_before_are_cut_where_they_are_as_long_as_a_start(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as old, old:
        MIGRATIONS.apply(Database(old), stop_before="008-cut-letters")
        for number, size in enumerate((MAX_CONTENT - 1, MAX_CONTENT, MAX_CONTENT + 1)):
            old.execute(
                "INSERT INTO dead_letters (digest, source, format, reason, arrived_ms, content) "
                "VALUES (?, 'gate', 'csv', 'why', 0, zeroblob(?))",
                (bytes([number]), size),
            )
    store = SqliteStore.open(path)
    assert [letter.cut for letter in store.dead(0, "", "", 9)] == [False, True, False]
    store.close()


def test_without_room_nothing_is_acknowledged_until_there_is_some(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead, "MAX_LETTERS", 2)
    intake = gate.intake("json")
    for n in range(2):
        intake.document(json.dumps(local(n)).encode())
    with capture_logs() as logs:
        for n in (2, 3):
            with pytest.raises(Refused, match="STORE_UNAVAILABLE"):
                intake.document(json.dumps(local(n)).encode())
        intake.document(json.dumps(local(4) | {"seen": "2026-03-01T08:30:00Z"}).encode())
        with pytest.raises(Refused):
            intake.document(b"no document at all")
    assert [line["source"] for line in logs] == ["gate"]
    assert "TEST" not in str(logs)
    assert (intake.account.records["no room"], intake.account.records["taken"]) == (3, 1)
    assert gate.again("json", more=ZONE).gone == 2
    intake.document(json.dumps(local(2)).encode())
    assert gate.letters() == 1


def test_the_bytes_of_a_source_are_bounded_too(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead, "MAX_BYTES", 10)
    letters = [DeadLetter("gate", "csv", "why", NOW, b"%d" % n * 4) for n in range(3)]
    assert gate.store.add_dead(letters) == 1
    assert gate.store.add_dead([DeadLetter("gate", "csv", "why", NOW, b"12")]) == 0
    assert gate.store.add_dead([DeadLetter("gate", "csv", "why", NOW, b"3")]) == 1


async def test_who_waits_while_the_store_fails_is_refused_at_once(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake, tries = gate.intake("json", more=ZONE), []

    def locked(*_: object) -> None:
        tries.append(1)
        time.sleep(0.2)  # all others are in the queue by then
        raise Refused(Code.STORE_UNAVAILABLE, detail="locked")

    def given(number: int) -> Awaitable[None]:
        return intake.run(lambda: intake.document(json.dumps(local(number)).encode()))

    with monkeypatch.context() as broken:
        broken.setattr(type(gate.store), "add", locked)
        found = await asyncio.gather(*map(given, range(5)), return_exceptions=True)
        assert [getattr(one, "code", None) for one in found] == [Code.STORE_UNAVAILABLE] * 5
        assert len(tries) == 1
        with pytest.raises(Refused):
            await given(1)  # who comes later has a try of its own
        assert len(tries) == 2
    await given(1)
    assert intake.account.records["taken"] == 1
    await intake.close()
