"""The published policy: complete or not printed, and its figures are those that the node keeps."""

import re
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.agreements.policy import Texts, parse_policy
from accord.agreements.policy_document import ITEMS, document, exposures, figures, missing
from accord.agreements.policy_template import template_policy
from accord.cli.policy_layout import as_markdown, as_text
from accord.errors import InputError
from accord.model import COUNSEL_ONLY, PROHIBITED, Purpose

OWN = [p for p in Purpose if p not in PROHIBITED and p not in COUNSEL_ONLY]
BLIND = "ab" * 16
TEXTS = Texts(
    **{item.key: f"About {item.key}." for item in ITEMS if item.key != "effective"}
    | {"job_titles": ("Detective", "Sergeant")},
    effective=date(2026, 3, 1),
)


def complete(**changes):
    text = template_policy("harbor", "America/Los_Angeles", BLIND).decode()
    for key, value in changes.items():
        text, count = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", text, count=1)
        assert count == 1
    return replace(parse_policy(text.encode(), "p"), texts=TEXTS)


def test_the_template_shares_with_nobody_and_answers_nothing():
    policy = parse_policy(template_policy("harbor", "UTC", BLIND), "p")
    assert not policy.partners
    assert policy.blinded
    assert missing(policy) == ITEMS
    assert not missing(complete())


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.key)
def test_what_one_key_misses_is_named_with_its_statute_and_nothing_is_printed(item):
    policy = complete()
    assert document(policy, "p.toml").parts
    empty = getattr(Texts(), item.key)
    with pytest.raises(InputError) as caught:
        document(replace(policy, texts=replace(TEXTS, **{item.key: empty})), "p.toml")
    said = str(caught.value)
    assert said.startswith(f"p.toml: document.{item.key} is not answered")
    assert item.cite in said
    if item.letter:
        assert f"1798.90.53(b)(2)({item.letter})" in said


def test_every_letter_of_the_statute_has_its_section_with_the_words_for_it():
    made = document(complete(), "p")
    assert "".join(part.letter for part in made.parts) == "ABCDEFG"
    for item in ITEMS:
        if item.letter and item.key != "job_titles":
            part = next(part for part in made.parts if part.letter == item.letter)
            assert any(f"About {item.key}." in paragraphs for _, paragraphs in part.words)
            assert item.cite in part.cite or item.key == "audits"
    assert "1798.90.51" not in next(i.cite for i in ITEMS if i.key == "audits")


@given(
    reads=st.integers(1, 36_500),
    photos=st.integers(1, 36_500),
    training=st.integers(1, 36_500),
    rate=st.integers(1, 10_000_000),
    own=st.sets(st.sampled_from(OWN), min_size=1),
)
def test_the_figures_are_those_that_the_node_keeps(reads, photos, training, rate, own):
    listed = ", ".join(f'"{purpose}"' for purpose in own)
    policy = complete(
        reads_days=reads,
        photos_days=photos,
        training_within_days=training,
        officer_per_minute=rate,
        purposes=f"[{listed}]",
    )
    made = document(replace(policy, texts=TEXTS), "p")
    facts = " ".join(fact for part in made.parts for fact in part.facts)
    for name, days in (("Reads", reads), ("Photos", min(reads, photos))):
        assert f"{name}: {days:,} day{'s' if days != 1 else ''} from capture." in facts
    assert f"within the last {training:,} day" in facts
    assert f"can ask {rate:,} times a minute" in facts
    named = facts.split("can search its information for: ")[1].split(".")[0].split(", ")
    assert {word.replace(" ", "-") for word in named} == own


def test_a_policy_that_keeps_no_photos_says_so():
    made = document(replace(complete(photos_days=0), texts=TEXTS), "p")
    facts = " ".join(fact for part in made.parts for fact in part.facts)
    assert "Photos: none are kept." in facts
    assert "Where a law that binds the agency sets a shorter time, that time counts." in facts
    with pytest.raises(InputError, match="reads_days"):
        complete(reads_days=0)


PARTNERS = """
[[partner]]
agency = "city"
name = "Bay City Police"
purposes = ["stolen-vehicle"]
look_back_days = 90
row_limit = 10
place = "none"
[[partner]]
agency = "county"
[withhold]
plates = ["7abc 123", "8XYZ999"]
cameras = ["LOT-7"]
cases = ["26-1"]
"""


