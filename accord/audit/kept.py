"""Checkpoints that somebody kept, against the log as it is now.

A log only grows. So each checkpoint that it ever signed is of its first entries, whoever
kept it: a counterpart, a witness, an auditor. One that is not is proof, by the log's own
signature, that the log was cut back or written anew. So is a receipt, which proves one
entry to such a checkpoint: a file holds C2SP tlog-proofs, one text after the other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.audit import checkpoint as heads
from accord.audit import proof
from accord.audit.checkpoint import MAX_BYTES, Checkpoint
from accord.audit.export_lines import Entry
from accord.audit.merkle import EMPTY_ROOT, verify_inclusion
from accord.audit.proof import TlogProof
from accord.audit.receipt_text import opened_entry
from accord.audit.store import Broken
from accord.errors import Code, InputError, Unverified
from accord.keys import PublicKey

_NONE = 1 << 62
_PROOF = proof.HEADER.encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Kept:
    """A checkpoint that the log signed, and where it was kept."""

    where: str
    signed: Checkpoint


def read_kept(path: Path, origin: str, public: PublicKey) -> Kept:
    """Return the signed checkpoint that a file holds.

    Raises:
        InputError: the file can't be read.
        Unverified: it is none that this log signed.
    """
    try:
        with path.open("rb") as file:
            note = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(path, f"can't be read ({error.strerror})", "check the path") from None
    try:
        return Kept(str(path), heads.verify(note, origin, public))
    except Unverified as error:
        raise Unverified(error.code, f"{path}: {error.problem}") from None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The proof of one entry to a checkpoint that the log signed, and where it was kept.

    ``entry`` is what it opens of the entry, and proved to be in that checkpoint too.
    """

    where: str
    index: int
    hashes: tuple[bytes, ...]
    signed: Checkpoint
    entry: Entry | None = None


def read_receipts(path: Path, origin: str, public: PublicKey) -> list[Receipt]:
    """Return what the tlog-proofs of a file prove, each to a checkpoint that is verified.

    Raises:
        InputError: the file can't be read, or there is none in it.
        Unverified: one is not in its form, or to no checkpoint of this log.
    """
    try:
        texts = path.read_bytes().split(_PROOF)
    except OSError as error:
        raise InputError(path, f"can't be read ({error.strerror})", "check the path") from None
    if len(texts) < 2 or texts[0]:
        raise InputError(path, f"does not begin with {proof.HEADER}", "name a file of receipts")
    found = []
    for number, text in enumerate(texts[1:], 1):
        where = f"{path}, receipt {number}"
        try:
            given = proof.parse(_PROOF + text)
            _of_this_log(given, origin)
            signed = heads.verify(given.checkpoint, origin, public)
            entry = opened_entry(given)
            if entry is not None:
                _proves(entry, given, signed)
        except Unverified as error:
            raise Unverified(error.code, f"{where}: {error.problem}") from None
        found.append(Receipt(where, given.index, given.hashes, signed, entry))
    return found


def _of_this_log(given: TlogProof, origin: str) -> None:
    said = heads.claimed_origin(given.checkpoint)
    if said != origin:
        problem = f"it is of entry {given.index} of the log {said}, not of {origin}"
        raise Unverified(Code.SIGNATURE_INVALID, problem)


def _proves(entry: Entry, given: TlogProof, signed: Checkpoint) -> None:
    try:
        verify_inclusion(entry.leaf_hash, given.index, signed.size, given.hashes, signed.root)
    except Unverified as error:
        problem = f"what it opens is not entry {given.index}, which it proves: {error.problem}"
        raise Unverified(error.code, problem) from None


class KeptOnes:
    """Kept checkpoints and receipts, compared while the tree grows.

    Whoever grows it tells of ``next_size``, ``next_index`` and of each end of a part that it
    lacks. ``untold`` are those of which nothing can be said: they lie inside such a part.
    """

    def __init__(self, kept: Iterable[Kept], receipts: Sequence[Receipt] = ()) -> None:
        to = [Kept(one.where, one.signed) for one in receipts]
        self._left = sorted((*kept, *to), key=lambda one: one.signed.size, reverse=True)
        self._receipts = sorted(receipts, key=lambda one: one.index, reverse=True)
        self._sound = 0
        self.untold: tuple[str, ...] = ()
        self.at(0, EMPTY_ROOT)

    @property
    def next_size(self) -> int:
        """The size of the smallest that was not compared yet."""
        return self._left[-1].signed.size if self._left else _NONE

    @property
    def next_index(self) -> int:
        """The index of the first entry that a receipt proves and that was not seen yet."""
        return self._receipts[-1].index if self._receipts else _NONE

    def leaf(self, index: int, digest: bytes) -> None:
        """Compare the receipts for an entry with its leaf hash.

        Raises:
            Broken: one proves another entry there, or proves nothing.
        """
        while self.next_index <= index:
            one = self._receipts.pop()
            if one.index < index:
                self.untold += (one.where,)
                continue
            try:
                verify_inclusion(digest, index, one.signed.size, one.hashes, one.signed.root)
            except Unverified as error:
                problem = f"is not what was receipted: {one.where}: {error.problem}"
                raise Broken(index, problem) from None

    def at(self, size: int, root: bytes) -> None:
        """Compare those of a size with the root over so many entries.

        Raises:
            Broken: naming the entries one of which is not what it was.
        """
        while self.next_size <= size:
            kept = self._left.pop()
            if kept.signed.size < size:
                self.untold += (kept.where,)
            elif kept.signed.root != root:
                where = f"to {size - 1}: one is" if size - self._sound > 1 else "is"
                raise Broken(
                    self._sound,
                    f"{where} not what the log signed before: {kept.where} has another root"
                    f" for {size} entries",
                )
            else:
                self._sound = size

    def end(self, size: int) -> None:
        """See that none is of more entries than there are.

        Raises:
            Broken: one is.
        """
        self.untold += tuple(one.where for one in self._receipts if one.index < size)
        if self._left:
            kept = self._left[0]
            raise Broken(
                size,
                f"is missing: {kept.where} is signed for {kept.signed.size} entries,"
                " the log was cut back",
            )
