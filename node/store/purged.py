"""What a purge finds and takes, and what keeps it from a photo."""

from dataclasses import dataclass

from accord.errors import Refused


class PhotoStays(Refused):
    """A photo can't be removed, or not be looked for; no part of the store is to blame."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """What went as whole segments, in rows and files.

    ``moved`` reads are not among ``reads``: they are held, or met a list, and
    are kept elsewhere in the store. Times are ms UTC of the oldest and the newest
    read that went, None without any.
    """

    segments: int = 0
    reads: int = 0
    hits: int = 0
    photos: int = 0
    moved: int = 0
    from_ms: int | None = None
    to_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """What the next purge deletes; times in ms UTC of the reads, None without any.

    ``waiting`` are reads that are due as well, hidden, and go with others of their time
    within a day; ``unreadable`` files of reads that are wholly due, and damaged. ``left_out``
    names what :meth:`ReadStore.reached` left out, and why.
    """

    reads: int
    photos: int
    entries: int
    hits: int
    oldest_ms: int | None
    newest_ms: int | None
    letters: int = 0
    waiting: int = 0
    unreadable: int = 0
    left_out: tuple[str, ...] = ()
