"""Connections to PostgreSQL: a pool for searches, one for the owner's own work.

A search runs on a connection that can't write, with a bound on its time: the
server ends a statement after :data:`SEARCH_MS`, and one whose asker has gone is
cancelled. The bound is a hard stop, far above what a search may cost by its own
counts. What writes waits its turn for a lock of ours and has no such bound.

No message of psycopg or of the server goes on: they may hold a row's values.
What is told is the error's class by its SQLSTATE.
"""

import logging
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg import errors
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from accord.errors import Code, InputError, Refused
from node.store.base import Cancelled
from node.store.postgres.address import read_address

SCHEMA = "accord"
SEARCH_MS = 5_000
WRITE_WAIT_MS = 5_000
CHECK_S = 0.02
"""So often a search that runs is asked whether anybody still waits for it."""
_SEARCHES = 8
_WORKERS = 4
_POOL_WAIT_S = 5.0
# Any number does; each is a lock of the database, by the transaction that holds it.
WRITE_LOCK = 0x4163_636F_7264_0001
MIGRATION_LOCK = 0x4163_636F_7264_0002
IMPORT_LOCK = 0x4163_636F_7264_0003
# Shared by all who serve: whoever has it alone knows that nobody does.
SERVING_LOCK = 0x4163_636F_7264_0004
LEADER_LOCK = 0x4163_636F_7264_0005

_SESSION = {
    # Functions and operators come from the system's own schema first, tables from ours.
    "search_path": f"{SCHEMA},pg_temp",
    "timezone": "UTC",
    # A source is told that its reads are kept, and forgets them.
    "synchronous_commit": "on",
    "default_transaction_isolation": "read\\ committed",
    "idle_in_transaction_session_timeout": "60s",
    # Compiling a statement takes longer than any of ours runs.
    "jit": "off",
    # Sorting should not spill plates into files.
    "work_mem": "64MB",
    "lock_timeout": str(WRITE_WAIT_MS),
}
# A server that is gone without a word is noticed within some ten seconds, and not by the
# kernel's own measure, in a quarter of an hour: whoever asks waits, and so do the threads.
NOTICED = {
    "tcp_user_timeout": "10000", "keepalives_idle": "5", "keepalives_interval": "2",
    "keepalives_count": "3",
}  # fmt: skip
LOOKING = {"default_transaction_read_only": "on"}
_SEARCHING = LOOKING | {
    "statement_timeout": str(SEARCH_MS),
    "lock_timeout": "1000",
    # Each search has its index; of plates the server notes nothing by which to choose it.
    "enable_seqscan": "off",
    # A day's whole index by number looks cheap beside ten descents of the one that is meant.
    "random_page_cost": "1.1",
    "cpu_index_tuple_cost": "0.1",
    "cpu_tuple_cost": "0.1",
    # Planning for hundreds of days takes far longer than the look-up. A plan is made once
    # for a text, and leaves out the days that the values don't touch when it runs.
    "plan_cache_mode": "force_generic_plan",
}
_PLANS = 16
"""So many plans a connection keeps: with 400 days each takes 4 MB of the server's memory."""

_CORRUPT = (errors.DataCorrupted, errors.IndexCorrupted)
T = TypeVar("T")

for _name in ("psycopg", "psycopg.pool"):
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).propagate = False


def as_refusal(error: psycopg.Error) -> Refused:
    """Return the refusal that a database error means, by its class alone."""
    if isinstance(error, _CORRUPT):
        return Refused(Code.STORE_CORRUPT, detail="the database is damaged")
    return Refused(Code.STORE_UNAVAILABLE, detail=f"the database says {named(error)}")


def named(error: psycopg.Error) -> str:
    """Return an error's class and its SQLSTATE, where the server gave one."""
    name = type(error).__name__
    return f"{name} ({error.sqlstate})" if error.sqlstate else name


class Watched(psycopg.Connection[TupleRow]):
    """A connection whose statements end when ``cancelled`` says so."""

    cancelled: Cancelled | None = None
    stopped = False
    ends = 0.0

    def pause(self) -> None:
        """See that the search may go on, where it works beside the server.

        Raises:
            Refused: ``NODE_TIMED_OUT``, ``SEARCH_TOO_WIDE``.
        """
        if self.cancelled is not None and self.cancelled():
            raise Refused(Code.NODE_TIMED_OUT, detail="stopped while searching")
        if time.monotonic() > self.ends:
            raise Refused(Code.SEARCH_TOO_WIDE, detail="stopped while searching")

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """See :meth:`psycopg.Connection.wait`."""
        if self.cancelled is None:
            return super().wait(gen, *args, **kwargs)
        return super().wait(self._asking(gen, self.cancelled), interval=CHECK_S)

    def _asking(self, gen: Generator[Any, Any, T], cancelled: Cancelled) -> Generator[Any, Any, T]:
        try:
            awaited = next(gen)
            while True:
                ready = yield awaited
                if not ready and not self.stopped and cancelled():
                    self.stopped = True
                    self.cancel_safe(timeout=1)
                awaited = gen.send(ready)
        except StopIteration as done:
            value: T = done.value
            return value


