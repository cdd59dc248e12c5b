"""Strict TOML: unknown keys and wrong types are errors that name file, line and key.

The one reader for every TOML file of Accord, so that all of them fail in the
same words.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from accord.errors import InputError

MAX_BYTES = 1 << 20

Fingerprint = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class StrictModel(BaseModel):
    """Base of all file models: no unknown key, no type conversion, frozen."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


T = TypeVar("T", bound=StrictModel)

_WORDS = {
    "extra_forbidden": ("is not a key that belongs here", "remove it, or check its spelling"),
    "missing": ("is missing", "add it"),
    "too_short": ("is empty", "write at least one value"),
    "string_too_short": ("is empty", "write it out"),
    "string_type": ("is not a text", 'write it in quotes, such as "text"'),
    "int_type": ("is not a whole number", "write it without quotes, such as 30"),
    "float_type": ("is not a number", "write it without quotes, such as 30"),
    "bool_type": ("is not true or false", "write true or false without quotes"),
    "list_type": ("is not a list", 'write it in brackets, such as ["a", "b"]'),
    "tuple_type": ("is not a list", 'write it in brackets, such as ["a", "b"]'),
    "model_type": ("is not a section", "write it as a [section] of its own"),
    "date_type": ("is not a date", "write it without quotes, such as 2026-03-01"),
}


def fingerprint(text: str) -> str:
    """Return the 64 hex digits of a checked ``sha256:...``."""
    return text.removeprefix("sha256:")


def read_toml(path: Path, kind: type[T]) -> T:
    """Read and check one TOML file.

    Raises:
        InputError: one line: file, line where it can be told, key, remedy.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(path, "is larger than 1 MiB", "this can't be the right file")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(path, f"can't be read ({error.strerror})", "check the path") from None
    return parse_toml(data, path, kind)


def parse_toml(data: bytes, where: object, kind: type[T]) -> T:
    """Check the bytes of one TOML file.

    Raises:
        InputError: as :func:`read_toml`.
    """
    text = decode(data, where)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(where, f"is not TOML: {error}", _hint(text)) from None
    except ValueError as error:
        # Such as a whole number of thousands of digits.
        raise InputError(where, f"is not TOML: {error}", "correct that value") from None
    except RecursionError:
        # The parser descends into brackets, and anybody may write a draft.
        raise InputError(where, "is nested too deeply", "this can't be the right file") from None
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        # A misspelt key is also a missing one: the misspelling is what to show.
        first = min(found, key=lambda e: e["type"] != "extra_forbidden")
        keys = [str(part) for part in first["loc"]]
        key = ".".join(keys) or "the file"
        problem, remedy = _WORDS.get(first["type"], (f"is wrong: {first['msg']}", "correct it"))
        line = find_line(text, keys)
        at = f"{where}, line {line}" if line else where
        raise InputError(at, f"{key} {problem}", remedy) from None


def decode(data: bytes, where: object) -> str:
    """Return the text of a UTF-8 file without a byte order mark.

    Raises:
        InputError: another encoding, with what to do.
    """
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise InputError(
            where, "starts with a byte order mark", 'save it as plain "UTF-8" without BOM'
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{where}, line {line}", "is not UTF-8", 'save the file with the encoding "UTF-8"'
        ) from None


def find_line(text: str, keys: list[str]) -> int:
    """Return the number of the line that sets the key; 0 where it can't be told.

    ``keys`` is the path as pydantic gives it, such as ``["term", "length"]``
    or ``["parties", "1", "root"]``.
    """
    section: list[str] = []
    counts: dict[str, int] = {}
    fallback = 0
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[(\[)?\s*([^\]]+?)\s*\]", line):
            section = [part.strip().strip('"') for part in header[2].split(".")]
            if header[1]:
                name = header[2]
                counts[name] = counts.get(name, -1) + 1
                section.append(str(counts[name]))
            if section == keys[: len(section)]:
                fallback = number
            if section[: len(keys)] == keys:
                return number
        elif assigned := re.match(r'\s*("?)([\w.-]+)\1\s*=', line):
            path = [*section, *assigned[2].split(".")]
            if path == keys[: len(path)]:
                return number
    return fallback


def _hint(text: str) -> str:
    if re.search("[\u201c\u201d\u2018\u2019]", text):
        return "it holds curly quotes: replace them with straight ones"
    return "correct that line"
