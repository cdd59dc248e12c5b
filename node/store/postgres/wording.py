"""The texts that both stores share, in PostgreSQL's words.

A text of ``node/store`` is SQLite's. What PostgreSQL says differently is little:

    ?                                          %s
    FROM reads INDEXED BY reads_by_plate       FROM reads
    plate IN (SELECT value FROM json_each(?))  plate = ANY(an array made of the JSON)

An array, since the index over plates or cells is then gone through for each of
its values; a sub-query would be joined.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import psycopg

from node.store.shared import Found, Values

_INDEX = re.compile(r" (?:NOT INDEXED|INDEXED BY \w+)")
_LISTED = re.compile(r'([\w"]+) (NOT )?IN \(SELECT value FROM json_each\(\?\)\)')
_NUMBERS = {"cell": "integer", "row_id": "bigint", "read_row": "bigint"}


@lru_cache(maxsize=4096)
def worded(text: str) -> str:
    """Return a text of SQLite's in PostgreSQL's words."""
    text = _LISTED.sub(_any, _INDEX.sub("", text))
    return text.replace("%", "%%").replace("?", "%s")


def _any(found: re.Match[str]) -> str:
    column, isnt = found.groups()
    kind = f"::{_NUMBERS[column]}" if column in _NUMBERS else ""
    values = f"(ARRAY(SELECT jsonb_array_elements_text(?::jsonb){kind}))"
    return f"{column} != ALL{values}" if isnt else f"{column} = ANY{values}"


class Worded:
    """A connection that takes the shared texts: a :class:`node.store.shared.Sql`."""

    put = staticmethod(worded)

    def __init__(self, sql: psycopg.Connection[Any]) -> None:
        self.sql = sql

    def execute(self, text: str, values: Values = (), /) -> Found:
        """Run a statement.

        Raises:
            psycopg.Error: as the server says.
        """
        return self.sql.execute(self.put(text), values)

    def executemany(self, text: str, rows: Iterable[Values], /) -> Found:
        """Run a statement for each row; errors as :meth:`execute`."""
        cursor = self.sql.cursor()
        cursor.executemany(self.put(text), rows)
        return cursor
