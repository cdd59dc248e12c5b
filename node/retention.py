"""Retention: what is due, and its purge (MOA IV: each party's own policy, and the law above it).

How long what is kept, and why, says :mod:`accord.agreements.retention`. From the
moment that something is due no query sees it; the purge that follows removes its
bytes: rows are overwritten with zeros (``secure_delete``), the database is
written anew and its journal emptied, a plate that no read has any longer leaves
the list of plates, and photos are unlinked. A record that was not taken goes as
a read that was captured when it arrived and met nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from functools import cache

from accord.agreements.law.packs import built_in_law
from accord.agreements.law.rules import Law, Owner, Rule
from accord.agreements.policy import RetentionDays
from accord.agreements.reading import local_date
from accord.agreements.retention import DAY_MS, Limits, limits
from accord.errors import Code, Refused
from accord.model import Read
from node.photos import Photos
from node.store.base import Cuts, ReadStore

# One transaction each, so that ingest and queries are not held up for long.
_BATCH = 2_000


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """What was purged, or would be; ms UTC of the oldest and newest read, if any.

    ``unreadable`` are files of reads, damaged, so that nobody can count what went with them.
    """

    reads: int
    photos: int
    entries: int
    hits: int
    oldest: int | None
    newest: int | None
    letters: int
    unreadable: int = 0
    left_out: tuple[str, ...] = ()
    """What can't be reached, of which nothing is counted, and why."""


def binding(own: Owner | None, law: Law | None, now_ms: int) -> tuple[Rule, ...]:
    """Return the law that binds an agency as owner of its data.

    ``law`` None, while counsel's update can't be used, is what comes with
    Accord: a purge by less than all of the law takes only what is due.
    ``own`` None: it is not known whose law binds.
    """
    law = law or built_in_law()
    return () if own is None else law.binding(own, own, local_date(now_ms, UTC))


def limits_at(days: RetentionDays, own: Owner | None, law: Law | None, now_ms: int) -> Limits:
    """Return what policy and law leave together at a moment; see :func:`binding`."""
    return limits(days, binding(own, law, now_ms))


def cuts(kept: Limits, now_ms: int) -> Cuts:
    """Return the first moments of capture that are not due."""
    return Cuts(
        reads_ms=now_ms - kept.reads.keep_ms,
        hit_reads_ms=now_ms - kept.hit_reads.keep_ms,
        hits_ms=now_ms - kept.hits.keep_ms,
        photos_ms=now_ms - kept.photos.keep_ms,
        entries_ms=now_ms - kept.hot_list.keep_ms,
        now_ms=now_ms,
    )


def latest_on_arrival(now_ms: int) -> int:
    """Return the latest capture (UTC ms) that a read which comes in now may have.

    Time is kept from capture, so one that a camera dates ahead would outlive its date.
    """
    return now_ms + DAY_MS


def due_on_arrival(store: ReadStore, kept: Limits | None, now_ms: int) -> Callable[[Read], bool]:
    """Return what tells whether a read that comes in now is due, and not held.

    It met no hot list yet, and past the time of such reads it is not matched any
    more. ``kept`` None: nothing is. The holds are those of the first read that is due.

    Raises:
        Refused: ``STORE_UNAVAILABLE``, by what is returned.
    """
    earliest_ms = 0 if kept is None else cuts(kept, now_ms).reads_ms
    holds = cache(store.holds.all)

    def due(read: Read) -> bool:
        if read.captured_ms >= earliest_ms:
            return False
        return not any(hold.holds(read, now_ms) for hold in holds())

    return due


def purge(
    store: ReadStore, photos: Photos, kept: Limits, now_ms: int, *, dry_run: bool
) -> PurgeReport:
    """Remove everything that is due and not held; with ``dry_run`` only count it.

    Raises:
        Refused: ``STORE_UNAVAILABLE``: what was purged until then stays purged, and the next
            purge goes on. ``STORE_CORRUPT``: all that can be read was purged.
        InputError: a part of the store could not be reached, and is named; elsewhere
            all is purged.
    """
    before, store = cuts(kept, now_ms), store.reached()
    found = store.due(before)
    report = PurgeReport(
        found.reads,
        found.photos,
        found.entries,
        found.hits,
        found.oldest_ms,
        found.newest_ms,
        found.letters,
        found.unreadable,
        found.left_out,
    )
    if dry_run:
        return report
    store.holds.expire(now_ms)
    _each(
        lambda: store.drop_segments(before, photos.unlink),
        # Hits first: a read whose hit is over is one that met nothing.
        lambda: store.delete_hits(before),
        lambda: _repeat(lambda: store.delete_photos(before, _BATCH, photos.unlink)),
        lambda: _repeat(lambda: store.delete_reads(before, _BATCH, photos.unlink)),
        lambda: store.hot_lists.delete_published(before.entries_ms),
        lambda: store.delete_dead(before.reads_ms),
        lambda: _unlink_orphans(store, photos, now_ms - DAY_MS),
        lambda: store.settle(now_ms),
    )
    return report


def _each(*steps: Callable[[], object]) -> None:
    """Take all steps; what one of them finds damaged is raised at the end."""
    damaged: list[Refused] = []
    for step in steps:
        try:
            step()
        except Refused as refused:
            if refused.code is not Code.STORE_CORRUPT:
                raise
            damaged.append(refused)
    if damaged:
        raise damaged[0]


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
