"""When what is due, and which statute or key of the policy says so."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.agreements.law.packs import built_in_law
from accord.agreements.law.rules import Covers, Owner, Retention, Rule
from accord.agreements.policy import RetentionDays
from accord.agreements.retention import DAY_MS, DataKind, Facts, due, limits
from tests.unit.accord.agreements.test_law import rules_of

MINUTE_MS = 60_000
LONG = RetentionDays(3650, 3650, 3650)
READ, HIT = Facts(0), Facts(0, hit=True)


class OfState(Owner):
    """An agency as far as the law looks at it."""

    def __init__(self, state: str, kind: str = "police") -> None:
        self._state, self._kind = state, kind

    @property
    def id(self) -> str:
        return "city"

    @property
    def kind(self) -> str:
        return self._kind

    @property
    def state(self) -> str:
        return self._state


def bound(state: str, kind: str = "police") -> tuple[Rule, ...]:
    own = OfState(state, kind)
    return built_in_law().binding(own, own, date(2026, 1, 2))


@pytest.mark.parametrize(
    ("state", "kind", "keep_ms", "section"),
    [
        ("NH", "police", 3 * MINUTE_MS, "N.H. RSA 261:75-b"),
        ("ME", "police", 21 * DAY_MS, "29-A M.R.S. 2117-A"),
        ("VA", "police", 21 * DAY_MS, "Va. Code 2.2-5517"),
        ("MN", "sheriff", 60 * DAY_MS, "Minn. Stat. 13.824, subd. 3"),
        ("MT", "police", 90 * DAY_MS, "Mont. Code Ann. 46-5-118"),
        ("NC", "police", 90 * DAY_MS, "N.C. Gen. Stat. 20-183.32"),
        ("TN", "police", 90 * DAY_MS, "Tenn. Code Ann. 55-10-302"),
        ("AR", "police", 150 * DAY_MS, "Ark. Code 12-12-1804"),
        ("NE", "police", 180 * DAY_MS, "Neb. Rev. Stat. 60-3204(1)"),
        ("UT", "police", 273 * DAY_MS, "Utah Code 41-6a-2004"),
        ("VT", "police", (365 + 181) * DAY_MS, "23 V.S.A. 1607"),
        ("GA", "police", (2 * 365 + 181) * DAY_MS, "O.C.G.A. 35-1-22"),
        ("CO", "police", 3 * 365 * DAY_MS, "Colo. Rev. Stat. 24-72-113"),
        ("CA", "state-police", 60 * DAY_MS, "Cal. Veh. Code 2413"),
        ("CA", "police", 3650 * DAY_MS, "policy.toml [retention] reads_days"),
        ("NV", "police", 3650 * DAY_MS, "policy.toml [retention] reads_days"),
    ],
)
def test_each_states_maximum_is_data_with_its_statute(
    state: str, kind: str, keep_ms: int, section: str
) -> None:
    found = due(DataKind.READS, READ, limits(LONG, bound(state, kind)))
    assert (found.due_ms, found.limit.section) == (keep_ms, section)


def test_a_policy_that_is_stricter_than_the_law_is_named() -> None:
    kept = limits(RetentionDays(20, 90, 5), bound("VA"))
    for kind in (DataKind.READS, DataKind.PHOTOS):
        found = due(kind, READ, kept)
        assert (found.due_ms, found.limit.section) == (
            20 * DAY_MS,
            "policy.toml [retention] reads_days",
        )
    # Where both are alike the law is named, since no policy can change it.
    alike = due(DataKind.READS, READ, limits(RetentionDays(21, 90, 5), bound("VA")))
    assert alike.limit.section == "Va. Code 2.2-5517"


@pytest.mark.parametrize(
    ("days", "hit_read_days", "hit_days"),
    [
        (RetentionDays(60, 30, 5, 30), 30, 30),
        (RetentionDays(60, 30, 5), 60, 60),
        (RetentionDays(20, 30, 5, 30), 20, 20),
    ],
)
def test_in_new_hampshire_a_read_is_kept_for_its_hit_alone(
    days: RetentionDays, hit_read_days: int, hit_days: int
) -> None:
    kept = limits(days, bound("NH"))
    assert due(DataKind.READS, READ, kept).due_ms == 3 * MINUTE_MS
    assert due(DataKind.PHOTOS, READ, kept).due_ms == 3 * MINUTE_MS
    assert due(DataKind.READS, HIT, kept).due_ms == hit_read_days * DAY_MS
    assert due(DataKind.HITS, HIT, kept).due_ms == hit_days * DAY_MS
    assert due(DataKind.PHOTOS, HIT, kept).due_ms == min(30, hit_read_days) * DAY_MS


def test_elsewhere_a_hit_lifts_nothing() -> None:
    kept = limits(RetentionDays(60, 30, 5, 10), bound("ME"))
    assert due(DataKind.READS, HIT, kept) == due(DataKind.READS, READ, kept)
    assert due(DataKind.HITS, HIT, kept).due_ms == 10 * DAY_MS


few = st.integers(0, 100)
COVERS = [
    frozenset(Covers),
    frozenset({Covers.READS}),
    frozenset({Covers.PHOTOS}),
    frozenset({Covers.READS, Covers.HITS}),
    frozenset({Covers.READS, Covers.PHOTOS}),
]
some_days = st.integers(1, 100).map(lambda count: count * DAY_MS)
DAYS = st.builds(RetentionDays, few, few, few, st.none() | few)
DEMANDS = st.lists(
    st.builds(
        Retention,
        st.integers(1, 100).map(lambda n: n * DAY_MS),
        st.just(""),
        st.sampled_from(COVERS),
    ),
    max_size=3,
)


def with_demands(demands: list[Retention]) -> list[Rule]:
    (rule,) = (rule for rule in rules_of("us-nh") if rule.id == "retention")
    return [replace(rule, demand=demand) for demand in demands]


@given(DAYS, DEMANDS, st.booleans(), st.integers(0, 10 * DAY_MS))
def test_nothing_outlives_policy_or_law(
    days: RetentionDays, demands: list[Retention], hit: bool, at_ms: int
) -> None:
    kept, facts = limits(days, with_demands(demands)), Facts(at_ms, hit=hit)
    read, of_hit, photo = (
        due(kind, facts, kept).due_ms - at_ms
        for kind in (DataKind.READS, DataKind.HITS, DataKind.PHOTOS)
    )
    assert max(of_hit, photo) <= read <= days.reads_days * DAY_MS
    assert photo <= days.photos_days * DAY_MS
    # The purge goes by the limits alone.
    assert kept.hits.keep_ms <= kept.hit_reads.keep_ms
    assert days.hits_days is None or of_hit <= days.hits_days * DAY_MS
    for law in demands:
        assert Covers.PHOTOS not in law.covers or photo <= law.keep_ms
        assert Covers.HITS not in law.covers or max(read, of_hit) <= law.keep_ms
        if Covers.READS in law.covers:
            # Past the law on reads there is a read only while its hit is there.
            assert read <= max(law.keep_ms, of_hit if hit else 0)


@given(DAYS, DEMANDS, DEMANDS, st.booleans(), st.sampled_from(DataKind))
def test_one_law_more_never_keeps_anything_longer(
    days: RetentionDays, some: list[Retention], more: list[Retention], hit: bool, kind: DataKind
) -> None:
    facts = Facts(0, hit=hit)
    few_laws = due(kind, facts, limits(days, with_demands(some)))
    assert due(kind, facts, limits(days, with_demands(some + more))).due_ms <= few_laws.due_ms
