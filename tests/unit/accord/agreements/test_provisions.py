"""What a text may have beside its basic tables, decided: each provision with its refusal."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from accord.agreements.effective import Agreement, effective
from accord.agreements.manifest import Manifest
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.reasons import Held, steps
from accord.clock import to_ms
from accord.errors import Code
from accord.model import (
    Approval,
    ApprovalKind,
    AreaBox,
    Certification,
    HotListPlate,
    PhotoOf,
    Query,
    Window,
)

NOW_MS = to_ms(datetime(2026, 3, 1, 12, tzinfo=UTC))
DAY_MS = 86_400_000

REQUESTERS = """
[requesters]
section = "II.A"
kinds = ["police", "sheriff"]
states = ["CA"]
certifications = ["recognised"]
"""
TERRITORY = """
[territory]
section = "I.C"
areas = [{south = 33.5, west = -118.5, north = 34.0, east = -118.0}]
"""
HOT_LISTS = """
[hot_lists]
section = "III"
shared = ["list", "category"]
sources = ["State bureau"]
max_age_hours = 24
stale = "withheld"
"""
EXPORT = '[export]\nsection = "II.A"\nallowed = "{}"\n'
OPERATOR = """
[[roles]]
section = "I.C"
role = "operator"
name = "Regional Exchange"
agency = "exchange"
sees = "answers"
"""
POLICY = """
[[policies]]
section = "II.B"
party = "harbor"
version = {}
text = "{}"
later_versions = "{}"
"""
SURVIVAL = """
[survival]
section = "V"
queries_in_flight = "refused"
received = "{}"
logs_years = 5
"""


def manifest(world, more: str = "", *swaps: tuple[str, str], **options: object) -> Manifest:
    # Written in at the end, where the template's own check comes before it.
    text = world.text(**options).decode().replace("[execution]", f"{more}\n[execution]")
    for old, new in swaps:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return parse_manifest(text.encode(), "agreement.toml")


def signed(world, found: Manifest) -> Agreement:
    return Agreement(found, tuple(world.counterpart(found, p.id) for p in found.parties))


def decision(world, found: Manifest, policy="", officer=None, **changes: object):
    agreement = signed(world, found)
    return world.ask(world.query(agreement, officer=officer, **changes), agreement, policy)


def approval(kind: str, given_on: str = "2026-02-28") -> Approval:
    return Approval(ApprovalKind(kind), "O-9", "A-1", given_on)


NONE = 'approval = "none"'
ELIGIBLE = 'reason = "required"'
FIVE_AGO = Window(NOW_MS - 5 * DAY_MS, NOW_MS)


# What the text says, and a query that it allows or refuses by it.
CASES = [
    ("course", "", (ELIGIBLE, ELIGIBLE + '\ntraining_course = "ALPR"'), {},
     {"officer": {"course": "ALPR"}}, Code.OFFICER_NOT_ELIGIBLE, "II.A"),
    ("employment", "", (ELIGIBLE, ELIGIBLE + '\nemployment = ["reserve"]'), {},
     {"officer": {"employment": "reserve"}}, Code.OFFICER_NOT_ELIGIBLE, "II.A"),
    ("role", "", (ELIGIBLE, ELIGIBLE + '\nroles = ["sergeant"]'), {},
     {"officer": {"role": "sergeant"}}, Code.OFFICER_NOT_ELIGIBLE, "II.A"),
    ("supervisor", "", (NONE, 'approval = "supervisor"'), {},
     {"approval": approval("supervisor")}, Code.APPROVAL_REQUIRED, "II.A"),
    ("a court for a supervisor", "", (NONE, 'approval = "supervisor"'), {},
     {"approval": approval("court")}, Code.APPROVAL_REQUIRED, "II.A"),
    ("no supervisor for a court", "", (NONE, 'approval = "court"'),
     {"approval": approval("supervisor")},
     {"approval": approval("court")}, Code.APPROVAL_REQUIRED, "II.A"),
    ("an approval of tomorrow", "", (NONE, 'approval = "court"'),
     {"approval": approval("court", "2026-03-02")},
     {"approval": approval("court", "2026-03-01")}, Code.APPROVAL_REQUIRED, "II.A"),
    ("an approval older than 30 days", "", (NONE, 'approval = "court"'),
     {"approval": approval("court", "2026-01-29")},
     {"approval": approval("court", "2026-01-30")}, Code.APPROVAL_REQUIRED, "II.A"),
    ("an approval older than the text says", "",
     (NONE, 'approval = "court"\napproval_max_age_days = 2'),
     {"approval": approval("court", "2026-02-26")},
     {"approval": approval("court", "2026-02-27")}, Code.APPROVAL_REQUIRED, "II.A"),
    ("approval beyond", "",
     (NONE, 'approval = "supervisor"\napproval_beyond_days = 10'), {},
     {"window": FIVE_AGO}, Code.APPROVAL_REQUIRED, "II.A"),
    ("offences", '[purposes.offences]\nstolen-vehicle = ["robbery"]', None,
     {"offence": "Robbery"}, {"offence": "robbery"}, Code.OFFENCE_NOT_AGREED, "II.A"),
    ("look-back by purpose", "[limits.by_purpose]\nstolen-vehicle = 10", None, {},
     {"window": FIVE_AGO}, Code.LOOK_BACK_EXCEEDED, "II.B"),
    ("export never", EXPORT.format("never"), None, {"export": True}, {},
     Code.EXPORT_NOT_AGREED, "II.A"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "swap", "refused", "allowed", "code", "section"),
    [case[1:] for case in CASES], ids=[case[0] for case in CASES],
)  # fmt: skip
def test_a_provision_allows_and_refuses(world, more, swap, refused, allowed, code, section):
    found = manifest(world, more, *([swap] if swap else []))
    good = decision(world, found, **allowed)
    assert good.allowed, good.reason
    agreement = signed(world, found)
    query = world.query(agreement, **refused)
    bad = world.ask(query, agreement)
    assert (bad.code, bad.section) == (code, section)
    # And `ask` names it in its place, with what came before it held.
    folded = effective(agreement, "city", "harbor", NOW_MS)
    told = steps(query, folded, bad)
    assert [s.section for s in told if s.held is Held.NO] == [section]
    # Without the provision nothing speaks against it.
    assert decision(world, manifest(world), **refused).allowed


def test_a_photo_of_a_read_beyond_the_days_needs_the_approval_that_a_search_needs(world):
    found = manifest(world, "", (NONE, 'approval = "supervisor"\napproval_beyond_days = 10'))
    photo = PhotoOf(bytes(16))
    for given, days in (
        (None, 10),
        (approval("supervisor", "2025-01-01"), 10),
        (approval("supervisor"), found.limits.look_back_days),
    ):
        made = decision(world, found, selector=photo, approval=given)
        assert made.terms.earliest_ms == NOW_MS - days * DAY_MS
    always = manifest(world, "", (NONE, 'approval = "supervisor"'))
    assert decision(world, always, selector=photo).code is Code.APPROVAL_REQUIRED


@pytest.mark.parametrize(
    ("key", "refused", "allowed", "detail"),
    [
        ('export = "never"', {"export": True}, {}, "export"),
        ('export = "case-number"', {"export": True, "case_number": " "}, {"export": True},
         "export"),
        ('approval = "supervisor"', {}, {"approval": approval("supervisor")}, "approval"),
        ('approval = "supervisor"', {"approval": approval("supervisor", "2026-01-29")},
         {"approval": approval("court")}, "approval"),
        ('approval = "court"', {"approval": approval("supervisor")},
         {"approval": approval("court")}, "approval"),
    ],
)  # fmt: skip
def test_a_policy_narrows_export_and_approval_of_one_partner(world, key, refused, allowed, detail):
    found = manifest(world, "", ('case_number = "required"', 'case_number = "optional"'))
    assert decision(world, found, key, **allowed).allowed
    assert decision(world, found, "", **refused).allowed
    bad = decision(world, found, key, **refused)
    assert (bad.code, bad.detail) == (Code.LOCAL_POLICY, detail)
    assert detail not in bad.reason


def test_a_policy_narrows_the_confidence_and_a_hot_lists_texts(world):
    found = manifest(
        world, HOT_LISTS, ('photo = "masked"', 'photo = "masked"\nconfidence = "shared"')
    )
    listed = {"selector": HotListPlate("7ABC123")}
    wide, narrow = (
        decision(world, found, key, **listed).terms
        for key in ("", 'confidence = "none"\nhot_list_texts = ["category", "source"]')
    )
    assert (wide.redaction.confidence, narrow.redaction.confidence) == (True, False)
    said = found.provisions.hot_lists
    assert wide.hot_lists == said
    assert narrow.hot_lists == replace(said, list=False, source=said.source)
    bare = decision(world, manifest(world), 'hot_list_texts = ["nothing"]', **listed).terms
    rule = bare.hot_lists
    assert (rule.list, rule.source, rule.category) == (False, False, False)
    assert (rule.sources, rule.max_age_s) == (None, None)


def test_an_export_needs_a_case_number_where_the_text_says_so(world):
    optional = ('case_number = "required"', 'case_number = "optional"')
    found = manifest(world, EXPORT.format("case-number"), optional)
    assert decision(world, found, export=True).allowed
    assert decision(world, found, export=False, case_number="").allowed
    bad = decision(world, found, export=True, case_number=" - ")
    assert bad.code is Code.EXPORT_NOT_AGREED
    assert decision(world, manifest(world, EXPORT.format("free")), export=True).allowed


def ask_as(world, found: Manifest, via: str = "", **facts: object):
    agreement = signed(world, found)
    query = world.query(agreement)
    agency = replace(world.agencies["city"], **facts)
    return world.decide_as(query, agreement, agency, via)


RECOGNISED = (Certification("recognised", NOW_MS + 1),)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"kind": "transit-police", "certifications": RECOGNISED}, "kinds"),
        ({"state": "NV", "certifications": RECOGNISED}, "states"),
        ({}, "recognised"),
        ({"certifications": (Certification("recognised", NOW_MS),)}, "or it is over"),
    ],
)
def test_agencies_that_the_text_does_not_admit(world, facts, words):
    # An owner of a state whose own law does not come first.
    world = world.where(harbor="NV police")
    found = manifest(world, REQUESTERS)
    assert ask_as(world, found, certifications=RECOGNISED).allowed
    bad = ask_as(world, found, **facts)
    assert (bad.code, bad.section) == (Code.AGENCY_NOT_ELIGIBLE, "II.A")
    assert words in bad.reason


def test_a_federal_agency_is_of_no_state_that_a_text_names(world):
    table = '[requesters]\nsection = "II.A"\nstates = ["NV"]\n'
    for kind, code in (("police", None), ("federal", Code.AGENCY_NOT_ELIGIBLE)):
        here = world.where(city=f"NV {kind}", harbor="NV police")
        assert ask_as(here, manifest(here, table)).code is code


@pytest.mark.parametrize("who", ["city", "harbor"])
@pytest.mark.parametrize("now", ["AZ police", "NV sheriff"])
def test_no_agency_becomes_another_by_its_own_word(world, who, now):
    """Which laws bind an agency hangs on its kind and state: counsel of both sign them."""
    signed_by = world.where(city="NV police", harbor="NV police")
    claims = signed_by.where(**{who: now})
    agreement = signed_by.agreement()
    query = signed_by.query(agreement)
    for policy in ("", None):
        assert signed_by.ask(query, agreement, policy).allowed
        bad = claims.ask(query, agreement, policy)
        assert (bad.code, bad.section) == (Code.AGENCY_NOT_ELIGIBLE, "II.A")
        said = claims.agencies[who]
        assert f"{who} signed as police of NV" in bad.reason
        assert f"now says {said.kind} of {said.state}" in bad.reason
        assert bad.contact


def test_only_named_operators_forward(world):
    found = manifest(world, OPERATOR)
    assert ask_as(world, found, via="exchange").allowed
    assert ask_as(world, found, via="").allowed
    bad = ask_as(world, found, via="other")
    assert (bad.code, bad.section) == (Code.OPERATOR_NOT_AGREED, "I.C")
    assert ask_as(world, manifest(world), via="other").allowed


@pytest.mark.parametrize(
    ("version", "text", "later", "allowed"),
    [
        (1, "not held", "refused", True),
        (1, "not held", "allowed", True),
        (2, "not held", "allowed", False),
        (1, "sha256:" + "0" * 64, "allowed", False),
    ],
)
def test_the_owner_shares_under_the_policy_that_was_named(world, version, text, later, allowed):
    found = manifest(world, POLICY.format(version, text, later))
    said = decision(world, found)
    assert said.allowed is allowed
    if not allowed:
        # What the policy says is the owner's own affair: the public text is generic.
        assert said.code is Code.LOCAL_POLICY
        assert "version" not in said.reason
        assert "names another version" in said.detail


def test_a_later_policy_counts_only_where_the_text_lets_it(world):
    later = decision(world, manifest(world)).terms
    assert later is not None
    policy = """format = "accord-policy/1"
