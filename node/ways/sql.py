"""A table or query of any database that SQLAlchemy speaks to, followed by a watermark.

The watermark is a column that only ever grows: a serial number, or the time of
the row's last change. Where we are is kept in the store, after the reads that
it speaks of. Each look reads again what lies from ``overlap`` below the mark on:
rows with the mark's own value, and rows whose transaction ended after those of
greater ones. Where all rows are below that, the table was put back, and is read
anew. Only the database's values are compared, no clock of ours. Rows
without a value are not read. The node needs no right but SELECT.
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
from node.ingest.sql_rows import SqlRows, plain
from node.ways.breakable import Breakable
from node.ways.config import SqlSource
from node.ways.intake import Intake

log = structlog.get_logger()
BATCH = 500
# Rows of the last look that are not handed on again: memory is bounded by it.
_RECENT = 50_000
Mark = int | Decimal | datetime | str


class SqlWay:
    """Looks every few seconds. The URL is read anew each time: a password may change."""

    def __init__(self, intake: Intake, source: SqlSource, base: Path) -> None:
        self._intake = intake
        self._source = source
        self._url = base / source.url
        self._where = f"source {source.name}"
        mapping = intake.settings.mapping
        assert mapping is not None  # the section's own check
        self._columns = list(dict.fromkeys([source.watermark, *mapping.fields]))
        self._recent: set[bytes] = set()
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
            mark = load_mark(self._intake.store.mark(name))
        if mark is not None and self._went_back(connection, mark):
            log.warning("the watermark went back: all rows are read again", source=name)
            mark = None
        seen: deque[bytes] = deque(maxlen=_RECENT)
        statement = self._statement(mark)
        options = {"stream_results": True, "yield_per": BATCH}
        for rows in (
            connection.execute(statement, execution_options=options).mappings().partitions()
        ):
            fresh = []
            for row in rows:
                values = {column: plain(row[column]) for column in self._columns}
                digest = hashlib.sha256(repr(values).encode("utf-8", "replace")).digest()[:16]
                seen.append(digest)
                if digest not in self._recent:
                    fresh.append(values)
            with self._thread.going():
                if fresh:
                    self._intake.account.documents += 1
                    self._intake.records("sql", SqlRows().rows(fresh, self._intake.settings))
                last = _mark_of(rows[-1][source.watermark], self._where)
                if last != mark:
                    mark = last
                    self._intake.store.set_mark(name, dump_mark(mark))
        self._recent = set(seen)

    def _went_back(self, connection: sa.Connection, mark: Mark) -> bool:
        """Tell whether the table ends below what is read again, as after a restore."""
        watermark: sa.ColumnClause[Any] = sa.column(self._source.watermark)
        statement: sa.Select[Any] = sa.select(sa.func.max(watermark)).select_from(self._rows())
        value = connection.execute(statement).scalar()
        if value is None:
            return False
        greatest, low = _mark_of(value, self._where), below(mark, self._source.overlap)
        # Two texts are in the database's order, which we don't know.
        kinds = (datetime,) if isinstance(low, datetime) else (int, Decimal)
        return isinstance(greatest, kinds) and not isinstance(low, str) and greatest < low  # type: ignore[operator] # of one kind

    def _rows(self) -> Any:
        if self._source.table:
            schema, _, table = self._source.table.rpartition(".")
            return sa.table(table, schema=schema or None)
        # The query is the site's own, written in its node.toml.
        return sa.text(f"({self._source.query}) AS accord_rows")

    def _statement(self, mark: Mark | None) -> sa.Select[Any]:
        source = self._source
        watermark: sa.ColumnClause[Any] = sa.column(source.watermark)
        columns: list[Any] = [sa.column(name) for name in self._columns]
        statement: sa.Select[Any] = sa.select(*columns)
        statement = (
            statement.select_from(self._rows()).where(watermark.is_not(None)).order_by(watermark)
        )
        if mark is not None:
            statement = statement.where(watermark >= below(mark, source.overlap))
        return statement

    def _engine(self) -> sa.Engine:
        try:
            url = self._url.read_text().strip()
            return sa.create_engine(url, poolclass=NullPool, hide_parameters=True)
        except (OSError, UnicodeDecodeError):
            raise InputError(self._url, "can't be read", "check the path") from None
        except (ArgumentError, ValueError):
            problem = "is not a URL of a database"
            remedy = "write one such as postgresql+psycopg://user:password@host/name"
            raise InputError(self._url, problem, remedy) from None
        except (NoSuchModuleError, ImportError):
            problem = "needs a driver that is not installed"
            remedy = "install it beside the node, such as psycopg for postgresql+psycopg"
            raise InputError(self._url, problem, remedy) from None


def below(mark: Mark, overlap: int) -> Mark:
    """Return the value from which on rows are read again; of a text, the mark itself."""
    if isinstance(mark, datetime):
        return mark - timedelta(seconds=overlap)
    return mark if isinstance(mark, str) else mark - overlap


def dump_mark(mark: Mark) -> str:
    """Return the text that the store keeps, with the mark's type."""
    if isinstance(mark, datetime):
        return json.dumps(["time", mark.isoformat()])
    return json.dumps([type(mark).__name__, str(mark)])


def load_mark(text: str) -> Mark | None:
    """Return the mark of :func:`dump_mark`; None for ""."""
    if not text:
        return None
    kind, value = json.loads(text)
    of: dict[str, Callable[[str], Mark]] = {
        "int": int,
        "Decimal": Decimal,
        "time": datetime.fromisoformat,
        "str": str,
    }
    return of[kind](value)


def _mark_of(value: object, where: str) -> Mark:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, int | Decimal | datetime | str) and not isinstance(value, bool):
        return value
    raise InputError(where, "the watermark is no number, time or text", "name another column")
