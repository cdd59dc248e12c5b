"""What must hold of an agreement that agencies join and leave, whatever they sign and when."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from accord.agreements.effective import Agreement
from accord.agreements.instruments import Details, Instrument, InstrumentKind
from tests.examples import few_and_many
from tests.unit.accord.agreements.test_members import (
    BOTH,
    JAN,
    JOINDER,
    LEAVING,
    accedes,
    admits,
    at,
    leaves,
    one,
    reworded,
)
from tests.unit.accord.agreements.test_properties import ask, policy_of, rules

K = InstrumentKind
JOINERS = ("county", "ports")
EVERYBODY = (*BOTH, *JOINERS)
PAIRS = tuple(permutations(EVERYBODY, 2))
days = st.integers(0, 12).map(lambda n: JAN + timedelta(days=n))
later = st.none() | days


@st.composite
def withdrawals(draw, party):
    sent = draw(days)
    return leaves(sent + timedelta(days=draw(st.sampled_from([5, 10, 30]))), sent, party)


def suspensions(party):
    return days.map(lambda day: one(K.SUSPENSION, day, party, reason="x"))


@st.composite
def joined(draw, world):
    """Draw an agreement of two that others may have joined, and some may have left."""
    by = draw(st.sampled_from(["every-party", "city"]))
    text = reworded(world, tables=JOINDER.replace("every-party", by) + LEAVING)
    held: list[Instrument] = []
    for joiner in JOINERS:
        admitting = [party for party in EVERYBODY if party != joiner]
        held += [
            admits(world, party, draw(days), joiner=joiner, effective_on=draw(later))
            for party in admitting
            if draw(st.sampled_from([True] * 9 + [False]))
        ]
        if draw(st.sampled_from([True, True, True, False])):
            held.append(accedes(draw(days), joiner, effective_on=draw(later)))
    for party in draw(st.sets(st.sampled_from(EVERYBODY), max_size=1)):
        held.append(draw(withdrawals(party)))
    numbered = [replace(act, number=n) for n, act in enumerate(held, 1)]
    return replace(world.agreement(text), instruments=tuple(numbered))


def decided(world, agreement: Agreement, day, rule=None):
    """Return the decision for each pair at noon of a day, under a policy if there is one."""
    at_ms, found = at(day), {}
    for requester, owner in PAIRS:
        officer = {
            "agency": requester, "issued_at_ms": at_ms - 1, "not_after_ms": at_ms + 1,
            "trained_on": (day - timedelta(days=9)).isoformat(),
        }  # fmt: skip
        query = world.query(agreement, officer=officer, requesting_agency=requester, audience=owner)
        query = replace(query, window=replace(query.window, from_ms=at_ms - 1000, to_ms=at_ms))
        policy = None
        if rule is not None:
            policy = replace(policy_of(replace(rule, agency=requester)), agency=owner)
        found[requester, owner] = ask(world, query, agreement, policy, at_ms)
    return found


def allowed(world, agreement, day):
    return {pair for pair, one in decided(world, agreement, day).items() if one.allowed}


def with_more(agreement, act):
    number = len(agreement.instruments) + 1
    return replace(agreement, instruments=(*agreement.instruments, replace(act, number=number)))


def counts(act: Instrument, day) -> bool:
    """Tell whether what was signed is of effect by the noon of a day."""
    return act.signed_at_ms <= at(day) and (act.details.effective_on or day) <= day


def gone(agreement, party, day) -> bool:
    """Tell whether a party has left with ten days' notice, counted on our own."""
    return any(
        act.details.last_day < day
        and act.details.last_day - min(act.details.sent.values()) >= timedelta(days=10)
        for act in agreement.instruments
        if act.kind is K.WITHDRAWAL and act.party == party
    )


@few_and_many(given(data=st.data()), 30, 150)
def test_only_members_ask_and_are_asked_inside_policy_too(world, data):
    agreement, day, rule = data.draw(joined(world)), data.draw(days), data.draw(rules)
    before = decided(world, agreement, day)
    for pair, decision in decided(world, agreement, day, rule).items():
        if not before[pair].allowed:
            assert (decision.allowed, decision.code) == (False, before[pair].code)
            continue
        if decision.allowed:
            assert rule.purposes is None or "stolen-vehicle" in rule.purposes
            assert decision.terms.max_rows <= (rule.row_limit or 500)
        for agency in pair:
            assert not gone(agreement, agency, day)
            if agency in BOTH:
                continue
            acts = [act for act in agreement.instruments if counts(act, day)]
            assert any(act.kind is K.ACCESSION and act.party == agency for act in acts)
            by = {
                act.party
                for act in acts
                if act.kind is K.ADMISSION and act.details.joiner == agency
            }
            lead = agreement.manifest.joinder.admitted_by
            left = {act.party for act in agreement.instruments if act.kind is K.WITHDRAWAL}
            assert {lead} <= by if lead else set(BOTH) - left <= by


@few_and_many(given(data=st.data()), 30, 150)
def test_a_suspension_never_widens(world, data):
    agreement, day = data.draw(joined(world)), data.draw(days)
    party = data.draw(st.sampled_from(EVERYBODY))
    stopped = with_more(agreement, data.draw(suspensions(party)))
    assert allowed(world, stopped, day) <= allowed(world, agreement, day)


@few_and_many(given(data=st.data()), 30, 150)
def test_a_withdrawal_widens_nothing_among_those_who_were_members(world, data):
    """It may at most let in a joiner whom it alone had not admitted, and never its own party."""
    agreement, day = data.draw(joined(world)), data.draw(days)
    party = data.draw(st.sampled_from(EVERYBODY))
    after = with_more(agreement, data.draw(withdrawals(party)))
    for pair in allowed(world, after, day) - allowed(world, agreement, day):
        assert party not in pair
        assert agreement.manifest.joinder.admitted_by == ""
        assert not all(agreement.membership.at(agency, at(day)) for agency in pair)


@few_and_many(given(data=st.data()), 30, 150)
def test_the_order_of_what_was_signed_makes_no_difference(world, data):
    agreement, day = data.draw(joined(world)), data.draw(days)
    mixed = data.draw(st.permutations(agreement.instruments))
    found = decided(world, agreement, day)
    again = decided(world, replace(agreement, instruments=tuple(mixed)), day)
    assert again == found


def test_joiners_are_allowed_and_refused_at_all(world):
    """The twin of the others: what they say is not said of nothing."""
    held = [admits(world, party) for party in BOTH] + [accedes()]
    agreement = replace(
        world.agreement(reworded(world, tables=JOINDER + LEAVING)), instruments=tuple(held)
    )
    day = JAN + timedelta(days=30)
    assert {("county", "harbor"), ("city", "county")} <= allowed(world, agreement, day)
    left = with_more(agreement, leaves(JAN + timedelta(days=20), JAN, "county"))
    assert allowed(world, left, day) == {("city", "harbor"), ("harbor", "city")}
    stop = with_more(agreement, Instrument("harbor", 1, K.SUSPENSION, "n", "c", at(JAN), Details()))
    assert ("county", "harbor") not in allowed(world, stop, day)
