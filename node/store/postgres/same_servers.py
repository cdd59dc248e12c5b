"""Whether the coordinator reaches the same servers as the node, by the same names.

A search goes by way of the coordinator's server, whatever changes reads by the node's own
connections. A host's name, a port left out or the folder of a socket may mean another
server there, such as one with a copy: what is purged would still be found, and what is
new would not. Each shard has a view that tells which server it is that answers:

    accord_all.here      on the shard: when that server was started, and the database's number
    accord.here_on_1     on the coordinator: the same, as it reaches the shard

Nothing that is kept in the database would do: a copy has it too.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import psycopg

from accord.errors import InputError
from node.store.postgres.connections import Connections, connect, named
from node.store.postgres.migrations import Sql
from node.store.postgres.slices import ALL, server_of

_HERE = f"{ALL}.here"
_WHO = """
    SELECT extract(epoch FROM pg_postmaster_start_time())::text || ' ' || oid::text AS who
    FROM pg_database WHERE datname = current_database()
"""
_REMEDY = (
    "let host and port of the URL mean the same server on the coordinator's machine, and start "
    "the node, which tells it the URL anew"
)


def make_here(at: Sql) -> None:
    """Make a shard's view, where it is not there.

    Raises:
        psycopg.Error: as the server says.
    """
    if at.execute("SELECT to_regclass(%s) IS NULL", (_HERE,)).fetchone() == (True,):
        at.execute(f"CREATE VIEW {_HERE} AS {_WHO}")


def join_here(sql: Sql, shards: Iterable[int]) -> None:
    """Let the coordinator ask the views of those shards; in a transaction.

    Raises:
        psycopg.Error: as the server says.
    """
    for shard in shards:
        sql.execute(
            f"CREATE FOREIGN TABLE IF NOT EXISTS here_on_{shard + 1} (who text) "
            f"SERVER {server_of(shard)} OPTIONS (schema_name '{ALL}', table_name 'here')"
        )


def require_all_same(sql: Sql, shards: Sequence[Connections], used: Iterable[int]) -> None:
    """See to those servers that the node can reach, at its start; in a transaction.

    One that the coordinator alone can't reach is left to the searches that need it.

    Raises:
        InputError: the coordinator reaches another one.
        psycopg.Error: as the coordinator says.
    """
    for shard in used:
        try:
            at = connect(shards[shard].address)
        except psycopg.OperationalError:
            continue
        with at:
            require_same(shards[shard].path, sql, at, shard, must_reach=False)


def require_same(path: Path, sql: Sql, at: Sql, shard: int, *, must_reach: bool = True) -> None:
    """See that the coordinator reaches the server to which the node is connected.

    Raises:
        InputError: it reaches another one, or with ``must_reach`` none.
        psycopg.Error: as the node's own connections say.
    """
    # Not there before the first start of this version that finds the server.
    for one, name in ((sql, f"here_on_{shard + 1}"), (at, _HERE)):
        if one.execute("SELECT to_regclass(%s) IS NULL", (name,)).fetchone() == (True,):
            return
    told = ""
    for _ in range(2):
        # Anew where the server was restarted in between.
        own = at.execute(_WHO).fetchall()
        try:
            with sql.transaction():
                other = sql.execute(f"SELECT who FROM here_on_{shard + 1}").fetchall()  # noqa: S608 - our own name
        except psycopg.OperationalError as error:
            if sql.closed:
                raise
            if not must_reach:
                return
            problem = f"the coordinator's server can't reach that one ({named(error)})"
            raise InputError(path, problem, _REMEDY) from None
        except psycopg.Error as error:
            told = f", without our tables ({named(error)})"
        else:
            if own == other:
                return
    problem = f"the coordinator's server reaches another one by that name{told}"
    raise InputError(path, problem, _REMEDY)
