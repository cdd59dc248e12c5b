"""What instruments do: notices by the calendar, suspensions at once, and nothing widens."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.agreements.effective import Agreement, Standing, with_limits_beside
from accord.agreements.instrument_payload import sign_instrument, verify_instrument
from accord.agreements.instruments import (
    Details,
    Instrument,
    InstrumentKind,
    Provision,
    ReviewOutcome,
)
from accord.agreements.manifest_file import Channel
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.timeline import Span, timeline
from accord.clock import to_ms
from accord.errors import Code, InputError, Unverified
from accord.model import HotListPlate, Kind
from tests.examples import few_and_many
from tests.unit.accord.agreements.conftest import NOW_MS

ZONE = ZoneInfo("America/Los_Angeles")
K = InstrumentKind
# Signed 1 June 2025 for three years, the last day the day before.
TEXT_END = date(2028, 5, 31)


def at(day: date, hour: int = 12) -> int:
    return to_ms(datetime(day.year, day.month, day.day, hour, tzinfo=ZONE))


def notice(kind: K, signed_on: date, *, party: str = "city", number: int = 1, **said: object):
    details = Details(**said)  # type: ignore[arg-type]
    return Instrument(party, number, kind, "Jane Roe", "General Counsel", at(signed_on), details)


def both(day: date) -> dict[Channel, date]:
    return {Channel.CERTIFIED_MAIL: day, Channel.FACSIMILE: day}


def standing(agreement: Agreement, day: date, hour: int = 12) -> Standing:
    return agreement.standing_at(at(day, hour))


SENT = date(2026, 3, 1)
RECEIVED = date(2026, 3, 4)


def terminated(world, *, last_day: date, signed_on: date = RECEIVED, **changes: object):
    said = {"last_day": last_day, "sent": both(SENT), "received_on": RECEIVED} | changes
    agreement = world.agreement()
    return replace(agreement, instruments=(notice(K.TERMINATION, signed_on, **said),))


def test_a_termination_counts_thirty_days_from_receipt(world):
    """4 March and thirty days are 3 April: the first day is not counted."""
    agreement = terminated(world, last_day=date(2026, 4, 3))
    assert agreement.effects.defects == ()
    assert standing(agreement, date(2026, 4, 3), 23) is Standing.IN_FORCE
    assert standing(agreement, date(2026, 4, 4), 0) is Standing.ENDED
    query = world.query(agreement)
    refused = world.ask(query, agreement, at_ms=at(date(2026, 4, 4), 0))
    assert (refused.code, refused.section) == (Code.AGREEMENT_EXPIRED, "V")
    assert refused.reason == (
        "The agreement is over, by notice of city: its last day was 2026-04-03."
    )


@pytest.mark.parametrize(
    ("changes", "defect"),
    [
        ({"last_day": date(2026, 4, 2)}, "the earliest is 2026-04-03 (V)"),
        ({"sent": {Channel.CERTIFIED_MAIL: SENT}}, "it was not sent by facsimile (V)"),
        ({"sent": {Channel.E_MAIL: SENT}}, "it was not sent by certified-mail and facsimile (V)"),
        ({"received_on": None}, "it does not say when it was received (V)"),
        ({"received_on": SENT - timedelta(days=1)}, "it was received before it was sent"),
        # Of two sendings the later must have come before what was received.
        (
            {
                "received_on": SENT,
                "sent": {Channel.CERTIFIED_MAIL: SENT, Channel.FACSIMILE: SENT + timedelta(days=1)},
            },
            "it was received before it was sent",
        ),
        ({"signed_on": SENT}, "names a day after its signature"),
        (
            {"sent": both(date(2001, 1, 1)), "received_on": date(2001, 1, 1)},
            "names a day before 2025-06-01, on which the agreement commenced",
        ),
    ],
)
def test_a_termination_that_the_text_does_not_allow_does_nothing(world, changes, defect):
    agreement = terminated(world, **({"last_day": date(2026, 12, 31)} | changes))
    (told,) = agreement.effects.defects
    assert told.startswith("termination of city (number 1): ")
    assert defect in told
    assert standing(agreement, TEXT_END) is Standing.IN_FORCE
    assert standing(agreement, TEXT_END + timedelta(days=1)) is Standing.EXPIRED


def test_days_from_sending_run_from_the_last_channel(world):
    manifest = world.manifest(counted_from="sending")
    sent = {Channel.CERTIFIED_MAIL: SENT, Channel.FACSIMILE: SENT + timedelta(days=5)}
    early = notice(K.TERMINATION, date(2026, 3, 10), last_day=date(2026, 4, 4), sent=sent)
    agreement = replace(world.agreement(manifest), instruments=(early,))
    assert "the earliest is 2026-04-05" in agreement.effects.defects[0]
    enough = replace(early, details=replace(early.details, last_day=date(2026, 4, 5)))
    agreement = replace(agreement, instruments=(enough,))
    assert standing(agreement, date(2026, 4, 6), 0) is Standing.ENDED


def test_a_text_without_the_table_lets_nobody_end_it_alone(world):
    manifest = replace(world.manifest(), termination=None)
    agreement = terminated(world, last_day=date(2026, 12, 31))
    agreement = Agreement(
        manifest, world.agreement().counterparts, instruments=agreement.instruments
    )
    assert "does not let one party alone end it" in agreement.effects.defects[0]


@pytest.mark.parametrize(
    ("received", "last_day"),
    [
        (date(2028, 5, 1), date(2028, 5, 31)),
        (date(2028, 5, 2), date(2029, 5, 31)),
        (date(2029, 5, 1), date(2029, 5, 31)),
        (date(2025, 7, 1), date(2028, 5, 31)),
    ],
)
def test_non_extension_counts_for_the_first_period_that_it_is_early_enough_for(
    world, received, last_day
):
    """Thirty days before 31 May is 1 May; a day later, the year is added once more."""
    agreement = world.agreement(world.manifest(extension="repeating"))
    sent = {Channel.E_MAIL: received}
    one = notice(K.NON_EXTENSION, received, sent=sent, received_on=received)
    agreement = replace(agreement, instruments=(one,))
    assert agreement.effects.defects == ()
    assert standing(agreement, last_day, 23) is Standing.IN_FORCE
    assert standing(agreement, last_day + timedelta(days=1), 0) is Standing.ENDED


def test_a_notice_after_the_last_extension_does_nothing(world):
    agreement = world.agreement(world.manifest(extension="once"))
    late = date(2029, 5, 2)
    one = notice(K.NON_EXTENSION, late, sent={Channel.E_MAIL: late}, received_on=late)
    agreement = replace(agreement, instruments=(one,))
    assert "before the last period ends" in agreement.effects.defects[0]
    assert standing(agreement, date(2029, 5, 31)) is Standing.IN_FORCE
    without = replace(world.agreement(), instruments=(one,))
    assert "says nothing of preventing an extension" in without.effects.defects[0]


def test_together_they_end_it_on_the_day_that_all_signed(world):
    day = date(2026, 3, 10)
    ours = notice(K.MUTUAL_TERMINATION, day, last_day=day)
    other = notice(K.MUTUAL_TERMINATION, day, party="harbor", last_day=day + timedelta(days=1))
    same = replace(ours, party="harbor")
    agreement = world.agreement()
    for signed in ((ours,), (ours, other)):
        assert standing(replace(agreement, instruments=signed), date(2026, 4, 1)) is (
            Standing.IN_FORCE
        )
    ended = replace(agreement, instruments=(ours, other, same))
    assert standing(ended, day, 23) is Standing.IN_FORCE
    assert standing(ended, date(2026, 3, 11), 0) is Standing.ENDED


def test_a_suspension_holds_at_once_in_both_directions_until_its_party_lifts_it(world):
    day = date(2026, 3, 1)
    stop = notice(K.SUSPENSION, day, reason="an inquiry")
    foreign = notice(K.RESUMPTION, day, party="harbor", number=2, of=1)
    lifted = notice(K.RESUMPTION, date(2026, 3, 5), number=2, of=1)
    agreement = replace(world.agreement(), instruments=(stop, foreign))
    moment = at(day)
    query = world.query(agreement, officer={"not_after_ms": moment + 1})
    assert world.ask(query, world.agreement(), at_ms=moment).allowed
    refused = world.ask(query, agreement, at_ms=moment)
    assert (refused.code, refused.section) == (Code.AGREEMENT_SUSPENDED, "II.A")
    assert refused.reason == (
        "The agreement is not in force between the two: city has suspended it."
    )
    resumed = replace(agreement, instruments=(stop, foreign, lifted))
    at_ms = at(date(2026, 3, 5))
    later = world.query(
        agreement, officer={"issued_at_ms": at_ms - 1, "not_after_ms": at_ms + 3_600_000}
    )
    assert not world.ask(later, resumed, at_ms=at_ms - 1).allowed
    assert world.ask(later, resumed, at_ms=at_ms).allowed
    assert world.ask(later, agreement, at_ms=at_ms).code is Code.AGREEMENT_SUSPENDED


@pytest.mark.parametrize("days", [1, 365, -30])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (K.SUSPENSION, {}),
        (K.SUPERSEDED_BY_LAW, {"citation": "c", "impairs_essential_purpose": True}),
        (K.SUPERSEDED_BY_LAW, {"citation": "c", "purposes": frozenset({"stolen-vehicle"})}),
    ],
)
def test_a_stop_holds_from_when_it_is_held_whatever_its_date_says(world, kind, said, days):
    """A counsel's clock that runs ahead, or behind, puts no stop off."""
    stop = notice(kind, date(2026, 3, 1) + timedelta(days=days), reason="x", **said)
    agreement = replace(world.agreement(), instruments=(stop,))
    assert world.ask(world.query(agreement), agreement).code is Code.AGREEMENT_SUSPENDED
    assert world.ask(world.query(agreement), world.agreement()).allowed
    lift = notice(K.RESUMPTION, date(2026, 2, 1), number=2, of=1)
    agreement = replace(agreement, instruments=(stop, lift))
    assert world.ask(world.query(agreement), agreement).allowed


