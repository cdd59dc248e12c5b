"""An agreement in words, and what another text of it changes."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.agreements.differences import Change, differences
from accord.agreements.manifest import State
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.questions import QUESTIONS
from accord.agreements.templates import MOA_QUESTIONS
from accord.agreements.widths import Effect
from accord.agreements.words import clauses


def reworded(world, *changes: tuple[str, str], **options):
    text = world.text(**options).decode()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return parse_manifest(text.encode(), "x")


def test_every_table_of_the_file_is_told_with_its_section(world):
    manifest = replace(world.manifest(), clauses=())
    told = {clause.name: (clause.section, clause.text) for clause in clauses(manifest)}
    assert {name: section for name, (section, _) in told.items()} == {
        "Parties": "", "Scope": "II.A", "Purposes": "II.A", "Who may ask": "II.A",
        "Onward sharing": "II.A", "Handing on": "II.A", "Local policy": "II.B", "Limits": "II.B",
        "What is seen": "I.C", "Retention": "IV", "Term": "V", "Early end": "V",
        "Disputes": "VII.A", "Interim decisions": "VII.B", "Execution": "VIII",
        "Vendor": "II.A", "Time to renegotiate": "V", "Precedence": "II.B",
    }  # fmt: skip
    assert told["Term"][1] == (
        "3 years from the last signature; the last day is the day before the anniversary; "
        "no extension."
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([('place = "500 m"', 'place = "none"')], "no place"),
        ([('place = "500 m"', 'place = "50 m"')], "the place to 50 m"),
        ([('time = "minute"', 'time = "quarter-hour"')], "the time to the quarter-hour"),
        ([('vehicle = "shared"', 'vehicle = "none"')], "nothing of the vehicle"),
        ([('photo = "masked"', 'photo = "none"')], "no photo"),
        ([("received_days = 60", 'received_days = "own-policy"')], "own policy says"),
        ([("length_years = 3", "length_years = 1")], "One year from the last signature"),
        ([('ends = "day-before"', 'ends = "undecided"')], "the last day is undecided"),
        ([('extension = "none"', 'extension = "undecided"')], "whether it is extended is undecid"),
        ([('extension = "none"', 'extension = "once"\nextension_years = 2')], "by 2 years"),
        ([('extension = "none"', 'extension = "counted"\nextension_years = 1\nextensions = 3')],
         "extended 3 times, by one year each"),
        ([('case_number = "required"', 'case_number = "optional"')], "with a reason in words."),
    ],
)  # fmt: skip
def test_each_rule_in_its_words(world, changes, words):
    text = " ".join(clause.text for clause in clauses(reworded(world, *changes)))
    assert words in text


def test_what_no_machine_keeps_is_not_told_as_enforced(world):
    told = {clause.name: clause for clause in clauses(world.manifest())}
    for name in ("Handing on", "Disputes", "Time to renegotiate", "No sale", "Newest hot lists"):
        assert told[name].state is State.RECORDED, name
    for name in ("Onward sharing", "Interim decisions", "Own reads only", "Age of hot lists"):
        assert told[name].state is State.ENFORCED, name
    assert "no machine sees that" in told["Handing on"].text
    assert "The calendar tells the day" in told["Disputes"].text


def test_no_number_is_told_of_a_question_that_is_open(world):
    asked = parse_manifest(world.text(undecided=MOA_QUESTIONS), "x")
    assert {one.key for one in asked.undecided} == set(MOA_QUESTIONS)
    told = {clause.name: clause.text for clause in clauses(asked)}
    for name in ("Who may ask", "Limits", "Retention", "Interim decisions", "Heads"):
        assert not re.search(r"\d", told[name]), told[name]
    assert re.search(r"\d", told["Disputes"])


def test_every_question_says_what_hangs_on_it():
    for key, question in QUESTIONS.items():
        assert question.words.endswith("?"), key
        assert question.why.endswith("."), key


def test_no_difference_is_no_change(world):
    assert differences(world.manifest(), world.manifest()) == ()


ONE_WAY = ('direction = "both"', 'direction = "one-way"\nowner = "city"\nrequester = "harbor"')
BOTH = "city, harbor"


@pytest.mark.parametrize(
    ("change", "who", "effect", "words", "section"),
    [
        (ONE_WAY, "city", Effect.LOSES, "may no longer ask harbor", "II.A"),
        (('"stolen-vehicle", ', ""), BOTH, Effect.LOSES, "ask about stolen-vehicle", "II.A"),
        (('["reads", "hot-list"]', '["reads"]'), BOTH, Effect.LOSES, "ask for hot-list", "II.A"),
        (("= 730", "= 365"), BOTH, Effect.LOSES, "the last 365 days, 730 before", "II.A"),
        (('case_number = "required"', 'case_number = "optional"'), BOTH, Effect.GAINS,
         "needs no case number any longer", "II.A"),
        (("look_back_days = 365", "look_back_days = 400"), BOTH, Effect.GAINS,
         "reach back 400 days, 365 before", "II.B"),
        (("row_limit = 500", "row_limit = 500\nplates_per_query = 4"), BOTH, Effect.GAINS,
         "may name 4 plates in one search, 1 before", "II.B"),
        (("row_limit = 500", "row_limit = 5"), BOTH, Effect.LOSES, "5 rows at once", "II.B"),
        (('time = "minute"', 'time = "hour"'), BOTH, Effect.LOSES, "the time to the hour", "I.C"),
        (('place = "500 m"', 'place = "100 m"'), BOTH, Effect.GAINS, "place to 100 m", "I.C"),
        (('camera = "pseudonym"', 'camera = "exact"'), BOTH, Effect.GAINS, "own name", "I.C"),
        (('vehicle = "shared"', 'vehicle = "none"'), BOTH, Effect.LOSES, "nothing of", "I.C"),
        (('photo = "masked"', 'photo = "none"'), BOTH, Effect.LOSES, "sees no photo", "I.C"),
        (("received_days = 60", "received_days = 90"), BOTH, Effect.GAINS, "deleted 90 days", "IV"),
        (("received_days = 60", 'received_days = "own-policy"'), BOTH, Effect.CHANGES,
         "own policy", "IV"),
        (("[eligibility]", 'prohibited = ["hit-and-run"]\n[eligibility]'), BOTH, Effect.LOSES,
         "under no agreement about hit-and-run", "II.A"),
        (("length_years = 3", "length_years = 2"), "every party", Effect.LOSES,
         "2 years from", "V"),
        (("revision = 1", f'revision = 2\nreplaces = "sha256:{"0" * 64}"'), "every party",
         Effect.CHANGES, "not the text compared here", "VIII"),
        (('time_zone = "America/Los_Angeles"', 'time_zone = "UTC"'), "every party",
         Effect.CHANGES, "time zone: UTC", ""),
        (('approval = "none"', 'approval = "supervisor"'), BOTH, Effect.LOSES,
         "a supervisor's or a court's written approval", "II.A"),
        (('reason = "required"', 'reason = "required"\nroles = ["sergeant"]'), BOTH, Effect.LOSES,
         "with the role sergeant", "II.A"),
        (("[limits]", '[purposes.offences]\nstolen-vehicle = ["robbery"]\n[limits]'), BOTH,
         Effect.LOSES, "classes of offences", "II.A"),
        (("row_limit = 500", "row_limit = 500\nagency_per_day = 9"), BOTH, Effect.LOSES,
         "9 queries of an agency a day", "II.B"),
        (("[execution]", '[export]\nsection = "II.A"\nallowed = "never"\n[execution]'),
         "every party", Effect.LOSES, "Export: No answer may leave", "II.A"),
        (("[execution]", '[requesters]\nsection = "II.A"\nkinds = ["police"]\n[execution]'),
         "every party", Effect.LOSES, "Only agencies of the kinds police", "II.A"),
        (("[execution]", '[territory]\nsection = "II.A"\nareas = [{south = 1.0, west = 1.0, '
          "north = 2.0, east = 2.0}]\n[execution]"), "every party", Effect.LOSES,
         "Only reads made inside", "II.A"),
        (('holidays = "US-CA"', 'holidays = "US"'), "every party", Effect.CHANGES,
         "(holidays: US)", "VII.A"),
        (('section = "II.B"\nlook_back', 'section = "II.A"\nlook_back'), "every party",
         Effect.CHANGES, "the rule [limits] now comes from II.A, before: II.B", "II.A"),
        (('contact = "alpr@city.example"', 'contact = "x@city.example"'), "city",
         Effect.CHANGES, "contact: x@city.example", ""),
    ],
    ids=lambda value: value[1][:30] if isinstance(value, tuple) else None,
)  # fmt: skip
def test_each_change_says_who_gains_or_loses(world, change, who, effect, words, section):
    (found,) = differences(world.manifest(), reworded(world, change))
    assert (found.who, found.effect, found.section) == (who, effect, section)
    assert words in found.text
    turned = {Effect.GAINS: Effect.LOSES, Effect.LOSES: Effect.GAINS}
    (back,) = differences(reworded(world, change), world.manifest())
    assert back.effect is turned.get(effect, effect)


BOX = (
    '[territory]\nsection = "II.A"\n'
    "areas = [{{south = 1.0, west = {}, north = 2.0, east = {}}}]\n[execution]"
)
LISTS = '[hot_lists]\nsection = "III"\nshared = ["{}"]\nmax_age_hours = {}\n[execution]'
APPROVED = 'approval = "{}"\napproval_beyond_days = {}'


@pytest.mark.parametrize(
    ("old", "new", "form", "effect"),
    [
        ((1.0, 2.0), (1.0, 1.5), ("[execution]", BOX), Effect.LOSES),
        ((1.0, 2.0), (1.5, 3.0), ("[execution]", BOX), Effect.CHANGES),
        (("list", 9), ("list", 8), ("[execution]", LISTS), Effect.LOSES),
        (("list", 9), ("source", 8), ("[execution]", LISTS), Effect.CHANGES),
        (("supervisor", 9), ("court", 9), ('approval = "none"', APPROVED), Effect.LOSES),
        (("supervisor", 9), ("court", 90), ('approval = "none"', APPROVED), Effect.CHANGES),
        ((5,), (9,), ("row_limit = 500", "row_limit = 500\nagency_per_day = {}"), Effect.GAINS),
        (("never",), ("case-number",),
         ("[execution]", '[export]\nsection = "V"\nallowed = "{}"\n[execution]'), Effect.GAINS),
        (("police",), ("sheriff",),
         ("[execution]", '[requesters]\nsection = "V"\nkinds = ["{}"]\n[execution]'),
         Effect.CHANGES),
    ],
)  # fmt: skip
def test_a_rule_inside_another_is_a_loss_and_neither_inside_is_a_change(
    world, old, new, form, effect
):
    before, after = (reworded(world, (form[0], form[1].format(*one))) for one in (old, new))
    (found,) = differences(before, after)
    assert found.effect is effect
    turned = {Effect.GAINS: Effect.LOSES, Effect.LOSES: Effect.GAINS}
    (back,) = differences(after, before)
    assert back.effect is turned.get(effect, effect)


@pytest.mark.parametrize(
    "direction",
    [
        ('direction = "both"', 'direction = "undecided"'),
        ONE_WAY,
        ('direction = "both"', 'direction = "one-way"\nowner = "harbor"\nrequester = "city"'),
    ],
)
def test_another_direction_hides_no_other_change(world, direction):
    """What the other side sends back may turn the direction and widen beside."""
    wider = world.manifest(look_back_days=3650)
    for old, new in ((reworded(world, direction), wider), (world.manifest(), wider)):
        texts = [change.text for change in differences(old, new) if change.effect is Effect.GAINS]
        assert any("reach back 3650 days, 365 before" in text for text in texts)
    back = reworded(world, direction, ("look_back_days = 365", "look_back_days = 3650"))
    turned = reworded(world, ONE_WAY)
    for found in (differences(turned, back), differences(world.manifest(), back)):
        assert any("reach back 3650 days" in change.text for change in found)


def test_a_change_back_turns_gain_and_loss_round(world):
    narrow, wide = world.manifest(look_back_days=30, place="none"), world.manifest()
    turned = {Effect.GAINS: Effect.LOSES, Effect.LOSES: Effect.GAINS}
    there = [change.effect for change in differences(narrow, wide)]
    back = [change.effect for change in differences(wide, narrow)]
    assert there == [Effect.GAINS, Effect.GAINS]
    assert back == [turned[effect] for effect in there]


def test_parties_that_come_go_or_change_their_root(world):
    two, three = world.manifest("city", "harbor"), world.manifest("city", "harbor", "county")
    assert Change("county", Effect.GAINS, "may ask city", "II.A") in differences(two, three)
    assert Change("county", Effect.CHANGES, "is a party no longer", "") in differences(three, two)
    root = two.parties[0].root
    other = reworded(world, (root, "0" * 64))
    (found,) = differences(world.manifest(), other)
    assert (found.who, found.effect) == ("city", Effect.CHANGES)
    assert "another root key" in found.text


def test_a_question_that_was_answered_is_told(world):
    asked = reworded(world, ('extension = "none"', 'extension = "undecided"'))
    found = differences(asked, world.manifest())
    assert [change.text.split(":")[0] for change in found][-1] == "answered"
    assert any("undecided" in change.text for change in differences(world.manifest(), asked))


@settings(max_examples=60, deadline=None)
@given(
    days=st.integers(1, 900),
    rows=st.integers(1, 1000),
    training=st.integers(1, 900),
    place=st.sampled_from(["exact", "50 m", "500 m", "none"]),
    time=st.sampled_from(["exact", "minute", "hour", "day"]),
)
def test_two_texts_differ_in_words_exactly_if_they_differ_in_rules(
    world, days, rows, training, place, time
):
    other = world.manifest(
        look_back_days=days, row_limit=rows, training_within_days=training, place=place, time=time
    )
    same = world.manifest()
    rules = lambda m: (m.limits, m.eligibility, m.fields)  # noqa: E731
    assert bool(differences(same, other)) is (rules(same) != rules(other))
