"""What a decision gives: how each field is redacted, how many rows, how far back.

These are the nouns that the manifest, the local policy, the decision and the
node's search share. Narrowing is the only operation: nothing here widens.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from accord.agreements.provisions import HotListRule, RateLimits
from accord.model import AreaBox


class CameraSharing(StrEnum):
    """How a camera's name is shared, widest first."""

    EXACT = "exact"
    PSEUDONYM = "pseudonym"
    NONE = "none"


class PhotoSharing(StrEnum):
    """How a photo is shared, widest first.

    ``MASKED`` covers the overlay bands in which cameras burn place and time.
    """

    SHARED = "shared"
    MASKED = "masked"
    NONE = "none"


_CAMERA_ORDER = list(CameraSharing)
_PHOTO_ORDER = list(PhotoSharing)


@dataclass(frozen=True, slots=True)
class Redaction:
    """How each field of a read is shared.

    ``time_step_ms`` is 1 for the exact time. ``place_within_m`` is 0 for the
    exact place, else the grid cell's edge in metres, or None: not shared.
    """

    time_step_ms: int = 1
    place_within_m: int | None = 0
    camera: CameraSharing = CameraSharing.EXACT
    vehicle: bool = True
    photo: PhotoSharing = PhotoSharing.SHARED
    confidence: bool = True

    def narrowed_by(self, other: "Redaction") -> "Redaction":
        """Return the stricter of the two, field by field."""
        place: int | None = None
        if self.place_within_m is not None and other.place_within_m is not None:
            place = max(self.place_within_m, other.place_within_m)
        camera = max(self.camera, other.camera, key=_CAMERA_ORDER.index)
        photo = max(self.photo, other.photo, key=_PHOTO_ORDER.index)
        step = max(self.time_step_ms, other.time_step_ms)
        return Redaction(
            step,
            place,
            camera,
            self.vehicle and other.vehicle,
            photo,
            self.confidence and other.confidence,
        )

    def without_leaks(self) -> "Redaction":
        """Return the same, with photos masked where they would show what is redacted.

        Cameras burn time, place and their own name into the picture, so a
        whole photo goes only where all three are shared exactly.
        """
        exact = (
            self.time_step_ms == 1
            and self.place_within_m == 0
            and self.camera is CameraSharing.EXACT
        )
        if self.photo is not PhotoSharing.SHARED or exact:
            return self
        return replace(self, photo=PhotoSharing.MASKED)


OPEN = Redaction()


@dataclass(frozen=True, slots=True)
class Withholding:
    """What the owner keeps back from others (MOA II.A): never told apart from nothing.

    Plates are normalised; areas are boxes; cases are the owner's case tags.
    Where ``within`` holds boxes, what was read outside all of them, or nobody
    knows where, is kept back too: an agreement's territory.
    """

    plates: frozenset[str] = frozenset()
    cameras: frozenset[str] = frozenset()
    areas: tuple[AreaBox, ...] = ()
    cases: frozenset[str] = frozenset()
    within: tuple[AreaBox, ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """What an allowed query may be given.

    ``earliest_ms`` is the look-back limit at the time of the decision;
    ``keep_days`` is how long the requester may keep what it receives, None
    where the agreement leaves it to the requester's own policy;
    ``keep_section`` is the section that says so. The days run from each read's
    capture where ``from_capture``, and not past ``keep_until_ms``. ``rates``
    are the agreement's own bounds. A query whose agreement ends while it is
    answered is dropped unless ``in_flight``. ``purposes`` are all that the pair
    may ask for at the moment: what a hot list holds for another is withheld. None
    for an agency's own officer, from whom nothing is.
    """

    redaction: Redaction
    max_rows: int
    earliest_ms: int
    withholding: Withholding
    keep_days: int | None
    keep_section: str
    from_capture: bool = False
    keep_until_ms: int | None = None
    hot_lists: HotListRule | None = None
    rates: RateLimits | None = None
    in_flight: bool = True
    purposes: frozenset[str] | None = None
