"""The manifest says what was signed, and each slip of a counsel gets one clear line."""

import hashlib
import re

import pytest

from accord.agreements.manifest import Ends
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.terms import CameraSharing, PhotoSharing
from accord.errors import InputError
from accord.model import Kind, Purpose


def problem(data: bytes | str) -> str:
    raw = data.encode() if isinstance(data, str) else data
    with pytest.raises(InputError) as caught:
        parse_manifest(raw, "x/agreement.toml")
    text = str(caught.value)
    assert text.startswith("x/agreement.toml")
    assert "\n" not in text
    return text


def line_of(text: str, start: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if line.startswith(start))


def test_the_template_parses_to_the_terms_it_was_given(world):
    data = world.text(time="hour", place="none", photo="none", received_days=None)
    manifest = parse_manifest(data, "x")
    assert manifest.digest == hashlib.sha256(data).digest()
    assert [party.id for party in manifest.parties] == ["city", "harbor"]
    assert manifest.parties[0].root == world.agencies["city"].root
    assert manifest.scope.pairs == {("city", "harbor"), ("harbor", "city")}
    assert manifest.scope.kinds == {Kind.READS, Kind.HOT_LIST}
    assert Purpose.STOLEN_VEHICLE in manifest.purposes.allowed
    assert manifest.fields.redaction.time_step_ms == 3_600_000
    assert manifest.fields.redaction.place_within_m is None
    assert manifest.fields.redaction.camera is CameraSharing.PSEUDONYM
    assert manifest.fields.redaction.photo is PhotoSharing.NONE
    assert manifest.retention.received_days is None
    assert manifest.term.ends is Ends.DAY_BEFORE
    sections = (manifest.scope.section, manifest.term.section, manifest.policy_section)
    assert sections == ("II.A", "V", "II.B")


def test_many_parties_fold_to_every_ordered_pair(world):
    manifest = world.manifest("city", "harbor", "county")
    assert len(manifest.scope.pairs) == 6
    assert ("county", "city") in manifest.scope.pairs


def test_one_way_gives_one_pair(world):
    text = world.text().decode()
    one_way = 'direction = "one-way"\nowner = "harbor"\nrequester = "city"'
    manifest = parse_manifest(text.replace('direction = "both"', one_way).encode(), "x")
    assert manifest.scope.pairs == {("city", "harbor")}


