"""A table or query of any database that SQLAlchemy speaks to, followed by a watermark.

The watermark is a column that only ever grows: a serial number, or the time of
the row's last change. Where we are is kept in the store, after the reads that
it speaks of. Each look reads again what lies from ``overlap`` below the mark on:
rows with the mark's own value, and rows whose transaction ended after those of
greater ones. Where all rows are below that, the table was put back, and is read
anew; so it is where node.toml names another table, query or watermark, and where
the column got another type: number, time without a zone, time with one. Only the
database's values are compared; our clock serves for a warning alone. Rows
without a value are not read, nor are those whose time is infinite or of no year that
Python has: the log tells of these. Where rows need dead letters and there is no room
the mark stays before them, and rows behind them are taken. The node needs no right but SELECT.
"""

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from accord.errors import InputError
from accord.keys import read_secret_text
from node.ingest.sql_rows import SqlRows, Unread
from node.ways.breakable import Breakable
from node.ways.config import SqlSource
from node.ways.followed import Followed, of_data
from node.ways.intake import Intake, NoRoom

log = structlog.get_logger()
BATCH = 500
PICTURES = 10
# Rows of the last look that are not handed on again: memory is bounded by it.
_RECENT = 50_000
Mark = int | Decimal | datetime
_FAR = timedelta(days=1)


