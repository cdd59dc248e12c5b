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


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row not taken. ``reason`` never repeats the plate."""

    row: int
    reason: str


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
    picture: bytes | None = None


@dataclass
class IngestReport:
    """Counts; ``seen`` is always the sum of the other four, ``hits`` are on hot lists."""

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
