"""An agreement's time as a picture needs it: periods, suspensions, numbered days. Pure.

Where the agreement has commenced, the days are those of
:mod:`accord.agreements.term` and :mod:`accord.agreements.calendar`. Of a text
that has not, no day can be computed: its periods are laid out from day 0, the
day of the last signature, whenever that will be.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum

from accord.agreements.calendar import events
from accord.agreements.effective import Agreement
from accord.agreements.effects import Narrowing, Stop
from accord.agreements.manifest import Manifest
from accord.agreements.reading import local_date
from accord.agreements.term import last_days, start_of
from accord.agreements.words import clauses

# Any first day will do: only the distances are shown.
_DAY_0 = date(2001, 1, 1)
_AHEAD_PERIODS = 1
# The names of the clauses that say something of days.
_TIMED = frozenset({"Term", "Early end", "Non-extension", "Disputes", "Interim decisions"})


class Span(Enum):
    """What a stretch of time is."""

    PERIOD = "period"
    STOPPED = "suspended"
    NARROWED = "suspended in part"
    PROHIBITED = "prohibited in part"


@dataclass(frozen=True, slots=True)
class Stretch:
    """One stretch, both days included. ``last`` None: it has no end that is known."""

    span: Span
    first: date
    last: date | None
    label: str
    section: str


@dataclass(frozen=True, slots=True)
class Day:
    """One day with its number in the picture, what happens, and by which section."""

    number: int
    day: date
    section: str
    text: str
    past: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """All of it. ``today`` None: not commenced, so days count from the last signature.

    ``rules`` says in words what is computed, or would be.
    """

    zone: str
    today: date | None
    stretches: tuple[Stretch, ...]
    days: tuple[Day, ...]
    rules: tuple[str, ...]

    @property
    def first(self) -> date:
        """The first day that the picture must hold."""
        starts = [one.first for one in self.stretches]
        return min([*starts, *self._moments])

    @property
    def last(self) -> date:
        """The last day that the picture must hold."""
        ends = [one.last or one.first for one in self.stretches]
        return max([*ends, *self._moments])

    @property
    def _moments(self) -> list[date]:
        return [*(one.day for one in self.days), *([self.today] if self.today else [])]


def timeline(agreement: Agreement, now_ms: int) -> Timeline:
    """Return the agreement's time as seen at ``now_ms`` (UTC ms)."""
    manifest, commences_ms = agreement.manifest, agreement.term.commences_ms
    zone = str(manifest.zone)
    if commences_ms is None:
        periods = tuple(_periods(manifest, start_of(_DAY_0, manifest.zone), None, None))
        return Timeline(zone, None, periods, (), tuple(_rules(manifest)))
    today = local_date(now_ms, manifest.zone)
    expires_ms = agreement.term.expires_ms
    end = None if expires_ms is None else local_date(expires_ms - 1, manifest.zone)
    stretches = (*_periods(manifest, commences_ms, end, today), *_limits(agreement))
    return Timeline(zone, today, stretches, _days(agreement, now_ms), tuple(_rules(manifest)))


def _periods(
    manifest: Manifest, commences_ms: int, end: date | None, today: date | None
) -> Iterator[Stretch]:
    """Yield the first term and its extensions; without an end, one more than holds today."""
    section, first = manifest.term.section, local_date(commences_ms, manifest.zone)
    ahead = _AHEAD_PERIODS
    for number, last in enumerate(last_days(manifest, commences_ms)):
        label = "first term" if number == 0 else f"extension {number}"
        if end is not None and last >= end:
            yield Stretch(Span.PERIOD, first, end, label, section)
            return
        yield Stretch(Span.PERIOD, first, last, label, section)
        first = last + timedelta(days=1)
        if "term.extension" in {one.key for one in manifest.undecided}:
            yield Stretch(Span.PERIOD, first, None, "extended? undecided", section)
            return
        if manifest.term.extensions is None and (today is None or last >= today):
            if not ahead:
                yield Stretch(Span.PERIOD, first, None, "and so on", section)
                return
            ahead -= 1


def _limits(agreement: Agreement) -> Iterator[Stretch]:
    """Yield what limits it, in whole or in part; one for all parties is told once."""
    effects, zone = agreement.effects, agreement.manifest.zone
    beside = [one for one in agreement.beside if one not in effects.stops]
    commences_ms = agreement.term.commences_ms or 0
    for one in dict.fromkeys(
        (span_of(one), max(one.since_ms, commences_ms), one.until_ms, limit_words(one), one.section)
        for one in (*effects.stops, *effects.narrowings, *beside)
    ):
        span, from_ms, until_ms, words, section = one
        if until_ms is not None and until_ms <= from_ms:
            continue
        last = None if until_ms is None else local_date(until_ms - 1, zone)
        yield Stretch(span, local_date(from_ms, zone), last, words, section)


def span_of(one: Stop | Narrowing) -> Span:
    """Return what a limit makes of the time in which it holds."""
    if isinstance(one, Stop):
        return Span.STOPPED
    return Span.PROHIBITED if one.prohibits else Span.NARROWED


def limit_words(one: Stop | Narrowing) -> str:
    """Return what is suspended or prohibited, unless it is everything, and by whom."""
    what = [] if isinstance(one, Stop) else [*sorted(one.purposes), *sorted(one.kinds)]
    what += ["export"] if isinstance(one, Narrowing) and one.no_export else []
    return f"{', '.join(what)}: {one.words}" if what else one.words


def _days(agreement: Agreement, now_ms: int) -> tuple[Day, ...]:
    """Return signatures, instruments and what lies ahead, numbered in order."""
    been = [(day, section, text, True) for _, day, section, text in sorted(_signed(agreement))]
    ahead = [(one.day, one.section, one.text, False) for one in events(agreement, now_ms)]
    found = sorted([*been, *ahead], key=lambda one: one[0])
    return tuple(Day(number, *one) for number, one in enumerate(found, 1))


def _signed(agreement: Agreement) -> Iterator[tuple[int, date, str, str]]:
    manifest = agreement.manifest
    last = max(agreement.counterparts, key=lambda part: part.signed_at_ms, default=None)
    for part in agreement.counterparts:
        day = local_date(part.signed_at_ms, manifest.zone)
        text = f"{part.party} signed ({part.signer}, {part.capacity})"
        if part is last and agreement.term.commences_ms is not None:
            text += ": the last signature, so the agreement commences"
        yield part.signed_at_ms, day, manifest.execution_section, text
    for one in agreement.instruments:
        day = local_date(one.signed_at_ms, manifest.zone)
        text = f"{one.party} signed its instrument {one.number}: {one.kind.value}"
        yield one.signed_at_ms, day, "", text


def _rules(manifest: Manifest) -> Iterator[str]:
    """Say how each day is computed, and what of it is undecided."""
    for clause in clauses(manifest):
        if clause.name in _TIMED:
            yield f"{clause.text} ({clause.section})"
