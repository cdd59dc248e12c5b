"""Does a read meet an entry of a hot list? Pure.

A hit is exact only where number and state are both the same and both known: a
number alone never matches across states. What may be the vehicle is "possible"
and never more: the same number where read or entry names no state, or a number
that differs in characters that cameras take for one another (at most
:data:`MAX_DIFFERENCES` of them, and not where both name different states).
"""

from collections.abc import Iterable
from typing import NamedTuple

from accord.hot_lists import MAX_HITS
from accord.plates import substitutions

MAX_DIFFERENCES = 2


class Match(NamedTuple):
    """How sure a match is: not exact is only possible; differing characters make it less."""

    possible: bool
    differing: int


class Candidate(NamedTuple):
    """An entry that looks like the read's plate, and what its list says of itself.

    Times are ms UTC and seconds.
    """

    plate: str
    state: str
    category: str
    list: str
    source: str
    published_ms: int
    max_age_s: int


def match(plate: str, state: str, listed_plate: str, listed_state: str) -> Match | None:
    """Return how a read's plate and state meet an entry's; None if they don't."""
    if state and listed_state and state != listed_state:
        return None
    differing = substitutions(plate, listed_plate)
    if differing is None or differing > MAX_DIFFERENCES:
        return None
    known = bool(state and listed_state)
    return Match(differing > 0 or not known, differing)


def matches(
    plate: str, state: str, candidates: Iterable[Candidate]
) -> tuple[tuple[Candidate, bool], ...]:
    """Return the entries that a read meets, the surest first, and whether it is only possible.

    At most :data:`accord.model.MAX_HITS` of them.
    """
    found = [
        (how, entry)
        for entry in candidates
        if (how := match(plate, state, entry.plate, entry.state)) is not None
    ]
    found.sort()
    return tuple((entry, how.possible) for how, entry in found[:MAX_HITS])
