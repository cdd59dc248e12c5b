"""The partitions of reads: one for each UTC day of capture, made before its reads come.

Whoever makes one waits for all that look at ``reads_rest``, and all others wait
behind: so it is tried for some milliseconds at a time. What can't have a partition
goes to the rest: a day far off, and one of which something lies there already.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

import psycopg
from psycopg import errors

from node.store.numbers import DAY_BITS
from node.store.postgres.migrations import DAY_MS, PRIVATE, Sql

REST = 0
"""The part number of ``reads_rest``."""
LOCK_WAIT_MS = 10
_PAUSE_S = 0.02
_TRIES = 200
_PAST_DAYS = 5 * 366
_DAY_MASK = (1 << DAY_BITS) - 1

SEEN = f"row_id <= (SELECT last_read << {DAY_BITS} | {_DAY_MASK} FROM upkeep)"  # noqa: S608 - our own numbers
"""The condition for a read of which the database knows: one whose writing was cut is not."""


def day_of(captured_ms: int) -> int:
    """Return the day of a moment in ms UTC."""
    return captured_ms // DAY_MS


def row_number(count: int, captured_ms: int) -> int:
    """Return the row number of the read that is the ``count``-th of all."""
    return count << DAY_BITS | day_of(captured_ms) & _DAY_MASK


def last_row(count: int) -> int:
    """Return the highest row number that one of the first ``count`` reads can have."""
    return count << DAY_BITS | _DAY_MASK


def span_of(row_id: int) -> tuple[int, int]:
    """Return the half-open span of ms UTC in which the read was captured."""
    day = row_id & _DAY_MASK
    return day * DAY_MS, (day + 1) * DAY_MS


def parts_of(sql: Sql, days: Iterable[int], now_ms: int) -> Mapping[int, int]:
    """Return the part number of each day, and make what is missing; in a write transaction.

    Raises:
        psycopg.Error: as the server says; ``LockNotAvailable`` where others look
            at the rest for seconds.
    """
    wanted, today = sorted(set(days)), day_of(now_ms)
    rows = sql.execute("SELECT day, number FROM parts WHERE day = ANY(%s)", (wanted,)).fetchall()
    parts: dict[int, int] = dict(rows)
    for day in wanted:
        if day not in parts:
            near = today - _PAST_DAYS <= day <= today + 1
            parts[day] = _made(sql, day) if near else REST
    return parts


def _made(sql: Sql, day: int) -> int:
    """Make the partition of a day, and return its number, or that of the rest."""
    start, end = day * DAY_MS, (day + 1) * DAY_MS
    # As its index has it.
    text = f"SELECT EXISTS (SELECT 1 FROM reads_rest WHERE captured_ms / {DAY_MS} = %s)"  # noqa: S608 - our own number
    if sql.execute(text, (day,)).fetchall() == [(True,)]:
        return REST
    ((number,),) = sql.execute(
        "UPDATE upkeep SET last_part = last_part + 1 RETURNING last_part"
    ).fetchall()
    name = f"reads_{datetime.fromtimestamp(day * 86_400, UTC):%Y%m%d}_{number}"
    # Ours and numbers alone: names and bounds can't be handed over as values.
    sql.execute(f"CREATE TABLE {name} (LIKE reads INCLUDING CONSTRAINTS)")
    for column in PRIVATE:
        sql.execute(f'ALTER TABLE {name} ALTER COLUMN "{column}" SET STATISTICS 0')
    attach = f"ALTER TABLE reads ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({end})"
    patiently(sql, lambda: sql.execute(attach))
    sql.execute("INSERT INTO parts (number, day, name) VALUES (%s, %s, %s)", (number, day, name))
    return int(number)


def patiently(sql: Sql, step: Callable[[], object], tries: int = _TRIES) -> None:
    """Take a step, inside a transaction, for which others must not be held up.

    Raises:
        psycopg.errors.LockNotAvailable: they did not make way.
        psycopg.Error: as the server says.
    """
    ((waits,),) = sql.execute("SELECT current_setting('lock_timeout')").fetchall()
    for tried in range(1, tries + 1):
        try:
            with sql.transaction():
                _wait_at_most(sql, f"{LOCK_WAIT_MS}ms")
                step()
                _wait_at_most(sql, waits)
        except errors.LockNotAvailable:
            if tried == tries:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


def _wait_at_most(sql: psycopg.Connection[tuple[object, ...]], text: str) -> None:
    sql.execute("SELECT set_config('lock_timeout', %s, true)", (text,))
