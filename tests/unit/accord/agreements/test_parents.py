"""An agreement that stands under another: never more than its parent allows."""

from dataclasses import fields, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.agreements.effective import Agreement, Standing
from accord.agreements.instruments import Details, Instrument, InstrumentKind
from accord.agreements.manifest import Parent
from accord.agreements.parents import MAX_DEPTH, common, stricter, with_parents
from accord.agreements.provisions import HotListRule, RateLimits, Stale, Territory
from accord.agreements.reasons import Held, steps
from accord.agreements.terms import Terms, Withholding
from accord.clock import to_ms
from accord.errors import Code
from accord.model import AreaBox, ExactPlate, PlateList, Purpose
from tests.examples import few_and_many
from tests.unit.accord.agreements.conftest import DAY_MS, NOW_MS
from tests.unit.accord.agreements.test_properties import (
    agreements,
    ask,
    moments,
    policy_of,
    queries,
    redactions,
    rules,
)


def child_of(world, parent: Agreement, **options: object) -> Agreement:
    made = world.agreement(world.manifest(**options))
    named = Parent("I", parent.manifest.id, parent.manifest.digest)
    return replace(made, manifest=replace(made.manifest, parent=named))


def under(world, parent: Agreement, **options: object) -> Agreement:
    child, _ = with_parents((child_of(world, parent, **options), parent))
    return child


def test_what_the_parent_allows_too_is_allowed_within_both(world):
    parent = world.agreement(
        world.manifest(look_back_days=90, time="hour", place="none", received_days=10)
    )
    child = under(world, parent, row_limit=50)
    decision = world.ask(world.query(child, row_limit=50), child)
    assert decision.allowed
    terms = decision.terms
    assert (terms.max_rows, terms.keep_days) == (50, 10)
    assert terms.earliest_ms == NOW_MS - 90 * DAY_MS
    assert (terms.redaction.time_step_ms, terms.redaction.place_within_m) == (3_600_000, None)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"purposes": [Purpose.WANTED_PERSON]}, Code.PURPOSE_NOT_AGREED),
        ({"kinds": ["hot-list"]}, Code.KIND_NOT_AGREED),
        ({"look_back_days": 10}, Code.LOOK_BACK_EXCEEDED),
        ({"row_limit": 10}, Code.ROW_LIMIT_EXCEEDED),
        ({"training_within_days": 20}, Code.TRAINING_LAPSED),
    ],
)
def test_what_the_parent_does_not_allow_is_refused_and_told(world, options, code):
    child = under(world, world.agreement(world.manifest(**options)))
    query = world.query(child)
    for policy in (None, ""):
        decision = world.ask(query, child, policy)
        assert decision.code is code
        assert decision.reason.startswith("Under the parent agreement city-harbor: ")
    assert world.ask(query, replace(child, manifest=replace(child.manifest, parent=None))).allowed


def test_a_parent_says_how_many_plates_too(world):
    parent = world.agreement(world.manifest(plates_per_query=2))
    child = under(world, parent, plates_per_query=3)
    three = PlateList(tuple(ExactPlate(f"7ABC00{n}") for n in range(3)))
    query = world.query(child, selector=three)
    assert world.ask(query, child).code is Code.PLATES_NOT_AGREED
    assert world.ask(replace(query, selector=PlateList(three.plates[:2])), child).allowed


def test_a_child_is_in_force_only_while_its_parent_is(world):
    parent = world.agreement(world.manifest(row_limit=400))
    stop = Instrument(
        "harbor", 1, InstrumentKind.SUSPENSION, "n", "c", NOW_MS - 1, Details(reason="x")
    )
    short = world.agreement(world.manifest(length_years=1))
    day_after = to_ms(datetime(2026, 6, 2, 12, tzinfo=UTC))
    for above, at_ms, code in (
        (replace(parent, instruments=(stop,)), NOW_MS, Code.AGREEMENT_SUSPENDED),
        (replace(parent, counterparts=()), NOW_MS, Code.AGREEMENT_NOT_EXECUTED),
        (replace(parent, replaced_ms=NOW_MS - 1), NOW_MS, Code.AGREEMENT_INVALID),
        (short, day_after, Code.AGREEMENT_EXPIRED),
        (world.agreement(world.manifest("city", "county")), NOW_MS, Code.NO_AGREEMENT),
    ):
        child = under(world, above)
        query = world.query(child, officer={"not_after_ms": at_ms + 1, "issued_at_ms": at_ms - 1})
        assert world.ask(query, child, None, at_ms=at_ms).code is code