def test_a_suspension_holds_under_every_agreement_of_the_two(world):
    stop = notice(K.SUSPENSION, date(2026, 1, 1), reason="an inquiry", party="harbor")
    first = replace(world.agreement(), instruments=(stop,))
    second = world.agreement(world.manifest(row_limit=400))
    with_county = world.agreement(world.manifest("city", "county"))
    stopped = with_limits_beside((first, second, with_county))
    for agreement in stopped[:2]:
        assert not world.ask(world.query(agreement), agreement).allowed
    beside = world.query(stopped[2], audience="county")
    assert world.ask(beside, stopped[2], None).allowed
    assert world.ask(world.query(second), second).allowed


def test_what_the_law_suspends_is_gone_and_the_rest_stands(world):
    said = {"citation": "Example Act 2026, section 4", "reason": "in force today"}
    one = notice(
        K.SUPERSEDED_BY_LAW, date(2026, 1, 1), purposes=frozenset({"stolen-vehicle"}), **said
    )
    agreement = replace(world.agreement(), instruments=(one,))
    refused = world.ask(world.query(agreement), agreement)
    assert (refused.code, refused.section) == (Code.AGREEMENT_SUSPENDED, said["citation"])
    assert "stolen-vehicle is suspended" in refused.reason
    assert world.ask(world.query(agreement, purpose="wanted-person"), agreement).allowed
    kinds = replace(
        one, details=replace(one.details, purposes=frozenset(), kinds=frozenset({Kind.HOT_LIST}))
    )
    agreement = replace(agreement, instruments=(kinds,))
    assert world.ask(world.query(agreement), agreement).allowed
    hot_list = world.query(agreement, selector=HotListPlate("7ABC123"))
    assert world.ask(hot_list, agreement).code is Code.AGREEMENT_SUSPENDED
    everything = replace(
        one, details=replace(one.details, purposes=frozenset(), impairs_essential_purpose=True)
    )
    agreement = replace(agreement, instruments=(everything,))
    assert world.ask(world.query(agreement), agreement).code is Code.AGREEMENT_SUSPENDED


