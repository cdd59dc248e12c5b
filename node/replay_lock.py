"""The lock of a data folder: all processes that serve from it have one replay guard.

Of a node on SQLite one process has it, alone. Several processes of a node on one
server share it; in it they write which guard is theirs, so that a process which was
given another server, or none, does not answer a second time what they have answered.
"""

import fcntl
import os
import time
from pathlib import Path

from accord.errors import InputError

FILE_NAME = "replay.lock"
_WAIT_S, _LOOK_S = 2.0, 0.05
_MOST = 100


def lock_alone(path: Path) -> int:
    """Take the lock; return the descriptor that holds it.

    The kernel lets go of it when the process ends, however it ends.

    Raises:
        InputError: another process has it.
    """
    descriptor = _opened(path)
    if not _taken(descriptor, fcntl.LOCK_EX):
        os.close(descriptor)
        problem = "another process is using this node's data"
        raise InputError(path, problem, "stop it first")
    return descriptor


def lock_together(path: Path, guard: str) -> int:
    """Take the lock with all whose guard is the same; return the descriptor that holds it.

    Raises:
        InputError: who has it goes by another guard.
    """
    descriptor, ends = _opened(path), time.monotonic() + _WAIT_S
    while True:
        if _taken(descriptor, fcntl.LOCK_EX):
            # Alone: it is for us to say. Whoever comes in between says it anew.
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, guard.encode(), 0)
        if _taken(descriptor, fcntl.LOCK_SH):
            if os.pread(descriptor, _MOST, 0) == guard.encode():
                return descriptor
            break
        # Somebody is about to share it too, or has it alone.
        if time.monotonic() > ends:
            break
        time.sleep(_LOOK_S)
    os.close(descriptor)
    problem = "a process serves from this data folder whose replay guard is another one"
    remedy = "name one database in [store] of every node.toml, or stop the others first"
    raise InputError(path, problem, remedy)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _taken(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
