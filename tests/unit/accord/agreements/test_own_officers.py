"""An agency's own officers ask their own node: by its policy alone, and within it."""

import pytest

from accord.agreements.decide import OWN_SECTION
from accord.agreements.terms import OPEN
from accord.errors import Code
from tests.unit.accord.agreements.test_decide import NOW_MS, back, day, plates


def own_query(world, *, officer=None, **changes):
    harbor = {"agency": "harbor"} | (officer or {})
    changes = {"requesting_agency": "harbor", "agreement_digest": b""} | changes
    return world.query(None, officer=harbor, **changes)


def test_own_officers_get_everything_their_policy_allows(world):
    decision = world.ask(own_query(world, row_limit=1000, window=back(700)), None)
    assert (decision.allowed, decision.section) == (True, OWN_SECTION)
    assert decision.terms.redaction == OPEN
    assert not decision.terms.withholding.plates
    assert (decision.terms.max_rows, decision.terms.keep_days) == (1000, None)


OWN_REFUSALS = [
    ({"purpose": "wanted-person"}, {}, Code.LOCAL_POLICY, OWN_SECTION),
    ({"purpose": "personal"}, {}, Code.PURPOSE_PROHIBITED, "MOA II.A"),
    ({"purpose": "x"}, {}, Code.PURPOSE_UNKNOWN, "MOA II.A"),
    ({"agreement_digest": bytes(32)}, {}, Code.AGREEMENT_INVALID, OWN_SECTION),
    ({"on_behalf_of": "city"}, {}, Code.ONWARD_SHARING, "MOA II.A"),
    ({"window": back(701)}, {}, Code.LOOK_BACK_EXCEEDED, OWN_SECTION),
    ({}, {"standing": "left"}, Code.OFFICER_NOT_IN_GOOD_STANDING, OWN_SECTION),
    ({}, {"trained_on": day(366)}, Code.TRAINING_LAPSED, OWN_SECTION),
    ({}, {"agency": "city"}, Code.OFFICER_UNKNOWN, OWN_SECTION),
    ({}, {"purposes": ()}, Code.OFFICER_PURPOSE, OWN_SECTION),
    ({}, {"not_after_ms": NOW_MS}, Code.CREDENTIAL_EXPIRED, OWN_SECTION),
]


@pytest.mark.parametrize(("changes", "officer", "code", "section"), OWN_REFUSALS)
def test_own_officers_are_refused_too(world, changes, officer, code, section):
    decision = world.ask(own_query(world, officer=officer, **changes), None)
    assert (decision.code, decision.section) == (code, section)


def test_own_officers_name_as_many_plates_as_their_policy_says(world):
    several = own_query(world, selector=plates(3))
    refused = world.ask(several, None)
    assert (refused.code, refused.section) == (Code.PLATES_NOT_AGREED, OWN_SECTION)
    text = world.ask.__globals__["POLICY"].format(narrowing="")
    text = text.replace("row_limit = 1000", "row_limit = 1000\nplates_per_query = 3")
    assert world.ask(several, None, text).allowed
    more = own_query(world, selector=plates(4))
    assert world.ask(more, None, text).code is Code.PLATES_NOT_AGREED


def test_own_row_limit_and_words(world):
    text = world.ask.__globals__["POLICY"].format(narrowing="")
    text = text.replace("row_limit = 1000", 'row_limit = 9\ncase_number = "required"')
    assert world.ask(own_query(world, row_limit=10), None, text).code is Code.ROW_LIMIT_EXCEEDED
    assert world.ask(own_query(world, row_limit=9), None, text).allowed
    blank = own_query(world, row_limit=9, case_number="")
    assert world.ask(blank, None, text).code is Code.CASE_NUMBER_REQUIRED


def test_without_a_policy_a_node_answers_not_even_its_own(world):
    assert world.ask(own_query(world), None, None).code is Code.LOCAL_POLICY
