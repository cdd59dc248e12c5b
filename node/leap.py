"""A clock that jumps by more than a day: nothing is deleted by it until a person confirms it.

A purge can't be undone, and goes by the wall clock. So the node keeps when it last
looked at that clock, and what the machine's own counter said then, which nobody can
set and which runs on while the machine sleeps. ``<data>/clock.json``::

    {"format": "accord-clock/1",
     "seen": {"wall_ms": 1772353800000, "counter_ms": 86400000, "boot": "<id>"},
     "ahead_ms": 1772267400000,            # wall less counter, when this boot began here
     "stop": {"how": "ahead", "expected_ms": 1772353860000, "found_ms": 1803889860000}}

While the machine has not been booted anew, the counter tells how much time has
passed, whichever process asks: a wall clock that is more than a day from there has
jumped, ``ahead`` or ``back``. After a boot nobody can tell: a clock more than a day
behind what was seen has gone ``back``; one that is more than a day later may be
right, the machine having been off (``away``). That doubt ends by itself, as soon as
the clock comes within a day of what was seen, or of a head that another agency's node
signed: a head that is no older than a day by a clock proves that the clock is not more
than a day ahead. A jump that was seen ends by a person alone.
"""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from accord.agreements.retention import DAY_MS
from accord.clock import Clock, iso
from accord.codec_answer import END_OF_TIME_MS
from accord.durable import locked, replace_file
from accord.envelope_json import load_json
from accord.errors import InputError
from accord.federation import Federation
from accord.strict_toml import StrictModel

FORMAT = "accord-clock/1"
FILE_NAME = "clock.json"
REMEDY = (
    "if it is wrong, set it right; then say who looked: "
    "accord-node retention confirm-clock --by NAME"
)
_MAX_BYTES = 1 << 20
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class How(StrEnum):
    """What became of the clock."""

    AHEAD = "ahead"
    BACK = "back"
    AWAY = "away"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Stop:
    """Why nothing is deleted; what the clock should have said, and what it said, ms UTC."""

    how: How
    expected_ms: int
    found_ms: int

    def __str__(self) -> str:
        if self.how is How.DAMAGED:
            return f"{FILE_NAME} can't be read, so nobody knows whether the clock jumped"
        between = f"from {iso(self.expected_ms)} to {iso(self.found_ms)}"
        if self.how is How.AWAY:
            return f"no node looked at the clock {between}: either it was off, or the clock jumped"
        return f"the clock jumped {between}"


