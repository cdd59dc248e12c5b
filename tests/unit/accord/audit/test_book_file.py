"""An exported log becomes a book once it is verified, and only what was verified does."""

import asyncio
from pathlib import Path

import pytest

from accord.audit.book_file import _items, header_of, key_for, read_book
from accord.audit.checkpoint import verifier_key
from accord.audit.export_file import COUNTERPART, Wanted, export
from accord.audit.export_lines import Disclosed
from accord.audit.vkeys import NamedKey, read_vkey
from accord.errors import InputError
from accord.keys import ED25519, PrivateKey

COUNT = 9


@pytest.fixture
def filled(new_book):
    book = new_book("log.db")
    log = book.open()

    async def entries() -> None:
        for number in range(COUNT):
            await log.append(book.record(number, audience="city"))

    asyncio.run(entries())
    log.close()
    return book


def written(book, path: Path, wanted=None) -> Path:
    with book.reader() as reader:
        export(reader, path, wanted, Disclosed(only=COUNTERPART))
    return path


def test_a_book_has_what_is_compared_and_knows_what_it_lacks(filled, tmp_path):
    key = NamedKey("", filled.key.public)
    checked, book = read_book(written(filled, tmp_path / "whole"), [key])
    assert (checked.vouched, book.gaps, len(book.untold)) == (True, [], 1)
    assert [one.index for one in book.records] == list(range(COUNT))
    assert set(book.records[0].fields) <= COUNTERPART
    assert "agency" in book.records[0].fields
    checked, book = read_book(written(filled, tmp_path / "part", Wanted(3, 6)))
    assert (checked.vouched, book.gaps) == (False, [(0, 3), (6, COUNT)])
    first, last = book.records[0].ms, book.records[-1].ms
    assert book.why_untold(0, first - 1) == "entries 0 to 2 are left out of the file"
    assert book.why_untold(first + 1, last - 1) == ""
    assert "the file ends at" in book.why_untold(last + 1, last + 2)
    assert [book.has(index) for index in (2, 3, 5, 6, COUNT)] == [False, True, True, False, False]


def test_a_file_that_is_broken_is_no_book(filled, tmp_path):
    file = written(filled, tmp_path / "log")
    file.write_text(file.read_text().replace('"allowed"', '"refused"', 1))
    checked, book = read_book(file)
    assert (book, checked.broken) == (None, 0)


def test_a_file_that_is_changed_after_its_check_is_no_book(filled, tmp_path):
    file = written(filled, tmp_path / "log")
    header, public = header_of(file), filled.key.public
    assert len(list(_items(file, header, public))) == COUNT
    lines = file.read_text().splitlines(keepends=True)
    assert '"index":0' in lines[2]
    changes = {
        "an entry less": lines[:2] + lines[3:],
        "an entry altered": [line.replace('"allowed"', '"refused"') for line in lines],
        "cut short": lines[:-1],
        "no line": [*lines, "{}\n"],
    }
    for content in changes.values():
        file.write_text("".join(content))
        with pytest.raises(InputError, match="was changed while it was read"):
            list(_items(file, header, public))


def test_a_key_is_taken_for_the_log_that_it_is_of(filled, tmp_path):
    header = header_of(written(filled, tmp_path / "log"))
    own, other = filled.key.public, PrivateKey.generate(ED25519).public
    named = read_vkey(verifier_key("harbor/node", own))
    assert key_for(header, [NamedKey("", other), named]) == named
    assert key_for(header, [NamedKey("", own)]) == NamedKey("", own)
    assert key_for(header, [NamedKey("city/node", own), NamedKey("", other)]) is None
    # One of that name is the log's, whatever the file says: then the check fails.
    wrong = NamedKey("harbor/node", other)
    checked, book = read_book(tmp_path / "log", [wrong])
    assert (book, "not signed by harbor/node" in checked.problem) == (None, True)