class SqlWay:
    """Looks every few seconds. The URL is read anew each time: a password may change."""

    def __init__(self, intake: Intake, source: SqlSource, base: Path) -> None:
        self._intake = intake
        self._source = source
        self._url = base / source.url
        self._where = f"source {source.name}"
        mapping = intake.settings.mapping
        assert mapping is not None  # the section's own check
        self._mapping = mapping
        self._recent: set[bytes] = set()
        self._ahead = False
        self._times = False
        self._outside = 0
        self._connected: Any = None
        self._thread = Breakable(source.name, intake.stopping, self._break_off)
        self._engine().dispose()

    async def run(self) -> None:
        """See :class:`node.ways.running.Way`."""
        while True:
            await self._thread.run(self.look)
            self._intake.account.up = True
            await asyncio.sleep(self._source.every_s)

    def look(self) -> None:
        """Take the rows that are new since the last look.

        Raises:
            InputError: the database refuses, or the watermark can't be one.
            NoRoom: some rows need dead letters; the others are taken.
            Refused: the store can't be written.
            Stopped: the node stops.
        """
        engine = self._engine()
        try:
            with engine.connect() as connection:
                self._connected = connection.connection.driver_connection
                self._follow(connection)
        except SQLAlchemyError as error:
            # The text of such an error holds the statement, and may hold values.
            name = type(getattr(error, "orig", None) or error).__name__
            remedy = "check that the server is up, the names of table and columns, and the rights"
            raise InputError(self._where, f"the database refuses ({name})", remedy) from None
        finally:
            self._connected = None
            engine.dispose()

    def _break_off(self) -> None:
        # By psycopg, psycopg2, oracledb; by sqlite3. Drivers without either are left behind.
        connected = self._connected
        end = getattr(connected, "cancel", None) or getattr(connected, "interrupt", None)
        if end is not None:
            end()

    def _follow(self, connection: sa.Connection) -> None:
        name, source = self._source.name, self._source
        with self._thread.going():
            mark = self._kept()
        greatest = self._greatest(connection)
        if greatest is None:
            return
        if mark is not None and kind(mark) != kind(greatest):
            said = "the watermark has another type: what is followed is read anew"
            log.warning(said, source=name, was=kind(mark), now=kind(greatest))
            mark = None
        elif mark is not None and greatest < below(mark, source.overlap):  # type: ignore[operator] # of one kind
            log.warning("the watermark went back: all rows are read again", source=name)
            mark = None
        seen: deque[bytes] = deque(maxlen=_RECENT)
        full: NoRoom | None = None
        columns, size = self._columns()
        rows, identity = rows_of(source), self._mapping.id
        rows_in = Followed(connection, rows, source.watermark, columns, identity, size)
        for batch in rows_in.batches(*self._where_from(mark)):
            fresh, digests = [], []
            for _, row in batch:
                of = (row.row, row.columns) if isinstance(row, Unread) else row
                digest = hashlib.sha256(repr(of).encode("utf-8", "replace")).digest()[:16]
                digests.append(digest)
                if digest not in self._recent:
                    fresh.append(row)
            with self._thread.going():
                if fresh:
                    self._intake.account.documents += 1
                    try:
                        self._intake.records("sql", SqlRows().rows(fresh, self._intake.settings))
                    except NoRoom as error:
                        full = error
                        continue
                seen += digests
                last = _mark_of(batch[-1][0], self._where)
                if last != mark and full is None:
                    mark = last
                    self._intake.store.set_mark(name, dump_mark(mark, self._what()))
        self._recent = set(seen)
        self._warn_ahead(mark)
        if full is not None:
            raise full

    def _columns(self) -> tuple[list[str], int]:
        """Return the columns that are read, and of how many rows at once.

        Pictures are large: few at once, and none where none is kept.
        """
        picture, named = self._mapping.photo_base64, self._mapping.fields
        if picture and not self._intake.settings.keep_photos:
            named, picture = [name for name in named if name != picture], ""
        columns = list(dict.fromkeys([self._source.watermark, *named]))
        return columns, min(BATCH, PICTURES) if picture else BATCH

    def _what(self) -> str:
        """Return a digest of what is followed: a mark says nothing of anything else."""
        source = self._source
        what = json.dumps([source.table, source.query, source.watermark])
        return hashlib.sha256(what.encode()).hexdigest()

    def _kept(self) -> Mark | None:
        text = self._intake.store.mark(self._source.name)
        mark = load_mark(text, self._what())
        if text and mark is None:
            said = "what is followed has changed: it is followed anew, from its first row"
            log.warning(said, source=self._source.name)
        return mark

    def _warn_ahead(self, mark: Mark | None) -> None:
        """Say once that a time lies so far ahead that rows to come are taken for old ones."""
        if not isinstance(mark, datetime):
            return
        # A time without a zone may be of any; a day is more than zones differ by.
        at = mark.replace(tzinfo=mark.tzinfo or UTC)
        now = datetime.fromtimestamp(self._intake.clock.now_ms() / 1000, UTC)
        ahead = at - now > _FAR
        if ahead and not self._ahead:
            said = "the watermark is more than a day ahead: rows below it are not read"
            log.warning(said, source=self._source.name, remedy="mend the row of that time")
        self._ahead = ahead

    def _greatest(self, connection: sa.Connection) -> Mark | None:
        """Return the greatest value, None where no row has one.

        Times that are none of Python's, such as infinity, are left out, and told once.

        Raises:
            InputError: the greatest value can be no mark; nothing was read yet.
        """
        watermark: sa.ColumnClause[Any] = sa.column(self._source.watermark)
        rows = rows_of(self._source)
        greatest: sa.Select[Any] = sa.select(sa.func.max(watermark)).select_from(rows)
        outside = 0
        try:
            value = connection.execute(greatest).scalar()
            self._times = isinstance(value, datetime)
        except Exception as error:
            if not of_data(error):
                raise
            connection.rollback()
            self._times = True
            value = connection.execute(greatest.where(*in_years(watermark))).scalar()
        if self._times:
            count: sa.Select[Any] = sa.select(sa.func.count()).select_from(rows)
            beyond = sa.not_(sa.and_(*in_years(watermark)))
            outside = connection.execute(count.where(beyond)).scalar() or 0
        if outside and not self._outside:
            said = "rows whose watermark is infinite, or of no year from 1 to 9999, are not read"
            log.warning(said, source=self._source.name, rows=outside, remedy="mend these rows")
        self._outside = outside
        return None if value is None else _mark_of(value, self._where)

    def _where_from(self, mark: Mark | None) -> list[sa.ColumnElement[bool]]:
        watermark: sa.ColumnClause[Any] = sa.column(self._source.watermark)
        where: list[sa.ColumnElement[bool]] = [watermark.is_not(None)]
        if self._times:
            where += in_years(watermark)
        if mark is not None:
            where.append(watermark >= below(mark, self._source.overlap))
        return where

    def _engine(self) -> sa.Engine:
        url = read_secret_text(self._url).strip()
        try:
            return sa.create_engine(url, poolclass=NullPool, hide_parameters=True)
        except (ArgumentError, ValueError):
            problem = "is not a URL of a database"
            remedy = "write one such as postgresql+psycopg://user:password@host/name"
            raise InputError(self._url, problem, remedy) from None
        except (NoSuchModuleError, ImportError):
            problem = "needs a driver that is not installed"
            remedy = "install it beside the node, such as psycopg for postgresql+psycopg"
            raise InputError(self._url, problem, remedy) from None


