"""The nouns of hot lists: entries, how old a list is, and hits. Frozen.

Times are milliseconds UTC since 1970.
"""

from dataclasses import dataclass

MAX_LISTS = 100
"""So many hot lists a node holds at most: an answer tells the age of each."""
MAX_HITS = 10
"""Of one read so many hits are kept and given, the surest: lists are no lists of look-alikes."""

HIT_NOTICE = (
    "Verify before acting: compare plate and state with the vehicle, and confirm the entry "
    "with the agency that keeps the list."
)
"""What is stored and shown with every hit (MOA III)."""
HIT_NOTICES = frozenset({HIT_NOTICE})
"""All that nodes have ever stored so: an owner can't put words of its own in the place."""


@dataclass(frozen=True, slots=True)
class HotListEntry:
    """One entry of a hot list, as stored and as shared."""

    list: str
    source: str
    plate: str
    state: str
    category: str
    published_ms: int
    max_age_s: int

    def stale_at(self, now_ms: int) -> bool:
        """Tell whether the list is older than its maximum age (MOA III)."""
        return now_ms - self.published_ms > self.max_age_s * 1000


@dataclass(frozen=True, slots=True)
class HotListState:
    """How old a hot list was when an answer was made, as shared.

    ``not_matched``: it is past its owner's hard limit, so it says nothing.
    """

    list: str
    source: str
    published_ms: int
    max_age_s: int
    stale: bool
    not_matched: bool


@dataclass(frozen=True, slots=True)
class SharedHit:
    """What a read of the same answer met on a hot list, as shared.

    ``entry`` is the entry as its list held it then. ``possible`` means that
    number and state were not both the same and both known. ``matched_ms`` is
    when the read arrived, rounded down as its time is; ``stale`` whether the
    list was too old by then (see :meth:`age_ms`), ``still_listed`` whether it
    holds the entry now. Of one read there are at most :data:`MAX_HITS`.
    """

    read_id: bytes
    entry: HotListEntry
    possible: bool
    matched_ms: int
    stale: bool
    still_listed: bool
    notice: str

    def age_ms(self, time_step_ms: int) -> int:
        """Return how old the list was when the read arrived.

        Counted to the end of the step to which the time is rounded: a list is
        never shown as younger than it was.
        """
        return max(0, self.matched_ms + time_step_ms - 1 - self.entry.published_ms)
