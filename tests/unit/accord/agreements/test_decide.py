"""The decision table: what each rule refuses, by which code and which section."""

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from accord.agreements.chain import with_replacements
from accord.agreements.counterparts import Counterpart
from accord.agreements.decide import decide
from accord.agreements.effective import Agreement, effective
from accord.agreements.law.packs import built_in_law
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.policy import parse_policy
from accord.agreements.terms import PhotoSharing
from accord.clock import to_ms
from accord.errors import CATALOGUE, Code
from accord.model import (
    AreaBox,
    AreaCircle,
    AreaPolygon,
    ExactPlate,
    HotListPlate,
    LookAlikePlate,
    PhotoOf,
    PlateList,
    WildcardPlate,
    Window,
)

NOW_MS = to_ms(datetime(2026, 3, 1, 12, tzinfo=UTC))
DAY_MS = 86_400_000


def back(days: int, more_ms: int = 0) -> Window:
    return Window(NOW_MS - days * DAY_MS - more_ms, NOW_MS)


def day(days_ago: int) -> str:
    # The agreement's zone: at 12:00 UTC it is still the same date in Los Angeles.
    return (
        (datetime.fromtimestamp(NOW_MS / 1000, UTC) - timedelta(days=days_ago)).date().isoformat()
    )


AREA = AreaBox(337_000_000, -1183_000_000, 338_000_000, -1182_000_000)


@dataclass(frozen=True)
class Row:
    """One row: what differs from the good query, and what must come of it."""

    name: str
    code: Code | None
    section: str
    query: dict[str, object] = field(default_factory=dict)
    officer: dict[str, object] = field(default_factory=dict)
    manifest: dict[str, object] = field(default_factory=dict)
    edit: tuple[str, str] = ("", "")
    policy: str = ""
    at_ms: int = NOW_MS
    missing: bool = False
    unsigned: str = ""


ONE_WAY = ('direction = "both"', 'direction = "one-way"\nowner = "{}"\nrequester = "{}"')
NONE = {"place": "none", "photo": "none"}
LAPSED = NOW_MS + 3 * 366 * DAY_MS
LATE = {"issued_at_ms": LAPSED - 1, "not_after_ms": LAPSED + 1, "trained_on": day(-1000)}

CIRCLE = AreaCircle(337_500_000, -1_182_600_000, 500)
POLYGON = AreaPolygon(
    ((337_000_000, -1_183_000_000), (337_000_000, -1_182_000_000), (338_000_000, 0))
)


def plates(count):
    return PlateList(tuple(ExactPlate(f"7ABC{number:03}") for number in range(count)))