def rows_of(source: SqlSource) -> Any:
    """Return what a statement selects from: the table, or the query as one."""
    if source.table:
        schema, _, table = source.table.rpartition(".")
        return sa.table(table, schema=schema or None)
    # The query is the site's own, written in its node.toml. Without AS: Oracle
    # takes none before such a name, and no database asks for one.
    return sa.text(f"({source.query}) accord_rows")


def kind(mark: Mark) -> str:
    """Return what a mark can be compared with: a database compares one kind alone, too."""
    if isinstance(mark, datetime):
        return "local time" if mark.tzinfo is None else "time with zone"
    return "number"


def in_years(watermark: sa.ColumnClause[Any]) -> list[sa.ColumnElement[bool]]:
    """Return what holds for the times that Python has.

    Without a zone: the database compares them in the session's, as drivers give them.
    """
    return [watermark >= datetime.min, watermark <= datetime.max]


def below(mark: Mark, overlap: int) -> Mark:
    """Return the value from which on rows are read again; of times the first, if it is before."""
    if isinstance(mark, datetime):
        try:
            return mark - timedelta(seconds=overlap)
        except OverflowError:
            return datetime.min.replace(tzinfo=mark.tzinfo)
    return mark - overlap


def dump_mark(mark: Mark, what: str) -> str:
    """Return the text that the store keeps: the mark's type, the mark, and what it is of."""
    if isinstance(mark, datetime):
        return json.dumps(["time", mark.isoformat(), what])
    return json.dumps([type(mark).__name__, str(mark), what])


def load_mark(text: str, what: str) -> Mark | None:
    """Return the mark of :func:`dump_mark`; None for "", and for one of something else."""
    kind, value, *of = json.loads(text) if text else ("", "")
    if of != [what]:
        return None
    types: dict[str, Callable[[str], Mark]] = {
        "int": int,
        "Decimal": Decimal,
        "time": datetime.fromisoformat,
    }
    return types[kind](value)


def _mark_of(value: object, where: str) -> Mark:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return value
        try:
            return value.astimezone(UTC)
        except OverflowError:  # in the first or last hours that there are
            edge = datetime.min if value.year == 1 else datetime.max
            return edge.replace(tzinfo=UTC)
    if isinstance(value, str):
        remedy = "cast it to a number or a time in query, and name that column"
        raise InputError(where, "the watermark is text, which has no overlap", remedy)
    number = Decimal(repr(value)) if isinstance(value, float) else value
    if isinstance(number, int | Decimal) and not isinstance(number, bool):
        if isinstance(number, Decimal) and not number.is_finite():
            remedy = "mend the row, or leave it out by a query"
            raise InputError(where, "a watermark is not a finite number", remedy)
        return number
    raise InputError(where, "the watermark is no number or time", "name another column")
