"""The one clock. Everything that needs the time is handed a :class:`Clock`."""

import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Clock(Protocol):
    """Milliseconds UTC since 1970."""

    def now_ms(self) -> int:
        """Return the time now in milliseconds UTC."""


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Return the time now in milliseconds UTC."""
        return time.time_ns() // 1_000_000


def to_datetime(ms: int) -> datetime:
    """Return an aware UTC datetime for milliseconds since 1970."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def to_ms(moment: datetime) -> int:
    """Return milliseconds since 1970.

    Raises:
        ValueError: the datetime has no zone; a naive time is never guessed.
    """
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    # Whole numbers all the way: a float of seconds loses one millisecond in 170.
    return (moment - _EPOCH) // _MILLISECOND


def iso(ms: int) -> str:
    """Return RFC 3339 text in UTC, such as ``2026-03-01T08:30:00.000Z``."""
    return to_datetime(ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_query_id(clock: Clock) -> bytes:
    """Return a UUIDv7 (RFC 9562 section 5.7) as 16 bytes."""
    value = (clock.now_ms() << 80) | int.from_bytes(secrets.token_bytes(10), "big")
    value = value & ~(0xF << 76) | (0x7 << 76)
    value = value & ~(0x3 << 62) | (0x2 << 62)
    return value.to_bytes(16, "big")
