r"""The lines of an exported log: what they hold, and how they are written and read. Pure.

    {"format":"accord-audit-export/1","origin":"harbor/node","size":3,
     "key":"harbor/node+e7a5a101+Adda...","witnesses":[],"fields":{"without":["plate"]}}
    {"skip":[0,1],"hashes":["<64 hex>"]}
    {"index":1,"leaf":"<64 hex>","fields":[["agency","<32 hex>","harbor"],["plate","<64 hex>"]]}
    {"checkpoint":"harbor/node\n2\n...\n\n\u2014 harbor/node ...\n"}
    {"skip":[2,3],"hashes":["<64 hex>"]}
    {"checkpoint":"harbor/node\n3\n..."}

UTF-8, one JSON object a line, each on one line with no blanks between its tokens. The
entries are in order; what is not in the file is there by the hashes of the largest
complete subtrees that cover it. A field is name, salt and value, or its name and digest
alone; names are in order. A checkpoint follows the last entry that it covers, the last
line is that of the whole log. ``fields`` of the header says which fields whoever wrote
the file kept back: null for none, those ``without``, or all but those of ``only``.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import chain
from struct import Struct
from typing import Any, NamedTuple

from accord.audit.absence import EXPUNGED, SAYING
from accord.audit.checkpoint import check_origin
from accord.audit.leaf import DIGEST_BYTES, MAX_FIELDS, SALT_BYTES, field_prefix, layout
from accord.audit.opening import Opened
from accord.errors import Code, InputError, Unverified

FORMAT = "accord-audit-export/1"
# A record is some kilobytes at most.
MAX_LINE = 4 << 20
_MAX_SIZE = 1 << 62
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True)
class Disclosed:
    """Which fields are given with their values: all, those of ``only``, or all but ``without``."""

    only: frozenset[str] | None = None
    without: frozenset[str] = frozenset()

    def shows(self, name: str) -> bool:
        """Tell whether a field is given with its value."""
        return name not in self.without if self.only is None else name in self.only

    @property
    def withheld(self) -> str:
        """What is kept back, in words; "" for nothing."""
        if self.only is not None:
            return f"all fields but {', '.join(sorted(self.only))}"
        return ", ".join(sorted(self.without))

    def content(self) -> dict[str, list[str]] | None:
        """Return what the header says of it."""
        if self.only is not None:
            return {"only": sorted(self.only)}
        return {"without": sorted(self.without)} if self.without else None


@dataclass(frozen=True, slots=True)
class Header:
    """The first line: the log's name and size, its key and its witnesses' as C2SP vkeys."""

    origin: str
    size: int
    key: str
    witnesses: tuple[str, ...]
    disclosed: Disclosed

    def line(self) -> bytes:
        """Return it as the file's first line."""
        return _line(
            {
                "format": FORMAT,
                "origin": self.origin,
                "size": self.size,
                "key": self.key,
                "witnesses": list(self.witnesses),
                "fields": self.disclosed.content(),
            }
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the file, which makes its leaf.

    ``fields`` holds the values that are given, ``alone`` the names of the other fields.
    """

    index: int
    leaf_hash: bytes
    fields: dict[str, str]
    alone: tuple[str, ...]


class Skip(NamedTuple):
    """Entries [begin, end) that are not in the file, as hashes of complete subtrees."""

    begin: int
    end: int
    hashes: tuple[bytes, ...]


class Note(NamedTuple):
    """A signed checkpoint, not verified yet."""

    note: bytes


def entry_content(
    index: int, digests: Mapping[str, bytes], digest: bytes, record: Opened, disclosed: Disclosed
) -> dict[str, Any]:
    """Return an entry of a leaf with ``digests`` and the hash ``digest`` as JSON has it.

    A record that says what was expunged says so whatever else is kept back: without it what
    is missing of another can't be told from what was taken away.
    """
    given = SAYING if record.fields.get("kind") == EXPUNGED else frozenset[str]()
    fields = [
        [name, record.salts[name].hex(), record.fields[name]]
        if name in record.fields and (name in given or disclosed.shows(name))
        else [name, commitment.hex()]
        for name, commitment in digests.items()
    ]
    return {"index": index, "leaf": digest.hex(), "fields": fields}


def entry_line(content: Mapping[str, Any]) -> bytes:
    """Return the line of an :func:`entry_content`."""
    return _line(content)


def skip_line(begin: int, end: int, hashes: Iterable[bytes]) -> bytes:
    """Return the line for entries [begin, end) that are not in the file."""
    return _line({"skip": [begin, end], "hashes": [digest.hex() for digest in hashes]})


def checkpoint_line(note: bytes) -> bytes:
    """Return the line of a signed checkpoint."""
    return _line({"checkpoint": note.decode()})


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def read_header(line: bytes, where: object) -> Header:
    """Return the first line of an export.

    Raises:
        InputError: it is none of this format.
    """
    try:
        match load_line(line):
            case {
                "format": str(name), "origin": str(origin), "size": int(size), "key": str(key),
                "witnesses": list(witnesses), "fields": fields, **rest,
            } if name == FORMAT and not rest and _is_count(size):  # fmt: skip
                if all(isinstance(one, str) for one in witnesses):
                    disclosed = _disclosed(fields)
                    return Header(check_origin(origin), size, key, tuple(witnesses), disclosed)
    except Unverified:
        pass
    remedy = "name a file that accord audit export or disclose wrote"
    raise InputError(where, f"does not begin as {FORMAT} does", remedy)


def _disclosed(fields: Any) -> Disclosed:
    match fields:
        case None:
            return Disclosed()
        case {"only": list(names), **rest} if not rest:
            return Disclosed(only=_names(names))
        case {"without": list(names), **rest} if not rest and names:
            return Disclosed(without=_names(names))
    raise _malformed()


def _names(names: list[Any]) -> frozenset[str]:
    try:
        if sorted(set(names)) != names or not all(map(field_prefix, names)):
            raise _malformed()
    except (TypeError, ValueError):
        raise _malformed() from None
    return frozenset(names)


def read_line(line: bytes) -> Entry | Skip | Note:
    """Return what one line after the first holds.

    Raises:
        Unverified: ``MALFORMED``: not in its form, or an entry that does not make its leaf.
    """
    content = load_line(line)
    if "index" in content:
        return read_entry(content)
    try:
        match content:
            case {"skip": [begin, end], "hashes": list(hashes), **rest} if (
                _is_count(begin) and _is_count(end) and not rest
            ):
                return Skip(begin, end, tuple(_hex(one, DIGEST_BYTES) for one in hashes))
            case {"checkpoint": str(note), **rest} if not rest:
                return Note(note.encode())
    except (ValueError, TypeError):
        pass
    raise _malformed()


def load_line(line: bytes) -> dict[str, Any]:
    """Return the JSON object of a line, each key once.

    Raises:
        Unverified: ``MALFORMED``.
    """
    try:
        content = _JSON.decode(line.decode())
        if _SURROGATE.search(line):
            # Half a character, which JSON can write and no text can hold.
            json.dumps(content, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise _malformed() from None
    if not isinstance(content, dict):
        raise _malformed()
    return content


def read_entry(content: Mapping[str, Any]) -> Entry:
    """Return an entry that makes the leaf that it says.

    Raises:
        Unverified: ``MALFORMED``.
    """
    try:
        index, stated, listed = content["index"], content["leaf"], content["fields"]
        if len(content) != 3 or not _is_count(index):
            raise _malformed()
        if {len(field) for field in listed} == {3}:
            names, salts, values = zip(*listed, strict=True)
            frames, prefixes = layout(names)
            digests = _digests(prefixes, salts, values)
            fields, alone = dict(zip(names, values, strict=True)), ()
        else:
            names = tuple([field[0] for field in listed])
            frames, prefixes = layout(names)
            digests = list(map(_digest, prefixes, listed))
            fields = {field[0]: field[2] for field in listed if len(field) == 3}
            alone = tuple([field[0] for field in listed if len(field) == 2])
        parts = chain.from_iterable(zip(frames, digests, strict=True))
        # The hash of a leaf, whose bytes follow the first.
        digest = sha256(b"\0" + b"".join(parts)).digest()
        if digest.hex() != stated:
            raise Unverified(Code.MALFORMED, "its fields do not make its leaf")
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise _malformed() from None
    return Entry(index, digest, fields, alone)


def _digests(prefixes: Sequence[bytes], salts: Sequence[str], values: Sequence[str]) -> list[bytes]:
    """Return the digests of an entry all of whose fields are given."""
    if set(map(len, salts)) != {2 * SALT_BYTES}:
        raise _malformed()
    several = _several(len(salts))
    raw = several.unpack(_hex("".join(salts), several.size))
    encoded = map(str.encode, values)
    return [
        sha256(prefix + salt + value).digest()
        for prefix, salt, value in zip(prefixes, raw, encoded, strict=True)
    ]


@lru_cache(maxsize=MAX_FIELDS)
def _several(count: int) -> Struct:
    return Struct(f"{SALT_BYTES}s" * count)


def _digest(prefix: bytes, field: list[str]) -> bytes:
    if len(field) == 2:
        return _hex(field[1], DIGEST_BYTES)
    _, salt, value = field
    return sha256(prefix + _hex(salt, SALT_BYTES) + value.encode()).digest()


def _is_count(value: object) -> bool:
    # True is an int, too.
    return type(value) is int and 0 <= value < _MAX_SIZE


def _hex(text: str, size: int) -> bytes:
    data = bytes.fromhex(text)
    if len(data) != size or data.hex() != text:
        raise ValueError("not lower-case hex of that length")
    return data


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


_JSON = json.JSONDecoder(object_pairs_hook=_once)


def _malformed() -> Unverified:
    return Unverified(Code.MALFORMED, "is not in the form of an export")
