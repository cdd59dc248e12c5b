"""The law's packs: who is bound by which rule, and what that refuses, each with its twin."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.agencies import KINDS
from accord.agreements.decision import Decision
from accord.agreements.law.check import earliest_ms
from accord.agreements.law.packs import built_in_law
from accord.agreements.law.reading import fewest_days
from accord.agreements.law.rules import (
    EVERY_STATE,
    Binds,
    Confidence,
    CounselAnswered,
    Covers,
    Declaration,
    Documentation,
    Law,
    Pack,
    PermittedPurposes,
    ProhibitedPurposes,
    Recipients,
    Retention,
    Rule,
    RuleKind,
)
from accord.agreements.manifest import State
from accord.agreements.manifest_reading import parse_manifest
from accord.clock import to_ms
from accord.errors import Code, InputError
from accord.model import (
    COUNSEL_ONLY,
    PROHIBITED,
    ExactPlate,
    HitsOf,
    PhotoOf,
    Purpose,
    Window,
)
from tests.examples import few_and_many
from tests.unit.accord.agreements.conftest import DAY_MS, NOW_MS, World

CIVIL = "Cal. Civ. Code 1798.90.55(b)"
MINUTE_MS = 60_000
CASES = [
    # Requester, owner, what differs, code, section.
    ("CA police", "CA police", {}, None, ""),
    ("CA port-police", "CA state-police", {}, None, ""),
    ("NV police", "CA police", {}, Code.LAW_FORBIDS, CIVIL),
    ("CA federal", "CA police", {}, Code.LAW_FORBIDS, CIVIL),
    ("DC federal", "CA sheriff", {}, Code.LAW_FORBIDS, CIVIL),
    ("CA tribal-police", "CA police", {}, Code.LAW_FORBIDS, CIVIL),
    ("CA police", "NV police", {}, None, ""),
    ("DC federal", "NV police", {}, None, ""),
    ("CA operator", "NV police", {}, Code.LAW_FORBIDS, "MOA II.A; Cal. Civ. Code 1798.90.55"),
    ("IL police", "IL police", {}, None, ""),
    ("NV police", "IL police", {}, Code.ATTESTATION_REQUIRED, "625 ILCS 5/2-130(c)"),
    ("NV police", "IL police", {"attestations": "law-il-declaration"}, None, ""),
    ("IL federal", "IL police", {}, Code.ATTESTATION_REQUIRED, "625 ILCS 5/2-130(c)"),
    ("IL federal", "IL police", {"attestations": "law-il-declaration"}, None, ""),
    ("VA police", "VA sheriff", {}, None, ""),
    ("NC police", "VA sheriff", {}, Code.LAW_FORBIDS, "Va. Code 2.2-5517"),
    ("VA police", "VA sheriff", {"purpose": "public-safety-threat"}, Code.LAW_FORBIDS,
     "Va. Code 2.2-5517"),
    ("VA police", "NC police", {"purpose": "public-safety-threat"}, Code.LAW_FORBIDS,
     "Va. Code 2.2-5517"),
    ("VA police", "NC police", {}, None, ""),
    ("NV police", "NC police", {"purpose": "public-safety-threat"}, None, ""),
    ("NV police", "NE police", {"reason": " "}, Code.REASON_REQUIRED,
     "Neb. Rev. Stat. 60-3204(3)(a)"),
    ("NV police", "NE police", {}, None, ""),
    ("NE police", "NV police", {"reason": ""}, Code.REASON_REQUIRED,
     "Neb. Rev. Stat. 60-3204(3)(a)"),
    ("NV police", "NV police", {"reason": ""}, None, ""),
    ("NV police", "NE police", {"purpose": "public-safety-threat"}, Code.LAW_FORBIDS,
     "Neb. Rev. Stat. 60-3204(3)"),
    ("NV police", "MN police", {"reason": "..."}, Code.REASON_REQUIRED,
     "Minn. Stat. 13.824, subd. 7"),
    ("NV police", "MN police", {"case_number": ""}, None, ""),
    ("NV police", "WA police", {}, None, ""),
]  # fmt: skip


def ask(
    world: World,
    requester: str,
    owner: str,
    *,
    policy: str | None = "",
    at_ms: int = NOW_MS,
    law: Law | None = None,
    **changes: Any,
) -> Decision:
    """Ask under an agreement that wants neither case number, reason nor declaration."""
    other = world.where(city=requester, harbor=owner)
    text = other.text(
        case_number="optional", reason="optional", look_back_days=3650,
        purposes=["stolen-vehicle", "public-safety-threat"],
    )  # fmt: skip
    manifest = parse_manifest(text.replace(b'state = "attested"', b'state = "recorded"'), "x")
    agreement = other.agreement(manifest)
    officer = {"purposes": tuple(map(str, Purpose)), "issued_at_ms": at_ms - 1,
               "not_after_ms": at_ms + 1}  # fmt: skip
    query = other.query(agreement, officer=officer, **({"attestations": ()} | changes))
    return other.ask(query, agreement, policy, at_ms, law=law)


@pytest.mark.parametrize(("requester", "owner", "changes", "code", "section"), CASES)
def test_the_states_laws_decide(world, requester, owner, changes, code, section):
    decision = ask(world, requester, owner, **changes)
    broker = ask(world, requester, owner, policy=None, **changes)
    assert decision.code is broker.code is code
    if code is not None:
        assert decision.section == broker.section == section
        key = decision.rule.partition("/")
        (rule,) = [rule for rule in decision.law if (rule.pack, rule.id) == (key[0], key[2])]
        assert rule.says in decision.reason or rule.demand.words in decision.reason
        assert not decision.allowed


RETENTION = [
    ("NH police", 3 * MINUTE_MS),
    ("ME police", 21 * DAY_MS),
    ("VA police", 21 * DAY_MS),
    ("MN sheriff", 60 * DAY_MS),
    ("MT police", 90 * DAY_MS),
    ("NC police", 90 * DAY_MS),
    ("TN police", 90 * DAY_MS),
    ("AR police", 150 * DAY_MS),
    ("NE police", 180 * DAY_MS),
    ("UT police", 273 * DAY_MS),
    ("VT police", 546 * DAY_MS),
    ("GA police", 911 * DAY_MS),
    ("CO police", 1095 * DAY_MS),
    ("CA state-police", 60 * DAY_MS),
    ("CA police", None),
    ("IL police", None),
    ("WA police", None),
]


@pytest.mark.parametrize(("owner", "kept_ms"), RETENTION)
def test_reads_older_than_the_law_lets_keep_are_not_given(world, owner, kept_ms):
    requester = f"{owner[:2]} police"
    decision = ask(world, requester, owner)
    wide = NOW_MS - 3650 * DAY_MS
    assert decision.terms.earliest_ms == (wide if kept_ms is None else NOW_MS - kept_ms)
    strict = ask(world, requester, owner, policy="look_back_days = 1", window=one_day())
    stricter = min(kept_ms or DAY_MS, DAY_MS)
    assert strict.terms.earliest_ms == NOW_MS - stricter


def one_day() -> Window:
    return Window(NOW_MS - DAY_MS, NOW_MS)


def test_an_own_officer_sees_no_older_reads_either_and_gives_nothing_away(world):
    for state, kept_ms, code in (
        ("NH police", 3 * MINUTE_MS, None),
        ("CA federal", 700 * DAY_MS, None),
        ("IL federal", 700 * DAY_MS, None),
        ("VA police", 0, Code.LAW_FORBIDS),
    ):
        facts = dict(zip(("state", "kind"), state.split(), strict=True))
        other = World(
            world.keys, world.agencies | {"harbor": replace(world.agencies["harbor"], **facts)}
        )
        purpose = "public-safety-threat" if code else "stolen-vehicle"
        query = world.query(
            None, officer={"agency": "harbor"}, requesting_agency="harbor", purpose=purpose,
            attestations=(),
        )  # fmt: skip
        decision = other.ask(query, None)
        assert decision.code is code
        if code is None:
            assert decision.terms.earliest_ms == NOW_MS - kept_ms


def test_months_are_the_fewest_days_that_they_can_be():
    def span(start: date, months: int) -> int:
        year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
        return (date(year, month + 1, 1) - start).days

    starts = [date(year, month, 1) for year in range(2021, 2029) for month in range(1, 13)]
    for months in (1, 2, 9, 12, 18, 30):
        assert fewest_days(months) <= min(span(start, months) for start in starts)
        assert fewest_days(months) >= min(span(start, months) for start in starts) - 1


def test_a_rule_holds_from_its_first_day_to_its_last_in_the_agreements_zone(world):
    rule = made(RuleKind.PERMITTED_PURPOSES, PermittedPurposes(frozenset({"amber-alert"})))
    rule = replace(rule, begins=date(2026, 3, 2), until=date(2026, 3, 3))
    law = built_in_law().with_packs([Pack("new", 1, "New", "every-state", (rule,))])
    # Midnight in Los Angeles is 08:00 UTC.
    for moment, allowed in (
        (datetime(2026, 3, 2, 7, 59, tzinfo=UTC), True),
        (datetime(2026, 3, 2, 8, tzinfo=UTC), False),
        (datetime(2026, 3, 4, 7, 59, tzinfo=UTC), False),
        (datetime(2026, 3, 4, 8, tzinfo=UTC), True),
    ):
        at_ms = to_ms(moment)
        decision = ask(world, "CA police", "CA police", at_ms=at_ms, law=law, policy=None)
        assert decision.allowed is allowed, moment


def test_a_federal_agency_is_of_no_state_whatever_its_address(world):
    rule = made(RuleKind.RECIPIENTS, Recipients(frozenset(KINDS), frozenset({"NV"})))
    law = built_in_law().with_packs([Pack("new", 1, "New", EVERY_STATE, (rule,))])
    assert ask(world, "NV police", "NV police", law=law).allowed
    assert ask(world, "NV federal", "NV police", law=law).code is Code.LAW_FORBIDS


def test_a_states_law_binds_no_federal_agency_that_it_does_not_name(world):
    """docs/law.md: a federal agency is out of every state, as owner too."""
    refused = ask(world, "NV police", "CA police")
    assert (refused.code, refused.section) == (Code.LAW_FORBIDS, CIVIL)
    assert ask(world, "NV police", "CA federal").allowed
    assert ask(world, "MN federal", "NV police", reason="...").allowed
    assert ask(world, "MN police", "NV police", reason="...").code is Code.REASON_REQUIRED
    rule = made(RuleKind.PERMITTED_PURPOSES, PermittedPurposes(frozenset({"amber-alert"})))
    named = replace(rule, applies_to="MN", bound_kinds=frozenset({"federal"}))
    law = built_in_law().with_packs([Pack("new", 1, "New", "MN", (named,))])
    assert ask(world, "NV police", "MN federal", law=law).code is Code.LAW_FORBIDS
    assert ask(world, "NV police", "NV federal", law=law).allowed


def test_no_clause_stands_in_for_what_a_law_wants_declared(world):
    text = world.text().replace(b'id = "verify-before-action"', b'id = "law-il-declaration"')
    with pytest.raises(InputError, match="as the declarations that a law wants do"):
        parse_manifest(text, "x")


def test_there_is_no_law_without_the_floor():
    others = tuple(pack for pack in built_in_law().packs if pack.id != "floor")
    with pytest.raises(ValueError, match="without the floor"):
        Law(others)


def test_the_floor_says_what_files_can_not_hold():
    """Readers of manifests and policies use the table of the model: it is the floor's."""
    floor = next(pack for pack in built_in_law().packs if pack.id == "floor")
    prohibited = {
        purpose: rule.citation
        for rule in floor.rules
        if isinstance(rule.demand, ProhibitedPurposes)
        for purpose in rule.demand.purposes
    }
    assert prohibited == PROHIBITED
    (answered,) = (rule for rule in floor.rules if isinstance(rule.demand, CounselAnswered))
    assert answered.demand == CounselAnswered(COUNSEL_ONLY)
    assert built_in_law().eligible_kinds == set(KINDS) - {"operator"}
    assert {rule.state for rule in floor.rules} == {State.ENFORCED}