@pytest.mark.parametrize(
    ("provision", "read", "hot_list", "exported"),
    [
        (Provision.EXPORT, True, True, False),
        (Provision.ONWARD, True, True, False),
        (Provision.HOT_LISTS, True, False, True),
        (Provision.PURPOSES, False, False, False),
        (Provision.ELIGIBILITY, False, False, False),
        (Provision.FIELDS, False, False, False),
        (Provision.LIMITS, False, False, False),
        (Provision.RETENTION, False, False, False),
    ],
)
def test_what_cant_be_decided_without_a_suspended_provision_is_refused(
    world, provision, read, hot_list, exported
):
    assert {row.value for row in Provision} == {
        "export", "onward", "hot_lists", "purposes", "eligibility", "fields", "limits", "retention",
    }  # fmt: skip
    one = notice(
        K.SUPERSEDED_BY_LAW, date(2026, 1, 1), citation="Example Act 2026, section 4",
        reason="x", provisions=frozenset({provision}),
    )  # fmt: skip
    manifest = world.manifest()
    data = sign_instrument(manifest, one, world.keys["city"])
    assert verify_instrument(data, manifest, world.agencies["city"], 1, "city-1.json") == one
    agreement = replace(world.agreement(), instruments=(one,))
    for query, allowed in (
        (world.query(agreement), read),
        (world.query(agreement, selector=HotListPlate("7ABC123")), hot_list),
        (world.query(agreement, export=True), exported),
    ):
        assert world.ask(query, world.agreement()).allowed
        decision = world.ask(query, agreement)
        assert decision.allowed is allowed
        if not allowed:
            assert decision.code is Code.AGREEMENT_SUSPENDED
            assert provision.value in decision.reason
    lift = notice(K.RESUMPTION, date(2026, 2, 1), number=2, of=1)
    agreement = replace(agreement, instruments=(one, lift))
    assert world.ask(world.query(agreement, export=True), agreement).allowed


