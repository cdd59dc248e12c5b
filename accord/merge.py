"""Merging of answers by time, up to the latest frontier. Pure.

Nodes page newest first. A truncated answer says its frontier: every matching
read later than that is in the pages given so far. So what lies later than the
latest frontier of all truncated answers is final, and what lies at or before
it may still be joined by rows of the next page: it waits.

Broker and client run this same function; the client believes only its own.
"""

from collections.abc import Sequence

from accord.model import AnswerBody


def frontier(answers: Sequence[AnswerBody | None]) -> int:
    """Return the latest frontier in UTC ms; 0 where every answer is complete."""
    truncated = [a.frontier_ms for a in answers if a is not None and not a.complete]
    return max(truncated, default=0)


def order(answers: Sequence[AnswerBody | None]) -> list[tuple[int, int]]:
    """Return (answer, row) of every final read, newest first.

    Reads of the same time are ordered by agency, then by read id, so that the
    order is the same whoever computes it. Two reads with the same originator
    and read id are one read: the first place holds it. None stands for an
    agency without an answer.
    """
    limit = frontier(answers)
    seen: set[tuple[str, bytes]] = set()
    rows: list[tuple[int, str, bytes, int, int]] = []
    for index, answer in enumerate(answers):
        if answer is None:
            continue
        for row, read in enumerate(answer.reads):
            key = (read.originator, read.read_id)
            if (limit and read.captured_ms <= limit) or key in seen:
                continue
            seen.add(key)
            rows.append((-read.captured_ms, read.originator, read.read_id, index, row))
    rows.sort()
    return [(index, row) for *_, index, row in rows]