ROWS = [
    # What is allowed.
    Row("good", None, "II.A"),
    Row("wildcard", None, "II.A", query={"selector": WildcardPlate("7AB*")}),
    Row("hot list", None, "II.A", query={"selector": HotListPlate("7ABC123")}),
    Row("photo", None, "II.A", query={"selector": PhotoOf(bytes(16))}),
    Row("area", None, "II.A", query={"selector": AREA}),
    Row("look-alike", None, "II.A", query={"selector": LookAlikePlate("7ABC123")}),
    Row("circle", None, "II.A", query={"selector": CIRCLE}),
    Row("polygon", None, "II.A", query={"selector": POLYGON}),
    Row("several plates", None, "II.A", query={"selector": plates(5)},
        manifest={"plates_per_query": 5}),
    Row("on behalf of itself", None, "II.A", query={"on_behalf_of": "city"}),
    Row("whole look-back", None, "II.A", query={"window": back(365)}),
    Row("look-back within the grace", None, "II.A", query={"window": back(365, 120_000)}),
    Row("hot list has no window", None, "II.A",
        query={"selector": HotListPlate("7ABC123"), "window": back(900)}),
    Row("whole row limit", None, "II.A", query={"row_limit": 500}),
    Row("trained on the last day", None, "II.A", officer={"trained_on": day(730)}),
    Row("trained today", None, "II.A", officer={"trained_on": day(0)}),
    Row("case optional", None, "II.A", query={"case_number": ""},
        manifest={"case_number": "optional"}),
    Row("reason optional", None, "II.A", query={"reason": ""}, manifest={"reason": "optional"}),
    Row("one way, the right one", None, "II.A",
        edit=(ONE_WAY[0], ONE_WAY[1].format("harbor", "city"))),
    Row("credential just issued", None, "II.A", officer={"issued_at_ms": NOW_MS + 30_000}),
    # The floor.
    Row("civil immigration", Code.PURPOSE_PROHIBITED, "MOA II.A; Cal. Gov. Code 7284.6",
        query={"purpose": "civil-immigration"}),
    Row("criminal immigration", Code.PURPOSE_PROHIBITED, "MOA II.A",
        query={"purpose": "criminal-immigration"}),
    Row("commercial", Code.PURPOSE_PROHIBITED, "MOA II.A; Cal. Civ. Code 1798.90.55",
        query={"purpose": "commercial"}),
    Row("personal", Code.PURPOSE_PROHIBITED, "MOA II.A", query={"purpose": "personal"}),
    Row("prohibited comes first", Code.PURPOSE_PROHIBITED, "MOA II.A", missing=True,
        query={"purpose": "personal"}, officer={"standing": "suspended"}),
    Row("no purpose", Code.PURPOSE_UNKNOWN, "MOA II.A", query={"purpose": ""}),
    Row("capitals", Code.PURPOSE_UNKNOWN, "MOA II.A", query={"purpose": "Stolen-Vehicle"}),
    Row("Unicode hyphen", Code.PURPOSE_UNKNOWN, "MOA II.A",
        query={"purpose": "stolen\u2010vehicle"}),
    Row("Cyrillic letter", Code.PURPOSE_UNKNOWN, "MOA II.A",
        query={"purpose": "st\u043elen-vehicle"}),
    Row("blank around", Code.PURPOSE_UNKNOWN, "MOA II.A", query={"purpose": "stolen-vehicle "}),
    Row("prohibited in capitals", Code.PURPOSE_UNKNOWN, "MOA II.A",
        query={"purpose": "CIVIL-IMMIGRATION"}),
    # The agreement.
    Row("none relied on", Code.NO_AGREEMENT, "MOA II.A", missing=True,
        query={"agreement_digest": b""}),
    Row("relied on, not held here", Code.AGREEMENT_INVALID, "MOA II.A", missing=True,
        query={"agreement_digest": bytes(32)}),
    Row("another digest", Code.AGREEMENT_INVALID, "VIII", query={"agreement_digest": bytes(32)}),
    Row("a third agency's", Code.NO_AGREEMENT, "II.A",
        query={"requesting_agency": "county"}, officer={"agency": "county"}),
    Row("of a third agency", Code.NO_AGREEMENT, "II.A", query={"audience": "county"}),
    Row("single-signed", Code.AGREEMENT_NOT_EXECUTED, "VIII", unsigned="harbor"),
    Row("single-signed by the other", Code.AGREEMENT_NOT_EXECUTED, "VIII", unsigned="city"),
    Row("before the last signature", Code.AGREEMENT_NOT_COMMENCED, "V",
        at_ms=to_ms(datetime(2025, 6, 1, 17, 59, tzinfo=UTC))),
    Row("after its last day", Code.AGREEMENT_EXPIRED, "V", at_ms=LAPSED, officer=LATE),
    # What is asked.
    Row("the other way round", Code.DIRECTION_NOT_AGREED, "II.A",
        edit=(ONE_WAY[0], ONE_WAY[1].format("city", "harbor"))),
    Row("hot list not shared", Code.KIND_NOT_AGREED, "II.A",
        query={"selector": HotListPlate("7ABC123")}, manifest={"kinds": ["reads"]}),
    Row("reads not shared", Code.KIND_NOT_AGREED, "II.A", manifest={"kinds": ["hot-list"]}),
    Row("photos are reads", Code.KIND_NOT_AGREED, "II.A",
        query={"selector": PhotoOf(bytes(16))}, manifest={"kinds": ["hot-list"]}),
    Row("purpose not held", Code.PURPOSE_NOT_AGREED, "II.A", query={"purpose": "missing-person"}),
    Row("purpose taken out", Code.PURPOSE_NOT_AGREED, "II.A",
        manifest={"purposes": ["amber-alert"]}),
    Row("on behalf of a third", Code.ONWARD_SHARING, "MOA II.A",
        query={"on_behalf_of": "county"}),
    Row("on behalf of the owner", Code.ONWARD_SHARING, "MOA II.A",
        query={"on_behalf_of": "harbor"}),
    Row("on behalf of oneself in capitals", Code.ONWARD_SHARING, "MOA II.A",
        query={"on_behalf_of": "City"}),
    Row("no case number", Code.CASE_NUMBER_REQUIRED, "II.A", query={"case_number": ""}),
    Row("a case number of dots", Code.CASE_NUMBER_REQUIRED, "II.A", query={"case_number": " .-"}),
    Row("no reason", Code.REASON_REQUIRED, "II.A", query={"reason": ""}),
    Row("a reason of blanks", Code.REASON_REQUIRED, "II.A", query={"reason": " \t"}),
    # The officer.
    Row("another agency's officer", Code.OFFICER_UNKNOWN, "II.A", officer={"agency": "county"}),
    Row("credential over", Code.CREDENTIAL_EXPIRED, "II.A", officer={"not_after_ms": NOW_MS}),
    Row("credential of tomorrow", Code.CREDENTIAL_EXPIRED, "II.A",
        officer={"issued_at_ms": NOW_MS + 30_001}),
    Row("suspended", Code.OFFICER_NOT_IN_GOOD_STANDING, "II.A", officer={"standing": "suspended"}),
    Row("standing in capitals", Code.OFFICER_NOT_IN_GOOD_STANDING, "II.A",
        officer={"standing": "Good"}),
    Row("no standing", Code.OFFICER_NOT_IN_GOOD_STANDING, "II.A", officer={"standing": ""}),
    Row("trained a day too long ago", Code.TRAINING_LAPSED, "II.A",
        officer={"trained_on": day(731)}),
    Row("trained tomorrow", Code.TRAINING_LAPSED, "II.A", officer={"trained_on": day(-1)}),
    Row("never trained", Code.TRAINING_LAPSED, "II.A", officer={"trained_on": ""}),
    Row("trained on no such day", Code.TRAINING_LAPSED, "II.A",
        officer={"trained_on": "2026-02-30"}),
    Row("trained in another notation", Code.TRAINING_LAPSED, "II.A",
        officer={"trained_on": "20260201"}),
    Row("officer without the purpose", Code.OFFICER_PURPOSE, "II.A",
        officer={"purposes": ("wanted-person",)}),
    # Limits and fields.
    Row("too far back", Code.LOOK_BACK_EXCEEDED, "II.B", query={"window": back(365, 120_001)}),
    Row("area too far back", Code.LOOK_BACK_EXCEEDED, "II.B",
        query={"selector": AREA, "window": back(366)}),
    Row("too many rows", Code.ROW_LIMIT_EXCEEDED, "II.B", query={"row_limit": 501}),
    Row("several plates that nobody agreed on", Code.PLATES_NOT_AGREED, "II.B",
        query={"selector": plates(2)}),
    Row("more plates than agreed", Code.PLATES_NOT_AGREED, "II.B", query={"selector": plates(6)},
        manifest={"plates_per_query": 5}),
    Row("look-alikes too far back", Code.LOOK_BACK_EXCEEDED, "II.B",
        query={"selector": LookAlikePlate("7ABC123"), "window": back(366)}),
    Row("circle without place", Code.FIELD_NOT_SHARED, "I.C", query={"selector": CIRCLE},
        manifest=NONE),
    Row("polygon without place", Code.FIELD_NOT_SHARED, "I.C", query={"selector": POLYGON},
        manifest=NONE),
    Row("area without place", Code.FIELD_NOT_SHARED, "I.C", query={"selector": AREA},
        manifest=NONE),
    Row("photo not shared", Code.FIELD_NOT_SHARED, "I.C", query={"selector": PhotoOf(bytes(16))},
        manifest=NONE),
    # The owner's policy.
    Row("policy: purposes", Code.LOCAL_POLICY, "II.B", policy='purposes = ["wanted-person"]'),
    Row("policy: kinds", Code.LOCAL_POLICY, "II.B", policy='kinds = ["hot-list"]'),
    Row("policy: look-back", Code.LOCAL_POLICY, "II.B", policy="look_back_days = 29"),
    Row("policy: area", Code.LOCAL_POLICY, "II.B", query={"selector": AREA},
        policy='place = "none"'),
    Row("policy: circle", Code.LOCAL_POLICY, "II.B", query={"selector": CIRCLE},
        policy='place = "none"'),
    Row("policy: several plates", Code.LOCAL_POLICY, "II.B", query={"selector": plates(3)},
        manifest={"plates_per_query": 5}, policy="plates_per_query = 2"),
    Row("policy: as many plates", None, "II.A", query={"selector": plates(2)},
        manifest={"plates_per_query": 5}, policy="plates_per_query = 2"),
    Row("policy: no more plates than agreed", Code.PLATES_NOT_AGREED, "II.B",
        query={"selector": plates(3)}, policy="plates_per_query = 50"),
    Row("policy: photo", Code.LOCAL_POLICY, "II.B", query={"selector": PhotoOf(bytes(16))},
        policy='photo = "none"'),
    Row("policy: look-back is enough", None, "II.A", policy="look_back_days = 30"),
    Row("policy: rows are given in pages", None, "II.A", policy="row_limit = 5"),
]  # fmt: skip


