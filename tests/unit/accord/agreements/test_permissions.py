"""Who may ask whom now, and what changed since: by the decision itself."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.agreements.chain import with_replacements
from accord.agreements.effects import Flaw
from accord.agreements.instruments import Details, Instrument, InstrumentKind
from accord.agreements.law.packs import built_in_law
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.permission_changes import shifts
from accord.agreements.permissions import permissions
from accord.agreements.policy import parse_policy
from accord.agreements.stand_ins import STAND_INS, stand_in
from accord.agreements.widths import Effect
from accord.errors import Code
from accord.model import Kind, Purpose
from tests.examples import few_and_many
from tests.unit.accord.agreements.conftest import DAY_MS, NOW_MS, POLICY

ASKED = ("stolen-vehicle", "wanted-person", "amber-alert")


def policy(narrowing: str = "", **changes: str):
    text = POLICY.format(narrowing=narrowing)
    for old, new in changes.items():
        text = text.replace(old, new)
    return parse_policy(text.encode(), "policy.toml")


def found(world, *agreements, narrowing="", at_ms=NOW_MS, known=True, policy_id="version 1"):
    return permissions(
        "harbor",
        {name: world.agencies[name] for name in ("city", "harbor", "county", "hub")},
        agreements,
        policy(narrowing) if known else None,
        at_ms,
        law=built_in_law(),
        policy_id=policy_id,
    )


def of(found, name):
    grants = [one for one in found.grants if one.requester == name]
    return grants, [one for one in found.denials if one.requester == name]


def instrument(kind=InstrumentKind.SUSPENSION, number=1, **details):
    return Instrument("city", number, kind, "Jane Roe", "Counsel", NOW_MS - 1, Details(**details))


def test_what_is_told_is_agreement_and_policy_together(world):
    narrowing = 'purposes = ["stolen-vehicle", "wanted-person"]\nlook_back_days = 90\ntime = "hour"'
    grants, denials = of(found(world, world.agreement(), narrowing=narrowing), "city")
    reads, hot_list = grants
    assert (reads.kind, reads.agreement, reads.section) == (Kind.READS, "city-harbor", "II.A")
    assert reads.purposes == ("stolen-vehicle", "wanted-person")
    assert (reads.look_back_days, reads.rows, reads.keep_days) == (90, 500, 60)
    assert reads.redaction.time_step_ms == 3_600_000
    ways = ("plate", "partial", "lookalike", "area", "circle", "polygon", "photo")
    assert reads.searches == ways
    assert hot_list.kind is Kind.HOT_LIST
    taken = {(one.kind, one.purposes, one.code, one.detail) for one in denials}
    left = ("amber-alert", "criminal-investigation", "public-safety-threat")
    assert taken == {
        (kind, left, Code.LOCAL_POLICY, "purposes") for kind in (Kind.READS, Kind.HOT_LIST)
    }


@pytest.mark.parametrize("where", ["place", "photo"])
def test_a_way_of_searching_that_the_policy_takes_away_is_not_told(world, where):
    grants, denials = of(found(world, world.agreement(), narrowing=f'{where} = "none"'), "city")
    ways = {"place": {"area", "circle", "polygon"}, "photo": {"photo"}}[where]
    assert ways.isdisjoint(grants[0].searches)
    assert len(grants[0].searches) == 7 - len(ways)
    assert denials == []


def test_those_who_may_not_are_told_why(world):
    county = world.agreement(world.manifest("county", "harbor"))
    looked = found(world, world.agreement(), county)
    grants, (denial,) = of(looked, "county")
    assert grants == []
    assert (denial.code, denial.agreement) == (Code.LOCAL_POLICY, "city-harbor")
    assert denial.detail == "the requester is not listed as a partner"
    (hub,) = of(looked, "hub")[1]
    assert (hub.code, hub.agreement) == (Code.LAW_FORBIDS, "")
    assert of(found(world), "city")[1][0].code is Code.NO_AGREEMENT


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"counterparts": ()}, Code.AGREEMENT_NOT_EXECUTED, "the counterpart of city, harbor"),
        ({"instruments": (instrument(),)}, Code.AGREEMENT_SUSPENDED, "city has suspended it"),
        ({"flaws": (Flaw("one is missing"),)}, Code.AGREEMENT_SUSPENDED, "one is missing"),
    ],
)
def test_an_agreement_out_of_force_is_one_line(world, change, code, words):
    grants, (denial,) = of(found(world, replace(world.agreement(), **change)), "city")
    assert grants == []
    assert (denial.code, denial.purposes) == (code, ())
    assert words in denial.reason


def test_own_officers_ask_under_the_policy_alone(world):
    (reads, hot_list, hits), denials = of(found(world), "harbor")
    assert (reads.agreement, reads.purposes) == ("", ("hit-and-run", "stolen-vehicle"))
    assert (reads.look_back_days, hot_list.rows) == (700, 1000)
    assert (hits.kind, hits.searches) == (Kind.HITS, ("hits", "hits-area"))
    assert denials == []


def test_without_a_policy_nobody_may_ask(world):
    looked = found(world, world.agreement(), known=False)
    assert looked.grants == ()
    assert {one.code for one in looked.denials} == {Code.LOCAL_POLICY}
    assert {one.requester for one in looked.denials} == {"city", "county", "harbor", "hub"}


@few_and_many(given(
    purposes=st.sets(st.sampled_from(ASKED), min_size=1),
    days=st.integers(1, 800),
    place=st.sampled_from(["exact", "500 m", "none"]),
    photo=st.sampled_from(["shared", "none"]),
    suspended=st.booleans(),
), 10, 40)  # fmt: skip
def test_what_is_told_is_what_is_decided(world, purposes, days, place, photo, suspended):
    agreement = world.agreement()
    if suspended:
        law = InstrumentKind.SUPERSEDED_BY_LAW
        taken = instrument(law, purposes=frozenset({"stolen-vehicle"}), citation="x", reason="x")
        agreement = replace(agreement, instruments=(taken,))
    narrowing = f"purposes = {sorted(purposes)}\nlook_back_days = {days}\n".replace("'", '"')
    narrowing += f'place = "{place}"\nphoto = "{photo}"'
    grants, _ = of(found(world, agreement, narrowing=narrowing), "city")
    told = {(purpose, what) for one in grants for purpose in one.purposes for what in one.searches}
    for purpose in Purpose:
        for what in STAND_INS:
            zone = agreement.manifest.zone
            query = stand_in(
                "city", "harbor", purpose, what, NOW_MS, zone=zone, agreement=agreement
            )
            allowed = world.ask(query, agreement, narrowing).allowed
            assert allowed is ((purpose.value, what) in told)


def effects(before, after):
    return [(one.requester, one.effect, one.text, one.cause) for one in shifts(before, after)]


def test_nothing_changed_is_no_shift(world):
    looked = found(world, world.agreement())
    assert shifts(looked, replace(looked, at_ms=NOW_MS + 1)) == ()
    assert looked.same_as(replace(looked, at_ms=NOW_MS + 1))


def test_a_suspension_and_its_end_with_their_causes(world):
    agreement = world.agreement()
    stopped = replace(agreement, instruments=(instrument(),))
    resumed = replace(
        agreement, instruments=(instrument(), instrument(InstrumentKind.RESUMPTION, 2, of=1))
    )
    looks = [found(world, one) for one in (agreement, stopped, resumed)]
    lost = effects(looks[0], looks[1])
    assert [(who, effect) for who, effect, _, _ in lost] == [("city", Effect.LOSES)] * 2
    assert lost[1][2].startswith("may no longer ask for reads (amber-alert, criminal-invest")
    assert "suspension, number 1 of city" in lost[0][3]
    assert "is suspended (city has suspended it), before: in force" in lost[0][3]
    gained = effects(looks[1], looks[2])
    assert [effect for _, effect, _, _ in gained] == [Effect.GAINS] * 2
    assert "resumption, number 2 of city" in gained[0][3]
    assert effects(looks[0], looks[2]) == []


def test_the_day_on_which_a_term_ends_is_a_cause(world):
    agreement = world.agreement()
    end_ms = agreement.term.expires_ms
    before, after = (found(world, agreement, at_ms=ms) for ms in (end_ms - 1, end_ms))
    (hot_list, _) = effects(before, after)
    assert hot_list[1] is Effect.LOSES
    assert "revision 1 of city-harbor is expired, before: in force" in hot_list[3]


@pytest.mark.parametrize(
    ("old", "new", "effect", "words"),
    [
        ("", "look_back_days = 90", Effect.LOSES, "searches back 90 days, 365 before"),
        ("row_limit = 10", "row_limit = 20", Effect.GAINS, "gets 20 rows of reads at once, 10"),
        ('time = "hour"', 'time = "day"', Effect.LOSES, "sees the time to the day"),
        ('photo = "none"', "", Effect.GAINS, "may search reads by photo"),
        ('place = "none"', "", Effect.GAINS, "may search reads by area"),
        ('purposes = ["amber-alert"]', "", Effect.GAINS, "may ask for reads (criminal-invest"),
        ("", 'kinds = ["reads"]', Effect.LOSES, "may no longer ask for hot-list"),
        ("", 'camera = "none"', Effect.LOSES, "sees without the camera"),
        ("", 'hot_list_texts = ["list"]', Effect.LOSES, "no longer sees the source of a hot list"),
        ('hot_list_texts = ["nothing"]', "", Effect.GAINS, "sees the category of a hot list"),
        ("", 'export = "never"', Effect.LOSES, "an answer may no longer leave the client ("),
        ('export = "case-number"', 'export = "free"', Effect.GAINS, "the client without a case"),
        ("", 'approval = "court"', Effect.LOSES, "needs a written approval"),
        ('approval = "supervisor"', "", Effect.GAINS, "needs no written approval any longer"),
    ],
)
def test_another_policy_shifts_and_is_named(world, old, new, effect, words):
    # Without a case number the text lets ask, so that the policy alone can ask for one.
    text = world.text().replace(b'case_number = "required"', b'case_number = "optional"')
    agreement = world.agreement(parse_manifest(text, "x"))
    before = found(world, agreement, narrowing=old)
    after = found(world, agreement, narrowing=new, policy_id="version 2")
    changed = effects(before, after)
    assert any(words in text for _, _, text, _ in changed)
    assert {who for who, _, _, _ in changed} == {"city"}
    assert {effect for _, effect, _, _ in changed} == {effect}
    assert {cause for *_, cause in changed} == {"our policy is now version 2, before: version 1"}


def test_a_text_that_replaces_another_is_named(world):
    first = world.agreement()
    second = world.agreement(revision=2, replaces=first.manifest.digest, look_back_days=30)
    both = with_replacements((first, second), (first, second))
    (change,) = shifts(found(world, first), found(world, *both))
    assert change.effect is Effect.LOSES
    assert change.text.startswith("searches back 30 days, 365 before")
    assert "revision 2 of city-harbor came, in force" in change.cause
    assert "revision 1 of city-harbor is replaced by a later revision, before: in force" in (
        change.cause
    )


def test_a_rule_of_law_that_came_or_went_is_named(world):
    looked = found(world, world.agreement())
    assert any(key.startswith("us-ca/") for key in looked.law["city"])
    gone = replace(looked, grants=(), law=looked.law | {"city": (*looked.law["city"], "us-xx/y")})
    assert {one.cause for one in shifts(looked, gone)} >= {"rules of law that bind now: us-xx/y"}
    back = {one.cause for one in shifts(gone, looked)}
    assert "rules of law that bind no longer: us-xx/y" in back


def test_a_shift_without_any_file_says_so(world):
    looked = found(world, world.agreement())
    gone = replace(looked, at_ms=NOW_MS + DAY_MS, grants=())
    assert {one.cause for one in shifts(looked, gone)} == {
        "no file changed: time passed, or another version of Accord runs"
    }
