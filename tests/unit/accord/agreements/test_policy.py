"""The agency's own policy: strict like the manifest, and it never names what it withholds."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.agreements.policy import Texts, parse_policy
from accord.agreements.policy_file import PartnerEntry
from accord.errors import InputError
from accord.model import AreaBox, Kind

GOOD = """\
format = "accord-policy/1"
agency = "harbor"
version = 3
time_zone = "America/Los_Angeles"
[own]
purposes = ["stolen-vehicle"]
look_back_days = 700
row_limit = 1000
training_within_days = 365
[[partner]]
agency = "city"
purposes = ["stolen-vehicle"]
kinds = ["reads"]
look_back_days = 90
place = "1000 m"
[[partner]]
agency = "county"
[withhold]
plates = ["7abc 123"]
cameras = ["LOT-7"]
cases = ["26-1"]
[[withhold.areas]]
south = 33.7
west = -118.3
north = 33.8
east = -118
[retention]
reads_days = 60
photos_days = 30
hot_list_days = 7
"""


def test_a_policy_says_what_it_says():
    policy = parse_policy(GOOD.encode(), "policy.toml")
    assert (policy.agency, policy.version, str(policy.zone)) == ("harbor", 3, "America/Los_Angeles")
    assert policy.own.purposes == {"stolen-vehicle"}
    assert set(policy.partners) == {"city", "county"}
    city = policy.partners["city"]
    assert (city.kinds, city.look_back_days, city.row_limit) == ({Kind.READS}, 90, None)
    assert city.redaction.place_within_m == 1000
    assert policy.partners["county"].purposes is None
    assert policy.withhold.plates == {"7ABC123"}
    assert policy.withhold.areas == (
        AreaBox(337_000_000, -1183_000_000, 338_000_000, -1180_000_000),
    )
    assert (policy.retention.reads_days, policy.retention.hot_list_days) == (60, 7)


def test_the_least_policy_shares_nothing():
    least = GOOD[: GOOD.index("[[partner]]")] + GOOD[GOOD.index("[retention]") :]
    policy = parse_policy(least.encode(), "p")
    assert not policy.partners
    assert not policy.withhold.plates


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("version = 3", "version = 0", 3, "version is wrong"),
        ('"7abc 123"', '"7\u0430bc 123"', 19, "as number 1, what is not a plate"),
        ('"7abc 123"', '"OK1", "*"', 19, "as number 2, what is not a plate"),
        ('["LOT-7"]', '["LOT-7", " "]', 20, "withhold.cameras holds an empty text"),
        ("south = 33.7", "south = 34.7", 22, "south must be less than north"),
        ("south = 33.7", "south = 33.799999999", 22, "are less than 10^-7 degrees apart"),
        ("south = 33.7", "south = nan", 23, "south is wrong"),
        ("south = 33.7", "south = 99.0", 23, "south is wrong"),
        ('agency = "county"', 'agency = "city"', 17, "names an agency twice"),
        ('agency = "county"', 'agency = "harbor"', 17, "names this agency itself"),
        ('purposes = ["stolen-vehicle"]\nkinds', "purposes = []\nkinds", 12, "is empty"),
        ('place = "1000 m"', "hot_list_texts = []", 15, 'is empty; write ["nothing"] for none'),
        ('place = "1000 m"', 'hot_list_texts = ["nothing", "list"]', 15, "or the others"),
        ('["stolen-vehicle"]\nlook', '["personal"]\nlook', 6, "can never be allowed"),
        ('kinds = ["reads"]', 'kinds = ["magazines"]', 13, "use one of reads, hot-list"),
        ('place = "1000 m"', 'place = "1 km"', 15, 'such as "500 m"'),
        (
            "reads_days = 60",
            "reads_day = 60",
            28,
            "retention holds a key that does not belong there; write reads_days",
        ),
        ("reads_days = 60\n", "", 27, "retention.reads_days is missing"),
        ('agency = "harbor"', 'agency = "Harbor"', 2, "ids are in lower case"),
        (
            "[[partner]]",
            "[[partners]]",
            10,
            "the file holds a key that does not belong there; write partner",
        ),
        ('"accord-policy/1"', '"accord-policy/2"', 1, 'format is not "accord-policy/1"'),
    ],
)
def test_each_slip_names_file_line_and_remedy(old, new, line, said):
    assert old in GOOD
    with pytest.raises(InputError) as caught:
        parse_policy(GOOD.replace(old, new, 1).encode(), "p.toml")
    message = str(caught.value)
    assert message.startswith(f"p.toml, line {line}: ")
    assert said in message
    assert "\n" not in message


def test_no_withheld_plate_is_named_in_an_error():
    with pytest.raises(InputError) as caught:
        parse_policy(GOOD.replace("7abc 123", "7abc 123 7abc 123").encode(), "p")
    assert "7abc" not in str(caught.value).lower()


def test_each_key_for_a_partner_is_told_on_counsels_page():
    page = (Path(__file__).parents[4] / "docs" / "for-counsel.md").read_text(encoding="utf-8")
    section = page.partition("## 9. Your own policy")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    told = {key for row in rows for key in re.findall(r"`([a-z_]+)`", row)}
    assert told == PartnerEntry.model_fields.keys() - {"agency", "name"}


def told(text: str) -> str:
    """Return the error that a policy makes; "" for one that can be read."""
    try:
        parse_policy(text.encode(), "p.toml")
    except InputError as error:
        return str(error)
    return ""


PLATE = "7ZZZ999"
SPOTS = [spot.start() for spot in re.finditer(r'"[^"]*"|(?<= )\d+|^[a-z_]+(?= =)|\n', GOOD, re.M)]
FORMS = (
    '"{}"', "{}", "{}\n", '{} = ""\n', '"{}" = 1\n"{}" = 2\n', "[{}]\n[{}]\n", '"{}', "[[{}]",
    "x = {{ {} = 1, {} = 2 }}\n", '"{}", "{}"', "'{}'", "{}.{} = 1\n", "\\{}", "[withhold.{}]\n",
)  # fmt: skip


@given(
    spot=st.sampled_from(SPOTS),
    form=st.sampled_from(FORMS),
    plate=st.sampled_from([PLATE, PLATE.lower(), "7777777", "abcdefg"]),
    instead=st.booleans(),
)
@settings(max_examples=500, deadline=None)
def test_no_error_repeats_a_plate_wherever_it_came_into_the_file(spot, form, plate, instead):
    """As a value, a key, a section, half of one; before what stands there or in its place."""
    end = spot + len(re.match(r'"[^"]*"|\w+|', GOOD[spot:])[0]) if instead else spot
    text = GOOD[:spot] + form.format(plate, plate) + GOOD[end:]
    assert plate.lower() not in told(text).lower()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"1000 m"', '"{}"'),
        ("row_limit = 1000", 'row_limit = "{}"'),
        ('"America/Los_Angeles"', '"{}"'),
        ('agency = "county"', 'agency = "{} "'),
        ('kinds = ["reads"]', 'kinds = ["{}"]'),
        ('purposes = ["stolen-vehicle"]', 'purposes = ["{0}", "{0}"]'),
        ('cases = ["26-1"]', '"{0}" = 1\n"{0}" = 2'),
        ("[retention]", "[{0}]\n[{0}]\n[retention]"),
        ("south = 33.7", "south = {{ {0} = 1, {0} = 2 }}"),
        ('agency = "county"', 'agency = "{0}"\n[[partner]]\nagency = "{0}"'),
    ],
)
def test_no_bad_value_and_no_key_twice_is_repeated(old, new):
    assert old in GOOD
    for plate in (PLATE, PLATE.lower(), "7777777"):
        said = told(GOOD.replace(old, new.format(plate), 1))
        assert said
        assert plate not in said


def test_another_kind_of_file_is_told_before_any_slip_in_it():
    with pytest.raises(InputError, match='line 1: format is not "accord-policy/1"'):
        parse_policy(b'format = "accord-agreement/1"\n[retention]\nsection = "IV"\n', "a.toml")


DOCUMENT = """\
[document]
agency_name = "Harbor Police"
effective = 2026-03-01
purposes = "undecided"
job_titles = ["undecided"]
custodian = "one line"
"""


def test_what_is_undecided_is_not_answered_and_changes_no_rule():
    text = GOOD + DOCUMENT
    said = parse_policy(text.encode(), "p")
    assert (said.texts.agency_name, said.texts.purposes, said.texts.job_titles) == (
        "Harbor Police", "", (),
    )  # fmt: skip
    plain = parse_policy(GOOD.encode(), "p")
    assert plain.texts == Texts()
    assert said.digest != plain.digest
    assert replace(said, texts=Texts(), digest=plain.digest) == plain


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('"one line"', '"one\\nline"', 36, "document.custodian"),
        ('"Harbor Police"', '""', 32, "agency_name is empty"),
        ('"Harbor Police"', '"a\\u001bb"', 32, "is blank, or holds a tab, a line break"),
        ("2026-03-01", '"2026-03-01"', 33, "write it without quotes, such as 2026-03-01"),
        ("2026-03-01", "2026-03-01T08:00:00Z", 33, "is not a date"),
        ("2026-03-01", "9999-03-01", 33, "is not a date"),
        ('["undecided"]', "[]", 35, "is empty"),
        (
            "custodian",
            "custodians",
            36,
            "document holds a key that does not belong there; write custodian",
        ),
    ],
)
def test_slips_in_the_document_name_the_line(old, new, line, said):
    with pytest.raises(InputError) as caught:
        parse_policy((GOOD + DOCUMENT).replace(old, new).encode(), "p")
    assert str(caught.value).startswith(f"p, line {line}: ")
    assert said in str(caught.value)


def test_a_blind_is_random_hex():
    blinded = GOOD.replace('cases = ["26-1"]', 'cases = ["26-1"]\nblind = "' + "0f" * 16 + '"')
    assert parse_policy(blinded.encode(), "p").blinded
    with pytest.raises(InputError, match=r"withhold\.blind is not 32 to 64 hex digits"):
        parse_policy(blinded.replace("0f0f", "0").encode(), "p")
