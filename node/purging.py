"""Purges that leave their entry in the audit log, and none while the clock is in doubt.

What goes is noted in the store before it goes, whoever purges, the serving node on
schedule or ``accord-node purge`` beside it; the serving node puts the note into the
audit log (:mod:`node.retention_records`). So a purge that is killed half-way is told
too, and the one that goes on after it tells the rest.
"""

import asyncio
import secrets

import structlog

from accord.agreements.retention import Limits
from accord.clock import iso
from accord.errors import InputError
from node.context import Context
from node.holds import DUE, Note
from node.leap import REMEDY, Leap, Stop, Tell
from node.photos import Photos
from node.retention import PurgeReport, purge
from node.store.base import ReadStore

log = structlog.get_logger()


def telling(store: ReadStore) -> Tell:
    """Return what notes a change of the clock's standing for the audit log."""
    return lambda decision, detail: store.holds.note(
        Note(secrets.token_hex(16), decision, "", detail)
    )


def in_words(report: PurgeReport) -> str:
    """Return counts, and from when to when the reads were captured."""
    counts = {"reads": report.reads, "photos": report.photos,
              "hot-list entries": report.entries, "hits": report.hits,
              "dead letters": report.letters}  # fmt: skip
    text = ", ".join(f"{count} {name}" for name, count in counts.items())
    if report.oldest is not None and report.newest is not None:
        text += f"; reads captured {iso(report.oldest)} to {iso(report.newest)}"
    if report.unreadable:
        text += f"; damaged files of reads, not counted: {report.unreadable}"
    if report.left_out:
        text += f"; not reached, and left for later: {', '.join(report.left_out)}"
    return text


def anything(report: PurgeReport) -> bool:
    """Tell whether a purge finds anything to do."""
    return any(
        (report.reads, report.photos, report.entries, report.hits, report.letters,
         report.unreadable)
    )  # fmt: skip


def purge_noted(
    store: ReadStore, photos: Photos, kept: Limits, now_ms: int, who: str
) -> PurgeReport:
    """Note what is due, then remove it; ``who`` says on whose word.

    What is left out although it was noted as due gets a note of its own.

    Raises:
        Refused, InputError: as :func:`node.retention.purge`.
    """
    found = purge(store, photos, kept, now_ms, dry_run=True)
    if anything(found):
        detail = f"{in_words(found)}; {who}"
        store.holds.note(Note(secrets.token_hex(16), DUE, "", detail))
    try:
        return purge(store, photos, kept, now_ms, dry_run=False)
    except InputError as left_out:
        if anything(found) and not found.left_out:
            detail = f"not all that was told: {left_out.where}; {who}"
            store.holds.note(Note(secrets.token_hex(16), DUE, "", detail))
        raise


def require_clock(stop: Stop | None) -> None:
    """Refuse to delete while the clock is in doubt.

    Raises:
        InputError: it is; says what a person has to do.
    """
    if stop is not None:
        raise InputError("clock", f"{stop}, so nothing is deleted", REMEDY)


class Purging:
    """The serving node's purge: on schedule, and by a clock that nobody doubts."""

    def __init__(self, context: Context, leap: Leap) -> None:
        self._context = context
        self._leap = leap
        self.last_ms = 0
        """When the last purge of this process ended, ms UTC; 0 for none."""
        self.stop: Stop | None = None
        """Why nothing is deleted, if so."""

    async def glance(self) -> None:
        """See whether the clock is in doubt, for a process that does not lead: none is told."""
        self.stop = await asyncio.to_thread(self._leap.peek, self._context.other_heads())

    async def look(self) -> None:
        """Look at the clock.

        Raises:
            InputError, Refused: what was seen can't be kept.
        """
        before = self._leap.stop
        store, heads = self._context.store, self._context.other_heads()
        stop = self.stop = await asyncio.to_thread(self._leap.look, telling(store), heads)
        if stop is not None and before is None:
            log.error("alert: nothing is deleted", why=str(stop), remedy=REMEDY)
        elif stop is None and before is not None:
            log.warning("what is due is deleted again", was=str(before))

    async def purge(self) -> None:
        """Purge what is due by our own policy (MOA IV) and the law, unless the clock is in doubt.

        Raises:
            InputError, Refused: as :meth:`look`, and as :func:`node.retention.purge`.
        """
        await self.look()
        kept, now_ms = self._context.kept(), self._context.clock.now_ms()
        if kept is None or self.stop is not None:
            return
        store, photos = self._context.store, self._context.photos
        report = await asyncio.to_thread(purge_noted, store, photos, kept, now_ms, "on schedule")
        self.last_ms = self._context.clock.now_ms()
        if anything(report):
            log.info("purged", what=in_words(report))
