"""The rows of a followed table, those too that the driver can make nothing of.

A driver that can't turn one value into an object of Python (PostgreSQL's infinity,
years before 1 and after 9999, SQLite's text that is no UTF-8) fails for the whole
batch in which the row stands. Such a batch is read again by halves of the
watermark's values. Of the value that is left each row is found by its columns'
texts, cast by the database, and read alone: what can't be is :class:`Unread`, with
texts in place of the values in question. All other errors are the caller's.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, DataError, OperationalError, ProgrammingError

from node.ingest.sql_rows import Row, Unread, plain, plain_id

Given = tuple[Any, Row | Unread]
"""A row's watermark, as the driver gives it, and the row."""
# The longest text that is kept of such a value; Oracle has none longer.
_TEXT = sa.String(4000)


class Followed:
    """Reads rows over one connection in the watermark's order, ``size`` at once.

    ``rows`` is the table or query, ``identity`` the column that names the event, or "".
    """

    def __init__(
        self,
        connection: sa.Connection,
        rows: Any,
        watermark: str,
        columns: Sequence[str],
        identity: str,
        size: int,
    ) -> None:
        self._connection = connection
        self._rows = rows
        self._watermark: sa.ColumnClause[Any] = sa.column(watermark)
        self._columns = columns
        self._identity = identity
        self._size = size

    def batches(self, *where: sa.ColumnElement[bool]) -> Iterator[list[Given]]:
        """Yield batches of rows; a batch is never empty.

        Raises:
            SQLAlchemyError: the database refuses.
        """
        from_here = where
        done: Any = None
        while True:
            last = None
            try:
                for batch in self._read(*from_here):
                    last = batch[-1][0]
                    yield batch
                return
            except Exception as error:
                if not of_data(error):
                    raise
                self._connection.rollback()
                if last is not None:
                    from_here = (*where, self._watermark >= last)
                values = self._values(*from_here)
                if not values or values[0] == done:
                    # No way forward: the value is not found again as it was given.
                    raise
            done = values[-1]
            yield from self._halves(values, (*where, self._watermark <= done))
            from_here = (*where, self._watermark > done)

    def _read(self, *where: sa.ColumnElement[bool]) -> Iterator[list[Given]]:
        names = list(dict.fromkeys([self._watermark.name, *self._columns]))
        options = {"stream_results": True, "yield_per": self._size}
        statement = self._statement([sa.column(name) for name in names], where)
        found = self._connection.execute(statement, execution_options=options).mappings()
        for rows in found.partitions():
            yield [
                (
                    row[self._watermark.name],
                    {name: self._plain(name, row[name]) for name in self._columns},
                )
                for row in rows
            ]

    def _plain(self, name: str, value: object) -> object:
        return plain_id(value) if name == self._identity else plain(value)

    def _statement(
        self, columns: Sequence[Any], where: Sequence[sa.ColumnElement[bool]]
    ) -> sa.Select[Any]:
        statement: sa.Select[Any] = sa.select(*columns).select_from(self._rows)
        return statement.where(*where).order_by(self._watermark)

    def _values(self, *where: sa.ColumnElement[bool]) -> list[Any]:
        """Return the watermarks of the next rows, each once."""
        statement = self._statement([self._watermark], where).limit(self._size)
        return list(dict.fromkeys(self._connection.execute(statement).scalars()))

    def _halves(
        self, values: list[Any], where: Sequence[sa.ColumnElement[bool]]
    ) -> Iterator[list[Given]]:
        here = (*where, self._watermark >= values[0])
        try:
            # All of it before any: what is given on is not read a second time.
            found = list(self._read(*here))
        except Exception as error:
            if not of_data(error):
                raise
            self._connection.rollback()
        else:
            yield from found
            return
        if len(values) > 1:
            half = len(values) // 2
            yield from self._halves(values[:half], (*where, self._watermark < values[half]))
            yield from self._halves(values[half:], where)
        else:
            yield from self._one_by_one(values[0], here)

    def _one_by_one(
        self, value: Any, here: Sequence[sa.ColumnElement[bool]]
    ) -> Iterator[list[Given]]:
        """Yield the rows of one watermark, each alone."""
        forms = {name: self._form(name, here) for name in self._columns}
        cast = [form for form in forms.values() if form is not None]
        texts = self._connection.execute(self._statement(cast, here)).all() if cast else [()]
        for text in dict.fromkeys(tuple(row) for row in texts):
            said = dict(zip((name for name in forms if forms[name] is not None), text, strict=True))
            this = [
                form.is_(None) if said[name] is None else form == said[name]
                for name, form in forms.items()
                if form is not None
            ]
            try:
                yield from list(self._read(*here, *this))
            except Exception as error:
                if not of_data(error):
                    raise
                self._connection.rollback()
                yield [(value, self._unread(said, (*here, *this)))]

    def _form(self, name: str, here: Sequence[sa.ColumnElement[bool]]) -> Any | None:
        """Return the column in a form that can be read, None if there is no such."""
        for kind in (_TEXT, sa.LargeBinary()):
            form = sa.cast(sa.column(name), kind)
            if self._readable(self._statement([form], here)) is not None:
                return form
        return None

    def _unread(self, said: dict[str, Any], this: Sequence[sa.ColumnElement[bool]]) -> Unread:
        row: Row = {}
        bad = []
        for name in self._columns:
            found = self._readable(self._statement([sa.column(name)], this))
            if found is None:
                bad.append(name)
            value = found[0] if found else said.get(name)
            if found is None and isinstance(value, bytes):
                value = value.decode("utf-8", "backslashreplace")
            row[name] = self._plain(name, value)
        return Unread(row, tuple(bad))

    def _readable(self, statement: sa.Select[Any]) -> list[Any] | None:
        try:
            return list(self._connection.execute(statement).scalars())
        except Exception as error:
            # A cast that the database has not is one of the last two.
            if not (of_data(error) or type(error) in (ProgrammingError, DatabaseError)):
                raise
            self._connection.rollback()
            return None


def of_data(error: BaseException) -> bool:
    """Tell whether an error speaks of a value alone, on a connection that lives."""
    if isinstance(error, DataError):
        return not error.connection_invalidated
    if isinstance(error, OperationalError):
        # sqlite3 has no better name for a text that is no UTF-8.
        return "Could not decode to UTF-8" in str(error.orig)
    return isinstance(error, ValueError | OverflowError)
