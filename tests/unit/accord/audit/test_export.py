"""An exported log is checked by itself: whole or in part, and whoever edits it is found out."""

import asyncio
import json
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.audit import export_check
from accord.audit.checkpoint import Checkpoint, sign, verifier_key
from accord.audit.export_check import check_export
from accord.audit.export_file import COUNTERPART, Wanted, export
from accord.audit.export_lines import Disclosed
from accord.audit.leaf import commit, field_digest
from accord.audit.merkle import Frontier, leaf_hash, node_hash
from accord.audit.subtrees import SubtreesOver, grow, levels
from accord.audit.vkeys import WITNESS, NamedKey, read_public, read_vkey
from accord.errors import InputError, Unverified
from accord.keys import PrivateKey

COUNT = 11


def fill(book):
    """Make a log of eleven entries, one commit each."""
    log = book.open()

    async def entries() -> None:
        for number in range(COUNT):
            await log.append(book.record(number))

    asyncio.run(entries())
    log.close()
    return book


@pytest.fixture
def filled(new_book):
    return fill(new_book("log.db"))


def written(book, path: Path, wanted=None, disclosed=None) -> Path:
    with book.reader() as reader:
        export(reader, path, wanted, disclosed)
    return path


@pytest.fixture
def file(filled, tmp_path) -> Path:
    return written(filled, tmp_path / "log.jsonl")


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def rewrite(path: Path, contents: list[dict]) -> None:
    text = (json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in contents)
    path.write_text("".join(f"{line}\n" for line in text))


def entry_at(contents: list[dict], index: int) -> int:
    return next(at for at, one in enumerate(contents) if one.get("index") == index)


def checked(book, path: Path, *kept: Path):
    return check_export(path, NamedKey("", book.key.public), kept)


def test_a_log_is_exported_wherever_it_is_kept(book, tmp_path):
    file = written(fill(book), tmp_path / "log.jsonl", Wanted(2, 9))
    found = checked(book, file)
    assert (found.problem, found.entries, found.size) == ("", 7, COUNT)


def test_the_twin_an_untouched_file_is_sound(filled, file):
    found = checked(filled, file)
    assert (found.problem, found.ok, found.vouched) == ("", True, True)
    assert (found.origin, found.entries, found.size) == ("harbor/node", COUNT, COUNT)
    assert file.stat().st_mode & 0o777 == 0o600
    assert "7INV004" in file.read_text()
    contents = lines(file)
    assert contents[0]["key"] == verifier_key("harbor/node", filled.key.public)
    # Every checkpoint that was signed is there, each behind the last entry that it covers.
    assert [one.get("index") for one in contents[1:]] == [
        each for number in range(COUNT) for each in (None, number)
    ] + [None]


def test_the_file_is_never_written_over_another(filled, file):
    before = file.read_bytes()
    with pytest.raises(InputError, match="never overwritten"):
        written(filled, file)
    assert file.read_bytes() == before
    assert [one.name for one in file.parent.glob(".*.part")] == []


def test_of_a_log_that_is_not_sound_no_file_is_left(filled, tmp_path):
    with filled.behind() as sql:
        sql.execute("DELETE FROM entries WHERE idx = 4")
        sql.execute("UPDATE entries SET idx = 4 WHERE idx = 10")
    with pytest.raises(InputError, match="entry"):
        written(filled, tmp_path / "log.jsonl")
    assert list(tmp_path.glob("*log.jsonl*")) == []


def test_a_key_that_comes_from_the_file_alone_is_not_vouched_for(filled, file):
    found = check_export(file, None)
    assert (found.problem, found.vouched) == ("", False)
    assert found.key == verifier_key("harbor/node", filled.key.public)
    other = PrivateKey.generate("ed25519").public
    assert "not signed by harbor/node" in check_export(file, NamedKey("", other)).problem
    with pytest.raises(Unverified, match="the key is of city/node"):
        check_export(file, NamedKey("city/node", filled.key.public))


def test_fields_are_left_out_and_what_is_left_still_verifies(filled, tmp_path):
    hidden = frozenset({"plate", "case"})
    file = written(filled, tmp_path / "a", None, Disclosed(without=hidden))
    assert not re.search(r'7INV|"26-0', file.read_text())
    found = checked(filled, file)
    assert (found.problem, found.withheld, found.expunged) == ("", "case, plate", 0)
    file = written(filled, tmp_path / "b", None, Disclosed(only=COUNTERPART))
    names = {
        field[0] for one in lines(file) for field in one.get("fields") or () if len(field) == 3
    }
    assert names == {"agency", "decision", "kind", "query_digest", "query_id", "time"}
    assert checked(filled, file).ok


