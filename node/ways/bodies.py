"""Bodies of a webhook while they come in: few bytes in all, and no slow sender keeps others out.

All that are being read hold :data:`AT_ONCE` times the largest body at most. Where
the next bytes would not fit, the address that holds most bytes gives up a body:
the one furthest behind the pace at which the largest would be whole in time. So
senders that trickle give way to those that send, and one address to the others;
where all keep pace it is the one that came last.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

AT_ONCE = 8
BODY_S = 30.0
"""What a body may take to come in whole."""


class TooLarge(Exception):
    """The body is larger than a body may be."""


class Crowded(Exception):
    """The body had to make room for others; its sender may send it again."""


class _Body:
    def __init__(self, share: bytes, deadline: asyncio.Timeout, now: float) -> None:
        self.share = share
        self.content = bytearray()
        self.given_up = False
        self.began = now
        self._deadline = deadline

    def give_up(self, now: float) -> None:
        self.given_up = True
        self.content.clear()
        self._deadline.reschedule(now)


class Bodies:
    """Reads bodies of ``largest`` bytes at most; holds ``AT_ONCE * largest`` bytes at most."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._reading: set[_Body] = set()

    async def read(self, stream: AsyncIterator[bytes], share: bytes) -> bytes:
        """Return the whole body that a stream brings. ``share`` is the sender's address.

        Raises:
            TooLarge: it is; what is left of it was not read.
            Crowded: it made room for others.
            TimeoutError: it did not come in time.
        """
        now = asyncio.get_running_loop().time
        deadline = asyncio.timeout(BODY_S)
        body = _Body(share, deadline, now())
        self._reading.add(body)
        try:
            async with deadline:
                async for chunk in stream:
                    if len(body.content) + len(chunk) > self._largest:
                        raise TooLarge
                    self._make_room(len(chunk), now())
                    if body.given_up:
                        raise Crowded
                    body.content += chunk
            return bytes(body.content)
        except TimeoutError:
            if body.given_up:
                raise Crowded from None
            raise
        finally:
            self._reading.discard(body)

    def _make_room(self, size: int, now: float) -> None:
        pace = self._largest / BODY_S
        while True:
            held: Counter[bytes] = Counter()
            for body in self._reading:
                held[body.share] += len(body.content)
            if held.total() + size <= AT_ONCE * self._largest:
                return
            ((share, _),) = held.most_common(1)
            behind = min(
                (body for body in self._reading if body.share == share and body.content),
                key=lambda body: len(body.content) - (now - body.began) * pace,
            )
            behind.give_up(now)
