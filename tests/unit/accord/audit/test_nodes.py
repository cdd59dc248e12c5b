"""The stored hashes of subtrees: made with each commit, filled in for an older log, checked."""

import asyncio
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.audit import checkpoint, nodes
from accord.audit.file import LogFile
from accord.audit.log import AuditLog, Entry
from accord.audit.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    looked_up,
    node_count,
    nodes_over,
    verify_consistency,
    verify_inclusion,
)
from accord.errors import Code, InputError, Refused, Unverified
from tests.stores import POSTGRES
from tests.unit.accord.audit.conftest import Book

HASHES = [leaf_hash(bytes([number])) for number in range(70)]


def write(book: Book, *batches: int) -> list[Entry]:
    """Append batches, each of them at once; return the entries by index."""
    log = book.open()

    async def fill() -> list[Entry]:
        found: list[Entry] = []
        for count in batches:
            records = [book.record(len(found) + number) for number in range(count)]
            found += await asyncio.gather(*map(log.append, records))
        return found

    entries = asyncio.run(fill())
    log.close()
    return sorted(entries, key=lambda entry: entry.index)


def expected(leaves: list[bytes]) -> list[tuple[int, int, bytes]]:
    node, made, level = nodes_over([leaf_hash(leaf) for leaf in leaves]), [], 1
    while len(leaves) >> level:
        made += [(level, index, node(level, index)) for index in range(len(leaves) >> level)]
        level += 1
    return made


def kept(book: Book) -> list[tuple[int, int, bytes]]:
    return book.rows("SELECT level, idx, hash FROM nodes ORDER BY level, idx")


def leaves_of(book: Book) -> list[bytes]:
    return [leaf for (leaf,) in book.rows("SELECT leaf FROM entries ORDER BY idx")]


def broken(book: Book) -> tuple[int | None, str]:
    with book.reader() as reader:
        found = reader.verify()
    return found.broken, found.problem


def test_a_tree_has_each_complete_subtree_once():
    frontier, made = Frontier(), []
    for size, digest in enumerate(HASHES, 1):
        made += frontier.append(digest)
        node = nodes_over(HASHES[:size])
        assert all(node(level, index) == held for level, index, held in made)
        assert len({(level, index) for level, index, _ in made}) == len(made) == node_count(size)


def test_a_proof_asks_for_few_hashes_that_are_complete():
    """At most two for each level, and each of them once and together."""
    for size in range(1, len(HASHES)):
        node = nodes_over(HASHES[:size])
        asked: list[int] = []

        def find(wanted, size=size, node=node, asked=asked):
            assert all((index + 1) << level <= size for level, index in wanted)
            asked.append(len(wanted))
            return {at: node(*at) for at in wanted}

        for index in range(size):
            found = looked_up(lambda n, i=index, s=size: inclusion_proof(i, s, n), find)
            assert found == inclusion_proof(index, size, node)
            found = looked_up(lambda n, i=index, s=size: consistency_proof(i + 1, s, n), find)
            assert found == consistency_proof(index + 1, size, node)
        assert len(asked) == 2 * size
        assert max(asked) <= 2 * size.bit_length()


def test_each_commit_adds_what_became_complete(book):
    write(book, 1, 1, 1, 2, 7, 1, 8)
    leaves = leaves_of(book)
    assert len(leaves) == 21
    assert kept(book) == expected(leaves)
    assert broken(book) == (None, "")


def proves(entry: Entry, public) -> tuple[int, int, bytes, list[bytes], bytes]:
    """Return what an entry's own proof says, against its commit's signed checkpoint."""
    signed = checkpoint.verify(entry.commit.checkpoint, "harbor/node", public)
    assert signed.size == entry.commit.size
    proof = list(entry.commit.proof(entry.index).hashes)
    return entry.index, signed.size, leaf_hash(entry.leaf), proof, signed.root