def test_a_field_that_is_missing_without_a_word_is_named(filled, file):
    contents = lines(file)
    at = entry_at(contents, 4)
    plate = next(field for field in contents[at]["fields"] if field[0] == "plate")
    digest = field_digest("plate", bytes.fromhex(plate[1]), plate[2].encode())
    plate[1:] = [digest.hex()]
    rewrite(file, contents)
    found = checked(filled, file)
    assert found.broken == 4
    assert found.problem == "entry 4: plate is missing, and no later entry names it as expunged"


@pytest.mark.parametrize(("begin", "end"), [(0, 3), (3, 4), (5, 11), (10, 11), (0, 0), (7, 7)])
def test_a_range_leads_to_the_whole_logs_root(filled, tmp_path, begin, end):
    file = written(filled, tmp_path / "part", Wanted(begin, end))
    found = checked(filled, file)
    assert (found.problem, found.entries, found.size) == ("", end - begin, COUNT)
    indices = [one["index"] for one in lines(file) if "index" in one]
    assert indices == list(range(begin, end))
    contents = lines(file)
    for at, one in enumerate(contents):
        if "skip" in one:
            one["hashes"][0] = "00" * 32
            rewrite(file, contents)
            assert "altered after it was signed" in checked(filled, file).problem, at
            return
    assert (begin, end) == (0, COUNT)


def test_a_period(filled, tmp_path):
    since = filled.start_ms + 4000
    file = written(filled, tmp_path / "p", Wanted(since_ms=since, until_ms=since + 3000))
    entries = [one for one in lines(file) if "index" in one]
    times = [field[2] for one in entries for field in one["fields"] if field[0] == "time"]
    assert times == [f"2026-09-21T14:13:{second}.000Z" for second in (24, 25, 26)]
    assert checked(filled, file).ok


def test_an_empty_log(new_book, tmp_path):
    book = new_book("log.db")
    book.open().close()
    found = checked(book, written(book, tmp_path / "empty"))
    assert (found.problem, found.entries, found.size) == ("", 0, 0)


EDITS = {
    "a value": (lambda c: c[entry_at(c, 4)]["fields"][0].__setitem__(2, "city"),
                "entry 4: its fields do not make its leaf"),
    "a digest that fits no leaf": (
        lambda c: c[entry_at(c, 4)].__setitem__("leaf", "00" * 32),
        "entry 4: its fields do not make its leaf"),
    "an entry dropped": (lambda c: c.pop(entry_at(c, 4)),
                         "entry 4: the checkpoint that stands after 4 entries is signed for 5"),
    "an entry and its checkpoint dropped": (
        lambda c: (c.pop(entry_at(c, 4)), c.pop(entry_at(c, 5) - 1)),
        "entry 4: is missing: entry 5 stands in its place"),
    "an entry twice": (lambda c: c.insert(entry_at(c, 4), c[entry_at(c, 4)]),
                       "entry 5: entry 4 stands in its place, a second time"),
    "a checkpoint dropped": (lambda c: c.pop(entry_at(c, 4) + 1), ""),
    "the last checkpoint dropped": (lambda c: c.pop(), "entry 10: the checkpoint of size 11 is"
                                    " missing at the end"),
    "cut": (lambda c: c.__delitem__(slice(entry_at(c, 8), None)),
            "entry 8: is missing: the log has 11 entries, the file ends here"),
    "cut, and the header too": (
        lambda c: (c.__delitem__(slice(entry_at(c, 8), None)), c[0].__setitem__("size", 8)), ""),
    "a header that says less": (lambda c: c[0].__setitem__("size", 8),
                                "entry 8: the log has 8 entries, this is one more"),
    "a checkpoint of another place": (
        lambda c: c.__setitem__(entry_at(c, 4) + 1, c[entry_at(c, 7) + 1]),
        "entry 5: the checkpoint that stands after 5 entries is signed for 8"),
    "an unknown key": (lambda c: c[entry_at(c, 4)].__setitem__("more", 1),
                       "entry 4: is not in the form of an export"),
    "an unknown line": (lambda c: c.insert(3, {"what": 1}),
                        "line 4: is not in the form of an export"),
    "fields out of order": (lambda c: c[entry_at(c, 4)]["fields"].reverse(),
                            "entry 4: is not in the form of an export"),
    "a salt in capitals": (
        lambda c: c[entry_at(c, 4)]["fields"][0].__setitem__(1, "AA" * 16),
        "entry 4: is not in the form of an export"),
}  # fmt: skip