def sharing():
    text = template_policy("harbor", "UTC", BLIND).decode()
    start, end = text.index("[withhold]"), text.index("blind = ")
    return replace(parse_policy((text[:start] + PARTNERS + text[end:]).encode(), "p"), texts=TEXTS)


def test_partners_are_listed_as_the_policy_narrows_them_and_what_is_withheld_is_counted():
    made = document(sharing(), "p")
    part = next(part for part in made.parts if part.letter == "D")
    city, county = part.rows
    assert city[:5] == ("Bay City Police (city)", "stolen vehicle", "as agreed", "90 days", "10")
    assert city[5] == "no place; the rest as agreed"
    assert county == ("county", *["as agreed"] * 5)
    assert "Withheld from every other agency: 2 plates, 1 camera, 1 case." in part.facts
    for printed in (as_text(made), as_markdown(made)):
        assert not [w for w in ("7ABC", "7abc", "8XYZ", "LOT-7", "26-1", BLIND) if w in printed]
    alone = next(part for part in document(complete(), "p").parts if part.letter == "D")
    assert alone.facts[0] == "Shared with no agency."
    assert not alone.rows


@pytest.mark.parametrize(
    ("key", "printed"),
    [
        ('photo = "none"', "no photo"),
        ('confidence = "none"', "no confidence"),
        ('time = "hour"', "the time to the hour"),
        (
            'hot_list_texts = ["source", "category"]',
            "of a hot list's entry the category and source",
        ),
        ('hot_list_texts = ["nothing"]', "of hot lists a hit alone"),
        ('export = "never"', "no answer may leave the asking program"),
        ('export = "case-number"', "no answer may leave the asking program without a case number"),
        ('approval = "court"', "only with a court's written approval"),
    ],
)
def test_only_what_the_policy_narrows_is_printed(key, printed):
    text = template_policy("harbor", "UTC", BLIND).decode()
    partner = f'[[partner]]\nagency = "city"\n{key}\n[withhold]'
    policy = parse_policy(text.replace("[withhold]", partner).encode(), "p")
    part = next(p for p in document(replace(policy, texts=TEXTS), "p").parts if p.letter == "D")
    assert part.rows[0][5] == f"{printed}; the rest as agreed"


@pytest.mark.parametrize(
    "said",
    ["Plate 7ABC123.", "a 7-abc 123 b", "camera lot-7", "case 26-1", "8 x y z 9 9 9"],
)
def test_words_that_hold_what_is_withheld_are_not_printed_nor_repeated(said):
    policy = sharing()
    assert not exposures(policy)
    shown = replace(policy, texts=replace(TEXTS, accuracy=said))
    assert exposures(shown) == ("accuracy",)
    with pytest.raises(InputError) as caught:
        document(shown, "p")
    assert said.split()[-1] not in str(caught.value)


def test_other_words_expose_nothing():
    said = "LOT-77 and LOT-71, case 26-12 and 126-1, plate 7ABC1234"
    assert not exposures(replace(sharing(), texts=replace(TEXTS, accuracy=said)))


def test_spans_of_time_in_words_are_pointed_out():
    said = "Kept 1,095 days, or two years; audits each 6 months; 12 cameras."
    policy = replace(complete(), texts=replace(TEXTS, destruction=said))
    assert figures(policy) == (("destruction", "1,095 days"), ("destruction", "6 months"))


def test_markup_in_the_words_stays_words():
    said = "1. *A* <b>|x| [l](u) #h\n\n- item"
    made = document(replace(complete(), texts=replace(TEXTS, accuracy=said)), "p")
    marked = as_markdown(made)
    assert "\n1\\. \\*A\\* \\<b\\>\\|x\\| \\[l\\](u) \\#h\n\n\\- item\n" in marked
    assert "   1. *A* <b>|x| [l](u) #h\n\n   - item\n" in as_text(made)


def test_no_line_of_the_text_is_longer_than_eighty():
    long = replace(TEXTS, accuracy="word " * 300, agency_name="Department " * 20)
    made = as_text(document(replace(sharing(), texts=long), "p"))
    assert max(map(len, made.splitlines())) <= 80
