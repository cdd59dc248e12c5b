"""The writer of one audit log: durable appends, one thread, group commit.

:meth:`AuditLog.append` computes leaf and sealed record in the event loop and
hands them to the one writer thread. The thread takes whatever is queued, writes
it with the new signed checkpoint in one transaction, and waits for the disk
(WAL, synchronous=FULL). While it waits more appends queue up, so that the size
of a commit follows the load and no timer is needed.

After a failed write nothing can be known of what the disk holds, so the log
stays failed until it is opened again: an fsync is never retried.
"""

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from accord.audit import store
from accord.audit.checkpoint import Checkpoint, check_origin, raw_ed25519, sign
from accord.audit.leaf import Record, all_fields, commit, new_salts
from accord.audit.merkle import Frontier, leaf_hash
from accord.audit.reader import AuditReader, Filter, Shown, Verification
from accord.audit.sealing import Sealed, Sealer, pack
from accord.clock import Clock
from accord.errors import Code, InputError, Refused
from accord.keys import Signer

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Entry:
    """One durable entry: its index, leaf, the salts that open it, time (ms UTC)."""

    index: int
    leaf: bytes
    salts: Mapping[str, bytes]
    time_ms: int


@dataclass(frozen=True, slots=True)
class _Job:
    time_ms: int
    leaf: bytes
    digest: bytes
    sealed: Sealed
    terms: Sequence[bytes]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[int]


