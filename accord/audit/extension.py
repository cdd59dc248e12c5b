"""Whether one copy of a log goes on from another: by signed heads and leaves alone.

A log may be longer than its copy, never other: the first entries of the longer one
make the root that the shorter one signed (what RFC 6962 calls consistency).
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from accord.audit import store
from accord.audit.checkpoint import Checkpoint
from accord.audit.merkle import Frontier, leaf_hash
from accord.audit.store import EVIDENCE, Broken
from accord.errors import InputError
from accord.keys import PublicKey


@dataclass(frozen=True, slots=True)
class Head:
    """A log's head: what it signed, the note to the byte, when its last entry was (UTC ms)."""

    signed: Checkpoint
    note: bytes
    last_ms: int


def whole_head(path: Path, origin: str, public: PublicKey) -> Head:
    """Return the head of a log, once all of its leaves make the root that it signed.

    The records behind the leaves are not opened.

    Raises:
        InputError: it is not there, is no log of this name, or is not sound.
    """
    with _looking(path) as connection:
        signed, _ = store.read_head(connection, origin, public)
        if _root(connection, signed.size) != signed.root:
            raise Broken(0, "the leaves do not lead to the signed root")
        (note,) = connection.execute(
            "SELECT note FROM checkpoints WHERE size = ?", (signed.size,)
        ).fetchone()
        (last_ms,) = connection.execute("SELECT ifnull(max(time_ms), 0) FROM entries").fetchone()
        return Head(signed, bytes(note), int(last_ms))


def begins_with(path: Path, signed: Checkpoint) -> bool:
    """Tell whether the log's first entries are those of a checkpoint.

    Raises:
        InputError: it can't be read.
    """
    with _looking(path) as connection:
        return _root(connection, signed.size) == signed.root


@contextmanager
def _looking(path: Path) -> Iterator[sqlite3.Connection]:
    connection = store.connect_reader(path)
    try:
        connection.execute("BEGIN")
        yield connection
    except Broken as broken:
        raise InputError(path, f"entry {broken.index}: {broken.problem}", EVIDENCE) from None
    except sqlite3.Error as error:
        raise store.unreadable(path, error) from None
    finally:
        connection.close()


def _root(connection: sqlite3.Connection, size: int) -> bytes | None:
    """Return the root over so many entries, None where there are fewer."""
    frontier = Frontier()
    for row in store.rows(connection, 0, size):
        if row.index != frontier.size:
            return None
        frontier.append(leaf_hash(row.leaf))
    return frontier.root() if frontier.size == size else None
