"""Who is bound when: joining, leaving, and the choice of partners."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import permutations

import pytest

from accord.agreements.calendar import events
from accord.agreements.chain import in_chains
from accord.agreements.differences import differences
from accord.agreements.effective import Agreement, Standing, effective
from accord.agreements.instruments import Details, Instrument, InstrumentKind
from accord.agreements.manifest_file import Channel
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.partners import has_opted_in
from accord.agreements.words import clauses
from accord.clock import to_ms
from accord.errors import Code, InputError
from tests.unit.accord.agreements.conftest import NOW_MS

K = InstrumentKind
JOINDER = '[joinder]\nsection = "V"\nadmitted_by = "every-party"\n'
LEAVING = (
    '[withdrawal]\nsection = "IV"\nnotice_days = 10\nchannels = ["any-writing"]\n'
    'counted_from = "sending"\n'
)
OPT_IN = 'direction = "both"\npartners = "opt-in"\nopt_in = "{}"'
BOTH = ("city", "harbor")


def reworded(world, *, tables: str = JOINDER, opt_in: str = "", parties=BOTH, **options):
    text = world.text(*parties, **options).decode()
    if opt_in:
        text = text.replace('direction = "both"', OPT_IN.format(opt_in))
    return parse_manifest((text + tables).encode(), "x")


def at(day: date, hour: int = 12) -> int:
    return to_ms(datetime(day.year, day.month, day.day, hour, tzinfo=UTC))


def one(kind: K, day: date, party: str = "city", number: int = 1, **said: object) -> Instrument:
    return Instrument(party, number, kind, "Jane Roe", "Counsel", at(day), Details(**said))


JAN = date(2026, 1, 5)


def admits(world, party: str, day: date = JAN, root: str = "", **said: object) -> Instrument:
    joiner = said.pop("joiner", "county")
    agency = world.agencies[joiner]
    return one(
        K.ADMISSION, day, party, joiner=joiner, joiner_name=agency.name,
        joiner_root=root or agency.root, joiner_contact=agency.contact,
        joiner_kind=agency.kind, joiner_state=agency.state, **said,
    )  # fmt: skip


def accedes(day: date = JAN, party: str = "county", **said: object) -> Instrument:
    return one(K.ACCESSION, day, party, **said)


def leaves(last_day: date, sent: date, party: str = "county", number: int = 2) -> Instrument:
    return one(K.WITHDRAWAL, sent, party, number, last_day=last_day, sent={Channel.E_MAIL: sent})


def asks(world, agreement: Agreement, day: date, requester="county", owner="harbor"):
    at_ms = at(day)
    officer = {
        "agency": requester, "issued_at_ms": at_ms - 1, "not_after_ms": at_ms + 3_600_000,
        "trained_on": (day - timedelta(days=9)).isoformat(),
    }  # fmt: skip
    query = world.query(agreement, officer=officer, requesting_agency=requester, audience=owner)
    query = replace(query, window=replace(query.window, from_ms=at_ms - 1000, to_ms=at_ms))
    return world.ask(query, agreement, None, at_ms=at_ms)


def test_a_joiner_asks_from_the_last_admission_on_and_is_asked(world):
    agreement = world.agreement(reworded(world))
    held = (admits(world, "city"), admits(world, "harbor", JAN + timedelta(days=3)), accedes())
    joined = replace(agreement, instruments=held)
    for order in permutations(held):
        again = replace(agreement, instruments=order)
        assert again.membership.find("county") == joined.membership.find("county")
    before, since = JAN + timedelta(days=2), JAN + timedelta(days=3)
    for pair in (("county", "harbor"), ("city", "county")):
        refused = asks(world, joined, before, *pair)
        assert (refused.code, refused.section) == (Code.AGREEMENT_NOT_COMMENCED, "V")
        assert "county joins the agreement on 2026-01-08" in refused.reason
        assert refused.contact == world.agencies["county"].contact
        assert asks(world, joined, since, *pair).allowed
    assert asks(world, joined, before, "city", "harbor").allowed
    later = replace(agreement, instruments=(*held[:2], accedes(effective_on=date(2026, 2, 1))))
    assert not asks(world, later, date(2026, 1, 31)).allowed
    assert asks(world, later, date(2026, 2, 1)).allowed


def test_a_refusal_names_whom_of_a_joiner_to_talk_to(world):
    """Its contact is the one that the admission names; of a party, the text's."""
    held = [admits(world, party) for party in BOTH]
    held = [replace(h, details=replace(h.details, joiner_contact="desk of county")) for h in held]
    agreement = replace(world.agreement(reworded(world)), instruments=(*held, accedes()))
    day, contacts = date(2026, 3, 1), set()
    for requester, owner in (("city", "county"), ("county", "harbor")):
        at_ms = at(day)
        officer = {"agency": requester, "issued_at_ms": at_ms - 1, "not_after_ms": at_ms + 1}
        officer["trained_on"] = "2026-02-01"
        query = world.query(agreement, officer=officer, requesting_agency=requester, audience=owner)
        query = replace(query, window=replace(query.window, from_ms=at_ms - 1, to_ms=at_ms))
        assert world.ask(query, agreement, None, at_ms=at_ms).allowed
        for change, whose in (
            ({"case_number": ""}, requester),
            ({"row_limit": 1001}, owner),
            ({"purpose": "hit-and-run"}, owner),
        ):
            refused = world.ask(replace(query, **change), agreement, None, at_ms=at_ms)
            assert not refused.allowed
            contacts.add((whose, refused.contact))
        lapsed = replace(query, credential=replace(query.credential, trained_on="2020-01-01"))
        refused = world.ask(lapsed, agreement, None, at_ms=at_ms)
        assert refused.code is Code.TRAINING_LAPSED
        contacts.add((requester, refused.contact))
    city, harbor = (agreement.manifest.party(party).contact for party in BOTH)
    assert contacts == {("city", city), ("harbor", harbor), ("county", "desk of county")}


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (lambda w: (admits(w, "city"), accedes()), "not admitted by harbor"),
        (lambda w: (admits(w, "city"), admits(w, "harbor")), ""),
        (lambda w: (accedes(),), "not admitted by city, harbor"),
        (lambda w: (admits(w, "city"), admits(w, "harbor", root="0" * 64), accedes()),
         "different root keys"),
        (lambda w: (admits(w, "city"), admits(w, "county"), accedes()), "not admitted by harbor"),
    ],
    ids=["one admits", "not acceded", "nobody admits", "two roots", "it admits itself"],
)  # fmt: skip
def test_without_every_admission_of_one_root_and_its_own_accession_nobody_joins(world, held, words):
    agreement = replace(world.agreement(reworded(world)), instruments=held(world))
    assert asks(world, agreement, date(2026, 3, 1)).code is Code.NO_AGREEMENT
    assert any(words in defect for defect in agreement.effects.defects) is bool(words)
    assert asks(world, agreement, date(2026, 3, 1), "city", "harbor").allowed


