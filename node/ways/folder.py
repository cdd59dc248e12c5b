"""A folder that files are put into: each is taken when it is whole, then moved or removed.

A file is whole when size and time of change stay as they are for ``settle_s``
seconds; a sender that renames its files in needs none (``settle_s = 0``).
Names that start with a dot or end in ``.part`` or ``.tmp`` are passed over. A
file goes to ``done/``, one that is no document to ``rejected/``; both hold
plates, and files go from there when the policy's days for reads are over. Only
then is it moved that its reads are on the disk: after a crash it is taken
again, and its reads are known already.
"""

import asyncio
import os
import stat
import time
from pathlib import Path

import structlog

from accord.errors import InputError
from node.ingest.dead import unreadable
from node.ways.config import FolderSource
from node.ways.intake import Intake

log = structlog.get_logger()
EVERY_S = 1.0
_HOUR_S = 3600.0
_UNFINISHED = (".part", ".tmp", ".filepart", ".crdownload")
Stamp = tuple[int, int, int]


class FolderWay:
    """Looks at one folder every second. No link is followed, no folder below entered."""

    def __init__(self, intake: Intake, source: FolderSource, base: Path) -> None:
        self._intake = intake
        self._source = source
        self._folder = base / source.folder
        self._seen: dict[str, tuple[Stamp, float]] = {}
        self._swept = -_HOUR_S

    async def run(self) -> None:
        """See :class:`node.ways.running.Way`."""
        while True:
            await self._intake.run(self.look)
            self._intake.account.up = True
            await asyncio.sleep(EVERY_S)

    def look(self) -> None:
        """Take every file that is whole by now, the oldest first.

        Raises:
            InputError: the folder can't be read or written.
            Refused: the store can't be written.
            Stopped: the node stops.
        """
        try:
            for path in self._whole():
                self._take(path)
            if time.monotonic() - self._swept > _HOUR_S:
                self._sweep()
                self._swept = time.monotonic()
        except OSError as error:
            remedy = "see that the folder is there and the node may write it"
            # The file's own name may be a plate.
            raise InputError(self._folder, f"fails ({error.strerror})", remedy) from None

    def _whole(self) -> list[Path]:
        now, found = time.monotonic(), {}
        whole: list[tuple[int, Path]] = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith(".") or name.lower().endswith(_UNFINISHED):
                    continue
                status = entry.stat(follow_symlinks=False)
                if not stat.S_ISREG(status.st_mode):
                    continue
                stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
                before = self._seen.get(name)
                since = before[1] if before and before[0] == stamp else now
                found[name] = (stamp, since)
                if now - since >= self._source.settle_s:
                    whole.append((status.st_mtime_ns, Path(entry.path)))
        self._seen = found
        return [path for _, path in sorted(whole)]

    def _take(self, path: Path) -> None:
        goes_to = "done"
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            before = _stamp(file.fileno())
            try:
                self._intake.stream(file)
            except InputError as error:
                goes_to = "rejected"
                log.warning("file rejected", source=self._source.name, problem=unreadable(error))
            if _stamp(file.fileno()) != before:
                return  # still written to: all of it again, once it is whole
        if goes_to == "done" and self._source.taken == "remove":
            path.unlink()
            return
        folder = self._folder / goes_to
        folder.mkdir(mode=0o700, exist_ok=True)
        target, number = folder / path.name, 0
        while target.exists():
            number += 1
            target = folder / f"{path.name}.{number}"
        path.rename(target)

    def _sweep(self) -> None:
        """Remove what was moved as long ago as reads that met nothing are kept."""
        kept = self._intake.kept()
        if kept is None:
            return
        before_ms = self._intake.clock.now_ms() - kept.reads.keep_ms
        for name in ("done", "rejected"):
            if not (self._folder / name).is_dir():
                continue
            for path in (self._folder / name).iterdir():
                # A move sets the time of the inode's change, and leaves that of its content.
                if path.lstat().st_ctime_ns // 1_000_000 < before_ms and not path.is_dir():
                    path.unlink()


def _stamp(descriptor: int) -> Stamp:
    status = os.fstat(descriptor)
    return (status.st_ino, status.st_size, status.st_mtime_ns)
