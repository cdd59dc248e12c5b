"""What both databases are asked in the same words, and the few words that are each one's own.

Hot lists, hits, holds and dead letters are the same tables in SQLite and in
PostgreSQL. Their modules write SQLite's SQL, each value as ``?``, which
PostgreSQL's connections put into their own words; what the two do differently
is left to a :class:`Database`.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from node.store.base import Cancelled, Cursor

Values = Sequence[object]

DELETED = "UPDATE upkeep SET deleted = true"
"""Notes, in the same transaction, that rows were deleted whose bytes are to go."""

STATE_OF_READ = (
    "(SELECT state FROM reads WHERE row_id = read_row AND reads.captured_ms = hits.captured_ms "
    "AND reads.captured_ms >= ? AND reads.captured_ms < ?)"
)
"""Of a hit, where its read lies beside it; the values are a span that holds its capture."""


class Part(NamedTuple):
    """A condition and its values, in their order."""

    text: str
    values: tuple[object, ...]

    def also(self, other: "Part") -> "Part":
        """Return the condition that both hold; neither may be an OR without brackets."""
        return Part(f"{self.text} AND {other.text}", (*self.values, *other.values))


class Found(Protocol):
    """What a statement found, or how many rows it changed."""

    @property
    def rowcount(self) -> int:
        """The rows that were changed."""

    def fetchone(self) -> Any:
        """Return the next row, None behind the last."""

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""

    def fetchmany(self, size: int, /) -> list[Any]:
        """Return the next rows."""

    def close(self) -> None:
        """Leave the rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Sql(Protocol):
    """A connection; its methods raise what its database raises."""

    def execute(self, text: str, values: Values = (), /) -> Found:
        """Run a statement."""

    def executemany(self, text: str, rows: Iterable[Values], /) -> Found:
        """Run a statement for each row; ``rowcount`` is that of all."""


class Database(Protocol):
    """One of the two databases."""

    def searching(self, cancelled: Cancelled | None = None) -> AbstractContextManager[Sql]:
        """Run one search, bounded; errors as :class:`node.store.base.ReadStore`."""

    def working(self) -> AbstractContextManager[Sql]:
        """Run the owner's own work, without a bound; errors as :meth:`searching`."""

    def writing(self) -> AbstractContextManager[Sql]:
        """Run one write transaction: all of it or nothing; errors as :meth:`searching`."""

    def importing(self) -> AbstractContextManager[None]:
        """Hold the lock that one import of a hot list holds at a time, over all processes.

        Raises:
            InputError: another import is under way.
        """

    def rows(self, sql: Sql, part: Part) -> AbstractContextManager[Iterator[Any]]:
        """Go through what a query finds, some rows at a time; it may be left early."""

    def insert(self, sql: Sql, table: str, columns: str, rows: Iterable[Values]) -> None:
        """Put many rows into a table, in the way that is the quickest."""

    def reads_with(self, sql: Sql, hits: Part, span: tuple[int, int]) -> Part:
        """Return FROM and WHERE, to go on with AND, for reads that have one of these hits.

        There are few hits, so they are where it starts. All were captured in the
        half-open ``span`` of ms UTC.
        """

    def state_of_read(self, span: tuple[int, int]) -> Part:
        """Return what says, in a condition on hits, the state that the hit's read names.

        The read was captured in ``span``.
        """

    def count_held(self, hold_id: str) -> int:
        """Count the reads that a hold holds; errors as :meth:`searching`."""

    def snapshot(self, sql: Sql, after: Cursor | None) -> int:
        """Return the highest row number that a page goes up to.

        For a first page that is the highest that there is. A later one, ``after`` whose
        cursor it comes, may go on from the other store (:mod:`node.store.numbers`).
        """
