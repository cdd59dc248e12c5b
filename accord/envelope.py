"""DSSE v1 envelopes: sign exact bytes; verify, and get back those bytes.

The signed message is ``PAE(type, payload)``::

    "DSSEv1" SP len(type) SP type SP len(payload) SP payload

with lengths in decimal ASCII. :func:`verify` is the only way to a payload, so
nobody can parse bytes that were not verified.

Source: protocol.md of the DSSE specification, version 1.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from accord.errors import Code, Unverified
from accord.keys import PublicKey, Signer

QUERY = "application/vnd.accord.query.v1+protobuf"
ANSWER = "application/vnd.accord.answer.v1+protobuf"
REFUSAL = "application/vnd.accord.refusal.v1+protobuf"
CREDENTIAL = "application/vnd.accord.credential.v1+protobuf"
AGENCY = "application/vnd.accord.agency.v1+toml"
COUNTERPART = "application/vnd.accord.counterpart.v1+json"
INSTRUMENT = "application/vnd.accord.instrument.v1+json"
LAW = "application/vnd.accord.law.v1+toml"
ACKNOWLEDGEMENT = "application/vnd.accord.acknowledgement.v1+json"
HEAD = "application/vnd.accord.head.v1+json"
ROSTER = "application/vnd.accord.roster.v1+json"

MAX_SIGNATURES = 4
# P-256 in DER takes up to 72 bytes, Ed25519 64; a key's id is 64 hex digits. More
# than that is a load that nobody checks and everybody has to carry.
MAX_SIGNATURE = 128


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature and the id of the key that made it."""

    keyid: str
    sig: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload, its type and the signatures over both.

    ``payload`` is unverified: pass the envelope to :func:`verify`.
    """

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding, the bytes that are signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def digest(envelope: Envelope) -> bytes:
    """Return SHA-256 of the PAE: the identity of what was signed.

    Signatures are left out, so a re-signed copy has the same digest.
    """
    return hashlib.sha256(pae(envelope.payload_type, envelope.payload)).digest()


def sign(payload_type: str, payload: bytes, *signers: Signer) -> Envelope:
    """Return the payload signed by each of the signers, in their order."""
    message = pae(payload_type, payload)
    signatures = tuple(Signature(s.public.keyid, s.sign(message)) for s in signers)
    return Envelope(payload_type, payload, signatures)


def add_signature(envelope: Envelope, signature: Signature) -> Envelope:
    """Return the envelope with one more signature."""
    return replace(envelope, signatures=(*envelope.signatures, signature))


class Requirement(Protocol):
    """What the signatures of an envelope must show."""

    def check(self, message: bytes, signatures: Sequence[Signature]) -> None:
        """Return if satisfied.

        Raises:
            Unverified: ``SIGNATURE_INVALID``.
        """


class SignedBy:
    """One signature by one of the keys (at least one key must be given)."""

    def __init__(self, keys: Iterable[PublicKey], who: str) -> None:
        self._keys = {key.keyid: key for key in keys}
        self._who = who
        if not self._keys:
            raise Unverified(Code.SIGNATURE_INVALID, f"no key of {who} is known")

    def check(self, message: bytes, signatures: Sequence[Signature]) -> None:
        """Return if one of the signatures is by one of the keys."""
        for signature in signatures:
            key = self._keys.get(signature.keyid)
            if key is not None and key.verifies(message, signature.sig):
                return
        raise Unverified(Code.SIGNATURE_INVALID, f"no valid signature by {self._who}")


class AllOf:
    """Every one of the requirements (at least one must be given)."""

    def __init__(self, *requirements: Requirement) -> None:
        if not requirements:
            raise ValueError("an empty requirement would accept anything")
        self._requirements = requirements

    def check(self, message: bytes, signatures: Sequence[Signature]) -> None:
        """Return if every requirement is satisfied."""
        for requirement in self._requirements:
            requirement.check(message, signatures)


def verify(envelope: Envelope, payload_type: str, requirement: Requirement) -> bytes:
    """Return the payload once its type and signatures are as required.

    Raises:
        Unverified: ``MALFORMED`` for an empty payload, no signature, too many,
            too long or one twice; ``SIGNATURE_INVALID`` for another type or a signature
            that does not fit.
    """
    keyids = [signature.keyid for signature in envelope.signatures]
    if not envelope.payload or not keyids:
        raise Unverified(Code.MALFORMED, "an empty payload, or no signature")
    if len(keyids) > MAX_SIGNATURES or len(set(keyids)) != len(keyids):
        raise Unverified(Code.MALFORMED, "too many signatures, or one key twice")
    if any(len(s.sig) > MAX_SIGNATURE or len(s.keyid) > MAX_SIGNATURE for s in envelope.signatures):
        raise Unverified(Code.MALFORMED, "a signature that is too long")
    if envelope.payload_type != payload_type:
        raise Unverified(Code.SIGNATURE_INVALID, f"the payload is not a {payload_type}")
    requirement.check(pae(payload_type, envelope.payload), envelope.signatures)
    return envelope.payload
