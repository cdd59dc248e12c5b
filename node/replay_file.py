"""Claims of the replay guard in a file of its own, apart from reads and audit.

For a node that is one process: it holds the file's lock while it runs.
"""

import os
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path

import sqlite_utils

from accord.clock import Clock
from accord.errors import Code, InputError, Refused
from accord.verification import SKEW_MS
from node.replay import Claim, check_claim, check_start
from node.replay_lock import FILE_NAME as LOCK
from node.replay_lock import lock_alone

FILE_NAME = "replay.db"


class ReplayFile:
    """A :class:`node.replay.Claims` in a SQLite file."""

    at_once = 1

    def __init__(self, path: Path, clock: Clock) -> None:
        """Open or make the file.

        Raises:
            InputError: another process has it, it is damaged, or the clock is behind it.
        """
        self._clock = clock
        self._lock_file = lock_alone(path.with_name(LOCK))
        try:
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self.created_ms = self._prepare()
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
        check_start(now_ms, latest)
        return int(created)

    def claim(self, digest: bytes, nonce: bytes, expires_ms: int) -> Claim:
        """See :meth:`node.replay.Claims.claim`."""
        with self._mutex:
            try:
                now_ms = self._clock.now_ms()
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    self._check(now_ms, expires_ms)
                    gone_ms = now_ms - SKEW_MS
                    self._database.execute("DELETE FROM claims WHERE expires_ms < ?", (gone_ms,))
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

    def _check(self, now_ms: int, expires_ms: int) -> None:
        """Move the file's latest moment on; it never goes back."""
        (latest,) = self._database.execute("SELECT latest_ms FROM guard").fetchone()
        check_claim(now_ms, latest, expires_ms)
        self._database.execute("UPDATE guard SET latest_ms = max(latest_ms, ?)", (now_ms,))

    def close(self) -> None:
        """Release the file."""
        self._database.close()
        os.close(self._lock_file)


def begin_anew(path: Path, clock: Clock) -> None:
    """Put a new guard into the place of one, which knows too little; the node must not serve.

    Raises:
        InputError: the file can't be made.
    """
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()
    ReplayFile(path, Ahead(clock)).close()


@dataclass(frozen=True, slots=True)
class Ahead:
    """As far ahead as the clock of any asker that is let in.

    A guard that begins then knows of all that it does not refuse.
    """

    clock: Clock

    def now_ms(self) -> int:
        """Return the moment in ms UTC."""
        return self.clock.now_ms() + SKEW_MS
