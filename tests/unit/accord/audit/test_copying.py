"""A log copied from a file to a server and back: the same bytes, or a refusal."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accord.audit import copying
from accord.audit.checkpoint import Checkpoint, signature_line
from accord.audit.copying import copy_log
from accord.audit.cosigned import Coverage, coverage
from accord.audit.file import LogFile
from accord.audit.places import Place
from accord.errors import InputError
from tests.unit.accord.audit.conftest import Book

COUNT = 23
LINE = signature_line("city/witness", bytes(76))
TABLES = ("entries", "terms", "checkpoints", "cosignatures", "nodes", "head")


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "_BATCH", 5)


@pytest.fixture
def other(tmp_path: Path, book: Book) -> Iterator[Book]:
    """A file of its own, for a log of the same name and key."""
    found = Book(LogFile(tmp_path / "other" / "audit.db"))
    found.path.parent.mkdir()
    found.key = book.key
    yield found
    found.close()


def write(book: Book, count: int = COUNT, **more: str) -> None:
    log = book.open()

    async def fill() -> None:
        # Some alone and some together, so that commits have one entry and several.
        for number in range(count // 2):
            await log.append(book.record(number, **more))
        rest = range(count // 2, count)
        await asyncio.gather(*(log.append(book.record(number, **more)) for number in rest))
        await log.keep_cosignatures(log.size, [("city/witness", LINE)])

    asyncio.run(fill())
    log.close()


def copied(source: Book, target: Book) -> Checkpoint:
    return copy_log(
        source.place, target.place,
        origin=source.origin, public=source.key.public, secret=source.secret,
    )  # fmt: skip


def content(book: Book) -> list[list[tuple[Any, ...]]]:
    return [sorted(book.rows(f"SELECT * FROM {table}")) for table in TABLES]


def test_there_and_back_every_byte_is_the_same(book: Book, other: Book, new_book: Any) -> None:
    write(book)
    signed = copied(book, other)
    assert (signed.size, content(other)) == (COUNT, content(book))
    back = new_book("back.db")
    back.key = book.key
    assert copied(other, back) == signed
    assert content(back) == content(book)
    log = other.open()
    assert asyncio.run(log.append(book.record(99))).index == COUNT
    assert log.verify().ok


def test_into_the_place(book: Book, other: Book) -> None:
    write(other)
    copied(other, book)
    assert content(book) == content(other)
    log = book.open()
    assert asyncio.run(log.append(book.record(99))).index == COUNT


def test_an_empty_log(book: Book, other: Book) -> None:
    write(book, 0)
    assert copied(book, other).size == 0
    assert content(other) == content(book)


@pytest.mark.parametrize("count", [0, 1, 16, 17])
def test_a_file_of_an_older_version_is_copied(book: Book, other: Book, count: int) -> None:
    write(other, count)
    with other.behind() as sql:
        sql.execute("DROP TABLE nodes")
        sql.execute("DROP TABLE cosignatures")
        sql.execute("DELETE FROM _sqlite_migrations WHERE name <> '001_first'")
    assert coverage(other.place, ["city/witness"]) == Coverage(count, {"city/witness": 0})
    assert copied(other, book).size == count
    log = book.open()
    assert asyncio.run(log.append(book.record(99))).index == count
    assert log.verify().ok


def test_what_was_written_since_is_added(book: Book, other: Book) -> None:
    write(book)
    copied(book, other)
    write(book, 7)
    assert copied(book, other).size == COUNT + 7
    assert content(other) == content(book)
    assert copied(book, other).size == COUNT + 7


@pytest.mark.parametrize("after", [0, 1, 3])
def test_one_that_was_stopped_goes_on(
    book: Book, other: Book, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    write(other)
    steps = iter(range(after))
    whole = copying._entries

    def stopped(*args: Any) -> Any:
        if next(steps, None) is None:
            raise KeyboardInterrupt
        return whole(*args)

    monkeypatch.setattr(copying, "_entries", stopped)
    with pytest.raises(KeyboardInterrupt):
        copied(other, book)
    assert len(book.rows("SELECT idx FROM entries")) == 5 * after
    if after:
        # Half a copy is no log that a node would open.
        with pytest.raises(InputError, match="the log has no head"):
            book.open()
    monkeypatch.setattr(copying, "_entries", whole)
    copied(other, book)
    assert content(book) == content(other)


def test_another_log_is_not_written_into(book: Book, other: Book) -> None:
    write(book)
    write(other)
    before = content(other)
    with pytest.raises(InputError, match="holds another log, or more of it: entry 0 of it"):
        copied(book, other)
    assert content(other) == before


def test_a_longer_one_is_not_cut(book: Book, other: Book) -> None:
    write(book)
    copied(book, other)
    write(other, 1)
    with pytest.raises(InputError, match=f"or more of it: entry {COUNT} of it"):
        copied(book, other)
    assert len(other.rows("SELECT * FROM entries")) == COUNT + 1


def test_one_that_parts_is_refused(book: Book, other: Book) -> None:
    write(book)
    copied(book, other)
    write(book, 1)
    write(other, 1)
    with pytest.raises(InputError, match=f"entry {COUNT} of it is none"):
        copied(book, other)


def test_another_checkpoint_of_one_size_is_refused(book: Book, other: Book) -> None:
    write(book)
    copied(book, other)
    with other.behind() as sql:
        sql.execute("UPDATE checkpoints SET note = ? WHERE size = 3", (b"other",))
    with pytest.raises(InputError, match="checkpoint of size 3 is none"):
        copied(book, other)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("DELETE FROM entries WHERE idx = 4", "23 entries are signed, 22 are there"),
        ("UPDATE entries SET box = key WHERE idx = 4", "entry 4: the sealed record does not open"),
        ("DELETE FROM terms WHERE idx = 4", "entry 4: a search term is missing"),
        ("INSERT INTO terms SELECT leaf, idx FROM entries WHERE idx = 4", "that no entry has"),
        ("UPDATE entries SET time_ms = 7 WHERE idx = 22", "entry 22: the time beside the record"),
        ("DELETE FROM head", "the log has no head"),
        ("DELETE FROM checkpoints WHERE size = 23", "the checkpoint of size 23 is missing"),
    ],
)
def test_a_source_that_is_not_sound(book: Book, other: Book, change: str, words: str) -> None:
    write(book)
    with book.behind() as sql:
        sql.execute(change)
    with pytest.raises(InputError, match=words) as caught:
        copied(book, other)
    assert str(book.path) in str(caught.value)


def test_a_leaf_replaced_by_an_insider_with_the_secret(book: Book, other: Book) -> None:
    """Each record opens, and only the signed root tells: the copy is not accepted."""
    write(book)
    ((leaf, key, box),) = book.rows("SELECT leaf, key, box FROM entries WHERE idx = 3")
    ((at,),) = book.rows("SELECT time_ms FROM entries WHERE idx = 3")
    terms = book.rows("SELECT term FROM terms WHERE idx = 3")
    with book.behind() as sql:
        sql.execute(
            "UPDATE entries SET leaf = ?, key = ?, box = ?, time_ms = ? WHERE idx = 4",
            (leaf, key, box, at),
        )
        sql.execute("DELETE FROM terms WHERE idx = 4")
        sql.insert("terms", [(term, 4) for (term,) in terms])
    with pytest.raises(InputError, match="entry 4: was altered after it was signed"):
        copied(book, other)


def test_another_secret_or_key(book: Book, other: Book, place: Place) -> None:
    write(book)
    with pytest.raises(InputError, match="entry 0: the sealed record does not open"):
        copy_log(place, other.place, origin=book.origin, public=book.key.public, secret=bytes(32))
    other.key = type(book.key).generate("ed25519")
    with pytest.raises(InputError, match="not signed by harbor/node"):
        copy_log(
            place, other.place,
            origin=book.origin, public=other.key.public, secret=book.secret,
        )  # fmt: skip
