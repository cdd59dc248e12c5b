"""Redaction, and the names that recipients see: no more than the agreement says."""

from dataclasses import replace

import pytest

from accord.agreements.provisions import HotListRule, Stale
from accord.agreements.terms import CameraSharing, PhotoSharing, Redaction
from accord.errors import Code, Refused
from accord.hot_lists import HotListEntry
from accord.model import Field, Place, Read, SharedRead, Vehicle
from node.grid import snap
from node.ids import Names
from node.redaction import is_shared, redact, shared_entry
from node.store.base import Cursor

SECRET = bytes(32)
AGREEMENT = b"a" * 32
NAMES = Names(SECRET, AGREEMENT, "harbor")
EVERY_FIELD = frozenset(Field)
READ = Read(
    plate="9TST001",
    raw_plate="9-TST 001",
    state="CA",
    captured_ms=1_790_000_012_345,
    camera="CAM-1",
    source_id=b"s" * 16,
    lat_e7=337_512_345,
    lon_e7=-1_182_612_345,
    vehicle=Vehicle("Corvida", "", "blue", ""),
    confidence_pm=912,
    photo="photo.jpg",
    case="secret case",
)
PHOTO = b"p" * 32


def shared(redaction: Redaction, wanted: frozenset[Field] = EVERY_FIELD) -> SharedRead:
    return redact(
        READ, 7, agency="city", redaction=redaction, wanted=wanted, names=NAMES, photo_digest=PHOTO
    )


def test_everything_where_everything_is_shared() -> None:
    row = shared(Redaction())
    assert row == SharedRead(
        read_id=NAMES.read_id(7),
        originator="city",
        plate="9TST001",
        state="CA",
        captured_ms=1_790_000_012_345,
        time_step_ms=1,
        place=Place(337_512_345, -1_182_612_345),
        camera="CAM-1",
        camera_is_pseudonym=False,
        vehicle=READ.vehicle,
        confidence_pm=912,
        photo_digest=PHOTO,
    )


NOTHING = Redaction(60_000, None, CameraSharing.NONE, vehicle=False, photo=PhotoSharing.NONE)


def test_nothing_where_nothing_is_shared() -> None:
    row = shared(NOTHING)
    assert (row.place, row.camera, row.camera_is_pseudonym) == (None, "", False)
    assert (row.vehicle, row.photo_digest) == (None, b"")
    assert row.captured_ms == 1_789_999_980_000
    assert row.captured_ms % 60_000 == 0
    assert not any(secret in repr(row) for secret in ("CAM-1", "Corvida", "secret case", "9-TST"))


def test_a_field_that_is_not_wanted_is_left_out_though_shared() -> None:
    row = shared(Redaction(), frozenset({Field.TIME}))
    assert (row.place, row.camera, row.vehicle, row.photo_digest) == (None, "", None, b"")


def test_a_place_is_its_cells_centre() -> None:
    row = shared(Redaction(place_within_m=500))
    assert row.place == Place(*snap(337_512_345, -1_182_612_345, 500), 500)
    lat_e7, lon_e7 = snap(337_512_345, -1_182_612_345, 500)
    assert (lat_e7, lon_e7) != (337_512_345, -1_182_612_345)
    assert snap(lat_e7 + 1000, lon_e7 - 1000, 500) == (lat_e7, lon_e7)


def test_a_pseudonym_holds_within_one_agreement_and_recipient() -> None:
    row = shared(Redaction(camera=CameraSharing.PSEUDONYM))
    assert row.camera_is_pseudonym
    assert row.camera == NAMES.pseudonym("CAM-1") != NAMES.pseudonym("CAM-2")
    others = [
        Names(SECRET, b"b" * 32, "harbor"),
        Names(SECRET, AGREEMENT, "county"),
        Names(b"x" * 32, AGREEMENT, "harbor"),
    ]
    names = {row.camera, *(other.pseudonym("CAM-1") for other in others)}
    ids = {row.read_id, *(other.read_id(7) for other in others)}
    assert len(names) == len(ids) == 4


def test_a_read_id_leads_back_to_its_row_and_no_other_does() -> None:
    assert [NAMES.row_id(NAMES.read_id(n)) for n in (1, 7, 2**62)] == [1, 7, 2**62]
    assert NAMES.row_id(b"r" * 16) is None
    assert Names(SECRET, AGREEMENT, "county").row_id(NAMES.read_id(7)) is None


def test_a_cursor_is_good_for_its_question_alone() -> None:
    cursor = Cursor(5, -(2**62), 9)
    sealed = NAMES.seal_cursor(cursor, b"question")
    assert NAMES.open_cursor(sealed, b"question") == cursor
    assert sealed != NAMES.seal_cursor(cursor, b"question")
    county = Names(SECRET, AGREEMENT, "county")
    bent = bytes([sealed[0] ^ 1]) + sealed[1:]
    for names, data, question in (
        (NAMES, sealed, b"another"),
        (county, sealed, b"question"),
        (NAMES, bent, b"question"),
        (NAMES, b"", b"question"),
        (NAMES, sealed[:11], b"question"),
    ):
        with pytest.raises(Refused) as refused:
            names.open_cursor(data, question)
        assert refused.value.code is Code.BAD_QUERY


def test_confidence_only_where_it_is_shared() -> None:
    assert shared(Redaction()).confidence_pm == 912
    assert shared(Redaction(confidence=False)).confidence_pm == 0


ENTRY = HotListEntry("stolen", "State bureau", "9TST001", "CA", "stolen-vehicle", 0, 7200)
EVERYTHING = HotListRule("III", None, None, Stale.MARKED, list=True, source=True, category=True)


def test_of_a_hot_list_only_what_is_shared() -> None:
    assert shared_entry(ENTRY, EVERYTHING) == ENTRY
    nothing = replace(EVERYTHING, list=False, source=False, category=False, max_age_s=60)
    bare = shared_entry(ENTRY, nothing)
    assert (bare.list, bare.source, bare.category) == ("", "", "")
    assert (bare.plate, bare.state, bare.max_age_s) == ("9TST001", "CA", 60)
    # The shorter age counts, whosever it is.
    assert shared_entry(ENTRY, replace(EVERYTHING, max_age_s=86_400)).max_age_s == 7200


def test_hot_lists_of_named_sources_only() -> None:
    assert is_shared(ENTRY, EVERYTHING, None)
    assert is_shared(ENTRY, replace(EVERYTHING, sources=frozenset({"State bureau"})), None)
    assert not is_shared(ENTRY, replace(EVERYTHING, sources=frozenset({"state bureau"})), None)


def test_an_entry_of_another_purpose_is_not_shared_whatever_the_rule_says() -> None:
    for rule in (EVERYTHING, replace(EVERYTHING, category=False), None):
        assert is_shared(ENTRY, rule, frozenset({ENTRY.category, "amber-alert"}))
        assert not is_shared(ENTRY, rule, frozenset({"amber-alert"}))
        assert not is_shared(ENTRY, rule, frozenset())
