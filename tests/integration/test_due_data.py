"""What is due is not given, though the purge has not come; one bad file hides no row."""

import io
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from accord.agreements.terms import PhotoSharing
from accord.codec_answer import decode_answer, decode_refusal
from accord.errors import Code
from accord.hot_lists import HotListEntry
from accord.model import AnswerBody, ExactPlate, Field, HotListPlate, PhotoOf, Window
from accord.transport.server import refusal_from
from node.ids import Names
from tests.conftest import HOUR_MS, PLATE, Federation, read_at
from tests.hot_lists import hold
from tests.integration.test_rogue_client import forge, to_node

DAY_MS = 24 * HOUR_MS


def body(response: Any) -> AnswerBody:
    return decode_answer(response.answer.payload)[0]


def retention(federation: Federation, agency: str) -> Any:
    policy = federation.nodes[agency].context.policy
    assert policy is not None
    return policy.retention


@pytest.mark.parametrize(("days_past", "given"), [(-1, 1), (1, 0)])
async def test_a_hot_list_past_its_retention_is_not_looked_at(
    federation: Federation, days_past: int, given: int
) -> None:
    days = retention(federation, "city").hot_list_days + days_past
    published_ms = federation.clock.now_ms() - days * DAY_MS
    entry = HotListEntry("stolen", "bureau", PLATE, "CA", "stolen-vehicle", published_ms, 60)
    hold(federation.nodes["city"].context.store, entry)
    envelope = forge(federation, "city", selector=HotListPlate(PLATE, "CA"))
    assert len(body(await to_node(federation, "city", envelope)).entries) == given


@pytest.mark.parametrize("shift_ms", [0, 120_000])
async def test_a_photo_is_due_by_the_time_as_it_is_shared(
    federation: Federation, shift_ms: int
) -> None:
    """(attack L4) A minute is shared; within it, nothing may tell the second."""
    city = federation.nodes["city"].context
    digest = city.photos.keep(jpeg())
    (agreement,) = city.federation.between("harbor", "city")
    look_back_ms = agreement.manifest.limits.look_back_days * DAY_MS
    step = agreement.manifest.fields.redaction.time_step_ms
    assert step == 60_000
    # Captured in the last second of the minute in which the look-back begins.
    edge = (federation.clock.now_ms() - look_back_ms) // step * step
    plate = "9TST777"
    city.store.add([read_at(edge + step - 1 + shift_ms, plate, photo=digest)])
    names = Names(secret(federation), agreement.manifest.digest, "harbor")
    given = []
    for row_id in range(1, 6):
        selector = PhotoOf(names.read_id(row_id))
        envelope = forge(federation, "city", selector=selector)
        given.append(body(await to_node(federation, "city", envelope)).photo is not None)
    assert any(given) is (shift_ms > 0)


def jpeg() -> bytes:
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), (9, 99, 200)).save(picture, "JPEG")
    return picture.getvalue()


def secret(federation: Federation) -> bytes:
    return (federation.files.folder("city") / "keys" / "names.secret").read_bytes()


async def test_a_damaged_photo_hides_no_row(federation: Federation) -> None:
    now = federation.clock.now_ms()
    county = federation.nodes["county"].context
    digest = county.photos.keep(jpeg())
    plate = "9TST778"
    county.store.add([read_at(now - HOUR_MS, plate, photo=digest)])
    county.store.add([read_at(now - 2 * HOUR_MS, plate)])
    for path in (federation.files.folder("county") / "data/photos").rglob("*"):
        if path.is_file():
            path.write_bytes(b"damaged")
    async with federation.client() as client:
        question = federation.question(agencies=("county",))
        selector = replace(question.selector, plate=plate)
        result = await client.ask(replace(question, selector=selector))
    assert len(result.reads) == 2
    assert result.complete


async def test_a_broker_does_not_get_an_agencys_own_question_answered(
    federation: Federation,
) -> None:
    """The own question knows no redaction: it comes from the agency's own client only."""
    federation.nodes["harbor"].context.store.add([read_at(federation.clock.now_ms() - HOUR_MS)])
    envelope = forge(federation, "harbor", agreement_digest=b"", fields=tuple(Field))
    error = await to_node(federation, "harbor", envelope)
    refusal = refusal_from(error)
    assert refusal is not None
    assert Code.METHOD_NOT_ALLOWED.value.encode() in refusal.payload
    async with federation.client() as client:
        now = federation.clock.now_ms()
        question = federation.question(agencies=("harbor",), window=Window(now - DAY_MS, now))
        assert (await client.ask(question)).complete


async def of_hot_list(federation: Federation, row_limit: int) -> Any:
    envelope = forge(federation, "city", selector=HotListPlate(PLATE, "CA"), row_limit=row_limit)
    return await to_node(federation, "city", envelope)


async def test_more_hot_list_entries_than_rows_are_no_answer(federation: Federation) -> None:
    """Entries have no pages: two of three would look like all there are."""
    now = federation.clock.now_ms()
    for name in ("one", "two", "three"):
        entry = HotListEntry(name, "bureau", PLATE, "CA", "stolen-vehicle", now, 60)
        hold(federation.nodes["city"].context.store, entry)
    assert len(body(await of_hot_list(federation, 3)).entries) == 3
    refusal = refusal_from(await of_hot_list(federation, 2))
    assert refusal is not None
    assert decode_refusal(refusal.payload).code is Code.SEARCH_TOO_WIDE


def with_policy(federation: Federation, agency: str, old: str, new: str) -> None:
    path = federation.files.folder(agency) / "policy.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    federation.nodes[agency].context.sources.refresh()


async def test_a_withheld_plate_is_on_no_hot_list(federation: Federation) -> None:
    now = federation.clock.now_ms()
    entry = HotListEntry("stolen", "bureau", PLATE, "CA", "stolen-vehicle", now, 60)
    hold(federation.nodes["city"].context.store, entry)
    assert len(body(await of_hot_list(federation, 3)).entries) == 1
    with_policy(federation, "city", "plates = []", f'plates = ["{PLATE}"]')
    assert body(await of_hot_list(federation, 3)).entries == ()
    # Not even as too many to give.
    assert body(await of_hot_list(federation, 1)).entries == ()


async def test_a_photo_past_its_own_retention_is_not_given(federation: Federation) -> None:
    """Its read is kept for longer: the row stays, the photo is neither given nor named."""
    county, plate = federation.nodes["county"].context, "9TST779"
    digest = county.photos.keep(jpeg())
    county.store.add([read_at(federation.clock.now_ms() - 2 * DAY_MS, plate, photo=digest)])
    (agreement,) = county.federation.between("harbor", "county")

    async def given() -> tuple[bool, bool]:
        """Tell whether the row names its photo, and whether that is given."""
        now = federation.clock.now_ms()
        row = forge(
            federation,
            "county",
            selector=ExactPlate(plate, "CA"),
            fields=(Field.PHOTO,),
            window=Window(now - 5 * DAY_MS, now),
        )
        (read,) = body(await to_node(federation, "county", row)).reads
        envelope = forge(federation, "county", selector=PhotoOf(read.read_id))
        photo = body(await to_node(federation, "county", envelope)).photo
        return bool(read.photo_digest), photo is not None

    assert agreement.manifest.fields.redaction.photo is not PhotoSharing.NONE
    assert await given() == (True, True)
    old = f"photos_days = {retention(federation, 'county').photos_days}"
    with_policy(federation, "county", old, "photos_days = 1")
    assert await given() == (False, False)