# What a hand may do to the file: (old, new, start of the line meant, what to say).
SLIPS = [
    (
        'id = "city-harbor"',
        'id = "City Harbor"',
        "id",
        "use lower-case letters, digits and hyphens",
    ),
    (
        "revision = 1",
        'revision = "1"',
        "revision",
        "revision is not a whole number; write the number without quotes",
    ),
    ("revision = 1", "revision = 0", "revision", "revision is wrong"),
    ("revision = 1", "revision = 2", "revision", "nothing says which text it amends; add replaces"),
    ("revision = 1", 'revision = 1\nreplaces = "sha256:00"', "replaces", "is given at revision 1"),
    (
        "revision = 1",
        'revision = 2\nreplaces = "sha256:00"',
        "replaces",
        "is not the fingerprint of a text",
    ),
    ("revision = 1", "revision = true", "revision", "not a whole number"),
    ('id = "city-harbor"', 'id = "City-Harbor"', "id", "write 'city-harbor'"),
    ('id = "city"', 'id = "City"', 'id = "City"', "ids are in lower case: write 'city'"),
    ('id = "harbor"', 'id = "city"', "", "parties.1.id names 'city' twice"),
    ("look_back_days = 365", "look_back_day = 365", "look_back_day", "write look_back_days"),
    ("look_back_days = 365", "look_back_days = 36.5", "look_back", "is not a whole number"),
    ("look_back_days = 365\n", "", "[limits]", "limits.look_back_days is missing; add it"),
    ("row_limit = 500", "row_limit = 5000", "row_limit", "less than or equal to 1000"),
    ('"stolen-vehicle"', '"stolen-vehicel"', "allowed", 'write "stolen-vehicle"'),
    ('"stolen-vehicle"', '"Stolen-Vehicle"', "allowed", 'write "stolen-vehicle"'),
    ('"stolen-vehicle"', '"stolen\u2010vehicle"', "allowed", 'write "stolen-vehicle"'),
    ('"stolen-vehicle"', '"civil-immigration"', "allowed", "can never be allowed (MOA II.A; Cal"),
    ('"stolen-vehicle"', '"commercial"', "allowed", "can never be allowed"),
    ('"stolen-vehicle"', '"personal"', "allowed", "can never be allowed"),
    ('"stolen-vehicle"', '"wanted-person"', "allowed", "holds 'wanted-person' twice; remove"),
    ('["reads", "hot-list"]', "[]", "kinds", "scope.kinds is empty; write at least one"),
    ('["reads", "hot-list"]', '["read"]', "kinds", 'write "reads"'),
    ('["reads", "hot-list"]', '"reads"', "kinds", "is not a list; write it in brackets"),
    ('direction = "both"', 'direction = "all"', "direction", "use one of both, one-way"),
    ('direction = "both"', 'direction = "one-way"', "direction", "owner or requester is missing"),
    ('direction = "both"', 'direction = "both"\nowner = "city"', "direction", "remove them"),
    (
        'direction = "both"',
        'direction = "one-way"\nowner = "city"\nrequester = "port"',
        "requester",
        "holds 'port', which is not a party; use one of city, harbor",
    ),
    (
        'direction = "both"',
        'direction = "one-way"\nowner = "city"\nrequester = "city"',
        "owner",
        "is the requester too",
    ),
    ('time = "minute"', 'time = "minutes"', "time =", 'write "minute"'),
    ('place = "500 m"', 'place = "500m"', "place", 'such as "500 m"'),
    ('place = "500 m"', 'place = "5 m"', "place", "metres from 10 to 50000"),
    ('place = "500 m"', "place = 500", "place", "is not a text; write it in quotes"),
    ('photo = "masked"', 'photo = "shared"', "photo", 'write "masked" or "none"'),
    ('camera = "pseudonym"', 'camera = "hidden"', "camera", "use one of exact, pseudonym, none"),
    ('vehicle = "shared"', 'vehicle = "yes"', "vehicle", "use one of shared, none"),
    ("received_days = 60", "received_days = 0", "received_days", 'write such as 30, or "own-pol'),
    ("received_days = 60", "received_days = true", "received_days", 'or "own-policy"'),
    ("received_days = 60", 'received_days = "60"', "received_days", 'or "own-policy"'),
    ("length_years = 3", "length_years = 2026-03-01", "length_years", "is not a whole number"),
    ('ends = "day-before"', 'ends = "day before"', "ends", 'write "day-before"'),
    ('extension = "none"', 'extension = "twice"', "extension", "which is not an extension"),
    ('extension = "none"', 'extension = "once"', "extension", "add extension_years = 1"),
    (
        'extension = "none"',
        'extension = "counted"\nextension_years = 1',
        "extension",
        "yet extensions is missing; add extensions = 1",
    ),
    (
        'extension = "none"',
        'extension = "none"\nextension_years = 1',
        "extension_years",
        "is given although term.extension is 'none'",
    ),
    (
        'extension = "none"',
        'extension = "once"\nextension_years = 1\nextensions = 2',
        "extensions",
        "is given although term.extension is 'once'",
    ),
    ('extension = "none"', 'extension = "once"\nextension_years = 0', "extension_years", "1"),
    ('sharing = "none"', 'sharing = "partners"', "sharing", "use one of none"),
    ('case_number = "required"', 'case_number = "yes"', "case_number", "required, optional"),
    ('counterparts = "every-party"', 'counterparts = "one"', "counterparts", "every-party"),
    ('"America/Los_Angeles"', '"America/Los Angeles"', "time_zone", "not a time zone; write"),
    ('"America/Los_Angeles"', '"../../etc/passwd"', "time_zone", "not a time zone"),
    ('"America/Los_Angeles"', '"America/Nowhere"', "time_zone", "not a time zone"),
    ('format = "accord-agreement/1"', 'format = "accord-agreement/9"', "format", "this version"),
    ('contact = "alpr@city.example"', 'contact = ""', "contact", "is empty; write it out"),
    (
        'contact = "alpr@city.example"',
        'contact = "a\\u001b[31m"',
        "contact",
        "an invisible character",
    ),
    (
        "[onward]\n",
        "[onwards]\n",
        "[onwards]",
        "the file holds a key that does not belong there; write onward",
    ),
    ('section = "V"\n', "", "[term]", "term.section is missing"),
]


