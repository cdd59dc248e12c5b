"""What is due is not given, though the purge has not come; one bad file hides no row."""

import io
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from accord.codec_answer import decode_answer
from accord.errors import Code
from accord.model import AnswerBody, Field, HotListEntry, HotListPlate, PhotoOf, Window
from accord.transport.server import refusal_from
from node.ids import Names
from tests.conftest import HOUR_MS, PLATE, Federation, read_at
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
    federation.nodes["city"].context.store.replace_hot_list("stolen", [entry])
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
