"""Whole copies of a node's SQLite files, made while others read and write them.

``VACUUM INTO`` copies one moment of a database in a read transaction: in WAL mode
nobody waits for it. SQLite's page-wise backup would begin anew with each write of
another process, so under constant arrivals never end; and it copies free pages,
where parts of deleted rows may stand until the next purge ends. The copy has none
of them, and is one file without a journal.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from accord.errors import InputError
from node.store.connections import Bounded, as_refusal
from node.store.numbers import GAP


def copy_database(source: Path, target: Path) -> None:
    """Copy a database as it stands now to a new file of mode 0600; it is not synced.

    Raises:
        InputError: there is no such database, or it can't be copied.
        Refused: ``STORE_CORRUPT``, ``STORE_UNAVAILABLE``.
    """
    if not source.is_file():
        raise InputError(source, "is not there", "start the node once, so that it is made")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(target, flags, 0o600))
    try:
        with closing(Bounded(source, looking=True).sql) as sql:
            # Only now may it write, and to the copy alone: it was opened read only.
            sql.set_progress_handler(None, 0)
            sql.execute("PRAGMA query_only=OFF")
            sql.execute("VACUUM INTO ?", (str(target),))
    except sqlite3.Error as error:
        raise as_refusal(error) from None


def number_on(path: Path) -> None:
    """Let a store that is an older one give its next reads numbers that nobody has seen.

    Read ids that others hold are made of row numbers: what was read after the copy was
    made had numbers too.

    Raises:
        Refused: ``STORE_CORRUPT``, ``STORE_UNAVAILABLE``.
    """
    try:
        with closing(Bounded(path).sql) as sql:
            text = "UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'reads'"
            if not sql.execute(text, (GAP,)).rowcount:
                sql.execute("INSERT INTO sqlite_sequence VALUES ('reads', ?)", (GAP,))
    except sqlite3.Error as error:
        raise as_refusal(error) from None