def test_who_has_withdrawn_comes_back_by_a_revision_alone(world):
    text = reworded(world, tables=LEAVING + JOINDER)
    held = [admits(world, party) for party in BOTH] + [accedes()]
    held.append(leaves(date(2026, 2, 20), date(2026, 2, 1)))
    again = [
        replace(one, number=2, signed_at_ms=at(date(2026, 2, 10)))
        for one in (*(admits(world, party) for party in BOTH),)
    ]
    back = replace(accedes(date(2026, 2, 10)), number=3)
    agreement = replace(world.agreement(text), instruments=(*held, *again, back))
    assert asks(world, agreement, date(2026, 2, 19)).allowed
    assert asks(world, agreement, date(2026, 3, 1)).code is Code.AGREEMENT_EXPIRED
    assert agreement.effects.defects == (
        "accession of county (number 3): it has withdrawn: "
        "sign a revision that names county as a party instead",
    )
    twice = replace(agreement, instruments=(*held[:3], replace(accedes(), number=2)))
    assert "it is a member already" in twice.effects.defects[0]
    revised = world.agreement(reworded(world, parties=("city", "county", "harbor")))
    later = replace(revised.manifest, revision=2, replaces=text.digest)
    revised = replace(revised, manifest=later)
    chains = in_chains({text.digest: agreement, later.digest: revised}, {}, frozenset())
    assert (len(chains.standing), chains.problems) == (2, ())
    assert asks(world, revised, date(2026, 3, 1)).allowed


