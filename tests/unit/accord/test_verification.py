"""Trust in queries and answers: each rule of accord/verification.py, held and broken."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from accord.agencies import Agency
from accord.audit.leaf import commit, new_salts
from accord.codec import encode_credential, encode_query, envelope_to_bytes
from accord.codec_answer import encode_answer, encode_body, encode_refusal
from accord.envelope import (
    ANSWER,
    CREDENTIAL,
    QUERY,
    REFUSAL,
    Envelope,
    Signature,
    add_signature,
    digest,
    sign,
)
from accord.errors import Code, Refused, Unverified
from accord.hot_lists import HotListEntry
from accord.keys import PrivateKey
from accord.model import (
    AnswerBody,
    AreaBox,
    AreaCircle,
    AreaPolygon,
    Credential,
    Duty,
    ExactPlate,
    Field,
    HotListPlate,
    LookAlikePlate,
    Photo,
    PhotoOf,
    Place,
    PlateList,
    Query,
    Receipt,
    RefusalBody,
    Selector,
    SharedRead,
    Vehicle,
    WildcardPlate,
    Window,
)
from accord.roster import Officer, issue_credential
from accord.verification import verify_answer, verify_query, verify_refusal

T = 1_790_000_000_000
MINUTE = 60_000
PLATE = "9TST001"
AGREEMENT = hashlib.sha256(b"agreement").digest()


@dataclass(frozen=True)
class Keys:
    """One agency's keys, and the agency as others know it."""

    node: PrivateKey
    desk: PrivateKey
    agency: Agency


def keys_of(name: str) -> Keys:
    node, desk = PrivateKey.generate(), PrivateKey.generate()
    agency = Agency(
        id=name,
        number=1,
        name=name,
        kind="police",
        state="CA",
        contact="nobody",
        root="0" * 64,
        cas=(),
        keys={"node": (node.public,), "personnel": (desk.public,)},
        endpoints=(),
        payload_versions=("query.v1",),
        issued_at_ms=T - MINUTE,
        expires_at_ms=T + 86_400_000,
        revoked=frozenset(),
    )
    return Keys(node, desk, agency)


HARBOR, CITY = keys_of("harbor"), keys_of("city")
AGENCIES = {"harbor": HARBOR.agency, "city": CITY.agency}
OFFICER = PrivateKey.generate()
ON_ROSTER = Officer("O-1", "Officer One", "detective", "good", "2026-01-01", frozenset({"x"}))


def credential(
    *, by: PrivateKey = HARBOR.desk, agency: str = "harbor", issued_ms: int = T, hours: float = 12
) -> Envelope:
    return issue_credential(ON_ROSTER, agency, OFFICER.public, issued_ms, hours, by)


EXACT = ExactPlate(PLATE, "CA")


def query(selector: Selector = EXACT, **changes: object) -> Query:
    fields: dict[str, object] = {
        "query_id": b"q" * 16,
        "nonce": b"n" * 16,
        "issued_at_ms": T,
        "not_after_ms": T + MINUTE,
        "requesting_agency": "harbor",
        "audience": "city",
        "credential": None,
        "purpose": "stolen-vehicle",
        "case_number": "T-1",
        "reason": "test",
        "on_behalf_of": "",
        "agreement_digest": AGREEMENT,
        "selector": selector,
        "window": Window(T - 60 * MINUTE, T),
        "fields": tuple(Field),
        "row_limit": 3,
    }
    return Query(**(fields | changes))  # type: ignore[arg-type]


def signed(asked: Query, *signers: PrivateKey, given: Envelope | None = None) -> Envelope:
    payload = encode_query(asked, envelope_to_bytes(given or credential()))
    return sign(QUERY, payload, *(signers or (OFFICER, HARBOR.node)))


# Queries.


def test_a_query_by_officer_and_home_node_is_taken() -> None:
    verified = verify_query(signed(query()), AGENCIES, T)
    assert verified.home is HARBOR.agency
    assert verified.query.selector == ExactPlate(PLATE, "CA")


