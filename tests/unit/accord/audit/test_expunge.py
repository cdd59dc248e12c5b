"""A record or field is destroyed by a named authority; else what is missing is told."""

import asyncio
import json
import random
import re

import pytest

from accord.audit import expunging
from accord.audit.absence import SAYING, Expunged, expunged
from accord.audit.checkpoint import verifier_key
from accord.audit.copying import copy_log
from accord.audit.disclosure import check_disclosure, disclose
from accord.audit.export_check import check_export
from accord.audit.export_file import COUNTERPART, Wanted, export
from accord.audit.export_lines import Disclosed
from accord.audit.file import LogFile
from accord.audit.leaf import field_digest
from accord.audit.log import AuditLog
from accord.audit.reader import AuditReader, Filter
from accord.audit.report import line
from accord.audit.sealing import Sealer
from accord.audit.vkeys import NamedKey
from accord.errors import InputError, Unverified
from accord.keys import write_secret
from tests.stores import SQLITE

COUNT = 9
WHOLE = frozenset()
PLATE = frozenset({"plate", "case"})
ORDER = "Order of the Superior Court 26-001"


def fill(book, count=COUNT):
    log = book.open()

    async def entries() -> None:
        for number in range(count):
            await log.append(book.record(number))

    asyncio.run(entries())
    log.close()
    return book


@pytest.fixture
def filled(book):
    return fill(book)


def named(book, entry: int, fields=WHOLE, authority=ORDER, signer="A. Counsel"):
    """The first step alone: the record that names it, durable."""
    log = book.open()
    try:
        with log.reader() as reader:
            record = expunging.order(reader, Expunged(entry, fields, authority, signer), "a test")
        return None if record is None else asyncio.run(log.append(record)).index
    finally:
        log.close()


def expunge(book, entry: int, fields=WHOLE):
    index = named(book, entry, fields)
    expunging.carry_out(book.place, book.secret, book.origin)
    return index


def verified(book) -> str:
    with book.reader() as reader:
        return reader.verify().problem


def test_a_whole_record_is_destroyed_and_all_else_stays(filled):
    ((leaf,),) = filled.rows("SELECT leaf FROM entries WHERE idx = 4")
    assert expunge(filled, 4) == COUNT
    assert filled.rows("SELECT leaf, key, box FROM entries WHERE idx = 4") == [(leaf, b"", b"")]
    assert filled.rows("SELECT count(*) FROM terms WHERE idx = 4") == [(0,)]
    with filled.reader() as reader:
        found = reader.verify()
        assert (found.problem, found.entries, found.expunged) == ("", COUNT + 1, 1)
        assert list(reader.entries(Filter({"plate": "7INV004"}))) == []
        shown = list(reader.entries())
    assert (shown[4].fields, "plate" in shown[4].gone, shown[3].gone) == ({}, True, ())
    last = shown[COUNT].fields
    assert {k: v for k, v in last.items() if k != "time"} == {
        "kind": "expunged", "expunged_entry": "4", "expunged_fields": "", "authority": ORDER,
        "signer": "A. Counsel", "detail": "by a test",
    }  # fmt: skip


def test_a_field_alone_is_destroyed(filled):
    assert expunge(filled, 4, PLATE) == COUNT
    assert verified(filled) == ""
    with filled.reader() as reader:
        entry = list(reader.entries())[4]
        assert list(reader.entries(Filter({"plate": "7INV004"}))) == []
        assert [one.index for one in reader.entries(Filter({"query_id": f"{4:032x}"}))] == [4]
    assert (entry.gone, entry.fields["officer"]) == (("case", "plate"), "H-1")
    assert not PLATE & entry.fields.keys()
    # Then the rest of it, too.
    assert expunge(filled, 4) == COUNT + 1
    assert verified(filled) == ""