def test_a_child_reads_as_its_parent_stands(world):
    parent = world.agreement(world.manifest(row_limit=400))
    stop = Instrument(
        "harbor", 1, InstrumentKind.SUSPENSION, "n", "c", NOW_MS - 1, Details(reason="x")
    )
    out = Standing.PARENT
    for above, expected in (
        (parent, Standing.IN_FORCE),
        (replace(parent, instruments=(stop,)), out),
        (replace(parent, counterparts=()), out),
        (replace(parent, replaced_ms=NOW_MS - 1), out),
        (world.agreement(world.manifest("city", "county")), out),
    ):
        child = under(world, above)
        assert child.standing_at(NOW_MS) is Standing.IN_FORCE
        assert child.stands_at(NOW_MS) is expected
    short = under(world, world.agreement(world.manifest(length_years=1)))
    assert short.stands_at(NOW_MS) is Standing.IN_FORCE
    assert short.stands_at(to_ms(datetime(2026, 6, 2, 12, tzinfo=UTC))) is out
    assert child_of(world, parent).stands_at(NOW_MS) is out
    below = replace(under(world, parent), instruments=(stop,))
    assert below.stands_at(NOW_MS) is Standing.SUSPENDED


def test_once_the_parent_is_amended_the_child_says_what_to_do(world):
    parent = world.agreement(world.manifest(row_limit=400))
    child = under(world, replace(parent, replaced_ms=NOW_MS - 1))
    decision = world.ask(world.query(child), child)
    assert (decision.code, decision.section) == (Code.AGREEMENT_INVALID, "I")
    assert decision.reason.startswith("Under the parent agreement city-harbor: A later text has")
    assert "sign a revision of city-harbor whose [parent] names the later one" in decision.reason
    assert decision.contact
    child = under(world, replace(parent, replaced_ms=NOW_MS + 1))
    assert world.ask(world.query(child), child).allowed


def test_a_parent_that_is_not_held_or_is_another_refuses_with_words(world):
    child = child_of(world, world.agreement(world.manifest(row_limit=400)))
    decision = world.ask(world.query(child), child)
    assert (decision.code, decision.section) == (Code.AGREEMENT_INVALID, "I")
    assert "not held here" in decision.reason
    named = replace(child.manifest.parent, id="another")
    parent = world.agreement(world.manifest(row_limit=400))
    other = replace(child, manifest=replace(child.manifest, parent=named))
    other, _ = with_parents((other, parent))
    assert world.ask(world.query(other), other).code is Code.AGREEMENT_INVALID


def test_the_parents_parent_bounds_too_up_to_a_depth(world):
    top = world.agreement(world.manifest(purposes=[Purpose.WANTED_PERSON]))
    middle = child_of(world, top, row_limit=400)
    middle = replace(middle, manifest=replace(middle.manifest, digest=b"m" * 32))
    named = Parent("I", middle.manifest.id, middle.manifest.digest)
    child = world.agreement()
    child = replace(child, manifest=replace(child.manifest, parent=named))
    child, *_ = with_parents((child, middle, top))
    assert world.ask(world.query(child), child).code is Code.PURPOSE_NOT_AGREED
    line = [world.agreement()]
    for n in range(MAX_DEPTH + 1):
        above = line[-1].manifest
        one = replace(above, digest=bytes([n]) * 32, parent=Parent("I", above.id, above.digest))
        line.append(replace(line[0], manifest=one))
    held = {a.manifest.digest: a for a in with_parents(line)}
    deep, fits = held[line[-1].manifest.digest], held[line[-2].manifest.digest]
    assert world.ask(world.query(fits), fits).allowed
    assert "not held here" in world.ask(world.query(deep), deep).reason


def test_territories_have_a_place_in_common_or_nothing_is_allowed(world):
    one, two, apart = AreaBox(0, 0, 10, 10), AreaBox(5, 5, 20, 20), AreaBox(30, 30, 40, 40)
    assert common((one,), (two,)) == (AreaBox(5, 5, 10, 10),)
    assert common((), (two,)) == common((two,), ()) == (two,)
    assert common((one,), (apart,)) is None
    parent = world.agreement(world.manifest(row_limit=499))

    def bounded(agreement, box):
        said = replace(agreement.manifest.provisions, territory=Territory("t", (box,)))
        return replace(agreement, manifest=replace(agreement.manifest, provisions=said))

    for box, allowed in ((two, True), (apart, False)):
        child = bounded(under(world, parent), one)
        child = replace(child, parent=bounded(parent, box))
        decision = world.ask(world.query(child), child)
        assert decision.allowed is allowed
        if allowed:
            assert decision.terms.withholding.within == (AreaBox(5, 5, 10, 10),)


def test_the_rules_name_the_parent_where_it_refuses(world):
    child = under(world, world.agreement(world.manifest(row_limit=10)))
    query = world.query(child)
    decision = world.ask(query, child)
    folded = world.ask.__globals__["effective"](child, "city", "harbor", NOW_MS)
    found = steps(query, folded, decision)
    (no,) = [step for step in found if step.held is Held.NO]
    assert no.rule == "its parent agreement, city-harbor, allows it too"
    good = world.query(child, row_limit=10)
    assert all(s.held is Held.YES for s in steps(good, folded, world.ask(good, child)))


