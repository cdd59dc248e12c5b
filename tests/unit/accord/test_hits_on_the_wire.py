"""Hits in queries and answers: there and back, and each rule of verification held and broken."""

from dataclasses import replace

import pytest

from accord.codec import decode_query, encode_query
from accord.codec_answer import decode_answer, encode_answer, encode_body
from accord.envelope import digest
from accord.errors import Code, Refused, Unverified
from accord.hot_lists import HIT_NOTICE, MAX_HITS, MAX_LISTS, HotListEntry, HotListState, SharedHit
from accord.model import (
    AnswerBody,
    Area,
    AreaBox,
    AreaCircle,
    AreaPolygon,
    ExactPlate,
    HitsOf,
    HotListPlate,
    Place,
    Receipt,
)
from accord.paging import Paging
from accord.results import Result, hits_of
from accord.verification import verify_answer, verify_query
from accord.wire.v1 import query_pb2
from tests.unit.accord.test_verification import (
    AGENCIES,
    CITY,
    MINUTE,
    PLATE,
    T,
    answered,
    body,
    query,
    read,
    signed,
)

OF_PLATE = HitsOf(ExactPlate(PLATE, "CA"))
BOX = AreaBox(337_000_000, -1_183_000_000, 338_000_000, -1_182_000_000)
# To the minute, as the reads' own times are shared.
ROUND = T // MINUTE * MINUTE
# Published an hour before the first read arrived, too old after two.
ENTRY = HotListEntry("stolen", "bureau", PLATE, "CA", "stolen-vehicle", ROUND - 61 * MINUTE, 7200)


def hit(number: int, **changes: object) -> SharedHit:
    fields: dict[str, object] = {
        "read_id": bytes([number]) * 16,
        "entry": ENTRY,
        "possible": False,
        "matched_ms": ROUND - number * MINUTE,
        "stale": False,
        "still_listed": True,
        "notice": HIT_NOTICE,
    }
    return SharedHit(**(fields | changes))  # type: ignore[arg-type]


def answer_to(of: ExactPlate | Area, **changes: object) -> AnswerBody:
    asked = query(HitsOf(of))
    envelope = signed(asked)
    given = body(asked, digest(envelope), **({"hits": (hit(1), hit(2))} | changes))
    return verify_answer(answered(given), asked, digest(envelope), CITY.agency).body


CIRCLE = AreaCircle(337_500_000, -1_182_500_000, 800)
POLYGON = AreaPolygon(
    ((337_000_000, -1_183_000_000), (338_000_000, -1_183_000_000), (337_500_000, -1_182_000_000))
)


@pytest.mark.parametrize(
    "selector",
    [OF_PLATE, HitsOf(ExactPlate(PLATE)), HitsOf(BOX), HitsOf(CIRCLE), HitsOf(POLYGON)],
)
def test_a_query_of_hits_goes_there_and_back(selector: HitsOf) -> None:
    asked = query(selector)
    assert verify_query(signed(asked), AGENCIES, T).query.selector == selector
    assert replace(asked, credential=None) == replace(
        decode_query(encode_query(asked, b""), asked.credential), credential=None
    )  # fmt: skip


@pytest.mark.parametrize(
    "selector",
    [
        HitsOf(ExactPlate("9tst001")),
        HitsOf(ExactPlate(PLATE, "ca")),
        HitsOf(AreaBox(2, 1, 1, 2)),
        HitsOf(AreaCircle(0, 0, 50_001)),
        HitsOf(AreaPolygon(((0, 0), (1, 1)))),
    ],
)
def test_a_query_of_hits_past_a_limit_is_refused(selector: HitsOf) -> None:
    with pytest.raises(Refused) as refused:
        verify_query(signed(query(selector)), AGENCIES, T)
    assert refused.value.code is Code.BAD_QUERY


def test_a_query_of_hits_of_nothing_is_refused() -> None:
    wire = query_pb2.Query()
    wire.ParseFromString(encode_query(query(OF_PLATE), b""))
    wire.selector.hits.CopyFrom(query_pb2.HitsOf())
    with pytest.raises(Refused, match="names a plate or an area"):
        decode_query(wire.SerializeToString(deterministic=True), query().credential)


def test_an_answer_with_hits_goes_there_and_back() -> None:
    asked = query(OF_PLATE)
    stale = hit(2, possible=True, stale=True, still_listed=False)
    given = body(asked, b"d" * 32, hits=(hit(1), stale))
    receipt = Receipt("city/node", b"l" * 32, b"s" * 16, b"t" * 16, b"proof")
    decoded, _, _ = decode_answer(encode_answer(encode_body(given), receipt))
    assert decoded == given
    assert decoded.count == 2


