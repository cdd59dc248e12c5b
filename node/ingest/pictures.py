"""Pictures that come with a read: embedded, as a part of a form, or as a file beside it.

A picture that can't be had is left out and noted; it costs no read. Where the
agency's policy keeps no photos, none is even decoded.
"""

import base64
import binascii
import os
import stat
from pathlib import Path

from node.ingest.report import NotTaken
from node.ingest.settings import Settings

MAX_PICTURE = 8 << 20
NO_PICTURES = "a picture left out: the policy keeps none"
_NOT_THERE = "the photo is not there"
_DAMAGED = "the picture is damaged or too large: left out"


def picture_base64(text: object, settings: Settings, notes: list[str]) -> bytes | None:
    """Return the bytes of an embedded picture, where the site keeps photos."""
    if not text:
        return None
    if not settings.keep_photos:
        notes.append(NO_PICTURES)
        return None
    if not isinstance(text, str) or len(text) > MAX_PICTURE * 4 // 3 + 4:
        notes.append(_DAMAGED)
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        notes.append(_DAMAGED)
        return None


def picture_bytes(content: bytes, settings: Settings, notes: list[str]) -> bytes | None:
    """Return a picture that came as a file of its own, where the site keeps photos."""
    if not content:
        return None
    if not settings.keep_photos:
        notes.append(NO_PICTURES)
        return None
    if len(content) > MAX_PICTURE:
        notes.append(_DAMAGED)
        return None
    return content


def picture_file(name: str, settings: Settings, notes: list[str]) -> bytes | None:
    """Return the photo that a record names, from the photo folder and nowhere else.

    Raises:
        NotTaken: the path leads out of the folder.
    """
    if not name:
        return None
    if not settings.keep_photos:
        notes.append(NO_PICTURES)
        return None
    folder = settings.photo_folder
    if folder is None:
        notes.append("a photo's path, but no folder to find it in")
        return None
    path = folder / name
    out = NotTaken("the photo's path leads out of the folder")
    try:
        if Path(name).is_absolute() or ".." in Path(name).parts or path.is_symlink():
            raise out
        if not path.resolve().is_relative_to(folder.resolve()):
            raise out
        # Nothing waits for whoever would write to a pipe.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags), "rb") as file:
            plain = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            content = file.read(MAX_PICTURE + 1) if plain else b""
        if not plain:
            notes.append(_NOT_THERE)
            return None
    except (OSError, ValueError):
        # ValueError: a null byte, or half a surrogate pair.
        notes.append(_NOT_THERE)
        return None
    return picture_bytes(content, settings, notes)
