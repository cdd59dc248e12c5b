"""The words that are SQLite's own, of what is asked of both databases."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from accord.errors import Code, Refused
from node.store.base import Cancelled, Cursor
from node.store.connections import Connections, importing
from node.store.due import HELD_BY
from node.store.numbers import number_of
from node.store.segments.parts import MISSING, Parts, listed
from node.store.segments.pool import Gone, is_spoilt
from node.store.segments.purging import KNOWN
from node.store.shared import STATE_OF_READ, Part, Sql, Values
from node.store.statements import SNAPSHOT

_TRIES = 5


class InSqlite:
    """A :class:`node.store.shared.Database` in the store's file."""

    def __init__(self, connections: Connections, parts: Parts) -> None:
        self._connections = connections
        self._parts = parts

    def searching(self, cancelled: Cancelled | None = None) -> AbstractContextManager[Sql]:
        """See :meth:`node.store.shared.Database.searching`."""
        return self._connections.mine().searching(cancelled)

    def working(self) -> AbstractContextManager[Sql]:
        """See :meth:`node.store.shared.Database.working`."""
        return self._connections.mine().unbounded()

    def writing(self) -> AbstractContextManager[Sql]:
        """See :meth:`node.store.shared.Database.writing`."""
        return self._connections.mine().writing()

    def importing(self) -> AbstractContextManager[None]:
        """See :meth:`node.store.shared.Database.importing`."""
        return importing(self._connections.path)

    @contextmanager
    def rows(self, sql: Sql, part: Part) -> Iterator[Iterator[Any]]:
        """See :meth:`node.store.shared.Database.rows`."""
        found = sql.execute(*part)
        try:
            yield iter(found)
        finally:
            found.close()

    def insert(self, sql: Sql, table: str, columns: str, rows: Iterable[Values]) -> None:
        """See :meth:`node.store.shared.Database.insert`."""
        marks = ", ".join("?" for _ in columns.split(","))
        sql.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)  # noqa: S608

    def reads_with(self, sql: Sql, hits: Part, span: tuple[int, int]) -> Part:
        """See :meth:`node.store.shared.Database.reads_with`.

        Reads that have hits are all in the main file.
        """
        met = f"SELECT read_row FROM hits WHERE {hits.text}"  # noqa: S608 - our own texts
        return Part(f"FROM reads NOT INDEXED WHERE row_id IN ({met})", hits.values)

    def state_of_read(self, span: tuple[int, int]) -> Part:
        """See :meth:`node.store.shared.Database.state_of_read`."""
        return Part(STATE_OF_READ, span)

    def count_held(self, hold_id: str) -> int:
        """See :meth:`node.store.shared.Database.count_held`.

        The hold is placed by now: a damaged file, which is told elsewhere, does not undo that.
        """
        for _ in range(_TRIES):
            # What a purge moves into the main file meanwhile is counted there, or here.
            with suppress(Gone), self._connections.mine().unbounded() as sql:
                sql.execute("BEGIN")
                try:
                    return self._held(sql, hold_id)
                finally:
                    sql.execute("COMMIT")
        raise Refused(Code.STORE_CORRUPT, detail=MISSING)

    def _held(self, sql: sqlite3.Connection, hold_id: str) -> int:
        count = int(sql.execute(HELD_BY, (hold_id,)).fetchone()[0])
        for one in listed(sql):
            try:
                with self._parts.beside_main(one) as part:
                    count += part.execute(f"{HELD_BY} AND {KNOWN}", (hold_id,)).fetchone()[0]
            except (Refused, sqlite3.Error) as error:
                if not is_spoilt(error):
                    raise
        return count

    def snapshot(self, sql: Sql, after: Cursor | None) -> int:
        """See :meth:`node.store.shared.Database.snapshot`."""
        if after is not None:
            return number_of(after.snapshot)
        return int(sql.execute(SNAPSHOT).fetchone()[0])
