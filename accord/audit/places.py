"""Where a log is kept, and the little that it asks of that place.

A log is six tables, in an SQLite file of its own or on a server beside a node's reads:

``entries``      one row per entry: index, time (ms UTC), leaf, wrapped key, box
``terms``        keyed search terms, each pointing to entries
``checkpoints``  every signed checkpoint, by size: one per commit
``nodes``        the hash of each complete subtree (:mod:`accord.audit.nodes`)
``cosignatures`` what witnesses made of some of them: size, witness, signature line
``head``         one row: size and frontier of the tree as of the last commit

What is written into them and what must hold of them is one and the same
(:mod:`accord.audit.log`, :mod:`accord.audit.store`), in SQLite's words with each value
a ``?``, which a server's connection puts into its own. A place adds what differs:
how one writer at a time is made sure of, when a commit is durable, how errors look.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from accord.errors import InputError


class Unavailable(Exception):
    """Nothing can be written now, and nothing is wrong with the log: the next try may do it.

    What was to be committed may be there all the same, where the connection was
    lost while the server committed it: whoever tries again looks at the head first.
    ``reason`` is the error's name alone.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Found(Protocol):
    """What a statement found."""

    def fetchone(self) -> Any:
        """Return the next row, None behind the last."""

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Sql(Protocol):
    """The log's tables; its methods raise the place's ``errors``. Binary columns are bytes."""

    def execute(self, text: str, values: Sequence[object] = (), /) -> Found:
        """Run a statement."""

    def insert(self, table: str, rows: Sequence[Sequence[object]], /) -> None:
        """Add whole rows to one of the tables."""

    def together(self) -> AbstractContextManager[object]:
        """Send the statements of a block at once, none of which returns rows."""

    def stream(self, text: str, values: Sequence[object] = (), /) -> Iterator[Any]:
        """Go through the rows of a query, however many; within a transaction or snapshot."""

    def has(self, table: str, /) -> bool:
        """Tell whether the table is there: a log of an older version may lack one."""

    def lacking(self, terms: Sequence[tuple[bytes, int]], /) -> int | None:
        """Return the first index one of whose terms is not there, of pairs sorted by index."""


class Reading(Sql, Protocol):
    """The tables opened for reading only."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Read one state of the log, also while it grows."""

    def close(self) -> None:
        """Let go of the place."""


class Taken(Protocol):
    """The tables opened for writing."""

    def transaction(self) -> AbstractContextManager[Sql]:
        """Write all of it or nothing, alone: nobody else writes from its start to its end.

        It is durable when it is left without an error.

        Raises:
            Unavailable: it can be tried again.
            Exception: one of the place's ``errors``: what the place holds is in doubt.
        """

    def scrub(self) -> None:
        """See that what was destroyed is gone from where the place keeps its data, too.

        Raises:
            Unavailable: somebody still reads it as it was; it can be tried again.
        """

    def close(self) -> None:
        """Let go of the place."""


class Place(Protocol):
    """Where one log is kept; nothing is opened before it is asked for."""

    @property
    def path(self) -> Path:
        """The file by which errors name the place."""

    @property
    def errors(self) -> type[Exception]:
        """What its statements raise."""

    @property
    def evidence(self) -> str:
        """What to do where the log does not hold."""

    def reading(self) -> Reading:
        """Open the tables for reading; whoever writes is not disturbed.

        Raises:
            InputError: they are not there, or can't be read.
        """

    def take(self) -> Taken:
        """Open the tables for writing, or make them.

        Raises:
            InputError: they can't be written, or another process alone may.
        """

    def unreadable(self, error: Exception) -> InputError:
        """Return the error for a place that can't be read, by the error's name alone.

        A database's own words can quote what it holds.
        """