agency = "harbor"
version = 2
[own]
purposes = ["stolen-vehicle"]
look_back_days = 1
row_limit = 1
training_within_days = 1
[[partner]]
agency = "city"
[retention]
reads_days = 1
photos_days = 1
hot_list_days = 1
"""
    for word, allowed in (("allowed", True), ("refused", False)):
        found = manifest(world, POLICY.format(1, "not held", word))
        assert decision(world, found, policy).allowed is allowed


def test_the_terms_carry_territory_hot_lists_rates_and_duties(world):
    found = manifest(
        world, TERRITORY + HOT_LISTS + SURVIVAL.format("deleted-at-end"),
        ("row_limit = 500", "row_limit = 500\nofficer_per_day = 7"),
        ("received_days = 60", 'received_days = 60\ncounted_from = "capture"'),
    )  # fmt: skip
    terms = decision(world, found).terms
    assert terms.withholding.within == (AreaBox(335000000, -1185000000, 340000000, -1180000000),)
    assert terms.withholding.cameras == {"LOT-7"}
    assert (terms.hot_lists.sources, terms.hot_lists.max_age_s) == ({"State bureau"}, 86_400)
    assert (terms.hot_lists.list, terms.hot_lists.source) == (True, False)
    assert (terms.rates.officer_per_day, terms.rates.section) == (7, "II.B")
    assert terms.from_capture
    assert terms.earliest_ms == NOW_MS - 60 * DAY_MS
    assert (terms.keep_until_ms, terms.keep_section) == (signed(world, found).term.expires_ms, "V")
    assert not terms.in_flight
    plain = decision(world, manifest(world)).terms
    assert plain.withholding.within == ()
    assert (plain.hot_lists, plain.keep_until_ms, plain.from_capture) == (None, None, False)
    assert plain.in_flight


def test_confidence_is_shared_only_where_the_text_says_so(world):
    assert not manifest(world).fields.redaction.confidence
    shared = manifest(world, "", ('photo = "masked"', 'photo = "masked"\nconfidence = "shared"'))
    assert shared.fields.redaction.confidence
    assert decision(world, shared).terms.redaction.confidence


def test_hot_lists_are_asked_by_the_same_rules(world):
    found = manifest(world, HOT_LISTS)
    query: Query = world.query(signed(world, found), selector=HotListPlate("7ABC123"))
    assert world.ask(query, signed(world, found)).terms.hot_lists is not None
