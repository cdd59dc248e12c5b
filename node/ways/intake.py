"""What every source hands its documents to: one thread, one account, one set of settings.

A document is taken when :meth:`Intake.document` returns: its reads and what is
not taken of it are on the disk by then, so that the sender may forget it. Where
dead letters have no room left, what needs one is not acknowledged. Where it
raises, nothing is promised, and the same document may come again: reads are
known by their ids.
"""

import asyncio
import io
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, TypeVar

import structlog

from accord.agreements.retention import Limits
from accord.clock import Clock
from accord.errors import AccordError, Code, InputError, Refused
from accord.model import Read
from node.ingest import OLDER, ingest
from node.ingest.checks import state_of, zone_of
from node.ingest.dead import DeadLetters, unreadable
from node.ingest.formats import ByMapping, choose, named, records
from node.ingest.mapping import load_mapping
from node.ingest.report import IngestReport, Record, Rejected
from node.ingest.settings import Settings, load_cameras
from node.ingest.sql_rows import SqlRows
from node.photos import Bands, Photos
from node.retention import due_on_arrival, latest_on_arrival
from node.store.base import ReadStore
from node.ways.config import Source

log = structlog.get_logger()
T = TypeVar("T")
_NO_ROOM = "no room among the dead letters: what needs one is not acknowledged"


class Stopped(AccordError):
    """The node stops; what was under way is not acknowledged."""


class NoRoom(Refused):
    """The dead letters are full: of this document nothing is acknowledged, of others all may be.

    What could be taken of it is on the disk.
    """

    def __init__(self) -> None:
        super().__init__(Code.STORE_UNAVAILABLE, detail=_NO_ROOM)


@dataclass
class Account:
    """Counts of one source since the node started. ``last_ms`` is UTC; 0 for never."""

    name: str
    way: str
    up: bool = False
    documents: int = 0
    unreadable: int = 0
    turned_away: int = 0
    last_ms: int = 0
    records: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("taken", "known", "refused", "no read", OLDER, "no room"), 0
        )
    )

    def count(self, report: IngestReport) -> None:
        """Add the account of one document."""
        self.records["taken"] += report.taken
        self.records["known"] += report.duplicates
        self.records["refused"] += len(report.rejected)
        self.records[OLDER] += report.passed[OLDER]
        self.records["no read"] += report.passed.total() - report.passed[OLDER]


def settings_of(source: Source, base: Path) -> Settings:
    """Return what the source's section of node.toml says of its records.

    Raises:
        InputError: naming the file or key to mend.
    """
    where = f"source {source.name}"
    if source.format == SqlRows.name:
        remedy = 'leave it out, and to follow a table write way = "sql"'
        raise InputError(f"{where}: format", '"sql" is no format of documents', remedy)
    form = SqlRows.name if source.way == "sql" else source.format
    chosen = named(form) if form else None
    settings = Settings(
        mapping=load_mapping(base / source.mapping) if source.mapping else None,
        # Only what stands in a folder of ours may name files of ours.
        photo_folder=base / source.folder if source.way == "folder" else None,
        cameras=load_cameras(base / source.cameras) if source.cameras else MappingProxyType({}),
        camera=source.camera,
        zone=zone_of(source.zone, f"{where}: zone") if source.zone else None,
        state=state_of(source.state, f"{where}: state"),
        keep_photos=False,
    )
    if isinstance(chosen, ByMapping):
        chosen.mapping_of(settings, where)
    return settings