def test_to_run_it_again_changes_nothing(filled):
    assert expunge(filled, 4, PLATE) == COUNT
    before = filled.rows("SELECT * FROM entries ORDER BY idx")
    assert expunge(filled, 4, PLATE) is None
    assert expunge(filled, 4, frozenset({"case"})) is None
    assert filled.rows("SELECT * FROM entries ORDER BY idx") == before


@pytest.mark.parametrize("fields", [WHOLE, PLATE], ids=["record", "fields"])
def test_what_a_crash_left_is_finished_at_the_next_start(filled, fields):
    assert named(filled, 4, fields) == COUNT
    # Killed here: it is named and still there, which is sound.
    assert filled.rows("SELECT length(key) > 0 FROM entries WHERE idx = 4") in ([(1,)], [(True,)])
    assert verified(filled) == ""
    filled.open().close()
    with filled.reader() as reader:
        assert set(list(reader.entries())[4].gone) >= PLATE
    assert verified(filled) == ""


def test_what_no_later_entry_names_is_broken(filled):
    with filled.behind() as sql:
        sql.execute("UPDATE entries SET key = ?, box = ? WHERE idx = 4", (b"", b""))
        sql.execute("DELETE FROM terms WHERE idx = 4")
    problem = "entry 4: its record is missing, and no later entry names it as expunged"
    assert verified(filled) == problem
    with filled.reader() as reader, pytest.raises(InputError, match=problem):
        export(reader, filled.path.with_name("x"))


def reseal(book, entry: int, without: frozenset[str]) -> None:
    """Take fields away with the log's own secret, as an insider would."""
    with book.behind() as sql:
        sealer = Sealer(book.secret, book.origin)
        row, record = expunging._entry(sql, sealer, entry)
        left = {name: value for name, value in record.fields.items() if name not in without}
        expunging._destroy(sql, sealer, row, record, left)


def test_a_field_that_no_later_entry_names_is_broken(filled):
    expunge(filled, 4, frozenset({"case"}))
    reseal(filled, 4, frozenset({"plate"}))
    assert verified(filled) == (
        "entry 4: plate is missing, and no later entry names it as expunged"
    )


def test_an_order_names_another_entry(filled):
    expunge(filled, 4)
    reseal(filled, 5, PLATE)
    assert verified(filled).startswith("entry 5: case, plate is missing")


@pytest.mark.parametrize(
    ("entry", "fields", "authority", "words"),
    [
        (COUNT, WHOLE, ORDER, f"entry {COUNT}: is not in the log; it has {COUNT} entries"),
        (4, frozenset({"colour"}), ORDER, "has no field colour"),
        (4, frozenset({"time"}), ORDER, "time stays as long as a record is there"),
        (4, WHOLE, " ", "nobody answers"),
    ],
)
def test_what_can_not_be_expunged(new_book, entry, fields, authority, words):
    book = fill(new_book("log.db"))
    with pytest.raises(InputError, match=words):
        named(book, entry, fields, authority)
    assert book.rows("SELECT count(*) FROM entries") == [(COUNT,)]


@pytest.mark.parametrize("kind", ["purge", "start", "retention", "activation"])
def test_what_a_node_goes_on_by_stays(new_book, kind):
    book = new_book("log.db")
    log = book.open()
    asyncio.run(log.append(book.record(1, kind)))
    log.close()
    with pytest.raises(InputError, match=f"is of kind {kind}, by which the node goes on"):
        named(book, 0)
    book = fill(new_book("other.db"))
    expunge(book, 4)
    with pytest.raises(InputError, match="is of kind expunged"):
        named(book, COUNT)


@pytest.mark.parametrize(
    "change",
    [{"expunged_entry": "7"}, {"expunged_entry": "07"}, {"expunged_fields": "a,,b"},
     {"authority": " "}, {"signer": ""}, {"expunged_entry": "-1"}],
)  # fmt: skip
def test_a_record_that_names_nothing_counts_for_nothing(change):
    sound = {"expunged_entry": "6", "expunged_fields": "", "authority": "x", "signer": "y"}
    assert expunged(7, sound) == Expunged(6, frozenset(), "x", "y")
    with pytest.raises(Unverified):
        expunged(7, sound | change)