@few_and_many(given(data=st.data()), 50, 300)
def test_a_child_lies_inside_its_parent(world, data):
    parent, alone, at_ms = (
        data.draw(agreements(world)), data.draw(agreements(world)), data.draw(moments),
    )  # fmt: skip
    parent = replace(parent, manifest=replace(parent.manifest, digest=b"p" * 32))
    named = Parent("I", parent.manifest.id, parent.manifest.digest)
    child = replace(alone, manifest=replace(alone.manifest, parent=named), parent=parent)
    query = data.draw(queries(world, child, at_ms))
    query = replace(query, selector=data.draw(st.sampled_from([query.selector, ExactPlate("7A")])))
    policy = policy_of(data.draw(rules))
    decision = ask(world, query, child, policy, at_ms)
    above = ask(world, replace(query, agreement_digest=b"p" * 32), parent, policy, at_ms)
    own = ask(world, query, alone, policy, at_ms)
    assert decision.allowed is (above.allowed and own.allowed)
    if decision.allowed:
        for wide in (above.terms, own.terms):
            assert decision.terms.max_rows <= wide.max_rows
            assert decision.terms.earliest_ms >= wide.earliest_ms
            assert decision.terms.redaction.narrowed_by(wide.redaction) == decision.terms.redaction
            assert inside(decision.terms, wide)


numbers = st.none() | st.integers(1, 9)
terms_of_any_kind = st.builds(
    Terms,
    redaction=redactions,
    max_rows=st.integers(1, 9),
    earliest_ms=st.integers(0, 9).map(lambda days: NOW_MS - days * DAY_MS),
    withholding=st.builds(
        Withholding, within=st.sampled_from([(), (AreaBox(0, 0, 9, 9),), (AreaBox(5, 5, 12, 12),)])
    ),
    keep_days=numbers,
    keep_section=st.sampled_from("ab"),
    from_capture=st.booleans(),
    keep_until_ms=numbers,
    hot_lists=st.none()
    | st.builds(
        HotListRule,
        section=st.just("h"),
        sources=st.none() | st.frozensets(st.sampled_from("xyz")),
        max_age_s=numbers,
        stale=st.sampled_from(Stale),
        list=st.booleans(),
        source=st.booleans(),
        category=st.booleans(),
    ),
    rates=st.none() | st.builds(RateLimits, st.just("r"), numbers, numbers, numbers),
    in_flight=st.booleans(),
    purposes=st.none() | st.frozensets(st.sampled_from("pqr")),
)


def at_most(one: int | None, wide: int | None) -> bool:
    return wide is None or (one is not None and one <= wide)


def inside(one: Terms, wide: Terms) -> bool:
    """Tell whether terms give no more than others, in every field."""
    hot, wide_hot = one.hot_lists, wide.hot_lists
    hot_inside = wide_hot is None or (
        hot is not None
        and (wide_hot.sources is None or (hot.sources or frozenset({"?"})) <= wide_hot.sources
             or hot.sources == frozenset())
        and at_most(hot.max_age_s, wide_hot.max_age_s)
        and (hot.stale is Stale.WITHHELD or wide_hot.stale is Stale.MARKED)
        and (hot.list, hot.source, hot.category)
        == (hot.list and wide_hot.list, hot.source and wide_hot.source,
            hot.category and wide_hot.category)
    )  # fmt: skip
    rates, wide_rates = one.rates, wide.rates
    rates_inside = wide_rates is None or (
        rates is not None
        and at_most(rates.officer_per_day, wide_rates.officer_per_day)
        and at_most(rates.agency_per_day, wide_rates.agency_per_day)
        and at_most(rates.agency_per_minute, wide_rates.agency_per_minute)
    )
    places, wide_places = one.withholding.within, wide.withholding.within
    return (
        one.redaction.narrowed_by(wide.redaction) == one.redaction
        and one.max_rows <= wide.max_rows
        and one.earliest_ms >= wide.earliest_ms
        and (not wide_places or (all(common((p,), wide_places) == (p,) for p in places) and places))
        and at_most(one.keep_days, wide.keep_days)
        and (one.from_capture or not wide.from_capture)
        and at_most(one.keep_until_ms, wide.keep_until_ms)
        and hot_inside
        and rates_inside
        and (wide.in_flight or not one.in_flight)
        and (wide.purposes is None or (one.purposes is not None and one.purposes <= wide.purposes))
    )


@few_and_many(given(one=terms_of_any_kind, parent=terms_of_any_kind), 80, 500)
def test_the_stricter_of_two_terms_gives_no_more_than_either_in_any_field(one, parent):
    both = stricter(one, parent, NOW_MS)
    assert inside(both, one)
    assert inside(both, parent)
    if both.from_capture and both.keep_days is not None:
        assert both.earliest_ms >= NOW_MS - both.keep_days * DAY_MS


def test_every_field_of_the_terms_is_compared_above():
    """A new field must come into inside() too: only the section says nothing of how much."""
    assert {field.name for field in fields(Terms)} == {
        "redaction", "max_rows", "earliest_ms", "withholding", "keep_days", "keep_section",
        "from_capture", "keep_until_ms", "hot_lists", "rates", "in_flight", "purposes",
    }  # fmt: skip
