"""Whether a database of the node is sound: looked at read only, for so long and no longer."""

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from sqlite_utils import Database, Migrations

from node.store.connections import Bounded, as_refusal

# SQLite asks whether to go on after so many steps, in microseconds.
_STEPS = 1_000


@dataclass(frozen=True, slots=True)
class Soundness:
    """What a look found; in counts, for what a page holds must not be told.

    ``defects`` is None where the time was up before all was looked at. ``pending``
    are steps of the tables that the next start takes, ``unknown`` those of a
    later version of Accord. ``empty``: there are no tables of ours yet.
    """

    defects: int | None
    pending: int = 0
    unknown: int = 0
    empty: bool = False


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
