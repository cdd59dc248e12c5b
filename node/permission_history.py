"""``permissions.db`` in the node's data folder: who could ask for what, and since when.

    snapshots   at_ms | found     a line of JSON for each time that something changed
    looked      at_ms             when the serving node last looked; empty once it has stopped

The serving node writes it, ``accord-node agreement who`` reads it. It is
bounded: past 2,000 changes or 64 MiB the oldest go. It holds no read, plate or
officer, and nothing of what is withheld.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlite_utils
from pydantic import TypeAdapter, ValidationError

from accord.agreements.permissions import Permissions
from accord.errors import InputError

FILE_NAME = "permissions.db"
MAX_SNAPSHOTS = 2000
MAX_BYTES = 64 << 20

_FORM = TypeAdapter(Permissions)


class PermissionHistory:
    """The file, opened anew for each look: nobody keeps it from anybody."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME

    def last(self) -> Permissions | None:
        """Return what stood at the last change; None while there is no history.

        Raises:
            InputError: the file can't be read.
        """
        return next(
            iter(self._found("SELECT found FROM snapshots ORDER BY at_ms DESC LIMIT 1")), None
        )

    def since(self, since_ms: int) -> tuple[Permissions, ...]:
        """Return what stood at ``since_ms`` (UTC ms), and each change after it, in order.

        Where the history begins later, the first is its beginning.

        Raises:
            InputError: the file can't be read.
        """
        return self._found(
            "SELECT found FROM snapshots WHERE at_ms >= "
            "coalesce((SELECT max(at_ms) FROM snapshots WHERE at_ms <= ?), 0) ORDER BY at_ms",
            since_ms,
        )

    def looked_ms(self) -> int | None:
        """Return when the serving node last looked, UTC ms; None if none serves.

        Raises:
            InputError: the file can't be read.
        """
        rows = self._rows("SELECT at_ms FROM looked")
        return int(rows[0][0]) if rows else None

    def note(self, found: Permissions) -> Permissions | None:
        """Keep what was found if it differs from the last; return that last one.

        Raises:
            InputError: the file can't be written.
        """
        last = self.last()
        with self._opened() as database:
            if last is None or not found.same_as(last):
                # A clock that was set back loses no change.
                at_ms = found.at_ms if last is None else max(found.at_ms, last.at_ms + 1)
                row = (at_ms, _FORM.dump_json(replace(found, at_ms=at_ms)).decode())
                database.execute("INSERT INTO snapshots VALUES (?, ?)", row)
                self._trim(database)
            database.execute("INSERT OR REPLACE INTO looked VALUES (1, ?)", (found.at_ms,))
        return last

    def stopped(self) -> None:
        """Keep that no node serves: from now on the files alone say what would be allowed.

        Raises:
            InputError: the file can't be written.
        """
        with self._opened() as database:
            database.execute("DELETE FROM looked")

    def _trim(self, database: sqlite3.Connection) -> None:
        database.execute(
            "DELETE FROM snapshots WHERE at_ms <= (SELECT at_ms FROM snapshots "
            "ORDER BY at_ms DESC LIMIT 1 OFFSET ?)",
            (MAX_SNAPSHOTS,),
        )
        total = "SELECT sum(length(found)), count(*) FROM snapshots"
        while True:
            size, count = database.execute(total).fetchone()
            if size <= MAX_BYTES or count <= 2:
                return
            database.execute(
                "DELETE FROM snapshots WHERE at_ms = (SELECT min(at_ms) FROM snapshots)"
            )

    def _found(self, statement: str, *values: int) -> tuple[Permissions, ...]:
        rows = self._rows(statement, *values)
        try:
            return tuple(_FORM.validate_json(text) for (text,) in rows)
        except ValidationError:
            raise self._unusable("was written by another version") from None

    def _rows(self, statement: str, *values: int) -> list[tuple[Any, ...]]:
        if not self.path.exists():
            return []
        try:
            with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)) as database:
                return database.execute(statement, values).fetchall()
        except sqlite3.Error:
            raise self._unusable("can't be read") from None

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path)) as database, database:
                tables = sqlite_utils.Database(database)
                columns = {"at_ms": int, "found": str}
                tables.table("snapshots").create(columns, pk="at_ms", if_not_exists=True)
                looked = {"id": int, "at_ms": int}
                tables.table("looked").create(looked, pk="id", if_not_exists=True)
                self.path.chmod(0o600)
                yield database
        except sqlite3.Error:
            raise self._unusable("can't be written") from None

    def _unusable(self, problem: str) -> InputError:
        return InputError(self.path, problem, "move it away: a new one is begun")
