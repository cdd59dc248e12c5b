"""A photo is asked for by a signed query of its own, and comes clean."""

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from accord.client import AccordClient
from accord.clock import SystemClock
from accord.model import OutcomeKind, PhotoOf, SharedRead
from accord.results import Result
from tests.conftest import HOUR_MS, Federation, make_files, read_at, running

SECRET = b"GPS 33.75 -118.26 seen by unit 12"


def picture() -> bytes:
    """Return a white JPEG with a comment and EXIF that say where it was taken."""
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    file = io.BytesIO()
    Image.new("RGB", (200, 100), "white").save(file, "JPEG", exif=exif, comment=SECRET)
    return file.getvalue()


def with_photos(federation: Federation) -> None:
    now = federation.clock.now_ms()
    for agency in ("city", "county"):
        context = federation.nodes[agency].context
        name = context.photos.keep(picture())
        context.store.add([replace(read_at(now - HOUR_MS), photo=name)])


async def ask_photo(client: AccordClient, federation: Federation, read: SharedRead) -> Result:
    selector = PhotoOf(read.read_id)
    return await client.ask(
        federation.question(selector=selector, agencies=(read.originator,), row_limit=1)
    )


async def test_each_agency_gives_the_photo_as_its_agreement_says(federation: Federation) -> None:
    """City and county share it with the bands masked; the digest was in the row before."""
    with_photos(federation)
    async with federation.client() as client:
        reads = [r for r in (await client.ask(federation.question())).reads if r.photo_digest]
        assert {r.originator for r in reads} == {"city", "county"}
        for read in reads:
            result = await ask_photo(client, federation, read)
            assert result.complete
            assert result.photo is not None
            content = result.photo.content
            assert hashlib.sha256(content).digest() == read.photo_digest
            assert SECRET not in content
            image = Image.open(io.BytesIO(content))
            assert not image.getexif()
            middle, top = image.getpixel((100, 50)), image.getpixel((100, 2))
            assert isinstance(middle, tuple)
            assert isinstance(top, tuple)
            assert min(middle) > 250
            assert max(top) < 5
    kinds = federation.kinds("city")
    assert kinds.count("answer") == 2
    entries = [e for e in federation.nodes["city"].context.audit.entries() if e.kind == "answer"]
    assert [e.fields["asked"] for e in entries] == ["plate", "photo"]


@pytest.mark.parametrize("place", ["made-up", "another agency's", "withheld"])
async def test_what_may_not_be_seen_looks_like_no_photo(federation: Federation, place: str) -> None:
    with_photos(federation)
    async with federation.client() as client:
        reads = {r.originator: r for r in (await client.ask(federation.question())).reads
                 if r.photo_digest}  # fmt: skip
        asked = reads["city"]
        if place == "made-up":
            asked = replace(asked, read_id=b"r" * 16)
        elif place == "another agency's":
            asked = replace(asked, read_id=reads["county"].read_id)
        else:
            policy = federation.files.folder("city") / "policy.toml"
            policy.write_text(policy.read_text().replace("plates = []", 'plates = ["9TST001"]'))
            federation.nodes["city"].context.sources.refresh()
        result = await ask_photo(client, federation, asked)
    assert result.photo is None
    assert [(o.kind, o.rows) for o in result.outcomes] == [(OutcomeKind.ANSWERED, 0)]


async def test_an_agreement_without_photos_gives_none_and_names_none(tmp_path: Path) -> None:
    clock = SystemClock()
    files = make_files(tmp_path, clock)
    files.add_agreement("city-harbor", ("city", "harbor"), photo="none")
    files.build()
    async with running(files) as federation, federation.client() as client:
        with_photos(federation)
        reads = {r.originator: r for r in (await client.ask(federation.question())).reads}
        assert reads["county"].photo_digest
        assert not reads["city"].photo_digest
        result = await ask_photo(client, federation, reads["city"])
    assert result.photo is None
    assert [(o.kind, o.code, o.section) for o in result.outcomes] == [
        (OutcomeKind.REFUSED, "FIELD_NOT_SHARED", "I.C")
    ]
