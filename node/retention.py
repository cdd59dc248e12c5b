"""Retention: what is due, and its purge (MOA IV: each party's own policy).

A read is due when more than its days have passed since it was captured. From
that moment no query sees it; the purge that follows removes its bytes: rows
are overwritten with zeros (``secure_delete``), the database is written anew
and its journal emptied, a plate that no read has any longer leaves the list of
plates, and photos are unlinked. A hit on a hot list goes with its read, or
before it where the policy says so. A record that was not taken goes as a read
that was captured when it arrived.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from node.photos import Photos
from node.store.base import ReadStore

DAY_MS = 86_400_000
# One transaction each, so that ingest and queries are not held up for long.
_BATCH = 2_000


class DataKind(Enum):
    """What has a retention of its own."""

    READS = "reads"
    PHOTOS = "photos"
    HOT_LIST = "hot list"
    HITS = "hits"


@dataclass(frozen=True, slots=True)
class RetentionDays:
    """Days that each kind is kept. A photo and a hit go with their read at the latest.

    ``hits`` None: as long as the reads.
    """

    reads: int
    photos: int
    hot_list: int
    hits: int | None = None

    def of(self, kind: DataKind) -> int:
        """Return the days of one kind."""
        days = {
            DataKind.READS: self.reads,
            DataKind.PHOTOS: min(self.photos, self.reads),
            DataKind.HOT_LIST: self.hot_list,
            DataKind.HITS: self.reads if self.hits is None else min(self.hits, self.reads),
        }
        return days[kind]


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """What was purged, or would be; ms UTC of the oldest and newest read, if any."""

    reads: int
    photos: int
    entries: int
    hits: int
    oldest: int | None
    newest: int | None
    letters: int


def due(kind: DataKind, captured_ms: int, days: RetentionDays) -> int:
    """Return the last millisecond at which something captured then may be there.

    For a hot list ``captured_ms`` is when its source published it, for a hit
    when its read was captured.
    """
    return captured_ms + days.of(kind) * DAY_MS


def earliest(kind: DataKind, days: RetentionDays, now_ms: int) -> int:
    """Return the first moment of capture that is not due: the inverse of :func:`due`."""
    return now_ms - days.of(kind) * DAY_MS


def purge(
    store: ReadStore, photos: Photos, days: RetentionDays, now_ms: int, *, dry_run: bool
) -> PurgeReport:
    """Remove everything that is due; with ``dry_run`` only count it.

    Raises:
        Refused: ``STORE_UNAVAILABLE``, ``STORE_CORRUPT``. What was purged
            until then stays purged; the next purge goes on.
    """
    reads_ms = earliest(DataKind.READS, days, now_ms)
    photos_ms = earliest(DataKind.PHOTOS, days, now_ms)
    entries_ms = earliest(DataKind.HOT_LIST, days, now_ms)
    hits_ms = earliest(DataKind.HITS, days, now_ms)
    found = store.due(reads_ms, photos_ms, entries_ms, hits_ms)
    report = PurgeReport(
        found.reads,
        found.photos,
        found.entries,
        found.hits,
        found.oldest_ms,
        found.newest_ms,
        found.letters,
    )
    if dry_run:
        return report
    _repeat(lambda: store.delete_photos(photos_ms, _BATCH, photos.unlink))
    _repeat(lambda: store.delete_reads(reads_ms, _BATCH, photos.unlink))
    store.hot_lists.delete_hits(hits_ms)
    store.hot_lists.delete_published(entries_ms)
    store.delete_dead(reads_ms)
    _unlink_orphans(store, photos, now_ms - DAY_MS)
    store.settle(now_ms)
    return report


def _repeat(delete_batch: Callable[[], int]) -> None:
    while delete_batch() == _BATCH:
        pass


def _unlink_orphans(store: ReadStore, photos: Photos, older_than_ms: int) -> None:
    """Remove photos that no read has: an ingest that was stopped leaves some.

    A day's grace, since an ingest under way keeps photos before their reads.
    """
    for names in photos.names(older_than_ms):
        used = store.in_use(names)
        for name in names:
            if name not in used:
                photos.unlink(name)