def key(book) -> NamedKey:
    return NamedKey("", book.key.public)


@pytest.mark.parametrize("fields", [WHOLE, PLATE], ids=["record", "fields"])
def test_an_export_holds_what_names_it(filled, tmp_path, fields):
    expunge(filled, 4, fields)
    for wanted in (Wanted(), Wanted(3, 6)):
        file = tmp_path / f"{wanted.begin}.jsonl"
        with filled.reader() as reader:
            export(reader, file, wanted)
        found = check_export(file, key(filled))
        assert (found.problem, found.expunged) == ("", 1)
        assert "7INV004" not in file.read_text()
    contents = [json.loads(line) for line in file.read_text().splitlines()]
    assert [one["index"] for one in contents if "index" in one] == [3, 4, 5, COUNT]
    # The order taken away, by whoever hands the file on.
    text = file.read_text().splitlines(keepends=True)
    naming = next(at for at, line in enumerate(text) if '"expunged_entry"' in line)
    contents[naming]["fields"] = [
        [name, field_digest(name, bytes.fromhex(salt), value.encode()).hex()]
        for name, salt, value in contents[naming]["fields"]
    ]
    text[naming] = json.dumps(contents[naming], ensure_ascii=False, separators=(",", ":")) + "\n"
    file.write_text("".join(text))
    problem = check_export(file, key(filled)).problem
    assert problem.startswith("entry 4: ")
    assert problem.endswith("is missing, and no later entry names it as expunged")


@SQLITE
@pytest.mark.parametrize("disclosed", [Disclosed(only=COUNTERPART), Disclosed(only=frozenset())])
def test_a_counterpart_is_told_who_answers_for_it_and_not_who_typed_it(filled, tmp_path, disclosed):
    expunge(filled, 4, PLATE)
    file = tmp_path / "log.jsonl"
    with filled.reader() as reader:
        export(reader, file, None, disclosed)
        last = list(reader.entries())[-1].fields
    assert (last["detail"], check_export(file, key(filled)).problem) == ("by a test", "")
    text = file.read_text()
    assert last["detail"] not in text
    for name in SAYING:
        assert last[name] in text
        # The twin: none of these may be kept back, whatever the header says of them.
        contents = [json.loads(line) for line in text.splitlines()]
        (order,) = (
            one for one in contents if any(f[0] == "expunged_entry" for f in one.get("fields", ()))
        )
        order["fields"] = [
            [f[0], field_digest(f[0], bytes.fromhex(f[1]), f[2].encode()).hex()]
            if f[0] == name
            else f
            for f in order["fields"]
        ]
        file.write_text("".join(f"{json.dumps(one, ensure_ascii=False)}\n" for one in contents))
        broken = check_export(file, key(filled)).problem
        # Where nobody may know it was one, the field that it names is just missing: if it is shown.
        assert broken or (name == "kind" and not disclosed.shows("plate"))


@SQLITE
def test_what_was_expunged_is_shown_to_a_person(filled, accord):
    expunge(filled, 4, PLATE)
    write_secret(filled.path.with_name("secret"), filled.secret)
    public = verifier_key(filled.origin, filled.key.public)
    place = ("--log", filled.path, "--secret", filled.path.with_name("secret"), "--public", public)
    entries = json.loads(accord("show", *place, "--json")[1])["entries"]
    assert {one["index"]: one.get("expunged") for one in entries if "expunged" in one} == {
        4: ["case", "plate"]
    }
    with filled.reader() as reader:
        said = line(list(reader.entries())[-1])
    assert said["asked"] == "case,plate of entry 4"
    assert said["decision"] == f"{ORDER}, signed for by A. Counsel"


