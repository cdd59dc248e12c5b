"""Listening to a SQLite file: any number of times a second, its version is a look at memory."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from node.store.base import Heard
from node.store.connections import Connections

LOOK_S = 0.25


@contextmanager
def listening(path: Path) -> Iterator[Heard]:
    """Yield what waits until another connection has written; in one thread.

    Raises:
        Refused: ``STORE_UNAVAILABLE``, ``STORE_CORRUPT``.
    """
    with closing(Connections(path, looking=True)) as own:
        last = _version(own)

        def heard(seconds: float) -> bool:
            """Look until it is another version, so many seconds at most."""
            nonlocal last
            ends = time.monotonic() + seconds
            while (now := _version(own)) == last:
                if time.monotonic() >= ends:
                    return False
                time.sleep(LOOK_S)
            last = now
            return True

        yield heard


def _version(own: Connections) -> int:
    with own.mine().unbounded() as sql:
        return int(sql.execute("PRAGMA data_version").fetchone()[0])
