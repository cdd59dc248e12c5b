"""What lies ahead: ends, last days for notices, meetings by the calendar of holidays."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import icalendar
import pytest

from accord.agreements.business_days import add_business_days, is_calendar
from accord.agreements.calendar import ahead, due, events
from accord.agreements.effective import Agreement
from accord.agreements.instruments import Details, Instrument, InstrumentKind, ReviewOutcome
from accord.agreements.manifest_file import Channel
from accord.agreements.term import months_after
from accord.cli.agreement_calendar import as_icalendar
from accord.clock import to_ms
from accord.errors import InputError
from accord.roster import Officer, Roster

ZONE = ZoneInfo("America/Los_Angeles")
NOW = datetime(2026, 3, 1, 4, tzinfo=ZONE)
NOW_MS = to_ms(NOW)
K = InstrumentKind


def days(agreement: Agreement, now_ms: int = NOW_MS) -> list[tuple[str, str]]:
    return [(str(event.day), event.text) for event in events(agreement, now_ms)]


def signed(agreement: Agreement, kind: K, day: date, number: int = 1, **said: object) -> Agreement:
    moment = to_ms(datetime(day.year, day.month, day.day, 9, tzinfo=ZONE))
    details = Details(**said)  # type: ignore[arg-type]
    one = Instrument("city", number, kind, "n", "c", moment, details)
    return replace(agreement, instruments=(*agreement.instruments, one))


def test_a_term_without_extension_has_one_last_day(world):
    agreement = world.agreement()
    assert days(agreement) == [("2028-05-31", "the last day in force")]
    assert days(agreement, to_ms(datetime(2028, 6, 1, tzinfo=ZONE))) == []


def test_a_period_has_a_last_day_for_the_notice_against_its_extension(world):
    agreement = world.agreement(world.manifest(extension="once"))
    assert days(agreement) == [
        ("2028-05-01", "the last day for a notice that prevents the extension of 2028-05-31"),
        ("2028-05-01", "the last day on which terms may be negotiated anew, before 2028-05-31"),
        ("2028-05-31", "a period ends; the agreement is extended from the next day"),
    ]
    assert days(agreement, to_ms(datetime(2028, 5, 2, tzinfo=ZONE))) == [
        ("2028-05-31", "a period ends; the agreement is extended from the next day"),
    ]
    later = to_ms(datetime(2028, 6, 1, tzinfo=ZONE))
    assert days(agreement, later) == [("2029-05-31", "the last day in force")]


def test_a_notice_on_that_last_day_still_counts_and_the_next_day_does_not(world):
    """The calendar and the effect of the notice are two computations of one day."""
    agreement = world.agreement(world.manifest(extension="repeating"))
    last = date.fromisoformat(days(agreement)[0][0])
    for day, expected in ((last, "2028-05-31"), (last + timedelta(days=1), "2029-05-31")):
        sent = {Channel.E_MAIL: day}
        ended = signed(agreement, K.NON_EXTENSION, day, sent=sent, received_on=day)
        assert days(ended) == [(expected, "the last day in force, not extended, by notice of city")]


def test_each_audit_has_its_day_counted_from_the_first(world):
    """Signed on 1 June 2025: by the 1st of June and of December."""
    audits = '[audits]\nsection = "III"\nevery_months = 6\nreport_to = "the council"\n'
    agreement = world.agreement(world.manifest(tables=audits))
    (found,) = [event for event in days(agreement) if "audited" in event[1]]
    assert found == (
        "2026-06-01", "each party must have audited and reported to the council, every 6 months"
    )  # fmt: skip
    assert days(agreement, to_ms(datetime(2026, 6, 2, tzinfo=ZONE)))[0][0] == "2026-12-01"
    assert not [event for event in days(world.agreement()) if "audited" in event[1]]


@pytest.mark.parametrize(
    ("start", "months", "expected"),
    [
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
        (date(2024, 2, 29), 12, date(2025, 2, 28)),
        (date(2026, 12, 1), 1, date(2027, 1, 1)),
        (date(2026, 6, 15), 18, date(2027, 12, 15)),
    ],
)
def test_months_end_with_the_month(start, months, expected):
    assert months_after(start, months) == expected


def test_an_agreement_that_never_commenced_has_no_days(world):
    assert days(replace(world.agreement(), counterparts=())) == []


def test_a_dispute_and_an_interim_decision_bring_days(world):
    """Opened on Thursday 12 February 2026; Monday the 16th is Presidents' Day."""
    opened = date(2026, 2, 12)
    agreement = signed(world.agreement(), K.DISPUTE, opened, reason="x")
    before = to_ms(datetime(2026, 2, 13, tzinfo=ZONE))
    text = "the parties must have met on the dispute that city opened on 2026-02-12"
    assert days(agreement, before)[0] == ("2026-02-20", text)
    interim = signed(
        agreement, K.INTERIM_DECISION, opened, 2, decided_by="w", reason="x",
        until=date(2026, 3, 9),
    )  # fmt: skip
    # No longer than the seven days after its signature that the text allows.
    text = "the interim decision of city (number 2) ends"
    assert ("2026-02-19", f"{text}; its review is due") in days(interim, before)
    said = {"of": 2, "decided_by": "Chief", "reason": "x"}
    stands = signed(interim, K.REVIEW, opened, 3, outcome=ReviewOutcome.CONFIRMS, **said)
    assert ("2026-02-19", text) in days(stands, before)
    over = signed(interim, K.REVIEW, opened, 3, outcome=ReviewOutcome.ENDS, **said)
    assert "2026-02-19" not in dict(days(over, before))


