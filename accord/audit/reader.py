"""Reading a log: what it holds, opened, and whether all of it is sound.

Readers never write and may run while a node or broker serves.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

from accord.audit import nodes, store
from accord.audit.absence import Absences
from accord.audit.kept import Kept, KeptOnes, Receipt
from accord.audit.merkle import Frontier, leaf_hash
from accord.audit.nodes import NodesCheck
from accord.audit.opening import opened
from accord.audit.places import Place, Reading
from accord.audit.row_check import Piece, check_rows
from accord.audit.sealing import Sealer, values_of
from accord.audit.store import Broken, Row
from accord.audit.workers import in_order
from accord.errors import Code, InputError, Refused, Unverified
from accord.keys import PublicKey

_PAGE = 500
# So many entries are checked at a time by one process.
_PIECE = 4_000


@dataclass(frozen=True, slots=True)
class Verification:
    """What a full check found: entries that are sound, and the first that is not.

    ``problem`` is one line for a person, "" when ``ok``; ``broken`` is the
    index that it names, or None. ``expunged`` entries lack something, and a later one
    says why.
    """

    entries: int
    ok: bool
    problem: str
    broken: int | None = None
    expunged: int = 0


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries: every field in ``equal`` is so, in [since_ms, until_ms).

    ``equal`` takes the fields of :data:`accord.audit.sealing.INDEXED` only.
    With a ``limit`` the newest that fit are given.
    """

    equal: Mapping[str, str]
    since_ms: int | None = None
    until_ms: int | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """One opened entry; its leaf was recomputed from its fields.

    ``gone`` names the fields that were expunged; of a whole record all are.
    """

    index: int
    time_ms: int
    fields: Mapping[str, str]
    gone: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Kind of the record, one of :data:`accord.audit.leaf.KINDS`; "" of an expunged one."""
        return self.fields.get("kind", "")


class _Unread(Exception):
    """An entry can't be read; says why."""


