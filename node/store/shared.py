"""What both databases are asked in the same words.

Texts write each value as ``?`` and hold no other one. What PostgreSQL says
differently, :mod:`node.store.postgres.wording` puts into its words.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

Values = Sequence[object]


class Found(Protocol):
    """What a statement found, or how many rows it changed."""

    @property
    def rowcount(self) -> int:
        """The rows that were changed."""

    def fetchone(self) -> Any:
        """Return the next row, None behind the last."""

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""

    def close(self) -> None:
        """Leave the rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Sql(Protocol):
    """A connection; its methods raise what its database raises."""

    def execute(self, text: str, values: Values = (), /) -> Found:
        """Run a statement."""

    def executemany(self, text: str, rows: Iterable[Values], /) -> Found:
        """Run a statement for each row; ``rowcount`` is that of all."""
