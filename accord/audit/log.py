"""The writer of one audit log: durable appends, one thread, group commit.

:meth:`AuditLog.append` computes leaf and sealed record in the event loop, which
hands them to the one writer thread a few turns later: at once where it is idle, and
else with what those turns brought, since each commit costs much beside its entries.
The thread takes whatever is queued, writes it with the new signed checkpoint in one
transaction, and waits until that is durable. While it waits more appends queue up, so
that the size of a commit follows the load and no timer is needed.

A place may have several writers, in turn (:mod:`accord.audit.places`). So each
transaction looks at the head first: what another process wrote since is verified
to go on from what was signed here, and this goes on from there.

Two kinds of failure differ:

- The place can't be reached or is busy, as a server is that restarts. Whoever waits
  is refused; whether their records are there is not known to them. A server has
  either committed them or not and says which to whoever looks again, since it goes
  on from its own log of changes. So the next append reads the head and goes on.
- A write of a file fails, or the head does not hold or went back. After a failed
  fsync the kernel may have dropped the pages and call the next one good: nothing can
  be known of what the disk holds, and an fsync is never retried. A log that another
  has put in its place is not ours to go on with. The log stays failed until it is
  opened again.
"""

import asyncio
import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import structlog

from accord.audit import expunging, store
from accord.audit.checkpoint import Checkpoint, check_origin, raw_ed25519, sign
from accord.audit.leaf import Record, all_fields, commit, new_salts
from accord.audit.merkle import Frontier, Node, Subtree, inclusion_proof, leaf_hash
from accord.audit.places import Place, Sql, Taken, Unavailable
from accord.audit.proof import TlogProof
from accord.audit.reader import AuditReader, Filter, Shown, Verification
from accord.audit.sealing import Sealed, Sealer, pack
from accord.clock import Clock
from accord.errors import Code, InputError, Refused
from accord.keys import Signer

# Some microseconds each where nothing else is to be done.
_TURNS = 4

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Commit:
    """What one commit signed: the checkpoint (to the byte), and what proves its entries.

    ``hashes`` are the complete subtrees of the tree before, and all that the commit
    made, leaves too. A proof for one of its entries takes no others: what lies left of
    the entry and of no other is the one, what has a later entry in it the other.
    """

    checkpoint: bytes
    size: int
    hashes: Mapping[Subtree, bytes]

    def proof(self, index: int) -> TlogProof:
        """Return the proof that one of this commit's entries is in the checkpoint's tree."""
        path = inclusion_proof(index, self.size, lambda *at: self.hashes[at])
        return TlogProof(index, tuple(path), self.checkpoint)


@dataclass(frozen=True, slots=True)
class Entry:
    """One durable entry: its index, leaf, the salts that open it, time (ms UTC), its commit."""

    index: int
    leaf: bytes
    salts: Mapping[str, bytes]
    time_ms: int
    commit: Commit

    def proof(self) -> bytes:
        """Return the tlog-proof to the checkpoint of the entry's own commit."""
        return self.commit.proof(self.index).to_bytes()


@dataclass(frozen=True, slots=True)
class _Job:
    time_ms: int
    leaf: bytes
    digest: bytes
    sealed: Sealed
    terms: Sequence[bytes]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[tuple[int, Commit]]


@dataclass(frozen=True, slots=True)
class _Cosigned:
    """Lines that witnesses made on a checkpoint; kept beside it, no entry."""

    size: int
    lines: Sequence[tuple[str, str]]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]


