r"""What a witness answers to add-checkpoint: C2SP tlog-witness, to the byte. Pure.

A request, and the answers that there are::

    old 20852014
    PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
    ...
                                            (an empty line, then the checkpoint's note)
    harbor/node
    20852163
    ...

    200  the witness' cosignature lines
    400  not a request, or the old size is past the checkpoint's
    403  no signature of a key that the witness trusts for this log, or a false one
    404  a log that the witness does not know
    409  the old size is not the one that the witness holds, which the body tells: "20852014\n"
    422  the proof does not lead from the one to the other, or one size has two roots

The statuses are HTTP's, since a witness by the specification is an HTTP server; Accord
carries the same bytes over its own transport. What is held of a log is read, judged by
:func:`judge` and replaced in one turn that no other request comes between.

Some requests tell of the log itself, whatever they are answered (:class:`Finding`).
Only ``SPLIT_VIEW`` is proof by itself: two notes that the log signed, of one size and
with two roots.

Source: C2SP tlog-witness; RFC 6962 section 2.1.2.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum

from accord.audit import checkpoint as notes
from accord.audit.checkpoint import Checkpoint, claimed_origin, from_base64, open_note, verify
from accord.audit.merkle import EMPTY_ROOT, HASH_BYTES, verify_consistency
from accord.errors import Code, Unverified
from accord.keys import PublicKey

ADD = "add-checkpoint"
MAX_PROOF = 63
# Of a checkpoint's text, in bytes: it is kept, and nobody needs more for its extension lines.
MAX_TEXT = 4 * 1024
MAX_BYTES = notes.MAX_BYTES + 8 * 1024
# A request under way when a longer checkpoint was cosigned has arrived by then.
LATE_MS = 60_000

_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})", re.ASCII)
_SIZE = re.compile(rb"(0|[1-9][0-9]{0,18})\n")


class Status(IntEnum):
    """How a request is answered."""

    COSIGNED = 200
    BAD_REQUEST = 400
    FORBIDDEN = 403
    UNKNOWN_LOG = 404
    CONFLICT = 409
    UNPROCESSABLE = 422


class Finding(Enum):
    """What two checkpoints of one log tell a witness."""

    SPLIT_VIEW = "split view"
    """One size, two roots: proof that the log, or whoever has its key, shows two histories."""
    SHORTER = "shorter"
    """The log comes with less than it had long since: rolled back, or an old note sent again."""
    NO_PROOF = "no proof"
    """The longer one was not shown to go on from the one held."""


@dataclass(frozen=True, slots=True)
class Request:
    """One add-checkpoint: the size that the log thinks is held, a proof from it, its note."""

    old: int
    proof: tuple[bytes, ...]
    note: bytes

    @property
    def origin(self) -> str:
        """The log that the note names. Unverified."""
        return claimed_origin(self.note)

    def to_bytes(self) -> bytes:
        """Return the request's body."""
        lines = [f"old {self.old}", *(base64.b64encode(one).decode() for one in self.proof), ""]
        return "".join(f"{line}\n" for line in lines).encode() + self.note


@dataclass(frozen=True, slots=True)
class Held:
    """What a witness holds of a log: the checkpoint it cosigned last, its note, when (UTC ms)."""

    checkpoint: Checkpoint
    note: bytes
    at_ms: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer's status, and what the request tells of the log."""

    status: Status
    finding: Finding | None = None


def read_request(data: bytes) -> Request:
    """Return a request; its note was opened and is not verified.

    Raises:
        Unverified: ``MALFORMED``: it is answered with 400.
    """
    if len(data) > MAX_BYTES:
        raise _malformed("is too large")
    head, blank, note = data.partition(b"\n\n")
    try:
        first, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise _malformed("has a line that is not ASCII") from None
    old = _OLD.fullmatch(first)
    if not blank or old is None or len(lines) > MAX_PROOF:
        raise _malformed("has no old size, too long a proof or no checkpoint")
    try:
        proof = tuple(from_base64(line) for line in lines)
    except ValueError as error:
        raise _malformed(str(error)) from None
    if any(len(one) != HASH_BYTES for one in proof):
        raise _malformed("has a hash in its proof that is none")
    open_note(note)
    return Request(int(old[1]), proof, note)


def verified(request: Request, keys: Sequence[PublicKey]) -> Checkpoint:
    """Return the checkpoint once a key of the log verifies it.

    Every line that names one of the keys must be that key's; others are ignored.

    Raises:
        Unverified: ``SIGNATURE_INVALID`` is answered with 403, ``MALFORMED`` with 400.
    """
    found = verify(request.note, request.origin, *keys)
    if len(found.text().encode()) > MAX_TEXT:
        raise _malformed("has a checkpoint with too much in its further lines")
    return found


def judge(request: Request, new: Checkpoint, held: Held | None, now_ms: int) -> Verdict:
    """Judge a verified checkpoint by what is held of its log; the order is the specification's."""
    old = held.checkpoint if held else None
    finding = None if held is None else _finding(new, held, now_ms)
    if request.old > new.size:
        return Verdict(Status.BAD_REQUEST, finding)
    if request.old != (old.size if old else 0):
        return Verdict(Status.CONFLICT, finding)
    if new.size == 0 and new.root != EMPTY_ROOT:
        return Verdict(Status.UNPROCESSABLE, finding)
    if request.old == 0 or old is None:
        # The empty tree goes on to every other: there is nothing to prove.
        return Verdict(Status.UNPROCESSABLE if request.proof else Status.COSIGNED, finding)
    try:
        verify_consistency(old.size, new.size, old.root, new.root, request.proof)
    except Unverified:
        return Verdict(Status.UNPROCESSABLE, finding or _unproven(new, old))
    return Verdict(Status.COSIGNED, finding)


def _finding(new: Checkpoint, held: Held, now_ms: int) -> Finding | None:
    size = held.checkpoint.size
    if new.size == size and new.root != held.checkpoint.root:
        return Finding.SPLIT_VIEW
    # Either way: a clock that was set back does not hide it.
    if new.size < size and abs(now_ms - held.at_ms) > LATE_MS:
        return Finding.SHORTER
    return None


def _unproven(new: Checkpoint, old: Checkpoint) -> Finding | None:
    return Finding.NO_PROOF if new.size > old.size else None


def conflict_body(size: int) -> bytes:
    """Return the body of a 409: the size that is held."""
    return f"{size}\n".encode()


def read_conflict(body: bytes) -> int:
    """Return the size in the body of a 409.

    Raises:
        Unverified: ``MALFORMED``.
    """
    found = _SIZE.fullmatch(body)
    if found is None:
        raise Unverified(Code.MALFORMED, "the witness tells no size")
    return int(found[1])


def checkpoint_path(origin: str) -> str:
    """Return the path by which a log's newest cosigned checkpoint is asked for."""
    return f"{hashlib.sha256(origin.encode()).hexdigest()}/checkpoint"


def kept_note(note: bytes, keys: Sequence[PublicKey], line: str) -> bytes:
    """Return a verified note with the log's signatures and our cosignature, no other lines.

    So what is kept of a log does not grow with what somebody adds to its notes.
    """
    text, signatures = open_note(note)
    origin = claimed_origin(note)
    ids = {notes.key_id(origin, key) for key in keys}
    ours = [one for one in signatures if one[0] == origin and one[1][:4] in ids]
    lines = "".join(dict.fromkeys(notes.signature_line(*one) for one in ours))
    return f"{text}\n{lines}{line}".encode()


def _malformed(problem: str) -> Unverified:
    return Unverified(Code.MALFORMED, f"the request to a witness {problem}")
