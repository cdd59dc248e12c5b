"""Where reads lie: beside all else in one database, or in slices on several servers.

What deletes reads works on one *place* after the other, and has there two
connections, each in a write transaction: ``sql``, where hits, holds, plates and the
identifiers of sources are, and ``at``, where the reads of the place are. With one
database there is one place, and both are the same connection. In a slice
(:mod:`node.store.postgres.slices`) a statement about reads finds a table ``hits`` of
its own, and is handed the holds, few as they are, in front of it:

    WITH holds AS (SELECT * FROM jsonb_to_recordset(...)) SELECT ... FROM reads ...
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from accord.model import Read
from node.store.base import Added
from node.store.matcher import Matcher
from node.store.postgres.connections import Connections
from node.store.postgres.migrations import Sql
from node.store.postgres.wording import Worded, worded
from node.store.shared import DELETED, Database, Part

NOTHING = Part("", ())


class Place(NamedTuple):
    """One place of reads, in a transaction.

    ``holds`` goes in front of a statement about reads, ``own_hits`` is the condition
    for a hit of the place's reads. ``own_plates`` is that for a plate, "true" for all.
    ``known_as`` tells under which number the place's part stands in ``parts`` at ``sql``.
    """

    sql: Sql
    at: Sql
    holds: Part = NOTHING
    own_hits: str = "true"
    own_plates: str = "true"
    number: int = 0
    known_as: Callable[[int], int] = int

    def both(self) -> Sequence[Sql]:
        """Return the connections, each once."""
        return (self.sql,) if self.at is self.sql else (self.sql, self.at)

    def ask(self, text: str, values: Sequence[object], ctes: str = "") -> list[tuple[Any, ...]]:
        """Run a shared text about reads and holds where the reads are; ``ctes`` go before it.

        Raises:
            psycopg.Error: as the server says.
        """
        prefix, brought = self.before(ctes)
        return self.at.execute(worded(prefix + text), (*brought, *values)).fetchall()

    def before(self, ctes: str = "") -> tuple[str, tuple[object, ...]]:
        """Return the WITH that goes in front of a statement, and its values."""
        parts = [part for part in (self.holds.text, ctes) if part]
        return f"WITH {', '.join(parts)} " if parts else "", self.holds.values

    def deleted(self) -> None:
        """Note that rows were deleted whose bytes are to go."""
        for sql in self.both():
            sql.execute(DELETED)


class Layout(Protocol):
    """All places of a store. Errors as :class:`node.store.base.ReadStore`."""

    @property
    def connections(self) -> Connections:
        """Connections to the database where all but the reads is."""

    @property
    def database(self) -> Database:
        """The words of what is asked of any database."""

    def prepare(self) -> None:
        """Find the reads, or make their tables where they are not with the others.

        Raises:
            InputError: they are not where they should be.
        """

    def look(self) -> None:
        """Find the reads, and change nothing; errors as :meth:`prepare`."""

    def check_all(self) -> None:
        """See that the reads are still those that were found.

        Raises:
            InputError: they are not, and no search is answered any longer.
        """

    def numbers(self) -> Iterable[int]:
        """Return the numbers of the places."""

    def trying(self, number: int) -> AbstractContextManager[None]:
        """Do a purge's work at a place; one that is left out ends it, and nothing is raised."""

    def left_out(self) -> Sequence[str]:
        """Return which parts a purge has left out, and why: :mod:`node.store.postgres.reached`."""

    def finish(self) -> None:
        """End a purge.

        Raises:
            InputError: something was left out; it is named.
        """

    def writing(self, number: int) -> AbstractContextManager[Place]:
        """Run one write transaction at a place.

        What is at ``sql`` is committed first: a deletion that is cut off in between is
        made again by the next purge, which finds the reads still due.
        """

    def looking(self, number: int) -> AbstractContextManager[Place]:
        """Look at a place."""

    def reading(self, sql: Sql) -> Worded:
        """Return a connection for one page of a search, by the shared texts."""

    def add(self, reads: Sequence[Read], now_ms: int, matcher: Matcher) -> Added:
        """See :meth:`node.store.base.ReadStore.add`."""

    def make_parts(self, days: Sequence[int], now_ms: int) -> None:
        """Make the partitions of days, where there are none."""

    def lies(self, row_id: int) -> tuple[str, tuple[int, int]]:
        """Return the table and the half-open span of ms UTC where a read lies."""

    def in_use(self, place: Place | None, photos: Iterable[str]) -> frozenset[str]:
        """Return those of the photos that a read has, at any place.

        ``place`` is the one that is being written, whose changes count.
        """

    def count(self) -> int:
        """Return how many reads there are."""

    def rewrite(self, now_ms: int) -> bool:
        """Write small tables anew: :func:`node.store.postgres.purge.rewrite`."""

    def close(self) -> None:
        """Close all connections."""
