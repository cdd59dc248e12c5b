"""Whether the tables on the server are of this version; their pages are PostgreSQL's own."""

from pathlib import Path

import psycopg

from node.store.postgres.address import read_address
from node.store.postgres.connections import connect, unreachable
from node.store.postgres.migrations import pending
from node.store.postgres.opening import check_settings
from node.store.soundness import Soundness


def look_at(path: Path) -> tuple[int, Soundness]:
    """Return the size of the database in bytes, and how its tables stand.

    Raises:
        InputError: the file or the server is not as it must be, or can't be reached.
    """
    address = read_address(path)
    try:
        with connect(address) as sql:
            check_settings(path, sql)
            row = sql.execute("SELECT pg_database_size(current_database())").fetchone()
            return int(row[0]) if row else 0, Soundness(0, *pending(sql))
    except psycopg.Error as error:
        raise unreachable(path, error) from None