def decide_row(world, row):
    text = world.text(**row.manifest).decode()
    assert row.edit[0] in text
    manifest = parse_manifest(
        text.replace(*row.edit, 1).encode() if row.edit[0] else text.encode(), "x"
    )
    signers = [p.id for p in manifest.parties if p.id != row.unsigned]
    agreement = Agreement(manifest, tuple(world.counterpart(manifest, s) for s in signers))
    query = world.query(agreement, officer=row.officer, **row.query)
    return [
        world.ask(query, None if row.missing else agreement, policy, row.at_ms)
        for policy in (row.policy, None)
    ]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_decision(world, row):
    owner, broker = decide_row(world, row)
    assert (owner.code, owner.section) == (row.code, row.section)
    assert owner.allowed is (row.code is None)
    if row.code is Code.LOCAL_POLICY:
        assert broker.allowed
    else:
        assert (broker.code, broker.section) == (row.code, row.section)
    assert broker.terms is None
    if row.code is None:
        assert owner.terms is not None
        assert owner.reason == ""
    else:
        assert owner.terms is None
        refused = owner.refusal()
        assert (refused.code, refused.section) == (row.code, row.section)
        assert refused.text == owner.reason.strip() != ""


def test_an_agreement_with_an_undecided_question_allows_nothing(world):
    text = world.text().replace(b'extension = "none"', b'extension = "undecided"')
    manifest = parse_manifest(text, "x")
    signed = tuple(Counterpart(p.id, "X", "Y", NOW_MS - DAY_MS) for p in manifest.parties)
    agreement = Agreement(manifest, signed)
    for policy in ("", None):
        decision = world.ask(world.query(agreement), agreement, policy)
        assert (decision.code, decision.section) == (Code.AGREEMENT_NOT_COMMENCED, "V")
        assert "leaves a question to counsel, term.extension" in decision.reason