class AuditLog:
    """One log and its only writer. Make one with :meth:`open`."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        lock: int,
        frontier: Frontier,
        *,
        origin: str,
        key: Signer,
        secret: bytes,
        clock: Clock,
    ) -> None:
        self.path = path
        self.origin = origin
        self._connection = connection
        self._lock = lock
        self._frontier = frontier
        self._key = key
        self._secret = secret
        self._sealer = Sealer(secret, origin)
        self._clock = clock
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._failed = False
        self._thread = threading.Thread(target=self._run, name="audit-writer", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls, path: Path, *, origin: str, key: Signer, secret: bytes, clock: Clock
    ) -> "AuditLog":
        """Open or make a log, check its head, and take it for writing.

        ``origin`` is the log's name, such as ``harbor/node``; ``key`` signs its
        checkpoints (Ed25519); ``secret`` is 32 bytes. Checked are: the signed
        checkpoint, the count of entries, the frontier, and up to 8191 of the
        newest leaves. :meth:`verify` checks everything.

        Raises:
            InputError: another writer, a wrong key, a file that others can
                read, or a log that is damaged or was altered.
        """
        check_origin(origin)
        raw_ed25519(key.public)
        lock = store.lock(path)
        try:
            connection = store.connect_writer(path)
            try:
                frontier = _start(connection, path, origin, key)
                return cls(
                    path,
                    connection,
                    lock,
                    frontier,
                    origin=origin,
                    key=key,
                    secret=secret,
                    clock=clock,
                )
            except BaseException:
                connection.close()
                raise
        except BaseException:
            os.close(lock)
            raise

    @property
    def failed(self) -> bool:
        """True once a write failed: nothing is appended until the log is reopened."""
        return self._failed

    @property
    def size(self) -> int:
        """Number of durable entries."""
        return self._frontier.size

    async def append(self, record: Record) -> Entry:
        """Append one record; it is durable when this returns.

        The record's time is the clock's, now. When the caller is cancelled the
        record is written all the same.

        Raises:
            Refused: ``AUDIT_UNAVAILABLE``: it could not be written.
        """
        time_ms = self._clock.now_ms()
        fields = all_fields(record, time_ms)
        salts = new_salts(fields)
        leaf = commit(fields, salts)
        digest = leaf_hash(leaf)
        sealed = self._sealer.seal(pack(fields, salts), digest)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int] = loop.create_future()
        job = _Job(time_ms, leaf, digest, sealed, self._sealer.terms(fields), loop, done)
        with self._gate:
            if self._closed or self._failed:
                raise Refused(Code.AUDIT_UNAVAILABLE)
            self._queue.put(job)
        return Entry(await done, leaf, salts, time_ms)

    def verify(self) -> Verification:
        """Check the whole log, as :meth:`AuditReader.verify`. Blocks: use a thread."""
        with self.reader() as reader:
            return reader.verify()

    def entries(self, wanted: Filter | None = None) -> Iterator[Shown]:
        """Yield opened entries, as :meth:`AuditReader.entries`. Blocks."""
        with self.reader() as reader:
            yield from reader.entries(wanted)

    def reader(self) -> AuditReader:
        """Return a reader of this log."""
        return AuditReader.open(
            self.path, secret=self._secret, public=self._key.public, origin=self.origin
        )

    def close(self) -> None:
        """Write what is queued, then let go of the file."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._connection.close()
        os.close(self._lock)

    def _run(self) -> None:
        """Commit whatever is queued, again and again, until told to stop."""
        stopping = False
        while not stopping:
            taken = [self._queue.get()]
            while True:
                try:
                    taken.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            stopping = None in taken
            jobs = [job for job in taken if job is not None]
            if jobs:
                self._commit_and_tell(jobs)

    def _commit_and_tell(self, jobs: list[_Job]) -> None:
        first: int | None = None
        if not self._failed:
            try:
                first = self._commit(jobs)
            # Whatever went wrong: the waiting callers must hear of it.
            except Exception as error:
                self._failed = True
                log.error("audit log failed", origin=self.origin, reason=store.reason(error))
        for loop in {job.loop for job in jobs}:
            mine = [(at, job.done) for at, job in enumerate(jobs) if job.loop is loop]
            try:
                loop.call_soon_threadsafe(_tell, first, mine)
            except RuntimeError:
                # The loop ended, and whoever waited ended with it.
                continue

    def _commit(self, jobs: list[_Job]) -> int | None:
        """Write one transaction; return the first index, None when the file is busy."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            # Another connection holds the file: nothing was written, so nothing
            # is in doubt, and the next append may try again.
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                return None
            raise
        try:
            frontier = self._write(jobs)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        first, self._frontier = self._frontier.size, frontier
        return first

    def _write(self, jobs: list[_Job]) -> Frontier:
        frontier = self._frontier.copy()
        entries: list[tuple[int, int, bytes, bytes, bytes]] = []
        terms: list[tuple[bytes, int]] = []
        for job in jobs:
            index = frontier.size
            entries.append((index, job.time_ms, job.leaf, job.sealed.key, job.sealed.box))
            terms.extend((term, index) for term in job.terms)
            frontier.append(job.digest)
        self._connection.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", entries)
        self._connection.executemany("INSERT INTO terms VALUES (?, ?)", terms)
        _write_head(self._connection, frontier, self.origin, self._key)
        return frontier


def _tell(first: int | None, waiting: list[tuple[int, asyncio.Future[int]]]) -> None:
    for offset, done in waiting:
        if done.done():
            continue
        if first is None:
            done.set_exception(Refused(Code.AUDIT_UNAVAILABLE))
        else:
            done.set_result(first + offset)


def _write_head(
    connection: sqlite3.Connection, frontier: Frontier, origin: str, key: Signer
) -> None:
    note = sign(Checkpoint(origin, frontier.size, frontier.root()), key)
    connection.execute("INSERT INTO checkpoints VALUES (?, ?)", (frontier.size, note))
    connection.execute(
        "INSERT OR REPLACE INTO head VALUES (1, ?, ?)", (frontier.size, frontier.to_bytes())
    )


def _start(connection: sqlite3.Connection, path: Path, origin: str, key: Signer) -> Frontier:
    """Check what the file holds; a new file gets its empty checkpoint."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            (heads,) = connection.execute("SELECT count(*) FROM head").fetchone()
            (entries,) = connection.execute("SELECT count(*) FROM entries").fetchone()
            (signed,) = connection.execute("SELECT count(*) FROM checkpoints").fetchone()
            if not heads and not entries and not signed:
                _write_head(connection, Frontier(), origin, key)
            _, frontier = store.read_head(connection, origin, key.public)
            store.check_tail(connection, frontier)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    except store.Broken as broken:
        raise InputError(path, f"entry {broken.index}: {broken.problem}", store.EVIDENCE) from None
    except sqlite3.Error as error:
        raise store.unreadable(path, error) from None
    return frontier
