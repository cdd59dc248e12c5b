"""Retention: what is due goes, by the agency's own policy (MOA IV)."""

from dataclasses import dataclass

from node.photos import Photos
from node.store.base import ReadStore

DAY_MS = 86_400_000
_BATCH = 2000


@dataclass(frozen=True, slots=True)
class RetentionDays:
    """Days that each kind of data is kept."""

    reads: int
    photos: int
    hot_list: int


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """How much went, or would go; times in ms UTC of the reads."""

    reads: int
    photos: int
    entries: int
    oldest_ms: int | None
    newest_ms: int | None


def purge(
    store: ReadStore, photos: Photos, days: RetentionDays, now_ms: int, *, dry_run: bool
) -> PurgeReport:
    """Delete what is due, in batches, and leave no byte of it in the journal.

    Raises:
        Refused: the store can't be written.
    """
    moments = (days.reads, days.photos, days.hot_list)
    reads_ms, photos_ms, entries_ms = (now_ms - kept * DAY_MS for kept in moments)
    due = store.due(reads_ms, photos_ms, entries_ms)
    report = PurgeReport(due.reads, due.photos, due.entries, due.oldest_ms, due.newest_ms)
    if dry_run:
        return report
    while store.delete_reads(reads_ms, _BATCH, photos.unlink):
        pass
    while store.delete_photos(photos_ms, _BATCH, photos.unlink):
        pass
    store.delete_entries(entries_ms)
    store.settle()
    return report
