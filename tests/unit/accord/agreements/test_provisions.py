"""What a text may have beside its basic tables: read, decided, told; each with its refusal."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from accord.agreements.answers import answered
from accord.agreements.differences import differences
from accord.agreements.effective import Agreement, effective
from accord.agreements.manifest import Manifest, State
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.policy import parse_policy
from accord.agreements.reasons import Held, steps
from accord.agreements.words import clauses
from accord.clock import to_ms
from accord.errors import Code, InputError
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


# A slip of the hand, the line that is meant, and what to say.
SLIPS = [
    (REQUESTERS.replace("police", "polise"), 'write "police"'),
    (REQUESTERS.replace('"CA"', '"Ca"'), "write two capital letters"),
    (REQUESTERS.replace('["recognised"]', '["Recognised!"]'), "lower-case words with hyphens"),
    ('[requesters]\nsection = "II.A"\n', "requesters restricts nothing; add kinds"),
    (TERRITORY.replace("33.5", "35.5"), "territory.areas.0 is empty"),
    (TERRITORY.replace("34.0", "33.500000001"), "are less than 10^-7 degrees apart"),
    (TERRITORY.replace("-118.0", "-118.499999999"), "are less than 10^-7 degrees apart"),
    (TERRITORY.replace("33.5", "133.5"), "territory.areas.0.south"),
    (HOT_LISTS.replace("withheld", "hidden"), "use one of marked, withheld"),
    (HOT_LISTS.replace('"category"', '"plate"'), "use one of list, source, category"),
    (HOT_LISTS.replace('["list", "category"]', "[]"), 'is empty; write ["nothing"] for none'),
    (HOT_LISTS.replace('"category"', '"nothing"'), "or the others"),
    (HOT_LISTS.replace('["State bureau"]', "[]"), "hot_lists.sources is empty"),
    (EXPORT.format("always"), "use one of free, case-number, never"),
    (OPERATOR.replace('agency = "exchange"\n', ""), "yet agency is missing"),
    (OPERATOR.replace('"answers"', '"nothing"'), "queries and answers pass"),
    (OPERATOR.replace("operator", "vendor"), "no node gives a vendor anything"),
    (OPERATOR.replace("operator", "owners"), 'write "owner"'),
    (POLICY.format(1, "sha256:12", "allowed"), "which is no hash"),
    (POLICY.format(1, "not held", "allowed") * 2, "names 'harbor' twice"),
    (POLICY.format(1, "not held", "allowed").replace("harbor", "port"), "is not a party"),
    (SURVIVAL.format("kept"), "kept-as-agreed"),
    (SURVIVAL.format("kept-as-agreed") + 'alerts = "kept"', "use one of acted-on, dropped"),
    ('[purposes.offences]\nstolen-vehicle = ["murder"]', "which is not a class of offences"),
    ('[purposes.offences]\nstolen-vehicle = []', "is empty; name a class"),
    ('[purposes.offences]\nhit-and-run = ["robbery"]', "not a purpose that is allowed here"),
    ("[limits.by_purpose]\nstolen-vehicle = 365", "is not less than limits.look_back_days"),
    ("[limits.by_purpose]\nhit-and-run = 3", "not a purpose that is allowed here"),
    ('[[contacts]]\nsection = "V"\nparty = "city"\nmatter = "notice"\nname = "x"\naddress = "y"',
     'write "notices"'),
]  # fmt: skip


@pytest.mark.parametrize(("more", "words"), SLIPS)
def test_a_slip_in_a_provision_is_one_line(world, more, words):
    with pytest.raises(InputError) as caught:
        manifest(world, more)
    told = str(caught.value)
    assert words in told
    assert "\n" not in told
    assert told.startswith("agreement.toml, line ")


SWAPS = [
    ('sharing = "none"', 'sharing = "listed"', "recipients or legal_process is missing"),
    ('sharing = "none"', 'sharing = "none"\nrecipients = ["court"]', 'write "listed"'),
    (ELIGIBLE, ELIGIBLE + "\napproval_beyond_days = 9", "no approval is needed"),
    (ELIGIBLE, ELIGIBLE + "\napproval_max_age_days = 9", "no approval is needed"),
    (ELIGIBLE, ELIGIBLE + '\nemployment = ["friend"]', "is not a way to belong"),
    ("received_days = 60", 'received_days = "own-policy"\ncounted_from = "capture"', "no days"),
]


@pytest.mark.parametrize(("old", "new", "words"), SWAPS)
def test_rules_that_contradict_each_other(world, old, new, words):
    with pytest.raises(InputError) as caught:
        manifest(world, "", (old, new))
    assert words in str(caught.value)


RENEGOTIATION = '[renegotiation]\nsection = "V"\ndays_before_end = 30\n'


LEAST = ("scope", "limits", "fields", "term")
QUESTIONS = [
    ("purposes.criminal_immigration", 'section = "II.A"\nallowed', None),
    ("scope.direction", 'direction = "both"', 'direction = "undecided"'),
    ("eligibility.training_within_days", "days = 730", 'days = "undecided"'),
    ("eligibility.training_course", ELIGIBLE, f'{ELIGIBLE}\ntraining_course = "undecided"'),
    ("disputes.interim_days", "interim_days = 7", 'interim_days = "undecided"'),
    ("disputes.holidays", 'holidays = "US-CA"', 'holidays = "undecided"'),
    ("heads.max_age_hours", "[execution]",
     '[heads]\nsection = "V"\nmax_age_hours = "undecided"\n\n[execution]'),
    ("joinder.admitted_by", "[execution]",
     '[joinder]\nsection = "V"\nadmitted_by = "undecided"\n\n[execution]'),
    ("survival.alerts", "[execution]",
     SURVIVAL.format("kept-as-agreed") + 'alerts = "undecided"\n\n[execution]'),
    ("limits.look_back_days", "look_back_days = 365", 'look_back_days = "undecided"'),
    ("limits.row_limit", "row_limit = 500", 'row_limit = "undecided"'),
    ("fields.time", 'time = "minute"', 'time = "undecided"'),
    ("fields.place", 'place = "500 m"', 'place = "undecided"'),
    ("fields.camera", 'camera = "pseudonym"', 'camera = "undecided"'),
    ("fields.vehicle", 'vehicle = "shared"', 'vehicle = "undecided"'),
    ("fields.photo", 'photo = "masked"', 'photo = "undecided"'),
    ("term.length_years", "length_years = 3", 'length_years = "undecided"'),
    ("eligibility.case_number", 'case_number = "required"', 'case_number = "undecided"'),
    ("eligibility.reason", ELIGIBLE, 'reason = "undecided"'),
    ("eligibility.approval", NONE, 'approval = "undecided"'),
    ("onward.sharing", 'sharing = "none"', 'sharing = "undecided"'),
    ("retention.received_days", "received_days = 60", 'received_days = "undecided"'),
    ("retention.counted_from", "received_days = 60",
     'received_days = 60\ncounted_from = "undecided"'),
]  # fmt: skip


@pytest.mark.parametrize(("key", "old", "new"), QUESTIONS)
def test_a_question_left_open_allows_nothing(world, key, old, new):
    swap = (old, new or f'criminal_immigration = "undecided"\n{old}')
    found = manifest(world, "", swap)
    assert [one.key for one in found.undecided] == [key]
    (told,) = [clause for clause in clauses(found) if clause.state is State.UNDECIDED]
    assert told.text.endswith(f" Undecided: {key.partition('.')[2]}.")
    agreement = Agreement(found, ())
    assert world.ask(world.query(agreement), agreement).code is Code.AGREEMENT_NOT_COMMENCED
    assert decision(world, manifest(world)).allowed


def test_what_is_open_is_read_as_the_least_there_is(world):
    text = world.text(purposes=["stolen-vehicle"]).decode()
    for old, new in (
        ('allowed = ["stolen-vehicle"]', 'allowed = ["undecided"]'),
        *((old, new) for key, old, new in QUESTIONS if key.split(".")[0] in LEAST),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    found = parse_manifest(text.encode(), "agreement.toml")
    assert (found.scope.pairs, found.purposes.allowed) == (frozenset(), frozenset())
    assert (found.limits.look_back_days, found.limits.row_limit) == (1, 1)
    seen = found.fields.redaction
    assert (seen.time_step_ms, seen.place_within_m, seen.vehicle) == (DAY_MS, None, False)
    assert (seen.camera, seen.photo) == ("none", "none")
    assert found.term.length_years == 1
    # Answered, it is as it was before.
    answers = {"purposes.allowed": "stolen-vehicle", "limits.row_limit": "500"}
    again = parse_manifest(answered(text.encode(), "x", answers), "x")
    assert (again.purposes.allowed, again.limits.row_limit) == ({"stolen-vehicle"}, 500)


def test_an_answer_goes_into_its_own_key_or_nowhere(world):
    """Whoever wrote the draft can't make counsel's answer land in another place."""
    text = world.text(undecided=["eligibility.reason"]).decode()
    good = answered(text.encode(), "x", {"eligibility.reason": "optional"})
    assert not parse_manifest(good, "x").eligibility.reason_required
    trap = (
        '[[clauses]]\nid = "trap"\nsection = "II.A"\nstate = "recorded"\n'
        'says = """x \\\n[eligibility] \\\nreason = "undecided" \\\n"""\n\n[eligibility]'
    )
    bad = text.replace("[eligibility]", trap, 1)
    assert parse_manifest(bad.encode(), "x").undecided
    with pytest.raises(InputError, match="would have nothing answered by that"):
        answered(bad.encode(), "x", {"eligibility.reason": "optional"})


def test_recipients_are_shown_and_nothing_is_answered_onward(world):
    listed = (
        'sharing = "none"',
        'sharing = "listed"\nrecipients = ["prosecutor", "court"]\nlegal_process = "required"',
    )
    found = manifest(world, "", listed)
    (text,) = [clause.text for clause in clauses(found) if clause.name == "Handing on"]
    assert "court, prosecutor" in text
    assert "order or subpoena" in text
    assert decision(world, found, on_behalf_of="county").code is Code.ONWARD_SHARING


def test_what_becomes_of_alerts_after_the_end_is_told_and_moves_no_node(world):
    plain, acted, dropped = (
        manifest(world, SURVIVAL.format("kept-as-agreed") + more)
        for more in ("", 'alerts = "acted-on"\n', 'alerts = "dropped"\n')
    )

    def said(found):
        told = [one for one in clauses(found) if one.name == "Alerts after the end"]
        return [(one.section, one.state, one.text) for one in told]

    assert said(plain) == []
    ((section, state, kept),) = said(acted)
    assert (section, state) == ("V", State.RECORDED)
    assert "may still be acted on" in kept
    ((_, _, gone),) = said(dropped)
    assert "is acted on no more" in gone
    for text in (kept, gone):
        assert "no machine sees that" in text
        assert "Who asks after it is told of none" in text
    assert [one.text for one in differences(acted, dropped)] == [
        f"Alerts after the end: {gone}", f"no longer: Alerts after the end: {kept}",
    ]  # fmt: skip
    # What a node gives is the same with each of them, and after the end it is nothing.
    assert decision(world, plain).terms == decision(world, acted).terms
    assert decision(world, plain).terms == decision(world, dropped).terms
    listed = {"selector": HotListPlate("7ABC123")}
    assert decision(world, acted, **listed).allowed
    over = signed(world, acted).term.expires_ms + 1
    asked = world.query(signed(world, acted), **listed)
    assert world.ask(asked, signed(world, acted), at_ms=over).code is Code.AGREEMENT_EXPIRED


def test_every_provision_is_told_in_words_and_so_is_its_absence(world):
    more = REQUESTERS + TERRITORY + HOT_LISTS + EXPORT.format("never") + OPERATOR
    more += POLICY.format(3, "not held", "allowed") + SURVIVAL.format("kept-as-agreed")
    more += '[audits]\nsection = "III"\nevery_months = 12\n'
    more += RENEGOTIATION.replace("30", "31")
    more += '[[contacts]]\nsection = "V"\nparty = "city"\nmatter = "notices"\n'
    more += 'name = "N"\naddress = "A"'
    old = manifest(world, "", (RENEGOTIATION, ""))
    new = manifest(world, more, (RENEGOTIATION, ""))
    told = {clause.name for clause in clauses(new)} - {clause.name for clause in clauses(old)}
    assert told == {
        "Agencies that may ask", "Territory", "Hot lists", "Export", "Operator",
        "Policy of harbor", "After the end", "Books", "Audits", "Time to renegotiate",
        "city, for notices",
    }  # fmt: skip
    gained = [change.text for change in differences(old, new)]
    lost = [change.text for change in differences(new, old)]
    assert len(gained) == len(lost) == len(told)
    assert all(text.startswith("no longer: ") for text in lost)


def test_hot_lists_are_asked_by_the_same_rules(world):
    found = manifest(world, HOT_LISTS)
    query: Query = world.query(signed(world, found), selector=HotListPlate("7ABC123"))
    assert world.ask(query, signed(world, found)).terms.hot_lists is not None


ALLOWED = 'section = "II.A"\nallowed = ["stolen-vehicle", '
ANSWER = (
    ALLOWED,
    'section = "II.A"\ncriminal_immigration = "allowed"\n'
    'allowed = ["criminal-immigration", "stolen-vehicle", ',
)
IMMIGRATION = {"purpose": "criminal-immigration"}
MAY = {"officer": {"purposes": ("criminal-immigration", "civil-immigration")}}


def test_criminal_immigration_is_off_until_counsel_has_answered(world):
    answered = manifest(world, "", ANSWER)
    assert decision(world, answered, **IMMIGRATION, **MAY).allowed
    bad = decision(world, manifest(world), **IMMIGRATION, **MAY)
    assert (bad.code, bad.section) == (Code.PURPOSE_PROHIBITED, "MOA II.A")
    # The answer is about criminal matters, and about no others.
    civil = decision(world, answered, purpose="civil-immigration", **MAY)
    assert civil.code is Code.PURPOSE_PROHIBITED
    # The owner's policy and its officers' authorisation narrow it all the same.
    narrowed = decision(world, answered, 'purposes = ["stolen-vehicle"]', **IMMIGRATION, **MAY)
    assert narrowed.code is Code.LOCAL_POLICY
    unauthorised = decision(world, answered, **IMMIGRATION)
    assert unauthorised.code is Code.OFFICER_PURPOSE


@pytest.mark.parametrize(
    ("swap", "words"),
    [
        ((ALLOWED, ALLOWED + '"criminal-immigration", '), 'criminal_immigration = "allowed" too'),
        ((ALLOWED, 'criminal_immigration = "allowed"\n' + ALLOWED), "does not hold criminal"),
        ((ALLOWED, 'criminal_immigration = "yes"\n' + ALLOWED), "use one of off, allowed"),
        ((ALLOWED, ALLOWED + '"civil-immigration", '), "can never be allowed"),
    ],
)
def test_an_answer_that_contradicts_the_list(world, swap, words):
    with pytest.raises(InputError) as caught:
        manifest(world, "", swap)
    assert words in str(caught.value)


POLICY_TEXT = """format = "accord-policy/1"
agency = "harbor"
version = 1
[own]
purposes = ["{}"]
look_back_days = 1
row_limit = 1
training_within_days = 1
[retention]
reads_days = 1
photos_days = 1
hot_list_days = 1
"""


def test_no_policy_of_ones_own_lets_it_in():
    text = POLICY_TEXT.format("criminal-immigration")
    with pytest.raises(InputError, match="off until counsel"):
        parse_policy(text.encode(), "policy.toml")
    assert parse_policy(POLICY_TEXT.format("hit-and-run").encode(), "policy.toml").own.purposes