class Intake:
    """Takes the documents of one source, one after the other."""

    def __init__(
        self,
        source: Source,
        settings: Settings,
        store: ReadStore,
        photos: Photos,
        clock: Clock,
        *,
        bands: Mapping[str, Bands],
        kept: Callable[[], Limits | None],
        may_delete: Callable[[], bool] = lambda: True,
    ) -> None:
        self.may_delete = may_delete
        self.source = source
        self.account = Account(source.name, source.way)
        self.store = store
        self.clock = clock
        self.kept = kept
        self._settings = settings
        self._photos = photos
        self._bands = bands
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"source-{source.name}")
        self._full = False
        self._refused = 0.0
        self.stopping = threading.Event()

    @property
    def settings(self) -> Settings:
        """The source's settings now: what policy and law say of photos, and which times can be.

        While the clock is in doubt no time is refused by it.
        """
        kept = self.kept()
        keeps = kept is not None and kept.photos.keep_ms > 0
        latest_ms = latest_on_arrival(self.clock.now_ms()) if self.may_delete() else None
        return replace(self._settings, keep_photos=keeps, latest_ms=latest_ms)

    def _due(self) -> Callable[[Read], bool]:
        """Return what tells a read that a purge would remove at once.

        While nothing is deleted, for want of a policy or a clock that nobody
        doubts, nothing is left out either.
        """
        kept = self.kept() if self.may_delete() else None
        return due_on_arrival(self.store, kept, self.clock.now_ms())

    async def run(self, work: Callable[[], T]) -> T:
        """Run work in the source's own thread; SQLite's writes wait there, not in the loop.

        Raises:
            Refused: the store refused a document while this work waited: a store that
                is locked makes each wait for seconds, and senders give up by then.
        """
        asked = time.monotonic()

        def in_turn() -> T:
            """Do it, unless the one before it was refused meanwhile."""
            if asked < self._refused:
                raise Refused(Code.STORE_UNAVAILABLE, detail="the store refused the one before")
            return work()

        return await asyncio.get_running_loop().run_in_executor(self._pool, in_turn)

    def document(self, content: bytes) -> None:
        """Take one document, in the calling thread.

        One that is in no format, or not in the one configured, becomes a dead letter.

        Raises:
            InputError: it is such a one; it is kept all the same.
            NoRoom: a record of it needs a dead letter, and there is no room.
            Refused: the store can't be written.
            Stopped: the node stops.
        """
        try:
            self._document_or_letter(content)
        except NoRoom:
            raise
        except Refused:
            self._refused = time.monotonic()
            raise

    def _document_or_letter(self, content: bytes) -> None:
        try:
            self._document(io.BytesIO(content), content)
        except InputError as error:
            letters = self._letters(self.source.format, content)
            letters.keep(Rejected(1, unreadable(error), content))
            self._settle(letters)
            raise

    def stream(self, stream: BinaryIO) -> None:
        """Take one document from a stream; what can't be read at all is kept nowhere.

        Raises:
            InputError: as :meth:`document`, and where a record that was not taken
                is too long for a dead letter: whoever has the document keeps it.
            ReadFailed: the stream can't be read to its end.
            NoRoom, Refused, Stopped: as :meth:`document`.
        """
        self._document(stream, b"")

    def _document(self, stream: BinaryIO, content: bytes) -> None:
        try:
            form, start = choose(self.source.format, stream)
            letters = self._letters(form.name, content)
            self._records(letters, records(form, start, self.settings))
            if letters.cut:
                where, problem = f"source {self.source.name}", "holds a record too long to keep"
                raise InputError(where, problem, "mend it and give the document again")
        except InputError:
            self.account.unreadable += 1
            raise
        finally:
            self.account.documents += 1

    def records(self, form: str, found: Iterable[Record]) -> IngestReport:
        """Store records; they are durable when this returns.

        Raises:
            NoRoom, Refused, Stopped: as :meth:`document`.
        """
        return self._records(self._letters(form, b""), found)

    def _letters(self, form: str, whole: bytes) -> DeadLetters:
        return DeadLetters(self.store, self.source.name, form, self.clock, whole)

    def _records(self, letters: DeadLetters, found: Iterable[Record]) -> IngestReport:
        try:
            report = ingest(
                self._until_stopped(found),
                self.store,
                self._photos,
                bands=self._bands,
                refused=letters.keep,
                due=self._due(),
            )
        except InputError:
            self._settle(letters)
            raise
        self._settle(letters)
        self.account.count(report)
        self.account.last_ms = self.clock.now_ms()
        return report

    def _settle(self, letters: DeadLetters) -> None:
        """Keep the letters that wait.

        Raises:
            NoRoom: some found none; it is logged once, until some find room again.
        """
        waiting = letters.flush()
        if letters.lost:
            self.account.records["no room"] += letters.lost
            if not self._full:
                remedy = "accord-node ingest dead, mend, then ingest retry"
                log.warning(_NO_ROOM, source=self.source.name, remedy=remedy)
            self._full = True
            raise NoRoom
        if waiting:
            self._full = False

    def _until_stopped(self, found: Iterable[Record]) -> Iterator[Record]:
        for record in found:
            if self.stopping.is_set():
                raise Stopped("the node stops")
            yield record

    async def close(self) -> None:
        """Wait for the thread to end: the store is closed after it."""
        self.stopping.set()
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)