@given(batches=st.lists(st.integers(1, 9), min_size=1, max_size=6))
@settings(max_examples=12, deadline=None)
def test_every_entry_is_proved_to_its_checkpoint_and_to_all_later_ones(batches):
    with tempfile.TemporaryDirectory() as folder:
        book = Book(LogFile(Path(folder) / "audit.db"))
        entries = write(book, *batches)
        notes = dict(book.rows("SELECT size, note FROM checkpoints"))
        roots = {
            size: checkpoint.verify(note, book.origin, book.key.public).root
            for size, note in notes.items()
        }
        with book.reader() as reader:
            assert reader.verify().ok
            for entry in entries:
                index, first, digest, proof, tree = proves(entry, book.key.public)
                assert notes[first] == entry.commit.checkpoint
                verify_inclusion(digest, index, first, proof, tree)
                for size in (size for size in roots if size >= first):
                    later = reader.inclusion(index, size)
                    verify_inclusion(digest, index, size, later, roots[size])
            sizes = sorted(size for size in roots if size)
            for size1 in sizes:
                for size2 in (size for size in sizes if size >= size1):
                    between = reader.consistency(size1, size2)
                    verify_consistency(size1, size2, roots[size1], roots[size2], between)
        book.close()


def test_proofs_by_the_table(book):
    entries = write(book, 3, 1, 9)
    hashes = [leaf_hash(entry.leaf) for entry in entries]
    with book.reader() as reader:
        for size in range(1, len(hashes) + 1):
            node = nodes_over(hashes[:size])
            for index in range(size):
                assert reader.inclusion(index, size) == inclusion_proof(index, size, node)
                between = consistency_proof(index + 1, size, node)
                assert reader.consistency(index + 1, size) == between
        for index, size in ((-1, 4), (4, 4), (0, 0)):
            with pytest.raises(ValueError, match="no such leaf"):
                reader.inclusion(index, size)
        for prove, first in ((reader.inclusion, 13), (reader.consistency, 13)):
            with pytest.raises(ValueError, match="has no 14 entries"):
                prove(first, 14)


def test_the_twin_another_entrys_proof_does_not_hold(book):
    one, other, *_ = write(book, 5)
    index, size, digest, proof, tree = proves(one, book.key.public)
    verify_inclusion(digest, index, size, proof, tree)
    for wrong in (
        (digest, index + 1, size, proof, tree),
        (leaf_hash(other.leaf), index, size, proof, tree),
        (digest, index, size, [*proof, digest], tree),
    ):
        with pytest.raises(Unverified):
            verify_inclusion(*wrong)


@pytest.mark.parametrize(
    ("change", "where", "problem"),
    [
        (
            "UPDATE nodes SET hash = {} WHERE level = 1 AND idx = 3",
            6,
            "up to entry 7 is not theirs",
        ),
        ("DELETE FROM nodes WHERE level = 2 AND idx = 1", 4, "up to entry 7 is missing"),
        ("DELETE FROM nodes", 0, "up to entry 1 is missing"),
    ],
)
def test_a_wrong_hash_is_named(book, change, where, problem):
    write(book, 11)
    ((other,),) = book.rows("SELECT hash FROM nodes WHERE level = 3")
    with book.behind() as sql:
        sql.execute(change.format("?"), (other,) if "{}" in change else ())
    assert broken(book) == (where, f"entry {where}: the stored hash over it {problem}")


def test_the_first_of_several_wrong_ones_is_named(book, monkeypatch):
    monkeypatch.setattr("accord.audit.reader._PIECE", 4)
    monkeypatch.setattr("accord.audit.reader.in_order", map)
    write(book, 21)
    with book.behind() as sql:
        sql.execute("DELETE FROM nodes WHERE level = 1 AND idx IN (3, 9)")
    assert broken(book)[0] == 6


def test_a_hash_of_no_subtree(book):
    write(book, 11)
    with book.behind() as sql:
        sql.insert("nodes", [(1, 5, bytes(32))])
    problem = "entry 0: there are hashes of subtrees that the log does not have"
    assert broken(book) == (0, problem)


