"""Signed tree heads: C2SP tlog-checkpoint in a signed note, to the byte.

    harbor/node
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — harbor/node Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5...

The lines are origin, size in decimal and root in base64; each signature is the
base64 of a 4-byte key id and a 64-byte Ed25519 signature over the text above
the blank line. A log's key name is its origin.

Source: C2SP signed-note and tlog-checkpoint, version 1.
"""

import base64
import hashlib
import re
from dataclasses import dataclass

from accord.audit.merkle import HASH_BYTES
from accord.errors import Code, InputError, Unverified
from accord.keys import ED25519, PublicKey, Signer

# Sixteen signatures of 5 kB have to be taken, in base64 (signed-note).
MAX_BYTES = 128 * 1024
MAX_SIGNATURES = 64
# What a database keeps as a size; a proof has one hash less than this has bits.
MAX_SIZE = 2**63 - 1

_ED25519_TYPE = b"\x01"
_DASH = "\u2014 "
_NAME = re.compile(r"[^\s+]+")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: name of the log, number of leaves, root (32 bytes).

    ``extensions`` are opaque further lines; Accord's logs write none.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the note's text, the bytes that are signed (UTF-8)."""
        lines = [self.origin, str(self.size), base64.b64encode(self.root).decode()]
        return "".join(f"{line}\n" for line in (*lines, *self.extensions))


def check_origin(origin: str) -> str:
    """Return the name of a log, such as ``harbor/node``.

    Raises:
        InputError: empty, or with a blank, a plus or a control character.
    """
    if not _NAME.fullmatch(origin) or _CONTROL.search(origin):
        raise InputError("audit log", f"{origin!r} can't be its name", "use <agency>/node")
    return origin


def raw_ed25519(public: PublicKey, where: object = "audit key") -> bytes:
    """Return the 32 bytes of an Ed25519 public key.

    Raises:
        InputError: another kind of key; checkpoints are Ed25519 only.
    """
    if public.algorithm != ED25519:
        raise InputError(where, "is not an Ed25519 key", "audit logs sign with Ed25519")
    return public.der[-32:]


def key_id(name: str, public: PublicKey) -> bytes:
    """Return SHA-256(name || 0x0A || 0x01 || key)[:4]."""
    message = name.encode() + b"\n" + _ED25519_TYPE + raw_ed25519(public)
    return hashlib.sha256(message).digest()[:4]


def verifier_key(name: str, public: PublicKey) -> str:
    """Return the key as C2SP tools take it: ``name+keyid+base64``."""
    material = base64.b64encode(_ED25519_TYPE + raw_ed25519(public)).decode()
    return f"{name}+{key_id(name, public).hex()}+{material}"


def signature_line(name: str, signature: bytes) -> str:
    """Return the line of a signature, which begins with its key id; with the line's end."""
    return f"{_DASH}{name} {base64.b64encode(signature).decode()}\n"


def sign(checkpoint: Checkpoint, signer: Signer) -> bytes:
    """Return the signed note; the key's name is the origin."""
    text, name = checkpoint.text(), checkpoint.origin
    signature = key_id(name, signer.public) + signer.sign(text.encode())
    return f"{text}\n{signature_line(name, signature)}".encode()


def verify(note: bytes, origin: str, *keys: PublicKey) -> Checkpoint:
    """Return the checkpoint once the log's own signature on it is verified, by one of its keys.

    Signatures by keys that we don't know are ignored; one that names a key of ours
    and does not fit spoils the note.

    Raises:
        InputError: a key that is not Ed25519.
        Unverified: ``MALFORMED`` or ``SIGNATURE_INVALID``.
    """
    text, signatures = open_note(note)
    known = {key_id(origin, key): key for key in keys}
    ours = [sig for name, sig in signatures if name == origin and sig[:4] in known]
    if not ours or not all(known[sig[:4]].verifies(text.encode(), sig[4:]) for sig in ours):
        raise Unverified(Code.SIGNATURE_INVALID, f"the checkpoint is not signed by {origin}")
    checkpoint = _parse(text)
    if checkpoint.origin != origin:
        raise Unverified(Code.SIGNATURE_INVALID, f"the checkpoint is of another log than {origin}")
    return checkpoint


def from_base64(text: str) -> bytes:
    """Decode standard base64 whose one canonical form this is.

    Raises:
        ValueError: it is not.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("holds something that is not base64") from None
    if base64.b64encode(data).decode() != text:
        raise ValueError("holds base64 that is not canonical")
    return data


def claimed_origin(note: bytes) -> str:
    """Return the first line of a note. Unverified: good for looking up a key.

    Raises:
        Unverified: ``MALFORMED``.
    """
    text, _ = open_note(note)
    return text.partition("\n")[0]


def _malformed(problem: str) -> Unverified:
    return Unverified(Code.MALFORMED, f"the checkpoint {problem}")


def open_note(note: bytes) -> tuple[str, list[tuple[str, bytes]]]:
    """Split a note into its text and its signatures (name, key id and signature). Unverified.

    Raises:
        Unverified: ``MALFORMED``.
    """
    if len(note) > MAX_BYTES:
        raise _malformed("is too large")
    try:
        whole = note.decode()
    except UnicodeDecodeError:
        raise _malformed("is not UTF-8") from None
    text, blank, tail = whole.rpartition("\n\n")
    if not blank or not tail.endswith("\n") or _CONTROL.search(whole):
        raise _malformed("is not a signed note")
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise _malformed("has too many signatures")
    return text + "\n", [read_signature(line) for line in lines]


def read_signature(line: str) -> tuple[str, bytes]:
    """Return name, and key id with signature, of a signature line without its end.

    Raises:
        Unverified: ``MALFORMED``.
    """
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    signature = _base64(encoded)
    if not line.startswith(_DASH) or not _NAME.fullmatch(name) or len(signature) < 5:
        raise _malformed("has a signature line that is not one")
    return name, signature


def _parse(text: str) -> Checkpoint:
    lines = text[:-1].split("\n")
    if len(lines) < 3 or not all(lines):
        raise _malformed("lacks origin, size or root")
    origin, size, encoded, *extensions = lines
    root = _base64(encoded)
    if not _SIZE.fullmatch(size) or int(size) > MAX_SIZE or len(root) != HASH_BYTES:
        raise _malformed("has a size or root that is not one")
    return Checkpoint(origin, int(size), root, tuple(extensions))


def _base64(text: str) -> bytes:
    try:
        return from_base64(text)
    except ValueError as error:
        raise _malformed(str(error)) from None
