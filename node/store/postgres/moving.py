"""The store in PostgreSQL as one side of a move: see :mod:`node.store.moving`."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import psycopg

from accord.clock import Clock
from accord.errors import InputError
from node.replay_file import Ahead
from node.store.cells import cell_of
from node.store.moving import HITS, READS, Row, Rows, Table
from node.store.numbers import FIRST, number_of
from node.store.postgres.adding import put
from node.store.postgres.connections import (
    WRITE_LOCK,
    Connections,
    as_refusal,
    connect,
    unreachable,
)
from node.store.postgres.in_postgres import InPostgres, real_connection
from node.store.postgres.log import nobody_serving
from node.store.postgres.one_database import OneDatabase
from node.store.postgres.opening import prepare
from node.store.postgres.parts import row_number
from node.store.postgres.places import Layout, Place
from node.store.postgres.purge import forget
from node.store.shared import Sql

LAT, LON = (READS.names.index(name) for name in ("lat_e7", "lon_e7"))
FORGOTTEN = [
    READS.names.index(name) for name in ("row_id", "captured_ms", "plate", "state", "source_id")
]
_NUMBERED = (READS.name, HITS.name)
# What the server counts itself.
_SEQUENCES = {"dead_letters": "dead_letters_letter_id_seq", "notes": "notes_seq_seq"}


class PostgresSide(Rows):
    """A :class:`node.store.moving.Side` on a PostgreSQL server."""

    def __init__(self, path: Path, clock: Clock, layout: Layout | None = None) -> None:
        """Connect to the server whose URL is in a file, and make the tables if need be.

        ``layout`` is where the reads are, if they are not in the same database.

        Raises:
            InputError: it can't be reached or used, or is not set as it must be.
        """
        self._layout: Layout = layout or OneDatabase(Connections.open(path))
        self._connections = self._layout.connections
        self._path, self._clock = path, clock
        try:
            prepare(path, self._connections.address)
            self._layout.prepare()
        except InputError:
            self._layout.close()
            raise
        super().__init__(InPostgres(self._connections))

    def alone(self) -> AbstractContextManager[None]:
        """See :meth:`node.store.moving.Side.alone`."""
        return nobody_serving(self._path)

    @contextmanager
    def still(self) -> Iterator[None]:
        """See :meth:`node.store.moving.Side.still`."""
        try:
            connection = connect(self._connections.address)
        except psycopg.Error as error:
            raise unreachable(self._path, error) from None
        with closing(connection):
            try:
                connection.execute("SELECT pg_advisory_lock(%s)", (WRITE_LOCK,))
                yield
                # The lock goes with its connection.
                connection.execute("SELECT 1")
            except psycopg.Error as error:
                raise as_refusal(error) from None

    def begin_guard(self) -> None:
        """See :meth:`node.store.moving.Side.begin_guard`."""
        with self._database.writing() as sql:
            sql.execute("DELETE FROM claims")
            sql.execute("DELETE FROM replay_guard")
            from_ms = Ahead(self._clock).now_ms()
            sql.execute("INSERT INTO replay_guard VALUES (1, ?, ?)", (from_ms, from_ms))

    def close(self) -> None:
        """Close the connections."""
        self._layout.close()

    def _refused(self, problem: str) -> InputError:
        return InputError(self._path, problem, "name an empty database")

    def _own(self, table: Table, row: Row | None) -> Row | None:
        if row is None or table.name not in _NUMBERED:
            return row
        at = row[table.names.index("captured_ms")]
        return (row_number(FIRST + row[0], at), *row[1:])

    def _common(self, table: Table, row: Row) -> Row:
        if table.name in _NUMBERED:
            return (number_of(row[0]), *row[1:])
        return row

    def _change_reads(self, sql: Sql, gone: Sequence[Row], new: Sequence[Row]) -> None:
        real = real_connection(sql)
        if gone:
            rows = [tuple(row[place] for place in FORGOTTEN) for row in gone]
            real.execute(
                "DELETE FROM reads USING unnest(%s::bigint[], %s::bigint[]) AS d (row, at) "
                "WHERE row_id = d.row AND captured_ms = d.at",
                ([row for row, *_ in rows], [at for _, at, *_ in rows]),
            )
            forget(Place(real, real), rows)
        if new:
            cells = [(*row, cell_of(row[LAT], row[LON])) for row in new]
            put(real, cells, self._clock.now_ms())

    def _counters(self, sql: Sql) -> dict[str, int]:
        (reads, version, lists) = sql.execute(
            "SELECT last_read, version, last_number FROM upkeep, hot_list_version"
        ).fetchone()
        found = {"reads": reads - FIRST, "hot_list_version": version, "hot_lists": lists}
        for name, sequence in _SEQUENCES.items():
            text = f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}"  # noqa: S608
            found[name] = sql.execute(text).fetchone()[0]
        return found

    def _set_counters(self, sql: Sql, counters: dict[str, int]) -> None:
        for name, last in counters.items():
            if name in _SEQUENCES:
                values = (_SEQUENCES[name], max(last, 1), last > 0)
                sql.execute("SELECT setval(?::regclass, ?, ?)", values)
            elif name == "reads":
                sql.execute("UPDATE upkeep SET last_read = ?", (FIRST + last,))
            else:
                column = "version" if name == "hot_list_version" else "last_number"
                sql.execute(f"UPDATE hot_list_version SET {column} = ?", (last,))  # noqa: S608
