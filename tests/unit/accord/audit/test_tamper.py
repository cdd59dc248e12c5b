"""Whoever edits the tables is found out, and the entry is named: in a file, and on a server."""

import asyncio
import contextlib
import sqlite3
from dataclasses import dataclass

import pytest

from accord.audit.checkpoint import Checkpoint, sign
from accord.audit.cosignature import cosign
from accord.audit.leaf import all_fields, commit, new_salts
from accord.audit.merkle import leaf_hash
from accord.audit.sealing import Sealed, Sealer, pack
from accord.audit.store import add_cosignatures
from accord.errors import Code, InputError, Refused
from accord.keys import ED25519, PrivateKey
from tests.stores import SQLITE

COUNT = 11


@pytest.fixture
def filled(book):
    """A closed log of eleven entries, one commit each."""
    log = book.open()

    async def fill() -> None:
        for number in range(COUNT):
            await log.append(book.record(number))

    asyncio.run(fill())
    log.close()
    return book


def edit(book, *statements: tuple[str, tuple]) -> None:
    with book.behind() as sql:
        for statement, values in statements:
            assert sql.execute(statement, values).rowcount != 0


@dataclass(frozen=True)
class Forged:
    """A record made with the log's own secret, as an insider would."""

    leaf: bytes
    key: bytes
    box: bytes
    terms: list[bytes]


def forge(book, number: int, time_ms: int) -> Forged:
    sealer = Sealer(book.secret, book.origin)
    fields = all_fields(book.record(number, officer="H-9"), time_ms)
    salts = new_salts(fields)
    leaf = commit(fields, salts)
    sealed = sealer.seal(pack(fields, salts), leaf_hash(leaf))
    return Forged(leaf, sealed.key, sealed.box, sealer.terms(fields))


def replace_entry(book, index: int) -> None:
    """Put a well-made other record in an entry's place, search terms and all."""
    ((time_ms,),) = book.rows("SELECT time_ms FROM entries WHERE idx = ?", index)
    forged = forge(book, index, time_ms)
    with book.behind() as sql:
        sql.execute(
            "UPDATE entries SET leaf = ?, key = ?, box = ? WHERE idx = ?",
            (forged.leaf, forged.key, forged.box, index),
        )
        sql.execute("DELETE FROM terms WHERE idx = ?", (index,))
        sql.insert("terms", [(term, index) for term in forged.terms])


def broken(book) -> tuple[int | None, str]:
    with book.reader() as reader:
        found = reader.verify()
    assert found.ok is (found.problem == "")
    return found.broken, found.problem


def test_the_twin_an_untouched_log_is_sound(filled):
    assert broken(filled) == (None, "")
    assert filled.open().size == COUNT


@pytest.mark.parametrize("index", [0, 5, 10])
def test_edited_record(filled, index):
    edit(filled, ("UPDATE entries SET box = ? WHERE idx = ?", (bytes(200), index)))
    where, problem = broken(filled)
    assert where == index
    assert problem.startswith(f"entry {index}: the sealed record does not open")


@pytest.mark.parametrize("index", [0, 5, 10])
def test_edited_leaf(filled, index):
    ((leaf,),) = filled.rows("SELECT leaf FROM entries WHERE idx = ?", index)
    edit(filled, ("UPDATE entries SET leaf = ? WHERE idx = ?", (leaf + b"\0", index)))
    assert broken(filled)[0] == index
    # The node does not even start on it.
    with pytest.raises(InputError, match="altered"):
        filled.open()


@pytest.mark.parametrize("index", [0, 5, 10])
def test_record_replaced_by_an_insider_with_the_secret(filled, index):
    replace_entry(filled, index)
    assert broken(filled) == (index, f"entry {index}: was altered after it was signed")
    with pytest.raises(InputError, match="altered"):
        filled.open()


def test_record_resealed_under_the_same_leaf(filled):
    """Who holds the secret can seal other words to a leaf, but they don't make it."""
    ((leaf, key, box),) = filled.rows("SELECT leaf, key, box FROM entries WHERE idx = 4")
    sealer = Sealer(filled.secret, filled.origin)
    digest = leaf_hash(leaf)
    packed = sealer.open(Sealed(key, box), digest)
    assert b"stolen-vehicle" in packed
    forged = sealer.seal(packed.replace(b"stolen-vehicle", b"missing-person"), digest)
    edit(
        filled,
        ("UPDATE entries SET key = ?, box = ? WHERE idx = 4", (forged.key, forged.box)),
    )
    assert broken(filled) == (4, "entry 4: the record does not make its leaf")
    with filled.reader() as reader, pytest.raises(Refused, match="Entry 4"):
        list(reader.entries())


