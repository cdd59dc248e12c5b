"""Claims of the replay guard in the database: one query runs once over all processes.

A claim is one statement, and the two unique indexes decide: of two processes that
claim at once one waits for the other's commit. It is durable when it returns, whatever
the server is set to. No row is written by all: the latest moment of a claim is found
by an index, and kept in ``replay_guard`` when old claims go, so that claims don't wait
for each other's disk.

Claims go by what was the latest moment when this process last looked, some seconds
ago: every statement that began before others could see that moment has ended by then.

Nothing is claimed while a command has the store for itself, nor once the guard was begun
anew beneath a process: it would still take what was issued before that. Nor where the
database was put back from a dump beneath it: its tables are others then, and lack what
was claimed since. Such a process is started again. One that
has lost its seat's connection, which says that it serves, goes on by others.
"""

import threading
import time

import psycopg

from accord.clock import Clock
from accord.errors import Code, InputError, Refused
from accord.verification import SKEW_MS
from node.replay import Claim, check_claim, check_start
from node.store.postgres.connections import SERVING_LOCK, Pool, Watched, as_refusal

TIDY_S = 10.0

_LATEST = (
    "SELECT greatest(latest_ms, (SELECT coalesce(max(claimed_ms), 0) FROM claims)) AS latest_ms"
)
_CLAIM = f"""
    WITH known AS MATERIALIZED (
        {_LATEST},
            created_ms = %(created)s AND tableoid = %(table)s
                AND pg_try_advisory_xact_lock_shared({SERVING_LOCK}) AS ours
        FROM replay_guard
    ),
    made AS (
        INSERT INTO claims (digest, nonce, expires_ms, claimed_ms)
        SELECT %(digest)s, %(nonce)s, %(expires)s, %(now)s FROM known
        WHERE ours AND %(now)s >= latest_ms - {SKEW_MS}
        ON CONFLICT DO NOTHING
        RETURNING 1
    )
    SELECT latest_ms, ours, EXISTS (SELECT FROM made) FROM known
"""  # noqa: S608 - our own texts


class SharedClaims:
    """A :class:`node.replay.Claims` in the tables ``claims`` and ``replay_guard``."""

    at_once = 4

    def __init__(self, pool: Pool, clock: Clock) -> None:
        """Begin the guard, if nobody did, and see that the clock is not behind it.

        Raises:
            InputError: it is.
            psycopg.Error: as the server says.
        """
        self._pool = pool
        self._clock = clock
        self._mutex = threading.Lock()
        self._tidied, self._noted_ms = -TIDY_S, 0
        now_ms = clock.now_ms()
        with pool.connection() as sql:
            text = "INSERT INTO replay_guard VALUES (1, %s, %s) ON CONFLICT DO NOTHING"
            sql.execute(text, (now_ms, now_ms))
            text = f"{_LATEST}, created_ms, tableoid FROM replay_guard"
            row = sql.execute(text).fetchone()
        if row is None:
            raise InputError("replay_guard", "was emptied", "start again")
        self.created_ms, self._table = int(row[1]), int(row[2])
        check_start(now_ms, int(row[0]))

    def claim(self, digest: bytes, nonce: bytes, expires_ms: int) -> Claim:
        """See :meth:`node.replay.Claims.claim`."""
        try:
            with self._pool.connection() as sql:
                now_ms = self._clock.now_ms()
                check_claim(now_ms, now_ms, expires_ms)
                self._tidy(sql, now_ms)
                values = {"digest": digest, "nonce": nonce, "expires": expires_ms, "now": now_ms,
                          "created": self.created_ms, "table": self._table}  # fmt: skip
                row = sql.execute(_CLAIM, values).fetchone()
                if row is None:
                    raise Refused(Code.STORE_CORRUPT, detail="the replay guard was emptied")
                latest_ms, ours, made = row
                if not ours:
                    detail = "a command has the store for itself, or the replay guard is another"
                    raise Refused(Code.STORE_UNAVAILABLE, detail=detail)
                check_claim(now_ms, latest_ms, expires_ms)
                if made:
                    return Claim.NEW
                text = "SELECT 1 FROM claims WHERE digest = %s"
                same = sql.execute(text, (digest,)).fetchone()
        except psycopg.Error as error:
            raise as_refusal(error) from None
        return Claim.SAME if same else Claim.REUSED_NONCE

    def _tidy(self, sql: Watched, now_ms: int) -> None:
        """Remove, now and then, what expired and can't be asked again; see the module."""
        with self._mutex:
            if time.monotonic() < self._tidied + TIDY_S:
                return
            self._tidied = time.monotonic()
            gone_ms = self._noted_ms - SKEW_MS
        text = "UPDATE replay_guard SET latest_ms = %s WHERE latest_ms < %s"
        sql.execute(text, (now_ms, now_ms))
        with self._mutex:
            # Not before others can see it: a claim goes by no moment that only we know.
            self._noted_ms = max(self._noted_ms, now_ms)
        sql.execute("DELETE FROM claims WHERE expires_ms < %s", (gone_ms,))
        sql.execute("DELETE FROM rate_counts WHERE ends_ms < %s", (gone_ms,))

    def close(self) -> None:
        """See :meth:`node.replay.Claims.close`: the pool is others' too."""
