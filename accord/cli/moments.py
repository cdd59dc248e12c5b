"""A moment as a person writes it on a command line."""

import re
from datetime import datetime, timedelta

from accord.clock import to_ms
from accord.errors import InputError

_END_MS = 7_258_118_400_000  # 2200-01-01


def parse_time(text: str, now: datetime) -> int:
    """Return UTC ms for ``now``, an age such as ``30d``, or a time with its zone.

    Raises:
        InputError: anything else; a time without a zone is never guessed.
    """
    if text == "now":
        return to_ms(now)
    if age := re.fullmatch(r"(\d{1,5})([dhm])", text, re.ASCII):
        unit = {"d": "days", "h": "hours", "m": "minutes"}[age[2]]
        return to_ms(now - timedelta(**{unit: int(age[1])}))
    try:
        ms = to_ms(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise InputError(
            "time", f"{text!r} is not a time with a zone", "write 2026-03-01T08:00Z or 30d"
        ) from None
    if not 0 <= ms < _END_MS:
        raise InputError("time", f"{text!r} is not between 1970 and 2200", "check the year")
    return ms
