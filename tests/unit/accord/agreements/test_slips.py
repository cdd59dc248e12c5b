"""Counsel's slips, one by one: each gets one line that names the file, the line and the fix.

Each runs through the command that counsel runs, ``accord agreement check`` or
``accord policy check``: exit status 2, one line on standard error, no traceback.
"""

import io
import json
import zipfile

import pytest

from accord.agreements.counterparts import verify_counterpart
from accord.agreements.policy_template import template_policy
from accord.cli.main import app
from accord.envelope import COUNTERPART, sign
from accord.envelope_json import to_json
from accord.errors import InputError, Unverified
from accord.processes import guarded


def text_of(world, kind):
    if kind == "agreement":
        return world.text().decode()
    return template_policy("harbor", "America/Los_Angeles", "ab" * 16).decode()


def check(monkeypatch, capsys, kind, path):
    """Return the one line that the real command prints."""
    monkeypatch.setattr("sys.argv", ["accord", kind, "check", str(path)])
    with pytest.raises(SystemExit) as left:
        guarded(app)
    printed = capsys.readouterr()
    assert left.value.code == 2
    assert not printed.out
    assert printed.err.count("\n") == 1
    return printed.err


def docx():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("word/document.xml", "<w:t>format</w:t>")
    return out.getvalue()


