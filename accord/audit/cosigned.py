"""How far a log is witnessed: by whom, up to which entry, and since when the next ones wait.

A cosignature on a checkpoint vouches for every entry below it, since a witness signs
what goes on from what it signed before. So of each witness the largest size counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from accord.audit import nodes, store
from accord.audit.checkpoint import Checkpoint
from accord.audit.extension import begins_with, looking
from accord.audit.merkle import verify_consistency
from accord.audit.places import Place
from accord.audit.store import Broken
from accord.errors import InputError, Unverified
from accord.keys import PublicKey


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many entries a log has, and the largest size that each witness cosigned (0: none)."""

    size: int
    by_witness: Mapping[str, int]


def coverage(place: Place, witnesses: Iterable[str]) -> Coverage:
    """Return how far these witnesses, by name, have cosigned a log.

    Their lines were verified when they were kept.

    Raises:
        InputError: it can't be read.
    """
    found = dict.fromkeys(witnesses, 0)
    with looking(place) as sql:
        row = sql.execute("SELECT size FROM head").fetchone()
        # A log that no program of this version had open for writing has no such table.
        for name in found if sql.has("cosignatures") else ():
            (size,) = sql.execute(
                "SELECT max(size) FROM cosignatures WHERE witness = ?", (name.encode(),)
            ).fetchone()
            found[name] = int(size or 0)
    return Coverage(int(row[0]) if row else 0, found)


def newest(place: Place, origin: str, public: PublicKey) -> tuple[Checkpoint, bytes]:
    """Return the checkpoint at a log's head, its signature verified, and its note.

    Raises:
        InputError: it does not hold, or the log can't be read.
    """
    with looking(place) as sql:
        (size,) = sql.execute("SELECT size FROM head").fetchone() or (0,)
        signed = store.read_checkpoint(sql, int(size), origin, public)
        row = sql.execute("SELECT note FROM checkpoints WHERE size = ?", (size,)).fetchone()
    return signed, bytes(row[0])


def written_at(place: Place, index: int) -> int | None:
    """Return when an entry was written (UTC ms), None where there is none.

    Raises:
        InputError: it can't be read.
    """
    with looking(place) as sql:
        row = sql.execute("SELECT time_ms FROM entries WHERE idx = ?", (index,)).fetchone()
    return None if row is None else int(row[0])


def line_of(place: Place, witness: str, size: int) -> str | None:
    """Return a witness' line on the checkpoint of a size, None where it made none.

    Raises:
        InputError: it can't be read.
    """
    with looking(place) as sql:
        row = sql.execute(
            "SELECT line FROM cosignatures WHERE witness = ? AND size = ?",
            (witness.encode(), size),
        ).fetchone()
    return None if row is None else bytes(row[0]).decode()


def note_at(place: Place, size: int) -> bytes | None:
    """Return the signed checkpoint of a size, None where the log signed none.

    Raises:
        InputError: it can't be read.
    """
    with looking(place) as sql:
        row = sql.execute("SELECT note FROM checkpoints WHERE size = ?", (size,)).fetchone()
    return None if row is None else bytes(row[0])


def consistency(place: Place, size1: int, size2: int) -> list[bytes]:
    """Return the proof that the log's first ``size2`` entries go on from its first ``size1``.

    Of an empty log there is nothing to prove.

    Raises:
        InputError: it can't be read, or has fewer entries.
    """
    if size1 == 0:
        return []
    with looking(place) as sql:
        try:
            return nodes.consistency(sql, size1, size2)
        except ValueError:
            raise Broken(size2, "is missing") from None


def goes_on_from(place: Place, old: Checkpoint, new: Checkpoint) -> bool:
    """Tell whether a log begins with the tree of ``old``; ``new`` is a checkpoint that it holds.

    Some look-ups are enough where it does, whatever its size: a witness can have this asked
    again and again. Before it is said that it does not, every leaf is hashed.

    Raises:
        InputError: it can't be read.
    """
    try:
        proof = consistency(place, old.size, new.size)
        if old.size:
            verify_consistency(old.size, new.size, old.root, new.root, proof)
            return True
    except (InputError, Unverified):
        # A stored hash may be missing or wrong.
        pass
    return begins_with(place, old)
