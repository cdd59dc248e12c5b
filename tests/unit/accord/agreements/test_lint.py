"""What `check` says of a text that can be read: each finding, and the text without it."""

import pytest

from accord.agreements.lint import Severity, findings
from accord.agreements.manifest_reading import parse_manifest

B, W, N = Severity.BLOCKS, Severity.WARNING, Severity.NOTE
LISTED = 'sharing = "listed"\nrecipients = ["court"]\nlegal_process = "not-required"'
ROLE = '[[roles]]\nsection = "I.C"\nrole = "operator"\nname = "x"\nagency = "x"\nsees = "answers"\n'
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
