"""Calendar years in the agreement's own zone."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from accord.agreements.counterparts import Counterpart
from accord.agreements.effective import Agreement, Standing
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.reading import local_date
from accord.agreements.term import Term, anniversary, period_end, start_of, term_of
from accord.clock import to_ms
from accord.errors import InputError


def ms(*parts: int, zone: str = "UTC") -> int:
    return to_ms(datetime(*parts, tzinfo=ZoneInfo(zone)))  # type: ignore[misc,arg-type]


def signed(**at_ms: int) -> tuple[Counterpart, ...]:
    return tuple(Counterpart(party, "X", "Y", moment) for party, moment in at_ms.items())


LA = "America/Los_Angeles"


def test_no_commencement_while_a_party_is_missing(world):
    term = term_of(world.manifest(), signed(city=ms(2025, 1, 1)))
    assert (term.commences_ms, term.expires_ms, term.missing) == (None, None, ("harbor",))
    assert term_of(world.manifest(), ()).missing == ("city", "harbor")


def test_a_strangers_signature_does_not_complete_it(world):
    assert term_of(world.manifest(), signed(city=1, county=2)).missing == ("harbor",)


def test_it_commences_with_the_last_signature(world):
    first, last = ms(2025, 1, 1), ms(2025, 5, 10, 20)
    assert term_of(world.manifest(), signed(city=last, harbor=first)).commences_ms == last
    assert term_of(world.manifest(), signed(city=first, harbor=last)).commences_ms == last


@pytest.mark.parametrize(
    ("ends", "after"), [("day-before", (2028, 5, 10)), ("anniversary", (2028, 5, 11))]
)
def test_it_ends_as_the_last_day_ends_in_its_zone(world, ends, after):
    text = world.text().replace(b'ends = "day-before"', f'ends = "{ends}"'.encode())
    manifest = parse_manifest(text, "x")
    # 02:00 UTC on the 11th is still the 10th in Los Angeles.
    both = signed(city=ms(2025, 5, 11, 2), harbor=ms(2025, 5, 1))
    assert term_of(manifest, both).expires_ms == ms(*after, zone=LA)


def test_a_leap_day_has_its_anniversary_on_28_february(world):
    assert anniversary(date(2024, 2, 29), 3) == date(2027, 2, 28)
    assert anniversary(date(2024, 2, 29), 4) == date(2028, 2, 29)
    text = world.text().replace(b'ends = "day-before"', b'ends = "anniversary"')
    moment = ms(2024, 2, 29, 12, zone=LA)
    term = term_of(parse_manifest(text, "x"), signed(city=moment, harbor=moment))
    assert term.expires_ms == ms(2027, 3, 1, zone=LA)


def test_the_end_follows_the_zones_clock_changes(world):
    # Signed in winter time, ending in summer time: 07:00 UTC, not 08:00.
    manifest = world.manifest(length_years=1)
    moment = ms(2025, 3, 8, 12, zone=LA)
    summer = ms(2025, 3, 20, 12, zone=LA)
    winter_end = term_of(manifest, signed(city=moment, harbor=moment)).expires_ms
    summer_end = term_of(manifest, signed(city=summer, harbor=summer)).expires_ms
    assert winter_end == to_ms(datetime(2026, 3, 8, 8, tzinfo=UTC))
    assert summer_end == to_ms(datetime(2026, 3, 20, 7, tzinfo=UTC))


def test_a_day_without_a_midnight_starts_where_the_clocks_skip():
    # Chile's clocks skip from 24:00 to 01:00 on 8 September 2024: 04:00 UTC.
    zone = ZoneInfo("America/Santiago")
    assert start_of(date(2024, 9, 8), zone) == to_ms(datetime(2024, 9, 8, 4, tzinfo=UTC))


def test_standing_changes_at_the_exact_millisecond(world):
    agreement = world.agreement()
    term = agreement.term
    assert agreement.standing_at(term.commences_ms - 1) is Standing.NOT_COMMENCED
    assert agreement.standing_at(term.commences_ms) is Standing.IN_FORCE
    assert agreement.standing_at(term.expires_ms - 1) is Standing.IN_FORCE
    assert agreement.standing_at(term.expires_ms) is Standing.EXPIRED


def test_an_agreement_without_counterparts_never_commences(world):
    agreement = Agreement(world.manifest(), ())
    assert agreement.standing_at(1 << 50) is Standing.NOT_EXECUTED


def extended(world, words: str, ends: str = "day-before"):
    text = world.text().replace(b'extension = "none"', words.encode())
    return parse_manifest(text.replace(b'ends = "day-before"', f'ends = "{ends}"'.encode()), "x")


def last_day(manifest, start_ms: int, at_ms: int) -> date | None:
    """The last day of the period that holds ``at_ms``; None where none does."""
    term = term_of(manifest, signed(city=start_ms, harbor=start_ms))
    end_ms = period_end(manifest, term, at_ms)
    return None if end_ms is None else local_date(end_ms - 1, manifest.zone)


ONCE = 'extension = "once"\nextension_years = 1'
TWICE = 'extension = "counted"\nextension_years = 1\nextensions = 2'
AGAIN = 'extension = "repeating"\nextension_years = 1'
START = ms(2022, 3, 1, 12, zone=LA)


@pytest.mark.parametrize(
    ("words", "ends", "expires"),
    [
        ('extension = "none"', "day-before", (2025, 3, 1)),
        ('extension = "none"', "anniversary", (2025, 3, 2)),
        (ONCE, "day-before", (2026, 3, 1)),
        (ONCE, "anniversary", (2026, 3, 2)),
        (TWICE, "day-before", (2027, 3, 1)),
        (TWICE.replace("years = 1", "years = 3"), "day-before", (2031, 3, 1)),
        (AGAIN, "day-before", None),
    ],
)
def test_extensions_move_the_end(world, words, ends, expires):
    term = term_of(extended(world, words, ends), signed(city=START, harbor=START))
    assert term.commences_ms == START
    assert term.expires_ms == (None if expires is None else ms(*expires, zone=LA))


@pytest.mark.parametrize(
    ("words", "standing"),
    [
        ('extension = "none"', Standing.EXPIRED),
        (ONCE, Standing.EXPIRED),
        (TWICE, Standing.IN_FORCE),
        (AGAIN, Standing.IN_FORCE),
    ],
)
def test_the_memorandums_open_question_decides_whether_it_lives(world, words, standing):
    """(MOA V) Signed on 1 March 2022 for three years: what on 24 November 2026?"""
    agreement = Agreement(extended(world, words), signed(city=START, harbor=START))
    assert agreement.standing_at(ms(2026, 11, 24)) is standing


def test_each_period_has_its_last_day(world):
    again = extended(world, AGAIN)
    assert last_day(again, START, START) == date(2025, 2, 28)
    assert last_day(again, START, ms(2025, 3, 1, zone=LA) - 1) == date(2025, 2, 28)
    assert last_day(again, START, ms(2025, 3, 1, zone=LA)) == date(2026, 2, 28)
    assert last_day(again, START, ms(2040, 6, 1, zone=LA)) == date(2041, 2, 28)
    once = extended(world, ONCE)
    assert last_day(once, START, ms(2025, 6, 1, zone=LA)) == date(2026, 2, 28)
    assert last_day(once, START, ms(2026, 3, 1, zone=LA)) is None


def test_periods_do_not_drift_from_a_leap_day(world):
    again = extended(world, AGAIN, "anniversary")
    leap = ms(2024, 2, 29, 12, zone=LA)
    days = [last_day(again, leap, ms(year, 1, 1, zone=LA)) for year in range(2027, 2030)]
    assert days == [date(2027, 2, 28), date(2028, 2, 29), date(2029, 2, 28)]


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('extension = "none"', 'extension = "undecided"', "term.extension"),
        ('extension = "none"', 'extension = "undecided"\nextension_years = 1', "term.extension"),
        ('ends = "day-before"', 'ends = "undecided"', "term.ends"),
    ],
)
def test_what_is_undecided_is_never_in_force_and_can_not_be_signed(world, old, new, key):
    manifest = parse_manifest(world.text().replace(old.encode(), new.encode()), "x")
    assert [(one.key, one.section) for one in manifest.undecided] == [(key, "V")]
    agreement = Agreement(manifest, signed(city=START, harbor=START))
    assert agreement.term == Term(None, None, ())
    for at_ms in (0, START, START + 1, ms(2026, 11, 24)):
        assert agreement.standing_at(at_ms) is Standing.UNDECIDED
    with pytest.raises(InputError, match=f"{key}: is undecided, so nobody can sign; have counsel"):
        world.sign(manifest, "city")
