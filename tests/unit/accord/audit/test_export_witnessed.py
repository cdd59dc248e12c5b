"""Cosignatures and receipts held against an exported log, and against the log itself."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from accord.audit import cosignature
from accord.audit.export_check import check_export
from accord.audit.export_file import Wanted, export
from accord.audit.kept import read_receipts
from accord.audit.proof import TlogProof
from accord.audit.vkeys import WITNESS, NamedKey, read_vkey
from accord.errors import InputError, Unverified
from accord.keys import ED25519, PrivateKey

COUNT = 9
NAME = "city/witness"


@pytest.fixture
def filled(new_book):
    """A log of nine entries, the first six of which a witness has cosigned; its key."""
    book = new_book("log.db")
    log = book.open()

    async def entries() -> None:
        for number in range(COUNT):
            await log.append(book.record(number))

    asyncio.run(entries())
    log.close()
    book.witness = PrivateKey.generate(ED25519)
    notes = {size: bytes(note) for size, note in book.rows("SELECT size, note FROM checkpoints")}
    with sqlite3.connect(book.path) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS cosignatures (size INTEGER NOT NULL, witness BLOB NOT NULL,"
            " line BLOB NOT NULL, PRIMARY KEY (size, witness)) WITHOUT ROWID"
        )
        for size in (3, 6):
            line = cosignature.cosign(notes[size], NAME, book.witness, 1_790_000_000 + size)
            connection.execute(
                "INSERT INTO cosignatures VALUES (?, ?, ?)", (size, NAME.encode(), line.encode())
            )
    connection.close()
    return book


def checked(book, file: Path, receipts=(), witnesses=()):
    return check_export(file, NamedKey("", book.key.public), (), receipts, witnesses)


def written(book, file: Path, wanted=None, witnesses=()) -> Path:
    with book.reader() as reader:
        export(reader, file, wanted, None, witnesses)
    return file


def test_a_witness_key_that_is_known_tells_how_far_the_log_is_cosigned(filled, tmp_path):
    known = NamedKey(NAME, filled.witness.public)
    file = written(filled, tmp_path / "log")
    found = checked(filled, file, witnesses=[known])
    assert (found.problem, dict(found.cosigned), found.ok) == ("", {NAME: 6}, True)
    # Cosigned checkpoints are in the file, also where the entries around them are not.
    part = written(filled, tmp_path / "part", Wanted(7, 8))
    assert checked(filled, part, witnesses=[known]).cosigned == {NAME: 6}
    other = NamedKey(NAME, PrivateKey.generate(ED25519).public)
    found = checked(filled, file, witnesses=[other])
    assert (found.problem, dict(found.cosigned), found.ok) == ("", {NAME: 0}, False)


def test_a_spoilt_cosignature_is_named(filled, tmp_path):
    vkey = cosignature.verifier_key(NAME, filled.witness.public)
    line = cosignature.cosign(
        bytes(filled.rows("SELECT note FROM checkpoints WHERE size = 5")[0][0]),
        NAME, filled.witness, 1_790_000_000,
    )  # fmt: skip
    with sqlite3.connect(filled.path) as connection:
        connection.execute("UPDATE cosignatures SET line = ? WHERE size = 6", (line.encode(),))
    connection.close()
    words = f"the cosignature is not one of {NAME}"
    file = written(filled, tmp_path / "log")
    assert checked(filled, file).problem == ""
    found = checked(filled, file, witnesses=[read_vkey(vkey, WITNESS)])
    assert found.problem.endswith(words)
    # The key in the header does it too, though it vouches for nothing.
    file = written(filled, tmp_path / "with", None, [vkey])
    found = checked(filled, file)
    assert found.problem.endswith(words)
    assert found.cosigned == {}


def receipt(book, index: int, size: int) -> bytes:
    with book.reader() as reader:
        hashes = reader.inclusion(index, size)
    ((note,),) = book.rows("SELECT note FROM checkpoints WHERE size = ?", size)
    return TlogProof(index, tuple(hashes), bytes(note)).to_bytes()


def problems(book, file: Path, kept: Path) -> tuple[str, str]:
    """What is said of the export, and of the log itself."""
    with book.reader() as reader:
        found = reader.verify((), read_receipts(kept, reader.origin, reader.public))
    return checked(book, file, receipts=[kept]).problem, found.problem


def test_the_log_holds_what_was_receipted(filled, tmp_path):
    file, kept = written(filled, tmp_path / "log"), tmp_path / "receipts"
    kept.write_bytes(b"".join(receipt(filled, index, 7) for index in (6, 0, 3)))
    assert problems(filled, file, kept) == ("", "")
    part = written(filled, tmp_path / "part", Wanted(0, 2))
    found = checked(filled, part, receipts=[kept])
    assert found.problem == ""
    assert {one.rpartition(" ")[2] for one in found.untold} == {"1", "2", "3"}
    assert not found.ok


def test_a_receipt_that_does_not_fit_is_named(filled, tmp_path):
    file, kept = written(filled, tmp_path / "log"), tmp_path / "receipts"
    first, second = receipt(filled, 3, 7), receipt(filled, 5, 7)
    swapped = first.replace(b"index 3", b"index 5")
    kept.write_bytes(second + swapped)
    said = "entry 5: is not what was receipted: " + f"{kept}, receipt 2: "
    for problem in problems(filled, file, kept):
        assert problem.startswith(said)
    # A hash more.
    kept.write_bytes(first.replace(b"index 3\n", b"index 3\n" + b"A" * 43 + b"=\n"))
    for problem in problems(filled, file, kept):
        assert problem == (
            f"entry 3: is not what was receipted: {kept}, receipt 1: "
            "the inclusion proof is too long"
        )
    # Another log's checkpoint.
    kept.write_bytes(second + first.replace(b"harbor/node", b"city/node"))
    said = r"receipt 2: it is of entry 3 of the log city/node, not of harbor/node"
    with pytest.raises(Unverified, match=said):
        problems(filled, file, kept)
    kept.write_bytes(b"x" + first)
    with pytest.raises(InputError, match="does not begin with c2sp"):
        problems(filled, file, kept)


def test_a_receipt_tells_of_a_log_that_was_cut_back_or_written_anew(filled, new_book, tmp_path):
    kept = tmp_path / "receipts"
    kept.write_bytes(receipt(filled, 8, 9))
    book = new_book("other.db")
    book.key = filled.key
    log = book.open()

    async def entries(count: int) -> None:
        for number in range(count):
            await log.append(book.record(number, officer="H-9"))

    asyncio.run(entries(5))
    log.close()
    file = written(book, tmp_path / "short")
    for problem in problems(book, file, kept):
        assert problem == (
            f"entry 5: is missing: {kept}, receipt 1 is signed for 9 entries, the log was cut back"
        )
    log = book.open()
    asyncio.run(entries(7))
    log.close()
    file = written(book, tmp_path / "anew")
    for problem in problems(book, file, kept):
        assert problem.startswith(f"entry 8: is not what was receipted: {kept}, receipt 1: ")