def test_no_pack_of_a_state_softens_anothers_words():
    for pack in built_in_law().packs:
        for rule in pack.rules:
            assert rule.says.endswith("."), rule.key
            assert rule.confidence is Confidence.HIGH or rule.note, rule.key
            assert rule.begins <= date(2026, 11, 1), rule.key


# Whatever law, agreement and policy come together.

purposes = st.frozensets(st.sampled_from([purpose.value for purpose in Purpose]), min_size=1)
some_kinds = st.frozensets(st.sampled_from(KINDS), min_size=1)
states = st.sampled_from(["CA", "NV", "IL", "VA", "NE", "NH"])
demands = st.one_of(
    st.builds(ProhibitedPurposes, purposes),
    st.builds(CounselAnswered, purposes),
    st.builds(PermittedPurposes, purposes),
    st.builds(Recipients, some_kinds, st.frozensets(states)),
    st.builds(Declaration, st.just("declared"), st.just("I declare."), st.frozensets(states)),
    st.builds(Documentation, st.booleans(), st.booleans()),
    st.builds(Retention, st.sampled_from([1, 3 * MINUTE_MS, DAY_MS]), st.just("a while")),
)


def made(kind: RuleKind, demand: Any, applies_to: str = EVERY_STATE) -> Rule:
    return Rule(
        pack="new", applies_to=applies_to, id="made", kind=kind, state=State.ENFORCED,
        binds=Binds.OWNER, bound_kinds=frozenset(), citation="Example Act",
        confidence=Confidence.HIGH, note="", begins=date(2020, 1, 1), until=None,
        says="So it is.", demand=demand,
    )  # fmt: skip


