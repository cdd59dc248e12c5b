"""Photos beside the database: kept clean, given out clean.

A photo is drawn anew when it is taken in: nothing of the camera's file but its
pixels is kept, so no EXIF, comment, colour profile or thumbnail can ever leave
the node. It is named by the SHA-256 of the bytes that were kept; those same
bytes are given out, so a row can name the digest of its photo before anybody
asks for it. Where the agreement wants overlays masked, a second file without
the bands is made, once.

    photos/3f/3f2a...e1.jpg              as given where photos are shared
    photos/3f/3f2a...e1.100-000.jpg      the top tenth painted black

A missing file after a crash is a photo that is not there; a damaged one is
found by its digest and never shown.
"""

import hashlib
import io
import os
import re
import secrets
import stat
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageOps

from accord.errors import Code, InputError, Refused
from node.store.purged import PhotoStays

MAX_INPUT_BYTES = 20 << 20
MAX_PIXELS = 50_000_000
# A message holds 1 MiB; the photo is only a part of it.
MAX_GIVEN_BYTES = 900 << 10
MAX_EDGE = 1920
_QUALITY = 85

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_FILE = re.compile(r"([0-9a-f]{64})(?:\.[0-9]{3}-[0-9]{3})?\.jpg", re.ASCII)
_BUCKET = re.compile(r"[0-9a-f]{2}", re.ASCII)
_PARTIAL = "partial-"
_ONLY_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK

Bands = tuple[float, float]


