"""The replay guard: one query runs once, over restarts too.

The guard is a file of its own, apart from reads and audit. A claim is durable
before the query runs. Whatever was issued before the guard's file was made is
refused, so a guard that was lost or deliberately left out of a backup opens
no gap. The latest moment at which a claim was made stays in the file: a clock
that has gone back would let claims be used again, so it stops the node.
"""

import asyncio
import fcntl
import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

import sqlite_utils

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


@dataclass(slots=True)
class _Kept:
    answer: Envelope | None
    expires_ms: int


class ReplayGuard:
    """Claims by query digest and nonce; answers kept in memory for retries."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Open or make the guard's file.

        Raises:
            InputError: another process has it, or it is damaged.
        """
        self._clock = clock
        self._kept: dict[bytes, _Kept] = {}
        self._kept_bytes = 0
        self._lock_file = _lock(path.with_suffix(".lock"))
        try:
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._created_ms = self._prepare()
        except InputError:
            self._database.close()
            os.close(self._lock_file)
            raise
        except sqlite3.DatabaseError as error:
            os.close(self._lock_file)
            raise InputError(
                path,
                "the replay guard's file is damaged",
                "move it away: queries issued before the new one is made are refused",
            ) from error
        path.chmod(0o600)
        self._mutex = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="replay-guard")

    def _prepare(self) -> int:
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        database = sqlite_utils.Database(self._database)
        database.table("claims").create(
            {"digest": bytes, "nonce": bytes, "expires_ms": int}, pk="digest", if_not_exists=True
        )
        database.table("claims").create_index(["nonce"], unique=True, if_not_exists=True)
        database.table("claims").create_index(["expires_ms"], if_not_exists=True)
        columns = {"id": int, "created_ms": int, "latest_ms": int}
        database.table("guard").create(columns, pk="id", if_not_exists=True)
        now_ms = self._clock.now_ms()
        row = (1, now_ms, now_ms)
        self._database.execute("INSERT OR IGNORE INTO guard VALUES (?, ?, ?)", row)
        created, latest = self._database.execute(
            "SELECT created_ms, latest_ms FROM guard"
        ).fetchone()
        if now_ms < latest - SKEW_MS:
            raise InputError(
                "clock",
                f"is behind the last query that this node answered, at {iso(latest)}",
                "set this machine's clock right and start again",
            )
        return int(created)

    def check_issued(self, issued_at_ms: int) -> None:
        """Refuse what was issued before the guard can know.

        Raises:
            Refused: ``STALE``.
        """
        if issued_at_ms < self._created_ms:
            raise Refused(Code.STALE, detail="issued before this node's replay guard was made")

    async def claim(self, digest: bytes, nonce: bytes, expires_ms: int) -> Claim:
        """Claim a query; durable when it returns ``NEW``.

        Raises:
            Refused: ``STORE_UNAVAILABLE`` when the claim can't be written;
                ``CLOCK_IMPLAUSIBLE`` when the clock has gone back; ``STALE``
                when the query has expired while it waited here.
        """
        loop = asyncio.get_running_loop()
        claim = await loop.run_in_executor(self._thread, self._claim, digest, nonce, expires_ms)
        if claim is Claim.NEW:
            self._kept[digest] = _Kept(None, expires_ms)
        return claim

    def _claim(self, digest: bytes, nonce: bytes, expires_ms: int) -> Claim:
        with self._mutex:
            try:
                now = self._clock.now_ms()
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    self._check_clock(now)
                    if now > expires_ms:
                        # Its first claim may be forgotten by now.
                        raise Refused(Code.STALE)
                    self._database.execute("DELETE FROM claims WHERE expires_ms < ?", (now,))
                    row = (digest, nonce, expires_ms)
                    self._database.execute("INSERT INTO claims VALUES (?, ?, ?)", row)
                except BaseException:
                    self._database.execute("ROLLBACK")
                    raise
                self._database.execute("COMMIT")
            except sqlite3.IntegrityError:
                same = self._database.execute(
                    "SELECT 1 FROM claims WHERE digest = ?", (digest,)
                ).fetchone()
                return Claim.SAME if same else Claim.REUSED_NONCE
            except sqlite3.Error as error:
                raise Refused(Code.STORE_UNAVAILABLE, detail="the replay guard failed") from error
        return Claim.NEW

    def _check_clock(self, now_ms: int) -> None:
        """Move the file's latest moment on; it never goes back."""
        (latest,) = self._database.execute("SELECT latest_ms FROM guard").fetchone()
        if now_ms < latest - SKEW_MS:
            raise Refused(Code.CLOCK_IMPLAUSIBLE, detail="the clock has gone back")
        self._database.execute("UPDATE guard SET latest_ms = max(latest_ms, ?)", (now_ms,))

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
        """Release the file."""
        self._thread.shutdown()
        self._database.close()
        os.close(self._lock_file)


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise InputError(
            path, "another process is using this node's data", "stop it first"
        ) from None
    return descriptor
