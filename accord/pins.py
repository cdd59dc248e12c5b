"""Pins: what a serving program has seen, so that a rollback is noticed (attack A5).

    <data>/pins.json

    {
     "format": "accord-pins/1",
     "agencies": {"<root, 64 hex>": 3},          # highest number of an agency.toml
     "texts": {                                  # by SHA-256 of the manifest
      "<64 hex>": {"signed": {"agreement": "city-harbor", "revision": 2, # once it was executed
                              "parties": ["city", "harbor"], "replaces": "<64 hex>"},
                   "commenced_ms": 1772353800000, # first seen; UTC ms
                   "instruments": {"city": 1},    # highest number of each party
                   "heads": {"city": 12},
                   "named": {"city": ["<64 hex>"]}, # what its last head names
                   "between": ["city", "harbor"], # whom that concerns
                   "prohibits": true,             # it prohibits purposes
                   "replaced": true}              # all signed a text that replaces it
     },
     "law": {"city-news": {"number": 2, "text": "<64 hex>"}}  # our counsel's updates
    }

Numbers only grow. The file is on the disk before a folder that made it grow
counts, so what happens while the program is down is noticed at its next start.
A damaged file is refused, and so is none at all beside an audit log, which is made
later: without it nobody can tell an old folder from a new one.
"""

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from accord.agreements.chain import Link
from accord.durable import locked, replace_file
from accord.envelope_json import load_json
from accord.errors import InputError
from accord.strict_toml import StrictModel

FORMAT = "accord-pins/1"
FILE_NAME = "pins.json"
MAX_BYTES = 64 << 20
# What a node or broker that has served leaves beside the file; a node's log may be on a server.
_SERVED = ("audit.db", "permissions.db")

_HEX = r"^[0-9a-f]{64}$"


class _Signed(StrictModel):
    agreement: str
    revision: int = Field(ge=1)
    parties: list[str] = Field(min_length=2)
    replaces: str | None = Field(default=None, pattern=_HEX)


class _Text(StrictModel):
    signed: _Signed | None = None
    commenced_ms: int | None = None
    instruments: dict[str, int] = Field(default={})
    heads: dict[str, int] = Field(default={})
    named: dict[str, list[Annotated[str, Field(pattern=_HEX)]]] = Field(default={})
    between: list[str] = Field(default=[])
    prohibits: bool = False
    replaced: bool = False


class _Update(StrictModel):
    number: int = Field(ge=1)
    text: str = Field(pattern=_HEX)


class _File(StrictModel):
    format: str
    agencies: dict[str, int]
    texts: dict[str, _Text]
    law: dict[str, _Update] = Field(default={})


