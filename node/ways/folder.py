"""A folder that files are put into: each is taken when it is whole, then moved or removed.

A file is whole when size and time of change stay as they are for ``settle_s``
seconds; a sender that renames its files in needs none (``settle_s = 0``).
Names that start with a dot or end in ``.part`` or ``.tmp`` are passed over. A
file goes to ``done/``, one that is no document to ``rejected/``; both hold
plates, and files go from there when the policy's days for reads are over. Only
then is it moved that its reads are on the disk: after a crash it is taken
again, and its reads are known already.

Pictures, by their names, are not read: the file that names one may come later.
They go an hour after they last changed, and after the files of the same look.

A sender may pause longer than ``settle_s``: what was moved is looked at for an
hour, the last 1,000 files, and taken again where it grew.
"""

import asyncio
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import structlog

from accord.errors import InputError
from node.ingest.dead import unreadable
from node.ingest.formats import ReadFailed
from node.ways.config import FolderSource
from node.ways.intake import Intake, NoRoom
from node.ways.places import HERE, MOVED, File, Places

log = structlog.get_logger()
EVERY_S = 1.0
_HOUR_S = 3600.0
_AGAIN_S = 60.0
_PICTURE_S = 3600.0
_WATCHED_S = 3600.0
_WATCHED = 1000
# Also as it is called in done/, where the name was taken.
_PICTURE = re.compile(r"\.(jpe?g|png)(\.\d+)?\Z", re.IGNORECASE)
_UNFINISHED = (".part", ".tmp", ".filepart", ".crdownload")
Stamp = tuple[int, int, int]


