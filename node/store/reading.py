"""How a search reads its rows, in however many tables they lie."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from node.store.shared import Sql
from node.store.statements import Statement

Row = tuple[Any, ...]


class About(NamedTuple):
    """What a statement is about, so that a table that holds none of it need not be asked.

    ``span`` is in ms UTC, half-open. ``plates`` are all that are looked for, of several
    the statement's first value is their JSON list; None for any plate. ``step_ms`` is the
    agreed step, by which rows come.
    """

    span: tuple[int, int]
    step_ms: int
    plates: Sequence[str] | None = None


class Rows(Iterator[Row], Protocol):
    """Rows of :data:`node.store.fast.COLUMNS` in their order; closed when they are left early."""

    def close(self) -> None:
        """Leave the rest."""


class Reading(Protocol):
    """All reads of a store at one moment. Its methods raise what the database raises."""

    def rows(self, page: Statement, about: About) -> Rows:
        """Return the rows that a statement gives, ordered by bucket and tag, the last first."""

    def count(self, counting: Statement, about: About, most: int) -> int:
        """Return what a statement counts; above ``most`` it may be any number above it."""


class OneTable:
    """A :class:`Reading` of a database whose reads are one table to whoever asks."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def rows(self, page: Statement, about: About) -> Rows:
        """See :meth:`Reading.rows`."""
        found: Rows = self._sql.execute(*page)  # type: ignore[assignment]  # a cursor is its own iterator
        return found

    def count(self, counting: Statement, about: About, most: int) -> int:
        """See :meth:`Reading.count`."""
        return int(self._sql.execute(*counting).fetchone()[0])