@pytest.mark.parametrize("order", [("aaa", "harbor"), ("harbor", "aaa")])
@pytest.mark.parametrize("roles", [("node",), ("node", "personnel")])
def test_an_agency_that_publishes_anothers_keys_gains_nothing(
    order: tuple[str, ...], roles: tuple[str, ...]
) -> None:
    """Neither does it speak for the other, nor does it keep the other from asking."""
    own = keys_of("aaa").agency
    stolen = {role: HARBOR.agency.keys[role] for role in roles}
    known = {"aaa": replace(own, keys={**own.keys, **stolen}), "harbor": HARBOR.agency}
    agencies = {name: known[name] for name in order}
    assert verify_query(signed(query()), agencies, T).home is HARBOR.agency
    with pytest.raises((Unverified, Refused)):
        verify_query(signed(query(requesting_agency="aaa")), agencies, T)


OTHER = PrivateKey.generate()
LONG = sign(
    CREDENTIAL,
    encode_credential(
        Credential("harbor", "O-1", "Officer One", "detective", OFFICER.public.der, T,
                   T + 12 * 60 * MINUTE + 1, "2026-01-01", "good", ())
    ),
    HARBOR.desk,
)  # fmt: skip


@pytest.mark.parametrize(
    ("envelope", "code"),
    [
        (lambda: signed(query(), OFFICER), Code.SIGNATURE_INVALID),
        (lambda: signed(query(), HARBOR.node), Code.SIGNATURE_INVALID),
        (lambda: signed(query(), OTHER, HARBOR.node), Code.SIGNATURE_INVALID),
        (lambda: signed(query(), OFFICER, HARBOR.desk), Code.SIGNATURE_INVALID),
        (lambda: signed(query(), OFFICER, HARBOR.node, given=credential(by=OTHER)),
         Code.SIGNATURE_INVALID),
        (lambda: signed(query(), given=credential(by=CITY.desk)), Code.SIGNATURE_INVALID),
        (lambda: signed(query(), given=LONG), Code.MALFORMED),
    ],
    ids=["no home node", "no officer", "another officer", "desk for node", "no desk",
         "another agency's desk", "a credential for longer than 12 hours"],
)  # fmt: skip
def test_a_query_that_lacks_a_signature_is_not_taken(
    envelope: Callable[[], Envelope], code: Code
) -> None:
    with pytest.raises(Unverified) as unverified:
        verify_query(envelope(), AGENCIES, T)
    assert unverified.value.code is code


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (query(requesting_agency="city"), Code.ONWARD_SHARING),
        (query(not_after_ms=T + MINUTE + 1), Code.BAD_QUERY),
        (query(not_after_ms=T), Code.BAD_QUERY),
        (query(row_limit=0), Code.BAD_QUERY),
        (query(row_limit=1001), Code.BAD_QUERY),
        (query(nonce=b"n" * 15), Code.BAD_QUERY),
        (query(agreement_digest=b"a" * 31), Code.BAD_QUERY),
        (query(window=Window(T, T)), Code.BAD_QUERY),
        (query(window=Window(0, T)), Code.BAD_QUERY),
        (query(reason="two\nlines"), Code.BAD_QUERY),
        (query(case_number="x" * 501), Code.BAD_QUERY),
        (query(attestations=tuple(f"a{n}" for n in range(33))), Code.BAD_QUERY),
        (query(attestations=("x" * 65,)), Code.BAD_QUERY),
        (query(attestations=("two\nlines",)), Code.BAD_QUERY),
        (query(cursor=b"c" * 201), Code.BAD_QUERY),
        (query(ExactPlate("9tst001", "CA")), Code.BAD_QUERY),
        (query(ExactPlate("9T\u0405T001")), Code.BAD_QUERY),
        (query(WildcardPlate("*A*", "")), Code.BAD_QUERY),
        (query(WildcardPlate("9-TST*", "")), Code.BAD_QUERY),
        (query(AreaBox(2, 1, 1, 2)), Code.BAD_QUERY),
        (query(PhotoOf(b"r" * 15)), Code.BAD_QUERY),
    ],
)
def test_a_query_past_a_limit_is_refused(asked: Query, code: Code) -> None:
    with pytest.raises(Refused) as refused:
        verify_query(signed(asked), AGENCIES, T)
    assert refused.value.code is code
    assert PLATE not in str(refused.value)


