"""The leader's seat, a lock of the database: it goes with the connection that has it.

The connection is its own, and asked whenever somebody wants to know. What is behind it
answers within :data:`ANSWER_S`, or counts as lost. The server looks after it in turn:
where a machine has vanished it notices after some eleven seconds, longer than whoever
leads there needs to notice that the server is away.

A leader that stands still (SIGSTOP, a machine that is paused) keeps its connection, but
asks nothing. The server knows when each connection asked last, by its own clock: who
wants the seat ends one that has not for :data:`~node.common.STANDING_S`. Its role may,
since it is the same.

Every process that serves has :data:`SERVING_LOCK` beside it, shared with the others:
who must know that none serves takes it alone. All have one data folder, known by a
mark in it: photos and what was seen of partners' files are there. In it stands also which
server they have, and its timeline, which a standby that takes over raises: the server
that it took over from is refused from then on, should it come back.
"""

import secrets
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import structlog
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from accord.durable import create_file, replace_file
from accord.errors import InputError
from node.common import STANDING_S
from node.config import FOLDER_ID, SERVER_ID
from node.store.postgres.connections import LEADER_LOCK, SERVING_LOCK, options, unreachable

ANSWER_S = 2.0
_LOOK_S = 0.1
_KEPT = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "idle_session_timeout": "0",
}
# A lock of 64 bits is told in two halves, and the database's own.
_END_STANDING = """
    SELECT pg_terminate_backend(pid)
    FROM pg_locks JOIN pg_stat_activity AS process USING (pid)
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
        AND (classid::bigint << 32 | objid::bigint) = %s
        AND database = process.datid AND process.datname = current_database()
        AND clock_timestamp() - state_change > make_interval(secs => %s)
"""
_SERVER = """
    SELECT system_identifier::text,
        ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer
    FROM pg_control_system()
"""
T = TypeVar("T")
log = structlog.get_logger()


class _Prompt(psycopg.Connection[TupleRow]):
    """A connection that gives up on an answer that does not come."""

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """See :meth:`psycopg.Connection.wait`."""
        return super().wait(_until(gen, time.monotonic() + ANSWER_S), interval=_LOOK_S)


def _until(gen: Generator[Any, Any, T], ends: float) -> Generator[Any, Any, T]:
    try:
        awaited = next(gen)
        while True:
            ready = yield awaited
            if not ready and time.monotonic() > ends:
                raise psycopg.OperationalError("no answer")
            awaited = gen.send(ready)
    except StopIteration as done:
        value: T = done.value
        return value


def _mark(data: Path) -> str:
    """Return what tells a data folder from any other; it is made with the folder's first start.

    The file's own number in its file system tells it from a copy of the folder on another
    machine; a shared one gives the same number everywhere.
    """
    path = data / FOLDER_ID
    create_file(path, secrets.token_hex(16).encode())
    try:
        return f"{path.read_bytes().decode('ascii', 'replace')} {path.stat().st_ino}"
    except OSError as error:
        raise InputError(path, f"can't be read ({error.strerror})", "check its owner") from None


def _require_newest(url: Path, sql: psycopg.Connection[TupleRow], data: Path) -> None:
    """Refuse a server from which another has taken over; note the one that is not.

    Raises:
        InputError: it is, or the note can't be read or written.
        psycopg.Error: as the server says.
    """
    ((system, timeline),) = sql.execute(_SERVER).fetchall()
    note, own = data / SERVER_ID, f"{system} {timeline}"
    try:
        seen = note.read_text("ascii")
    except FileNotFoundError:
        seen = ""
    except (OSError, UnicodeDecodeError):
        raise InputError(note, "can't be read", "check its owner, or move it away") from None
    known, _, last = seen.partition(" ")
    if known == system and last.isdecimal() and int(last) > timeline:
        problem = f"this server was taken over from: its timeline is {timeline}, and was {last}"
        remedy = f"name the one that took over; only if that is lost for good, move {note} away"
        raise InputError(url, problem, remedy)
    if seen != own:
        replace_file(note, own.encode())


