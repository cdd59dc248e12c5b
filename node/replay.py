"""The replay guard: one query runs once, over restarts and over all processes of a node.

A claim is durable before the query runs. Whatever was issued before the claims'
place was made is refused, so claims that were lost or deliberately left out of a
backup open no gap. The latest moment at which a claim was made stays there: a clock
that has gone back would let claims be used again, so it stops the node.

Where claims are kept is a :class:`Claims`: a file of its own
(:mod:`node.replay_file`), or the database of several processes
(:mod:`node.store.postgres.claims`). The answers for a broker's retry are in this
process' memory alone: a retry that reaches another process is refused as a replay.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from accord.clock import Clock, iso
from accord.envelope import Envelope
from accord.errors import Code, InputError, Refused
from accord.verification import SKEW_MS

# Answers kept for a broker's retry; past this the oldest go, and a retry of
# theirs is refused as a replay.
MAX_KEPT_BYTES = 64 << 20


class Claim(Enum):
    """What the guard says of a query."""

    NEW = auto()
    SAME = auto()
    REUSED_NONCE = auto()


class Claims(Protocol):
    """Where claims are kept. Its methods block."""

    created_ms: int
    """When the place was made, ms UTC."""

    at_once: int
    """How many claims may be made at once."""

    def claim(self, digest: bytes, nonce: bytes, expires_ms: int) -> Claim:
        """Claim a query; durable when it returns ``NEW``.

        Raises:
            Refused: as :meth:`ReplayGuard.claim`.
        """

    def close(self) -> None:
        """Release what it holds."""


def check_claim(now_ms: int, latest_ms: int, expires_ms: int) -> None:
    """Refuse by the clock; ``latest_ms`` is when the last claim was made, ms UTC.

    A claim may go once it expired more than :data:`SKEW_MS` before ``latest_ms``: no
    clock by which it is good is taken any longer.

    Raises:
        Refused: ``CLOCK_IMPLAUSIBLE``; ``STALE``.
    """
    if now_ms < latest_ms - SKEW_MS:
        raise Refused(Code.CLOCK_IMPLAUSIBLE, detail="the clock has gone back")
    if now_ms > expires_ms:
        # Its first claim may be forgotten by now.
        raise Refused(Code.STALE)


def check_start(now_ms: int, latest_ms: int) -> None:
    """Refuse to start by a clock that is behind the last claim, both ms UTC.

    Raises:
        InputError: it is.
    """
    if now_ms < latest_ms - SKEW_MS:
        raise InputError(
            "clock",
            f"is behind the last query that this node answered, at {iso(latest_ms)}",
            "set this machine's clock right and start again",
        )


@dataclass(slots=True)
class _Kept:
    answer: Envelope | None
    expires_ms: int


class ReplayGuard:
    """Claims by query digest and nonce; answers kept in memory for retries."""

    def __init__(self, claims: Claims, clock: Clock) -> None:
        self._clock = clock
        self._claims = claims
        self._kept: dict[bytes, _Kept] = {}
        self._kept_bytes = 0
        self._threads = ThreadPoolExecutor(claims.at_once, thread_name_prefix="replay-guard")

    def check_issued(self, issued_at_ms: int) -> None:
        """Refuse what was issued before the guard can know.

        Raises:
            Refused: ``STALE``.
        """
        if issued_at_ms < self._claims.created_ms:
            raise Refused(Code.STALE, detail="issued before this node's replay guard was made")

    async def claim(self, digest: bytes, nonce: bytes, expires_ms: int) -> Claim:
        """Claim a query; durable when it returns ``NEW``.

        Raises:
            Refused: ``STORE_UNAVAILABLE`` when the claim can't be written;
                ``CLOCK_IMPLAUSIBLE`` when the clock has gone back; ``STALE``
                when the query has expired while it waited here.
        """
        loop, place = asyncio.get_running_loop(), None
        if digest not in self._kept:
            # Before it is made: whoever comes right behind hears that it runs.
            place = self._kept[digest] = _Kept(None, expires_ms)
        claim = None
        try:
            claim = await loop.run_in_executor(
                self._threads, self._claims.claim, digest, nonce, expires_ms
            )
        finally:
            # Who came right behind may have been quicker: then the place is theirs.
            if claim is not Claim.NEW and place is not None and self._kept.get(digest) is place:
                self.forget(digest)
        if claim is Claim.NEW and (place is None or self._kept.get(digest) is not place):
            self._kept[digest] = _Kept(None, expires_ms)
        return claim

    def keep(self, digest: bytes, answer: Envelope) -> None:
        """Keep the answer for retries until the claim expires, or others need the room."""
        mine = self._kept.get(digest)
        if mine is not None:
            mine.answer = answer
            self._kept_bytes += len(answer.payload)
        now = self._clock.now_ms()
        # From the oldest: a few at each answer, however many there are.
        while self._kept:
            oldest = next(iter(self._kept))
            if self._kept[oldest].expires_ms >= now and self._kept_bytes <= MAX_KEPT_BYTES:
                return
            self.forget(oldest)

    def running(self, digest: bytes) -> bool:
        """Tell whether the query is being answered right now."""
        kept = self._kept.get(digest)
        return kept is not None and kept.answer is None

    def kept(self, digest: bytes) -> Envelope | None:
        """Return the stored answer of a claimed query, if this process has it."""
        kept = self._kept.get(digest)
        return kept.answer if kept is not None else None

    def forget(self, digest: bytes) -> None:
        """Drop a claim's place in memory: its query was refused or failed."""
        gone = self._kept.pop(digest, None)
        if gone is not None and gone.answer is not None:
            self._kept_bytes -= len(gone.answer.payload)

    def close(self) -> None:
        """Release what the claims hold."""
        self._threads.shutdown()
        self._claims.close()