@pytest.mark.parametrize(
    ("now_ms", "code"),
    [
        (T - 30_000, None),
        (T - 30_001, Code.STALE),
        (T + MINUTE + 30_000, None),
        (T + MINUTE + 30_001, Code.STALE),
    ],
)
def test_a_query_is_fresh_or_refused(now_ms: int, code: Code | None) -> None:
    envelope = signed(query(), given=credential(issued_ms=T - 60 * MINUTE))
    if code is None:
        assert verify_query(envelope, AGENCIES, now_ms).digest == digest(envelope)
        return
    with pytest.raises(Refused) as refused:
        verify_query(envelope, AGENCIES, now_ms)
    assert refused.value.code is code


@pytest.mark.parametrize(
    ("issued_ms", "taken"),
    [
        (T - 12 * 60 * MINUTE, True),
        (T - 12 * 60 * MINUTE - 1, False),
        (T + 30_000, True),
        (T + 30_001, False),
    ],
)
def test_a_credential_is_good_for_its_time(issued_ms: int, taken: bool) -> None:
    envelope = signed(query(), given=credential(issued_ms=issued_ms))
    if taken:
        assert verify_query(envelope, AGENCIES, T).home.id == "harbor"
        return
    with pytest.raises(Refused, match="CREDENTIAL_EXPIRED"):
        verify_query(envelope, AGENCIES, T)


# Answers.


def read(number: int, **changes: object) -> SharedRead:
    fields: dict[str, object] = {
        "read_id": bytes([number]) * 16,
        "originator": "city",
        "plate": PLATE,
        "state": "CA",
        "captured_ms": T - number * MINUTE,
        "time_step_ms": MINUTE,
        "place": None,
        "camera": "",
        "camera_is_pseudonym": False,
        "vehicle": None,
        "confidence_pm": 0,
        "photo_digest": b"",
    }
    return SharedRead(**(fields | changes))  # type: ignore[arg-type]


def body(asked: Query, asked_digest: bytes, **changes: object) -> AnswerBody:
    fields: dict[str, object] = {
        "query_digest": asked_digest,
        "query_id": asked.query_id,
        "agency": "city",
        "requesting_agency": "harbor",
        "agreement_digest": AGREEMENT,
        "answered_at_ms": T + 1000,
        "reads": (read(1), read(2)),
    }
    return AnswerBody(**(fields | changes))  # type: ignore[arg-type]


ASKED = query()
DIGEST = digest(signed(ASKED))


def answered(
    given: AnswerBody, *, by: PrivateKey = CITY.node, origin: str = "city/node",
    committed: bytes | None = None,
) -> Envelope:  # fmt: skip
    data = encode_body(given)
    fields = {
        "query_digest": given.query_digest.hex(),
        "answer_digest": hashlib.sha256(committed or data).hexdigest(),
    }
    salts = new_salts(fields)
    leaf = commit(fields, salts)
    receipt = Receipt(origin, 7, leaf, salts["query_digest"], salts["answer_digest"])
    return sign(ANSWER, encode_answer(data, receipt), by)


def test_an_answer_of_the_agency_asked_is_shown() -> None:
    found = verify_answer(answered(body(ASKED, DIGEST)), ASKED, DIGEST, CITY.agency)
    assert [r.read_id for r in found.body.reads] == [b"\1" * 16, b"\2" * 16]
    assert found.log_index == 7