class AuditLog:
    """One log, and its writer in this process. Make one with :meth:`open`."""

    def __init__(
        self,
        place: Place,
        taken: Taken,
        frontier: Frontier,
        *,
        origin: str,
        key: Signer,
        secret: bytes,
        clock: Clock,
    ) -> None:
        self.origin = origin
        self._place = place
        self._taken = taken
        self._frontier = frontier
        self._key = key
        self._secret = secret
        self._sealer = Sealer(secret, origin)
        self._clock = clock
        self._queue: queue.SimpleQueue[list[_Job] | _Cosigned | None] = queue.SimpleQueue()
        self._gathered: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
        self._gate = threading.Lock()
        self._closed = False
        self._failed = False
        self._told = False
        self._thread = threading.Thread(target=self._run, name="audit-writer", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls, place: Place, *, origin: str, key: Signer, secret: bytes, clock: Clock
    ) -> "AuditLog":
        """Open or make a log, check its head, and take it for writing.

        ``origin`` is the log's name, such as ``harbor/node``; ``key`` signs its
        checkpoints (Ed25519); ``secret`` is 32 bytes. Checked are: the signed
        checkpoint, the count of entries, the frontier, and up to 8191 of the
        newest leaves. :meth:`verify` checks everything.

        Raises:
            InputError: another writer, a wrong key, a place that others can
                read or that can't be reached, or a log that is damaged or was altered.
        """
        check_origin(origin)
        raw_ed25519(key.public)
        taken = place.take()
        try:
            frontier = _start(place, taken, key, Sealer(secret, origin), origin)
            return cls(place, taken, frontier, origin=origin, key=key, secret=secret, clock=clock)
        except BaseException:
            taken.close()
            raise

    @property
    def failed(self) -> bool:
        """True once a write failed: nothing is appended until the log is reopened."""
        return self._failed

    @property
    def size(self) -> int:
        """Number of durable entries, as of what was written here last."""
        return self._frontier.size

    async def append(self, record: Record) -> Entry:
        """Append one record; it is durable when this returns.

        The record's time is the clock's, now. When the caller is cancelled the
        record is written all the same.

        Raises:
            Refused: ``AUDIT_UNAVAILABLE``: it could not be written, or it is not known
                whether it was.
        """
        time_ms = self._clock.now_ms()
        fields = all_fields(record, time_ms)
        salts = new_salts(fields)
        leaf = commit(fields, salts)
        digest = leaf_hash(leaf)
        sealed = self._sealer.seal(pack(fields, salts), digest)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[tuple[int, Commit]] = loop.create_future()
        job = _Job(time_ms, leaf, digest, sealed, self._sealer.terms(fields), loop, done)
        with self._gate:
            if self._closed or self._failed:
                raise Refused(Code.AUDIT_UNAVAILABLE)
            gathered = self._gathered.setdefault(loop, [])
            gathered.append(job)
            if len(gathered) == 1:
                loop.call_soon(self._hand_over, loop, _TURNS)
        index, signed = await done
        return Entry(index, leaf, salts, time_ms, signed)

    def _hand_over(self, loop: asyncio.AbstractEventLoop, turns: int) -> None:
        """Give the writer what one loop gathered, after so many more turns of it."""
        if turns:
            loop.call_soon(self._hand_over, loop, turns - 1)
            return
        with self._gate:
            if jobs := self._gathered.pop(loop, None):
                self._queue.put(jobs)

    async def keep_cosignatures(self, size: int, lines: Sequence[tuple[str, str]]) -> None:
        """Keep verified lines of witnesses (name, line) on the checkpoint of a size.

        They are durable when this returns.

        Raises:
            Refused: ``AUDIT_UNAVAILABLE``.
        """
        loop = asyncio.get_running_loop()
        job = _Cosigned(size, lines, loop, loop.create_future())
        with self._gate:
            if self._closed or self._failed:
                raise Refused(Code.AUDIT_UNAVAILABLE)
            self._queue.put(job)
        await job.done

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
            self._place, secret=self._secret, public=self._key.public, origin=self.origin
        )

    def close(self) -> None:
        """Write what is queued, then let go of the place."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
            for jobs in self._gathered.values():
                self._queue.put(jobs)
            self._gathered.clear()
            self._queue.put(None)
        self._thread.join()
        self._taken.close()

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
            jobs = [job for some in taken if isinstance(some, list) for job in some]
            if jobs:
                self._commit_and_tell(jobs)
            for one in taken:
                if isinstance(one, _Cosigned):
                    self._keep_and_tell(one)

    def _commit_and_tell(self, jobs: list[_Job]) -> None:
        done: Commit | None = None
        if not self._failed:
            try:
                done = self._commit(jobs)
            # Whatever went wrong: the waiting callers must hear of it.
            except Exception as error:
                self._failed = True
                log.error("audit log failed", origin=self.origin, reason=store.reason(error))
        for loop in {job.loop for job in jobs}:
            mine = [(at, job.done) for at, job in enumerate(jobs, -len(jobs)) if job.loop is loop]
            try:
                loop.call_soon_threadsafe(_tell, done, mine)
            except RuntimeError:
                # The loop ended, and whoever waited ended with it.
                continue

    def _keep_and_tell(self, job: _Cosigned) -> None:
        kept = False
        if not self._failed:
            try:
                with self._taken.transaction() as sql:
                    store.add_cosignatures(sql, job.size, job.lines)
                kept = True
            except Unavailable:
                pass  # they are asked for again
            except Exception as error:
                self._failed = True
                log.error("audit log failed", origin=self.origin, reason=store.reason(error))
        try:
            job.loop.call_soon_threadsafe(_tell_kept, job.done, kept)
        except RuntimeError:
            # The loop ended, and whoever waited ended with it.
            return

    def _commit(self, jobs: list[_Job]) -> Commit | None:
        """Write one transaction; return what it signed, None where it can be tried again."""
        try:
            with self._taken.transaction() as sql:
                frontier = store.follow(sql, self._frontier, self.origin, self._key.public)
                done = self._write(sql, frontier, jobs)
        except Unavailable as error:
            if not self._told:
                log.warning("audit log can't be written now", origin=self.origin,
                            reason=error.reason)  # fmt: skip
            self._told = True
            return None
        # What was signed is known to be committed only here: before, nobody is told of it.
        self._frontier = frontier
        if self._told:
            log.info("audit log is written again", origin=self.origin)
        self._told = False
        return done

    def _write(self, sql: Sql, frontier: Frontier, jobs: list[_Job]) -> Commit:
        """Write entries, terms, nodes, checkpoint and head; the frontier grows by the entries."""
        hashes = {(level, first >> level): each for level, first, each in frontier.subtrees()}
        entries: list[tuple[int, int, bytes, bytes, bytes]] = []
        terms: list[tuple[bytes, int]] = []
        nodes: list[Node] = []
        for job in jobs:
            index = frontier.size
            entries.append((index, job.time_ms, job.leaf, job.sealed.key, job.sealed.box))
            terms.extend((term, index) for term in job.terms)
            hashes[0, index] = job.digest
            nodes += frontier.append(job.digest)
        hashes |= {(level, index): digest for level, index, digest in nodes}
        with sql.together():
            store.add(sql, entries, terms, nodes)
            note = _sign_head(sql, frontier, self.origin, self._key)
        return Commit(note, frontier.size, hashes)


def _tell(
    commit: Commit | None, waiting: list[tuple[int, asyncio.Future[tuple[int, Commit]]]]
) -> None:
    """Tell who waits; the number of each says how far before the tree's end its entry is."""
    for behind, done in waiting:
        if done.done():
            continue
        if commit is None:
            done.set_exception(Refused(Code.AUDIT_UNAVAILABLE))
        else:
            done.set_result((commit.size + behind, commit))