def test_the_table_is_long_enough():
    assert len(ROWS) >= 60
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_a_refusal_names_whom_to_talk_to(world):
    agreement = world.agreement()
    owner = world.ask(world.query(agreement, purpose="missing-person"), agreement)
    assert owner.contact == "alpr@harbor.example"
    own = world.ask(world.query(agreement, officer={"standing": "left"}), agreement)
    assert own.contact == "alpr@city.example"
    # What the query itself lacks, the officer's own agency can help with.
    for lacking in ({"case_number": ""}, {"reason": ""}, {"attestations": ()}):
        told = world.ask(world.query(agreement, **lacking), agreement)
        assert (told.allowed, told.contact) == (False, "alpr@city.example")


def test_the_policys_reason_is_generic_and_its_detail_is_not(world):
    agreement = world.agreement()
    decision = world.ask(world.query(agreement), agreement, 'purposes = ["wanted-person"]')
    assert decision.reason == CATALOGUE[Code.LOCAL_POLICY].text
    assert decision.refusal().detail == "purposes"
    assert "purposes" not in str(decision.refusal())


def test_a_partner_that_is_not_listed_gets_nothing(world):
    agreement = world.agreement(world.manifest("city", "harbor", "county"))
    query = world.query(agreement, officer={"agency": "county"}, requesting_agency="county")
    assert world.ask(query, agreement, None).allowed
    assert world.ask(query, agreement).code is Code.LOCAL_POLICY


