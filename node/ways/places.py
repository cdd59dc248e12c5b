"""A source's folder with its done/ and rejected/, held open while they are looked at.

Whoever may put files into the folder may also make done/ a link to anywhere, and
the node would remove and place files there with its own rights. So both are
opened without following a link, and what is in them is reached through the open
folder, never by a path. Where one is no folder, what should go there stays.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import structlog

log = structlog.get_logger()
HERE = ""
MOVED = ("done", "rejected")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class File(NamedTuple):
    """A name, and the place where it stands: :data:`HERE` or one of :data:`MOVED`."""

    place: str
    name: str


class Places:
    """The three folders; all but :meth:`opened` is for inside of it, and raises OSError."""

    def __init__(self, folder: Path, source: str, made: tuple[str, ...]) -> None:
        """``made`` are those of :data:`MOVED` that are made where they are missing."""
        self._folder = folder
        self._source = source
        self._made = made
        self._open: dict[str, int] = {}
        self._told: set[str] = set()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the folders open; one below that is none is told once.

        Raises:
            OSError: the folder itself can't be opened.
        """
        with ExitStack() as stack:
            self._hold(stack, HERE, os.open(self._folder, _FOLDER))
            for place in MOVED:
                try:
                    self._hold(stack, place, self._opened(place))
                except FileNotFoundError:
                    continue  # not needed
                except OSError as error:
                    self._tell(place, error)
                else:
                    self._told.discard(place)
            yield

    def _hold(self, stack: ExitStack, place: str, descriptor: int) -> None:
        stack.callback(os.close, descriptor)
        stack.callback(self._open.pop, place)
        self._open[place] = descriptor

    def _opened(self, place: str) -> int:
        here = self._open[HERE]
        try:
            return os.open(place, _FOLDER | os.O_NOFOLLOW, dir_fd=here)
        except FileNotFoundError:
            if place not in self._made:
                raise
        os.mkdir(place, mode=0o700, dir_fd=here)
        return os.open(place, _FOLDER | os.O_NOFOLLOW, dir_fd=here)

    def _tell(self, place: str, error: OSError) -> None:
        if place not in self._told:
            problem = f"{place}/ can't be used: what goes there stays ({error.strerror})"
            # The unit shows the system read only, but for the folders that it names.
            shut = error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)
            remedy = (
                "let the node's user write there, and name the folder in the unit's ReadWritePaths"
                if shut
                else f"remove what is called {place}; the node makes the folder"
            )
            log.warning(problem, source=self._source, remedy=remedy)
        self._told.add(place)

    def _of(self, place: str) -> int:
        if place not in self._open:
            raise NotADirectoryError(errno.ENOTDIR, f"{place}/ can't be used")
        return self._open[place]

    def files(self, place: str) -> Iterator[tuple[File, os.stat_result]]:
        """Yield the plain files of a place, none where the place can't be used."""
        if place not in self._open:
            return
        with os.scandir(self._open[place]) as entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # gone since it was listed
                if stat.S_ISREG(status.st_mode):
                    yield File(place, entry.name), status

    def status(self, file: File) -> os.stat_result:
        """Return what the name itself is, be it a link."""
        return os.stat(file.name, dir_fd=self._of(file.place), follow_symlinks=False)

    def open(self, file: File) -> BinaryIO:
        """Open a file for reading; a link is an error, and a pipe does not block."""
        return os.fdopen(os.open(file.name, _FILE, dir_fd=self._of(file.place)), "rb")

    def remove(self, file: File) -> None:
        """Remove a file."""
        os.unlink(file.name, dir_fd=self._of(file.place))

    def move(self, file: File, place: str, number: int) -> File:
        """Move a file, under a number behind its name if that is taken; return where it is.

        ``number`` should differ each time: the next ones are tried until one is free.
        """
        target, there = File(place, file.name), self._of(place)
        while target != file and self._is(target):
            target = File(place, f"{file.name}.{number}")
            number += 1
        os.rename(file.name, target.name, src_dir_fd=self._of(file.place), dst_dir_fd=there)
        return target

    def _is(self, file: File) -> bool:
        try:
            self.status(file)
        except FileNotFoundError:
            return False
        return True
