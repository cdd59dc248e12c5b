"""Whole copies of a node's SQLite files, made while others read and write them.

``VACUUM INTO`` copies one moment of a database in a read transaction: in WAL mode
nobody waits for it. SQLite's page-wise backup would begin anew with each write of
another process, so under constant arrivals never end; and it copies free pages,
where parts of deleted rows may stand until the next purge ends. The copy has none
of them, and is one file without a journal.
"""

import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from accord.errors import Code, InputError, Refused
from node.store.connections import Bounded, as_refusal, prepare
from node.store.numbers import GAP
from node.store.segments.parts import MISSING, folder_of, listed
from node.store.segments.pool import Gone, Pool
from node.store.segments.spans import Segment
from node.store.statements import SNAPSHOT


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


def copy_reads(source: Path, target: Path) -> None:
    """Copy a store's main file as it stands now, and the segments that it lists.

    A segment may hold reads that were stored since; the main file's copy does not know of
    them (:func:`number_on`). Where one is dropped meanwhile all is begun anew: what was
    held in it is in the main file then.

    Raises:
        As :func:`copy_database`.
    """
    there, here = Pool(folder_of(source)), Pool(folder_of(target))
    while True:
        copy_database(source, target)
        numbers = [one.number for one in _listed(target)]
        if numbers:
            here.folder.mkdir(mode=0o700)
        dropped = False
        for number in numbers:
            try:
                copy_database(there.path(number), here.path(number))
            except (InputError, Refused):
                if number in [one.number for one in _listed(source)]:
                    raise
            # Of one that went meanwhile the journal may not have been read.
            dropped = not there.path(number).exists()
            if dropped:
                break
        if not dropped:
            return
        target.unlink()
        shutil.rmtree(here.folder)


def _listed(path: Path) -> Sequence[Segment]:
    try:
        with closing(Bounded(path, looking=True).sql) as sql:
            return listed(sql)
    except sqlite3.Error as error:
        raise as_refusal(error) from None


def number_on(path: Path) -> None:
    """Let a store that is an older one give its next reads numbers that nobody has seen.

    Read ids that others hold are made of row numbers: what was read after the copy was
    made had numbers too. What segments hold above the last number is removed.

    Raises:
        InputError: its tables can't be brought up.
        Refused: ``STORE_CORRUPT``, ``STORE_UNAVAILABLE``.
    """
    prepare(path)
    pool = Pool(folder_of(path))
    try:
        with closing(Bounded(path).sql) as sql:
            (last,) = sql.execute(SNAPSHOT).fetchone()
            for one in listed(sql):
                with closing(pool.take(one.number)) as part:
                    part.execute("DELETE FROM reads WHERE row_id > ?", (last,))
            text = "UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'reads'"
            sql.execute(text, (GAP,))
    except Gone:
        raise Refused(Code.STORE_CORRUPT, detail=MISSING) from None
    except sqlite3.Error as error:
        raise as_refusal(error) from None