@pytest.mark.parametrize(("old", "new", "line", "said"), SLIPS, ids=[s[1][:40] for s in SLIPS])
def test_each_slip_names_file_line_and_remedy(world, old, new, line, said):
    good = world.text().decode()
    assert old in good
    text = good.replace(old, new, 1)
    message = problem(text)
    assert said in message
    if line:
        assert f"x/agreement.toml, line {line_of(text, line)}: " in message


def test_a_wrong_value_in_a_list_over_lines_names_its_own_line(world):
    good = world.text().decode()
    text = re.sub(r"allowed = .*", 'allowed = [\n  "amber-alert",\n  "joyride",\n]', good)
    line = line_of(text, '  "joyride"')
    assert f"line {line}: " in problem(text)


def test_what_is_not_toml_names_the_line(world):
    good = world.text().decode()
    assert "lacks a comma" in problem(good.replace('"reads", "hot-list"', '"reads" "hot-list"'))
    assert "curly quotes" in problem(good.replace('"both"', "\u201cboth\u201d"))
    twice = good.replace("revision = 1", "revision = 1\nrevision = 2")
    assert "line 8" in problem(twice)


def test_other_encodings_say_how_to_save_the_file(world):
    good = world.text()
    assert "byte order mark" in problem(b"\xef\xbb\xbf" + good)
    assert "byte order mark" in problem(good.decode().encode("utf-16"))
    latin = good.replace(b"# Sharing", b"# \xe9", 1).replace(b'name = "City"', b'name = "Cit\xe9"')
    message = problem(latin)
    assert "is not UTF-8; save the file with the encoding" in message
    assert re.search(r"line \d+:", message)


def test_one_party_is_no_agreement(world):
    text = world.text().decode()
    start = text.index("[[parties]]", text.index("[[parties]]") + 1)
    one = text[:start] + text[text.index("# Who may ask") :]
    assert "has one party only" in problem(one)


def test_a_root_is_a_fingerprint_and_nobody_elses(world):
    text = world.text().decode()
    root = world.agencies["harbor"].root
    assert "is not the fingerprint" in problem(text.replace(f"sha256:{root}", root))
    assert "is not the fingerprint" in problem(text.replace(root, root.upper()))
    city = world.agencies["city"].root
    assert "is the same as that of 'city'" in problem(text.replace(root, city))


def test_a_huge_file_is_not_read():
    assert "larger than 256 KiB" in problem(b"#" * 300_000)


@pytest.mark.parametrize("redacted", [{"time": "minute"}, {"place": "500 m"}, {"camera": "none"}])
def test_photos_go_whole_only_where_what_they_show_is_shared(world, redacted):
    options = {"time": "exact", "place": "exact", "camera": "exact", "photo": "shared"}
    redaction = world.manifest(**options).fields.redaction
    assert redaction.photo is PhotoSharing.SHARED
    with pytest.raises(InputError, match="burn all three into the picture"):
        world.manifest(**(options | redacted))