def test_one_entry_is_disclosed_with_its_proof(filled, tmp_path):
    file = tmp_path / "one.json"
    with filled.reader() as reader:
        disclose(reader, 4, frozenset({"plate"}), file)
    found = check_disclosure(file, key(filled))
    assert (found.problem, found.index, found.size, found.vouched) == ("", 4, COUNT, True)
    assert dict(found.fields) == {
        "kind": "query", "plate": "7INV004", "time": "2026-09-21T14:13:25.000Z",
    }  # fmt: skip
    assert "H-1" not in file.read_text()
    assert not check_disclosure(file, None).vouched
    content = json.loads(file.read_text())
    assert content["key"] == verifier_key("harbor/node", filled.key.public)
    for change, words in (
        (("7INV004", "7INV005"), "entry 4: its fields do not make its leaf"),
        (('"index":4', '"index":5'), "entry 5: the proof is for entry 4"),
        (("index 4\\n", "index 5\\n"), "entry 4: the proof is for entry 5"),
        (("harbor/node\\n9\\n", "harbor/node\\n8\\n"), "entry 4: .*not signed by harbor/node"),
        (("index 4\\n", f"index 4\\n{'A' * 43}=\\n"), "entry 4: the inclusion proof is too long"),
        (('"proof"', '"more":1,"proof"'), None),
    ):
        other = tmp_path / "other.json"
        text = file.read_text()
        assert change[0] in text
        other.write_text(text.replace(*change))
        if words is None:
            with pytest.raises(InputError, match="is not in the form"):
                check_disclosure(other, key(filled))
        else:
            assert re.match(words, check_disclosure(other, key(filled)).problem)


def test_a_disclosure_ends_where_it_was_read_to(filled, tmp_path):
    file = tmp_path / "one.json"
    with filled.reader() as reader:
        disclose(reader, 4, {"plate"}, file)
    text = file.read_text()
    file.write_text(text + " " * 1000)
    assert check_disclosure(file, key(filled)).ok
    file.write_text(text + " " * (1 << 20) + "and a word that nobody checks")
    with pytest.raises(InputError, match="is not in the form of accord-audit-disclosure/1"):
        check_disclosure(file, key(filled))


def test_what_was_expunged_can_not_be_disclosed(filled, tmp_path):
    expunge(filled, 4, PLATE)
    with filled.reader() as reader:
        with pytest.raises(InputError, match="case was expunged"):
            disclose(reader, 4, frozenset({"case"}), tmp_path / "one")
        with pytest.raises(InputError, match="has no field colour"):
            disclose(reader, 4, frozenset({"colour"}), tmp_path / "one")
        with pytest.raises(InputError, match="entry 99: is not in the log"):
            disclose(reader, 99, frozenset({"case"}), tmp_path / "one")
        assert not (tmp_path / "one").exists()
        disclose(reader, 4, frozenset({"officer"}), tmp_path / "one")
    assert check_disclosure(tmp_path / "one", key(filled)).problem == ""


def copied(source, target) -> None:
    copy_log(source.place, target, origin=source.origin, public=source.key.public,
             secret=source.secret)  # fmt: skip


@pytest.mark.parametrize("fields", [WHOLE, PLATE], ids=["record", "fields"])
def test_a_copy_made_before_loses_it_too(filled, tmp_path, fields):
    copy = LogFile(tmp_path / "copy.db")
    copied(filled, copy)
    expunge(filled, 4, fields)
    copied(filled, copy)
    text = "SELECT idx, leaf, length(key) > 0 FROM entries ORDER BY idx"
    reading = copy.reading()
    assert [tuple(row) for row in reading.execute(text)] == [
        (index, leaf, int(there)) for index, leaf, there in filled.rows(text)
    ]
    reading.close()
    term = Sealer(filled.secret, filled.origin).term("plate", "7INV004")
    reading = copy.reading()
    assert reading.execute("SELECT * FROM terms WHERE term = ?", (term,)).fetchall() == []
    reading.close()


