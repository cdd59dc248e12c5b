"""The proof that one entry is in a log, checked without the log: C2SP tlog-proof, to the byte.

    c2sp.org/tlog-proof@v1
    index 1
    bX0F4op0gWROZe66SgLNVUTD5VeA0FIMLnB+czURJG4=

    harbor/node
    2
    fVTg57xggkXHdy284kycGIvFve7lCnThQrG7Hrl1lRw=

    — harbor/node 56WhAahMpU8guWY+enq7BNyTxURV4cRmt/hNBxy/UpW/kjuO2dLvjYnQgPZVxQ0k...

The lines are the entry's index in decimal, then the hashes from the leaf's sibling up to
the child of the root, each in base64; behind the empty line stands the signed checkpoint
to the byte. A line ``extra`` and base64 before the index is nobody's word, and Accord's
logs write none.

Source: C2SP tlog-proof, version 1; RFC 6962 section 2.1.1.
"""

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from accord.audit import checkpoint
from accord.audit.checkpoint import Checkpoint, from_base64
from accord.audit.merkle import HASH_BYTES, leaf_hash, verify_inclusion
from accord.errors import Code, Unverified
from accord.keys import PublicKey

HEADER = "c2sp.org/tlog-proof@v1"
MAX_BYTES = checkpoint.MAX_BYTES + 64 * 1024
# A tree of 2^63 entries is this high.
MAX_HASHES = 63

_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class TlogProof:
    """Where an entry is said to be, the hashes beside its path, and the checkpoint (to the byte).

    Nothing of it is verified: :func:`verify` does that. ``extra`` never is.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes = b""

    def to_bytes(self) -> bytes:
        """Return the text, UTF-8."""
        lines = [HEADER]
        if self.extra:
            lines.append(f"extra {_to_base64(self.extra)}")
        lines.append(f"index {self.index}")
        lines += map(_to_base64, self.hashes)
        return "".join(f"{line}\n" for line in lines).encode() + b"\n" + self.checkpoint


@dataclass(frozen=True, slots=True)
class Proven:
    """The entry is at ``index`` of the log that signed the checkpoint."""

    index: int
    signed: Checkpoint


def parse(data: bytes) -> TlogProof:
    """Return what a proof says, strictly: :meth:`TlogProof.to_bytes` of it is ``data``.

    Raises:
        Unverified: ``MALFORMED``.
    """
    if len(data) > MAX_BYTES:
        raise _malformed("is too large")
    head, blank, note = data.partition(b"\n\n")
    if not blank:
        raise _malformed("holds no checkpoint")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise _malformed("has a line that is not one") from None
    if lines.pop(0) != HEADER:
        raise _malformed(f"does not begin with {HEADER}")
    extra = b""
    if lines and lines[0].startswith("extra "):
        extra = _from_base64(lines.pop(0).removeprefix("extra "))
        if not extra:
            raise _malformed("has an extra line that holds nothing")
    found = _INDEX.fullmatch(lines.pop(0)) if lines else None
    if found is None:
        raise _malformed("lacks the line of its index")
    if len(lines) > MAX_HASHES:
        raise _malformed("has more hashes than a tree is high")
    hashes = tuple(_hashes(lines))
    return TlogProof(int(found[1]), hashes, note, extra)


def verify(data: bytes, leaf: bytes, origin: str, keys: Sequence[PublicKey]) -> Proven:
    """Return where a leaf is, once it is proved to a checkpoint that the log signed.

    ``keys`` are those with which the log ``origin`` may sign: one of them must have.

    Raises:
        Unverified: ``MALFORMED``, ``SIGNATURE_INVALID`` or ``ANSWER_UNVERIFIED``.
    """
    proof = parse(data)
    signed = checkpoint.verify(proof.checkpoint, origin, *keys)
    verify_inclusion(leaf_hash(leaf), proof.index, signed.size, proof.hashes, signed.root)
    return Proven(proof.index, signed)


def origin_of(data: bytes) -> str:
    """Return the log that a checkpoint, or the first of several proofs, says it is of.

    Nothing is verified: it is good for looking up a key.

    Raises:
        Unverified: ``MALFORMED``.
    """
    begin = HEADER.encode() + b"\n"
    if data.startswith(begin):
        data = parse(begin + data.split(begin)[1]).checkpoint
    return checkpoint.claimed_origin(data)


def _hashes(lines: Iterable[str]) -> Iterable[bytes]:
    for line in lines:
        digest = _from_base64(line)
        if len(digest) != HASH_BYTES:
            raise _malformed("has a hash that is not 32 bytes")
        yield digest


def _malformed(problem: str) -> Unverified:
    return Unverified(Code.MALFORMED, f"the proof of inclusion {problem}")


def _to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _from_base64(text: str) -> bytes:
    try:
        return from_base64(text)
    except ValueError as error:
        raise _malformed(str(error)) from None