ENTRY = HotListEntry("stolen", "bureau", PLATE, "CA", "stolen-vehicle", T, 60)
MORE: dict[str, object] = {"complete": False, "next_cursor": b"c"}
BAD: dict[str, dict[str, object]] = {
    "another query": {"query_digest": b"x" * 32},
    "another query id": {"query_id": b"x" * 16},
    "another agency": {"agency": "county"},
    "another requester": {"requesting_agency": "county"},
    "another agreement": {"agreement_digest": b"x" * 32},
    "more rows than asked for": {"reads": tuple(read(n) for n in range(1, 5))},
    "a cursor though complete": {"next_cursor": b"c"},
    "truncated without a cursor": {"complete": False},
    "one read twice": {"reads": (read(1), read(1))},
    "rows out of order": {"reads": (read(2), read(1))},
    "another originator": {"reads": (read(1, originator="county"),)},
    "a short read id": {"reads": (read(1, read_id=b"r" * 15),)},
    "no time step": {"reads": (read(1, time_step_ms=0),)},
    "another plate": {"reads": (read(1, plate="9TST002"),)},
    "another state": {"reads": (read(1, state="NV"),)},
    "before the window": {"reads": (read(1, captured_ms=T - 61 * MINUTE),)},
    "at the window's end": {"reads": (read(1, captured_ms=T),)},
    "a hot-list entry": {"entries": ((ENTRY, False),)},
    "a photo": {"photo": Photo(b"r" * 16, "image/jpeg", b"x")},
    "complete and a frontier": {"frontier_ms": T - 2 * MINUTE},
    "a frontier later than its rows": {**MORE, "frontier_ms": 1 << 40},
    "a frontier before its rows": {**MORE, "frontier_ms": T - 3 * MINUTE},
    "truncated without a row": {**MORE, "reads": (), "frontier_ms": T - 2 * MINUTE},
    "dated long after": {"answered_at_ms": T + 2 * MINUTE + 1},
}


@pytest.mark.parametrize("name", BAD)
def test_an_answer_that_breaks_a_rule_is_not_shown(name: str) -> None:
    envelope = answered(body(ASKED, DIGEST, **BAD[name]))
    with pytest.raises(Unverified) as unverified:
        verify_answer(envelope, ASKED, DIGEST, CITY.agency)
    assert unverified.value.code is Code.ANSWER_UNVERIFIED
    assert PLATE not in str(unverified.value)


def test_a_page_ends_at_its_oldest_row() -> None:
    page = body(ASKED, DIGEST, **MORE, frontier_ms=T - 2 * MINUTE)
    assert verify_answer(answered(page), ASKED, DIGEST, CITY.agency).body.frontier_ms == (
        page.reads[-1].captured_ms
    )


LONG_AFTER = 253_402_300_800_000


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"duty": Duty(LONG_AFTER - 1, "IV" * 250)}, None),
        ({"duty": Duty(LONG_AFTER, "IV")}, Code.MALFORMED),
        ({"duty": Duty(-1, "IV")}, Code.MALFORMED),
        ({"duty": Duty(T, "x" * 501)}, Code.MALFORMED),
        ({"answered_at_ms": -1}, Code.MALFORMED),
        ({"reads": (read(1, captured_ms=LONG_AFTER),)}, Code.MALFORMED),
        ({"reads": (read(1, camera="x" * 501),)}, Code.MALFORMED),
        ({"reads": (read(1, vehicle=Vehicle("x" * 501)),)}, Code.MALFORMED),
        ({"entries": ((replace(ENTRY, source="x" * 501), True),)}, Code.MALFORMED),
        ({"entries": ((replace(ENTRY, published_ms=LONG_AFTER), True),)}, Code.MALFORMED),
        ({"photo": Photo(b"r" * 16, "image/jpeg", b"x" * 1_000_000)}, Code.TOO_LARGE),
    ],
)
def test_what_no_screen_or_book_can_hold_is_not_shown(
    changes: dict[str, object], code: Code | None
) -> None:
    envelope = answered(body(ASKED, DIGEST, **changes))
    if code is None:
        assert verify_answer(envelope, ASKED, DIGEST, CITY.agency).body.duty is not None
        return
    with pytest.raises(Unverified) as unverified:
        verify_answer(envelope, ASKED, DIGEST, CITY.agency)
    assert unverified.value.code is code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"by": HARBOR.node}, Code.SIGNATURE_INVALID),
        ({"by": CITY.desk}, Code.SIGNATURE_INVALID),
        ({"origin": "county/node"}, Code.ANSWER_UNVERIFIED),
        ({"committed": b"other bytes"}, Code.ANSWER_UNVERIFIED),
    ],
    ids=["another agency's node", "not the node's key", "another log", "another answer's receipt"],
)
def test_an_answer_needs_its_own_signature_and_receipt(
    changes: dict[str, object], code: Code
) -> None:
    envelope = answered(body(ASKED, DIGEST), **changes)  # type: ignore[arg-type]
    with pytest.raises(Unverified) as unverified:
        verify_answer(envelope, ASKED, DIGEST, CITY.agency)
    assert unverified.value.code is code