SLIPS = [
    # name, kind, old text, new text, the line of what, words of the line
    ("curly quotes", "agreement", '"both"', "\u201cboth\u201d", "direction =", "straight ones"),
    ("one curly", "agreement", '"both"', '"both\u201d', "direction =", "straight ones"),
    ("misspelt purpose", "agreement", '"stolen-vehicle"', '"stolen-vehicel"', "allowed =",
     'write "stolen-vehicle"'),
    ("en dash in a purpose", "agreement", '"stolen-vehicle"', '"stolen\u2013vehicle"', "allowed =",
     'write "stolen-vehicle"'),
    ("capitals", "agreement", 'id = "harbor"', 'id = "Harbor"', 'id = "Harbor"', "write 'harbor'"),
    ("missing comma", "agreement", '"reads", "hot-list"', '"reads" "hot-list"', "kinds =",
     "lacks a comma"),
    ("comma over lines", "agreement", '"reads", "hot-list"', '"reads"\n "hot-list"', "kinds =",
     "write , after the first"),
    ("open bracket", "agreement", '"hot-list"]', '"hot-list"', "kinds =", "write ] after"),
    ("open bracket, last comma", "agreement", '"hot-list"]', '"hot-list",', "kinds =",
     "write ] after"),
    ("open quote", "agreement", 'direction = "both"', 'direction = "both', "direction =",
     'write " at the end'),
    ("section's bracket", "agreement", "[scope]", "[scope", "[scope", "brackets don't close"),
    ("parties alone", "agreement", "[[parties]]", "[parties]", "[[parties]]", "write [[name]]"),
    ("section twice", "agreement", "[limits]", "[scope]", "[scope]+1", "stands in line"),
    ("key twice", "agreement", "revision = 1", "revision = 1\nrevision = 2", "revision = 2",
     "remove one of them"),
    ("number in quotes", "agreement", "revision = 1", 'revision = "1"', "revision =",
     "write the number without quotes"),
    ("number with commas", "agreement", "revision = 1", "revision = 1,000", "revision =",
     "digits alone"),
    ("a word after", "agreement", "revision = 1", "revision = 1 st", "revision =", "number alone"),
    ("yes", "agreement", "revision = 1", "revision = yes", "revision =", "true or false"),
    ("no quotes", "agreement", '"both"', "both", "direction =", 'write it in "'),
    ("list without brackets", "agreement", '["reads", "hot-list"]', '"reads", "hot-list"',
     "kinds =", 'write ["first"'),
    ("one, no brackets", "agreement", '["reads", "hot-list"]', '"reads"', "kinds =",
     "write it in brackets"),
    ("empty list", "agreement", '["reads", "hot-list"]', "[]", "kinds =", "at least one value"),
    ("a list for a text", "agreement", '"both"', '["both"]', "direction =", "without brackets"),
    ("unknown key", "agreement", "look_back_days", "look-back-days", "look-back-days",
     "write look_back_days"),
    ("unknown section", "agreement", "[purposes]", "[purpose]", "[purpose]", "write purposes"),
    ("wrong place", "agreement", "[scope]", '[scope]\nrevision = 1', "[scope]+", "above the first"),
    ("colon", "agreement", "revision = 1", "revision: 1", "revision:", "write = in its place"),
    ("no equals", "agreement", "revision = 1", "revision 1", "revision 1", "no = between"),
    ("blank in a key", "agreement", "look_back_days =", "look back days =", "look back days",
     "write _"),
    ("en dash in a key", "agreement", "[local_policy]", "[local\u2013policy]", "[local\u2013policy",
     "write - or _"),
    ("no-break space", "agreement", "revision = 1", "revision =\u00a01", "revision =",
     "type a plain blank"),
    ("trailing text", "agreement", "revision = 1", 'revision = 1\nSigned by counsel',
     "Signed by counsel", "write # before a remark"),
    ("quotes in a text", "agreement", '"both"', '"the "both" way"', "direction =",
     'a quote inside a text is written \\"'),
    ("another encoding", "agreement", "[scope]", "# caf\udce9\n[scope]", "# caf", "UTF-8"),
    ("en dash in a section", "agreement", 'section = "VII.C"', 'section = "VII\u2013C"',
     "[sections]", 'write it alike in both places, such as "VII.C"'),
    ("a line break of Word's", "agreement", "revision = 1", "# one\u2028two\nrevision = 1",
     "# one", "plain editor"),
    ("a sign that turns writing round", "agreement", 'direction = "both"',
     'direction = "\u202ehtob"', "direction =", "plain editor"),
    ("misspelt purpose", "policy", '"amber-alert"', '"amber-alarm"', "purposes =",
     'write "amber-alert"'),
    ("curly quotes", "policy", '"required"', "\u201crequired\u201d", "case_number =",
     "straight ones"),
    ("capitals", "policy", 'agency = "harbor"', 'agency = "HARBOR"', "agency =",
     "ids are in lower case"),
    ("number in quotes", "policy", "reads_days = 60", 'reads_days = "60"', "reads_days =",
     "write the number without quotes"),
    ("date as text", "policy", 'effective = "undecided"', 'effective = "2026-03-01"',
     "effective =", "without quotes, such as 2026-03-01"),
    ("date of another form", "policy", 'effective = "undecided"', "effective = 3/1/2026",
     "effective =", "year-month-day"),
    ("no such date", "policy", 'effective = "undecided"', "effective = 2026-02-30",
     "effective =", "no calendar has"),
    ("unknown key", "policy", "photos_days", "photo_days", "photo_days", "write photos_days"),
    ("key twice", "policy", "plates = []", "plates = []\nplates = []", "plates = []+1",
     "remove one of them"),
    ("open long text", "policy", 'custodian = "undecided"', 'custodian = """The chief',
     "custodian =", "three quotes"),
    ("a withheld plate as a key", "policy", "plates = []", "7ABC123 = []", "7ABC123 =",
     "withhold holds a key that does not belong there"),
    ("open list", "policy", "cameras = []", "cameras = [", "cameras = [", "write ] after"),
    ("section twice", "policy", "[rates]", "[own]", "[own]+1", "stands in line"),
]  # fmt: skip


def line_of(text, what):
    """Return the line that starts so; ``+`` after it means the next line, ``+1`` the second."""
    nth = 1 if what.endswith("+1") else 0
    start = what.removesuffix("+1").removesuffix("+")
    lines = [n for n, line in enumerate(text.split("\n"), 1) if line.startswith(start)]
    return lines[nth] + (what.endswith("+"))


@pytest.mark.parametrize(
    ("kind", "old", "new", "what", "words"),
    [slip[1:] for slip in SLIPS],
    ids=[f"{slip[1]}: {slip[0]}" for slip in SLIPS],
)
def test_each_slip_is_one_line_that_names_the_line_and_the_fix(
    world, tmp_path, monkeypatch, capsys, kind, old, new, what, words
):
    good = text_of(world, kind)
    assert old in good
    text = good.replace(old, new, 1)
    path = tmp_path / f"{kind}.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    said = check(monkeypatch, capsys, kind, path)
    assert said.startswith(f"error: {path}, line {line_of(text, what)}: ")
    assert words in said
    assert "7ABC123" not in said