@pytest.mark.parametrize("piece", [200, 4 << 20], ids=["in pieces", "in one"])
@pytest.mark.parametrize("name", list(EDITS))
def test_whoever_edits_the_file_is_found_out(filled, file, name, piece, monkeypatch):
    monkeypatch.setattr(export_check, "_PIECE", piece)
    # In this process: others do not know what the test has changed.
    monkeypatch.setattr(export_check, "in_order", map)
    edit, problem = EDITS[name]
    contents = lines(file)
    edit(contents)
    rewrite(file, contents)
    assert checked(filled, file).problem == problem


def test_a_key_twice_and_a_line_cut_are_not_in_the_form(filled, file):
    whole = file.read_text()
    file.write_text(whole.replace('{"index":4,', '{"index":4,"index":4,'))
    at = whole[: whole.index('{"index":4')].count("\n") + 1
    assert checked(filled, file).problem == f"line {at}: is not in the form of an export"
    file.write_text(whole[:-1])
    assert (
        checked(filled, file).problem
        == f"line {whole.count(chr(10))}: is not in the form of an export"
    )


def test_values_and_leaf_rewritten_by_an_insider_name_the_range(new_book, tmp_path):
    """Who holds the file can make it fit in itself, but not the roots that were signed."""
    book = new_book("log.db")
    log = book.open()

    async def entries() -> None:
        await asyncio.gather(*(log.append(book.record(n)) for n in range(40)))

    asyncio.run(entries())
    log.close()
    sizes = [size for (size,) in book.rows("SELECT size FROM checkpoints ORDER BY size")]
    first = max(size for size in sizes if size <= 30)
    last = min(size for size in sizes if size > 30)
    file = written(book, tmp_path / "log.jsonl")
    contents = lines(file)
    entry = contents[entry_at(contents, 30)]
    entry["fields"][0][2] = "city"
    leaf = commit(
        {name: value for name, _, value in entry["fields"]},
        {name: bytes.fromhex(salt) for name, salt, _ in entry["fields"]},
    )
    entry["leaf"] = leaf_hash(leaf).hex()
    rewrite(file, contents)
    where = "was" if last - first == 1 else f"to {last - 1}: one was"
    assert checked(book, file).problem == f"entry {first}: {where} altered after it was signed"


def test_a_large_file_is_read_by_several_processes(filled, file, monkeypatch):
    monkeypatch.setattr(export_check, "_PIECE", 2000)
    assert checked(filled, file).entries == COUNT
    contents = lines(file)
    contents[entry_at(contents, 9)]["fields"][0][2] = "city"
    rewrite(file, contents)
    assert checked(filled, file).problem == "entry 9: its fields do not make its leaf"


def test_kept_checkpoints_must_be_prefixes(filled, file, tmp_path):
    notes = dict(filled.rows("SELECT size, note FROM checkpoints"))
    kept = tmp_path / "kept.note"
    for size in (0, 6, 11):
        kept.write_bytes(bytes(notes[size]))
        assert checked(filled, file, kept).problem == ""
    kept.write_bytes(sign(Checkpoint("harbor/node", 6, bytes(32)), filled.key))
    assert checked(filled, file, kept).problem == (
        "entry 0: to 5: one is not what the log signed before: "
        f"{kept} has another root for 6 entries"
    )
    kept.write_bytes(sign(Checkpoint("harbor/node", 12, bytes(32)), filled.key))
    assert checked(filled, file, kept).problem == (
        f"entry 11: is missing: {kept} is signed for 12 entries, the log was cut back"
    )
    kept.write_bytes(sign(Checkpoint("city/node", 6, bytes(32)), filled.key))
    with pytest.raises(Unverified, match=r"kept.note: .*not signed by harbor/node"):
        checked(filled, file, kept)
    part = written(filled, tmp_path / "part", Wanted(8, 9))
    kept.write_bytes(bytes(notes[6]))
    found = checked(filled, part, kept)
    assert (found.problem, found.untold, found.ok) == ("", (str(kept),), False)


@pytest.mark.parametrize("names", [["b", "a"], ["a", "a"], ["\x1b[2J"], [1], [["a"]], []])
def test_a_header_names_fields_and_nothing_else(filled, file, names):
    contents = lines(file)
    contents[0]["fields"] = {"without": names}
    rewrite(file, contents)
    with pytest.raises(InputError, match="does not begin as"):
        checked(filled, file)
    contents[0]["fields"] = {"without": ["a", "b"]}
    rewrite(file, contents)
    assert checked(filled, file).withheld == "a, b"