class Photos:
    """The folder of photos of one node."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._masked_digest = lru_cache(maxsize=65_536)(self._find_masked_digest)

    def keep(self, content: bytes) -> str:
        """Keep a photo and return its name, 64 hex digits.

        The file is not synced one by one: a read whose photo was lost with the
        power is a read without a photo, found by its digest.

        Raises:
            InputError: it is not a picture that can be read, or too large.
        """
        clean = redraw(content)
        digest = hashlib.sha256(clean).hexdigest()
        if self._load(f"{digest}.jpg") != clean:
            self._write(f"{digest}.jpg", clean)
        else:
            # Used again just now: no purge takes it for left over.
            with self._bucket(digest[:2]) as bucket:
                os.utime(f"{digest}.jpg", dir_fd=bucket, follow_symlinks=False)
        return digest

    def prepare_masked(self, digest: str, bands: Bands) -> None:
        """Make the masked copy now, so that no query waits for it.

        Raises:
            Refused: ``STORE_CORRUPT``, ``PHOTO_NOT_AVAILABLE`` as :meth:`given`.
        """
        self.given_digest(digest, True, bands)

    def given(self, digest: str, masked: bool, bands: Bands) -> bytes:
        """Return the photo as it may be given out: JPEG without metadata.

        ``bands`` are the fractions of the height, top and bottom, in which the
        camera burns place and time. ``b""`` where there is no such photo, and
        where it should be masked and the owner named no band for the camera:
        what can't be covered is not given.

        Raises:
            Refused: ``PHOTO_NOT_AVAILABLE`` for a name that is none;
                ``STORE_CORRUPT`` when the file is damaged or a link.
        """
        _check(digest)
        if not masked:
            return self._verified(digest) or b""
        if not any(bands):
            return b""
        name = _masked_name(digest, bands)
        content = self._load(name)
        if not content:
            plain = self._verified(digest)
            if plain is None:
                return b""
            content = mask(plain, bands)
            self._write(name, content)
        return content

    def given_digest(self, digest: str, masked: bool, bands: Bands) -> bytes:
        """Return the SHA-256 of what :meth:`given` gives; ``b""`` for nothing.

        Raises:
            Refused: as :meth:`given`.
        """
        _check(digest)
        if not masked:
            return bytes.fromhex(digest)
        return self._masked_digest(digest, bands)

    def unlink(self, digest: str) -> None:
        """Remove a photo and its masked copies; nothing happens where there are none.

        The files are not overwritten first. On flash and on copying or
        journaling file systems that writes elsewhere and destroys nothing, so
        it would promise what it can't keep. Keep the data folder on an
        encrypted volume: there the blocks of an unlinked file are noise to
        whoever finds the disk.

        Raises:
            PhotoStays: ``STORE_UNAVAILABLE``.
        """
        _check(digest)
        self._masked_digest.cache_clear()
        try:
            with suppress(FileNotFoundError), self._bucket(digest[:2]) as bucket:
                for name in os.listdir(bucket):  # noqa: PTH208 - an open folder, no path
                    if name.startswith(digest):
                        os.unlink(name, dir_fd=bucket)
        except OSError as error:
            raise _stays(error) from None

    def names(self, older_than_ms: int) -> Iterator[list[str]]:
        """Yield, folder by folder, the photos written before; half-written files go.

        So that retention finds what a crash left without a read.

        Raises:
            PhotoStays: ``STORE_UNAVAILABLE``.
        """
        if not self._folder.is_dir():
            return
        for entry in sorted(entry.name for entry in self._folder.iterdir()):
            if not _BUCKET.fullmatch(entry):
                continue
            try:
                found = self._left_in(entry, older_than_ms)
            except OSError as error:
                raise _stays(error) from None
            yield sorted(found)

    def _left_in(self, entry: str, older_than_ms: int) -> set[str]:
        found: set[str] = set()
        with self._bucket(entry) as bucket:
            for name in os.listdir(bucket):  # noqa: PTH208 - an open folder, no path
                written = os.stat(name, dir_fd=bucket, follow_symlinks=False).st_mtime_ns
                if written // 1_000_000 >= older_than_ms:
                    continue
                if match := _FILE.fullmatch(name):
                    found.add(match[1])
                elif name.startswith(_PARTIAL):
                    os.unlink(name, dir_fd=bucket)
        return found

    def _find_masked_digest(self, digest: str, bands: Bands) -> bytes:
        content = self.given(digest, True, bands)
        return hashlib.sha256(content).digest() if content else b""

    def _verified(self, digest: str) -> bytes | None:
        content = self._load(f"{digest}.jpg")
        if content is not None and hashlib.sha256(content).hexdigest() != digest:
            raise Refused(Code.STORE_CORRUPT, detail="a photo's file is not what was kept")
        return content

    @contextmanager
    def _bucket(self, name: str) -> Iterator[int]:
        folder = os.open(self._folder, _ONLY_READ | os.O_DIRECTORY)
        try:
            bucket = os.open(name, _ONLY_READ | os.O_DIRECTORY, dir_fd=folder)
        finally:
            os.close(folder)
        try:
            yield bucket
        finally:
            os.close(bucket)

    def _load(self, name: str) -> bytes | None:
        try:
            with (
                self._bucket(name[:2]) as bucket,
                os.fdopen(os.open(name, _ONLY_READ, dir_fd=bucket), "rb") as file,
            ):
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise Refused(Code.STORE_CORRUPT, detail="a photo is not a plain file")
                return file.read(MAX_GIVEN_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            # ELOOP and ENOTDIR: somebody put a link where a file belongs.
            raise Refused(
                Code.STORE_CORRUPT, detail=f"a photo can't be read ({error.strerror})"
            ) from None

    def _write(self, name: str, content: bytes) -> None:
        partial = f"{_PARTIAL}{secrets.token_hex(8)}"
        try:
            (self._folder / name[:2]).mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._bucket(name[:2]) as bucket:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                with os.fdopen(os.open(partial, flags, 0o600, dir_fd=bucket), "wb") as file:
                    file.write(content)
                os.rename(partial, name, src_dir_fd=bucket, dst_dir_fd=bucket)
        except OSError as error:
            raise Refused(
                Code.STORE_UNAVAILABLE, detail=f"a photo can't be written ({error.strerror})"
            ) from None


def bands_of(bands: Mapping[str, Bands], camera: str) -> Bands:
    """Return the overlay bands of a camera; ``*`` stands for those not named."""
    return bands.get(camera) or bands.get("*", (0.0, 0.0))


def redraw(content: bytes) -> bytes:
    """Return the picture as a JPEG of its pixels alone, at most 900 KiB.

    Raises:
        InputError: it is not a JPEG or PNG that can be read, or too large.
    """
    if len(content) > MAX_INPUT_BYTES:
        raise InputError("photo", "is larger than 20 MiB", "take it smaller")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            source = Image.open(io.BytesIO(content), formats=("JPEG", "PNG"))
        with source:
            if source.width * source.height > MAX_PIXELS:
                raise InputError("photo", "has more than 50 million pixels", "take it smaller")
            source.draft("RGB", (MAX_EDGE, MAX_EDGE))
            upright = ImageOps.exif_transpose(source).convert("RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputError("photo", "has too many pixels", "take it smaller") from None
    except (OSError, ValueError, SyntaxError, ArithmeticError, LookupError, TypeError):
        # Pillow's readers raise all of these on damaged files.
        raise InputError("photo", "can't be read as JPEG or PNG", "check the file") from None
    upright.thumbnail((MAX_EDGE, MAX_EDGE))
    return _encoded(upright)


def mask(content: bytes, bands: Bands) -> bytes:
    """Return one of our own JPEGs with the top and bottom bands black."""
    top, bottom = bands
    with Image.open(io.BytesIO(content), formats=("JPEG",)) as source:
        picture = source.convert("RGB")
    width, height = picture.size
    # Rounded up: a row that belongs to the overlay by half is covered.
    rows_top, rows_bottom = -int(-top * height // 1), -int(-bottom * height // 1)
    picture.paste((0, 0, 0), (0, 0, width, rows_top))
    picture.paste((0, 0, 0), (0, height - rows_bottom, width, height))
    return _encoded(picture)


def _encoded(picture: Image.Image) -> bytes:
    """Encode pixels; the same pixels give the same bytes."""
    while True:
        # A new image carries none of the old one's comments and profiles.
        clean = Image.new("RGB", picture.size)
        clean.paste(picture)
        buffer = io.BytesIO()
        clean.save(buffer, "JPEG", quality=_QUALITY, optimize=False, progressive=False)
        if buffer.tell() <= MAX_GIVEN_BYTES:
            return buffer.getvalue()
        picture = clean.resize((max(1, clean.width * 3 // 4), max(1, clean.height * 3 // 4)))


def _masked_name(digest: str, bands: Bands) -> str:
    top, bottom = (round(band * 1000) for band in bands)
    return f"{digest}.{top:03d}-{bottom:03d}.jpg"


def _stays(error: OSError) -> PhotoStays:
    detail = f"a photo can't be removed ({error.strerror})"
    return PhotoStays(Code.STORE_UNAVAILABLE, detail=detail)


def _check(digest: str) -> None:
    """Refuse every name but 64 hex digits, before a path is made of it."""
    if not _DIGEST.fullmatch(digest):
        raise Refused(Code.PHOTO_NOT_AVAILABLE, detail="not the name of a photo")
