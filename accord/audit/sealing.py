"""Records at rest: a key for each, wrapped by the log's own, found by keyed terms.

From the 32 bytes of the secret file two keys are derived with HKDF-SHA256
(no salt; info as below, with the log's origin, so that no two logs share one):

    wrap key  = HKDF("accord-audit-wrap-v1"  || 0x00 || origin)
    index key = HKDF("accord-audit-index-v1" || 0x00 || origin)

Each record is packed, then sealed with AES-256-GCM under a random key of its
own, with the leaf's hash as additional data: a sealed record fits its leaf
only. That key is wrapped with AES-256-GCM under the wrap key. Destroying one
wrapped key expunges one record. A term is HMAC-SHA256(index key, field ||
0x00 || value)[:16]: equal values can be found by whoever holds the secret.
Without it nothing in the file tells a plate, officer or case.
"""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from accord.audit.leaf import SALT_BYTES
from accord.errors import Code, Unverified

SECRET_BYTES = 32
TERM_BYTES = 16
# Fields by which records are looked up; "plate" holds patterns too.
INDEXED = frozenset(
    {
        "agency",
        "area",
        "case",
        "kind",
        "officer",
        "on_behalf_of",
        "plate",
        "purpose",
        "query_id",
        "read_id",
    }
)

_REPEATED = frozenset({"agency", "kind", "officer", "on_behalf_of", "purpose"})
_VERSION = b"\x01"
_NONCE_BYTES = 12
# A record's key seals one record once, so its nonce need not vary.
_RECORD_NONCE = bytes(_NONCE_BYTES)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed record: its wrapped key (nonce, ciphertext, tag) and its box."""

    key: bytes
    box: bytes


def pack(fields: Mapping[str, str], salts: Mapping[str, bytes]) -> bytes:
    """Return the record's plain bytes, before sealing.

    0x01, then per field, sorted by name: length of the name (1 byte), name,
    salt (16 bytes), length of the value (4 bytes, big-endian), value.
    """
    parts = [_VERSION]
    for name in sorted(fields):
        value = fields[name].encode()
        parts += (
            bytes([len(name)]),
            name.encode(),
            salts[name],
            len(value).to_bytes(4, "big"),
            value,
        )
    return b"".join(parts)


def unpack(data: bytes) -> tuple[dict[str, str], dict[str, bytes]]:
    """Return fields and salts of a packed record.

    Raises:
        Unverified: ``MALFORMED``.
    """
    fields: dict[str, str] = {}
    salts: dict[str, bytes] = {}
    at, end = 1, len(data)
    try:
        while at < end:
            name_end = at + 1 + data[at]
            value_at = name_end + SALT_BYTES + 4
            value_end = value_at + int.from_bytes(data[value_at - 4 : value_at], "big")
            name = data[at + 1 : name_end].decode()
            fields[name] = data[value_at:value_end].decode()
            salts[name] = data[name_end : value_at - 4]
            at = value_end
    except UnicodeDecodeError:
        at = -1
    if at != end or data[:1] != _VERSION:
        raise Unverified(Code.MALFORMED, "a sealed record is not in its form")
    return fields, salts


def values_of(fields: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Return the values by which a record is found in a field.

    Each of several plates is found as if it had been asked for alone.
    """
    own = (fields[name],) if fields.get(name) else ()
    if name != "plate" or not fields.get("plates"):
        return own
    return (*own, *(one.rpartition(":")[2] for one in fields["plates"].split(",")))


class Sealer:
    """Seals and opens the records of one log, and computes its search terms."""

    def __init__(self, secret: bytes, origin: str) -> None:
        """Derive the keys of the log ``origin`` from the 32-byte secret."""
        if len(secret) != SECRET_BYTES:
            raise ValueError("the audit secret must be 32 bytes")
        self._wrap = AESGCM(_derive(secret, b"accord-audit-wrap-v1", origin))
        self._index = _derive(secret, b"accord-audit-index-v1", origin)
        # A few values that come with nearly every record; never a plate or case.
        self._repeated = lru_cache(maxsize=1024)(self.term)

    def seal(self, packed: bytes, leaf_hash: bytes) -> Sealed:
        """Return the packed record sealed to its leaf."""
        key = secrets.token_bytes(32)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        wrapped = nonce + self._wrap.encrypt(nonce, key, leaf_hash)
        return Sealed(wrapped, AESGCM(key).encrypt(_RECORD_NONCE, packed, leaf_hash))

    def open(self, sealed: Sealed, leaf_hash: bytes) -> bytes:
        """Return the packed record.

        Raises:
            Unverified: ``MALFORMED``: altered, moved to another leaf, or sealed
                under another secret.
        """
        try:
            nonce, wrapped = sealed.key[:_NONCE_BYTES], sealed.key[_NONCE_BYTES:]
            key = self._wrap.decrypt(nonce, wrapped, leaf_hash)
            return AESGCM(key).decrypt(_RECORD_NONCE, sealed.box, leaf_hash)
        except (InvalidTag, ValueError):
            raise Unverified(
                Code.MALFORMED, "the sealed record does not open: altered, or another secret"
            ) from None

    def term(self, field: str, value: str) -> bytes:
        """Return the search term of one value."""
        return hmac.digest(self._index, f"{field}\0{value}".encode(), "sha256")[:TERM_BYTES]

    def lookup(self, field: str, value: str) -> bytes:
        """Return the search term by which a field can be looked up.

        Raises:
            ValueError: the field is not one of :data:`INDEXED`, or nothing is
                looked for.
        """
        if field not in INDEXED or not value:
            raise ValueError(f"audit records can't be looked up by {field!r}")
        return self.term(field, value)

    def terms(self, fields: Mapping[str, str]) -> list[bytes]:
        """Return the search terms of a record: its indexed fields that hold something."""
        return [
            self._repeated(name, value) if name in _REPEATED else self.term(name, value)
            for name in INDEXED
            for value in values_of(fields, name)
        ]


def _derive(secret: bytes, info: bytes, origin: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=info + b"\x00" + origin.encode()).derive(secret)