@pytest.mark.parametrize("size", [0, 1, 6, 10])
def test_an_older_checkpoint_that_was_altered(filled, size):
    """It is what somebody else has kept, and what an export gives: it must be the log's own."""
    ((note,),) = filled.rows("SELECT note FROM checkpoints WHERE size = ?", size)
    other = note[:-10] + (b"B" if note[-10:-9] == b"A" else b"A") + note[-9:]
    edit(filled, ("UPDATE checkpoints SET note = ? WHERE size = ?", (other, size)))
    where, problem = broken(filled)
    assert where == max(size - 1, 0)
    assert f"the checkpoint of size {size}" in problem


def test_an_older_checkpoint_that_is_anothers_or_none(filled):
    ((note,),) = filled.rows("SELECT note FROM checkpoints WHERE size = 4")
    edit(filled, ("UPDATE checkpoints SET note = ? WHERE size = 6", (note,)))
    assert broken(filled) == (4, "entry 4: the checkpoint stored for 6 entries is signed for 4")
    edit(filled, ("UPDATE checkpoints SET note = ? WHERE size = 6", (b"x",)))
    assert broken(filled)[1].endswith(
        "the checkpoint of size 6: the checkpoint is not a signed note"
    )


def test_an_older_checkpoint_that_the_stolen_key_signed_anew(filled):
    note = sign(Checkpoint(filled.origin, 6, bytes(32)), filled.key)
    edit(filled, ("UPDATE checkpoints SET note = ? WHERE size = 6", (note,)))
    assert broken(filled) == (5, "entry 5: was altered after it was signed")


def test_a_checkpoint_that_is_left_of_a_longer_log(filled):
    """The log was cut back, head and all; what it had signed before was overlooked."""
    note = sign(Checkpoint(filled.origin, COUNT + 3, bytes(32)), filled.key)
    with filled.behind() as sql:
        sql.insert("checkpoints", [(COUNT + 3, note)])
    assert broken(filled) == (
        COUNT,
        f"entry {COUNT}: is missing: a checkpoint is there for {COUNT + 3} entries, "
        f"the head has {COUNT}",
    )


@pytest.mark.parametrize("change", ["witness = 'x/witness'", "line = line || 'A'", "line = ''"])
def test_a_witness_line_that_was_altered(filled, change):
    """It would say that a witness has signed what it has not."""
    witness = PrivateKey.generate(ED25519)
    ((note,),) = filled.rows("SELECT note FROM checkpoints WHERE size = 6")
    line = cosign(note, "city/witness", witness, 1_790_000_000)
    with filled.behind() as sql:
        add_cosignatures(sql, 6, [("city/witness", line)])
    assert broken(filled) == (None, "")
    edit(filled, (f"UPDATE cosignatures SET {change}", ()))
    assert broken(filled) == (5, "entry 5: a cosignature of the checkpoint of size 6 is none")


def test_two_records_swapped(filled):
    edit(
        filled,
        ("UPDATE entries SET idx = -1 WHERE idx = 3", ()),
        ("UPDATE entries SET idx = 3 WHERE idx = 4", ()),
        ("UPDATE entries SET idx = 4 WHERE idx = -1", ()),
    )
    assert broken(filled)[0] == 3


def test_record_removed_from_the_middle(filled):
    edit(filled, ("DELETE FROM entries WHERE idx = 4", ()))
    assert broken(filled) == (4, "entry 4: is missing")
    with pytest.raises(InputError, match="entry 4: 11 entries are signed, 10 are there"):
        filled.open()


def test_truncated_tail(filled):
    edit(
        filled,
        ("DELETE FROM entries WHERE idx >= 8", ()),
        ("DELETE FROM terms WHERE idx >= 8", ()),
    )
    assert broken(filled) == (8, "entry 8: is missing: 11 entries are signed")
    with pytest.raises(InputError, match="entry 8: 11 entries are signed, 8 are there"):
        filled.open()


def test_truncated_tail_with_its_checkpoints(filled):
    edit(
        filled,
        ("DELETE FROM entries WHERE idx >= 8", ()),
        ("DELETE FROM terms WHERE idx >= 8", ()),
        ("DELETE FROM checkpoints WHERE size > 8", ()),
    )
    assert broken(filled) == (10, "entry 10: the checkpoint of size 11 is missing")


def test_record_added_without_a_signature(filled):
    forged = forge(filled, COUNT, 0)
    edit(
        filled,
        (
            "INSERT INTO entries VALUES (?, 0, ?, ?, ?)",
            (COUNT, forged.leaf, forged.key, forged.box),
        ),
        *[("INSERT INTO terms VALUES (?, ?)", (term, COUNT)) for term in forged.terms],
    )
    assert broken(filled) == (11, "entry 11: is not signed: the checkpoint ends at 11 entries")
    with pytest.raises(InputError, match="entry 11: 11 entries are signed, 12 are there"):
        filled.open()


def test_older_checkpoint_in_the_newest_ones_place(filled):
    edit(
        filled,
        (
            "UPDATE checkpoints SET note = (SELECT note FROM checkpoints WHERE size = 6)"
            " WHERE size = 11",
            (),
        ),
    )
    problem = "entry 6: the checkpoint stored for 11 entries is signed for 6"
    assert broken(filled) == (6, problem)
    with pytest.raises(InputError, match=problem):
        filled.open()


