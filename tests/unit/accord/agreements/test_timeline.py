"""The timeline of an agreement: periods, suspensions, days; and of a draft, what would be."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from accord.agreements.effective import Agreement
from accord.agreements.instruments import Details, Instrument, InstrumentKind
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.timeline import Span, timeline
from accord.clock import to_ms
from accord.model import Kind
from tests.unit.accord.agreements.conftest import NOW_MS

K = InstrumentKind


def instrument(kind, number=1, at=(2026, 2, 1, 12), party="city", **details):
    at_ms = to_ms(datetime(*at, tzinfo=UTC))
    return Instrument(party, number, kind, "Jane Roe", "Counsel", at_ms, Details(**details))


def periods(line):
    return [(one.label, one.first, one.last) for one in line.stretches if one.span is Span.PERIOD]


def test_periods_are_those_of_the_term(world):
    line = timeline(world.agreement(extension="once"), NOW_MS)
    assert line.today == date(2026, 3, 1)
    assert periods(line) == [
        ("first term", date(2025, 6, 1), date(2028, 5, 31)),
        ("extension 1", date(2028, 6, 1), date(2029, 5, 31)),
    ]
    assert (line.first, line.last) == (date(2025, 6, 1), date(2029, 5, 31))


def test_without_extension_there_is_one_period_with_an_end(world):
    assert periods(timeline(world.agreement(), NOW_MS)) == [
        ("first term", date(2025, 6, 1), date(2028, 5, 31))
    ]


@pytest.mark.parametrize(("year", "labels"), [
    (2026, ["first term", "extension 1", "and so on"]),
    (2030, ["first term", "extension 1", "extension 2", "extension 3", "and so on"]),
])  # fmt: skip
def test_an_open_end_is_shown_as_such_one_period_after_today(world, year, labels):
    now_ms = to_ms(datetime(year, 3, 1, 12, tzinfo=UTC))
    found = periods(timeline(world.agreement(extension="repeating"), now_ms))
    assert [label for label, _, _ in found] == labels
    assert [last is None for _, _, last in found] == [False] * (len(labels) - 1) + [True]


def test_a_notice_ends_the_picture_where_it_ends_the_agreement(world):
    sent = {"certified-mail": date(2026, 2, 1), "facsimile": date(2026, 2, 1)}
    notice = instrument(K.TERMINATION, last_day=date(2026, 6, 30), sent=sent,
                        received_on=date(2026, 2, 1))  # fmt: skip
    agreement = replace(world.agreement(extension="once"), instruments=(notice,))
    line = timeline(agreement, NOW_MS)
    assert periods(line) == [("first term", date(2025, 6, 1), date(2026, 6, 30))]
    texts = {(day.day, day.past): day.text for day in line.days}
    assert texts[date(2026, 2, 1), True] == "city signed its instrument 1: termination"
    assert "by notice of city" in texts[date(2026, 6, 30), False]


def test_suspensions_are_stretches_and_open_until_they_are_lifted(world):
    stop = instrument(K.SUSPENSION, reason="x")
    law = instrument(K.SUPERSEDED_BY_LAW, 2, citation="An Act", reason="x",
                     kinds=frozenset({Kind.HOT_LIST}))  # fmt: skip
    lifted = instrument(K.RESUMPTION, 3, at=(2026, 2, 20, 12), of=1)
    agreement = replace(world.agreement(), instruments=(stop, law))
    (first, second) = timeline(agreement, NOW_MS).stretches[1:]
    assert (first.span, first.first, first.last) == (Span.STOPPED, date(2026, 2, 1), None)
    assert (second.span, second.label) == (
        Span.NARROWED, "hot-list: city holds it suspended by An Act",
    )  # fmt: skip
    resumed = replace(agreement, instruments=(stop, law, lifted))
    (first, second) = timeline(resumed, NOW_MS).stretches[1:]
    assert (first.last, second.last) == (date(2026, 2, 20), None)


def test_what_stops_every_pair_is_one_stretch(world):
    law = instrument(K.SUPERSEDED_BY_LAW, citation="An Act", reason="x", all=True)
    line = timeline(replace(world.agreement(), instruments=(law,)), NOW_MS)
    assert [one.span for one in line.stretches] == [Span.PERIOD, Span.STOPPED]


def test_days_are_numbered_in_order_and_past_ones_known(world):
    line = timeline(world.agreement(extension="once"), NOW_MS)
    assert [day.number for day in line.days] == [1, 2, 3, 4, 5]
    assert [day.past for day in line.days] == [True, True, False, False, False]
    assert sum("so the agreement commences" in day.text for day in line.days) == 1
    assert [(day.day, day.section) for day in line.days[2:]] == [
        (date(2028, 5, 1), "V"), (date(2028, 5, 1), "V"), (date(2028, 5, 31), "V"),
    ]  # fmt: skip
    assert "last day for a notice that prevents the extension" in line.days[2].text


def test_a_draft_has_no_days_and_says_how_they_will_be_computed(world):
    line = timeline(Agreement(world.manifest(extension="once", ends="anniversary"), ()), NOW_MS)
    assert (line.today, line.days) == (None, ())
    text = " ".join(line.rules)
    assert "3 years from the last signature" in text
    assert "a notice of 30 days, by certified mail and by facsimile" in text
    assert "5 business days" in text


@pytest.mark.parametrize(("missing", "counts"), [(True, False), (False, True)])
def test_without_every_signature_nothing_is_dated(world, missing, counts):
    agreement = world.agreement()
    if missing:
        agreement = replace(agreement, counterparts=agreement.counterparts[:1])
    assert (timeline(agreement, NOW_MS).today is not None) is counts


def test_what_is_undecided_is_shown_as_undecided(world):
    text = world.text(
        ends="undecided", extension="undecided", counted_from="undecided", holidays="undecided"
    )
    line = timeline(Agreement(parse_manifest(text, "x"), ()), NOW_MS)
    assert [(one.label, one.last is None) for one in line.stretches] == [
        ("first term", False), ("extended? undecided", True),
    ]  # fmt: skip
    said = " ".join(line.rules)
    assert said.count("undecided") == 5
    assert "counted from its receipt" not in said
