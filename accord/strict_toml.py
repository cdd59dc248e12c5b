"""Strict TOML: unknown keys and wrong types are errors that name file, line and key.

The one reader for every TOML file of Accord, so that all of them fail in the
same words.
"""

import difflib
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from accord.errors import InputError
from accord.toml_slips import deep_line, find_slip

MAX_BYTES = 1 << 20

Fingerprint = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class StrictModel(BaseModel):
    """Base of all file models: no unknown key, no type conversion, frozen."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


T = TypeVar("T", bound=StrictModel)

_FORMATS = (
    (b"PK\x03\x04", "a Word document (.docx) or another packed file"),
    (b"\xd0\xcf\x11\xe0", "an old Word document (.doc)"),
    (b"%PDF", "a PDF"),
    (b"{\\rtf", "a document in RTF"),
)

_UNSEEN = re.compile(r"[\v\f\x85\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

_WORDS = {
    "extra_forbidden": (
        "holds a key that does not belong there",
        "remove it, or check its spelling",
    ),
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
    "plain": (
        "is blank, or holds a tab, a line break or an invisible character",
        "type it anew with plain blanks",
    ),
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


def parse_toml(data: bytes, where: object, kind: type[T], form: str = "") -> T:
    """Check the bytes of one TOML file.

    ``form`` is what its key ``format`` must say, "" where there is none: of another
    kind of file no other slip is told.

    Raises:
        InputError: as :func:`read_toml`.
    """
    text = decode(data, where)
    if not text.strip():
        raise InputError(f"{where}, line 1", "is empty", "get the file again, or fill it in")
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        slip = find_slip(text, str(error))
        raise InputError(f"{where}, line {slip.line}", slip.problem, slip.remedy) from None
    except ValueError:
        # Such as a whole number of thousands of digits.
        raise InputError(where, "holds a value that can't be right", "correct it") from None
    except RecursionError:
        # The parser descends into brackets, and anybody may write a draft.
        at = f"{where}, line {deep_line(text)}"
        raise InputError(at, "is nested too deeply", "this can't be the right file") from None
    if form and isinstance(said := content.get("format"), str) and said != form:
        at = f"{where}, line {find_line(text, ['format']) or 1}"
        problem = f'format is not "{form}", which is what is read here'
        raise InputError(at, problem, "name the right file, or one of this version of Accord")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        # A misspelt key is also a missing one: the misspelling is what to show.
        first = min(found, key=lambda e: e["type"] != "extra_forbidden")
        keys = [str(part) for part in first["loc"]]
        # What is missing at the top is missing in line 1.
        line = find_line(text, keys) or 1
        unknown = first["type"] == "extra_forbidden"
        better = _spelling(kind, keys) if unknown else None
        problem, remedy = _WORDS.get(first["type"], (f"is wrong: {first['msg']}", "correct it"))
        if unknown:
            # It may be anything, a withheld plate too, and what is said here is logged.
            keys.pop()
        key = ".".join(keys) or "the file"
        better = better or _form(first["type"], key, _value_at(content, first["loc"]))
        raise InputError(f"{where}, line {line}", f"{key} {problem}", better or remedy) from None


def _spelling(kind: type[BaseModel], keys: list[str]) -> str | None:
    """Return the remedy for a key that is near a known one, or stands in the wrong section."""
    model: type[BaseModel] | None = kind
    for key in keys[:-1]:
        if model is not None and not key.isdigit():
            field = model.model_fields.get(key)
            model = _model_in(field.annotation) if field else None
    known = list(model.model_fields) if model is not None else []
    written = re.sub(r"[^a-z0-9]+", "_", keys[-1].casefold())
    if near := difflib.get_close_matches(written, known, n=1, cutoff=0.75):
        return f"write {near[0]}"
    if len(keys) > 1 and keys[-1] in kind.model_fields:
        return "move it to the top, above the first [section]"
    return None


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model that a field holds: itself, or inside a list or an optional."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _value_at(content: Any, keys: Sequence[int | str]) -> Any:
    for key in keys:
        try:
            content = content[key]
        except (KeyError, IndexError, TypeError):
            return None
    return content


def _form(problem: str, key: str, value: Any) -> str | None:
    """Return the remedy that the form of a wrong value tells, if it does."""
    if (
        problem == "int_type"
        and isinstance(value, str)
        and re.fullmatch(r"\s*[0-9]{1,9}\s*", value)
    ):
        return "write the number without quotes"
    if problem in ("list_type", "tuple_type") and isinstance(value, dict):
        return f"write [[{key}]], with two brackets, before each"
    if problem == "model_type" and isinstance(value, list):
        return f"write [{key}] once, with one bracket"
    if problem == "string_type" and isinstance(value, list):
        return "write one text, without brackets"
    return None


def decode(data: bytes, where: object) -> str:
    """Return the text of a UTF-8 file without a byte order mark.

    Signs that look like a line break, or that change the direction of writing,
    are refused: what a reader sees would not be what the file says.

    Raises:
        InputError: another encoding or another kind of file, with what to do.
    """
    for start, name in _FORMATS:
        if data.startswith(start):
            raise InputError(
                f"{where}, line 1", f"is {name}, not plain text", 'save it as "Plain text", UTF-8'
            )
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise InputError(
            f"{where}, line 1",
            "starts with a byte order mark",
            'save it as plain "UTF-8" without BOM',
        )
    if b"\0" in data[:64]:
        raise InputError(f"{where}, line 1", "is UTF-16 or no text at all", 'save it as "UTF-8"')
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{where}, line {line}", "is not UTF-8", 'save the file with the encoding "UTF-8"'
        ) from None
    if unseen := _UNSEEN.search(text):
        line = text.count("\n", 0, unseen.start()) + 1
        problem = "holds a sign that looks like a line break or turns the direction of writing"
        raise InputError(f"{where}, line {line}", problem, "type the line anew in a plain editor")
    return text


def find_line(text: str, keys: list[str]) -> int:
    """Return the number of the line that sets the key; 0 where it can't be told.

    ``keys`` is the path as pydantic gives it, such as ``["term", "length"]``
    or ``["parties", "1", "root"]``.
    """
    section: list[str] = []
    counts: dict[str, int] = {}
    fallback = 0
    for number, line in enumerate(text.split("\n"), 1):
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
