"""Whatever is signed of members, and with whatever dates, nothing widens by it."""

from dataclasses import replace
from datetime import date, timedelta
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from accord.agreements.instruments import Details, Instrument
from accord.agreements.manifest_file import Channel
from tests.examples import few_and_many
from tests.unit.accord.agreements.test_members import (
    JOINDER,
    LEAVING,
    K,
    accedes,
    admits,
    asks,
    at,
    reworded,
)

moments = st.integers(0, 400).map(lambda n: date(2026, 1, 1) + timedelta(days=n))


PAIRS = list(permutations(("city", "harbor", "county"), 2))


@st.composite
def instruments(draw, world):
    party = draw(st.sampled_from(["city", "harbor", "county"]))
    other = draw(st.sampled_from(["city", "harbor", "county"]))
    day, kind = draw(moments), draw(st.sampled_from(sorted(K)))
    number = draw(st.integers(1, 5))
    said = Details(
        reason="x", citation="c", decided_by="w", of=draw(st.integers(0, 4)),
        last_day=day + timedelta(days=draw(st.integers(0, 40))), sent={Channel.E_MAIL: day},
        purposes=draw(st.sampled_from([frozenset(), frozenset({"stolen-vehicle"})])),
        impairs_essential_purpose=draw(st.booleans()), until=day + timedelta(days=3),
        joiner="county", joiner_name="n", joiner_contact="c", joiner_kind="police",
        joiner_state="CA", partner=other,
        joiner_root=draw(st.sampled_from([world.agencies["county"].root] * 5 + ["0" * 64])),
    )  # fmt: skip
    return Instrument(party, number, K(kind), "n", "c", at(day), said)


@few_and_many(given(data=st.data()), 60, 400)
def test_the_order_of_files_decides_nothing_and_outside_membership_nothing_is_allowed(world, data):
    manifest = reworded(world, tables=JOINDER + LEAVING, opt_in=data.draw(
        st.sampled_from(["", "owner", "both"])))  # fmt: skip
    held = tuple(data.draw(st.lists(instruments(world), max_size=7)))
    if data.draw(st.booleans()):
        held += (admits(world, "city"), admits(world, "harbor"), accedes())
    agreement = replace(world.agreement(manifest), instruments=held)
    shuffled = replace(agreement, instruments=tuple(data.draw(st.permutations(held))))
    pair, day = data.draw(st.sampled_from(PAIRS)), data.draw(moments)
    decision = asks(world, agreement, day, *pair)
    again = asks(world, shuffled, day, *pair)
    assert (again.allowed, again.code) == (decision.allowed, decision.code)
    for agency in pair:
        member = agreement.membership.find(agency)
        if member is None or not member.at(at(day)):
            assert not decision.allowed
    if decision.allowed and "county" in pair:
        made = {one.party for one in held if one.kind is K.ADMISSION}
        assert any(one.kind is K.ACCESSION and one.party == "county" for one in held)
        assert made & {"city", "harbor"}


@few_and_many(given(data=st.data()), 30, 150)
def test_a_suspension_a_withdrawal_an_opt_out_or_a_law_more_never_widens(world, data):
    manifest = reworded(world, tables=JOINDER + LEAVING, opt_in=data.draw(
        st.sampled_from(["", "owner"])))  # fmt: skip
    held = (admits(world, "city"), admits(world, "harbor"), accedes())
    held += tuple(data.draw(st.lists(instruments(world), max_size=5)))
    narrowing = {K.SUSPENSION, K.WITHDRAWAL, K.OPT_OUT, K.SUPERSEDED_BY_LAW}
    more = data.draw(instruments(world).filter(lambda one: one.kind in narrowing))
    # The next number of its party; its date may be any.
    last = max((one.number for one in held if one.party == more.party), default=0)
    more = replace(more, number=last + 1)
    before = replace(world.agreement(manifest), instruments=held)
    after = replace(before, instruments=(*held, more))
    pair, day = data.draw(st.sampled_from(PAIRS)), data.draw(moments)
    if asks(world, after, day, *pair).allowed:
        assert asks(world, before, day, *pair).allowed


@few_and_many(given(data=st.data()), 40, 200)
def test_no_date_of_a_stop_or_an_opt_out_decides_anything(world, data):
    manifest = reworded(world, opt_in=data.draw(st.sampled_from(["", "owner"])))
    held = (admits(world, "city"), admits(world, "harbor"), accedes())
    held += tuple(data.draw(st.lists(instruments(world), max_size=4)))
    dateless = {K.SUSPENSION, K.SUPERSEDED_BY_LAW, K.OPT_OUT}
    stop = data.draw(instruments(world).filter(lambda one: one.kind in dateless))
    moved = replace(stop, signed_at_ms=at(data.draw(moments)))
    agreement = world.agreement(manifest)
    pair, day = data.draw(st.sampled_from(PAIRS)), data.draw(moments)
    one, two = (
        asks(world, replace(agreement, instruments=(*held, it)), day, *pair) for it in (stop, moved)
    )
    assert (one.allowed, one.code, one.reason) == (two.allowed, two.code, two.reason)
