"""The segments of a store: what is listed, and their files.

    data/reads.db           hot lists, hits, holds, plates, and reads that are in no segment
    data/reads/17.db        reads of one span of captures

A file counts while the table ``segments`` of the main file lists it, which changes in one
transaction with what the main file holds. So one that is not listed, of a program that was
stopped, holds nothing and is removed when the store is opened next. Segments are written
only by who holds the main file's write lock; their rows above the last row number that the
main file gave out were never told to anybody, and are removed before the next is given.

A read that met a hot list stays in the main file, with its hits.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from accord import private_db
from accord.durable import sync_folder
from accord.errors import Code, InputError, Refused
from node.store.segments.pool import WAIT_MS, Gone, Pool, Tick
from node.store.segments.reading import Files
from node.store.segments.spans import Moment, Segment, Span
from node.store.segments.tables import SEGMENT_MIGRATIONS
from node.store.segments.whereabouts import Whereabouts
from node.store.shared import Sql
from node.store.statements import SNAPSHOT

_MOMENT = f"SELECT ({SNAPSHOT}), version FROM upkeep"  # noqa: S608 - our own texts
_LISTED = "SELECT number, from_ms, to_ms, deleted FROM segments ORDER BY from_ms DESC"
_FILE = re.compile(r"([1-9]\d*)\.db(-wal|-shm|-journal)?", re.ASCII)
_ENDS = ("", "-wal", "-shm", "-journal")
MISSING = "a file of the reads is missing"


def folder_of(path: Path) -> Path:
    """Return the folder of a main file's segments."""
    return path.with_suffix("")


