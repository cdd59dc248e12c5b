"""The store in SQLite as one side of a move: see :mod:`node.store.moving`."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from accord import private_db
from accord.clock import Clock
from accord.errors import InputError
from node.replay_file import FILE_NAME as REPLAY
from node.replay_file import begin_anew
from node.store.cells import cell_of
from node.store.connections import (
    WRITE_WAIT_MS,
    Connections,
    as_refusal,
    lock_for_serving,
    prepare,
)
from node.store.in_sqlite import InSqlite
from node.store.moving import READS, Row, Rows
from node.store.shared import DELETED, Sql

_LAT, _LON, _PLATE, _STATE = (READS.names.index(n) for n in ("lat_e7", "lon_e7", "plate", "state"))
_INSERT = (
    f"INSERT INTO reads ({READS.columns}, cell) "  # noqa: S608 - our own texts
    f"VALUES ({', '.join('?' * (len(READS.names) + 1))})"
)
# By the name of the counter; those of AUTOINCREMENT have their table's name.
_COUNTED = ("dead_letters", "notes", "reads")


class SqliteSide(Rows):
    """A :class:`node.store.moving.Side` in SQLite."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Open the store, or make it.

        Raises:
            InputError: it is damaged or can't be used.
        """
        prepare(path)
        self._path, self._clock = path, clock
        self._connections = Connections(path)
        super().__init__(InSqlite(self._connections))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """See :meth:`node.store.moving.Side.alone`."""
        lock = lock_for_serving(self._path)
        try:
            yield
        finally:
            os.close(lock)

    @contextmanager
    def still(self) -> Iterator[None]:
        """See :meth:`node.store.moving.Side.still`."""
        try:
            with closing(private_db.connect(self._path, wait_ms=WRITE_WAIT_MS)) as sql:
                sql.execute("BEGIN IMMEDIATE")
                yield
        except sqlite3.Error as error:
            raise as_refusal(error) from None

    def begin_guard(self) -> None:
        """See :meth:`node.store.moving.Side.begin_guard`."""
        begin_anew(self._path.with_name(REPLAY), self._clock)

    def close(self) -> None:
        """Close the file."""
        self._connections.close()

    def _refused(self, problem: str) -> InputError:
        return InputError(self._path, problem, "move it away, or name another data folder")

    def _change_reads(self, sql: Sql, gone: Sequence[Row], new: Sequence[Row]) -> None:
        # Their hits go with them.
        sql.executemany("DELETE FROM reads WHERE row_id = ?", [row[:1] for row in gone])
        sql.executemany(_INSERT, [(*row, cell_of(row[_LAT], row[_LON])) for row in new])
        sql.executemany(
            "INSERT OR IGNORE INTO plates (plate, state) VALUES (?, ?)",
            {(row[_PLATE], row[_STATE]) for row in new},
        )
        if gone:
            sql.executemany(
                "DELETE FROM plates WHERE plate = ? AND state = ? AND NOT EXISTS (SELECT 1 "
                "FROM reads WHERE reads.plate = plates.plate AND reads.state = plates.state)",
                {(row[_PLATE], row[_STATE]) for row in gone},
            )
            sql.execute(DELETED)

    def _counters(self, sql: Sql) -> dict[str, int]:
        found = dict.fromkeys(_COUNTED, 0)
        text = "SELECT name, seq FROM sqlite_sequence WHERE name IN (?, ?, ?)"
        found.update(sql.execute(text, _COUNTED).fetchall())
        text = "SELECT version, last_number FROM hot_list_version"
        found["hot_list_version"], found["hot_lists"] = sql.execute(text).fetchone()
        return found

    def _set_counters(self, sql: Sql, counters: dict[str, int]) -> None:
        for name, last in counters.items():
            if name in _COUNTED:
                sql.execute("DELETE FROM sqlite_sequence WHERE name = ?", (name,))
                sql.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, last))
            else:
                column = "version" if name == "hot_list_version" else "last_number"
                sql.execute(f"UPDATE hot_list_version SET {column} = ?", (last,))  # noqa: S608