@pytest.mark.parametrize(
    ("start", "calendar", "expected"),
    [
        (date(2026, 2, 12), "US-CA", date(2026, 2, 20)),
        (date(2026, 2, 12), "none", date(2026, 2, 19)),
        (date(2026, 3, 27), "US-CA", date(2026, 4, 6)),
        (date(2026, 3, 27), "US", date(2026, 4, 3)),
        (date(2026, 2, 14), "none", date(2026, 2, 20)),
    ],
)
def test_five_business_days(start, calendar, expected):
    """Cesar Chavez Day, 31 March, is California's and not the federal one's."""
    assert add_business_days(start, 5, calendar) == expected


@pytest.mark.parametrize("name", ["US-XX", "us-ca", "California", "", "US-", "XX"])
def test_a_calendar_that_is_none_is_an_error(world, name):
    assert not is_calendar(name)
    with pytest.raises(ValueError, match=f"^{name}$"):
        add_business_days(date(2026, 1, 1), 1, name)
    with pytest.raises(InputError, match="not a calendar of holidays"):
        world.manifest(holidays=name)


def test_a_person_is_told_ninety_sixty_and_thirty_days_before(world):
    agreement = world.agreement()
    agency = replace(world.agencies["city"], expires_at_ms=NOW_MS + 60 * 86_400_000)
    today, found = ahead([agreement], [agency], NOW_MS)
    assert today == date(2026, 3, 1)
    assert [event.agreement for event in found] == ["city", "city-harbor"]
    ((event, left, stage),) = due(found, today)
    assert (event.agreement, left, stage) == ("city", 60, 60)
    # Whoever was not there on the day itself is told on the next.
    assert due(found, date(2028, 3, 1)) == ()
    for day, told in (
        (date(2028, 3, 2), (90, 90)), (date(2028, 3, 3), (89, 90)), (date(2028, 4, 1), (60, 60)),
        (date(2028, 5, 30), (1, 30)), (date(2028, 5, 31), (0, 30)),
    ):  # fmt: skip
        assert [one[1:] for one in due(found, day)] == [told]
    assert due(found, date(2028, 6, 1)) == ()


def test_of_a_replaced_text_only_what_its_instruments_bring_lies_ahead(world):
    audits = '[audits]\nsection = "III"\nevery_months = 6\n'
    agreement = world.agreement(world.manifest(extension="once", tables=audits))
    disputed = signed(agreement, K.DISPUTE, date(2026, 2, 27), reason="x")
    assert len(days(disputed)) == 5
    replaced = replace(disputed, replaced_ms=NOW_MS)
    text = "the parties must have met on the dispute that city opened on 2026-02-27"
    assert days(replaced) == [("2026-03-06", text)]


def test_a_training_has_the_last_day_on_which_decide_counts_it(world):
    agreement = world.agreement()
    within = agreement.manifest.eligibility.training_within_days
    trained = date(2026, 3, 10) - timedelta(days=within)

    def officer(name: str, day: date, standing: str = "good") -> Officer:
        return Officer(name, "n", "r", standing, day.isoformat(), frozenset())

    held = [
        officer("b-2", trained), officer("b-1", trained), officer("b-3", trained, "left"),
        officer("b-4", trained - timedelta(days=30)),
    ]  # fmt: skip
    roster = Roster("city", 1, NOW_MS, {one.id: one for one in held})
    _, found = ahead([agreement], [], NOW_MS, roster)
    event = found[0]
    text = f"the last day on which city's training of {trained} counts"
    assert (str(event.day), event.text, event.who) == ("2026-03-10", text, ("b-1", "b-2"))
    assert (event.section, len(found)) == (agreement.manifest.eligibility.section, 2)
    assert b"b-1\\, b-2" in as_icalendar(found, NOW_MS).replace(b"\r\n ", b"")
    for day, allowed in ((date(2026, 3, 10), True), (date(2026, 3, 11), False)):
        at_ms = to_ms(datetime(day.year, day.month, day.day, 9, tzinfo=ZONE))
        said = {
            "trained_on": trained.isoformat(), "issued_at_ms": at_ms - 1,
            "not_after_ms": at_ms + 1000,
        }  # fmt: skip
        query = world.query(agreement, officer=said)
        window = replace(query.window, from_ms=at_ms - 1000, to_ms=at_ms)
        decision = world.ask(replace(query, window=window), agreement, None, at_ms=at_ms)
        assert decision.allowed is allowed
    strangers = replace(roster, agency="county")
    assert len(ahead([agreement], [], NOW_MS, strangers)[1]) == 1


def test_the_file_is_one_that_a_calendar_program_takes(world):
    agreement = world.agreement(world.manifest(extension="once"))
    _, found = ahead([agreement], [], NOW_MS)
    parsed = icalendar.Calendar.from_ical(as_icalendar(found, NOW_MS))
    entries = parsed.walk("VEVENT")
    assert [entry.decoded("dtstart") for entry in entries] == [event.day for event in found]
    assert len({entry["uid"] for entry in entries}) == len(entries)
    assert [alarm.decoded("trigger").days for alarm in entries[0].walk("VALARM")] == [-90, -60, -30]
    assert as_icalendar(found, NOW_MS) == as_icalendar(found, NOW_MS)
