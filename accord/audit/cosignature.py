"""Cosignatures: C2SP tlog-cosignature on a checkpoint, Ed25519 with a time, to the byte. Pure.

What a cosigner signs, and the line that it adds to the note::

    cosignature/v1
    time 1679315147
    harbor/node
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — city/witness jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZC...

The line is the base64 of a 4-byte key id, the time in seconds (8 bytes, big-endian)
and the 64-byte signature. It says: of this log, the largest consistent tree that I had
seen at that time is this one. A key for cosignatures is used for nothing else, since
its name is not among what it signs.

Source: C2SP tlog-cosignature and signed-note, version 1.
"""

import base64
import hashlib

from accord.audit.checkpoint import (
    MAX_SIGNATURES,
    open_note,
    raw_ed25519,
    read_signature,
    signature_line,
)
from accord.errors import Code, Unverified
from accord.keys import PublicKey, Signer

_COSIGNATURE_TYPE = b"\x04"
_HEADER = "cosignature/v1"
_ID, _TIME, _SIGNATURE = 4, 8, 64
MAX_TIME_S = 2**63 - 1


def key_id(name: str, public: PublicKey) -> bytes:
    """Return SHA-256(name || 0x0A || 0x04 || key)[:4]."""
    message = name.encode() + b"\n" + _COSIGNATURE_TYPE + raw_ed25519(public, "witness key")
    return hashlib.sha256(message).digest()[:_ID]


def verifier_key(name: str, public: PublicKey) -> str:
    """Return the key as C2SP tools take it: ``name+keyid+base64``."""
    material = base64.b64encode(_COSIGNATURE_TYPE + raw_ed25519(public, "witness key")).decode()
    return f"{name}+{key_id(name, public).hex()}+{material}"


def _message(text: str, at_s: int) -> bytes:
    return f"{_HEADER}\ntime {at_s}\n{text}".encode()


def cosign(note: bytes, name: str, signer: Signer, at_s: int) -> str:
    """Return the line of our cosignature on a note, made at ``at_s`` (UTC seconds).

    Whoever calls it has verified the note.

    Raises:
        Unverified: ``MALFORMED``: not a note.
    """
    text, _ = open_note(note)
    signature = signer.sign(_message(text, at_s))
    return signature_line(name, key_id(name, signer.public) + at_s.to_bytes(_TIME) + signature)


def cosigned_at(note: bytes, name: str, public: PublicKey) -> int | None:
    """Return when the cosigner saw the note's tree (UTC seconds), None if it did not sign it.

    Of several the latest. Lines of other names and keys are ignored; one that names this
    key and does not fit spoils the note.

    Raises:
        Unverified: ``MALFORMED`` or ``SIGNATURE_INVALID``.
    """
    text, signatures = open_note(note)
    wanted = key_id(name, public)
    times = []
    for whose, signature in signatures:
        if whose != name or signature[:_ID] != wanted:
            continue
        at_s = int.from_bytes(signature[_ID : _ID + _TIME])
        signed = signature[_ID + _TIME :]
        sound = len(signed) == _SIGNATURE and 0 < at_s <= MAX_TIME_S
        if not sound or not public.verifies(_message(text, at_s), signed):
            raise Unverified(Code.SIGNATURE_INVALID, f"the cosignature is not one of {name}")
        times.append(at_s)
    return max(times, default=None)


def lines_of(body: bytes) -> list[str]:
    """Return the signature lines of a witness' answer, each with its end. Unverified.

    Raises:
        Unverified: ``MALFORMED``.
    """
    try:
        lines = body.decode().split("\n")
    except UnicodeDecodeError:
        raise Unverified(Code.MALFORMED, "the cosignatures are not UTF-8") from None
    if lines.pop() or not 1 <= len(lines) <= MAX_SIGNATURES:
        raise Unverified(Code.MALFORMED, "the answer is no list of cosignatures")
    for line in lines:
        read_signature(line)
    return [f"{line}\n" for line in lines]


def merged(note: bytes, lines: list[str]) -> bytes:
    """Return the note with more signature lines at its end; those that it has stay single.

    Raises:
        Unverified: ``MALFORMED``: not a note, or no signature line, or too many.
    """
    _, signatures = open_note(note)
    there = set(signatures)
    added = []
    for line in lines:
        signature = read_signature(line.removesuffix("\n"))
        if signature not in there:
            there.add(signature)
            added.append(line)
    whole = note + "".join(added).encode()
    open_note(whole)
    return whole
