"""How far a log is witnessed: by whom, up to which entry, and since when the next ones wait.

A cosignature on a checkpoint vouches for every entry below it, since a witness signs
what goes on from what it signed before. So of each witness the largest size counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from accord.audit import nodes
from accord.audit.extension import looking
from accord.audit.places import Place
from accord.audit.store import Broken


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many entries a log has, and the largest size that each witness cosigned, by name."""

    size: int
    by_witness: Mapping[str, int]


def coverage(place: Place) -> Coverage:
    """Return how far a log is witnessed now. Its lines were verified when they were kept.

    Raises:
        InputError: it can't be read.
    """
    with looking(place) as sql:
        row = sql.execute("SELECT size FROM head").fetchone()
        found = sql.execute("SELECT witness, max(size) FROM cosignatures GROUP BY witness")
        return Coverage(
            int(row[0]) if row else 0,
            {bytes(name).decode(): int(size) for name, size in found.fetchall()},
        )


def written_at(place: Place, index: int) -> int | None:
    """Return when an entry was written (UTC ms), None where there is none.

    Raises:
        InputError: it can't be read.
    """
    with looking(place) as sql:
        row = sql.execute("SELECT time_ms FROM entries WHERE idx = ?", (index,)).fetchone()
    return None if row is None else int(row[0])


def lines_at(place: Place, size: int) -> dict[str, str]:
    """Return the cosignature lines on the checkpoint of a size, by witness.

    Raises:
        InputError: it can't be read.
    """
    with looking(place) as sql:
        found = sql.execute("SELECT witness, line FROM cosignatures WHERE size = ?", (size,))
        return {bytes(name).decode(): bytes(line).decode() for name, line in found.fetchall()}


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