def prohibiting(world, *parties: str, **options: object) -> Agreement:
    text = world.text(*parties, purposes=["wanted-person"], **options)
    text = text.replace(
        b'allowed = ["wanted-person"]',
        b'allowed = ["wanted-person"]\nprohibited = ["stolen-vehicle"]',
    )
    return world.agreement(parse_manifest(text, "x"))


def test_what_one_agreement_prohibits_no_other_of_the_two_allows_while_it_runs(world):
    ours, strict = world.agreement(), prohibiting(world)
    held, _ = with_limits_beside((ours, strict))
    refused = world.ask(world.query(held), held)
    assert (refused.code, refused.section) == (Code.PURPOSE_NOT_AGREED, "II.A")
    words = "prohibited between the two: the agreement city-harbor prohibits it"
    assert refused.reason == f"stolen-vehicle is {words}."
    assert [one.span for one in timeline(held, NOW_MS).stretches][-1] is Span.PROHIBITED
    assert world.ask(world.query(held, purpose="wanted-person"), held).allowed
    others = prohibiting(world, "city", "county")
    ended = prohibiting(world, length_years=1)
    unsigned = replace(strict, counterparts=strict.counterparts[:1])
    replaced = replace(strict, replaced_ms=at(date(2026, 1, 1)))
    for free in (others, unsigned, replaced):
        held, _ = with_limits_beside((ours, free))
        assert world.ask(world.query(held), held).allowed
    held, _ = with_limits_beside((ours, ended))
    assert allowed(world, held, date(2026, 6, 2))
    assert not allowed(world, held, date(2026, 5, 31))


def test_a_dispute_alone_changes_nothing(world):
    agreement = replace(
        world.agreement(), instruments=(notice(K.DISPUTE, date(2026, 1, 1), reason="a count"),)
    )
    assert world.ask(world.query(agreement), agreement).allowed


# The file.


def test_a_signed_instrument_is_read_back_as_it_was(world):
    manifest = world.manifest()
    one = terminated(world, last_day=date(2026, 4, 3)).instruments[0]
    data = sign_instrument(manifest, one, world.keys["city"])
    assert verify_instrument(data, manifest, world.agencies["city"], 1, "city-1.json") == one


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (notice(K.TERMINATION, SENT, last_day=SENT), "lacks sent"),
        (notice(K.SUSPENSION, SENT), "lacks reason"),
        (notice(K.SUSPENSION, SENT, reason="x", last_day=SENT), "has no last_day"),
        (notice(K.RESUMPTION, SENT, of=1), "not before it"),
        (notice(K.SUPERSEDED_BY_LAW, SENT, citation="x", reason="y"), "what the law suspends"),
        (notice(K.SUSPENSION, SENT, reason="two\nlines"), "not plain"),
        (notice(K.MUTUAL_TERMINATION, SENT, last_day=date(9999, 12, 31)), "a date"),
        (notice(K.SUSPENSION, date(2201, 1, 1), reason="x"), "signed_at"),
        (notice(K.SUSPENSION, SENT, reason="x", party="county"), "not a party"),
    ],
)
def test_what_no_instrument_can_say_is_not_signed(world, one, words):
    with pytest.raises(InputError, match=words):
        sign_instrument(world.manifest(), one, world.keys["city"])


