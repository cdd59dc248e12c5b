"""Which answers and refusals a client believes: those of the query it asked, and in bounds."""

from dataclasses import replace

import pytest

from accord.codec_answer import encode_refusal
from accord.envelope import (
    REFUSAL,
    Signature,
    add_signature,
    digest,
    sign,
)
from accord.errors import Code, Unverified
from accord.hot_lists import HotListEntry
from accord.model import (
    AreaBox,
    AreaCircle,
    AreaPolygon,
    Duty,
    ExactPlate,
    HotListPlate,
    LookAlikePlate,
    Photo,
    PhotoOf,
    Place,
    PlateList,
    RefusalBody,
    Selector,
    Vehicle,
    WildcardPlate,
)
from accord.verification import verify_answer, verify_refusal
from tests.unit.accord.test_verification import (
    ASKED,
    CITY,
    DIGEST,
    HARBOR,
    MINUTE,
    PLATE,
    T,
    answered,
    body,
    query,
    read,
    signed,
)


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
