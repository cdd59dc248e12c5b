"""Legal holds: what a case needs is kept past its date, and shown to nobody meanwhile.

A hold names its case and the authority for it (a court's order, a preservation
request by statute), who placed it, one plate, camera or area, a window of
captures, and its own end. What it holds is not purged: reads with their photos
and hits, those too that arrive later. Retention goes on hiding them from their
date on, from every query. A hold that is released or over is expunged, and what
it held goes with the next purge.

A note tells the audit log what was done, by a serving node, for a log has one
writer; it names no plate, since the log outlives the hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from accord.model import AreaBox, Read


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold. Times are UTC ms; ``to_ms`` and ``until_ms`` are the first moments after it.

    One of ``plate`` (of any state), ``camera`` and ``area`` is given.
    """

    hold_id: str
    case: str
    authority: str
    by: str
    from_ms: int
    to_ms: int
    placed_ms: int
    until_ms: int
    plate: str = field(default="", repr=False)
    camera: str = ""
    area: AreaBox | None = None

    def __post_init__(self) -> None:
        """Check that it holds one thing.

        Raises:
            ValueError: none or several; a mistake in our own code.
        """
        if bool(self.plate) + bool(self.camera) + (self.area is not None) != 1:
            raise ValueError("a hold is of one plate, camera or area")

    @property
    def of(self) -> str:
        """What kind of thing it holds: a plate is not named."""
        return "plate" if self.plate else "camera" if self.camera else "area"

    def holds(self, read: Read, now_ms: int) -> bool:
        """Tell whether it holds a read at a moment."""
        if now_ms >= self.until_ms or not self.from_ms <= read.captured_ms < self.to_ms:
            return False
        if self.area is not None:
            lat, lon, box = read.lat_e7, read.lon_e7, self.area
            return (
                lat is not None
                and lon is not None
                and box.south_e7 <= lat <= box.north_e7
                and box.west_e7 <= lon <= box.east_e7
            )
        return read.plate == self.plate if self.plate else read.camera == self.camera


DUE = "due"
"""The decision of a note that tells what a purge is about to remove."""


class Note(NamedTuple):
    """What the audit log is to be told, once; ``note_id`` is random hex."""

    note_id: str
    decision: str
    case: str
    detail: str


class HoldStore(Protocol):
    """Holds and notes of one agency; errors as :class:`node.store.base.ReadStore`."""

    def place(self, hold: Hold, note: Note) -> int:
        """Place a hold; return how many reads it holds now."""

    def all(self) -> tuple[Hold, ...]:
        """Return the holds that were not expunged, the oldest first."""

    def release(self, hold_id: str, note: Note) -> None:
        """Expunge a hold; one that is not there is nothing."""

    def expire(self, now_ms: int) -> int:
        """Expunge the holds that are over, with a note each; return how many."""

    def note(self, note: Note) -> None:
        """Keep a note until it is recorded."""

    def notes(self) -> Sequence[Note]:
        """Return the notes that are not recorded yet, the oldest first."""

    def forget(self, note_id: str) -> None:
        """Remove a note that is recorded."""