class AuditReader:
    """One log, read only: its place and open tables, what opens it, its name and key.

    A context manager.
    """

    def __init__(
        self,
        place: Place,
        sql: Reading,
        secret: bytes,
        origin: str,
        public: PublicKey,
    ) -> None:
        self.origin = origin
        self.place = place
        self.sql = sql
        self.sealer = Sealer(secret, origin)
        self._secret = secret
        self.public = public

    @classmethod
    def open(
        cls, place: Place, secret: bytes, public: PublicKey, origin: str = ""
    ) -> "AuditReader":
        """Open a log with its 32-byte secret and the key of its checkpoints.

        ``origin`` is the name that the log must bear; "" takes the one that it
        gives itself, which the key's signature covers.

        Raises:
            InputError: not there, or not an audit log.
        """
        sql = place.reading()
        try:
            name = origin or store.stored_origin(sql)
        except Broken as broken:
            sql.close()
            raise InputError(place.path, broken.problem, place.evidence) from None
        except place.errors as error:
            sql.close()
            raise place.unreadable(error) from None
        return cls(place, sql, secret, name, public)

    def __enter__(self) -> "AuditReader":
        """Return the reader."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the reader."""
        self.close()

    def close(self) -> None:
        """Let go of the place."""
        self.sql.close()

    def entries(self, wanted: Filter | None = None) -> Iterator[Shown]:
        """Yield the entries wanted, by index, each opened as it is reached.

        Raises:
            Refused: ``STORE_CORRUPT`` when an entry does not open.
            ValueError: a filter on a field that is not indexed.
        """
        wanted = wanted or Filter({})
        for row in self._select(wanted):
            try:
                fields, _, gone = opened(self.sealer, row)
                shown = Shown(row.index, row.time_ms, fields, gone)
            except Unverified as error:
                text = f"Entry {row.index} of {self.place.path} is broken: {error.problem}."
                raise Refused(Code.STORE_CORRUPT, text=text) from None
            # Terms are short and lie in the open: the opened fields decide.
            if all(value in values_of(shown.fields, name) for name, value in wanted.equal.items()):
                yield shown

    def verify(self, kept: Sequence[Kept] = (), receipts: Sequence[Receipt] = ()) -> Verification:
        """Check everything; ``kept`` and ``receipts`` are what it must go on from, and hold.

        Each record opens and makes its leaf, each of its search terms is there,
        the leaves make the stored hashes of subtrees, and the root that the log
        signed, and what was expunged is named. Reads one state of the log, also while
        it grows.
        """
        with self.sql.snapshot():
            return self._verify(kept, receipts)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the proof that entry ``index`` is in the tree of the first ``size`` entries.

        From the leaf's sibling up, as RFC 6962 has it; a few look-ups.

        Raises:
            ValueError: no such entry in that tree, or no such tree.
            InputError: the log is of an older version, or can't be read.
            Refused: ``STORE_CORRUPT`` when a hash that it takes is not there.
        """
        with self._whole(), self._brought_up():
            return nodes.inclusion(self.sql, index, size)

    def consistency(self, size1: int, size2: int) -> list[bytes]:
        """Return the proof that the tree of ``size2`` entries extends that of ``size1``.

        Raises:
            ValueError: not 0 < size1 <= size2 <= the log's size.
            InputError: the log is of an older version, or can't be read.
            Refused: ``STORE_CORRUPT`` when a hash that it takes is not there.
        """
        with self._whole(), self._brought_up():
            return nodes.consistency(self.sql, size1, size2)

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Say of a broken entry, or of an error of the place, what a person can do."""
        try:
            yield
        except self.place.errors as error:
            raise self.place.unreadable(error) from None
        except Broken as broken:
            text = f"Entry {broken.index} of {self.place.path} is broken: {broken.problem}."
            raise Refused(Code.STORE_CORRUPT, text=text) from None

    @contextmanager
    def _brought_up(self) -> Iterator[None]:
        try:
            yield
        except self.place.errors:
            if self.sql.has("nodes"):
                raise
            problem = "is of an older version, and lacks the hashes that a proof is made of"
            remedy = "start its node or broker once: it makes them"
            raise InputError(self.place.path, problem, remedy) from None

    def _verify(self, kept: Sequence[Kept], receipts: Sequence[Receipt]) -> Verification:
        frontier, absent = Frontier(), Absences()
        try:
            compared = KeptOnes(kept, receipts)
            name = store.stored_origin(self.sql)
            if name != self.origin:
                raise Broken(0, f"the newest checkpoint is of {name}, not of {self.origin}")
            tree = NodesCheck(self.sql)
            terms = self._check_rows(frontier, tree, absent, compared)
            self._check_head(frontier)
            tree.require(frontier.size)
            compared.end(frontier.size)
            absent.check()
            (count,) = self.sql.execute("SELECT count(*) FROM terms").fetchone()
            if count != terms:
                raise Broken(0, "there are search terms that no entry has")
        except Broken as broken:
            problem = f"entry {broken.index}: {broken.problem}"
            return Verification(min(frontier.size, broken.index), False, problem, broken.index)
        except (_Unread, self.place.errors) as error:
            why = str(error) if isinstance(error, _Unread) else store.reason(error)
            problem = f"entry {frontier.size} can't be read ({why})"
            return Verification(frontier.size, False, problem, frontier.size)
        return Verification(frontier.size, True, "", expunged=absent.count)

    def _check_rows(
        self, frontier: Frontier, nodes: NodesCheck, absent: Absences, compared: KeptOnes
    ) -> int:
        """Check each entry by itself and add it to the tree; return how many terms they have."""
        (last,) = self.sql.execute("SELECT max(idx) FROM entries").fetchone()
        terms, size = 0, 0 if last is None else int(last) + 1
        pieces = (
            Piece(
                self.place,
                self._secret,
                self.origin,
                self.public.der,
                begin,
                min(begin + _PIECE, size),
            )
            for begin in range(0, size, _PIECE)
        )
        for part in in_order(check_rows, pieces):
            for digest in part.hashes:
                nodes.add(frontier.append(digest))
                if frontier.size > compared.next_index:
                    compared.leaf(frontier.size - 1, digest)
                if frontier.size >= compared.next_size:
                    compared.at(frontier.size, frontier.root())
                root = part.roots.get(frontier.size)
                if root is not None and root != frontier.root():
                    self._locate()
            for index, names in part.missing:
                absent.missing(index, names)
            for index, what in part.named:
                absent.named(index, what)
            if part.unread:
                raise _Unread(part.unread)
            if part.broken is not None:
                raise Broken(*part.broken)
            terms += part.terms
            nodes.look()
        return terms

    def _check_head(self, whole: Frontier) -> None:
        """Check the leaves against the signed checkpoint."""
        row = self.sql.execute("SELECT size FROM head").fetchone()
        size = int(row[0]) if row else 0
        signed = store.read_checkpoint(self.sql, size, self.origin, self.public)
        if whole.size < size:
            raise Broken(whole.size, f"is missing: {size} entries are signed")
        if whole.size > size:
            raise Broken(size, f"is not signed: the checkpoint ends at {size} entries")
        (last,) = self.sql.execute("SELECT max(size) FROM checkpoints").fetchone()
        if last > size:
            problem = f"is missing: a checkpoint is there for {last} entries, the head has {size}"
            raise Broken(size, problem)
        if whole.root() != signed.root:
            self._locate()
        store.read_head(self.sql, self.origin, self.public)
        if self.sql.has("cosignatures"):
            store.check_cosignatures(self.sql, size)

    def _locate(self) -> None:
        """Narrow a wrong root down to the entries between two checkpoints.

        Raises:
            Broken: always.
        """
        frontier = Frontier()
        sound = 0
        sizes = [s for (s,) in self.sql.execute("SELECT size FROM checkpoints ORDER BY 1")]
        for size in sizes:
            for row in store.rows(self.sql, sound, size):
                frontier.append(leaf_hash(row.leaf))
            signed = store.read_checkpoint(self.sql, size, self.origin, self.public)
            if frontier.root() != signed.root:
                where = "was" if size - sound == 1 else f"to {size - 1}: one was"
                raise Broken(sound, f"{where} altered after it was signed")
            sound = size
        raise Broken(0, "the leaves do not lead to the signed root")

    def _select(self, wanted: Filter) -> Iterator[Row]:
        """Yield the rows that the terms and times pick, in order of index."""
        clauses: list[str] = ["idx >= ?"]
        values: list[bytes | int] = []
        for name, value in wanted.equal.items():
            clauses.append("idx IN (SELECT idx FROM terms WHERE term = ?)")
            values.append(self.sealer.lookup(name, value))
        if wanted.since_ms is not None:
            clauses.append("time_ms >= ?")
            values.append(wanted.since_ms)
        if wanted.until_ms is not None:
            clauses.append("time_ms < ?")
            values.append(wanted.until_ms)
        columns = "SELECT idx, time_ms, leaf, key, box FROM entries WHERE "
        statement = columns + " AND ".join(clauses)
        with self._whole():
            if wanted.limit is not None:
                newest = self.sql.execute(
                    f"{statement} ORDER BY idx DESC LIMIT ?", (0, *values, wanted.limit)
                ).fetchall()
                yield from (store.checked_row(row) for row in reversed(newest))
                return
            begin = 0
            # Page by page: no read stays open while the caller takes its time.
            while page := self.sql.execute(
                f"{statement} ORDER BY idx LIMIT {_PAGE}", (begin, *values)
            ).fetchall():
                yield from (store.checked_row(row) for row in page)
                begin = page[-1][0] + 1