def test_a_proof_from_a_wrong_hash_leads_to_no_root_and_a_missing_one_is_told(book):
    entry, *_ = entries = write(book, 11)
    signed = checkpoint.verify(entries[-1].commit.checkpoint, book.origin, book.key.public)
    with book.reader() as reader:
        found = reader.inclusion(0, 11)
        verify_inclusion(leaf_hash(entry.leaf), 0, 11, found, signed.root)
        with book.behind() as sql:
            sql.execute("UPDATE nodes SET hash = ? WHERE level = 1 AND idx = 1", (bytes(32),))
        with pytest.raises(Unverified, match="does not lead to the root"):
            verify_inclusion(leaf_hash(entry.leaf), 0, 11, reader.inclusion(0, 11), signed.root)
        with book.behind() as sql:
            sql.execute("DELETE FROM nodes WHERE level = 1 AND idx = 1")
        with pytest.raises(Refused, match="the stored hash over it up to entry 3") as caught:
            reader.inclusion(0, 11)
        assert caught.value.code is Code.STORE_CORRUPT


def make_older(book: Book) -> None:
    """Take from a log what an older version did not make."""
    file = isinstance(book.place, LogFile)
    table, step = ("_sqlite_migrations", "002_nodes") if file else ("steps", "012-audit-nodes")
    with book.behind() as sql:
        sql.execute("DROP TABLE nodes")
        sql.execute(f"DELETE FROM {table} WHERE name = ?", (step,))


@pytest.mark.parametrize("count", [0, 1, 2, 16, 17, 23])
def test_an_older_log_is_filled_in(book, monkeypatch, count):
    monkeypatch.setattr(nodes, "_AT_ONCE", 4)
    write(book, *[count] * bool(count))
    before = kept(book)
    make_older(book)
    # It can be read and verified before it was brought up.
    assert broken(book) == (None, "")
    write(book)
    assert kept(book) == before == expected(leaves_of(book))
    write(book, 2, 3)
    assert kept(book) == expected(leaves_of(book))
    assert broken(book) == (None, "")


def test_what_an_older_log_lacks_is_told(book):
    write(book, 5)
    make_older(book)
    with book.reader() as reader:
        for prove in (reader.inclusion, reader.consistency):
            with pytest.raises(InputError, match="is of an older version"):
                prove(3, 5)
    write(book)
    with book.reader() as reader:
        assert len(reader.inclusion(3, 5)) == 3
        assert len(reader.consistency(3, 5)) == 4


def test_an_older_log_whose_filling_was_stopped_is_as_it_was(book, monkeypatch):
    write(book, 9)
    make_older(book)
    whole, steps = nodes.leaf_hash, iter(range(7))

    def stopped(leaf: bytes) -> bytes:
        if next(steps, None) is None:
            raise KeyboardInterrupt
        return whole(leaf)

    monkeypatch.setattr(nodes, "leaf_hash", stopped)
    with pytest.raises(KeyboardInterrupt):
        book.open()
    monkeypatch.setattr(nodes, "leaf_hash", whole)
    assert broken(book) == (None, "")
    write(book)
    assert kept(book) == expected(leaves_of(book))


@POSTGRES
def test_the_writers_proofs_go_on_from_what_another_wrote(book):
    """Where several processes write in turn each goes on from the whole tree; a file has one."""
    one, other = book.open(), book.open()

    async def take_turns() -> list[Entry]:
        return [await log.append(book.record(n)) for n in range(6) for log in (one, other)]

    def holds(log: AuditLog, entry: Entry) -> None:
        index, size, digest, proof, tree = proves(entry, book.key.public)
        verify_inclusion(digest, index, size, proof, tree)
        with log.reader() as reader:
            assert reader.inclusion(index, size) == proof

    entries = asyncio.run(take_turns())
    assert [entry.index for entry in entries] == list(range(12))
    assert all(one.commit.size + 1 == other.commit.size for one, other in pairwise(entries))
    for entry in entries:
        holds(one, entry)