def test_checkpoint_by_another_key(filled):
    forged = sign(Checkpoint(filled.origin, COUNT, bytes(32)), PrivateKey.generate("ed25519"))
    edit(filled, ("UPDATE checkpoints SET note = ? WHERE size = 11", (forged,)))
    where, problem = broken(filled)
    assert where == 10
    assert "the checkpoint is not signed by harbor/node" in problem
    with pytest.raises(InputError, match="not signed by harbor/node"):
        filled.open()


def test_checkpoint_of_another_log(filled, new_book):
    forged = sign(Checkpoint("city/node", COUNT, bytes(32)), filled.key)
    edit(filled, ("UPDATE checkpoints SET note = ? WHERE size = 11", (forged,)))
    with pytest.raises(InputError, match="entry 10: the checkpoint of size 11"):
        filled.open()


def test_rewritten_frontier(filled):
    edit(filled, ("UPDATE head SET frontier = ?", (bytes(3 * 32),)))
    assert broken(filled)[1] == "entry 0: the stored frontier does not lead to the signed root"
    with pytest.raises(InputError, match="does not lead to the signed root"):
        filled.open()


def test_altered_time_beside_the_record(filled):
    edit(filled, ("UPDATE entries SET time_ms = time_ms - 1 WHERE idx = 7", ()))
    assert broken(filled) == (7, "entry 7: the time beside the record is not the record's")


def test_hidden_from_searches(filled):
    term = Sealer(filled.secret, filled.origin).term("plate", "7INV004")
    edit(filled, ("DELETE FROM terms WHERE term = ?", (term,)))
    where, problem = broken(filled)
    assert where == 4
    assert "a search term is missing" in problem


def test_false_search_term(filled):
    term = Sealer(filled.secret, filled.origin).term("plate", "7INV004")
    edit(filled, ("INSERT INTO terms VALUES (?, 9)", (term,)))
    assert broken(filled)[1] == "entry 0: there are search terms that no entry has"


def test_removed_head(filled):
    edit(filled, ("DELETE FROM head", ()))
    assert broken(filled)[1].startswith("entry 0: is not signed")
    with pytest.raises(InputError, match="the log has no head"):
        filled.open()


@SQLITE
@pytest.mark.parametrize("change", ["time_ms = 'soon'", "time_ms = 1 << 60", "box = 7"])
def test_columns_of_another_kind(filled, change):
    edit(filled, (f"UPDATE entries SET {change} WHERE idx = 10", ()))
    assert broken(filled) == (10, "entry 10: the row is not in its form")
    with pytest.raises(InputError, match="entry 10: the row is not in its form"):
        filled.open()
    with filled.reader() as reader, pytest.raises(Refused) as caught:
        list(reader.entries())
    assert caught.value.code is Code.STORE_CORRUPT


@SQLITE
def test_damaged_pages_are_told_in_one_line(filled):
    whole = filled.path.read_bytes()
    with contextlib.closing(sqlite3.connect(filled.path)) as connection:
        # The list of schema changes says nothing of the records.
        elsewhere = connection.execute(
            "SELECT rootpage - 1 FROM sqlite_master WHERE tbl_name = '_sqlite_migrations'"
        ).fetchall()
    for page in range(len(whole) // 4096):
        data = bytearray(whole)
        data[page * 4096 : (page + 1) * 4096] = b"\xa5" * 4096
        filled.path.write_bytes(data)
        try:
            found = broken(filled)[1]
        except InputError as error:
            found = str(error)
        assert found.count("\n") == 0
        assert found or (page,) in elsewhere, page


def test_altered_within_one_commit_names_the_range(book):
    log = book.open()

    async def fill() -> None:
        await asyncio.gather(*(log.append(book.record(n)) for n in range(40)))

    asyncio.run(fill())
    log.close()
    sizes = [size for (size,) in book.rows("SELECT size FROM checkpoints ORDER BY size")]
    first = max(size for size in sizes if size <= 39)
    last = min(size for size in sizes if size > 39)
    replace_entry(book, 39)
    where, problem = broken(book)
    assert where == first
    expected = "was altered" if last - first == 1 else "to 39: one was altered"
    assert problem == f"entry {first}: {expected} after it was signed"


def test_a_cosignature_of_no_checkpoint_is_named(filled):
    ((note,),) = filled.rows("SELECT note FROM checkpoints WHERE size = 3")
    line = cosign(note, "city/witness", PrivateKey.generate(ED25519), 1_790_000_000)
    with filled.behind() as sql:
        add_cosignatures(sql, 3, [("city/witness", line)])
    assert broken(filled)[1] == ""
    with filled.behind() as sql:
        add_cosignatures(sql, 99, [("city/witness", line)])
    where, problem = broken(filled)
    assert problem == f"entry {where}: a cosignature is of a checkpoint that is not there"