@st.composite
def rules(draw):
    rule = made(RuleKind.DUTY, draw(demands), draw(st.sampled_from([EVERY_STATE, "CA", "NV"])))
    return replace(
        rule,
        binds=draw(st.sampled_from(Binds)),
        state=draw(st.sampled_from([State.ENFORCED, State.ENFORCED, State.RECORDED])),
        bound_kinds=draw(st.just(frozenset()) | some_kinds),
        begins=draw(st.sampled_from([date(2020, 1, 1), date(2027, 1, 1)])),
    )


some_rules = st.lists(rules(), max_size=4).map(tuple)
asked = st.fixed_dictionaries(
    {
        "purpose": st.sampled_from(["stolen-vehicle", "public-safety-threat", "personal"]),
        "case_number": st.sampled_from(["1", ""]),
        "reason": st.sampled_from(["x", ""]),
        "on_behalf_of": st.sampled_from(["", "", "city", "county"]),
        "attestations": st.sampled_from([(), ("declared",), ("declared", "law-il-declaration")]),
    }
)
agencies = st.tuples(states, st.sampled_from(KINDS)).map(" ".join)
policies = st.sampled_from(["", None, "look_back_days = 90", 'purposes = ["stolen-vehicle"]'])


def test_a_purpose_that_the_law_forbids_is_no_category_of_what_is_listed(world):
    """The agreement holds two purposes; Nebraska's law permits one of them."""
    both = {"stolen-vehicle", "public-safety-threat"}
    assert ask(world, "NV police", "NV police").terms.purposes == both
    for pair in (("NV police", "NE police"), ("NE police", "NV police")):
        assert ask(world, *pair).terms.purposes == {"stolen-vehicle"}