def test_another_agencys_policy_allows_nothing(world):
    agreement = world.agreement()
    query = world.query(agreement)
    text = world.ask.__globals__["POLICY"].replace('"harbor"', '"county"').format(narrowing="")
    assert world.ask(query, agreement, text).code is Code.LOCAL_POLICY


def test_only_law_enforcement_may_ask(world):
    agreement = world.agreement(world.manifest("hub", "harbor"))
    query = world.query(agreement, officer={"agency": "hub"}, requesting_agency="hub")
    decision = world.ask(query, agreement)
    assert (decision.code, decision.section) == (
        Code.LAW_FORBIDS,
        "MOA II.A; Cal. Civ. Code 1798.90.55",
    )


def test_facts_about_another_agency_are_not_the_requesters(world):
    agreement = world.agreement()
    decision = world.ask(world.query(agreement), agreement, requester="county")
    assert decision.code is Code.ONWARD_SHARING


def test_an_agency_whose_file_has_expired_asks_nobody_else(world):
    agreement = world.agreement()
    query = world.query(agreement)
    folded = effective(agreement, "city", "harbor", NOW_MS)
    for expires_ms, code in ((NOW_MS, Code.NODE_UNKNOWN), (NOW_MS + 1, None)):
        city = replace(world.agencies["city"], expires_at_ms=expires_ms)
        facts = {"requester": city, "owner": world.agencies["harbor"], "law": built_in_law()}
        assert decide(query, folded, None, NOW_MS, **facts).code is code


def test_an_agency_whose_file_is_not_held_is_not_asked(world):
    agreement = world.agreement()
    query = world.query(agreement)
    folded = effective(agreement, "city", "harbor", NOW_MS)
    for owner, code in (
        (None, Code.NODE_UNKNOWN),
        (world.agencies["county"], Code.NODE_UNKNOWN),
        (world.agencies["harbor"], None),
    ):
        facts = {"requester": world.agencies["city"], "owner": owner, "law": built_in_law()}
        assert decide(query, folded, None, NOW_MS, **facts).code is code


def test_a_fold_for_another_pair_or_moment_is_worth_nothing(world):
    agreement = world.agreement()
    query = world.query(agreement)
    policy = parse_policy(
        world.ask.__globals__["POLICY"].format(narrowing="").encode(), "policy.toml"
    )
    city, harbor = world.agencies["city"], world.agencies["harbor"]
    facts = {"requester": city, "owner": harbor, "law": built_in_law()}
    for folded in (
        effective(agreement, "harbor", "city", NOW_MS),
        effective(agreement, "city", "harbor", NOW_MS - 1),
    ):
        decision = decide(query, folded, policy, NOW_MS, **facts)
        assert decision.code is Code.AGREEMENT_INVALID


