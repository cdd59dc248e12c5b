"""What `check` says of a text that can be read: each finding, and the text without it."""

import pytest

from accord.agreements.lint import Severity, findings
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.templates import MOA_ATTESTATIONS

B, W, N = Severity.BLOCKS, Severity.WARNING, Severity.NOTE
LISTED = 'sharing = "listed"\nrecipients = ["court"]\nlegal_process = "not-required"'
ROLE = '[[roles]]\nsection = "I.C"\nrole = "operator"\nname = "x"\nagency = "x"\nsees = "answers"\n'
HOT_LISTS = '[hot_lists]\nsection = "III"\nshared = ["list"]\nmax_age_hours = 24\n'
POLICY = (
    '[[policies]]\nsection = "II.B"\nparty = "{}"\nversion = 1\ntext = "not held"\n'
    'later_versions = "allowed"\n'
)


def found(world, *swaps: tuple[str, str], **options: object) -> set[tuple[Severity, str]]:
    text = world.text(**options).decode()
    for old, new in swaps:
        assert old in text, old
        text = text.replace(old, new)
    return {(one.severity, one.key) for one in findings(parse_manifest(text.encode(), "x"))}


@pytest.mark.parametrize(
    ("severity", "key", "good", "bad"),
    [
        (B, "term.ends", {}, {"undecided": ["term.ends"]}),
        (W, "limits.look_back_days", {"look_back_days": 730}, {"look_back_days": 731}),
        (W, "limits.plates_per_query", {"plates_per_query": 10}, {"plates_per_query": 11}),
        (W, "retention.received_days", {"received_days": 730}, {"received_days": 731}),
        (W, "retention.received_days", {}, {"received_days": None}),
        (W, "fields", {"time": "exact", "place": "exact"},
         {"time": "exact", "place": "exact", "camera": "exact"}),
        (W, "eligibility", {"reason": "optional"},
         {"reason": "optional", "case_number": "optional"}),
        (W, "eligibility.training_within_days", {"training_within_days": 730},
         {"training_within_days": 731}),
        (W, "heads", {"head_hours": 24}, {}),
        (N, "hot_lists", {"tables": HOT_LISTS}, {}),
        (N, "hot_lists", {"kinds": ["reads"]}, {}),
        (N, "roles", {"tables": ROLE}, {}),
        (N, "export", {"tables": '[export]\nsection = "V"\nallowed = "never"\n'},
         {"tables": '[export]\nsection = "V"\nallowed = "free"\n'}),
        (N, "audits", {"tables": '[audits]\nsection = "III"\nevery_months = 12\n'}, {}),
        (N, "policies", {"tables": POLICY.format("city") + POLICY.format("harbor")},
         {"tables": POLICY.format("city")}),
        (N, "sections", {"texts": dict.fromkeys(
            ("I.C", "II.A", "II.B", "III", "IV", "V", "VI", "VII.A", "VII.B", "VII.C", "VIII"),
            b"x")}, {}),
    ],
)  # fmt: skip
def test_a_finding_is_there_and_without_its_cause_it_is_not(world, severity, key, good, bad):
    assert (severity, key) in found(world, **bad)
    assert (severity, key) not in found(world, **good)


BOX = "areas = [{{south = {}, west = {}, north = {}, east = {}}}]"


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ((33.7, -118.3, 33.8, -118.2), (33.7, -118.3, 33.70008, -118.2)),
        ((33.7, -118.3, 33.8, -118.2), (33.7, -118.30008, 33.8, -118.3)),
        # At 60 degrees north a degree eastward is half as long.
        ((60.0, 0.0, 60.1, 0.0002), (60.0, 0.0, 60.1, 0.00015)),
    ],
)
def test_a_territory_in_which_hardly_anything_lies_is_warned_of(world, good, bad):
    table = '[territory]\nsection = "I.C"\n'
    assert (W, "territory") in found(world, tables=table + BOX.format(*bad))
    assert (W, "territory") not in found(world, tables=table + BOX.format(*good))
    assert (W, "territory") not in found(world)


@pytest.mark.parametrize(
    ("table", "fine", "extension"),
    [("termination", 1094, "none"), ("termination", 1094, "repeating"),
     ("non_extension", 1094, "repeating")],
)  # fmt: skip
def test_a_notice_as_long_as_the_first_term_is_warned_of(world, table, fine, extension):
    def days(number: int) -> tuple[str, str]:
        old = f'[{table}]\nsection = "V"\nnotice_days = 30'
        return old, old.replace("30", str(number))

    key = (W, f"{table}.notice_days")
    assert key in found(world, days(fine + 1), extension=extension)
    assert key not in found(world, days(fine), extension=extension)
    undecided = ("length_years = 3", 'length_years = "undecided"')
    assert key not in found(world, days(fine + 1), undecided, extension=extension)


def test_a_text_that_does_not_say_which_prevails_is_told(world):
    silent = ('\nprevails = "policy"', "")
    assert (N, "local_policy.prevails") in found(world, silent)
    assert (N, "local_policy.prevails") not in found(world)


@pytest.mark.parametrize(
    ("key", "old", "new"),
    [
        ("eligibility.employment", 'case_number = "required"',
         'case_number = "required"\nemployment = ["employee", "contractor"]'),
        ("purposes.criminal_immigration", 'allowed = ["stolen-vehicle"',
         'criminal_immigration = "allowed"\nallowed = ["criminal-immigration", "stolen-vehicle"'),
        ("retention.received_days", "received_days = 60",
         'received_days = 60\ncounted_from = "capture"'),
    ],
)  # fmt: skip
def test_what_is_widest_is_warned_of(world, key, old, new):
    assert (W, key) in found(world, (old, new))
    assert (W, key) not in found(world)


def test_what_was_captured_within_the_look_back_is_kept(world):
    counted = ("received_days = 60", 'received_days = 60\ncounted_from = "capture"')
    assert (W, "retention.received_days") not in found(world, counted, look_back_days=60)


def test_an_open_clause_has_a_remedy_that_works(world):
    text = world.text().replace(b'state = "attested"', b'state = "undecided"')
    manifest = parse_manifest(text, "x")
    remedies = {one.remedy for one in findings(manifest) if one.severity is B}
    assert len(manifest.undecided) == len(MOA_ATTESTATIONS)
    assert remedies == {"write its state into its [[clauses]]: enforced, attested or recorded"}


def test_findings_about_notices_and_recipients(world):
    text = world.text(extension="repeating").decode()
    table = text[text.index("[non_extension]") : text.index("\n\n", text.index("[non_extension]"))]
    assert (W, "non_extension") in found(world, (table, ""), extension="repeating")
    assert (W, "non_extension") not in found(world, extension="repeating")
    text = world.text().decode()
    table = text[text.index("[termination]") : text.index("\n\n", text.index("[termination]"))]
    assert (N, "termination") in found(world, (table, ""))
    assert (N, "termination") not in found(world)
    assert (W, "onward.legal_process") in found(world, ('sharing = "none"', LISTED))
    required = LISTED.replace("not-required", "required")
    assert (W, "onward.legal_process") not in found(world, ('sharing = "none"', required))


def test_the_worst_comes_first(world):
    manifest = world.manifest(undecided=["term.ends"], look_back_days=9999)
    order = [one.severity for one in findings(manifest)]
    assert order == sorted(order, key=list(Severity).index)
    assert {B, W, N} == set(order)
