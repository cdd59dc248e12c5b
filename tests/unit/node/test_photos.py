"""Photos: clean when kept, masked where the agreement says so, never beyond the folder."""

import hashlib
import io
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageDraw, ImageStat, PngImagePlugin

from accord.errors import Code, InputError, Refused
from node.photos import MAX_GIVEN_BYTES, Photos, mask, redraw

BANDS = (0.1, 0.2)
MARK = b"HARBOUR GATE 7 GPS"


def picture(size: tuple[int, int] = (640, 480), seed: int = 0) -> Image.Image:
    image = Image.new("RGB", size, (40 + seed, 90, 160))
    draw = ImageDraw.Draw(image)
    draw.rectangle((size[0] // 4, size[1] // 3, size[0] // 2, size[1] // 2), (230, 230, 230))
    draw.rectangle((0, 0, size[0], size[1] // 20), (255, 255, 255))
    return image


def jpeg(image: Image.Image | None = None, **more: object) -> bytes:
    buffer = io.BytesIO()
    (image or picture()).save(buffer, "JPEG", **more)
    return buffer.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    return Photos(tmp_path / "photos")


def loaded(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def brightest(image: Image.Image, box: tuple[int, int, int, int]) -> int:
    return ImageStat.Stat(image.crop(box)).extrema[0][1]


def test_metadata_is_stripped_on_the_way_in(photos: Photos, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = MARK.decode()  # ImageDescription
    exif[0x0112] = 6  # Orientation: turned by 90 degrees
    exif.get_ifd(0x8825)[29] = MARK.decode()  # GPS date stamp
    dirty = jpeg(exif=exif, comment=MARK, icc_profile=MARK * 20)
    assert MARK in dirty
    content = photos.given(photos.keep(dirty), False, (0.0, 0.0))
    assert MARK not in content
    image = loaded(content)
    assert not dict(image.getexif())
    assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    # The pixels are upright without the tag.
    assert image.size == (480, 640)
    assert not any(MARK in file.read_bytes() for file in tmp_path.rglob("*.jpg"))


def test_text_chunks_of_png_are_stripped(photos: Photos) -> None:
    note = PngImagePlugin.PngInfo()
    note.add_text("where", MARK.decode())
    buffer = io.BytesIO()
    picture().save(buffer, "PNG", pnginfo=note)
    content = photos.given(photos.keep(buffer.getvalue()), False, BANDS)
    assert content.startswith(b"\xff\xd8")
    assert MARK not in content


def test_the_digest_in_the_row_is_of_what_is_given(photos: Photos) -> None:
    name = photos.keep(jpeg())
    for masked in (False, True):
        content = photos.given(name, masked, BANDS)
        assert hashlib.sha256(content).digest() == photos.given_digest(name, masked, BANDS)
    assert photos.given_digest(name, True, BANDS) != photos.given_digest(name, False, BANDS)
    assert photos.keep(jpeg()) == name


def test_masking_covers_the_bands_and_leaves_the_rest(photos: Photos) -> None:
    name = photos.keep(jpeg())
    plain = loaded(photos.given(name, False, BANDS)).convert("L")
    masked = loaded(photos.given(name, True, BANDS)).convert("L")
    assert brightest(plain, (0, 0, 640, 20)) > 200
    assert brightest(masked, (0, 0, 640, 44)) < 40
    assert brightest(masked, (0, 390, 640, 480)) < 40
    middle = (0, 60, 640, 380)
    difference = ImageChops.difference(masked, plain).crop(middle)
    assert ImageStat.Stat(difference).mean[0] < 2


def test_without_a_band_nothing_can_be_masked_so_nothing_is_given(photos: Photos) -> None:
    name = photos.keep(jpeg())
    assert photos.given(name, True, (0.0, 0.0)) == b""
    assert photos.given_digest(name, True, (0.0, 0.0)) == b""
    assert photos.given(name, False, (0.0, 0.0))


def test_a_photo_that_is_not_there_is_empty(photos: Photos) -> None:
    for masked in (False, True):
        assert photos.given("ab" * 32, masked, BANDS) == b""
    assert photos.given_digest("ab" * 32, True, BANDS) == b""


def test_noise_is_scaled_down_until_it_fits_a_message() -> None:
    noise = Image.frombytes("RGB", (1900, 1900), os.urandom(1900 * 1900 * 3))
    content = redraw(jpeg(noise, quality=95))
    assert len(content) <= MAX_GIVEN_BYTES
    assert redraw(content) == redraw(content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xd8\xff\xe0 not a picture",
        jpeg()[:700],
        b"GIF89a" + bytes(100),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(photos: Photos, content: bytes) -> None:
    with pytest.raises(InputError, match="photo: can't be read as JPEG or PNG") as error:
        photos.keep(content)
    assert "\n" not in str(error.value)


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(photos: Photos) -> None:
    buffer = io.BytesIO()
    Image.new("1", (9000, 9000)).save(buffer, "PNG")
    assert len(buffer.getvalue()) < 100_000
    with pytest.raises(InputError, match="pixels"):
        photos.keep(buffer.getvalue())
    with pytest.raises(InputError, match="20 MiB"):
        photos.keep(bytes((20 << 20) + 1))


@given(st.binary(max_size=60), st.integers(0, 400))
@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60
)
def test_damaged_pictures_never_end_in_another_error(
    photos: Photos, noise: bytes, place: int
) -> None:
    good = jpeg()
    with suppress(InputError):
        kept = photos.keep(good[:place] + noise + good[place + len(noise) :])
        assert photos.given(kept, False, BANDS).startswith(b"\xff\xd8")


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "ab" * 31 + "/.",
        "AB" * 32,
        "ab" * 32 + "\0",
        "ab" * 32 + "\n",
        "",
        "..",
    ],
)
def test_a_name_that_is_no_digest_never_becomes_a_path(photos: Photos, name: str) -> None:
    for call in (
        lambda: photos.given(name, False, BANDS),
        lambda: photos.given(name, True, BANDS),
        lambda: photos.given_digest(name, False, BANDS),
        lambda: photos.unlink(name),
    ):
        with pytest.raises(Refused) as refused:
            call()
        assert refused.value.code is Code.PHOTO_NOT_AVAILABLE


def test_links_are_refused(photos: Photos, tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(redraw(jpeg()))
    name = hashlib.sha256(secret.read_bytes()).hexdigest()
    bucket = tmp_path / "photos" / name[:2]
    bucket.mkdir(parents=True)
    (bucket / f"{name}.jpg").symlink_to(secret)
    with pytest.raises(Refused) as refused:
        photos.given(name, False, BANDS)
    assert refused.value.code is Code.STORE_CORRUPT
    (bucket / f"{name}.jpg").unlink()
    bucket.rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / f"{name}.jpg").write_bytes(secret.read_bytes())
    bucket.symlink_to(elsewhere)
    with pytest.raises(Refused):
        photos.given(name, False, BANDS)


def test_a_file_changed_on_disk_is_not_given(photos: Photos, tmp_path: Path) -> None:
    name = photos.keep(jpeg())
    other = redraw(jpeg(picture(seed=50)))
    (tmp_path / "photos" / name[:2] / f"{name}.jpg").write_bytes(other)
    for masked in (False, True):
        with pytest.raises(Refused) as refused:
            photos.given(name, masked, BANDS)
        assert refused.value.code is Code.STORE_CORRUPT


def test_unlinking_takes_the_masked_copies_along(photos: Photos, tmp_path: Path) -> None:
    name, other = photos.keep(jpeg()), photos.keep(jpeg(picture(seed=9)))
    photos.prepare_masked(name, BANDS)
    photos.prepare_masked(name, (0.5, 0.0))
    assert len(list(tmp_path.rglob(f"{name}*"))) == 3
    photos.unlink(name)
    photos.unlink(name)
    assert not list(tmp_path.rglob(f"{name}*"))
    assert photos.given(name, True, BANDS) == b""
    assert photos.given_digest(name, True, BANDS) == b""
    assert photos.given(other, False, BANDS)


def test_files_are_for_the_owner_alone(photos: Photos, tmp_path: Path) -> None:
    name = photos.keep(jpeg())
    file = tmp_path / "photos" / name[:2] / f"{name}.jpg"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_masking_alone_is_deterministic() -> None:
    plain = redraw(jpeg())
    assert mask(plain, BANDS) == mask(plain, BANDS) != plain