def test_a_later_revision_replaces_an_older_wider_one(world):
    wide = world.agreement(world.manifest(look_back_days=3650))
    narrow = world.agreement(
        world.manifest(revision=2, replaces=wide.manifest.digest, look_back_days=30)
    )
    later = world.manifest(revision=3, replaces=narrow.manifest.digest)
    draft = Agreement(later, ())
    old, new, unsigned = with_replacements((wide, narrow, draft), (wide, narrow, draft))
    assert unsigned.replaced_ms is None
    assert world.ask(world.query(new), new).allowed
    decision = world.ask(world.query(old), old)
    assert decision.code is Code.AGREEMENT_INVALID
    assert "later revision" in decision.reason


def test_others_with_the_same_id_replace_nothing(world):
    ours = world.agreement()
    theirs = world.agreement(world.manifest("city", "county", revision=9, replaces=bytes(32)))
    assert with_replacements((ours, theirs), (ours, theirs))[0].replaced_ms is None


def test_the_terms_are_the_agreements_narrowed_by_the_policy(world):
    agreement = world.agreement()
    policy = 'row_limit = 5\nlook_back_days = 90\ntime = "hour"\ncamera = "none"\nplace = "100 m"'
    terms = world.ask(world.query(agreement), agreement, policy).terms
    assert terms.max_rows == 5
    assert terms.earliest_ms == NOW_MS - 90 * DAY_MS
    assert terms.redaction.time_step_ms == 3_600_000
    assert terms.redaction.place_within_m == 500
    assert terms.redaction.camera == "none"
    assert terms.withholding.plates == {"7ZZZ999"}
    assert (terms.keep_days, terms.keep_section) == (60, "IV")


def test_a_wider_policy_has_no_effect(world):
    agreement = world.agreement()
    policy = 'row_limit = 1000\nlook_back_days = 3650\ntime = "exact"\nphoto = "shared"'
    terms = world.ask(world.query(agreement), agreement, policy).terms
    assert (terms.max_rows, terms.earliest_ms) == (500, NOW_MS - 365 * DAY_MS)
    assert terms.redaction == agreement.manifest.fields.redaction


@pytest.mark.parametrize(
    "narrowing",
    [
        'time = "hour"',
        'place = "500 m"',
        'place = "none"',
        'camera = "pseudonym"',
        'camera = "none"',
    ],
)
def test_a_policy_that_redacts_what_photos_show_masks_them(world, narrowing):
    agreement = world.agreement(time="exact", place="exact", camera="exact", photo="shared")
    query = world.query(agreement)
    assert world.ask(query, agreement).terms.redaction.photo is PhotoSharing.SHARED
    assert world.ask(query, agreement, narrowing).terms.redaction.photo is PhotoSharing.MASKED


def test_a_refusal_can_not_be_made_of_an_allowance(world):
    agreement = world.agreement()
    with pytest.raises(ValueError, match="not refused"):
        world.ask(world.query(agreement), agreement).refusal()


def test_no_refusal_repeats_what_was_asked(world):
    agreement = world.agreement()
    good = world.query(agreement, selector=ExactPlate("7SECRET"))
    for bad in (
        replace(good, purpose="7SECRET"),
        replace(good, on_behalf_of="7SECRET"),
        replace(good, row_limit=1000),
        replace(good, credential=replace(good.credential, standing="7SECRET")),
        replace(good, credential=replace(good.credential, trained_on="7SECRET")),
    ):
        decision = world.ask(bad, agreement)
        assert not decision.allowed
        assert "7SECRET" not in repr(decision)


def test_a_decision_takes_microseconds(world):
    agreement = world.agreement()
    query = world.query(agreement)
    policy = parse_policy(
        world.ask.__globals__["POLICY"].format(narrowing="").encode(), "policy.toml"
    )
    city, harbor = world.agencies["city"], world.agencies["harbor"]
    facts = {"requester": city, "owner": harbor, "law": built_in_law()}
    took = []
    for _ in range(2000):
        start = time.perf_counter_ns()
        folded = effective(agreement, "city", "harbor", NOW_MS)
        decide(query, folded, policy, NOW_MS, **facts)
        took.append(time.perf_counter_ns() - start)
    median_us = sorted(took)[1000] / 1000
    # The aim is 50; the bench measures it. Ten times that is a mistake, not noise.
    assert median_us < 500
