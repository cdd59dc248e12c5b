"""Every decision of the table told rule by rule: one rule refuses, those before it held."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from accord.agreements.effective import Agreement, effective
from accord.agreements.instruments import Details, Instrument, InstrumentKind
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.policy import parse_policy
from accord.agreements.reasons import Held, steps
from accord.clock import to_ms
from accord.errors import Code
from tests.unit.accord.agreements.conftest import POLICY, World
from tests.unit.accord.agreements.test_decide import ROWS

NOW_MS = to_ms(datetime(2026, 3, 1, 12, tzinfo=UTC))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_rule_that_refused_is_the_decisions(world, row):
    text = world.text(**row.manifest).decode().replace(*row.edit, 1).encode()
    manifest = parse_manifest(text, "x")
    signers = [p.id for p in manifest.parties if p.id != row.unsigned]
    agreement = Agreement(manifest, tuple(world.counterpart(manifest, s) for s in signers))
    query = world.query(agreement, officer=row.officer, **row.query)
    held = None if row.missing else agreement
    decision = world.ask(query, held, row.policy, row.at_ms)
    folded = None
    if held is not None:
        folded = effective(held, query.requesting_agency, query.audience, row.at_ms)
    found = steps(query, folded, decision)
    verdicts = [step.held for step in found]
    if row.code is None:
        assert set(verdicts) == {Held.YES}
        assert not any(step.reason for step in found)
        return
    refusing = verdicts.index(Held.NO)
    assert set(verdicts[:refusing]) <= {Held.YES}
    assert set(verdicts[refusing + 1 :]) <= {Held.NOT_REACHED}
    assert (found[refusing].section, found[refusing].reason) == (row.section, decision.reason)


def test_each_rule_has_its_section(world):
    agreement = world.agreement()
    query = world.query(agreement)
    folded = effective(agreement, "city", "harbor", NOW_MS)
    found = steps(query, folded, world.ask(query, agreement))
    sections = {step.rule: step.section for step in found}
    assert sections["every party has signed it"] == "VIII"
    assert sections["it holds the purpose stolen-vehicle"] == "II.A"
    assert sections["the search uses only fields that are shared"] == "I.C"
    assert sections["the time window reaches back no more than 365 days"] == "II.B"
    assert "its term is not over: the last day is 2028-05-31" in sections


def test_an_operator_fails_at_the_floor_and_not_at_the_agreement(world):
    agreement = world.agreement()
    query = world.query(agreement, requesting_agency="hub", officer={"agency": "hub"})
    folded = effective(agreement, "hub", "harbor", NOW_MS)
    decision = world.ask(query, agreement)
    assert decision.code is Code.LAW_FORBIDS
    (refused,) = [s for s in steps(query, folded, decision) if s.held is Held.NO]
    assert refused.rule == "Only public law-enforcement agencies may ask."


def test_each_rule_of_law_is_told_with_its_citation(world):
    agreement = world.agreement()
    query = world.query(agreement)
    folded = effective(agreement, "city", "harbor", NOW_MS)
    for state, held in (("CA", Held.YES), ("NV", Held.NO)):
        city = replace(world.agencies["city"], state=state)
        other = World(world.keys, world.agencies | {"city": city})
        decision = other.ask(query, agreement)
        found = [(step.rule, step.section, step.held) for step in steps(query, folded, decision)]
        told = dict.fromkeys(found)
        law = "A Californian agency gives ALPR data to public agencies of California only, "
        law += "never out of state and never to a federal agency."
        assert (law, "Cal. Civ. Code 1798.90.55(b)", held) in told
        civil = "ALPR data may not be used for non-criminal immigration enforcement."
        assert (civil, "MOA II.A; Cal. Gov. Code 7284.6", Held.YES) in told
    (refused,) = [one for one in steps(query, folded, decision) if one.held is Held.NO]
    assert refused.reason == law


def test_a_code_that_no_rule_has_is_our_own_mistake(world):
    query = world.query(None, audience="city", requesting_agency="city")
    decision = world.ask(query, None, None)
    with pytest.raises(ValueError, match="no rule refuses with LOCAL_POLICY"):
        steps(query, None, decision)


OPERATOR = """
[[roles]]
section = "I.C"
role = "operator"
name = "Hub"
sees = "answers"
agency = "hub"
"""


def test_a_broker_that_was_not_named_is_not_looked_at(world):
    agreement = world.agreement(world.manifest(tables=OPERATOR))
    query = world.query(agreement)
    folded = effective(agreement, "city", "harbor", NOW_MS)
    for via, held in (("", Held.NOT_REACHED), ("hub", Held.YES), ("other", Held.NO)):
        decision = world.decide_as(query, agreement, world.agencies["city"], via)
        found = steps(query, folded, decision, via=via)
        assert [s.held for s in found if s.rule == "the broker is one of Hub"] == [held]
        others = {s.held for s in found if s.rule != "the broker is one of Hub"}
        assert others == ({Held.YES} if via != "other" else {Held.YES, Held.NOT_REACHED})


@pytest.mark.parametrize("purposes", [{"stolen-vehicle"}, set()])
def test_what_comes_before_a_suspended_purpose_is_told_as_held(world, purposes):
    """And of the whole agreement suspended, nothing after it was looked at."""
    said = Details(reason="x", purposes=frozenset(purposes))
    stop = Instrument("harbor", 1, InstrumentKind.SUSPENSION, "n", "c", NOW_MS - 1, said)
    if purposes:
        cited = replace(said, citation="Act 7")
        stop = replace(stop, kind=InstrumentKind.SUPERSEDED_BY_LAW, details=cited)
    agreement = replace(world.agreement(), instruments=(stop,))
    query = world.query(agreement)
    folded = effective(agreement, "city", "harbor", NOW_MS)
    decision = world.ask(query, agreement)
    assert decision.code is Code.AGREEMENT_SUSPENDED
    told = {step.rule: step.held for step in steps(query, folded, decision)}
    part = "nothing suspends or prohibits what is asked for between the two"
    whole = "no party and no law has suspended it as a whole"
    before = "it holds the purpose stolen-vehicle", "it shares reads", "it lets city ask harbor"
    if purposes:
        assert (told[part], told[whole]) == (Held.NO, Held.YES)
        assert {told[rule] for rule in before} == {Held.YES}
    else:
        assert (told[part], told[whole]) == (Held.NOT_REACHED, Held.NO)
        assert {told[rule] for rule in before} == {Held.NOT_REACHED}


def test_an_agency_that_is_of_another_kind_than_signed_is_told(world):
    agreement = world.agreement()
    decision = world.decide_as(
        world.query(agreement), agreement, replace(world.agencies["city"], kind="sheriff"), ""
    )
    folded = effective(agreement, "city", "harbor", NOW_MS)
    found = steps(world.query(agreement), folded, decision)
    (refused,) = [step for step in found if step.held is Held.NO]
    assert refused.rule == "both are of the kind and state that counsel signed"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({}, ""),
        ({"purpose": "amber-alert"}, "its own policy holds the purpose amber-alert"),
        ({"officer": {"agency": "harbor", "standing": "left"}}, "the officer is in good standing"),
        ({"row_limit": 1001}, "no more than 1000 rows are asked for"),
        ({"purpose": "personal"}, "ALPR data may not be used for personal purposes."),
    ],
)
def test_an_own_officers_question_is_told_by_the_own_policy(world, changes, rule):
    officer = {"agency": "harbor"} | changes.get("officer", {})
    asked = {"audience": "harbor", "requesting_agency": "harbor"} | changes | {"officer": officer}
    query = world.query(None, **asked)
    decision = world.ask(query, None)
    own = parse_policy(POLICY.format(narrowing="").encode(), "p").own
    found = steps(query, None, decision, own=own)
    assert decision.allowed is (not rule)
    refused = [step for step in found if step.held is Held.NO]
    assert len(refused) == bool(rule)
    if rule and not rule.startswith("ALPR"):
        assert (refused[0].rule, refused[0].section) == (rule, "own policy (MOA II.B)")
    if not rule:
        assert {step.held for step in found} == {Held.YES}
