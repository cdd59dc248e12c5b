"""The number of a read, and of its row in either store.

Reads are numbered in the order in which they came; no number is used twice. In SQLite that
is the number of the read's row. A row of PostgreSQL's has

    (2^20 + number of the read) << 22 | UTC day of capture

which is 2^42 or more. No read of SQLite's comes near that: at a thousand a second it would
take a hundred years. So a row number tells by itself from which store it is, and what
others hold of it, read ids and cursors, stays valid when the reads move to the other store.
"""

DAY_BITS = 22
FIRST = 1 << 20
"""What PostgreSQL counts from."""
GAP = 1 << 30
"""So many numbers are left out where a store is put back that is an older one, and by one
that took the place of another, which may serve again: more reads than came since. There is
room for two thousand times as many."""
_FIRST_ROW = FIRST << DAY_BITS
_MOST = (1 << 63 - DAY_BITS) - FIRST


def number_of(row: int) -> int:
    """Return the number of the read that has, or had, this row number in either store."""
    return row if row < _FIRST_ROW else (row >> DAY_BITS) - FIRST


def count_of(row: int) -> int | None:
    """Return what PostgreSQL counts for a row number of SQLite's, None for one of its own."""
    return FIRST + row if 0 <= row < _MOST else None
