"""Files that a command reads or writes for a person: small ones, and never over another."""

from pathlib import Path

from accord.agencies import read_plain
from accord.durable import make_folder
from accord.errors import InputError


def section_texts(folder: Path) -> dict[str, bytes]:
    """Return the texts of a document's sections by section; empty where there is no folder.

    Raises:
        InputError: a file in it is no small plain text file named ``<section>.txt``.
    """
    texts: dict[str, bytes] = {}
    try:
        paths = sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise InputError(folder, f"can't be read ({error.strerror})", "check it") from None
    for path in paths:
        if path.suffix != ".txt":
            raise InputError(path, "is not named <section>.txt", "move it away")
        texts[path.stem] = read_plain(path)
    return texts


def write_new(path: Path, data: bytes) -> None:
    """Write a file that is not there yet, and the folders on the way.

    Raises:
        InputError: it is there already, or can't be written.
    """
    make_folder(path.parent)
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError:
        raise InputError(
            path, "is there already and is never overwritten", "give another name, or move it away"
        ) from None
    except OSError as error:
        raise InputError(path, f"can't be written ({error.strerror})", "check the path") from None
