"""One record and its leaf: each field committed to by its own salted digest. Pure.

    digest = SHA-256("accord-audit-field-v1" || 0x00 || len(name) as one byte
                     || name || salt (16 bytes) || value in UTF-8)

The leaf is the canonical protobuf of ``accord.wire.v1.Leaf``: name and digest
of every field, sorted by name. So one field can be disclosed, by its salt and
value, without the others; and a leaf alone tells names of fields, no value.
The record's kind and time are fields like the rest. ``docs/audit.md`` has an
example with every byte.

Source: Cal. Civ. Code 1798.90.52 (what a record of access must hold); MOA III.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from accord.clock import iso
from accord.errors import Code, Unverified

SALT_BYTES = 16
DIGEST_BYTES = 32
MAX_FIELDS = 64

KINDS = frozenset(
    {
        # The owner of the data received a query and decided to allow it.
        "query",
        # The owner answered: count and digest of the answer.
        "answer",
        # A query was refused, here, for a reason that the record names.
        "refusal",
        # The home node vouched for its officer's query.
        "countersign",
        # The home node was told what came back for a query.
        "returned",
        # A broker forwarded, or refused to.
        "forward",
        # A broker's view of what a node did with the query.
        "outcome",
        # Data past its retention was deleted.
        "purge",
        # A legal hold was placed, released or over, or somebody asked when reads go.
        "retention",
        # The agency's engineers activated an agreement at the node.
        "activation",
        # A signed file of an agreement came from another party, and is held.
        "delivery",
        # Another party's node, or a broker, holds a signed file of ours.
        "acknowledged",
        # The node signed a head of its own, or came to hold a new one of another party.
        "head",
        # The node's data come from a backup from here on.
        "restored",
        # Two checkpoints of a log don't go together, or a person resolved that.
        "alert",
        # A record, or fields of one, are destroyed by an authority that is named.
        "expunged",
        # A process started to write this log.
        "start",
    }
)

_DOMAIN = b"accord-audit-field-v1\x00"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_OWN = frozenset({"kind", "time"})


@lru_cache(maxsize=1024)
def field_prefix(name: str) -> bytes:
    """Return what is hashed before the salt; names come from our code, so few."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of an audit field")
    return _DOMAIN + bytes([len(name)]) + name.encode()


@lru_cache(maxsize=1024)
def frame(name: str) -> bytes:
    """Return the protobuf bytes that precede a field's digest in the leaf.

    Written out, since the node makes two leaves per query and building
    messages costs three times as much. Every length is below 128: one byte.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of an audit field")
    raw = name.encode()
    field_1, field_2 = b"\x0a", b"\x12"
    inner = field_1 + bytes([len(raw)]) + raw + field_2 + bytes([DIGEST_BYTES])
    return field_1 + bytes([len(inner) + DIGEST_BYTES]) + inner


# There are few: records of one kind have the same fields. What is the same for all of
# them is found once, since a million entries have some thirty million fields.
@lru_cache(maxsize=256)
def layout(names: tuple[str, ...]) -> tuple[list[bytes], list[bytes]]:
    """Return what stands before each field's digest in the leaf, and before its salt.

    Raises:
        ValueError: a bad name, too many, or not in order, each once.
    """
    if not 0 < len(names) <= MAX_FIELDS or list(names) != sorted(set(names)):
        raise ValueError("too many audit fields, none, or not in order")
    return [*map(frame, names)], [*map(field_prefix, names)]


@dataclass(frozen=True, slots=True)
class Record:
    """What happened: a kind of :data:`KINDS` and its fields, all text.

    Values that are digests are lower-case hex. ``kind`` and ``time`` are added
    by the log and can't be given.

    Raises:
        ValueError: an unknown kind or a bad name; a mistake in our own code.
    """

    kind: str
    fields: Mapping[str, str]

    def __post_init__(self) -> None:
        """Check kind and names."""
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is not a kind of audit record")
        if len(self.fields) + len(_OWN) > MAX_FIELDS or not _OWN.isdisjoint(self.fields):
            raise ValueError("too many audit fields, or one that the log itself sets")
        for name in self.fields:
            field_prefix(name)


def all_fields(record: Record, time_ms: int) -> dict[str, str]:
    """Return every field that the leaf commits to, sorted by name.

    ``time`` is RFC 3339 in UTC with milliseconds.
    """
    fields = {**record.fields, "kind": record.kind, "time": iso(time_ms)}
    return {name: fields[name] for name in sorted(fields)}


def new_salts(fields: Mapping[str, str]) -> dict[str, bytes]:
    """Return a new random salt for each field."""
    pool = secrets.token_bytes(SALT_BYTES * len(fields))
    return {
        name: pool[start : start + SALT_BYTES]
        for name, start in zip(fields, range(0, len(pool), SALT_BYTES), strict=True)
    }


def field_digest(name: str, salt: bytes, value: bytes) -> bytes:
    """Return the commitment to one field."""
    return hashlib.sha256(field_prefix(name) + salt + value).digest()


def commit(fields: Mapping[str, str], salts: Mapping[str, bytes]) -> bytes:
    """Return the leaf's bytes for fields (see :func:`all_fields`) and their salts.

    Raises:
        KeyError: a field without a salt.
    """
    names = tuple(sorted(fields))
    frames, prefixes = layout(names)
    digests = [
        hashlib.sha256(prefix + salts[name] + fields[name].encode()).digest()
        for name, prefix in zip(names, prefixes, strict=True)
    ]
    return b"".join(chain.from_iterable(zip(frames, digests, strict=True)))


def assembled(digests: Iterable[tuple[str, bytes]]) -> bytes:
    """Return the leaf's bytes for names and digests, in their order.

    Raises:
        ValueError: a bad name.
    """
    return b"".join(part for name, digest in digests for part in (frame(name), digest))


def commitments(leaf: bytes) -> dict[str, bytes]:
    """Return name and digest of every field of a leaf, strictly parsed.

    Read by hand, like it is written: a leaf is checked where no protobuf is installed.

    Raises:
        Unverified: ``MALFORMED``: not canonical, unsorted, or a bad name or digest.
    """
    found: dict[str, bytes] = {}
    at, last = 0, ""
    while at < len(leaf):
        # The length of a field's name is its fourth byte; all else follows from the name.
        frame_end = at + 4 + int.from_bytes(leaf[at + 3 : at + 4]) + 2
        end = frame_end + DIGEST_BYTES
        name = leaf[at + 4 : frame_end - 2].decode("ascii", "replace")
        sound = _NAME.fullmatch(name) and leaf[at:frame_end] == frame(name)
        if not sound or end > len(leaf) or name <= last:
            raise _not_canonical()
        found[name] = leaf[frame_end:end]
        at, last = end, name
    if not 0 < len(found) <= MAX_FIELDS:
        raise _not_canonical()
    return found


def _not_canonical() -> Unverified:
    return Unverified(Code.MALFORMED, "the audit leaf is not in its canonical form")


def opening_matches(leaf: bytes, name: str, salt: bytes, value: bytes | str) -> bool:
    """Tell whether the leaf commits to this value of this field.

    False for a leaf that is not canonical and for a salt of another length.
    """
    if len(salt) != SALT_BYTES or not _NAME.fullmatch(name):
        return False
    try:
        digest = commitments(leaf).get(name)
    except Unverified:
        return False
    raw = value.encode() if isinstance(value, str) else value
    return digest is not None and hmac.compare_digest(digest, field_digest(name, salt, raw))