def test_a_lead_agency_alone_admits_where_the_text_says_so(world):
    text = reworded(world, tables=JOINDER.replace("every-party", "city"))
    agreement = world.agreement(text)
    by_city = replace(agreement, instruments=(admits(world, "city"), accedes()))
    by_harbor = replace(agreement, instruments=(admits(world, "harbor"), accedes()))
    assert asks(world, by_city, date(2026, 3, 1)).allowed
    assert not asks(world, by_harbor, date(2026, 3, 1)).allowed


def test_a_text_without_the_table_lets_nobody_join(world):
    agreement = world.agreement(reworded(world, tables=""))
    held = (admits(world, "city"), admits(world, "harbor"), accedes())
    agreement = replace(agreement, instruments=held)
    assert asks(world, agreement, date(2026, 3, 1)).code is Code.NO_AGREEMENT


def joined(world, *more: Instrument, **options: object) -> Agreement:
    held = (admits(world, "city"), admits(world, "harbor"), accedes(), *more)
    return replace(world.agreement(reworded(world, **options)), instruments=held)


def test_after_a_member_has_left_the_rest_goes_on(world):
    left = leaves(date(2026, 2, 20), date(2026, 2, 1))
    agreement = joined(world, left, tables=JOINDER + LEAVING)
    assert asks(world, agreement, date(2026, 2, 20)).allowed
    for pair in (("county", "harbor"), ("city", "county")):
        refused = asks(world, agreement, date(2026, 2, 21), *pair)
        assert (refused.code, refused.section) == (Code.AGREEMENT_EXPIRED, "IV")
        assert "county has left the agreement: its last day in it was 2026-02-20" in refused.reason
    assert asks(world, agreement, date(2026, 2, 21), "city", "harbor").allowed
    short = joined(world, leaves(date(2026, 2, 5), date(2026, 2, 1)), tables=JOINDER + LEAVING)
    assert asks(world, short, date(2026, 2, 21)).allowed
    assert "less than 10 days" in short.effects.defects[0]
    # Without the table [termination] serves: two channels, thirty days from receipt.
    assert "it was not sent by" in joined(world, left).effects.defects[0]


def test_of_several_withdrawals_the_first_day_counts_however_they_were_signed(world):
    early = leaves(date(2026, 2, 20), date(2026, 2, 1))
    late = leaves(date(2026, 4, 20), date(2026, 1, 20), number=3)
    for order in ((early, late), (late, early)):
        agreement = joined(world, *order, tables=JOINDER + LEAVING)
        assert asks(world, agreement, date(2026, 2, 20)).allowed
        assert not asks(world, agreement, date(2026, 2, 21)).allowed


def test_a_withdrawal_signed_before_the_last_admission_counts_and_a_strangers_is_told(world):
    left = leaves(date(2026, 2, 20), date(2026, 1, 10))
    held = (
        admits(world, "city"), admits(world, "harbor", date(2026, 1, 20)), accedes(), left,
    )  # fmt: skip
    agreement = replace(
        world.agreement(reworded(world, tables=JOINDER + LEAVING)), instruments=held
    )
    assert asks(world, agreement, date(2026, 1, 21)).allowed
    assert not asks(world, agreement, date(2026, 2, 21)).allowed
    alone = replace(agreement, instruments=(left,))
    assert alone.effects.defects == ("withdrawal of county (number 2): it is no member",)
    none = reworded(world, tables=JOINDER)
    nobody = replace(world.agreement(replace(none, termination=None)), instruments=(left,))
    assert "does not let one party leave it" in nobody.effects.defects[0]