BOX = AreaBox(100, 100, 200, 200)
TRIANGLE = AreaPolygon(((100, 100), (100, 200), (200, 100)))
LISTED = PlateList((ExactPlate(PLATE), ExactPlate("9TST002", "NV")))


@pytest.mark.parametrize(
    ("selector", "changes", "shown"),
    [
        (WildcardPlate("9TST*", ""), {}, True),
        (WildcardPlate("9TST00?", "CA"), {}, True),
        (WildcardPlate("9TST?", ""), {}, False),
        (WildcardPlate("9TST*", "NV"), {}, False),
        (BOX, {"place": Place(100, 200)}, True),
        (BOX, {"place": None}, True),
        (BOX, {"place": Place(99, 150)}, False),
        (BOX, {"place": Place(150, 201)}, False),
        (AreaCircle(100, 100, 1), {"place": Place(180, 100)}, True),
        (AreaCircle(100, 100, 1), {"place": Place(190, 100)}, False),
        (AreaCircle(100, 100, 1), {"place": None}, True),
        (TRIANGLE, {"place": Place(150, 150)}, True),
        (TRIANGLE, {"place": Place(151, 150)}, False),
        (LookAlikePlate(PLATE), {}, True),
        (LookAlikePlate(PLATE, "NV"), {}, False),
        (LookAlikePlate(PLATE), {"plate": "9TSTO0I", "substitutions": 2}, True),
        (LookAlikePlate(PLATE), {"plate": "9TSTO0I", "substitutions": 0}, False),
        (LookAlikePlate(PLATE), {"plate": "9TSTO0I", "substitutions": 1}, False),
        (LookAlikePlate(PLATE, "", 1), {"plate": "9TSTO0I", "substitutions": 2}, False),
        (LookAlikePlate(PLATE), {"plate": "9TST002"}, False),
        (ExactPlate(PLATE), {"substitutions": 1}, False),
        (LISTED, {}, True),
        (LISTED, {"plate": "9TST002", "state": "NV"}, True),
        (LISTED, {"plate": "9TST002"}, False),
        (LISTED, {"plate": "9TST003"}, False),
        (HotListPlate(PLATE, "CA"), {}, False),
        (PhotoOf(b"\1" * 16), {}, False),
    ],
)
def test_rows_lie_inside_what_was_asked(
    selector: Selector, changes: dict[str, object], shown: bool
) -> None:
    asked = query(selector)
    asked_digest = digest(signed(asked))
    envelope = answered(body(asked, asked_digest, reads=(read(1, **changes),)))
    if shown:
        found = verify_answer(envelope, asked, asked_digest, CITY.agency)
        assert found.body.count == 1
        return
    with pytest.raises(Unverified, match="ANSWER_UNVERIFIED"):
        verify_answer(envelope, asked, asked_digest, CITY.agency)


@pytest.mark.parametrize(
    ("selector", "content", "shown"),
    [
        (HotListPlate(PLATE, "CA"), {"entries": ((ENTRY, True),)}, True),
        (HotListPlate(PLATE, ""), {"entries": ((ENTRY, True),)}, True),
        (HotListPlate("9TST002", ""), {"entries": ((ENTRY, True),)}, False),
        (HotListPlate(PLATE, "NV"), {"entries": ((ENTRY, True),)}, False),
        (PhotoOf(b"r" * 16), {"photo": Photo(b"r" * 16, "image/jpeg", b"x")}, True),
        (PhotoOf(b"r" * 16), {"photo": Photo(b"s" * 16, "image/jpeg", b"x")}, False),
        (PhotoOf(b"r" * 16), {"entries": ((ENTRY, True),)}, False),
        (HotListPlate(PLATE, ""), {"photo": Photo(b"r" * 16, "image/jpeg", b"x")}, False),
    ],
)
def test_entries_and_photos_are_those_that_were_asked(
    selector: Selector, content: dict[str, object], shown: bool
) -> None:
    asked = query(selector)
    asked_digest = digest(signed(asked))
    envelope = answered(body(asked, asked_digest, reads=(), **content))
    if shown:
        assert verify_answer(envelope, asked, asked_digest, CITY.agency).body.count == 1
        return
    with pytest.raises(Unverified, match="ANSWER_UNVERIFIED"):
        verify_answer(envelope, asked, asked_digest, CITY.agency)


