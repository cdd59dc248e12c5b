"""Trust in queries: each rule of accord/verification.py on them, held and broken."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from accord.agencies import Agency
from accord.codec import encode_credential, encode_query, envelope_to_bytes
from accord.codec_answer import encode_answer, encode_body
from accord.envelope import (
    ANSWER,
    CREDENTIAL,
    QUERY,
    Envelope,
    digest,
    sign,
)
from accord.errors import Code, Refused, Unverified
from accord.keys import ECDSA, ED25519, PrivateKey
from accord.model import (
    AnswerBody,
    AreaBox,
    Credential,
    ExactPlate,
    Field,
    PhotoOf,
    Query,
    Receipt,
    Selector,
    SharedRead,
    WildcardPlate,
    Window,
)
from accord.roster import Officer, issue_credential
from accord.verification import verify_query
from tests.receipts import receipt_of

T = 1_790_000_000_000
MINUTE = 60_000
PLATE = "9TST001"
AGREEMENT = hashlib.sha256(b"agreement").digest()


@dataclass(frozen=True)
class Keys:
    """One agency's keys, and the agency as others know it."""

    node: PrivateKey
    desk: PrivateKey
    audit: PrivateKey
    agency: Agency


def keys_of(name: str) -> Keys:
    node, desk, audit = (PrivateKey.generate(kind) for kind in (ECDSA, ECDSA, ED25519))
    agency = Agency(
        id=name,
        number=1,
        name=name,
        kind="police",
        state="CA",
        contact="nobody",
        root="0" * 64,
        cas=(),
        keys={"node": (node.public,), "personnel": (desk.public,), "audit": (audit.public,)},
        endpoints=(),
        payload_versions=("query.v1",),
        issued_at_ms=T - MINUTE,
        expires_at_ms=T + 86_400_000,
        revoked=frozenset(),
    )
    return Keys(node, desk, audit, agency)


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
        (query(WildcardPlate("9TST**", "")), Code.BAD_QUERY),
        (query(WildcardPlate("9T*?", "")), Code.BAD_QUERY),
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


# Answers, as test_answers_verified asks about them.


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
    committed: bytes | None = None, receipt: Receipt | None = None,
) -> Envelope:  # fmt: skip
    data = encode_body(given)
    fields = {
        "query_digest": given.query_digest.hex(),
        "answer_digest": hashlib.sha256(committed or data).hexdigest(),
    }
    receipt = receipt or receipt_of(fields, CITY.audit, origin)
    return sign(ANSWER, encode_answer(data, receipt), by)