def test_a_copy_that_was_expunged_does_not_get_it_back(new_book, tmp_path):
    """An import from a file that still holds it, as after a crash or from an older one."""
    book = fill(new_book("log.db"))
    assert named(book, 4) == COUNT
    copy = LogFile(tmp_path / "copy.db")
    copied(book, copy)
    reading = copy.reading()
    found = reading.execute("SELECT key, box FROM entries WHERE idx = 4").fetchall()
    reading.close()
    assert found == [(b"", b"")]
    copied(book, copy)


@SQLITE
@pytest.mark.parametrize("fields", [WHOLE, PLATE], ids=["record", "fields"])
def test_no_byte_of_it_is_left_in_the_files(place, book, fields):
    fill(book, 400)
    ((sealed, box),) = book.rows("SELECT key, box FROM entries WHERE idx = 123")
    sealer = Sealer(book.secret, book.origin)
    terms = [sealer.term("plate", "7INV123"), sealer.term("case", "26-00123")]
    folder = book.path.parent

    def there() -> set[bytes]:
        data = b"".join(file.read_bytes() for file in folder.glob("audit.db*"))
        pieces = [bytes(sealed), *(bytes(box)[at : at + 16] for at in range(0, len(box) - 16, 16))]
        return {piece for piece in (*pieces, *terms) if piece in data}

    assert bytes(sealed) in there()
    assert set(terms) <= there()
    # A reader that has it open keeps the journal, not what was destroyed.
    with book.reader() as reader:
        list(reader.entries(Filter({"plate": "7INV123"})))
        expunge(book, 123, fields)
        assert there() == set()
    assert there() == set()


@SQLITE
def test_who_still_reads_it_as_it_was_is_waited_for_and_told(place, book, monkeypatch):
    fill(book)
    monkeypatch.setattr("accord.audit.file.BUSY_MS", 50)
    named(book, 4)
    reading = book.place.reading()
    with reading.snapshot():
        reading.execute("SELECT count(*) FROM entries").fetchall()
        with pytest.raises(InputError, match="run this again"):
            expunging.carry_out(book.place, book.secret, book.origin)
    reading.close()
    assert expunge(book, 4) is None
    assert verified(book) == ""


def test_many_in_any_order(new_book):
    book = fill(new_book("log.db"), 30)
    chance = random.Random(1)
    for _ in range(12):
        expunge(book, chance.randrange(30), chance.choice([WHOLE, PLATE, frozenset({"officer"})]))
        assert verified(book) == ""
    assert verified(book) == ""


@SQLITE
def test_two_books_that_are_reconciled_say_how_much_of_them_was_expunged(filled, tmp_path, accord):
    """What both agencies have expunged is in neither book: the number of it is all there is."""
    expunge(filled, 2)
    expunge(filled, 4, PLATE)
    other = AuditLog.open(
        LogFile(tmp_path / "city.db"), origin="city/node", key=filled.key, secret=filled.secret,
        clock=filled.clock,
    )  # fmt: skip
    other.close()
    ours, theirs = tmp_path / "harbor.jsonl", tmp_path / "city.jsonl"
    with filled.reader() as reader:
        export(reader, ours)
    with AuditReader.open(
        LogFile(tmp_path / "city.db"), filled.secret, filled.key.public
    ) as reader:
        export(reader, theirs)
    status, out, _ = accord("reconcile", ours, theirs)
    assert status == 4
    assert "harbor/node: 11 entries, NOT PROVEN; 2 with something expunged, each named" in out
    assert "city/node: 0 entries, NOT PROVEN\n" in out
    logs = json.loads(accord("reconcile", ours, theirs, "--json")[1])["logs"]
    assert [one["expunged"] for one in logs] == [2, 0]