@pytest.mark.parametrize("kind", ["agreement", "policy"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: b"", "is empty"),
        (lambda data: b" \n\n", "is empty"),
        (lambda data: b"\xef\xbb\xbf" + data, "without BOM"),
        (lambda data: data.decode().encode("utf-16"), "byte order mark"),
        (lambda data: data.decode().encode("utf-16-le"), "is UTF-16 or no text"),
        (lambda data: docx(), "a Word document (.docx)"),
        (lambda data: b"%PDF-1.7\n" + data, "is a PDF"),
        (lambda data: b"{\\rtf1 " + data, "a document in RTF"),
        (lambda data: data.replace(b"\n", b"\r"), "save it as"),
        (lambda data: b"x = " + b"[" * 3000 + b"\n" + data, "is nested too deeply"),
    ],
)
def test_a_file_that_is_another_thing_says_so_in_line_one(
    world, tmp_path, monkeypatch, capsys, kind, change, words
):
    path = tmp_path / f"{kind}.toml"
    path.write_bytes(change(text_of(world, kind).encode()))
    said = check(monkeypatch, capsys, kind, path)
    assert said.startswith(f"error: {path}, line 1: ")
    assert words in said


@pytest.mark.parametrize("kind", ["agreement", "policy"])
def test_tabs_and_line_ends_of_windows_are_no_slip(world, tmp_path, monkeypatch, capsys, kind):
    text = text_of(world, kind).replace(" = ", "\t=\t").replace("\n", "\r\n")
    path = tmp_path / f"{kind}.toml"
    path.write_bytes(text.encode())
    monkeypatch.setattr("sys.argv", ["accord", kind, "check", str(path)])
    with pytest.raises(SystemExit) as left:
        guarded(app)
    assert left.value.code == 0
    assert f"OK: {path}" in capsys.readouterr().out


def counterpart(world, change, party="city", agreement=None):
    """Return the one line about a changed counterpart that lies there as ``city.json``."""
    manifest = world.manifest()
    data = change(world.sign(agreement or manifest, party))
    with pytest.raises((InputError, Unverified)) as caught:
        verify_counterpart(data, manifest, world.agencies["city"], "counterparts/city.json")
    said = str(caught.value)
    assert "counterparts/city.json: " in said
    assert "\n" not in said
    return said


def test_slips_with_a_counterpart_name_the_file_and_the_fix(world):
    older = world.manifest(look_back_days=30)
    assert "over another text of the agreement" in counterpart(world, bytes, agreement=older)
    said = counterpart(world, bytes, party="harbor")
    assert "names harbor as its party" in said
    assert "name it harbor.json" in said
    for damage in (
        lambda data: b"",
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.decode().encode("utf-16"),
        lambda data: data.replace(b'"', "\u201c".encode()),
        lambda data: data[: len(data) // 2],
        lambda data: docx(),
    ):
        assert "get the file again" in counterpart(world, damage)


def test_a_strangers_payload_is_not_believed_for_the_remedy(world):
    """Only a party's own id is repeated: nobody signed what it says."""
    payload = {"format": "x", "agreement": "x", "manifest_sha256": "x", "party": "nobody",
               "signer": "x", "capacity": "x", "signed_at": "x"}  # fmt: skip
    strange = sign(COUNTERPART, json.dumps(payload).encode(), world.keys["county"])
    assert "nobody" not in counterpart(world, lambda data: to_json(strange))


@pytest.mark.parametrize("slip", ["7XQZ445", "[7XQZ445]", '"7XQZ445', '["7XQZ445" "A"]'])
def test_no_slip_makes_a_withheld_plate_known(world, tmp_path, monkeypatch, capsys, slip):
    path = tmp_path / "policy.toml"
    path.write_text(text_of(world, "policy").replace("plates = []", f"plates = {slip}"))
    assert "7XQZ" not in check(monkeypatch, capsys, "policy", path)