def test_a_good_answer_is_shown() -> None:
    assert len(answer_to(OF_PLATE.of).hits) == 2
    # Several entries of one read; a misread plate; an entry without a state.
    several = (hit(1), hit(1, entry=replace(ENTRY, list="wanted")), hit(2))
    assert len(answer_to(OF_PLATE.of, hits=several).hits) == 3
    misread = (read(1, plate="9TSTOO1"), read(2))
    assert answer_to(OF_PLATE.of, reads=misread)
    assert answer_to(OF_PLATE.of, hits=(hit(1, entry=replace(ENTRY, state="")), hit(2)))
    assert answer_to(OF_PLATE.of, hits=(hit(1, entry=replace(ENTRY, category="")), hit(2)))
    # Nothing found.
    assert answer_to(OF_PLATE.of, reads=(), hits=()).count == 0
    inside = (read(1, place=Place(337_500_000, -1_182_500_000)), read(2))
    other = replace(ENTRY, plate="9TST777")
    assert answer_to(BOX, reads=inside, hits=(hit(1, entry=other), hit(2)))


OLD = replace(ENTRY, max_age_s=3600)
BAD: dict[str, dict[str, object]] = {
    "a read without a hit": {"hits": (hit(1),)},
    "a hit without its read": {"hits": (hit(1), hit(2), hit(3))},
    "no hits at all": {"hits": ()},
    "hits of no read": {"reads": (), "hits": (hit(1),)},
    "another plate's entry": {"hits": (hit(1, entry=replace(ENTRY, plate="9TST002")), hit(2))},
    "another state's entry": {
        "hits": (hit(1, entry=replace(ENTRY, state="NV")), hit(2)),
        "reads": (read(1, state="NV"), read(2)),
    },
    "a category for which no list is held": {
        "hits": (hit(1, entry=replace(ENTRY, category="civil-immigration")), hit(2)),
    },
    "a category of no kind": {"hits": (hit(1, entry=replace(ENTRY, category="OTHER")), hit(2))},
    "no notice": {"hits": (hit(1, notice=""), hit(2))},
    "a notice of the owner's own": {"hits": (hit(1, notice="OK"), hit(2))},
    "a notice with more": {"hits": (hit(1, notice=HIT_NOTICE + " Or not."), hit(2))},
    "a time finer than the read's": {"hits": (hit(1, matched_ms=ROUND - MINUTE + 1), hit(2))},
    "stale and not told": {"hits": (hit(1, entry=OLD), hit(2))},
    "told stale and not": {"hits": (hit(1, stale=True), hit(2))},
    "too many of one read": {"hits": (*[hit(1)] * (MAX_HITS + 1), hit(2))},
    "entries beside": {"entries": ((ENTRY, False),)},
    "a read outside the window": {"reads": (read(1), read(2, captured_ms=T))},
}


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD.keys())
def test_a_bad_answer_is_not_shown(changes: dict[str, object]) -> None:
    with pytest.raises(Unverified) as unverified:
        answer_to(OF_PLATE.of, **changes)
    assert unverified.value.code is Code.ANSWER_UNVERIFIED


STATE = HotListState("stolen", "bureau", T - 7_199_000, 7200, False, False)
LISTED = HotListPlate(PLATE, "CA")


def test_an_entry_is_of_the_state_asked_or_of_none() -> None:
    def shown(**changes: str) -> int:
        asked = query(LISTED)
        envelope = signed(asked)
        given = body(
            asked, digest(envelope), reads=(), entries=((replace(ENTRY, **changes), True),)
        )
        return verify_answer(answered(given), asked, digest(envelope), CITY.agency).body.count

    assert shown() == shown(state="") == 1
    for bad in ({"state": "NV"}, {"state": "", "plate": "9TST002"}):
        with pytest.raises(Unverified, match="another kind"):
            shown(**bad)


def test_an_entry_has_a_category_for_which_a_list_can_be_held() -> None:
    def shown(category: str) -> int:
        asked = query(LISTED)
        envelope = signed(asked)
        entries = ((replace(ENTRY, category=category), True),)
        given = body(asked, digest(envelope), reads=(), entries=entries)
        return verify_answer(answered(given), asked, digest(envelope), CITY.agency).body.count

    assert shown("stolen-vehicle") == shown("") == 1
    for bad in ("criminal-immigration", "personal", "Stolen-Vehicle"):
        with pytest.raises(Unverified, match="a category for which no hot list"):
            shown(bad)


