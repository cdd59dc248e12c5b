"""Dead letters of the ways: never parsed from their start alone, none lost for want of room."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from accord.errors import InputError, Refused
from accord.testing import FixedClock
from node.ingest.dead import Retried, retry
from node.ingest.report import MAX_CONTENT
from node.photos import Photos
from node.store import dead
from node.store.base import DeadLetter
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

    def __init__(self, folder: Path, store: SqliteStore) -> None:
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
def gate(tmp_path: Path) -> Iterator[Gate]:
    store = SqliteStore.open(tmp_path / "reads.db")
    yield Gate(tmp_path, store)
    store.close()


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
    gate.store.add_dead([DeadLetter("gate", "csv", "no column tag", NOW, stump)])
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