def test_an_admission_counts_from_whoever_was_a_member_when_it_signed_alone(world):
    """Neither does one that has left block a joiner, nor serves what was signed before joining."""
    left = leaves(date(2026, 2, 20), date(2026, 2, 1), "harbor", 2)
    third = (admits(world, "city"), admits(world, "harbor"), accedes(JAN + timedelta(days=15)))
    text = reworded(world, tables=JOINDER + LEAVING)
    late = date(2026, 3, 1)
    ports = (
        admits(world, "city", late, joiner="ports"), admits(world, "county", late, joiner="ports"),
        accedes(late, "ports"),
    )  # fmt: skip
    spoilt = admits(world, "harbor", late, "0" * 64, joiner="ports")
    agreement = replace(world.agreement(text), instruments=(*third, left, *ports, spoilt))
    assert agreement.membership.at("ports", at(late))
    still = replace(agreement, instruments=(*third, *ports, spoilt))
    assert still.membership.find("ports") is None
    early = admits(world, "county", JAN + timedelta(days=1), joiner="ports")
    agreement = replace(
        world.agreement(text), instruments=(*third, left, ports[0], early, ports[2])
    )
    assert agreement.membership.find("ports") is None


def test_of_two_the_one_that_leaves_ends_it(world):
    agreement = world.agreement(reworded(world, tables=LEAVING))
    left = leaves(date(2026, 2, 20), date(2026, 2, 1), "harbor", 1)
    agreement = replace(agreement, instruments=(left,))
    assert agreement.standing_at(at(date(2026, 2, 22))) is Standing.ENDED
    assert "by withdrawal of harbor" in agreement.ended.words
    three = joined(world, replace(left, number=9), tables=JOINDER + LEAVING)
    assert three.standing_at(at(date(2026, 2, 22))) is Standing.IN_FORCE
    assert asks(world, three, date(2026, 2, 22), "county", "city").allowed


def test_who_is_no_member_binds_nobody_but_itself(world):
    law = one(
        K.SUPERSEDED_BY_LAW, JAN, "county", 2, citation="x", reason="x",
        impairs_essential_purpose=True,
    )  # fmt: skip
    before = replace(
        world.agreement(reworded(world)), instruments=(admits(world, "city"), accedes(), law)
    )
    assert asks(world, before, date(2026, 3, 1), "city", "harbor").allowed
    after = joined(world, replace(law, signed_at_ms=at(date(2026, 2, 1))))
    assert asks(world, after, date(2026, 3, 1), "city", "harbor").code is Code.AGREEMENT_SUSPENDED


def test_who_has_left_admits_nobody_any_more(world):
    """Neither as one of every party, nor as the lead that the text names."""
    for by in ("every-party", "city"):
        tables = JOINDER.replace("every-party", by) + LEAVING
        left = leaves(date(2026, 2, 20), date(2026, 2, 1), "city", 1)
        third = (admits(world, "city"), admits(world, "harbor"), accedes())
        agreement = world.agreement(reworded(world, tables=tables, parties=("city", "harbor")))
        late, day = date(2026, 9, 1), date(2026, 10, 1)
        ports = accedes(late, "ports")
        held = (*third, left, admits(world, "city", late, joiner="ports"), ports)
        after = replace(agreement, instruments=held)
        assert asks(world, after, day, "county", "harbor").allowed
        assert not asks(world, after, day, "ports", "harbor").allowed
        assert after.membership.find("ports") is None
        # What it admitted while it was a member counts as long as it is one.
        early = admits(world, "city", date(2026, 2, 10), joiner="ports")
        others = [
            admits(world, party, date(2026, 2, 10), joiner="ports")
            for party in ("harbor", "county")
        ]
        before = replace(agreement, instruments=(*third, left, early, *others, ports))
        if by == "city":
            assert before.membership.find("ports") is None
            (told,) = before.effects.defects
            assert "no member that may admit it is left (V)" in told
        else:
            assert before.membership.at("ports", at(day))
        soon = replace(ports, signed_at_ms=at(date(2026, 2, 15)))
        agreement = replace(agreement, instruments=(*third, left, early, *others, soon))
        assert agreement.membership.at("ports", at(day))