Pool = ConnectionPool[Watched]


class Connections:
    """The pools of one process. Neither connects before it is asked for a connection."""

    def __init__(self, path: Path, address: Mapping[str, str], *, looking: bool = False) -> None:
        self.path = path
        self.address = address
        self.shut: Refused | None = None
        """Why no search is to run any longer, if so; until the process starts again."""
        self._searches = pool(address, _SEARCHES, _SEARCHING, prepare_threshold=0)
        self._work = pool(address, _WORKERS, LOOKING if looking else {})

    @classmethod
    def open(cls, path: Path, *, looking: bool = False) -> "Connections":
        """Read the address from its file, and see that the server is there.

        Raises:
            InputError: the file is not as it must be, or the server can't be reached.
        """
        address = read_address(path)
        try:
            with connect(address):
                pass
        except psycopg.Error as error:
            raise unreachable(path, error) from None
        return cls(path, address, looking=looking)

    @contextmanager
    def searching(self, cancelled: Cancelled | None = None) -> Iterator[Watched]:
        """Run one search: it can't write, and its time is bounded.

        Raises:
            Refused: as :class:`node.store.base.ReadStore` says.
        """
        if self.shut is not None:
            raise Refused(self.shut.code, detail=self.shut.detail)
        with self._taken(self._searches) as sql:
            sql.cancelled, sql.stopped = cancelled, False
            sql.ends = time.monotonic() + SEARCH_MS / 1000
            try:
                yield sql
            except errors.QueryCanceled:
                code = Code.NODE_TIMED_OUT if sql.stopped else Code.SEARCH_TOO_WIDE
                raise Refused(code, detail="stopped while searching") from None
            finally:
                sql.cancelled = None

    @contextmanager
    def working(self) -> Iterator[Watched]:
        """Run the owner's own work, without a bound; errors as :meth:`searching`."""
        with self._taken(self._work) as sql:
            yield sql

    @contextmanager
    def writing(self) -> Iterator[Watched]:
        """Run one write transaction: all of it or nothing.

        Writers take turns, over all processes, so that row numbers become
        visible in their order. Waits up to five seconds.

        Raises:
            Refused: ``STORE_UNAVAILABLE``, ``STORE_CORRUPT``.
        """
        with self.working() as sql, sql.transaction():
            sql.execute("SELECT pg_advisory_xact_lock(%s)", (WRITE_LOCK,))
            yield sql

    @contextmanager
    def _taken(self, of: Pool) -> Iterator[Watched]:
        try:
            with of.connection() as sql:
                yield sql
        except psycopg.Error as error:
            raise as_refusal(error) from None

    def close(self) -> None:
        """Close all connections; none may be in use any longer."""
        self._searches.close()
        self._work.close()


def _keep_plans(sql: Watched) -> None:
    sql.prepared_max = _PLANS


def pool(
    address: Mapping[str, str],
    most: int,
    more: Mapping[str, str],
    *,
    wait_s: float = _POOL_WAIT_S,
    again_s: float = 10.0,
    **how: object,
) -> Pool:
    """Return a pool of up to ``most`` connections, with ``more`` settings than every one has.

    ``how`` they are made is psycopg's to say.
    Whoever asks for one waits ``wait_s`` at most, also while the server is away, and
    finds one at the latest ``again_s`` after it came back.
    """
    return ConnectionPool(
        connection_class=Watched,
        kwargs={**address, **NOTICED, "options": options(more), "autocommit": True, **how},
        configure=_keep_plans,
        min_size=0,
        max_size=most,
        timeout=wait_s,
        max_idle=300,
        reconnect_timeout=again_s,
        # One that a restart of the server has ended is not handed out.
        check=ConnectionPool.check_connection,
        open=True,
    )


def connect(
    address: Mapping[str, str], more: Mapping[str, str] | None = None
) -> psycopg.Connection[TupleRow]:
    """Return a connection beside the pools, for steps of the tables, for listening and for the log.

    ``more`` are settings of its session beside those of all.

    Raises:
        psycopg.Error: as the server says.
    """
    told = make_conninfo(**{**address, **NOTICED}, options=options(more or {}))
    return psycopg.connect(told, autocommit=True)


def unreachable(path: Path, error: psycopg.Error) -> InputError:
    """Return what a person is told when the server does not take us."""
    remedy = "check that the server runs, and host, user, password and TLS of the URL with psql"
    return InputError(path, f"the database can't be reached or refuses ({named(error)})", remedy)


def options(more: Mapping[str, str]) -> str:
    """Return how a session is set: as every one of ours is, and ``more``."""
    return " ".join(f"-c {name}={value}" for name, value in {**_SESSION, **more}.items())
