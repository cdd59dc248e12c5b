"""A timeline laid out as a picture: where each bar, tick and number stands. Pure.

Lengths are the picture's own units, of which it is 760 wide; ``timeline.html``
draws what is said here as SVG. It needs neither colour nor a script: periods
are plain bars, what is suspended is hatched, and numbers refer to the list
that stands beneath the picture.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from accord.agreements.timeline import Day, Span, Stretch, Timeline

WIDTH = 760.0
_LEFT, _RIGHT = 14.0, 30.0
_AXIS, _BARS, _BAR, _THIN = 34.0, 46.0, 40.0, 13.0
_CHARACTER = 6.4  # of the picture's text, a little more than it is
_DOT = 9.0
_GAP = 2 * _DOT + 3
_MAX_CAPTION = 105
_YEAR = 365.25


@dataclass(frozen=True, slots=True)
class Box:
    """One bar. ``open`` draws an arrow where it has no end; ``lines`` stand inside."""

    x: float
    y: float
    width: float
    height: float
    span: Span
    open: bool
    lines: tuple[str, ...]
    caption: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A line down from the axis, with its label."""

    x: float
    label: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class Dot:
    """The number of a day; ``past`` is drawn filled."""

    x: float
    y: float
    number: int
    past: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """All of it. ``bottom`` is where the bars end; ``today`` is None for a draft."""

    height: float
    bottom: float
    ticks: tuple[Tick, ...]
    boxes: tuple[Box, ...]
    dots: tuple[Dot, ...]
    today: Tick | None
    description: str
    width: float = WIDTH


class _Scale:
    """Days to the right places."""

    def __init__(self, first: date, last: date, *, pad: float) -> None:
        self.first = first
        self.days = max((last - first).days + 1, 30) * (1 + pad)

    def x(self, day: date) -> float:
        """Return where a day begins."""
        share = (day - self.first).days / self.days
        return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)

    @property
    def end(self) -> float:
        """Where the picture's time ends."""
        return WIDTH - _RIGHT


def picture(line: Timeline) -> Picture:
    """Return the layout of a timeline."""
    some_open = any(one.last is None for one in line.stretches)
    pad = 0.02 if not some_open else 0.12 if line.today else 0.3
    scale = _Scale(line.first, line.last, pad=pad)
    boxes, y = [], _BARS
    for one in line.stretches:
        if one.span is Span.PERIOD:
            boxes.append(_box(scale, one, y, _BAR, dated=line.today is not None))
    y += _BAR
    for one in line.stretches:
        if one.span is not Span.PERIOD:
            boxes.append(_box(scale, one, y + 20, _THIN, dated=True))
            y += 20 + _THIN
    dots, lanes = _dots(scale, line.days, y + 12 + _DOT)
    today = None
    if line.today is not None:
        x = scale.x(line.today)
        label = f"today, {line.today}"
        today = Tick(x, label, _anchor(x, label))
    return Picture(
        height=y + 12 + lanes * _GAP + 6,
        bottom=y,
        ticks=tuple(_ticks(line, scale)),
        boxes=tuple(boxes),
        dots=dots,
        today=today,
        description=_described(line),
    )


def _box(scale: _Scale, one: Stretch, y: float, height: float, *, dated: bool) -> Box:
    left = scale.x(one.first)
    right = scale.end if one.last is None else scale.x(one.last + timedelta(days=1))
    width = max(round(right - left, 1), 2.0)
    if one.span is Span.PERIOD:
        ends = [f"to {one.last}"] if dated and one.last is not None else []
        lines = [text for text in (one.label, *ends) if len(text) * _CHARACTER < width]
        # A date alone would not say what it is of.
        lines = lines if lines[:1] == [one.label] else []
        return Box(left, y, width, height, one.span, one.last is None, tuple(lines), "")
    words = f"{one.span.value}: {one.label} ({one.section})"
    if len(words) > _MAX_CAPTION:
        words = f"{words[: _MAX_CAPTION - 1]}\N{HORIZONTAL ELLIPSIS}"
    return Box(left, y, width, height, one.span, one.last is None, (), words)


def _dots(scale: _Scale, days: Iterable[Day], y: float) -> tuple[tuple[Dot, ...], int]:
    """Return the numbers, one below the other where they would touch; and how many lanes."""
    ends: list[float] = []
    found = []
    for one in days:
        x = scale.x(one.day)
        lane = next((n for n, end in enumerate(ends) if end <= x), len(ends))
        ends[lane : lane + 1] = [x + _GAP]
        found.append(Dot(x, round(y + lane * _GAP, 1), one.number, one.past))
    return tuple(found), len(ends)


def _anchor(x: float, label: str) -> str:
    half = len(label) * _CHARACTER / 2
    if x - half < 0:
        return "start"
    return "end" if x + half > WIDTH else "middle"


def _ticks(line: Timeline, scale: _Scale) -> Iterator[Tick]:
    """Yield years, or months where there are few; years from the last signature for a draft."""
    years = scale.days / _YEAR
    step = max(1, round(years / 10 + 0.49))
    last = scale.first + timedelta(days=int(scale.days))
    if line.today is None:
        yield Tick(scale.x(scale.first), "last signature", "start")
        for number in range(step, int(years) + 1, step):
            # 29 February has no anniversary in most years.
            first = min(scale.first.day, 28) if scale.first.month == 2 else scale.first.day
            day = scale.first.replace(year=scale.first.year + number, day=first)
            yield Tick(scale.x(day), f"+{number} year{'s' * (number > 1)}")
        return
    months = 12 * step if years > 2 else 3 if years > 0.6 else 1
    year, month = scale.first.year, 1
    while (day := date(year, month, 1)) <= last:
        if day >= scale.first and scale.x(day) < scale.end - 12:
            label = f"{year}" if months >= 12 else f"{year}-{month:02}"
            yield Tick(scale.x(day), label, _anchor(scale.x(day), label))
        year, month = year + (month + months - 1) // 12, (month + months - 1) % 12 + 1


def _described(line: Timeline) -> str:
    """Return what the picture shows, for those who do not see it."""
    said = []
    for one in line.stretches:
        if line.today is None:
            days = (one.last - one.first).days + 1 if one.last else 0
            ends = f"about {round(days / _YEAR, 1):g} years" if days else "without an end"
            said.append(f"{one.label}, {ends}")
        else:
            ends = f"to {one.last}" if one.last else "with no end that is known"
            what = "" if one.span is Span.PERIOD else f"{one.span.value}: "
            said.append(f"{what}{one.label}, from {one.first} {ends}")
    if line.today is None:
        return f"From the last signature on: {'; '.join(said)}."
    said += [f"{day.number}: {day.day}, {day.text}" for day in line.days]
    return f"Today is {line.today}. {'; '.join(said)}."
