"""What a text says beside its basic tables: slips, questions left open, and all of it in words."""

import pytest

from accord.agreements.answers import answered
from accord.agreements.differences import differences
from accord.agreements.effective import Agreement
from accord.agreements.manifest import State
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.words import clauses
from accord.errors import Code, InputError
from accord.model import (
    HotListPlate,
)
from tests.unit.accord.agreements.test_provisions import (
    DAY_MS,
    ELIGIBLE,
    EXPORT,
    HOT_LISTS,
    NONE,
    OPERATOR,
    POLICY,
    REQUESTERS,
    SURVIVAL,
    TERRITORY,
    decision,
    manifest,
    signed,
)

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