@pytest.mark.parametrize("selector", [OF_PLATE, LISTED])
def test_the_ages_of_the_lists_are_told_right(selector: HitsOf | HotListPlate) -> None:
    def shown(*lists: HotListState) -> tuple[HotListState, ...]:
        asked = query(selector)
        envelope = signed(asked)
        given = body(asked, digest(envelope), reads=(), lists=lists)
        return verify_answer(answered(given), asked, digest(envelope), CITY.agency).body.lists

    late = replace(STATE, published_ms=STATE.published_ms - 1, stale=True)
    limit = replace(late, not_matched=True)
    # Answered a second after T.
    assert shown(STATE, late, limit) == (STATE, late, limit)
    assert len(shown(*[STATE] * MAX_LISTS)) == MAX_LISTS
    for bad in (
        [replace(late, stale=False)],
        [replace(STATE, stale=True)],
        [STATE] * (MAX_LISTS + 1),
    ):
        with pytest.raises(Unverified, match="another kind"):
            shown(*bad)


def test_ages_of_lists_where_none_were_asked_are_not_shown() -> None:
    asked = query()
    envelope = signed(asked)
    given = body(asked, digest(envelope), lists=(STATE,))
    with pytest.raises(Unverified, match="another kind"):
        verify_answer(answered(given), asked, digest(envelope), CITY.agency)


@pytest.mark.parametrize("area", [BOX, CIRCLE, POLYGON])
def test_a_hit_outside_the_area_is_not_shown(area: Area) -> None:
    inside = (read(1, place=Place(337_500_000, -1_182_500_000)), read(2))
    assert answer_to(area, reads=inside).hits
    outside = (read(1, place=Place(339_000_000, -1_182_500_000)), read(2))
    with pytest.raises(Unverified, match="outside what was asked"):
        answer_to(area, reads=outside)


def test_hits_where_reads_were_asked_are_not_shown() -> None:
    asked = query()
    envelope = signed(asked)
    given = body(asked, digest(envelope), hits=(hit(1), hit(2)))
    with pytest.raises(Unverified, match="another kind"):
        verify_answer(answered(given), asked, digest(envelope), CITY.agency)


def test_the_age_is_counted_to_the_end_of_the_step() -> None:
    """The list is never told as younger than it was: the read may have come at the end."""
    assert hit(1).age_ms(1) == 60 * MINUTE
    assert hit(1).age_ms(MINUTE) == 61 * MINUTE - 1
    aged = hit(1, entry=replace(ENTRY, max_age_s=3601), stale=True)
    assert answer_to(OF_PLATE.of, hits=(aged, hit(2)))


@pytest.mark.parametrize(
    ("published_ms", "before"),
    [(T - MINUTE, False), (T - 1, False), (T, True), (T + MINUTE, True)],
)
def test_a_read_that_came_late_is_told_to_be_older_than_the_list(
    published_ms: int, before: bool
) -> None:
    """The read is of the minute before T: what lies in it may be before or after."""
    late = hit(1, entry=replace(ENTRY, published_ms=published_ms))
    (one,) = hits_of((read(1),), (body(query(OF_PLATE), b"d", reads=(read(1),), hits=(late,)),))
    assert (one.read.captured_ms, one.read.time_step_ms) == (T - MINUTE, MINUTE)
    assert one.read_before_list is before


def test_hits_stay_with_their_reads_over_pages_and_agencies() -> None:
    asked = query(OF_PLATE)
    first = body(asked, b"d", reads=(read(1),), hits=(hit(1),), complete=False,
                 next_cursor=b"c", frontier_ms=read(1).captured_ms)  # fmt: skip
    second = body(asked, b"d", reads=(read(2),), hits=(hit(2),))
    other = replace(second, agency="county", hits=(hit(2, possible=True),),
                    reads=(read(2, originator="county"),))  # fmt: skip
    paging = Paging()
    pages = [paging.take(Result("q", ()), [first]), paging.take(Result("q", ()), [second])]
    assert [one.read.read_id for page in pages for one in page.hits] == [b"\1" * 16, b"\2" * 16]
    reads = (*second.reads, *other.reads)
    assert [one.shared.possible for one in hits_of(reads, (second, other))] == [False, True]
