"""What must hold whatever agreement, policy and query come together."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from accord.agreements.decide import decide
from accord.agreements.effective import Agreement, Standing, effective
from accord.agreements.instruments import Details, Instrument, InstrumentKind
from accord.agreements.law.packs import built_in_law
from accord.agreements.manifest import (
    Eligibility,
    Ends,
    Extension,
    Fields,
    Limits,
    OptIn,
    Parent,
    Purposes,
    Scope,
    TermRule,
    Undecided,
)
from accord.agreements.policy import OwnRules, PartnerRule, Policy, Rates, RetentionDays
from accord.agreements.provisions import (
    ApprovalRule,
    Export,
    ExportRule,
    HotListRule,
    Provisions,
    Requesters,
    Role,
    RoleKind,
    Sees,
    Stale,
    Territory,
)
from accord.agreements.reading import HOT_LIST_TEXTS
from accord.agreements.templates import MOA_ATTESTATIONS
from accord.agreements.term import period_end
from accord.agreements.terms import CameraSharing, PhotoSharing, Redaction, Withholding
from accord.clock import to_ms
from accord.model import (
    PROHIBITED,
    Approval,
    ApprovalKind,
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
from tests.examples import few_and_many

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
hours = st.integers(-400 * 24, 3600 * 24)
moments = st.sampled_from([NOW_MS] * 9 + [0]).flatmap(
    lambda ms: st.just(ms) if ms else hours.map(lambda n: NOW_MS + n * DAY_MS // 24)
)
terms = st.builds(
    TermRule,
    st.just("t"),
    st.sampled_from([1, 2, 3]),
    st.sampled_from(Ends),
    st.sampled_from(Extension),
    st.integers(1, 2),
    st.sampled_from([0, 1, 2, None]),
)
questions = st.sampled_from([()] * 19 + [(Undecided("term.extension", "t", "How often?"),)])


def mostly(usual, *others):
    """Draw what is usual nine times in ten: else nothing at all would be allowed."""
    return st.sampled_from([usual] * 9 * max(1, len(others)) + list(others))


def often(usual, *others):
    """Draw a rule in half of the cases: a good query keeps it."""
    return st.sampled_from([usual] * max(1, len(others)) + list(others))


rules = st.builds(
    PartnerRule,
    st.just("city"),
    often(None, frozenset({"stolen-vehicle"}), frozenset()),
    mostly(None, *map(frozenset, ([], [Kind.READS], [Kind.HOT_LIST]))),
    st.none() | days,
    st.none() | rows,
    st.none() | several,
    redactions,
    hot_list_texts=st.none() | st.frozensets(st.sampled_from(HOT_LIST_TEXTS)),
    export=st.sampled_from(Export),
    approval=often(None, *ApprovalKind),
)
eligibilities = st.builds(
    Eligibility,
    st.just("e"),
    mostly(365, 1),
    st.booleans(),
    st.booleans(),
    often("", "ALPR"),
    often(frozenset({"employee"}), frozenset({"reserve"})),
    often(frozenset(), frozenset({"sergeant"})),
    often(None, *(ApprovalRule(k, b, 30) for k in ApprovalKind for b in (0, 30))),
)
provisions = st.builds(
    Provisions,
    requesters=mostly(
        None,
        Requesters("q", frozenset({"police"}), frozenset(), frozenset()),
        Requesters("q", frozenset({"sheriff"}), frozenset(), frozenset()),
        Requesters("q", frozenset(), frozenset({"CA"}), frozenset({"recognised"})),
    ),
    territory=often(None, Territory("t", (AreaBox(0, 0, 9, 9),))),
    hot_lists=often(
        None,
        HotListRule(
            "h", frozenset({"x"}), 9, Stale.WITHHELD, list=True, source=False, category=True
        ),
    ),
    export=often(None, *(ExportRule("x", one) for one in Export)),
    roles=often((), (Role("o", RoleKind.OPERATOR, "Hub", Sees.ANSWERS, "hub"),)),
)


@st.composite
def restrictions(draw, allowed):
    """Draw (classes of offences, days of look-back) for some of the allowed purposes."""
    listed = sorted({"stolen-vehicle"} & allowed)
    offences = draw(often((), tuple((purpose, frozenset({"robbery"})) for purpose in listed)))
    return offences, draw(often((), tuple((purpose, 1) for purpose in listed)))


def _opted(party: str, partner: str, kind: InstrumentKind, at_ms: int) -> Instrument:
    return Instrument(party, 1, kind, "n", "c", at_ms, Details(partner=partner))


OPTED_IN = tuple(
    _opted(one, other, InstrumentKind.OPT_IN, SIGNED_MS)
    for one, other in (("harbor", "city"), ("city", "harbor"))
)
choices = mostly(
    OPTED_IN,
    OPTED_IN[:1],
    OPTED_IN[1:],
    (),
    (*OPTED_IN, _opted("harbor", "city", InstrumentKind.OPT_OUT, NOW_MS)),
)


@st.composite
def agreements(draw, world):
    base = world.manifest()
    ways = ("city", "harbor"), ("harbor", "city")
    pairs = draw(mostly(frozenset(ways), frozenset(ways[:1]), frozenset(ways[1:]), frozenset()))
    every = frozenset(p.value for p in Purpose)
    allowed = draw(mostly(every, frozenset({"stolen-vehicle"}), frozenset({"amber-alert"})))
    offences, by_purpose = draw(restrictions(allowed))
    picked = draw(often(None, *OptIn))
    manifest = replace(
        base,
        scope=Scope(
            "s",
            draw(mostly(frozenset(Kind), *map(frozenset, ([], ["reads"], ["hot-list"])))),
            pairs,
            picked,
        ),
        purposes=Purposes("p", allowed, offences),
        eligibility=draw(eligibilities),
        limits=Limits(
            "l",
            draw(mostly(365, 1, 30)),
            draw(mostly(1000, 1, 100)),
            by_purpose,
            plates_per_query=draw(several),
        ),
        provisions=draw(provisions),
        fields=Fields("f", draw(redactions).without_leaks()),
        term=draw(terms),
        undecided=draw(questions),
    )
    signers = draw(mostly(("city", "harbor"), ("city",)))
    parts = tuple(world.counterpart(base, signer) for signer in signers)
    return Agreement(manifest, parts, instruments=draw(choices))


@st.composite
def under_parents(draw, world):
    """Draw an agreement that stands under another one in half of the cases."""
    child = draw(agreements(world))
    if draw(st.booleans()):
        return child
    above = draw(agreements(world))
    above = replace(above, manifest=replace(above.manifest, digest=b"p" * 32))
    named = Parent("a", above.manifest.id, above.manifest.digest)
    return replace(child, manifest=replace(child.manifest, parent=named), parent=above)


@st.composite
def queries(draw, world, agreement, at_ms):
    """Draw a query that keeps each rule nine times in ten."""
    requester = draw(mostly("city", "county"))
    needs = agreement.manifest.eligibility
    yesterday = datetime.fromtimestamp(at_ms / 1000 - 86_400, UTC).date()
    officer = {
        "agency": draw(mostly(requester, "harbor")),
        "standing": draw(mostly("good", "left")),
        "purposes": tuple(p.value for p in Purpose),
        "issued_at_ms": at_ms - draw(st.sampled_from([0, 1000])),
        "not_after_ms": at_ms + draw(st.sampled_from([1, 1000])),
        "trained_on": yesterday.isoformat(),
        "course": draw(mostly("ALPR", "")),
        "employment": draw(mostly(min(needs.employment), "employee", "reserve")),
        "role": draw(mostly("sergeant", "detective")),
    }
    given = [
        Approval(ApprovalKind(kind), "a", "1", (yesterday - timedelta(days=ago)).isoformat())
        for kind, ago in (("court", 0), ("supervisor", 0), ("court", 40))
    ]
    return world.query(
        agreement,
        officer=officer,
        requesting_agency=requester,
        purpose=draw(mostly("stolen-vehicle", "wanted-person", "personal", "Stolen-Vehicle", "")),
        on_behalf_of=draw(mostly("", requester, "harbor")),
        selector=draw(selectors),
        window=Window(at_ms - draw(mostly(0, 1, 29, 364, 500)) * DAY_MS - 1, at_ms),
        row_limit=draw(mostly(1, 100, 1000)),
        case_number=draw(mostly("1", "")),
        reason=draw(mostly("x", "")),
        offence=draw(mostly("robbery", "")),
        approval=draw(mostly(given[0], None, *given[1:])),
        export=draw(mostly(False, True)),
        attestations=draw(mostly(MOA_ATTESTATIONS, MOA_ATTESTATIONS[:1])),
    )


def policy_of(rule: PartnerRule | None) -> Policy:
    partners = {} if rule is None else {rule.agency: rule}
    own = OwnRules(frozenset(), 1, 1, 1, False, False)
    zone = UTC
    return Policy(
        "harbor", 1, zone, own, partners, Withholding(), RetentionDays(1, 1, 1), Rates(1, 1, 1)
    )


def ask(world, query, agreement, policy, at_ms, law=None, via=""):
    folded = effective(agreement, query.requesting_agency, query.audience, at_ms)
    requester, owner = (world.agencies[name] for name in (query.requesting_agency, query.audience))
    return decide(
        query, folded, policy, at_ms, requester=requester, owner=owner,
        law=law or built_in_law(), via=via,
    )  # fmt: skip


def in_years(rule: TermRule, at_ms: int) -> bool:
    """Count the years from 1 June 2025, Los Angeles, on a calendar of our own."""
    if rule.extensions is None:
        return True
    here = datetime.fromtimestamp(at_ms / 1000, ZoneInfo("America/Los_Angeles"))
    year = 2025 + rule.length_years + rule.extensions * rule.extension_years
    last = (year, 6, 1) if rule.ends is Ends.ANNIVERSARY else (year, 5, 31)
    return (here.year, here.month, here.day) <= last


@few_and_many(given(rule=terms, at_ms=moments), 40, 200)
def test_a_term_is_over_exactly_after_its_last_day(world, rule, at_ms):
    manifest = replace(world.manifest(), term=rule)
    agreement = replace(world.agreement(), manifest=manifest)
    begun = at_ms >= SIGNED_MS
    in_force = agreement.standing_at(at_ms) is Standing.IN_FORCE
    assert in_force is (begun and in_years(rule, at_ms))
    assert (period_end(manifest, agreement.term, at_ms) is not None) is in_years(rule, at_ms)


vias = mostly("hub", "", "other")


def holds_of_the_query(world, query, agreement, at_ms, via):
    """Assert what every allowed query keeps of one text, read off the rules anew."""
    manifest = agreement.manifest
    needs, said = manifest.eligibility, manifest.provisions
    officer, asks = query.credential, world.agencies[query.requesting_agency]
    kind = Kind.HOT_LIST if isinstance(query.selector, HotListPlate) else Kind.READS
    assert query.purpose in manifest.purposes.allowed - {p.value for p in PROHIBITED}
    assert (query.requesting_agency, query.audience) in manifest.scope.pairs
    assert kind in manifest.scope.kinds
    opted = {
        (one.party, one.details.partner, one.kind)
        for one in agreement.instruments
        if one.signed_at_ms <= at_ms
    }
    for one, other in (("harbor", "city"), ("city", "harbor")):
        if manifest.scope.opt_in is OptIn.BOTH or (manifest.scope.opt_in and one == "harbor"):
            assert (one, other, InstrumentKind.OPT_IN) in opted
            assert (one, other, InstrumentKind.OPT_OUT) not in opted
    assert query.case_number or not needs.case_required
    assert query.reason or not needs.reason_required
    assert officer.employment in needs.employment
    assert not needs.roles or officer.role in needs.roles
    assert needs.course in ("", officer.course)
    assert {clause.id for clause in manifest.attested} <= set(query.attestations)
    for purpose, classes in manifest.purposes.offences:
        assert purpose != query.purpose or query.offence in classes
    searches = isinstance(query.selector, ExactPlate | AreaBox)
    back_days = (at_ms - query.window.from_ms) // DAY_MS
    rule = needs.approval
    if rule and (not rule.beyond_days or (searches and back_days > rule.beyond_days)):
        assert query.approval is not None
        assert rule.kind in (ApprovalKind.SUPERVISOR, query.approval.kind)
        given = datetime.fromisoformat(query.approval.given_on).replace(tzinfo=UTC)
        assert at_ms - to_ms(given) <= 32 * DAY_MS
    if said.export and query.export:
        assert said.export.allowed is not Export.NEVER
        assert query.case_number or said.export.allowed is Export.FREE
    assert not said.operators or via in ("", "hub")
    if said.requesters:
        assert not said.requesters.kinds or asks.kind in said.requesters.kinds
        assert not said.requesters.certifications
    assert query.row_limit <= manifest.limits.row_limit
    days = dict(manifest.limits.by_purpose).get(query.purpose, manifest.limits.look_back_days)
    assert not searches or back_days <= days
    assert not manifest.undecided
    assert agreement.term.commences_ms <= at_ms
    assert in_years(manifest.term, at_ms)


@few_and_many(given(data=st.data()), 40, 200)
def test_what_is_allowed_lies_inside_agreement_policy_and_law(world, data):
    agreement, at_ms = data.draw(under_parents(world)), data.draw(moments)
    query = data.draw(queries(world, agreement, at_ms))
    rule, via = data.draw(rules), data.draw(vias)
    for one, by in ((query, via), *((spoiled, via) for spoiled in spoils(query)), (query, "other")):
        holds_where_allowed(world, one, agreement, rule, at_ms, by)


def spoils(query):
    """Return the query without one thing that a text may ask for, each in its turn."""
    officer = query.credential
    old = Approval(ApprovalKind.COURT, "a", "1", "2020-01-01")
    yield replace(query, offence="")
    yield replace(query, approval=None)
    yield replace(query, approval=Approval(ApprovalKind.SUPERVISOR, "a", "1", officer.trained_on))
    yield replace(query, approval=old)
    yield replace(query, export=True)
    yield replace(query, export=True, case_number="")
    yield replace(query, reason="")
    yield replace(query, attestations=())
    yield replace(query, purpose="wanted-person")
    yield replace(query, selector=HotListPlate("7ABC123"))
    yield replace(query, row_limit=1000)
    yield replace(query, window=replace(query.window, from_ms=query.window.to_ms - 31 * DAY_MS))
    for changes in ({"course": ""}, {"role": "x"}, {"employment": "contractor"}):
        yield replace(query, credential=replace(officer, **changes))


def holds_where_allowed(world, query, agreement, rule, at_ms, via):
    decision = ask(world, query, agreement, policy_of(rule), at_ms, via=via)
    if not decision.allowed:
        assert decision.code is not None
        assert decision.terms is None
        return
    terms = decision.terms
    assert rule.purposes is None or query.purpose in rule.purposes
    assert terms.max_rows <= (rule.row_limit or terms.max_rows)
    assert not query.export or rule.export is not Export.NEVER
    assert rule.approval is None or query.approval is not None
    asked = len(query.selector.plates) if isinstance(query.selector, PlateList) else 1
    assert asked <= (rule.plates_per_query or asked)
    if rule.hot_list_texts is not None:
        given = {name for name in HOT_LIST_TEXTS if getattr(terms.hot_lists, name)}
        assert given <= rule.hot_list_texts
    texts = [agreement] if agreement.parent is None else [agreement, agreement.parent]
    for one in texts:
        holds_of_the_query(world, query, one, at_ms, via)
        limits = one.manifest.limits
        days = dict(limits.by_purpose).get(query.purpose, limits.look_back_days)
        assert terms.max_rows <= limits.row_limit
        assert asked <= limits.plates_per_query
        assert terms.earliest_ms >= at_ms - min(days, rule.look_back_days or days) * DAY_MS
        territory = one.manifest.provisions.territory
        assert territory is None or terms.withholding.within == territory.areas
        for limit in (one.manifest.fields.redaction, rule.redaction):
            assert terms.redaction.narrowed_by(limit) == terms.redaction
    assert terms.redaction == terms.redaction.without_leaks()


@few_and_many(given(data=st.data()), 40, 200)
def test_what_the_broker_refuses_the_owner_refuses(world, data):
    agreement, at_ms = data.draw(under_parents(world)), data.draw(moments)
    query, via = data.draw(queries(world, agreement, at_ms)), data.draw(vias)
    broker = ask(world, query, agreement, None, at_ms, via=via)
    policy = policy_of(data.draw(st.none() | rules))
    owner = ask(world, query, agreement, policy, at_ms, via=via)
    if not broker.allowed:
        assert (owner.code, owner.section) == (broker.code, broker.section)
    if owner.allowed:
        assert broker.allowed
        # And whoever does not know which broker it was refuses no more than who does.
        assert ask(world, query, agreement, None, at_ms).allowed


@few_and_many(given(data=st.data()), 40, 200)
def test_a_narrower_query_stays_allowed(world, data):
    agreement, at_ms = data.draw(under_parents(world)), data.draw(moments)
    query = data.draw(queries(world, agreement, at_ms))
    policy = policy_of(data.draw(rules))
    before = ask(world, query, agreement, policy, at_ms)
    later = data.draw(st.integers(query.window.from_ms, query.window.to_ms - 1))
    fewer = data.draw(st.integers(1, query.row_limit))
    narrower = replace(query, window=replace(query.window, from_ms=later), row_limit=fewer)
    if before.allowed:
        assert ask(world, narrower, agreement, policy, at_ms).allowed


@few_and_many(given(data=st.data()), 40, 200)
def test_a_stricter_rule_never_allows_more(world, data):
    agreement, at_ms = data.draw(under_parents(world)), data.draw(moments)
    query = data.draw(queries(world, agreement, at_ms))
    rule, other = data.draw(rules), data.draw(rules)

    def meet(one, two):
        return two if one is None else one & (one if two is None else two)

    both = {None: 0, ApprovalKind.SUPERVISOR: 1, ApprovalKind.COURT: 2}
    stricter = PartnerRule(
        "city",
        meet(rule.purposes, other.purposes),
        meet(rule.kinds, other.kinds),
        min(rule.look_back_days or 9999, other.look_back_days or 9999),
        min(rule.row_limit or 9999, other.row_limit or 9999),
        min(rule.plates_per_query or 9999, other.plates_per_query or 9999),
        rule.redaction.narrowed_by(other.redaction),
        hot_list_texts=meet(rule.hot_list_texts, other.hot_list_texts),
        export=max(rule.export, other.export, key=list(Export).index),
        approval=max(rule.approval, other.approval, key=both.__getitem__),
    )
    strict = ask(world, query, agreement, policy_of(stricter), at_ms)
    if strict.allowed:
        wide = ask(world, query, agreement, policy_of(rule), at_ms)
        assert wide.allowed
        assert strict.terms.max_rows <= wide.terms.max_rows
        assert strict.terms.earliest_ms >= wide.terms.earliest_ms
        for name in HOT_LIST_TEXTS:
            if wide.terms.hot_lists and not getattr(wide.terms.hot_lists, name):
                assert not getattr(strict.terms.hot_lists, name)


@few_and_many(given(one=redactions, two=redactions, three=redactions), 40, 200)
def test_narrowing_is_a_meet(one, two, three):
    assert one.narrowed_by(one) == one
    assert one.narrowed_by(two) == two.narrowed_by(one)
    assert one.narrowed_by(two).narrowed_by(three) == one.narrowed_by(two.narrowed_by(three))
    both = one.narrowed_by(two)
    assert both.narrowed_by(one) == both
    assert one.without_leaks().narrowed_by(one) == one.without_leaks()