class SharedSeat:
    """A :class:`node.common.Seat` of several processes; by one thread at a time."""

    shared = True

    def __init__(self, path: Path, address: Mapping[str, str], data: Path) -> None:
        """Connect, and say that this process serves; ``path`` names the server.

        Raises:
            InputError: the server can't be reached; somebody needs that nobody serves; those
                who serve have another data folder.
        """
        self._address = address
        self._connection: psycopg.Connection[TupleRow] | None = None
        self._mark = ""
        self._path, self._data = path, data
        try:
            self._join(path, data)
        except psycopg.Error as error:
            self.close()
            raise unreachable(path, error) from None
        except BaseException:
            self.close()
            raise

    def _join(self, path: Path, data: Path) -> None:
        sql = self._connection = self._opened()
        _require_newest(path, sql, data)
        mark = self._mark = _mark(data)
        ends = time.monotonic() + ANSWER_S
        # Alone: it is for us to say which folder it is. Who comes at once waits a moment.
        while not (alone := self._got("SELECT pg_try_advisory_lock(%s)", SERVING_LOCK)):
            if self._got("SELECT pg_try_advisory_lock_shared(%s)", SERVING_LOCK):
                break
            if time.monotonic() > ends:
                problem = "a command is at work that needs the store for itself"
                raise InputError(path, problem, "wait until it is done")
            time.sleep(_LOOK_S)
        if alone:
            sql.execute(
                "INSERT INTO data_folder VALUES (1, %s) "
                "ON CONFLICT (id) DO UPDATE SET mark = excluded.mark",
                (mark,),
            )
            self._got("SELECT pg_try_advisory_lock_shared(%s)", SERVING_LOCK)
            self._got("SELECT pg_advisory_unlock(%s)", SERVING_LOCK)
        elif not self._marked(sql):
            problem = "is not the data folder of the node's processes that serve already"
            raise InputError(data, problem, "name theirs, by a shared file system if need be")

    def _opened(self) -> psycopg.Connection[TupleRow]:
        told = make_conninfo(**self._address, options=options(_KEPT))
        return _Prompt.connect(told, autocommit=True)

    def _connect(self) -> bool:
        """Connect, unless that is done; tell whether this process may serve."""
        if self._connection is None:
            self._connection = self._opened()
            try:
                _require_newest(self._path, self._connection, self._data)
            except InputError:
                self.close()
                raise
            # Meanwhile a command may have the store alone, or others came with another folder.
            if not self._got("SELECT pg_try_advisory_lock_shared(%s)", SERVING_LOCK) or (
                not self._marked(self._connection)
            ):
                self.close()
        return self._connection is not None

    def _marked(self, sql: psycopg.Connection[TupleRow]) -> bool:
        return sql.execute("SELECT mark FROM data_folder").fetchone() == (self._mark,)

    def _got(self, text: str, lock: int) -> bool:
        if self._connection is None:
            return False
        return self._connection.execute(text, (lock,)).fetchone() == (True,)

    def take(self) -> bool:
        """See :meth:`node.common.Seat.take`."""
        try:
            if self._connect():
                if self._got("SELECT pg_try_advisory_lock(%s)", LEADER_LOCK):
                    return True
                self._end_standing()
        except psycopg.Error:
            self.close()
        return False

    def _end_standing(self) -> None:
        """Have the next who asks get the seat, if whoever has it stands still."""
        if self._connection is not None:
            values = (LEADER_LOCK, STANDING_S)
            if self._connection.execute(_END_STANDING, values).fetchall():
                log.error("alert: the process that leads stands still, and another will lead",
                          seconds=STANDING_S)  # fmt: skip

    def held(self) -> bool:
        """See :meth:`node.common.Seat.held`."""
        try:
            if self._connection is not None:
                self._connection.execute("SELECT 1")
                return True
        except psycopg.Error:
            self.close()
        return False

    def leave(self) -> None:
        """See :meth:`node.common.Seat.leave`."""
        try:
            self._got("SELECT pg_advisory_unlock(%s)", LEADER_LOCK)
        except psycopg.Error:
            self.close()

    def close(self) -> None:
        """Let go of all: another may lead, and this process says no longer that it serves."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