@dataclass
class Pins:
    """What was seen: highest numbers, and when each text first commenced (UTC ms).

    ``agencies`` is by root (64 hex digits), ``texts`` by digest: each signed
    text's place in its chain. ``commenced`` is by digest, ``instruments`` and
    ``heads`` by digest and party, ``law`` number and SHA-256 of each update of
    the law. ``named`` are the instruments (SHA-256) that a party's last head names.
    ``between`` are whom a text's files concern, by digest, where it can stop
    anybody; ``prohibiting`` the texts that prohibit a purpose, ``replaced`` those
    that another text replaced.
    Without a path they last as long as the program.
    """

    path: Path | None = None
    agencies: dict[str, int] = field(default_factory=dict)
    texts: dict[bytes, Link] = field(default_factory=dict)
    commenced: dict[bytes, int] = field(default_factory=dict)
    instruments: dict[tuple[bytes, str], int] = field(default_factory=dict)
    law: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    heads: dict[tuple[bytes, str], int] = field(default_factory=dict)
    named: dict[tuple[bytes, str], tuple[str, ...]] = field(default_factory=dict)
    between: dict[bytes, frozenset[str]] = field(default_factory=dict)
    prohibiting: set[bytes] = field(default_factory=set)
    replaced: set[bytes] = field(default_factory=set)
    _saved: bytes = b""
    _stamp: tuple[int, int, int] | None = field(default=None, repr=False, compare=False)
    # Who saves last must not write what was true before.
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @classmethod
    def open(cls, path: Path) -> "Pins":
        """Return the pins of a file; a file that is not there yet holds none.

        Raises:
            InputError: it can't be read, is damaged, or is gone.
        """
        there = _stamp(path)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            if any((path.parent / name).exists() for name in _SERVED):
                raise _damaged(path, "is gone") from None
            return cls(path)
        except OSError as error:
            raise InputError(path, f"can't be read ({error.strerror})", "check its owner") from None
        try:
            file = _File.model_validate(load_json(data, path, MAX_BYTES))
        except (InputError, ValidationError):
            raise _damaged(path) from None
        if file.format != FORMAT:
            raise _damaged(path)
        pins = cls(path, dict(file.agencies))
        for digits, text in file.texts.items():
            digest, signed = _digest(digits, path), text.signed
            if signed is not None:
                replaces = bytes.fromhex(signed.replaces or "")
                parties = frozenset(signed.parties)
                pins.texts[digest] = Link(signed.agreement, signed.revision, parties, replaces)
            if text.commenced_ms is not None:
                pins.commenced[digest] = text.commenced_ms
            for party, number in text.instruments.items():
                pins.instruments[digest, party] = number
            for party, number in text.heads.items():
                pins.heads[digest, party] = number
            for party, digests in text.named.items():
                pins.named[digest, party] = tuple(digests)
            if text.between:
                pins.between[digest] = frozenset(text.between)
            if text.prohibits:
                pins.prohibiting.add(digest)
            if text.replaced:
                pins.replaced.add(digest)
        for name, update in file.law.items():
            pins.law[name] = (update.number, bytes.fromhex(update.text))
        pins._saved, pins._stamp = data, there
        return pins

    def renew(self) -> bool:
        """Take in what another process of the node saw meanwhile; tell whether that is more.

        Raises:
            InputError: the file can't be read, or is damaged.
        """
        with self._lock:
            return self._renew()

    def _renew(self) -> bool:
        if self.path is None or _stamp(self.path) in (None, self._stamp):
            return False
        other, before = Pins.open(self.path), _rendered(self._content())
        self.take(other)
        self._saved, self._stamp = other._saved, other._stamp
        return _rendered(self._content()) != before

    def save(self) -> None:
        """Write the file if it would be another one; durable when this returns.

        What another process saw stays in it: numbers only grow.

        Raises:
            InputError: it can't be written.
        """
        with self._lock:
            if self.path is None or _rendered(self._content()) == self._saved:
                return
            with locked(self.path.with_name(f"{self.path.name}.lock")):
                self._renew()
                data = _rendered(self._content())
                if data != self._saved:
                    replace_file(self.path, data)
                self._saved, self._stamp = data, _stamp(self.path)

    def take(self, other: "Pins") -> None:
        """Take over what another file has seen, of each entry the newer: no stop is lifted."""
        for root, number in other.agencies.items():
            self.agencies[root] = max(number, self.agencies.get(root, 0))
        for digest, at_ms in other.commenced.items():
            self.commenced[digest] = min(at_ms, self.commenced.get(digest, at_ms))
        for key, number in other.instruments.items():
            self.instruments[key] = max(number, self.instruments.get(key, 0))
        for key, number in other.heads.items():
            if number > self.heads.get(key, -1):
                self.heads[key] = number
                self.named.pop(key, None)
                self.named |= {key: other.named[key]} if key in other.named else {}
        for digest, parties in other.between.items():
            self.between[digest] = parties | self.between.get(digest, frozenset())
        for name, update in other.law.items():
            self.law[name] = max(update, self.law.get(name, update), key=lambda one: one[0])
        self.texts = other.texts | self.texts
        self.prohibiting |= other.prohibiting
        self.replaced |= other.replaced

    def knows(self, digest: bytes) -> bool:
        """Tell whether a text counted before, or stopped somebody."""
        return digest in self.texts or digest in self.between

    def stopping(self, digest: bytes) -> frozenset[str]:
        """Return whose files of a text may stop something."""
        numbers = (*self.instruments, *self.heads)
        return frozenset(party for text, party in numbers if text == digest)

    def _content(self) -> dict[str, Any]:
        texts: dict[str, dict[str, Any]] = {}
        for digest, link in self.texts.items():
            signed: dict[str, Any] = {
                "agreement": link.id, "revision": link.revision, "parties": sorted(link.parties)
            }  # fmt: skip
            if link.replaces:
                signed["replaces"] = link.replaces.hex()
            texts[digest.hex()] = {"signed": signed}
        for digest, at_ms in self.commenced.items():
            texts.setdefault(digest.hex(), {})["commenced_ms"] = at_ms
        for name, numbers in (("instruments", self.instruments), ("heads", self.heads)):
            for (digest, party), number in numbers.items():
                texts.setdefault(digest.hex(), {}).setdefault(name, {})[party] = number
        for (digest, party), digests in self.named.items():
            texts.setdefault(digest.hex(), {}).setdefault("named", {})[party] = list(digests)
        for digest, parties in self.between.items():
            texts.setdefault(digest.hex(), {})["between"] = sorted(parties)
        for name, marked in (("prohibits", self.prohibiting), ("replaced", self.replaced)):
            for digest in marked:
                texts.setdefault(digest.hex(), {})[name] = True
        law = {
            name: {"number": number, "text": digest.hex()}
            for name, (number, digest) in self.law.items()
        }
        content = {"format": FORMAT, "agencies": self.agencies, "texts": texts}
        return content | ({"law": law} if law else {})


def _rendered(content: dict[str, Any]) -> bytes:
    """Return the file: a line for each text, since there may be thousands, and soon."""
    lines = []
    for name, value in sorted(content.items()):
        if name != "texts" or not value:
            text = json.dumps(value, sort_keys=True)
        else:
            texts = (f'"{key}": {json.dumps(one, sort_keys=True)}' for key, one in value.items())
            text = "{\n  " + ",\n  ".join(sorted(texts)) + "\n }"
        lines.append(f'"{name}": {text}')
    return ("{\n " + ",\n ".join(lines) + "\n}\n").encode()


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what differs once a file was replaced; None while it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _digest(digits: str, path: Path) -> bytes:
    try:
        digest = bytes.fromhex(digits)
    except ValueError:
        raise _damaged(path) from None
    if len(digest) != 32:
        raise _damaged(path)
    return digest


def _damaged(path: Path, how: str = "is damaged") -> InputError:
    empty = json.dumps({"format": FORMAT, "agencies": {}, "texts": {}})
    return InputError(
        path,
        f"{how}, so a rollback could not be told",
        "restore it from the last backup; without one, compare every agreement's text and "
        f"instruments with the other parties, then write this into it: {empty}",
    )