class Parts:
    """The segments beside one main file, for all threads of a process."""

    def __init__(self, path: Path, *, looking: bool = False) -> None:
        self._path = path
        self.folder = folder_of(path)
        self.pool = Pool(self.folder, looking=looking)
        self.whereabouts = Whereabouts()
        self._listed: tuple[int, tuple[Segment, ...]] = (-1, ())

    def moment(self, sql: sqlite3.Connection) -> Moment:
        """Return the segments as a read transaction of the main file sees them."""
        last_row, version = sql.execute(_MOMENT).fetchone()
        known, segments = self._listed
        if known != version:
            before, segments = segments, listed(sql)
            if version > known:
                self._listed = version, segments
                self.pool.forget({one.number for one in before} - {one.number for one in segments})
        return Moment(version, last_row, segments)

    def read_in(self, sql: sqlite3.Connection) -> None:
        """Read in what lies where, for a serving process.

        Raises:
            Gone, sqlite3.Error: as :meth:`reading`.
        """
        sql.execute("BEGIN")
        try:
            moment = self.moment(sql)
        finally:
            sql.execute("COMMIT")
        self.whereabouts.read_in(moment, self.pool)

    @contextmanager
    def reading(self, sql: sqlite3.Connection, tick: Tick) -> Iterator[tuple[Files, Moment]]:
        """Read at one moment, in a read transaction of the main file.

        Raises:
            Gone: a segment was dropped meanwhile: try again.
            sqlite3.Error: as the connections say.
        """
        sql.execute("BEGIN")
        try:
            moment = self.moment(sql)
            if self.whereabouts.used:
                self.whereabouts.catch_up(moment, self.pool)
            with closing(Files(sql, moment, self.pool, self.whereabouts, tick)) as files:
                yield files, moment
        finally:
            if sql.in_transaction:
                sql.execute("COMMIT")

    @contextmanager
    def writing(self, segments: Sequence[Segment]) -> Iterator[dict[int, sqlite3.Connection]]:
        """Take a connection to each segment, by number; who calls holds the main file's lock.

        What is not committed at the end is rolled back.

        Raises:
            Refused: ``STORE_CORRUPT`` where a file is missing.
            sqlite3.Error: as the connections say.
        """
        with ExitStack() as stack:
            taken: dict[int, sqlite3.Connection] = {}
            for one in segments:
                try:
                    taken[one.number] = sql = self.pool.take(one.number)
                except Gone:
                    raise Refused(Code.STORE_CORRUPT, detail=MISSING) from None
                stack.callback(self.pool.give, one.number, sql)
            yield taken

    @contextmanager
    def beside_main(self, segment: Segment) -> Iterator[sqlite3.Connection]:
        """Connect to a segment, where the main file's other tables can be read too.

        For the owner's own work. ``reads`` are the segment's alone.

        Raises:
            Gone: it was dropped.
            sqlite3.Error: as the connection says.
        """
        sql = self.pool.take(segment.number)
        try:
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            sql.execute("ATTACH ? AS main_file", (uri,))
            try:
                yield sql
            finally:
                if sql.in_transaction:
                    sql.execute("ROLLBACK")
                sql.execute("DETACH main_file")
        finally:
            self.pool.give(segment.number, sql)

    def made(self, sql: sqlite3.Connection, span: Span) -> Segment:
        """Make a segment, in a write transaction of the main file.

        Raises:
            Refused: ``STORE_UNAVAILABLE``: no file can be made.
            sqlite3.Error: as the connection says.
        """
        number = sql.execute(
            "INSERT INTO segments (from_ms, to_ms) VALUES (?, ?) RETURNING number", span
        ).fetchone()[0]
        sql.execute("UPDATE upkeep SET version = version + 1")
        # Of one that came to nothing.
        self.remove(number)
        self.pool.begin(number)
        try:
            private_db.prepare(
                self.pool.path(number), SEGMENT_MIGRATIONS, "segment of a node's reads",
                "see that the disk has room", wait_ms=WAIT_MS,
            )  # fmt: skip
            sync_folder(self.folder)
        except (InputError, OSError) as error:
            problem = getattr(error, "problem", "can't be made")
            raise Refused(Code.STORE_UNAVAILABLE, detail=f"a file of reads {problem}") from None
        return Segment(number, *span)

    def cut_back(self, sql: sqlite3.Connection, part: sqlite3.Connection) -> None:
        """Remove what a program stored in a segment that was stopped before the main file knew.

        Who calls holds the main file's lock, and has changed nothing yet.
        """
        (last,) = sql.execute(SNAPSHOT).fetchone()
        (highest,) = part.execute("SELECT max(row_id) FROM reads").fetchone()
        if highest is not None and highest > last:
            part.execute("DELETE FROM reads WHERE row_id > ?", (last,))

    def empty_journal(self, segment: Segment) -> None:
        """Put what a segment's journal holds into its file, unless somebody is in the middle of it.

        Raises:
            sqlite3.Error: as the connection says.
        """
        path = self.pool.path(segment.number)
        try:
            if not path.with_name(f"{path.name}-wal").stat().st_size:
                return
            sql = self.pool.take(segment.number)
        except (FileNotFoundError, Gone):
            return
        try:
            # Waiting here would hold up who stores reads.
            sql.execute("PRAGMA busy_timeout=0")
            sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            sql.execute(f"PRAGMA busy_timeout={WAIT_MS}")
            self.pool.give(segment.number, sql)

    def remove(self, number: int) -> None:
        """Remove the files of a segment that is not listed; the database's own first."""
        self.pool.forget((number,))
        _unlink(self.pool.path(number))

    def check(self, sql: sqlite3.Connection) -> None:
        """See that every segment that is listed is there, and no link.

        Raises:
            InputError: one is not.
            sqlite3.Error: as the connection says.
        """
        for _ in range(2):  # one may be dropped meanwhile
            paths = [self.pool.path(one.number) for one in listed(sql)]
            for path in filter(Path.is_symlink, paths):
                # A purge would unlink it, and leave what it points to.
                raise InputError(path, "is a link", "put the file itself in its place")
            missing = [path for path in paths if not path.exists()]
            if not missing:
                return
        raise InputError(missing[0], "is missing", "restore it from the last backup")

    def left_over(self, sql: sqlite3.Connection) -> set[int]:
        """Return the numbers of files that are not listed."""
        if not self.folder.is_dir():
            return set()
        there = {
            int(found[1])
            for one in self.folder.iterdir()
            # A folder is nobody's that could be removed.
            if (found := _FILE.fullmatch(one.name)) and (one.is_symlink() or not one.is_dir())
        }
        return there - {one.number for one in listed(sql)}

    def close(self) -> None:
        """Close all connections."""
        self.pool.close()


def listed(sql: Sql) -> tuple[Segment, ...]:
    """Return the segments, the newest captures first."""
    return tuple(
        Segment(number, from_ms, to_ms, bool(deleted))
        for number, from_ms, to_ms, deleted in sql.execute(_LISTED)
    )


def _unlink(path: Path) -> None:
    for end in _ENDS:
        path.with_name(path.name + end).unlink(missing_ok=True)
    if path.parent.is_dir():
        sync_folder(path.parent)