def _tell_kept(done: asyncio.Future[None], kept: bool) -> None:
    if done.done():
        return
    if kept:
        done.set_result(None)
    else:
        done.set_exception(Refused(Code.AUDIT_UNAVAILABLE))


def _sign_head(sql: Sql, frontier: Frontier, origin: str, key: Signer) -> bytes:
    note = sign(Checkpoint(origin, frontier.size, frontier.root()), key)
    store.add_checkpoints(sql, [(frontier.size, note)])
    store.set_head(sql, frontier)
    return note


def _start(place: Place, taken: Taken, key: Signer, sealer: Sealer, origin: str) -> Frontier:
    """Check what the place holds; a new one gets its empty checkpoint.

    What is named as expunged and is still there, after a crash or in a copy that was
    put back, is destroyed.
    """
    try:
        with taken.transaction() as sql:
            if store.is_empty(sql):
                _sign_head(sql, Frontier(), origin, key)
            _, frontier = store.read_head(sql, origin, key.public)
            store.check_tail(sql, frontier)
            done = expunging.finish(sql, sealer)
        if done:
            taken.scrub()
    except store.Broken as broken:
        problem = f"entry {broken.index}: {broken.problem}"
        raise InputError(place.path, problem, place.evidence) from None
    except Unavailable as error:
        problem = f"can't be written now ({error.reason})"
        raise InputError(place.path, problem, "see that it is there, and try again") from None
    except place.errors as error:
        raise place.unreadable(error) from None
    return frontier