class FolderWay:
    """Looks at one folder every second. No link is followed, no folder below entered."""

    def __init__(self, intake: Intake, source: FolderSource, base: Path) -> None:
        self._intake = intake
        self._source = source
        self._folder = base / source.folder
        made = MOVED if source.taken == "move" else ("rejected",)
        self._places = Places(self._folder, source.name, made)
        self._seen: dict[File, tuple[Stamp, float]] = {}
        # What was moved: where it is, as it was when it was taken, and when.
        self._moved: dict[File, tuple[Stamp, float]] = {}
        self._swept = -_HOUR_S

    async def run(self) -> None:
        """See :class:`node.ways.running.Way`."""
        while True:
            await self._intake.run(self.look)
            self._intake.account.up = True
            await asyncio.sleep(EVERY_S)

    def look(self) -> None:
        """Remove what is due in ``done/`` and ``rejected/``; take every file that is whole by now.

        The oldest file first. One that fails, or needs a dead letter where there is no
        room, is told and tried again after a minute; the others go on.

        Raises:
            InputError: the folder can't be read.
            Refused: the store can't be written.
            Stopped: the node stops.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(self._places.opened())
                if time.monotonic() - self._swept > _HOUR_S:
                    # First, so that nothing that fails below keeps anything longer.
                    self._sweep()
                    self._swept = time.monotonic()
                whole = self._whole()
            except OSError as error:
                remedy = "see that the folder is there and the node may write it"
                # The file's own name may be a plate.
                raise InputError(self._folder, f"fails ({error.strerror})", remedy) from None
            for file, settled in whole:
                try:
                    self._take(file, settled)
                except NoRoom:
                    self._wait(file, settled)  # told by the intake, once for all
                except ReadFailed as error:
                    self._tell(unreadable(error), settled)
                    self._wait(file, settled)
                except OSError as error:
                    self._tell(str(error.strerror), settled)
                    self._wait(file, settled)

    def _wait(self, file: File, settled: Stamp) -> None:
        self._seen[file] = (settled, time.monotonic() + _AGAIN_S)

    def _tell(self, problem: str, stamp: Stamp) -> None:
        # By its inode a person finds the file: find FOLDER -inum INODE.
        log.warning("file not taken", source=self._source.name, problem=problem, inode=stamp[0])

    def _whole(self) -> list[tuple[File, Stamp]]:
        now = time.monotonic()
        found: dict[File, tuple[Stamp, float]] = {}
        whole: list[tuple[bool, int, File, Stamp]] = []
        for file, stamp in chain(self._there(), self._grown()):
            before = self._seen.get(file)
            since = before[1] if before and before[0] == stamp else now
            found[file] = (stamp, since)
            picture = _picture(file)
            settle_s = max(self._source.settle_s, _PICTURE_S if picture else 0)
            if now - since >= settle_s:
                whole.append((picture, stamp[2], file, stamp))
        self._seen = found
        return [(file, stamp) for *_, file, stamp in sorted(whole)]

    def _there(self) -> Iterator[tuple[File, Stamp]]:
        for file, status in self._places.files(HERE):
            name = file.name
            if not (name.startswith(".") or name.lower().endswith(_UNFINISHED) or name in MOVED):
                yield file, _stamp(status)

    def _grown(self) -> Iterator[tuple[File, Stamp]]:
        """Yield what was written to since it was moved; forget what is gone, or long moved."""
        now = time.monotonic()
        for file, (taken, since) in list(self._moved.items()):
            try:
                status = self._places.status(file)
            except OSError:
                del self._moved[file]
                continue
            if stat.S_ISREG(status.st_mode) and _stamp(status) != taken:
                yield file, _stamp(status)
            elif now - since >= _WATCHED_S:
                del self._moved[file]

    def _take(self, file: File, settled: Stamp) -> None:
        goes_to, problem = "done", ""
        with self._places.open(file) as stream:
            if _stamp(os.fstat(stream.fileno())) != settled:
                return  # changed since the scan: once it is whole again
            try:
                if not _picture(file):
                    self._intake.stream(stream)
            except ReadFailed:
                raise
            except InputError as error:
                goes_to, problem = "rejected", unreadable(error)
        if _stamp(self._places.status(file)) != settled:
            return  # written to, or another in its place: all of it again, once it is whole
        if problem:
            log.warning("file rejected", source=self._source.name, problem=problem)
        if file in self._moved:
            log.warning("file moved too early", source=self._source.name, inode=settled[0])
        self._move(file, goes_to, settled)

    def _move(self, file: File, goes_to: str, taken: Stamp) -> None:
        self._moved.pop(file, None)
        if goes_to == "done" and self._source.taken == "remove":
            self._places.remove(file)
            return
        # Not 1, 2, 3: with one name for all files each would look at all before it.
        target = self._places.move(file, goes_to, self._intake.clock.now_ms())
        self._moved[target] = (taken, time.monotonic())
        while len(self._moved) > _WATCHED:
            del self._moved[next(iter(self._moved))]

    def _sweep(self) -> None:
        """Remove what was moved as long ago as reads that met nothing, or photos, are kept."""
        kept = self._intake.kept()
        if kept is None or not self._intake.may_delete():
            return
        now_ms, reads_ms = self._intake.clock.now_ms(), kept.reads.keep_ms
        photos_ms = min(reads_ms, kept.photos.keep_ms)
        for place in MOVED:
            try:
                moved = list(self._places.files(place))
            except OSError as error:
                log.warning("folder not swept", source=self._source.name, problem=error.strerror)
                continue
            for file, status in moved:
                keep_ms = photos_ms if _picture(file) else reads_ms
                # A move sets the time of the inode's change, and leaves that of its content.
                if status.st_ctime_ns // 1_000_000 < now_ms - keep_ms:
                    self._remove_old(file)

    def _remove_old(self, file: File) -> None:
        try:
            self._places.remove(file)
        except OSError as error:
            log.warning("old file not removed", source=self._source.name, problem=error.strerror)


def _stamp(status: os.stat_result) -> Stamp:
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def _picture(file: File) -> bool:
    return _PICTURE.search(file.name) is not None
