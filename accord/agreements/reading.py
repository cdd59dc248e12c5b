"""What manifests and policies have in common: closed words, and errors that name the line.

time = "exact" | "minute" | "quarter-hour" | "hour" | "day"
place = "exact" | "none" | "500 m"
camera = "exact" | "pseudonym" | "none"
vehicle = "shared" | "none"
photo = "shared" | "masked" | "none"
confidence = "shared" | "none"
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, tzinfo
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from accord.agreements.terms import CameraSharing, PhotoSharing, Redaction
from accord.errors import InputError
from accord.model import COUNSEL_ONLY, PROHIBITED, AreaBox, Purpose, check_agency, is_agency
from accord.strict_toml import find_line

DAY_MS = 86_400_000

TIME_STEPS: dict[str, int] = {
    "exact": 1,
    "minute": 60_000,
    "quarter-hour": 900_000,
    "hour": 3_600_000,
    "day": DAY_MS,
}
"""How a time is rounded down, in milliseconds."""

HOT_LIST_TEXTS, NO_TEXT = ("list", "source", "category"), "nothing"
"""What an entry of a hot list says beside the plate, and the word for none of it."""

MIN_METRES, MAX_METRES = 10, 50_000

_METRES = re.compile(r"([1-9][0-9]{1,4}) m", re.ASCII)
_FINGERPRINT = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_STATE = re.compile(r"[A-Z]{2}", re.ASCII)
_ZONE = re.compile(r"UTC|[A-Z][A-Za-z_]+(?:/[A-Z][A-Za-z_+-]+){1,2}", re.ASCII)

Choice = TypeVar("Choice", bound=StrEnum)
Keys = Sequence[str]


def local_date(at_ms: int, zone: tzinfo) -> date:
    """Return the calendar date of a moment (UTC ms) in the zone."""
    return datetime.fromtimestamp(at_ms / 1000, zone).date()


class Source:
    """The text of one TOML file, to say where in it something is wrong.

    Where ``quiet``, no value that is wrong is repeated: a plate that is withheld may
    have come into any key, and errors are logged.
    """

    def __init__(self, text: str, where: object, *, quiet: bool = False) -> None:
        self._text = text
        self._where = where
        self._quiet = quiet

    def _said(self, value: str) -> str:
        return "what" if self._quiet else f"{value!r}, which"

    def error(self, keys: Keys, problem: str, remedy: str, value: str = "") -> InputError:
        """Return the one-line error for the key at ``keys``.

        ``value`` is the wrong text itself: in a list over several lines it
        tells which line is meant.
        """
        line = find_line(self._text, list(keys))
        if line and value:
            rest = self._text.split("\n")[line - 1 :]
            line += next((n for n, text in enumerate(rest) if f'"{value}"' in text), 0)
        at = f"{self._where}, line {line}" if line else self._where
        return InputError(at, f"{'.'.join(keys)} {problem}", remedy)

    def word(self, keys: Keys, value: str, allowed: Iterable[str], noun: str) -> str:
        """Return the value if it is one of the allowed words, letter by letter.

        Raises:
            InputError: with the nearest word, or all of them.
        """
        words = list(allowed)
        if value in words:
            return value
        near = difflib.get_close_matches(value.strip().casefold(), words, n=1)
        remedy = f'write "{near[0]}"' if near else "use one of " + ", ".join(words)
        raise self.error(keys, f"holds {self._said(value)} is not {noun}", remedy, value)

    def choice(self, keys: Keys, value: str, kind: type[Choice], noun: str) -> Choice:
        """Return the member of a closed list; raises as :meth:`word`."""
        return kind(self.word(keys, value, [member.value for member in kind], noun))

    def hot_list_texts(self, keys: Keys, values: Sequence[str]) -> frozenset[str]:
        """Return which texts of a hot list's entry are shared: none of them for ``nothing``.

        Raises:
            InputError: none at all, one that no entry has, one twice, or ``nothing`` among others.
        """
        self.unique(keys, values)
        if not values:
            raise self.error(keys, "is empty", f'write ["{NO_TEXT}"] for none of the texts')
        if list(values) == [NO_TEXT]:
            return frozenset()
        if NO_TEXT in values:
            problem = f"holds {NO_TEXT!r} and others too"
            raise self.error(keys, problem, "write it alone, or the others", NO_TEXT)
        for value in values:
            self.word(keys, value, HOT_LIST_TEXTS, "a text of an entry")
        return frozenset(values)

    def unique(self, keys: Keys, values: Sequence[str]) -> None:
        """Check that no value is there twice.

        Raises:
            InputError: naming the value.
        """
        for number, value in enumerate(values):
            if value in values[:number]:
                what = "a value" if self._quiet else repr(value)
                raise self.error(keys, f"holds {what} twice", "remove one of them", value)

    def agency(self, keys: Keys, value: str, noun: str = "an agency id") -> str:
        """Return a checked id: lower-case letters, digits and hyphens.

        Raises:
            InputError: with the id in lower case if that is all it takes.
        """
        try:
            return check_agency(value)
        except InputError as error:
            remedy = error.remedy
            if is_agency(value.lower()):
                lower = "" if self._quiet else f": write {value.lower()!r}"
                remedy = f"ids are in lower case{lower}"
            problem = f"holds {self._said(value)} is not {noun}"
            raise self.error(keys, problem, remedy, value) from None

    def state(self, keys: Keys, value: str) -> str:
        """Return a checked state.

        Raises:
            InputError: it is not two capital letters.
        """
        if not _STATE.fullmatch(value):
            remedy = 'write two capital letters, such as "CA"'
            raise self.error(keys, f"holds {value!r}", remedy, value)
        return value

    def fingerprint(self, keys: Keys, value: str, noun: str) -> str:
        """Return the 64 hex digits of a fingerprint such as ``sha256:<64 hex>``.

        Raises:
            InputError: it is not written so.
        """
        if not _FINGERPRINT.fullmatch(value):
            raise self.error(
                keys,
                f"is not the fingerprint {noun}",
                'write "sha256:" and 64 hex digits in lower case, as counsel reads them out',
            )
        return value.removeprefix("sha256:")

    def purposes(
        self, keys: Keys, values: Sequence[str], *, answered: bool = False
    ) -> frozenset[str]:
        """Return checked purposes; ``answered`` lets in those that counsel must answer for.

        Raises:
            InputError: an unknown one, one twice, or one that no agreement
                and no policy can allow; then the law is named.
        """
        self.unique(keys, values)
        allowed = [purpose.value for purpose in Purpose if purpose not in PROHIBITED]
        for value in values:
            if value in PROHIBITED:
                raise self.error(
                    keys,
                    f"holds {value!r}, which can never be allowed ({PROHIBITED[Purpose(value)]})",
                    "remove it",
                    value,
                )
            if value in COUNSEL_ONLY and not answered:
                raise self.error(
                    keys,
                    f"holds {value!r}, which is off until counsel of every party has answered",
                    "remove it, or where an agreement is to allow it write there "
                    'criminal_immigration = "allowed" too',
                    value,
                )
            self.word(keys, value, allowed, "a purpose that Accord knows")
        return frozenset(values)

    def zone(self, keys: Keys, value: str) -> tzinfo:
        """Return the time zone of an IANA name.

        Raises:
            InputError: there is no such zone.
        """
        try:
            if not _ZONE.fullmatch(value):
                raise ValueError
            return UTC if value == "UTC" else ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise self.error(
                keys,
                f"holds {self._said(value)} is not a time zone",
                'write one such as "America/Los_Angeles"',
            ) from None

    def time_step(self, keys: Keys, value: str) -> int:
        """Return the step in ms to which times are rounded down; raises as :meth:`word`."""
        return TIME_STEPS[self.word(keys, value, TIME_STEPS, "a way to share the time")]

    def place(self, keys: Keys, value: str) -> int | None:
        """Return metres (0 exact), or None where the place is not shared.

        Raises:
            InputError: neither ``exact``, ``none`` nor metres such as ``500 m``.
        """
        if value in ("exact", "none"):
            return 0 if value == "exact" else None
        metres = _METRES.fullmatch(value)
        if metres is None or not MIN_METRES <= int(metres[1]) <= MAX_METRES:
            raise self.error(
                keys,
                f"holds {self._said(value)} is not a way to share the place",
                f'write "exact", "none", or metres from {MIN_METRES} to {MAX_METRES}'
                ' such as "500 m"',
            )
        return int(metres[1])

    def box(self, keys: Keys, south: float, west: float, north: float, east: float) -> AreaBox:
        """Return the box of four edges in degrees, rounded to 10^-7 of one: a centimetre.

        Raises:
            InputError: nothing can lie in it.
        """
        if south >= north or west >= east:
            problem = "is empty: south must be less than north, west less than east"
            raise self.error(keys, problem, "swap them")
        found = AreaBox(*(round(edge * 10**7) for edge in (south, west, north, east)))
        if found.south_e7 == found.north_e7 or found.west_e7 == found.east_e7:
            problem = "is empty: two of its edges are less than 10^-7 degrees apart"
            raise self.error(keys, problem, "write the edges in full: 0.001 degrees are 100 metres")
        return found

    def redaction(
        self,
        section: Keys,
        *,
        time: str = "exact",
        place: str = "exact",
        camera: str = "exact",
        vehicle: str = "shared",
        photo: str = "shared",
        confidence: str = "shared",
    ) -> Redaction:
        """Return how fields are shared; raises as the single readers do."""
        vehicle = self.word([*section, "vehicle"], vehicle, ("shared", "none"), "shared or none")
        key = [*section, "confidence"]
        confidence = self.word(key, confidence, ("shared", "none"), "shared or none")
        return Redaction(
            time_step_ms=self.time_step([*section, "time"], time),
            place_within_m=self.place([*section, "place"], place),
            camera=self.choice(
                [*section, "camera"], camera, CameraSharing, "a way to share the camera"
            ),
            vehicle=vehicle == "shared",
            photo=self.choice([*section, "photo"], photo, PhotoSharing, "a way to share photos"),
            confidence=confidence == "shared",
        )
