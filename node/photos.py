"""Photos kept beside the database, named by their digest; given out without metadata."""

import hashlib
import io
import os
import re
from pathlib import Path

from PIL import Image, ImageDraw

from accord.errors import InputError

MAX_BYTES = 8 << 20
_MAX_GIVEN = 900_000
_MAX_PIXELS = 40_000_000
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
Bands = tuple[float, float]


class Photos:
    """The photo folder of a node: ``<folder>/<2 hex>/<64 hex>.jpg``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._digests: dict[tuple[str, bool, Bands], bytes] = {}

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise InputError("photo", "is not named by a digest")
        return self._folder / digest[:2] / f"{digest}.jpg"

    def keep(self, content: bytes) -> str:
        """Keep a picture as it came; return its SHA-256 in hex.

        Raises:
            InputError: too large, or not a picture.
        """
        if len(content) > MAX_BYTES:
            raise InputError("photo", "is larger than 8 MiB", "scale it down")
        _open(content).close()
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(digest)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            part = path.with_suffix(".part")
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
        return digest

    def given(self, digest: str, masked: bool, bands: Bands) -> bytes:
        """Return the photo as it is given out: no metadata, bands covered if ``masked``.

        ``bands`` are fractions of the height at top and bottom in which the
        camera burns in place and time. b"" where there is no such photo.
        """
        path = self._path(digest)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return b""
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(MAX_BYTES + 1)
        return _encode(_open(content), bands if masked else (0.0, 0.0))

    def given_digest(self, digest: str, masked: bool, bands: Bands) -> bytes:
        """Return SHA-256 of the photo as given out; b"" where there is none."""
        key = (digest, masked, bands)
        if key not in self._digests:
            if len(self._digests) > 10_000:
                self._digests.clear()
            content = self.given(digest, masked, bands)
            if not content:
                return b""
            self._digests[key] = hashlib.sha256(content).digest()
        return self._digests[key]

    def unlink(self, digest: str) -> None:
        """Remove a photo. Overwriting first would promise what flash disks do not keep."""
        self._path(digest).unlink(missing_ok=True)
        self._digests = {k: v for k, v in self._digests.items() if k[0] != digest}


def _open(content: bytes) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(content), formats=("JPEG", "PNG"))
        if picture.width * picture.height > _MAX_PIXELS:
            raise InputError("photo", "has too many pixels", "scale it down")
        picture.load()
    except (OSError, SyntaxError, ValueError):
        raise InputError("photo", "is not a JPEG or PNG picture") from None
    return picture


def _encode(picture: Image.Image, bands: Bands) -> bytes:
    """Return a JPEG of the pixels alone: what else the file held is gone."""
    clean = Image.new("RGB", picture.size)
    clean.paste(picture.convert("RGB"))
    pen = ImageDraw.Draw(clean)
    top, bottom = (round(clean.height * band) for band in bands)
    if top:
        pen.rectangle((0, 0, clean.width, top), fill=(0, 0, 0))
    if bottom:
        pen.rectangle((0, clean.height - bottom, clean.width, clean.height), fill=(0, 0, 0))
    while True:
        out = io.BytesIO()
        clean.save(out, "JPEG", quality=85)
        if out.tell() <= _MAX_GIVEN:
            return out.getvalue()
        clean = clean.resize((clean.width * 3 // 4, clean.height * 3 // 4))
