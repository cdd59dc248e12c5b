"""The words of a sharded store, of what is asked of any database."""

from collections.abc import Sequence
from functools import lru_cache

from accord.errors import Code, Refused
from node.store.due import HELD_BY
from node.store.postgres.in_postgres import InPostgres
from node.store.postgres.places import Layout
from node.store.postgres.slices import EVERYWHERE, slice_of, span_of, table_of
from node.store.postgres.wording import Worded, worded
from node.store.shared import Part, Sql

_MOST_HITS = 200_000
"""Reads with hits that are looked up for one page, withheld ones too: a hard stop."""


@lru_cache(maxsize=4096)
def everywhere(text: str) -> str:
    """Return a text of SQLite's in PostgreSQL's words, for reads on several servers.

    One plate is looked for in its slice, all else at once on each server.
    """
    text = worded(text)
    if "plate = %s" in text:
        return text
    return text.replace("FROM reads ", f"FROM {EVERYWHERE} AS reads ")


class WordedForAll(Worded):
    """A connection of a search."""

    put = staticmethod(everywhere)


class InShards(InPostgres):
    """A :class:`node.store.shared.Database` whose reads are on several servers."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout.connections)
        self._layout = layout

    def count_held(self, hold_id: str) -> int:
        """See :meth:`node.store.shared.Database.count_held`."""
        total = 0
        for number in self._layout.numbers():
            with self._layout.looking(number) as place:
                ((count,),) = place.ask(HELD_BY, (hold_id,))
                total += count
        return total

    def reads_with(self, sql: Sql, hits: Part, span: tuple[int, int]) -> Part:
        """See :meth:`node.store.shared.Database.reads_with`.

        The hits are here. Their reads are asked for by number, each slice for its own.

        Raises:
            Refused: ``SEARCH_TOO_WIDE``.
        """
        text = f"SELECT DISTINCT read_row FROM hits WHERE {hits.text} LIMIT {_MOST_HITS + 1}"  # noqa: S608
        rows = [row for (row,) in sql.execute(text, hits.values).fetchall()]
        if len(rows) > _MOST_HITS:
            raise Refused(Code.SEARCH_TOO_WIDE, detail=f"more than {_MOST_HITS} hits")
        by_slice: dict[int, list[int]] = {}
        for row in rows:
            by_slice.setdefault(slice_of(row), []).append(row)
        parts = [_numbered(number, own, span) for number, own in sorted(by_slice.items())]
        if not parts:
            return Part("FROM reads WHERE false", ())
        return Part(
            f"FROM ({' UNION ALL '.join(part.text for part in parts)}) AS reads WHERE true",
            tuple(value for part in parts for value in part.values),
        )

    def state_of_read(self, span: tuple[int, int]) -> Part:
        """See :meth:`node.store.shared.Database.state_of_read`."""
        return Part("read_state", ())


def _numbered(number: int, rows: Sequence[int], span: tuple[int, int]) -> Part:
    """Return the reads of a slice with these row numbers, in as few days as they are of."""
    days = [span_of(row) for row in rows]
    first = max(span[0], min(start for start, _ in days))
    end = min(span[1], max(end for _, end in days))
    return Part(
        f"SELECT * FROM {table_of(number)} "  # noqa: S608 - our own names
        "WHERE row_id = ANY(?::bigint[]) AND captured_ms >= ? AND captured_ms < ?",
        (sorted(rows), first, end),
    )
