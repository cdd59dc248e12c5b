"""Matching reads on arrival, inside the transaction that stores them.

Nearly every read is on no list. So the skeletons of all listed plates are kept
in memory, and only a read whose own skeleton is among them is looked up: in
the database, in the same transaction, so that what is stored is what the lists
say at that moment. The set is read again when the version of the lists, which
every change raises, is another than the one it was read at; whoever made the
change, this process or another.

A read that is looked up is compared with all entries that look like it, so that
the surest come first; an import lets no list have more of them than
:data:`node.store.hot_lists.MAX_ALIKE`.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from accord.hot_lists import HIT_NOTICE
from accord.lookalikes import skeleton
from accord.model import Read
from node.matching import Candidate, matches
from node.store.shared import Sql

_VERSION = "SELECT version FROM hot_list_version"
_SKELETONS = (
    "SELECT DISTINCT skeleton FROM hot_list_entries WHERE number IN (SELECT number FROM hot_lists)"
)
_LOOK_UP = (
    "SELECT plate, state, category, list, source, published_ms, max_age_s "
    "FROM hot_list_entries JOIN hot_lists USING (number) "
    "WHERE skeleton = ? AND ? - published_ms <= hard_limit_s * 1000"
)
_INSERT = (
    "INSERT INTO hits (read_row, list, source, listed_plate, listed_state, category, "
    "published_ms, max_age_s, matched_ms, age_s, captured_ms, possible, notice) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

HitRow: TypeAlias = tuple[object, ...]


class Matcher:
    """The plates on the lists, and what happens when one of them arrives."""

    def __init__(self) -> None:
        # One tuple, replaced as a whole: several threads may store reads.
        self._held: tuple[int, frozenset[str]] = (0, frozenset())

    def refresh(self, sql: Sql) -> frozenset[str]:
        """Return the skeletons of all listed plates, read again if a list has changed."""
        (version,) = sql.execute(_VERSION).fetchone()
        held, skeletons = self._held
        if version != held:
            skeletons = frozenset(text for (text,) in sql.execute(_SKELETONS))
            self._held = (version, skeletons)
        return skeletons

    def store_hits(
        self, sql: Sql, reads: Sequence[Read], now_ms: int, number: Callable[[Read], int]
    ) -> int:
        """Store the hits of reads that the same transaction has stored; return how many.

        ``now_ms`` is when they arrived: how old a list was is counted to then.
        ``number`` tells a read's row number; few are asked for.
        """
        rows = self.hits_of(sql, reads, now_ms, number)
        store(sql, rows)
        return len(rows)

    def hits_of(
        self, sql: Sql, reads: Sequence[Read], now_ms: int, number: Callable[[Read], int]
    ) -> Sequence[HitRow]:
        """Return the hits of reads as :meth:`store_hits` stores them, the read's number first."""
        listed = self.refresh(sql)
        if not listed:
            return ()
        return [row for read in reads if skeleton(read.plate) in listed
                for row in _hits(sql, read, now_ms, number)]  # fmt: skip


def store(sql: Sql, hits: Sequence[HitRow]) -> None:
    """Store hits of reads that the same transaction has stored."""
    sql.executemany(_INSERT, hits)


def _hits(sql: Sql, read: Read, now_ms: int, number: Callable[[Read], int]) -> list[HitRow]:
    found = sql.execute(_LOOK_UP, (skeleton(read.plate), now_ms))
    return [
        (
            number(read),
            entry.list,
            entry.source,
            entry.plate,
            entry.state,
            entry.category,
            entry.published_ms,
            entry.max_age_s,
            now_ms,
            max(0, now_ms - entry.published_ms) // 1000,
            read.captured_ms,
            possible,
            HIT_NOTICE,
        )
        for entry, possible in matches(read.plate, read.state, (Candidate(*row) for row in found))
    ]
