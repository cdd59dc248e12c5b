"""Receipts are kept beside the results, listed, written as tlog-proofs, and held against a log."""

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from accord.audit import proof
from accord.audit.checkpoint import verifier_key
from accord.audit.export_file import export
from accord.audit.file import LogFile
from accord.audit.kept import read_receipts
from accord.audit.leaf import Record
from accord.audit.log import AuditLog, Entry
from accord.audit.reader import AuditReader
from accord.audit.receipt_text import receipt_text
from accord.cli.audit import app
from accord.client_config import ReceiptsConfig
from accord.clock import SystemClock
from accord.errors import InputError, Unverified
from accord.keys import ED25519, PrivateKey
from accord.model import Receipt
from accord.processes import guarded
from accord.receipt_store import Receipted, ReceiptStore

DAY_MS = 86_400_000
SECRET = bytes(range(32))


class Stopped:
    """A clock that a test moves."""

    ms = 1_790_000_000_000

    def now_ms(self) -> int:
        return self.ms


class City:
    """The owner's log, with three answers in it, and the receipts that were given for them."""

    def __init__(self, folder: Path, key: PrivateKey | None = None, answers: int = 3) -> None:
        self.key = key or PrivateKey.generate(ED25519)
        self.place = LogFile(folder / "audit.db")
        log = AuditLog.open(
            self.place, origin="city/node", key=self.key, secret=SECRET, clock=SystemClock()
        )
        self.receipts = [self._answer(log, number) for number in range(answers)]
        log.close()

    def _answer(self, log: AuditLog, number: int) -> Receipted:
        query, answer = (
            hashlib.sha256(f"{what} {number}".encode()).digest() for what in ("query", "answer")
        )
        said = {"plate": f"7INV{number:03}", "agency": "harbor", "query_digest": query.hex()}

        async def both() -> Entry:
            await log.append(Record("query", said))
            return await log.append(Record("answer", said | {"answer_digest": answer.hex()}))

        entry = asyncio.run(both())
        salts = entry.salts["query_digest"], entry.salts["answer_digest"]
        receipt = Receipt("city/node", entry.leaf, *salts, entry.proof())
        index = 2 * number + 1
        keys = (self.key.public, PrivateKey.generate().public)
        return Receipted("city", receipt, index, query, answer, f"{number:032x}", number, keys)

    def export(self, path: Path) -> Path:
        with AuditReader.open(self.place, SECRET, self.key.public) as reader:
            export(reader, path)
        return path

    @property
    def public(self) -> str:
        return verifier_key("city/node", self.key.public)


@pytest.fixture
def city(tmp_path: Path) -> City:
    (tmp_path / "city").mkdir()
    return City(tmp_path / "city")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "client.toml"
    path.write_text(
        f'agency = "harbor"\nroot = "sha256:{"0" * 64}"\nfederation = "federation"\n'
        'credential = "c.json"\nofficer_key = "o.pem"\nbroker = "spiffe://county/broker/main"\n'
        f'broker_root = "sha256:{"1" * 64}"\n[tls]\ncertificate = "c.crt"\nkey = "c.pem"\n'
    )
    return path


