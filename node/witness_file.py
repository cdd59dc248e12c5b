"""A witness' memory in an SQLite file, ``witness.db`` in the data folder."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlite_utils
from sqlite_utils.migrations import Migrations

from accord import private_db
from accord.errors import Code, InputError, Refused
from node.store.shared import Sql

FILE_NAME = "witness.db"
_WAIT_MS = 2_000

MIGRATIONS = Migrations("accord-witness")


@MIGRATIONS(name="001_first")
def _first(database: sqlite_utils.Database) -> None:
    database.execute(
        "CREATE TABLE witnessed (origin TEXT PRIMARY KEY, size INTEGER NOT NULL,"
        " root BLOB NOT NULL, note BLOB NOT NULL, at_ms INTEGER NOT NULL)"
    )
    database.execute(
        "CREATE TABLE evidence (id TEXT PRIMARY KEY, kind TEXT NOT NULL, origin TEXT NOT NULL,"
        " witness TEXT NOT NULL, found_ms INTEGER NOT NULL, held BLOB NOT NULL,"
        " other BLOB NOT NULL, resolved_ms INTEGER NOT NULL, resolved_by TEXT NOT NULL,"
        " reason TEXT NOT NULL)"
    )


class WitnessFile:
    """The tables in a file: :class:`node.witness_memory.Tables`."""

    def __init__(self, path: Path, *, looking: bool = False) -> None:
        """Open the file, or make it unless it is only looked at.

        Raises:
            InputError: it can't be opened, or is damaged.
        """
        remedy = "keep it as evidence and move it away: what others' logs were is then not known"
        if not looking:
            private_db.prepare(path, MIGRATIONS, "memory of a witness", remedy, wait_ms=_WAIT_MS)
        try:
            self._sql = private_db.connect(path, wait_ms=_WAIT_MS, looking=looking)
        except sqlite3.Error as error:
            problem = f"can't be used ({private_db.reason(error)})"
            raise InputError(path, problem, "check the disk, and its owner") from None
        self._mutex = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[Sql]:
        """See :meth:`node.witness_memory.Tables.turn`."""
        with self._told() as sql:
            sql.execute("BEGIN IMMEDIATE")
            try:
                yield sql
                sql.execute("COMMIT")
            except BaseException:
                if sql.in_transaction:
                    sql.execute("ROLLBACK")
                raise

    @contextmanager
    def looking(self) -> Iterator[Sql]:
        """See :meth:`node.witness_memory.Tables.looking`."""
        with self._told() as sql:
            yield sql

    @contextmanager
    def _told(self) -> Iterator[sqlite3.Connection]:
        with self._mutex:
            try:
                yield self._sql
            except sqlite3.Error as error:
                code = Code.STORE_CORRUPT if private_db.is_damage(error) else Code.STORE_UNAVAILABLE
                detail = f"the memory of the witness: {private_db.reason(error)}"
                raise Refused(code, detail=detail) from None

    def close(self) -> None:
        """See :meth:`node.witness_memory.Tables.close`."""
        self._sql.close()
