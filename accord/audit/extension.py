"""Whether one copy of a log goes on from another: by signed heads and leaves alone.

A log may be longer than its copy, never other: the first entries of the longer one
make the root that the shorter one signed (what RFC 6962 calls consistency).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from accord.audit import store
from accord.audit.checkpoint import Checkpoint
from accord.audit.merkle import Frontier, leaf_hash
from accord.audit.places import Place, Reading, Sql
from accord.audit.store import Broken
from accord.errors import InputError
from accord.keys import PublicKey


@dataclass(frozen=True, slots=True)
class Head:
    """A log's head: what it signed, the note to the byte, when its last entry was (UTC ms)."""

    signed: Checkpoint
    note: bytes
    last_ms: int


def whole_head(place: Place, origin: str, public: PublicKey) -> Head:
    """Return the head of a log, once all of its leaves make the root that it signed.

    The records behind the leaves are not opened.

    Raises:
        InputError: it is not there, is no log of this name, or is not sound.
    """
    with looking(place) as sql:
        head = _head(sql, origin, public)
        if _root(sql, head.signed.size) != head.signed.root:
            raise Broken(0, "the leaves do not lead to the signed root")
        return head


def signed_head(place: Place, origin: str, public: PublicKey) -> Head:
    """Return the head of a log, its signature and sizes checked, and of its leaves none.

    Raises:
        InputError: as :func:`whole_head`.
    """
    with looking(place) as sql:
        return _head(sql, origin, public)


def begins_with(place: Place, signed: Checkpoint) -> bool:
    """Tell whether the log's first entries are those of a checkpoint.

    Raises:
        InputError: it can't be read.
    """
    with looking(place) as sql:
        return _root(sql, signed.size) == signed.root


def is_begun(place: Place) -> bool:
    """Tell whether the tables hold anything of a log.

    Raises:
        InputError: it can't be read.
    """
    with looking(place) as sql:
        return not store.is_empty(sql)


def was_signed(place: Place, signed: Checkpoint, public: PublicKey) -> bool:
    """Tell whether the log holds a checkpoint, and so whatever it is of.

    Raises:
        InputError: it can't be read.
    """
    with looking(place) as sql:
        try:
            return store.read_checkpoint(sql, signed.size, signed.origin, public) == signed
        except Broken:
            return False


@contextmanager
def looking(place: Place) -> Iterator[Reading]:
    """Look at one state of a log.

    Raises:
        InputError: it can't be read, or what was looked for there does not hold.
    """
    sql = place.reading()
    try:
        with sql.snapshot():
            yield sql
    except Broken as broken:
        problem = f"entry {broken.index}: {broken.problem}"
        raise InputError(place.path, problem, place.evidence) from None
    except place.errors as error:
        raise place.unreadable(error) from None
    finally:
        sql.close()


def _head(sql: Sql, origin: str, public: PublicKey) -> Head:
    signed, _ = store.read_head(sql, origin, public)
    (note,) = sql.execute("SELECT note FROM checkpoints WHERE size = ?", (signed.size,)).fetchone()
    (last_ms,) = sql.execute("SELECT coalesce(max(time_ms), 0) FROM entries").fetchone()
    return Head(signed, bytes(note), int(last_ms))


def _root(sql: Sql, size: int) -> bytes | None:
    """Return the root over so many entries, None where there are fewer."""
    frontier = Frontier()
    for row in store.rows(sql, 0, size):
        if row.index != frontier.size:
            return None
        frontier.append(leaf_hash(row.leaf))
    return frontier.root() if frontier.size == size else None
