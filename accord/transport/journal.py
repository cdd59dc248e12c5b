"""What the gate refuses goes into the audit log, at a bounded rate.

A caller with a good TLS handshake and a bad identity could otherwise fill the
disk with records. So each kind of refusal is recorded once a minute, and at
most :data:`MAX_A_MINUTE` kinds; the record after a pause says how many were
left out.
"""

from collections.abc import Awaitable, Callable, Mapping

from accord.clock import Clock
from accord.errors import Code, Refused
from accord.identity import SpiffeId

Recorder = Callable[[Mapping[str, str]], Awaitable[object]]
"""Appends one refusal to the audit log; durable when it returns."""

MAX_A_MINUTE = 64
_WINDOW_MS = 60_000


class Journal:
    """Writes refusals of one server's gate through its recorder."""

    def __init__(self, record: Recorder, clock: Clock) -> None:
        self._record = record
        self._clock = clock
        self._since_ms = clock.now_ms()
        self._seen: set[tuple[str, ...]] = set()
        self._left_out = 0

    async def write(self, refused: Refused, peer: SpiffeId | None, method: str) -> None:
        """Record a refusal, unless the like was recorded within the minute.

        ``peer`` is None while nobody knows who called. A log that can't be
        written changes nothing: the caller is refused all the same.
        """
        now_ms = self._clock.now_ms()
        if not 0 <= now_ms - self._since_ms < _WINDOW_MS:
            self._since_ms = now_ms
            self._seen.clear()
        kind = (refused.code.value, refused.detail, str(peer), method)
        if kind in self._seen or len(self._seen) >= MAX_A_MINUTE:
            self._left_out += 1
            return
        self._seen.add(kind)
        left_out, self._left_out = self._left_out, 0
        fields = {
            "peer": "unverified" if peer is None else str(peer),
            "method": method,
            "decision": "refused",
            "code": refused.code.value,
            "text": refused.text,
            "detail": refused.detail,
            "mark": refused.mark.value,
        }
        try:
            await self._record(fields | ({"left_out": str(left_out)} if left_out else {}))
        except Refused as failure:
            if failure.code is not Code.AUDIT_UNAVAILABLE:
                raise
            self._left_out += left_out + 1
