"""When an agreement commences and expires: calendar years in its own time zone. Pure.

MOA V: the term commences on, and runs from, the date of the last signature.
Accord reads this as: in force from the moment of the last signature; the last
day in force is the anniversary of that date, or the day before it, as the
manifest says; it ends as that day ends in the agreement's zone. Of two
readings the shorter is taken: 29 February has its anniversary on 28 February
in a common year.

An extension commences the day after and ends on the same calendar day, so
many years later, counted from the first signature's date and not from the day
before: three years and an extension from 29 February 2024 are four years from
it. Each is automatic; a manifest says none, one, so many, or no end.
"""

from calendar import monthrange
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from itertools import count

from accord.agreements.counterparts import Counterpart
from accord.agreements.manifest import Ends, Manifest
from accord.agreements.reading import local_date
from accord.clock import to_ms


@dataclass(frozen=True, slots=True)
class Term:
    """The half-open term [commences_ms, expires_ms), UTC ms, extensions included.

    ``commences_ms`` is None while a party is missing or a question undecided:
    such an agreement never commenced. ``expires_ms`` is None then too, and
    where the term is extended again and again.
    """

    commences_ms: int | None
    expires_ms: int | None
    missing: tuple[str, ...]


def term_of(manifest: Manifest, counterparts: Iterable[Counterpart]) -> Term:
    """Return the term that the manifest and these verified counterparts give."""
    signed = {counterpart.party: counterpart.signed_at_ms for counterpart in counterparts}
    missing = tuple(party.id for party in manifest.parties if party.id not in signed)
    if missing or manifest.undecided:
        return Term(None, None, missing)
    commences_ms = max(signed[party.id] for party in manifest.parties)
    extensions = manifest.term.extensions
    if extensions is None:
        return Term(commences_ms, None, ())
    return Term(commences_ms, _end_of(manifest, commences_ms, extensions), ())


def period_end(manifest: Manifest, term: Term, at_ms: int) -> int | None:
    """Return when the period ends that holds ``at_ms``, first term or extension, UTC ms.

    None for an agreement that never commenced, and past its last period.
    """
    if term.commences_ms is None or (term.expires_ms is not None and at_ms >= term.expires_ms):
        return None
    extensions = 0
    while (end_ms := _end_of(manifest, term.commences_ms, extensions)) <= at_ms:
        extensions += 1
    return end_ms


def last_days(manifest: Manifest, commences_ms: int) -> Iterator[date]:
    """Yield the last day of the first term and of each extension; without end if it repeats."""
    for extensions in count():
        if manifest.term.extensions is not None and extensions > manifest.term.extensions:
            return
        end_ms = _end_of(manifest, commences_ms, extensions)
        yield local_date(end_ms - 1, manifest.zone)


def _end_of(manifest: Manifest, commences_ms: int, extensions: int) -> int:
    """Return when the term with so many extensions is over, UTC ms."""
    rule = manifest.term
    years = rule.length_years + extensions * rule.extension_years
    last_day = anniversary(local_date(commences_ms, manifest.zone), years)
    if rule.ends is Ends.DAY_BEFORE:
        last_day -= timedelta(days=1)
    return start_of(last_day + timedelta(days=1), manifest.zone)


def anniversary(start: date, years: int) -> date:
    """Return the same calendar day ``years`` later; 29 February becomes 28 February."""
    try:
        return start.replace(year=start.year + years)
    except ValueError:
        return start.replace(year=start.year + years, day=28)


def most_days(years: int) -> int:
    """Return how many days so many years have at most, whatever day they begin."""
    return 365 * years + (years + 3) // 4


def months_after(start: date, months: int) -> date:
    """Return the same day so many months later, or the month's last where there is none."""
    years, month = divmod(start.month - 1 + months, 12)
    year = start.year + years
    return date(year, month + 1, min(start.day, monthrange(year, month + 1)[1]))


def start_of(day: date, zone: tzinfo) -> int:
    """Return the first moment of a day in the zone, UTC ms.

    Where clocks skip midnight, that is the moment at which they skip.
    """
    return to_ms(datetime.combine(day, time(), zone))