@pytest.fixture
def accord(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*args: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            guarded(lambda: app([str(arg) for arg in args], standalone_mode=False))
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def kept(tmp_path: Path, *receipts: Receipted) -> ReceiptStore:
    store = ReceiptStore(ReceiptsConfig(tmp_path / "receipts"), SystemClock())
    assert store.keep(receipts) == []
    return store


def test_a_receipt_is_kept_once_and_holds_no_plate(city: City, tmp_path: Path) -> None:
    with kept(tmp_path, *city.receipts) as store:
        assert store.keep(city.receipts[:1]) == []
        found = store.receipts()
    assert [(one.index, one.check()) for one in found] == [(1, ""), (3, ""), (5, "")]
    assert found[0].receipt == city.receipts[0].receipt
    assert found[0].keys == city.public
    path = tmp_path / "receipts" / "receipts.db"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert b"7INV" not in b"".join(one.read_bytes() for one in path.parent.iterdir())


def test_receipts_stay_unless_the_agency_says_how_long(city: City, tmp_path: Path) -> None:
    clock = Stopped()
    for days, left in ((None, [1, 3, 5]), (1825, [5])):
        folder = tmp_path / str(days)
        with ReceiptStore(ReceiptsConfig(folder, days), clock) as store:
            clock.ms = Stopped.ms
            store.keep(city.receipts[:2])
            clock.ms += 1825 * DAY_MS
            store.keep(city.receipts[2:])
            assert [one.index for one in store.receipts()] == left


def test_two_records_at_one_entry_are_told_and_both_are_kept(
    city: City, tmp_path: Path, config: Path, accord: Callable[..., tuple[int, str, str]]
) -> None:
    (tmp_path / "again").mkdir()
    again = City(tmp_path / "again", city.key)
    with kept(tmp_path, *city.receipts[:1]) as store:
        (told,) = store.keep(again.receipts[:1])
        assert "city/node gave receipts for two records at entry 1: it keeps two logs" in told
        assert len(store.receipts()) == 2
    status, out, _ = accord("receipts", "--config", config)
    assert (status, out.count("it keeps two logs")) == (4, 2)
    (tmp_path / "out").mkdir()
    accord("receipts", "--config", config, "--export", tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_the_folder_is_its_users_alone(tmp_path: Path) -> None:
    (tmp_path / "receipts").mkdir(mode=0o755)
    with pytest.raises(InputError, match="can be read by other users; chmod 700"):
        ReceiptStore(ReceiptsConfig(tmp_path / "receipts"), SystemClock())


def test_receipts_are_listed_and_what_is_wrong_is_told(
    city: City, tmp_path: Path, config: Path, accord: Callable[..., tuple[int, str, str]]
) -> None:
    assert accord("receipts", "--config", config)[:2] == (0, "No receipt is kept here.\n")
    kept(tmp_path, *city.receipts).close()
    status, out, err = accord("receipts", "--config", config)
    assert (status, err, out.count("proves it")) == (0, "", 3)
    with sqlite3.connect(tmp_path / "receipts" / "receipts.db") as sql:
        # The receipts of two answers change places.
        sql.execute("UPDATE receipts SET query_digest = (SELECT query_digest FROM receipts"
                    " WHERE receipt_id = 2) WHERE receipt_id = 1")  # fmt: skip
        sql.execute("UPDATE receipts SET idx = 4 WHERE receipt_id = 3")
    sql.close()
    status, out, _ = accord("receipts", "--config", config, "--json")
    said = [one["problem"] for one in json.loads(out)["receipts"]]
    assert status == 4
    assert said == [
        "the receipt of city: it is not for this answer", None, "it proves entry 5, not 4",
    ]  # fmt: skip
    out_folder = tmp_path / "out"
    out_folder.mkdir()
    status, out, err = accord("receipts", "--config", config, "--export", out_folder)
    assert (status, [one.name for one in out_folder.iterdir()]) == (4, ["city-node-3-2.tlog-proof"])
    assert "receipt 1 is not written: the receipt of city: it is not for this answer" in err


def test_a_receipt_as_text_is_a_tlog_proof_that_opens_its_entry(city: City, tmp_path: Path) -> None:
    one = city.receipts[1]
    text = receipt_text(one.receipt, one.query_digest, one.answer_digest)
    given = proof.parse(text)
    assert text.startswith(b"c2sp.org/tlog-proof@v1\nextra ")
    assert (given.index, given.checkpoint) == (3, proof.parse(one.receipt.proof).checkpoint)
    assert b"7INV" not in given.extra
    file = tmp_path / "one"
    file.write_bytes(text)
    (found,) = read_receipts(file, "city/node", city.key.public)
    assert found.entry is not None
    assert found.entry.fields == {
        "query_digest": one.query_digest.hex(), "answer_digest": one.answer_digest.hex(),
    }  # fmt: skip
    assert {"kind", "time", "plate", "agency"} <= set(found.entry.alone)


@pytest.fixture
def written(
    city: City, tmp_path: Path, config: Path, accord: Callable[..., tuple[int, str, str]]
) -> list[Path]:
    kept(tmp_path, *city.receipts).close()
    (tmp_path / "out").mkdir()
    status, out, err = accord("receipts", "--config", config, "--export", tmp_path / "out")
    assert (status, err) == (0, "")
    return [Path(line) for line in out.splitlines()]


def test_written_receipts_are_held_against_the_exported_log(
    city: City, tmp_path: Path, config: Path, written: list[Path],
    accord: Callable[..., tuple[int, str, str]],
) -> None:  # fmt: skip
    log = city.export(tmp_path / "city.jsonl")
    options = [word for file in written for word in ("--receipt", file)]
    status, out, err = accord("verify", log, "--public", city.public, *options)
    assert (status, err, out) == (0, "", "city/node: 6 entries, ok\n")
    together = tmp_path / "all.tlog-proof"
    assert accord("receipts", "--config", config, "--export", together)[0] == 0
    assert together.read_bytes() == b"".join(file.read_bytes() for file in written)
    assert accord("verify", log, "--public", city.public, "--receipt", together)[0] == 0
    status, _, err = accord("receipts", "--config", config, "--export", together)
    assert (status, "is there already" in err) == (2, True)


def opened(file: Path) -> proof.TlogProof:
    return proof.parse(file.read_bytes())


def test_what_one_receipt_opens_with_the_proof_of_another_is_named(
    city: City, tmp_path: Path, written: list[Path], accord: Callable[..., tuple[int, str, str]]
) -> None:
    log = city.export(tmp_path / "city.jsonl")
    first, second = (opened(file) for file in written[:2])
    bad = tmp_path / "swapped.tlog-proof"

    def said(extra: bytes) -> str:
        swapped = proof.TlogProof(first.index, first.hashes, first.checkpoint, extra)
        bad.write_bytes(swapped.to_bytes())
        status, out, err = accord("verify", log, "--public", city.public, "--receipt", bad)
        assert (status, out) == (4, "")
        return err

    where = f"{bad}, receipt 1"
    assert f"{where}: the extra line opens another entry" in said(second.extra)
    moved = second.extra.replace(b'"index":3', b'"index":1')
    assert f"{where}: what it opens is not entry 1, which it proves" in said(moved)
    altered = first.extra.replace(city.receipts[0].query_digest.hex().encode(), b"0" * 64)
    assert f"{where}: the extra line: its fields do not make its leaf" in said(altered)


def test_a_receipt_of_another_log_and_of_one_that_was_cut_back(
    city: City, tmp_path: Path, written: list[Path], accord: Callable[..., tuple[int, str, str]]
) -> None:
    (tmp_path / "short").mkdir()
    short = City(tmp_path / "short", city.key, answers=1)
    log = short.export(tmp_path / "short.jsonl")
    status, out, _ = accord("verify", log, "--public", city.public, "--receipt", written[2])
    assert status == 4
    assert "entry 2: is missing" in out
    assert f"{written[2]}, receipt 1 is signed for" in out
    # Written anew with its stolen key.
    status, out, _ = accord("verify", log, "--public", city.public, "--receipt", written[0])
    assert status == 4
    assert f"entry 1: is not what was receipted: {written[0]}, receipt 1" in out
    other = tmp_path / "other"
    other.write_bytes(written[0].read_bytes().replace(b"city/node", b"port/node"))
    status, _, err = accord("verify", log, "--public", city.public, "--receipt", other)
    assert status == 4
    assert "receipt 1: it is of entry 1 of the log port/node, not of city/node" in err


def test_an_extra_line_of_others_is_no_opening(city: City, tmp_path: Path) -> None:
    given = proof.parse(city.receipts[0].receipt.proof)
    file = tmp_path / "one"
    file.write_bytes(
        proof.TlogProof(given.index, given.hashes, given.checkpoint, b"hello").to_bytes()
    )
    with pytest.raises(Unverified, match="receipt 1: the extra line: is not in the form"):
        read_receipts(file, "city/node", city.key.public)