def test_look_alikes_come_closest_first_and_end_at_their_last_row() -> None:
    asked = query(LookAlikePlate("9TSTO0I"))
    asked_digest = digest(signed(asked))
    loose = read(1, captured_ms=T - 2 * MINUTE, substitutions=2)
    exact = read(2, captured_ms=T - 3 * MINUTE, plate="9TSTO0I")
    more = {"complete": False, "next_cursor": b"c", "frontier_ms": T - 2 * MINUTE}
    good = body(asked, asked_digest, reads=(exact, loose), **more)
    assert verify_answer(answered(good), asked, asked_digest, CITY.agency).body.count == 2
    for changes in ({"reads": (loose, exact)}, {"frontier_ms": T - 3 * MINUTE}):
        bad = replace(good, **changes)  # type: ignore[arg-type]
        with pytest.raises(Unverified, match="ANSWER_UNVERIFIED"):
            verify_answer(answered(bad), asked, asked_digest, CITY.agency)


# Refusals.

REFUSAL_BODY = RefusalBody(
    DIGEST, "city", "harbor", Code.PURPOSE_NOT_AGREED, "II.A", "text", "nobody", T
)


def test_a_refusal_of_this_query_is_believed() -> None:
    envelope = sign(REFUSAL, encode_refusal(REFUSAL_BODY), CITY.node)
    assert verify_refusal(envelope, ASKED, DIGEST, CITY.agency) == REFUSAL_BODY


@pytest.mark.parametrize(
    "changes",
    [
        {"query_digest": b"x" * 32},
        {"agency": "county"},
        {"requesting_agency": "county"},
    ],
)
def test_a_refusal_of_something_else_is_not(changes: dict[str, object]) -> None:
    changed = replace(REFUSAL_BODY, **changes)  # type: ignore[arg-type]
    envelope = sign(REFUSAL, encode_refusal(changed), CITY.node)
    with pytest.raises(Unverified, match="ANSWER_UNVERIFIED"):
        verify_refusal(envelope, ASKED, DIGEST, CITY.agency)


@pytest.mark.parametrize(
    "changes", [{"text": "x" * 1001}, {"contact": "x" * 1001}, {"refused_at_ms": LONG_AFTER}]
)
def test_a_refusal_has_bounds_too(changes: dict[str, object]) -> None:
    changed = replace(REFUSAL_BODY, **changes)  # type: ignore[arg-type]
    envelope = sign(REFUSAL, encode_refusal(changed), CITY.node)
    with pytest.raises(Unverified, match="MALFORMED"):
        verify_refusal(envelope, ASKED, DIGEST, CITY.agency)


def test_a_refusal_is_no_answer_and_an_answer_no_refusal() -> None:
    with pytest.raises(Unverified, match="SIGNATURE_INVALID"):
        verify_refusal(answered(body(ASKED, DIGEST)), ASKED, DIGEST, CITY.agency)
    envelope = sign(REFUSAL, encode_refusal(REFUSAL_BODY), CITY.node)
    with pytest.raises(Unverified, match="SIGNATURE_INVALID"):
        verify_answer(envelope, ASKED, DIGEST, CITY.agency)


@pytest.mark.parametrize("load", [Signature("f" * 64, b"x" * 129), Signature("f" * 129, b"x")])
def test_signatures_carry_no_load(load: Signature) -> None:
    """A node could make its answer too large for the requester's own book."""
    answer = answered(body(ASKED, DIGEST))
    verify_answer(add_signature(answer, Signature("f" * 64, b"x")), ASKED, DIGEST, CITY.agency)
    with pytest.raises(Unverified, match="too long"):
        verify_answer(add_signature(answer, load), ASKED, DIGEST, CITY.agency)


def test_a_refusal_may_quote_the_longest_clause() -> None:
    changed = replace(REFUSAL_BODY, text="The officer must declare that: " + "x" * 600)
    envelope = sign(REFUSAL, encode_refusal(changed), CITY.node)
    assert verify_refusal(envelope, ASKED, DIGEST, CITY.agency).text == changed.text
