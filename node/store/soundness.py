"""Whether a database of the node is sound: looked at read only, for so long and no longer."""

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from sqlite_utils import Database, Migrations

from accord.errors import Code, Refused
from node.store.connections import Bounded, as_refusal
from node.store.migrations import MIGRATIONS
from node.store.moving import is_filling
from node.store.segments.parts import MISSING, folder_of, listed
from node.store.segments.pool import EMPTY, Pool
from node.store.segments.spans import Segment
from node.store.segments.tables import SEGMENT_MIGRATIONS

# SQLite asks whether to go on after so many steps, in microseconds.
_STEPS = 1_000


@dataclass(frozen=True, slots=True)
class Soundness:
    """What a look found; in counts, for what a page holds must not be told.

    ``defects`` is None where the time was up before all was looked at. ``pending``
    are steps of the tables that the next start takes, ``unknown`` those of a
    later version of Accord. ``empty``: there are no tables of ours yet; ``lacking``: the
    names of those that are gone. ``filling``: a move into it was begun and did not end.
    """

    defects: int | None
    pending: int = 0
    unknown: int = 0
    empty: bool = False
    lacking: tuple[str, ...] = ()
    filling: bool = False


def look_at(path: Path, seconds: float, migrations: Migrations | None = None) -> Soundness:
    """Check pages and tables for at most ``seconds``.

    Raises:
        Refused: ``STORE_CORRUPT``, ``STORE_UNAVAILABLE``.
    """
    try:
        sql = Bounded(path, looking=True).sql
        try:
            pending, unknown = _steps(sql, migrations) if migrations else (0, 0)
            return Soundness(_defects(sql, seconds), pending, unknown)
        finally:
            sql.close()
    except sqlite3.Error as error:
        raise as_refusal(error) from None


def look_at_reads(path: Path, seconds: float) -> tuple[int, Soundness]:
    """Return the size of the main file and its segments, and what is amiss with them together.

    Raises:
        Refused: ``STORE_CORRUPT``, ``STORE_UNAVAILABLE``.
        OSError: a file can't be looked at.
    """
    ends = time.monotonic() + seconds
    size, found = path.stat().st_size, look_at(path, seconds, MIGRATIONS)
    if found.pending or found.unknown or found.defects:
        return size, found
    if _filling(path):
        return size, replace(found, filling=True)
    pool = Pool(folder_of(path))
    for one in _listed(path):
        part = pool.path(one.number)
        try:
            size += part.stat().st_size
            more = look_at(part, max(0.0, ends - time.monotonic()), SEGMENT_MIGRATIONS)
        except (OSError, Refused) as error:
            if one.number not in [other.number for other in _listed(path)]:
                continue  # it was dropped meanwhile
            if isinstance(error, FileNotFoundError):
                raise Refused(Code.STORE_CORRUPT, detail=MISSING) from None
            raise
        if more.pending == len(SEGMENT_MIGRATIONS.pending(Database(memory=True))):
            # It was made whole before it was listed.
            raise Refused(Code.STORE_CORRUPT, detail=EMPTY)
        known = None not in (found.defects, more.defects)
        found = Soundness(
            (found.defects or 0) + (more.defects or 0) if known or more.defects else None,
            found.pending + more.pending,
            found.unknown + more.unknown,
        )
    return size, found


def _filling(path: Path) -> bool:
    try:
        with closing(Bounded(path, looking=True).sql) as sql:
            return is_filling(sql)
    except sqlite3.Error as error:
        raise as_refusal(error) from None


def _listed(path: Path) -> tuple[Segment, ...]:
    try:
        with closing(Bounded(path, looking=True).sql) as sql:
            return listed(sql)
    except sqlite3.Error as error:
        raise as_refusal(error) from None


def _steps(sql: sqlite3.Connection, migrations: Migrations) -> tuple[int, int]:
    """Return how many steps are to be taken, and how many were taken that are not known here."""
    database = Database(sql)
    known = {one.name for one in migrations.pending(Database(memory=True))}
    taken = {one.name for one in migrations.applied(database)}
    return len(known - taken), len(taken - known)


def _defects(sql: sqlite3.Connection, seconds: float) -> int | None:
    ends = time.monotonic() + seconds
    sql.set_progress_handler(lambda: int(time.monotonic() > ends), _STEPS)
    try:
        found = sql.execute("PRAGMA quick_check").fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return None
    return sum(str(text) != "ok" for (text,) in found)
