"""Keys that verify a log, as people hand them on: C2SP's one line, PEM or base64.

    harbor/node+e7a5a101+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea

A verifier key is the key's name, its id in hex and the base64 of one byte for the kind
of signature and the 32 bytes of the Ed25519 key.

Source: C2SP signed-note, version 1, "Verifier keys".
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from accord.errors import InputError
from accord.keys import PublicKey

# A log's own signature on a checkpoint, and a witness' cosignature of one.
LOG, WITNESS = 0x01, 0x04

_FORM = re.compile(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")
_MAX_BYTES = 64 << 10
# What stands before an Ed25519 key's 32 bytes in its DER (RFC 8410).
_ED25519_DER = bytes.fromhex("302a300506032b6570032100")


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A key that verifies; ``name`` is the log's or witness' own, "" where it was not said."""

    name: str
    public: PublicKey


def read_vkey(text: str, kind: int = LOG, where: object = "key") -> NamedKey:
    """Return the name and the key of a C2SP verifier key of that kind of signature.

    Raises:
        InputError: it is not one, or its id is not its own.
    """
    found = _FORM.fullmatch(text)
    try:
        material = base64.b64decode(found[3], validate=True) if found else b""
    except binascii.Error:
        material = b""
    if found is None or len(material) != 33 or base64.b64encode(material).decode() != found[3]:
        raise InputError(where, "is no verifier key", "write <name>+<8 hex digits>+<base64>")
    name, raw = found[1], material[1:]
    if hashlib.sha256(name.encode() + b"\n" + material).digest()[:4].hex() != found[2]:
        raise InputError(where, "has an id that is not this key's", "copy the whole line again")
    if material[0] != kind:
        problem = f"is for signatures of kind {material[0]}, not {kind}"
        raise InputError(where, problem, "give the key of the log, or of the witness")
    return NamedKey(name, PublicKey.from_der(_ED25519_DER + raw, where))


def read_public(text: str) -> NamedKey:
    """Return a log's public key: a verifier key, base64 as agency.toml has it, or a file.

    The file holds PEM or a verifier key.

    Raises:
        InputError: neither, or not a key that we take.
    """
    where, path = "--public", Path(text)
    try:
        data = path.read_bytes()[:_MAX_BYTES] if path.is_file() else text.encode()
        if data.lstrip().startswith(b"-----BEGIN"):
            key = serialization.load_pem_public_key(data)
            spki = serialization.PublicFormat.SubjectPublicKeyInfo
            der = key.public_bytes(serialization.Encoding.DER, spki)
        elif _FORM.fullmatch(said := data.decode().strip()):
            return read_vkey(said, where=where)
        else:
            der = base64.b64decode(said, validate=True)
    except (ValueError, OSError):
        raise InputError(
            where,
            "is no PEM file, key in base64 or verifier key",
            'take the key with role "audit" from agency.toml',
        ) from None
    return NamedKey("", PublicKey.from_der(der, where))
