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
from itertools import chain
from pathlib import Path

import structlog

from accord.errors import InputError
from node.ingest.dead import unreadable
from node.ways.config import FolderSource
from node.ways.intake import Intake

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
        self._seen: dict[Path, tuple[Stamp, float]] = {}
        # What was moved: where it is, as it was when it was taken, and when.
        self._moved: dict[Path, tuple[Stamp, float]] = {}
        self._swept = -_HOUR_S

    async def run(self) -> None:
        """See :class:`node.ways.running.Way`."""
        while True:
            await self._intake.run(self.look)
            self._intake.account.up = True
            await asyncio.sleep(EVERY_S)

    def look(self) -> None:
        """Remove what is due in ``done/`` and ``rejected/``; take every file that is whole by now.

        The oldest file first. One that fails is told, and tried again after a minute.

        Raises:
            InputError: the folder can't be read or written.
            Refused: the store can't be written.
            Stopped: the node stops.
        """
        if time.monotonic() - self._swept > _HOUR_S:
            # First, so that nothing that fails below keeps anything longer.
            self._sweep()
            self._swept = time.monotonic()
        try:
            whole = self._whole()
        except OSError as error:
            raise self._fails(error) from None
        for path, settled in whole:
            try:
                self._take(path, settled)
            except OSError as error:
                self._tell(error, settled)
                self._seen[path] = (settled, time.monotonic() + _AGAIN_S)

    def _fails(self, error: OSError) -> InputError:
        remedy = "see that the folder is there and the node may write it"
        # The file's own name may be a plate.
        return InputError(self._folder, f"fails ({error.strerror})", remedy)

    def _tell(self, error: OSError, stamp: Stamp) -> None:
        # By its inode a person finds the file: find FOLDER -inum INODE.
        log.warning(
            "file not taken", source=self._source.name, problem=error.strerror, inode=stamp[0]
        )

    def _whole(self) -> list[tuple[Path, Stamp]]:
        now = time.monotonic()
        found: dict[Path, tuple[Stamp, float]] = {}
        whole: list[tuple[bool, int, Path, Stamp]] = []
        for path, stamp in chain(self._there(), self._grown()):
            before = self._seen.get(path)
            since = before[1] if before and before[0] == stamp else now
            found[path] = (stamp, since)
            picture = _picture(path)
            settle_s = max(self._source.settle_s, _PICTURE_S if picture else 0)
            if now - since >= settle_s:
                whole.append((picture, stamp[2], path, stamp))
        self._seen = found
        return [(path, stamp) for *_, path, stamp in sorted(whole)]

    def _there(self) -> Iterator[tuple[Path, Stamp]]:
        with os.scandir(self._folder) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith(".") or name.lower().endswith(_UNFINISHED):
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # gone since it was listed
                if stat.S_ISREG(status.st_mode):
                    yield Path(entry.path), _stamp(status)

    def _grown(self) -> Iterator[tuple[Path, Stamp]]:
        """Yield what was written to since it was moved; forget what is gone, or long moved."""
        now = time.monotonic()
        for path, (taken, since) in list(self._moved.items()):
            try:
                status = path.lstat()
            except OSError:
                del self._moved[path]
                continue
            if stat.S_ISREG(status.st_mode) and _stamp(status) != taken:
                yield path, _stamp(status)
            elif now - since >= _WATCHED_S:
                del self._moved[path]

    def _take(self, path: Path, settled: Stamp) -> None:
        goes_to, problem = "done", ""
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if _stamp(os.fstat(descriptor)) != settled:
                return  # changed since the scan: once it is whole again
            try:
                if not _picture(path):
                    self._intake.stream(file)
            except InputError as error:
                goes_to, problem = "rejected", unreadable(error)
        if _stamp(path.lstat()) != settled:
            return  # written to, or another in its place: all of it again, once it is whole
        if problem:
            log.warning("file rejected", source=self._source.name, problem=problem)
        if path in self._moved:
            log.warning("file moved too early", source=self._source.name, inode=settled[0])
        self._move(path, goes_to, settled)

    def _move(self, path: Path, goes_to: str, taken: Stamp) -> None:
        self._moved.pop(path, None)
        if goes_to == "done" and self._source.taken == "remove":
            path.unlink()
            return
        folder = self._folder / goes_to
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise self._fails(error) from None
        target, number = folder / path.name, 0
        while target != path and target.exists():
            number += 1
            target = folder / f"{path.name}.{number}"
        path.rename(target)
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
        for name in ("done", "rejected"):
            folder = self._folder / name
            try:
                moved = list(folder.iterdir()) if folder.is_dir() else []
            except OSError as error:
                log.warning("folder not swept", source=self._source.name, problem=error.strerror)
                continue
            for path in moved:
                self._remove_old(path, now_ms - (photos_ms if _picture(path) else reads_ms))

    def _remove_old(self, path: Path, before_ms: int) -> None:
        try:
            status = path.lstat()
            # A move sets the time of the inode's change, and leaves that of its content.
            if status.st_ctime_ns // 1_000_000 < before_ms and not path.is_dir():
                path.unlink()
        except OSError as error:
            log.warning("old file not removed", source=self._source.name, problem=error.strerror)


def _stamp(status: os.stat_result) -> Stamp:
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def _picture(path: Path) -> bool:
    return _PICTURE.search(path.name) is not None
