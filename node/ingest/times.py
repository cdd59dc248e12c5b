"""Times as sources write them, to UTC ms.

A local time takes the zone of its camera, mapping or site, and without one it
is no time: nothing is guessed. An hour that comes twice at the end of summer
time is taken as its first pass and noted; one that the clocks skipped is no
time. All times are between 2000 and 2100.
"""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from accord.clock import to_ms
from node.ingest.report import NotTaken
from node.ingest.settings import Settings

REPEATED = "a repeated hour, taken as its first pass"
_EARLIEST_MS, _LATEST_MS = 946_684_800_000, 4_102_444_800_000
_WITH_TIME = re.compile(r"[Tt ]\d")
_NUMBER = re.compile(r"[+-]?\d{1,20}(?:\.\d{0,20})?", re.ASCII)


def epoch_ms(value: object, per_second: int = 1000) -> int:
    """Return UTC ms for a count since 1970 of which ``per_second`` are a second.

    Raises:
        NotTaken: it is no number, or not between 2000 and 2100.
    """
    text = str(value).strip() if not isinstance(value, bool) else ""
    if not _NUMBER.fullmatch(text):
        raise NotTaken("no time, or not a number")
    # By digits: a float of nanoseconds would lose some.
    whole, _, part = text.partition(".")
    part = (part + "000")[:3]
    count = int(whole) * 1000 + (-int(part) if whole.startswith("-") else int(part))
    return _bounded(count // per_second)


def local_ms(moment: datetime, zone: ZoneInfo | None, notes: list[str]) -> int:
    """Return UTC ms; a time without an offset is of ``zone``.

    Raises:
        NotTaken: no zone to take it by, a time that the clocks skipped, or not
            between 2000 and 2100.
    """
    try:
        if moment.tzinfo is None:
            if zone is None:
                raise NotTaken("the time has no zone, and none is configured")
            local = moment.replace(tzinfo=zone, fold=0)
            if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None, fold=0) != moment:
                raise NotTaken("a local time that the clocks skipped")
            if local.utcoffset() != local.replace(fold=1).utcoffset():
                notes.append(REPEATED)
            moment = local
        return _bounded(to_ms(moment))
    except (OverflowError, ValueError):
        raise NotTaken("the time is not between 2000 and 2100") from None


def time_of(text: str, form: str, zone: ZoneInfo | None, notes: list[str]) -> int:
    """Return UTC ms of a text in the form "iso" or a pattern of strptime.

    Raises:
        NotTaken: it is not in that form, or as :func:`local_ms`.
    """
    try:
        if not text.isascii():
            # strptime would take digits of other alphabets too.
            raise ValueError
        if form == "iso" and not _WITH_TIME.search(text):
            # A day alone would be read as its midnight.
            raise ValueError
        moment = datetime.fromisoformat(text) if form == "iso" else datetime.strptime(text, form)
    except (ValueError, OverflowError, re.error):
        raise NotTaken("the time is not in the form that is configured") from None
    return local_ms(moment, zone, notes)


def received_ms(settings: Settings, notes: list[str]) -> int:
    """Return the time that the caller gave for records without one.

    Raises:
        NotTaken: it gave none.
    """
    if settings.at_ms is None:
        raise NotTaken("the record has no time")
    notes.append("no time of its own: the given one")
    return settings.at_ms


def _bounded(ms: int) -> int:
    if not _EARLIEST_MS <= ms < _LATEST_MS:
        raise NotTaken("the time is not between 2000 and 2100")
    return ms
