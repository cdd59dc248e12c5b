"""Merging of answers by time, up to the latest frontier. Pure.

Nodes page newest first; of plates that look alike, those with the fewest
substitutions first, each newest first. A truncated answer says its frontier:
every matching read that comes before its last one is in the pages given so
far. So what comes before the earliest frontier of all truncated answers is
final, and what lies at or behind it may still be joined by rows of the next
page: it waits.

Broker and client run this same function; the client believes only its own.
"""

from collections.abc import Sequence

from accord.model import AnswerBody, SharedRead

Place = tuple[int, int]
"""Where a read stands in the order: substitutions, and minus the UTC ms of its capture."""


def place_in_order(read: SharedRead) -> Place:
    """Return where a read stands; what is alike there stands by agency and read id."""
    return read.substitutions, -read.captured_ms


def frontier_of(answer: AnswerBody) -> Place:
    """Return where a truncated answer, or all its pages together, ends for now."""
    return max((r.substitutions for r in answer.reads), default=0), -answer.frontier_ms


def frontier(answers: Sequence[AnswerBody | None]) -> Place | None:
    """Return the earliest frontier; None where every answer is complete."""
    truncated = [frontier_of(a) for a in answers if a is not None and not a.complete]
    return min(truncated, default=None)


def order(answers: Sequence[AnswerBody | None]) -> list[tuple[int, int]]:
    """Return (answer, row) of every final read, in their order.

    Reads of the same place are ordered by agency, then by read id, so that the
    order is the same whoever computes it. Two reads with the same originator
    and read id are one read: the first place holds it. None stands for an
    agency without an answer.
    """
    limit = frontier(answers)
    seen: set[tuple[str, bytes]] = set()
    rows: list[tuple[Place, str, bytes, int, int]] = []
    for index, answer in enumerate(answers):
        if answer is None:
            continue
        for row, read in enumerate(answer.reads):
            key, place = (read.originator, read.read_id), place_in_order(read)
            if (limit is not None and place >= limit) or key in seen:
                continue
            seen.add(key)
            rows.append((place, read.originator, read.read_id, index, row))
    rows.sort()
    return [(index, row) for *_, index, row in rows]
