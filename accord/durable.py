"""Files that are there whole or not at all, also after the power failed.

The bytes go into a temporary file beside it, whose name begins with a dot, so
that no reader of a folder takes it for a file of its own; both the file and
the folder's entry have reached the disk when a function returns.
"""

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from accord.errors import InputError

PRIVATE = 0o600


def make_folder(path: Path, mode: int = 0o777) -> None:
    """Make a folder that may be there already, and those above it.

    ``mode`` is that of the folder itself, as far as the process' umask lets it.

    Raises:
        InputError: a file stands in its place or above it, or it can't be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=mode)
    except (FileExistsError, NotADirectoryError):
        above = next((one for one in (path, *path.parents) if os.path.lexists(one)), path)
        raise InputError(
            above, "is a file, where a folder is needed", "move it away, or name another folder"
        ) from None
    except OSError as error:
        raise InputError(
            path, f"can't be made ({error.strerror})", "check the folder above it and its owner"
        ) from None


def replace_file(path: Path, data: bytes, mode: int = PRIVATE) -> None:
    """Write a file, in the place of an older one if there is one.

    ``mode`` is the file's, whatever the process' umask: its owner's alone unless
    others are to read it.

    Raises:
        InputError: it can't be written.
    """
    with _written(path, os.replace, mode) as file:
        file.write(data)


def create_file(path: Path, data: bytes) -> bool:
    """Write a file that is not there yet; tell False where one is, which then stays.

    Raises:
        InputError: it can't be written.
    """
    try:
        with _written(path, os.link, PRIVATE) as file:
            file.write(data)
    except FileExistsError:
        return False
    return True


@contextmanager
def created(path: Path) -> Iterator[BinaryIO]:
    """Give a file that is not there yet to be written; it is there once this is left.

    After an error there is nothing.

    Raises:
        InputError: one is there, which then stays; or it can't be written.
    """
    taken = InputError(path, "is there already and is never overwritten", "give another name")
    if os.path.lexists(path):
        raise taken
    try:
        with _written(path, os.link, PRIVATE) as file:
            yield file
    except FileExistsError:
        raise taken from None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file, which is made if need be: one program at a time. Waits for it.

    The kernel lets go of it when the program ends, however it ends.

    Raises:
        InputError: it can't be opened.
    """
    make_folder(path.parent, 0o700)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, PRIVATE)
    except OSError as error:
        raise InputError(
            path, f"can't be opened ({error.strerror})", "check the folder and its owner"
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _written(path: Path, put: Callable[[Path, Path], object], mode: int) -> Iterator[BinaryIO]:
    """Give the temporary file, and put it in its place.

    Raises:
        FileExistsError: something is there, and ``put`` does not replace it.
        InputError: it can't be written.
    """
    make_folder(path.parent)
    part = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), mode)
                yield file
                file.flush()
                os.fsync(file.fileno())
            put(part, path)
        finally:
            part.unlink(missing_ok=True)
        sync_folder(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise InputError(
            path, f"can't be written ({error.strerror})", "check the folder, its owner and the disk"
        ) from None


def sync_folder(folder: Path) -> None:
    """Have the disk keep which files a folder has now.

    Raises:
        OSError: the disk says no.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