@pytest.mark.parametrize("days", [0, 15, 400])
def test_no_date_of_its_own_lets_a_joiner_pass_a_member_by_or_expels_one(world, days):
    """Who must admit it are the members of the day on which it joins, not of its accession."""
    third = (admits(world, "city"), admits(world, "harbor"), accedes(JAN + timedelta(days=1)))
    day = JAN + timedelta(days=10)
    ports = (
        admits(world, "city", day, joiner="ports"), admits(world, "harbor", day, joiner="ports"),
        accedes(day + timedelta(days=1) - timedelta(days=days), "ports"),
    )  # fmt: skip
    agreement = replace(world.agreement(reworded(world)), instruments=(*third, *ports))
    assert agreement.membership.find("ports") is None
    assert any("not admitted by county" in told for told in agreement.effects.defects)
    assert asks(world, agreement, date(2026, 3, 1)).allowed
    by_county = admits(world, "county", day + timedelta(days=3), joiner="ports")
    agreement = replace(agreement, instruments=(*third, *ports, by_county))
    assert agreement.membership.find("ports").from_ms == by_county.signed_at_ms
    assert asks(world, agreement, date(2026, 3, 1)).allowed


@pytest.mark.parametrize(
    ("rule", "held", "allowed"),
    [
        ("owner", [("harbor", "city", K.OPT_IN)], True),
        ("owner", [("city", "harbor", K.OPT_IN)], False),
        ("owner", [("harbor", "county", K.OPT_IN)], False),
        ("owner", [], False),
        ("both", [("harbor", "city", K.OPT_IN)], False),
        ("both", [("harbor", "city", K.OPT_IN), ("city", "harbor", K.OPT_IN)], True),
        ("owner", [("harbor", "city", K.OPT_IN), ("harbor", "city", K.OPT_OUT)], False),
        ("owner", [("harbor", "city", K.OPT_OUT), ("harbor", "city", K.OPT_IN)], True),
    ],
)
def test_each_picks_its_partners(world, rule, held, allowed):
    made = tuple(
        one(kind, JAN + timedelta(days=n), party, n, partner=partner)
        for n, (party, partner, kind) in enumerate(held, 1)
    )
    agreement = replace(world.agreement(reworded(world, opt_in=rule)), instruments=made)
    for order in (made, made[::-1]):
        agreement = replace(agreement, instruments=order)
        decision = asks(world, agreement, date(2026, 3, 1), "city", "harbor")
        assert decision.allowed is allowed
        if not allowed:
            assert (decision.code, decision.section) == (Code.DIRECTION_NOT_AGREED, "II.A")
            assert "has not opted in to" in decision.reason
    assert not asks(world, agreement, JAN - timedelta(days=1), "city", "harbor").allowed


@pytest.mark.parametrize("day", [JAN - timedelta(days=1), JAN, JAN + timedelta(days=1)])
def test_the_last_choice_by_number_counts_whatever_the_dates_say(world, day):
    picked = one(K.OPT_IN, JAN, "harbor", 1, partner="city")
    back = one(K.OPT_OUT, day, "harbor", 2, partner="city")
    agreement = world.agreement(reworded(world, opt_in="owner"))
    opted = replace(agreement, instruments=(picked,))
    assert asks(world, opted, date(2026, 3, 1), "city", "harbor").allowed
    for held in ((picked, back), (back, picked)):
        taken = replace(agreement, instruments=held)
        assert not asks(world, taken, date(2026, 3, 1), "city", "harbor").allowed
    again = replace(agreement, instruments=(picked, back, replace(picked, number=3)))
    assert asks(world, again, date(2026, 3, 1), "city", "harbor").allowed


