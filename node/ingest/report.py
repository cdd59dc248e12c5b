"""The account of an ingest: every row of the input is taken or has a reason."""

import csv
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from accord.errors import InputError
from accord.model import Read

# Longest names of cameras, and words on a vehicle: who receives an answer takes
# none with a text over 500 characters (docs/protocol.md).
MAX_CAMERA = 100
MAX_LOOK = 60
MAX_CONTENT = 64 << 10


class NotTaken(Exception):
    """A record that can't be taken; its text is the reason and holds no plate."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row not taken. ``reason`` never repeats the plate.

    ``content`` is the record as it came, at most :data:`MAX_CONTENT` bytes, and
    a document of its format by itself wherever that can be: given to the same
    format again it is taken, once the reason is mended. Pictures are left out
    of it. It holds the plate, so it is not in ``repr`` and belongs in no log.
    What is longer, or came as :class:`Start`, is ``cut``, and never parsed again:
    its last field may be the start of a plate.
    """

    row: int
    reason: str
    content: bytes = field(default=b"", repr=False)
    cut: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "cut", self.cut or len(self.content) > MAX_CONTENT)
        object.__setattr__(self, "content", self.content[:MAX_CONTENT])


@dataclass(frozen=True, slots=True)
class Start:
    """A record's content of which some is left out that nobody can tell to be a picture."""

    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Passed:
    """A record that is no read, such as a preview or a heartbeat."""

    row: int
    what: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A read, where it stood, what is worth noting, and its picture if it came along."""

    row: int
    read: Read
    notes: tuple[str, ...] = ()
    picture: bytes | None = field(default=None, repr=False)


Record = Parsed | Rejected | Passed
"""What a format makes of one record of its input."""


@dataclass
class IngestReport:
    """Counts; ``seen`` is always the sum of the other four, ``hits`` are on hot lists.

    ``rejected`` holds no content: a long file of bad rows would fill the memory.
    """

    taken: int = 0
    duplicates: int = 0
    passed: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    rejected: list[Rejected] = field(default_factory=list)
    hits: int = 0

    @property
    def seen(self) -> int:
        """Rows of the input."""
        return self.taken + self.duplicates + len(self.rejected) + self.passed.total()

    def add(self, other: "IngestReport") -> None:
        """Count another account's records in this one."""
        self.taken += other.taken
        self.duplicates += other.duplicates
        self.passed.update(other.passed)
        self.notes.update(other.notes)
        self.rejected += other.rejected

    def write_rejected(self, path: Path) -> None:
        """Write row and reason of what was not taken to a new file, mode 0600.

        Raises:
            InputError: the file exists or can't be made.
        """
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            problem = f"can't be written ({error.strerror})"
            raise InputError(path, problem, "name a new file") from None
        with os.fdopen(descriptor, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("row", "reason"))
            writer.writerows((entry.row, entry.reason) for entry in self.rejected)