@pytest.mark.parametrize(
    ("name", "value"),
    [("size", True), ("size", 1.0), ("size", -1), ("origin", "harbor\ud800/node"),
     ("key", "harbor\udc00/node+00000000+AA=="), ("witnesses", ["\ud800+00000000+AA=="])],
)  # fmt: skip
def test_a_header_with_a_number_or_a_text_that_is_none(filled, file, name, value):
    first, _, rest = file.read_text().partition("\n")
    header = json.dumps(json.loads(first) | {name: value})
    file.write_text(f"{header}\n{rest}")
    with pytest.raises(InputError, match="does not begin as"):
        checked(filled, file)
    # The twin: JSON's other way to write what is a text.
    header = json.dumps(json.loads(first)).replace("harbor", "\\u0068arbor")
    file.write_text(f"{header}\n{rest}")
    assert checked(filled, file).ok


def test_a_header_names_a_key_also_where_it_is_known(filled, file):
    contents = lines(file)
    for key, problem in (
        ("", "no verifier key"),
        ("harbor/node+00000000+AA==", "no verifier key"),
        (verifier_key("city/node", filled.key.public), "the key is of city/node"),
    ):
        contents[0]["key"] = key
        rewrite(file, contents)
        with pytest.raises((InputError, Unverified), match=problem):
            checked(filled, file)


@pytest.mark.parametrize("skip", [[False, 1], [0, True], [0.0, 1], [-1, 1], [0, 1 << 80]])
def test_what_is_left_out_is_counted_in_numbers(filled, tmp_path, skip):
    file = written(filled, tmp_path / "part", Wanted(begin=1))
    contents = lines(file)
    at = next(i for i, one in enumerate(contents) if "skip" in one)
    assert contents[at]["skip"] == [0, 1]
    contents[at]["skip"] = skip
    rewrite(file, contents)
    assert checked(filled, file).problem == f"line {at + 1}: is not in the form of an export"


def test_what_is_no_export_is_told(tmp_path, filled):
    other = tmp_path / "other"
    for text in ("", "{}\n", '{"format":"accord-audit-export/2"}\n', "\xff", "[" * 100_000):
        other.write_text(text)
        with pytest.raises(InputError, match="does not begin as accord-audit-export/1 does"):
            checked(filled, other)
    with pytest.raises(InputError, match="can't be read"):
        checked(filled, tmp_path / "none")


@given(st.integers(0, 300), st.integers(0, 300))
def test_the_subtrees_of_a_range_make_the_tree(begin, length):
    """The same tree comes of leaves, and of the subtrees of a range of them."""
    leaves = [leaf_hash(random.Random(at).randbytes(9)) for at in range(begin + length)]
    whole, part, over = Frontier(), Frontier(), SubtreesOver(begin)
    for at, leaf in enumerate(leaves):
        whole.append(leaf)
        if at < begin:
            part.append(leaf)
        else:
            over.append(leaf)
    assert over.count == length == sum(1 << level for level in levels(begin, begin + length))
    grow(part, begin + length, over.hashes())
    assert (part.to_bytes(), part.root()) == (whole.to_bytes(), whole.root())
    with pytest.raises(ValueError, match="argument"):
        grow(part, begin + length + 1, [])


def test_a_subtree_begins_where_it_can():
    frontier = Frontier()
    frontier.append(bytes(32))
    with pytest.raises(ValueError, match="no complete subtree"):
        frontier.append_subtree(1, bytes(32))
    frontier.append_subtree(0, bytes(32))
    assert frontier.root() == node_hash(bytes(32), bytes(32))


def test_verifier_keys_are_read_as_they_are_written(tmp_path):
    public = PrivateKey.generate("ed25519").public
    text = verifier_key("harbor/node", public)
    assert read_vkey(text) == read_public(text) == NamedKey("harbor/node", public)
    (tmp_path / "key").write_text(text + "\n")
    assert read_public(str(tmp_path / "key")) == NamedKey("harbor/node", public)
    # The example of C2SP's signed-note.
    example = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
    assert read_vkey(example).name == "example.com/foo"
    for bad, words in (
        (text.replace("harbor", "harbour"), "id that is not this key's"),
        (text[:-1], "is no verifier key"),
        (text.partition("+")[0], "is no verifier key"),
    ):
        with pytest.raises(InputError, match=words):
            read_vkey(bad)
    with pytest.raises(InputError, match="kind 1, not 4"):
        read_vkey(text, WITNESS)
