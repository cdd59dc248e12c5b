"""What must hold whatever agreement, policy and query come together."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from accord.agreements.decide import decide
from accord.agreements.effective import Agreement, Standing, effective
from accord.agreements.law.packs import built_in_law
from accord.agreements.manifest import (
    Ends,
    Extension,
    Fields,
    Limits,
    Purposes,
    Scope,
    TermRule,
    Undecided,
)
from accord.agreements.policy import OwnRules, PartnerRule, Policy, Rates, RetentionDays
from accord.agreements.term import period_end
from accord.agreements.terms import CameraSharing, PhotoSharing, Redaction, Withholding
from accord.clock import to_ms
from accord.model import (
    PROHIBITED,
    AreaBox,
    AreaCircle,
    ExactPlate,
    HotListPlate,
    Kind,
    PhotoOf,
    PlateList,
    Purpose,
    Window,
)

SIGNED_MS = to_ms(datetime(2025, 6, 1, 18, tzinfo=UTC))
NOW_MS = to_ms(datetime(2026, 3, 1, 12, tzinfo=UTC))
DAY_MS = 86_400_000
AGENCIES = ("city", "harbor", "county")

purposes = st.sampled_from([*Purpose, "Stolen-Vehicle", ""]).map(str)
some_purposes = st.frozensets(st.sampled_from([p.value for p in Purpose]))
kinds = st.frozensets(st.sampled_from(Kind))
redactions = st.builds(
    Redaction,
    st.sampled_from([1, 60_000, 3_600_000]),
    st.sampled_from([0, 500, None]),
    st.sampled_from(CameraSharing),
    st.booleans(),
    st.sampled_from(PhotoSharing),
)
days = st.sampled_from([1, 30, 365])
rows = st.sampled_from([1, 100, 1000])
several = st.sampled_from([1, 2, 10])
SEVERAL = PlateList((ExactPlate("7ABC123"), ExactPlate("8ABC123")))
selectors = st.sampled_from(
    [
        ExactPlate("7ABC123"),
        AreaBox(0, 0, 1, 1),
        AreaCircle(0, 0, 1),
        SEVERAL,
        HotListPlate("7ABC123"),
        PhotoOf(bytes(16)),
    ]
)
moments = st.integers(-400 * 24, 3600 * 24).map(lambda n: NOW_MS + n * DAY_MS // 24)
terms = st.builds(
    TermRule,
    st.just("t"),
    st.integers(1, 3),
    st.sampled_from(Ends),
    st.sampled_from(Extension),
    st.integers(1, 2),
    st.sampled_from([0, 1, 2, None]),
)
questions = st.sampled_from([(), (), (), (Undecided("term.extension", "t", "How often?"),)])
rules = st.builds(
    PartnerRule,
    st.just("city"),
    st.none() | some_purposes,
    st.none() | kinds,
    st.none() | days,
    st.none() | rows,
    st.none() | several,
    redactions,
)


@st.composite
def agreements(draw, world):
    base = world.manifest()
    pairs = draw(st.frozensets(st.sampled_from([("city", "harbor"), ("harbor", "city")])))
    manifest = replace(
        base,
        scope=Scope("s", draw(kinds), pairs),
        purposes=Purposes("p", draw(some_purposes)),
        limits=Limits("l", draw(days), draw(rows), plates_per_query=draw(several)),
        fields=Fields("f", draw(redactions).without_leaks()),
        term=draw(terms),
        undecided=draw(questions),
    )
    signers = draw(st.sampled_from([("city", "harbor"), ("city", "harbor"), ("city",)]))
    parts = tuple(world.counterpart(base, signer) for signer in signers)
    return Agreement(manifest, parts)


@st.composite
def queries(draw, world, agreement, at_ms):
    requester = draw(st.sampled_from(["city", "city", "county"]))
    back_days = draw(st.sampled_from([0, 1, 29, 364, 500]))
    officer = {
        "agency": draw(st.sampled_from([requester, requester, "harbor"])),
        "standing": draw(st.sampled_from(["good", "good", "left"])),
        "purposes": tuple(p.value for p in Purpose),
        "issued_at_ms": at_ms - draw(st.sampled_from([0, 1000])),
        "not_after_ms": at_ms + draw(st.sampled_from([1, 1000])),
        "trained_on": datetime.fromtimestamp(at_ms / 1000 - 86_400, UTC).date().isoformat(),
    }
    return world.query(
        agreement,
        officer=officer,
        requesting_agency=requester,
        purpose=draw(purposes),
        on_behalf_of=draw(st.sampled_from(["", "", requester, "harbor"])),
        selector=draw(selectors),
        window=Window(at_ms - back_days * DAY_MS - 1, at_ms),
        row_limit=draw(rows),
    )


def policy_of(rule: PartnerRule | None) -> Policy:
    partners = {} if rule is None else {rule.agency: rule}
    own = OwnRules(frozenset(), 1, 1, 1, False, False)
    zone = UTC
    return Policy(
        "harbor", 1, zone, own, partners, Withholding(), RetentionDays(1, 1, 1), Rates(1, 1, 1)
    )


def ask(world, query, agreement, policy, at_ms, law=None):
    folded = effective(agreement, query.requesting_agency, query.audience, at_ms)
    requester, owner = (world.agencies[name] for name in (query.requesting_agency, query.audience))
    return decide(
        query, folded, policy, at_ms, requester=requester, owner=owner, law=law or built_in_law()
    )


def in_years(rule: TermRule, at_ms: int) -> bool:
    """Count the years from 1 June 2025, Los Angeles, on a calendar of our own."""
    if rule.extensions is None:
        return True
    here = datetime.fromtimestamp(at_ms / 1000, ZoneInfo("America/Los_Angeles"))
    year = 2025 + rule.length_years + rule.extensions * rule.extension_years
    last = (year, 6, 1) if rule.ends is Ends.ANNIVERSARY else (year, 5, 31)
    return (here.year, here.month, here.day) <= last


@settings(max_examples=500, deadline=None)
@given(rule=terms, at_ms=moments)
def test_a_term_is_over_exactly_after_its_last_day(world, rule, at_ms):
    manifest = replace(world.manifest(), term=rule)
    agreement = replace(world.agreement(), manifest=manifest)
    begun = at_ms >= SIGNED_MS
    in_force = agreement.standing_at(at_ms) is Standing.IN_FORCE
    assert in_force is (begun and in_years(rule, at_ms))
    assert (period_end(manifest, agreement.term, at_ms) is not None) is in_years(rule, at_ms)


many = settings(max_examples=300, deadline=None)


@many
@given(data=st.data())
def test_what_is_allowed_lies_inside_agreement_policy_and_law(world, data):
    agreement, at_ms = data.draw(agreements(world)), data.draw(moments)
    query = data.draw(queries(world, agreement, at_ms))
    rule = data.draw(rules)
    decision = ask(world, query, agreement, policy_of(rule), at_ms)
    if not decision.allowed:
        assert decision.code is not None
        assert decision.terms is None
        return
    manifest, terms, term = agreement.manifest, decision.terms, agreement.term
    assert query.purpose in manifest.purposes.allowed - {p.value for p in PROHIBITED}
    assert rule.purposes is None or query.purpose in rule.purposes
    assert (query.requesting_agency, query.audience) in manifest.scope.pairs
    assert not manifest.undecided
    assert term.commences_ms <= at_ms
    assert in_years(manifest.term, at_ms)
    assert terms.max_rows <= manifest.limits.row_limit
    assert terms.max_rows <= (rule.row_limit or terms.max_rows)
    asked = len(query.selector.plates) if isinstance(query.selector, PlateList) else 1
    assert asked <= min(manifest.limits.plates_per_query, rule.plates_per_query or asked)
    limit_days = min(manifest.limits.look_back_days, rule.look_back_days or 999_999)
    assert terms.earliest_ms == at_ms - limit_days * DAY_MS
    for limit in (manifest.fields.redaction, rule.redaction):
        assert terms.redaction.narrowed_by(limit) == terms.redaction
    assert terms.redaction == terms.redaction.without_leaks()


@many
@given(data=st.data())
def test_what_the_broker_refuses_the_owner_refuses(world, data):
    agreement, at_ms = data.draw(agreements(world)), data.draw(moments)
    query = data.draw(queries(world, agreement, at_ms))
    broker = ask(world, query, agreement, None, at_ms)
    owner = ask(world, query, agreement, policy_of(data.draw(st.none() | rules)), at_ms)
    if not broker.allowed:
        assert (owner.code, owner.section) == (broker.code, broker.section)
    if owner.allowed:
        assert broker.allowed


@many
@given(data=st.data())
def test_a_narrower_query_stays_allowed(world, data):
    agreement, at_ms = data.draw(agreements(world)), data.draw(moments)
    query = data.draw(queries(world, agreement, at_ms))
    policy = policy_of(data.draw(rules))
    before = ask(world, query, agreement, policy, at_ms)
    later = data.draw(st.integers(query.window.from_ms, query.window.to_ms - 1))
    fewer = data.draw(st.integers(1, query.row_limit))
    narrower = replace(query, window=replace(query.window, from_ms=later), row_limit=fewer)
    if before.allowed:
        assert ask(world, narrower, agreement, policy, at_ms).allowed


@many
@given(data=st.data())
def test_a_stricter_rule_never_allows_more(world, data):
    agreement, at_ms = data.draw(agreements(world)), data.draw(moments)
    query = data.draw(queries(world, agreement, at_ms))
    rule, other = data.draw(rules), data.draw(rules)
    stricter = PartnerRule(
        "city",
        other.purposes
        if rule.purposes is None
        else rule.purposes & (other.purposes or rule.purposes),
        other.kinds if rule.kinds is None else rule.kinds & (other.kinds or rule.kinds),
        min(rule.look_back_days or 9999, other.look_back_days or 9999),
        min(rule.row_limit or 9999, other.row_limit or 9999),
        min(rule.plates_per_query or 9999, other.plates_per_query or 9999),
        rule.redaction.narrowed_by(other.redaction),
    )
    strict = ask(world, query, agreement, policy_of(stricter), at_ms)
    if strict.allowed:
        wide = ask(world, query, agreement, policy_of(rule), at_ms)
        assert wide.allowed
        assert strict.terms.max_rows <= wide.terms.max_rows
        assert strict.terms.earliest_ms >= wide.terms.earliest_ms


@many
@given(one=redactions, two=redactions, three=redactions)
def test_narrowing_is_a_meet(one, two, three):
    assert one.narrowed_by(one) == one
    assert one.narrowed_by(two) == two.narrowed_by(one)
    assert one.narrowed_by(two).narrowed_by(three) == one.narrowed_by(two.narrowed_by(three))
    both = one.narrowed_by(two)
    assert both.narrowed_by(one) == both
    assert one.without_leaks().narrowed_by(one) == one.without_leaks()
