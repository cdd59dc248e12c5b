"""Files that a command writes for a person: new ones, never over another."""

from pathlib import Path

from accord.errors import InputError


def write_new(path: Path, data: bytes) -> None:
    """Write a file that is not there yet, and the folders on the way.

    Raises:
        InputError: it is there already, or can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError:
        raise InputError(
            path, "is there already and is never overwritten", "give another --out, or move it away"
        ) from None
    except OSError as error:
        raise InputError(path, f"can't be written ({error.strerror})", "check the path") from None
