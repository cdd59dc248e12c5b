"""The words that are PostgreSQL's own, of what is asked of both databases."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection

from accord.errors import InputError
from node.store.base import Cancelled, Cursor
from node.store.due import HELD_BY
from node.store.numbers import count_of
from node.store.postgres.connections import IMPORT_LOCK, Connections
from node.store.postgres.parts import last_row
from node.store.postgres.wording import Worded, worded
from node.store.shared import STATE_OF_READ, Part, Sql, Values

_AT_A_TIME = 2_000


class InPostgres:
    """A :class:`node.store.shared.Database` on a server."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    @contextmanager
    def searching(self, cancelled: Cancelled | None = None) -> Iterator[Sql]:
        """See :meth:`node.store.shared.Database.searching`."""
        with self._connections.searching(cancelled) as sql:
            yield Worded(sql)

    @contextmanager
    def working(self) -> Iterator[Sql]:
        """See :meth:`node.store.shared.Database.working`."""
        with self._connections.working() as sql:
            yield Worded(sql)

    @contextmanager
    def writing(self) -> Iterator[Sql]:
        """See :meth:`node.store.shared.Database.writing`."""
        with self._connections.writing() as sql:
            yield Worded(sql)

    @contextmanager
    def importing(self) -> Iterator[None]:
        """See :meth:`node.store.shared.Database.importing`.

        The lock goes with its connection: one that is lost while an import runs lets
        another begin, which then clears away what this one wrote. See
        :meth:`node.store.hot_lists.HotLists.replace`, which looks at the end.
        """
        with self._connections.working() as sql:
            taken = sql.execute("SELECT pg_try_advisory_lock(%s)", (IMPORT_LOCK,)).fetchone()
            if taken != (True,):
                problem = "another hot list is being imported"
                raise InputError(self._connections.path, problem, "wait until it is done")
            try:
                yield
            finally:
                sql.execute("SELECT pg_advisory_unlock(%s)", (IMPORT_LOCK,))

    @contextmanager
    def rows(self, sql: Sql, part: Part) -> Iterator[Iterator[Any]]:
        """See :meth:`node.store.shared.Database.rows`."""
        real = real_connection(sql)
        with real.transaction(), real.cursor(name="rows") as cursor:
            cursor.itersize = _AT_A_TIME
            cursor.execute(worded(part.text), part.values)
            yield iter(cursor)

    def insert(self, sql: Sql, table: str, columns: str, rows: Iterable[Values]) -> None:
        """See :meth:`node.store.shared.Database.insert`."""
        text = f"COPY {table} ({columns}) FROM STDIN"
        with real_connection(sql).cursor() as cursor, cursor.copy(text) as copy:
            for row in rows:
                copy.write_row(row)

    def reads_with(self, sql: Sql, hits: Part, span: tuple[int, int]) -> Part:
        """See :meth:`node.store.shared.Database.reads_with`.

        Of what the planner knows of so many partitions it would go through all reads.
        OFFSET keeps it to the hits' own, each in the one partition that its time tells,
        and the span keeps it from planning for all the others.
        """
        met = f"SELECT DISTINCT read_row AS met, captured_ms AS at FROM hits WHERE {hits.text}"  # noqa: S608
        return Part(
            f"FROM ({met}) AS these CROSS JOIN LATERAL (SELECT * FROM reads "  # noqa: S608
            "WHERE row_id = met AND captured_ms = at AND captured_ms >= ? AND captured_ms < ? "
            "OFFSET 0) AS reads WHERE true",
            (*hits.values, *span),
        )

    def state_of_read(self, span: tuple[int, int]) -> Part:
        """See :meth:`node.store.shared.Database.state_of_read`."""
        return Part(STATE_OF_READ, span)

    def count_held(self, hold_id: str) -> int:
        """See :meth:`node.store.shared.Database.count_held`."""
        with self.working() as sql:
            return int(sql.execute(HELD_BY, (hold_id,)).fetchone()[0])

    def snapshot(self, sql: Sql, after: Cursor | None) -> int:
        """See :meth:`node.store.shared.Database.snapshot`."""
        if after is not None:
            count = count_of(after.snapshot)
            return after.snapshot if count is None else last_row(count)
        return last_row(int(sql.execute("SELECT last_read FROM upkeep").fetchone()[0]))


def real_connection(sql: Sql) -> Connection[Any]:
    """Return the connection behind one of :class:`InPostgres`."""
    if not isinstance(sql, Worded):
        raise TypeError("a connection of another database")
    return sql.sql