def test_whether_the_choice_is_mutual_must_be_decided(world):
    undecided = reworded(world, opt_in="undecided")
    assert [question.key for question in undecided.undecided] == ["scope.opt_in"]
    with pytest.raises(InputError, match="is undecided, so nobody can sign"):
        world.agreement(undecided)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('direction = "both"', 'direction = "both"\npartners = "opt-in"', "who must have picked"),
        ('direction = "both"', 'direction = "both"\nopt_in = "owner"', "every other's partner"),
        ('admitted_by = "every-party"', 'admitted_by = "county"', "every-party or a party"),
        ('admitted_by = "every-party"', 'admitted_by = "city"\nstates = ["ca"]', "capital letters"),
        ('admitted_by = "every-party"', 'admitted_by = "city"\nkinds = ["hub"]', "kind of agency"),
        ('direction = "both"', 'direction = "one-way"\nowner = "city"\nrequester = "harbor"',
         "joinder is given although the scope is one-way"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_told(world, old, new, words):
    text = world.text().decode() + JOINDER
    assert old in text
    with pytest.raises(InputError) as caught:
        parse_manifest(text.replace(old, new).encode(), "x")
    assert words in str(caught.value)


def test_nobody_that_has_joined_is_amended_away_and_who_has_left_may_be(world):
    old = joined(world)
    two = reworded(world, tables="", revision=2, replaces=old.manifest.digest)
    new = world.agreement(two)
    new = replace(
        new, counterparts=tuple(replace(c, signed_at_ms=NOW_MS) for c in new.counterparts)
    )
    held = {old.manifest.digest: old, new.manifest.digest: new}
    chains = in_chains(held, {}, frozenset())
    assert (chains.standing, "lacks county" in chains.problems[0]) == ((old,), True)
    left = joined(world, leaves(date(2026, 2, 20), date(2026, 2, 1)), tables=JOINDER + LEAVING)
    two = reworded(world, tables="", revision=2, replaces=left.manifest.digest)
    after = replace(new, manifest=two)
    held = {left.manifest.digest: left, two.digest: after}
    chains = in_chains(held, {}, frozenset())
    assert (chains.standing, chains.problems) == ((left, after), ())


def test_words_differences_and_days(world):
    plain, joinable = reworded(world, tables=""), reworded(world, tables=JOINDER + LEAVING)
    said = {clause.name: clause.text for clause in clauses(joinable)}
    assert "every member admits it by its root key" in said["Joining"]
    assert "the rest goes on" in said["Leaving"]
    changes = " ".join(change.text for change in differences(plain, joinable))
    assert "Before: Nobody may join." in changes
    assert "a party leaves by a notice of 10 days" in changes
    picks = reworded(world, tables="", opt_in="both")
    assert "Each picks its partners" in {c.name: c.text for c in clauses(picks)}["Scope"]
    assert "opted in to whom: both; before: none" in differences(plain, picks)[0].text
    left = joined(world, leaves(date(2026, 2, 20), date(2026, 2, 1)), tables=JOINDER + LEAVING)
    days = {(str(event.day), event.text) for event in events(left, at(JAN))}
    assert ("2026-01-05", "county is a member") in days
    assert ("2026-02-20", "the last day of county as a member") in days


def test_what_a_member_holds_suspended_stands_after_it_left_and_what_it_signs_then_does_not(world):
    law = one(
        K.SUPERSEDED_BY_LAW, JAN + timedelta(days=9), "county", 2, citation="x", reason="x",
        impairs_essential_purpose=True,
    )  # fmt: skip
    left = leaves(date(2026, 2, 20), date(2026, 2, 1), number=3)
    for number, after in ((2, False), (4, True)):
        for days in (0, 900):
            dated = replace(law, number=number, signed_at_ms=law.signed_at_ms + days * 86_400_000)
            twice = replace(left, number=9)
            agreement = joined(world, left, twice, dated, tables=JOINDER + LEAVING)
            assert not asks(world, agreement, date(2026, 2, 10), "city", "harbor").allowed
            assert asks(world, agreement, date(2026, 3, 1), "city", "harbor").allowed is after


def test_a_pair_is_ordered_and_of_two(world):
    agreement = joined(world)
    assert effective(agreement, "county", "county", NOW_MS).standing is Standing.NOT_A_PARTY
    assert effective(agreement, "hub", "county", NOW_MS).standing is Standing.NOT_A_PARTY


@pytest.mark.parametrize("at_ms", [4, 5, 6])
def test_of_two_choices_the_later_number_counts_at_whatever_moment(at_ms):
    def made(kind, number, at_ms):
        return Instrument("harbor", number, kind, "n", "c", at_ms, Details(partner="city"))

    taken_back = [made(InstrumentKind.OPT_IN, 1, 5), made(InstrumentKind.OPT_OUT, 2, at_ms)]
    assert not has_opted_in(taken_back, "harbor", "city", 9)
    picked = [made(InstrumentKind.OPT_OUT, 1, at_ms), made(InstrumentKind.OPT_IN, 2, 5)]
    assert has_opted_in(picked, "harbor", "city", 9)
