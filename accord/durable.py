"""Files that are there whole or not at all, also after the power failed.

The bytes go into a temporary file beside it, whose name begins with a dot, so
that no reader of a folder takes it for a file of its own; both the file and
the folder's entry have reached the disk when a function returns.
"""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from accord.errors import InputError


def replace_file(path: Path, data: bytes) -> None:
    """Write a file, in the place of an older one if there is one.

    Raises:
        InputError: it can't be written.
    """
    _write(path, data, _replaced)


def create_file(path: Path, data: bytes) -> bool:
    """Write a file that is not there yet; tell False where one is, which then stays.

    Raises:
        InputError: it can't be written.
    """
    return _write(path, data, _linked)


def _replaced(part: Path, path: Path) -> bool:
    part.replace(path)
    return True


def _linked(part: Path, path: Path) -> bool:
    try:
        os.link(part, path)
    except FileExistsError:
        return False
    return True


def _write(path: Path, data: bytes, put: Callable[[Path, Path], bool]) -> bool:
    part = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            done = put(part, path)
        finally:
            part.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise InputError(
            path, f"can't be written ({error.strerror})", "check the folder, its owner and the disk"
        ) from None
    return done


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
