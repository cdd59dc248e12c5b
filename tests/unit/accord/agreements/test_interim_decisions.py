"""What a watch commander decides until a review: it narrows at once, and ends."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from accord.agreements.instruments import (
    Instrument,
    ReviewOutcome,
)
from accord.agreements.manifest_reading import parse_manifest
from accord.errors import Code
from tests.unit.accord.agreements.test_effects import K, allowed, notice


def test_an_interim_decision_of_a_clock_ahead_holds_at_once_and_ends_by_its_own_date(world):
    one = interim(date(2026, 3, 10), date(2026, 3, 11))
    agreement = replace(world.agreement(), instruments=(one,))
    assert world.ask(world.query(agreement), agreement).code is Code.AGREEMENT_SUSPENDED
    assert allowed(world, agreement, date(2026, 3, 12))


def interim(day: date, until: date, **said: object) -> Instrument:
    said = {"decided_by": "Watch Commander, Harbor", "reason": "a pursuit", "all": True} | said
    return notice(K.INTERIM_DECISION, day, until=until, **said)


def test_an_interim_decision_ends_with_its_last_day(world):
    one = interim(date(2026, 2, 24), date(2026, 2, 28))
    agreement = replace(world.agreement(), instruments=(one,))
    # NOW is 1 March 2026, 4 in the morning in Los Angeles.
    assert world.ask(world.query(agreement), agreement).allowed
    longer = replace(one, details=replace(one.details, until=date(2026, 3, 1)))
    agreement = replace(agreement, instruments=(longer,))
    refused = world.ask(world.query(agreement), agreement)
    assert (refused.code, refused.section) == (Code.AGREEMENT_SUSPENDED, "VII.B")
    assert "Watch Commander, Harbor of city decided so" in refused.reason
    confirms = replace(longer, details=replace(longer.details, all=False))
    assert world.ask(world.query(agreement), replace(agreement, instruments=(confirms,))).allowed


@pytest.mark.parametrize(("days", "holds"), [(5, False), (8, True)])
def test_no_interim_decision_lasts_longer_than_the_text_says(world, days, holds):
    text = world.text().replace(b"interim_days = 7", b"interim_days = %d" % days)
    manifest = parse_manifest(text, "x")
    one = interim(date(2026, 2, 21), date(2027, 1, 1))
    agreement = replace(world.agreement(manifest), instruments=(one,))
    assert world.ask(world.query(agreement), agreement).allowed is not holds


@pytest.mark.parametrize(
    ("other", "allowed"),
    [
        (notice(K.REVIEW, date(2026, 2, 26), number=2, of=1, outcome=ReviewOutcome.ENDS), True),
        (notice(K.REVIEW, date(2026, 2, 26), number=2, of=1,
                outcome=ReviewOutcome.CONFIRMS), False),
        (notice(K.REVIEW, date(2026, 2, 26), number=2, of=1, outcome=ReviewOutcome.ENDS,
                party="harbor"), False),
        (notice(K.RESUMPTION, date(2026, 2, 26), number=2, of=1), False),
    ],
    ids=["ended", "confirmed", "another party's", "resumed"],
)  # fmt: skip
def test_only_its_own_partys_review_ends_an_interim_decision(world, other, allowed):
    agreement = replace(
        world.agreement(), instruments=(interim(date(2026, 2, 24), date(2026, 3, 1)), other)
    )
    assert world.ask(world.query(agreement), agreement).allowed is allowed


def test_no_chain_of_interim_decisions_takes_the_place_of_a_review(world):
    first = date(2026, 2, 3)
    chain = tuple(
        replace(interim(first + timedelta(days=7 * n), first + timedelta(days=7 * n + 6)),
                number=n + 1)
        for n in range(4)
    )  # fmt: skip
    agreement = replace(world.agreement(), instruments=chain)
    assert not allowed(world, agreement, first + timedelta(days=3))
    for days in (8, 16, 24):
        assert allowed(world, agreement, first + timedelta(days=days))
    assert [told[-49:] for told in agreement.effects.defects] == [
        "(number 2): its decision number 1 ended without a review"[-49:],
        "(number 3): its decision number 1 ended without a review"[-49:],
        "(number 4): its decision number 1 ended without a review"[-49:],
    ]
    # At the same time as the first another may be taken; and after its review, the next.
    second = replace(interim(first + timedelta(days=6), first + timedelta(days=12)), number=2)
    agreement = replace(world.agreement(), instruments=(chain[0], second))
    assert not allowed(world, agreement, first + timedelta(days=12))
    review = notice(
        K.REVIEW, first + timedelta(days=6), number=9, of=1, outcome=ReviewOutcome.CONFIRMS
    )
    agreement = replace(world.agreement(), instruments=(*chain[:2], review))
    assert not allowed(world, agreement, first + timedelta(days=8))


def test_a_review_lifts_no_suspension(world):
    stop = notice(K.SUSPENSION, date(2026, 1, 1), reason="x")
    review = notice(K.REVIEW, date(2026, 1, 2), number=2, of=1, outcome=ReviewOutcome.ENDS)
    agreement = replace(world.agreement(), instruments=(stop, review))
    assert world.ask(world.query(agreement), agreement).code is Code.AGREEMENT_SUSPENDED
    assert "number 1 is a suspension, which it can't lift" in agreement.effects.defects[0]