@dataclass(frozen=True, slots=True)
class Seen:
    """One look: the wall clock, the counter of this boot, and which boot it was."""

    wall_ms: int
    counter_ms: int
    boot: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of the clock; ``ahead_ms`` is wall less counter as this boot began here."""

    seen: Seen
    ahead_ms: int
    stop: Stop | None = None


def begun(now: Seen) -> Kept:
    """Return what is known of a clock that somebody vouches for now."""
    return Kept(now, now.wall_ms - now.counter_ms)


def judged(kept: Kept, now: Seen, heads: Iterable[int] = ()) -> Kept:
    """Return what is known after one more look; while stopped nothing moves on.

    ``heads`` are when other agencies' nodes signed their newest heads, ms UTC.
    """
    stop = _jumped(kept, now) if kept.stop is None else kept.stop
    if stop is not None and stop.how is How.AWAY:
        near = (kept.seen.wall_ms, *heads)
        if any(abs(now.wall_ms - one) <= DAY_MS for one in near):
            return begun(now)
    if stop is not None:
        return Kept(kept.seen, kept.ahead_ms, stop)
    return Kept(now, kept.ahead_ms) if _same_boot(kept.seen, now) else begun(now)


def _jumped(kept: Kept, now: Seen) -> Stop | None:
    if _same_boot(kept.seen, now):
        expected_ms = kept.ahead_ms + now.counter_ms
        later = How.AHEAD
    else:
        expected_ms = kept.seen.wall_ms
        later = How.AWAY
    if abs(now.wall_ms - expected_ms) <= DAY_MS:
        return None
    how = later if now.wall_ms > expected_ms else How.BACK
    return Stop(how, expected_ms, now.wall_ms)


def _same_boot(seen: Seen, now: Seen) -> bool:
    return bool(now.boot) and seen.boot == now.boot


def heads_of_others(federation: Federation, agency: str) -> list[tuple[str, int]]:
    """Return who else signed a head that is held here, and when (ms UTC)."""
    return [
        (head.party, head.as_of_ms)
        for agreement in federation.agreements.values()
        for head in agreement.heads or ()
        if head.party != agency
    ]


def machine_counter() -> tuple[int, str]:
    """Return milliseconds since the boot, sleep included, and the boot's id; "" if there is none.

    Where a boot has no name, each look is taken as after another one.
    """
    kind = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    try:
        boot = _BOOT.read_text().strip()
    except OSError:
        boot = ""
    return time.clock_gettime_ns(kind) // 1_000_000, boot


# No later than a date can be told.
_Ms = Annotated[int, Field(ge=-END_OF_TIME_MS, lt=END_OF_TIME_MS)]


class _Seen(StrictModel):
    wall_ms: _Ms
    counter_ms: _Ms
    boot: str


class _Stop(StrictModel):
    how: Literal["ahead", "back", "away"]
    expected_ms: _Ms
    found_ms: _Ms


class _File(StrictModel):
    format: str
    seen: _Seen
    ahead_ms: _Ms
    stop: _Stop | None = None


def _written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns // 1_000_000
    except FileNotFoundError:
        return 0  # a serving node puts files in each other's place meanwhile


Tell = Callable[[str, str], None]
"""Is told of each change, before it counts: ``purge stopped`` or ``purge resumed``, and why."""


class Leap:
    """The file, which a serving node and the commands beside it share."""

    def __init__(
        self,
        data: Path,
        clock: Clock,
        counter: Callable[[], tuple[int, str]] = machine_counter,
    ) -> None:
        self._path = data / FILE_NAME
        self._clock = clock
        self._counter = counter
        # Before the first look what the node wrote tells when it was last there: make this
        # before anything is opened.
        self._written_ms = max((_written(path) for path in data.glob("*")), default=0)
        self.stop: Stop | None = None
        """What the last look of this program found."""

    def peek(self, heads: Iterable[int] = ()) -> Stop | None:
        """Return what a look would find; nothing is written."""
        now = self._now()
        return judged(self._kept(now), now, heads).stop

    def look(self, tell: Tell, heads: Iterable[int] = ()) -> Stop | None:
        """Look at the clock and keep what was seen; return why nothing may be deleted, if so.

        Raises:
            InputError: it can't be kept; what may be deleted is not known then.
        """
        with locked(self._path.with_suffix(".lock")):
            now = self._now()
            kept = self._kept(now)
            found = judged(kept, now, heads)
            damaged = found.stop is not None and found.stop.how is How.DAMAGED
            before = self.stop if damaged else kept.stop
            if found.stop is not None and before is None:
                tell("purge stopped", str(found.stop))
            elif found.stop is None and before is not None:
                tell("purge resumed", f"{iso(now.wall_ms)} is plausible: {before}")
            if not damaged:
                self._keep(found)
            self.stop = found.stop
        return found.stop

    def confirm(self, tell: Tell, by: str) -> Stop | None:
        """Go on by the clock as it is, on a person's word; return what had stopped, if anything.

        Raises:
            InputError: it can't be kept.
        """
        with locked(self._path.with_suffix(".lock")):
            now = self._now()
            stop = judged(self._kept(now), now).stop
            if stop is not None:
                tell("clock confirmed", f"{iso(now.wall_ms)} is right, says {by}: {stop}")
                self._keep(begun(now))
            self.stop = None
        return stop

    def _now(self) -> Seen:
        return Seen(self._clock.now_ms(), *self._counter())

    def _kept(self, now: Seen) -> Kept:
        file = self._read()
        if isinstance(file, Kept):
            return file
        if file is not None:
            return Kept(now, 0, file)
        return begun(Seen(self._written_ms, 0, "") if self._written_ms else now)

    def _read(self) -> Kept | Stop | None:
        """Return what is kept; a stop where that can't be read, None where there is nothing."""
        try:
            file = _File.model_validate(load_json(self._path.read_bytes(), self._path, _MAX_BYTES))
        except FileNotFoundError:
            return None
        except (OSError, InputError, ValidationError):
            return Stop(How.DAMAGED, 0, 0)
        if file.format != FORMAT:
            return Stop(How.DAMAGED, 0, 0)
        stop = None
        if file.stop is not None:
            stop = Stop(How(file.stop.how), file.stop.expected_ms, file.stop.found_ms)
        return Kept(Seen(**file.seen.model_dump()), file.ahead_ms, stop)

    def _keep(self, kept: Kept) -> None:
        content: dict[str, Any] = {
            "format": FORMAT,
            "seen": asdict(kept.seen),
            "ahead_ms": kept.ahead_ms,
        }
        if kept.stop is not None:
            content["stop"] = asdict(kept.stop)
        replace_file(self._path, json.dumps(content).encode() + b"\n")
