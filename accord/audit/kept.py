"""Checkpoints that somebody kept, against the log as it is now.

A log only grows. So each checkpoint that it ever signed is of its first entries, whoever
kept it: a counterpart, a witness, an auditor. One that is not is proof, by the log's own
signature, that the log was cut back or written anew.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from accord.audit import checkpoint as heads
from accord.audit.checkpoint import MAX_BYTES, Checkpoint
from accord.audit.merkle import EMPTY_ROOT
from accord.audit.store import Broken
from accord.errors import InputError, Unverified
from accord.keys import PublicKey

_NONE = 1 << 62


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


class KeptOnes:
    """Kept checkpoints, compared while the tree grows.

    Whoever grows it tells of ``next_size`` and of each end of a part that it lacks.
    ``untold`` are those of which nothing can be said: they end inside such a part.
    """

    def __init__(self, kept: Iterable[Kept]) -> None:
        self._left = sorted(kept, key=lambda one: one.signed.size, reverse=True)
        self._sound = 0
        self.untold: tuple[str, ...] = ()
        self.at(0, EMPTY_ROOT)

    @property
    def next_size(self) -> int:
        """The size of the smallest that was not compared yet."""
        return self._left[-1].signed.size if self._left else _NONE

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
        if self._left:
            kept = self._left[0]
            raise Broken(
                size,
                f"is missing: {kept.where} is signed for {kept.signed.size} entries,"
                " the log was cut back",
            )