@few_and_many(
    given(
        old=some_rules,
        new=some_rules,
        requester=agencies,
        owner=agencies,
        query=asked,
        policy=policies,
    ),
    50,
    300,
)
def test_more_law_never_widens_anything(world, old, new, requester, owner, query, policy):
    law = built_in_law().with_packs([Pack("old", 1, "Old", EVERY_STATE, old)])
    more = law.with_packs([Pack("new", 1, "New", EVERY_STATE, new)])
    before = ask(world, requester, owner, policy=policy, law=law, **query)
    after = ask(world, requester, owner, policy=policy, law=more, **query)
    if after.allowed:
        assert before.allowed
        if after.terms is not None:
            assert after.terms.earliest_ms >= before.terms.earliest_ms
            assert (after.terms.purposes is None) is (before.terms.purposes is None)
            assert (after.terms.purposes or set()) <= (before.terms.purposes or set())
            same = {"earliest_ms": 0, "purposes": None}
            assert replace(after.terms, **same) == replace(before.terms, **same)
    broker = ask(world, requester, owner, policy=None, law=more, **query)
    if not broker.allowed:
        assert not after.allowed


@few_and_many(
    given(extra=some_rules, requester=agencies, owner=agencies, query=asked, policy=policies),
    50,
    300,
)
def test_californian_data_never_leaves_california(world, extra, requester, owner, query, policy):
    """Whatever agreement, policy, declaration and further law say."""
    law = built_in_law().with_packs([Pack("new", 1, "New", EVERY_STATE, extra)])
    decision = ask(world, requester, owner, policy=policy, law=law, **query)
    # A federal agency in California is none of California's, and its own rules bind it.
    if decision.allowed and owner.startswith("CA ") and owner != "CA federal":
        assert requester.startswith("CA ")
        assert requester.split()[1] not in ("federal", "operator", "tribal-police")


def test_of_two_retentions_the_shorter_counts(world):
    query = world.query(None)
    rules = [
        rule
        for rule in (rule for pack in built_in_law().packs for rule in pack.rules)
        if isinstance(rule.demand, Retention)
    ]
    kept = sorted({rule.demand.keep_ms for rule in rules})
    assert len(kept) > 1
    both = [rule for rule in rules if rule.demand.keep_ms in (kept[0], kept[-1])]
    assert earliest_ms(both, query, NOW_MS) == NOW_MS - kept[0]
    assert earliest_ms(reversed(both), query, NOW_MS) == NOW_MS - kept[0]
    assert earliest_ms((), query, NOW_MS) == 0


@pytest.mark.parametrize(
    ("covers", "selector", "hidden"),
    [("reads", ExactPlate("7ABC123"), True), ("photos", ExactPlate("7ABC123"), False),
     ("reads", HitsOf(ExactPlate("7ABC123")), False), ("hits", HitsOf(ExactPlate("7ABC123")), True),
     ("reads", PhotoOf(bytes(16)), True), ("photos", PhotoOf(bytes(16)), True)],
)  # fmt: skip
def test_a_retention_hides_what_it_covers(world, covers, selector, hidden):
    rule = replace(
        next(rule for rule in rules_of("us-nh") if rule.id == "retention"),
        demand=Retention(MINUTE_MS, "1 minute", frozenset({Covers(covers)})),
    )
    query = world.query(None, selector=selector)
    assert (earliest_ms([rule], query, NOW_MS) == NOW_MS - MINUTE_MS) is hidden


def rules_of(pack: str) -> tuple[Rule, ...]:
    return next(one.rules for one in built_in_law().packs if one.id == pack)
