"""What a database must be like before a node takes it: looked at when it is opened."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg

from accord.errors import InputError
from node.store.postgres.connections import SCHEMA, Connections, connect, unreachable
from node.store.postgres.migrations import STEPS, Sql, Step, lacking, migrate, pending
from node.store.postgres.slices import known

LOCKS = 1024
_OLDEST = 150_000
# A search over years locks each day's partition and its indexes.
_SETTINGS = (
    # What was answered or recorded is there after a loss of power. That a commit waits for the
    # disk, each of our sessions says for itself.
    ("fsync", "on", "in postgresql.conf, and reload it"),
    ("full_page_writes", "on", "in postgresql.conf, and reload it"),
    # A process that leads and stands still is known by it: node/store/postgres/seat.py.
    ("track_activities", "on", "for the role, as a superuser: ALTER ROLE ... SET"),
    ("max_locks_per_transaction", str(LOCKS), "in postgresql.conf, and restart the server"),
    # The server's log would hold plates: a value that is there twice, a row of a
    # COPY, the values of a slow statement.
    ("log_error_verbosity", "terse", "for the role, as a superuser: ALTER ROLE ... SET"),
    ("log_parameter_max_length", "0", "for the role, as a superuser: ALTER ROLE ... SET"),
    ("log_parameter_max_length_on_error", "0", "for the role: ALTER ROLE ... SET"),
    # A plan has the values for which it was made.
    ("debug_print_parse", "off", "for the role: ALTER ROLE ... SET"),
    ("debug_print_rewritten", "off", "for the role: ALTER ROLE ... SET"),
    ("debug_print_plan", "off", "for the role: ALTER ROLE ... SET"),
    # There is none where its library is not loaded.
    ("auto_explain.log_min_duration", "-1", "for the role, as a superuser: ALTER ROLE ... SET"),
)


def prepare(path: Path, address: Mapping[str, str]) -> None:
    """See that the server is set as it must be, and bring the tables up.

    Raises:
        InputError: it is not, or can't be reached.
    """
    try:
        with connect(address) as sql:
            check_settings(path, sql)
            require_known(path, sql)
            migrate(sql)
            gone = lacking(sql)
    except psycopg.OperationalError as error:
        raise unreachable(path, error) from None
    except psycopg.Error as error:
        remedy = "let the role own the database, or restore it from the last backup"
        problem = f"the tables can't be made or brought up ({type(error).__name__})"
        raise InputError(path, problem, remedy) from None
    if gone:
        problem = f"tables of the database are gone: {', '.join(gone)}"
        raise InputError(path, problem, "put back its last dump")


def require_known(
    path: Path, sql: Sql, steps: Sequence[Step] = STEPS, schema: str = SCHEMA
) -> None:
    """Refuse tables that a later version of Accord has changed; ``path`` names the server.

    Raises:
        InputError: it has.
        psycopg.Error: as the server says.
    """
    if pending(sql, steps, schema)[1]:
        problem = "a later version of Accord has changed the tables there"
        raise InputError(path, problem, "install that version again")


def require_unsharded(connections: Connections) -> None:
    """See that the reads are in this database, and not in slices on other servers.

    Raises:
        InputError: they are not, or the server can't be reached.
    """
    try:
        with connect(connections.address) as sql:
            sharded = bool(known(sql))
    except psycopg.Error as error:
        raise unreachable(connections.path, error) from None
    if sharded:
        remedy = "name the files with their URLs: shards in [store] of node.toml"
        raise InputError(connections.path, "the reads of this store are on several servers", remedy)


def require_direct(path: Path, sql: Sql) -> None:
    """Refuse a pooler between us and the server; ``path`` names them.

    It hands one connection of the server to many clients in turn. What we keep in a session
    would be another's: the leader's lock, the lock of those who serve, what LISTEN waits for,
    how the session is set. The server tells each client the number of its process when it
    connects; a pooler tells one of its own.

    Raises:
        InputError: there is one.
        psycopg.Error: as the server says.
    """
    if sql.execute("SELECT pg_backend_pid()").fetchone() != (sql.info.backend_pid,):
        problem = "there is a pooler of connections (such as PgBouncer) before the server"
        raise InputError(path, problem, "name the server itself there: the node has its own pool")


def check_settings(path: Path, sql: Sql) -> None:
    """See that the server and the database are set as they must be; ``path`` names them.

    Raises:
        InputError: they are not, or a pooler is before the server.
        psycopg.Error: as the server says.
    """
    require_direct(path, sql)
    if sql.info.server_version < _OLDEST:
        raise InputError(path, "the server is older than PostgreSQL 15", "take a newer one")
    settings: dict[str, str] = dict(
        sql.execute(
            "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)",
            ([*(name for name, *_ in _SETTINGS), "server_encoding"],),
        ).fetchall()
    )
    if settings["server_encoding"] != "UTF8":
        problem = f"the database's encoding is {settings['server_encoding']}"
        raise InputError(path, problem, "make one with ENCODING 'UTF8'")
    for name, value, how in _SETTINGS:
        there = settings.get(name, value)
        if there != value and not (name.startswith("max_") and int(there) >= int(value)):
            problem = f"the server's {name} is {there}"
            raise InputError(path, problem, f"set it to {value} {how}")
