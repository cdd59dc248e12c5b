"""Rows of a database, by a mapping of its columns (:mod:`node.ingest.mapping`).

They come from a followed table, not from a file. As a document, which a dead
letter is, a row is a line of JSON without its picture, with times marked as such::

    {"plate": "TEST001", "seen": {"time": "2026-03-01T08:30:00-08:00"}, "camera": "PIER-1"}
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from math import isfinite
from typing import Any, BinaryIO
from uuid import UUID

from node.ingest.fields import Found, account
from node.ingest.mapped import mapped, need_mapping
from node.ingest.mapping import Mapping
from node.ingest.report import MAX_CONTENT, NotTaken, Record
from node.ingest.settings import Settings

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Unread:
    """A row of which the driver can't read some columns: their values are texts, or None."""

    row: Row = field(repr=False)
    columns: tuple[str, ...]


class SqlRows:
    """Rows as the dead letters of a followed table keep them."""

    name = "sql"
    about = "rows of a table that the node follows, as dead letters keep them"

    def recognises(self, head: bytes) -> bool:
        """Never: such rows come from our own store."""
        return False

    def mapping_of(self, settings: Settings, source: str = "") -> Mapping:
        """See :class:`node.ingest.formats.ByMapping`."""
        return need_mapping(settings, "SQL", source)

    def parse(self, stream: BinaryIO, settings: Settings) -> Iterator[Record]:
        """Yield each line's row as a read or with the reason why not.

        Raises:
            InputError: no mapping.
        """
        lines = iter(lambda: stream.readline(MAX_CONTENT + 1), b"")
        return self.rows((_row(line) for line in lines), settings)

    def rows(self, rows: Iterable[Row | Unread | bytes], settings: Settings) -> Iterator[Record]:
        """Yield rows as reads; bytes are a line that is no row.

        Raises:
            InputError: no mapping.
        """
        mapping = self.mapping_of(settings)

        def take(row: Row | Unread | bytes) -> Iterator[Found | str]:
            if isinstance(row, bytes):
                raise NotTaken("the line is no row of a database")
            if isinstance(row, Unread):
                raise NotTaken(f"the driver can't read what is in {' and '.join(row.columns)}")
            yield mapped(row.get, mapping, settings, self.name)

        def document(row: Row | Unread | bytes) -> bytes:
            if isinstance(row, bytes):
                return row
            row = row.row if isinstance(row, Unread) else row
            kept = {name: row[name] for name in row if name != mapping.photo_base64}
            return json.dumps(kept, default=lambda value: {"time": value.isoformat()}).encode()

        return account(rows, take, settings, document)


def plain(value: object) -> object:
    """Return a database's value as text, number, time or None.

    Bytes are the text that they are in UTF-8, else base64, as pictures are told; lists
    and objects are JSON; what else a driver gives is its text.
    """
    if value is None or isinstance(value, str | bool | int | float | datetime):
        return value
    if isinstance(value, Decimal | UUID):
        return str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            return b64encode(value).decode()
    return json.dumps(value, default=str) if isinstance(value, dict | list) else str(value)


def plain_id(value: object) -> object:
    """Return the value of a column that is an id: 1, 1.00 and 1.0 are one, as in the database.

    A column's type may change while its numbers stay.
    """
    if isinstance(value, Decimal | float) and isfinite(value) and value == int(value):
        return int(value)
    return plain(value)


def _row(line: bytes) -> Row | bytes:
    try:
        found = json.loads(line, object_hook=_time)
    except (ValueError, RecursionError):
        return line
    return found if isinstance(found, dict) else line


def _time(found: dict[str, Any]) -> object:
    if list(found) == ["time"] and isinstance(found["time"], str):
        return datetime.fromisoformat(found["time"])
    return found
