"""Dead letters in either store: records that were not taken, kept until they are, or are due.

A record stands once, however often its source sends it: its key is a digest of
source, format and content. Of one source at most :data:`MAX_LETTERS` are kept,
and :data:`MAX_BYTES`, so that a source gone mad does not fill the disk.
"""

import hashlib
from collections.abc import Sequence

from node.store.base import DeadCount, DeadLetter
from node.store.shared import Sql

MAX_LETTERS = 20_000
MAX_BYTES = 1 << 30
_COLUMNS = "source, format, reason, arrived_ms, content, letter_id, cut"


def add(sql: Sql, letters: Sequence[DeadLetter]) -> int:
    """Keep the letters that are not there yet; return how many found no room.

    A letter that is there already takes the reason of the new one. One that has a
    number was there: where it is gone meanwhile it stays so.
    """
    left: dict[str, tuple[int, int]] = {}
    for letter in letters:
        if letter.source not in left:
            text = (
                "SELECT count(*), CAST(coalesce(sum(length(content)), 0) AS bigint) "
                "FROM dead_letters WHERE source = ?"
            )
            count, size = sql.execute(text, (letter.source,)).fetchone()
            left[letter.source] = (MAX_LETTERS - count, MAX_BYTES - size)
    lost = 0
    for letter in letters:
        if letter.letter_id:
            text = "UPDATE dead_letters SET reason = ? WHERE letter_id = ?"
            sql.execute(text, (letter.reason, letter.letter_id))
            continue
        digest = _digest(letter)
        text = "UPDATE dead_letters SET reason = ? WHERE digest = ?"
        if sql.execute(text, (letter.reason, digest)).rowcount:
            continue
        count, size = left[letter.source]
        if count <= 0 or size < len(letter.content):
            lost += 1
            continue
        left[letter.source] = (count - 1, size - len(letter.content))
        sql.execute(
            "INSERT INTO dead_letters (digest, source, format, reason, arrived_ms, content, cut) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (digest, letter.source, letter.format, letter.reason, letter.arrived_ms,
             letter.content, letter.cut),
        )  # fmt: skip
    return lost


def after(sql: Sql, letter_id: int, source: str, form: str, limit: int) -> list[DeadLetter]:
    """Return the letters that follow one, in order; "" stands for any source or format."""
    rows = sql.execute(
        f"SELECT {_COLUMNS} FROM dead_letters WHERE letter_id > ? "  # noqa: S608 - constants
        "AND (? = '' OR source = ?) AND (? = '' OR format = ?) ORDER BY letter_id LIMIT ?",
        (letter_id, source, source, form, form, limit),
    )
    return [
        DeadLetter(source, form, reason, arrived_ms, content, letter_id, bool(cut))
        for source, form, reason, arrived_ms, content, letter_id, cut in rows
    ]


def counts(sql: Sql) -> tuple[DeadCount, ...]:
    """Return how many there are by source, format and reason, the most first."""
    rows = sql.execute(
        "SELECT source, format, reason, count(*) AS letters, min(arrived_ms) FROM dead_letters "
        "GROUP BY source, format, reason ORDER BY letters DESC, source, format, reason"
    )
    return tuple(DeadCount(*row) for row in rows)


def remove(sql: Sql, letter_ids: Sequence[int]) -> int:
    """Remove letters by number."""
    text = "DELETE FROM dead_letters WHERE letter_id = ?"
    return sql.executemany(text, ((letter_id,) for letter_id in letter_ids)).rowcount


def remove_before(sql: Sql, before_ms: int) -> int:
    """Remove the letters that arrived before."""
    return sql.execute("DELETE FROM dead_letters WHERE arrived_ms < ?", (before_ms,)).rowcount


def _digest(letter: DeadLetter) -> bytes:
    # Without content only the reason tells two letters apart. The start of one record
    # may read as another that is whole, and is tried again.
    names = f"{letter.source}\0{letter.format}\0{'' if letter.content else letter.reason}\0"
    names += "cut\0" if letter.cut else ""
    return hashlib.sha256(names.encode() + letter.content).digest()