def test_only_its_own_counsel_its_own_text_and_its_own_number_count(world):
    manifest = world.manifest()
    one = notice(K.SUSPENSION, SENT, reason="x")
    city = world.agencies["city"]
    data = sign_instrument(manifest, one, world.keys["city"])
    with pytest.raises(Unverified):
        verify_instrument(
            sign_instrument(manifest, one, world.keys["harbor"]), manifest, city, 1, "file"
        )
    with pytest.raises(InputError, match="another text"):
        verify_instrument(data, world.manifest(row_limit=9), city, 1, "file")
    with pytest.raises(InputError, match="than its file's name says"):
        verify_instrument(data, manifest, city, 2, "file")
    with pytest.raises((InputError, Unverified)):
        verify_instrument(data, manifest, world.agencies["harbor"], 1, "file")


# Properties.

moments = st.integers(0, 1500).map(lambda n: date(2025, 6, 2) + timedelta(days=n))
details = st.builds(
    Details,
    last_day=st.none() | moments,
    sent=st.dictionaries(st.sampled_from(Channel), moments, max_size=3),
    received_on=st.none() | moments,
    reason=st.just("x"),
    of=st.integers(0, 3),
    citation=st.just("c"),
    decided_by=st.just("w"),
    until=st.none() | moments,
    purposes=st.frozensets(st.sampled_from(["stolen-vehicle", "wanted-person"])),
    kinds=st.frozensets(st.sampled_from(Kind)),
    provisions=st.frozensets(st.sampled_from(Provision), max_size=1),
    all=st.booleans(),
    impairs_essential_purpose=st.booleans(),
    outcome=st.none() | st.sampled_from(ReviewOutcome),
)
LIFTING = {K.RESUMPTION, K.REVIEW}
narrowing = [kind for kind in K if kind not in LIFTING]


def any_of(kinds):
    return st.builds(
        lambda kind, day, party, number, said: Instrument(
            party, number, kind, "n", "c", at(day), said
        ),
        st.sampled_from(kinds),
        moments,
        st.sampled_from(["city", "harbor"]),
        st.integers(1, 4),
        details,
    )


def allowed(world, agreement, day: date) -> bool:
    at_ms = at(day)
    officer = {
        "issued_at_ms": at_ms - 1,
        "not_after_ms": at_ms + 3_600_000,
        "trained_on": (day - timedelta(days=1)).isoformat(),
    }
    query = world.query(agreement, officer=officer)
    window = replace(query.window, from_ms=at_ms - 1000, to_ms=at_ms)
    return world.ask(replace(query, window=window), agreement, at_ms=at_ms).allowed


@few_and_many(
    given(
        held=st.lists(any_of(list(K)), max_size=4),
        more=st.lists(any_of(narrowing), min_size=1, max_size=3),
        day=moments,
        extension=st.sampled_from(["none", "once", "repeating"]),
    ),
    50,
    300,
)
def test_more_instruments_never_allow_more(world, held, more, day, extension):
    """But for a resumption and a review; and the order of the files decides nothing."""
    agreement = world.agreement(world.manifest(extension=extension))
    # What comes later bears the next numbers of its party.
    more = [replace(it, number=5 + n) for n, it in enumerate(more)]
    one = replace(agreement, instruments=tuple(held))
    if not allowed(world, agreement, day):
        assert not allowed(world, one, day)
    if not allowed(world, one, day):
        assert not allowed(world, replace(agreement, instruments=(*held, *more)), day)
        assert not allowed(world, replace(agreement, instruments=(*more, *reversed(held))), day)
    assert (
        one.term.expires_ms is None
        or one.text_term.expires_ms is None
        or (one.term.expires_ms <= one.text_term.expires_ms)
    )
