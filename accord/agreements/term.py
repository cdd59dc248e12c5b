"""When an agreement commences and expires: calendar years in its own time zone. Pure.

MOA V: the term commences on, and runs from, the date of the last signature.
Accord reads this as: in force from the moment of the last signature; the last
day in force is the anniversary of that date, or the day before it, as the
manifest says; it ends as that day ends in the agreement's zone. Of two
readings the shorter is taken: 29 February has its anniversary on 28 February
in a common year.

There is no extension yet: a manifest can only say ``extension = "none"``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from accord.agreements.counterparts import Counterpart
from accord.agreements.manifest import Ends, Manifest
from accord.agreements.reading import local_date
from accord.clock import to_ms


@dataclass(frozen=True, slots=True)
class Term:
    """The half-open term [commences_ms, expires_ms), UTC ms.

    Both are None while a party is missing: such an agreement never commenced.
    """

    commences_ms: int | None
    expires_ms: int | None
    missing: tuple[str, ...]


def term_of(manifest: Manifest, counterparts: Iterable[Counterpart]) -> Term:
    """Return the term that the manifest and these verified counterparts give."""
    signed = {counterpart.party: counterpart.signed_at_ms for counterpart in counterparts}
    missing = tuple(party.id for party in manifest.parties if party.id not in signed)
    if missing:
        return Term(None, None, missing)
    commences_ms = max(signed[party.id] for party in manifest.parties)
    last_day = anniversary(local_date(commences_ms, manifest.zone), manifest.term.length_years)
    if manifest.term.ends is Ends.DAY_BEFORE:
        last_day -= timedelta(days=1)
    return Term(commences_ms, start_of(last_day + timedelta(days=1), manifest.zone), ())


def anniversary(start: date, years: int) -> date:
    """Return the same calendar day ``years`` later; 29 February becomes 28 February."""
    try:
        return start.replace(year=start.year + years)
    except ValueError:
        return start.replace(year=start.year + years, day=28)


def start_of(day: date, zone: tzinfo) -> int:
    """Return the first moment of a day in the zone, UTC ms.

    Where clocks skip midnight, that is the moment at which they skip.
    """
    return to_ms(datetime.combine(day, time(), zone))
