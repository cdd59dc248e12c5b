"""Foreign servers of a sharded store: how the coordinator itself reaches the slices.

A search goes through them, read only: whatever changes reads does so on connections
of our own to the server (:mod:`node.store.postgres.shards`). What the coordinator's
server is told comes from the files with the shards' URLs, password and all, and is told
anew when they change. A password is handed over as a value, so that no log of the
server has it in a statement; its catalogue keeps it, and a dump of the database has it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from psycopg import sql as words

from accord.errors import InputError
from node.store.postgres.connections import SEARCH_MS, Connections
from node.store.postgres.migrations import Sql
from node.store.postgres.slices import server_of

_EXTENSION = "postgres_fdw"
_OURS = frozenset({"user", "password", "client_encoding"})
_FOREIGN = {
    # One server does not wait for the other.
    "async_capable": "true",
    "fetch_size": "1000",
    # A row of a table with partitions is not told by where it lies, as it would be by
    # postgres_fdw: it would change another one.
    "updatable": "false",
    "truncatable": "false",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": str(SEARCH_MS),
    "options": " ".join(
        f"-c {name}={value}"
        for name, value in (
            ("default_transaction_read_only", "on"),
            ("statement_timeout", str(SEARCH_MS)),
            ("lock_timeout", "1000"),
            ("enable_seqscan", "off"),
            ("jit", "off"),
            ("work_mem", "64MB"),
            # As on a connection for searches in one database, and for the same reasons.
            ("random_page_cost", "1.1"),
            ("cpu_index_tuple_cost", "0.1"),
            ("cpu_tuple_cost", "0.1"),
        )
    ),
}
_MAP = """
    CREATE OR REPLACE FUNCTION pg_temp.map_shard(server text, name text, password text)
    RETURNS void LANGUAGE plpgsql AS $$ BEGIN
        EXECUTE format('DROP USER MAPPING IF EXISTS FOR CURRENT_USER SERVER %I', server);
        EXECUTE format('CREATE USER MAPPING FOR CURRENT_USER SERVER %I '
            'OPTIONS (user %L, password %L)', server, name, password);
    END $$
"""


def require_extension(path: Path, sql: Sql) -> None:
    """See that the coordinator can reach other servers.

    Raises:
        InputError: it can't.
        psycopg.Error: as the server says.
    """
    found = sql.execute(
        "SELECT has_foreign_data_wrapper_privilege(oid, 'USAGE') FROM pg_foreign_data_wrapper "
        "WHERE fdwname = %s",
        (_EXTENSION,),
    ).fetchone()
    if found is None:
        remedy = f"as a superuser, in this database: CREATE EXTENSION {_EXTENSION}"
        raise InputError(path, f"the database lacks {_EXTENSION}, by which it asks others", remedy)
    if not found[0]:
        remedy = f"as a superuser: GRANT USAGE ON FOREIGN DATA WRAPPER {_EXTENSION} TO the role"
        raise InputError(path, f"the role may not use {_EXTENSION}", remedy)


def check_address(path: Path, address: Mapping[str, str]) -> None:
    """See that the coordinator can be told how to reach a shard.

    Raises:
        InputError: the URL says what it can't use.
    """
    for name in ("user", "password"):
        if name not in address:
            remedy = "write postgresql://user:password@host/database"
            raise InputError(path, f"the URL of a shard has no {name}", remedy)
    for name in ("sslcert", "sslkey"):
        if name in address:
            remedy = "leave it out: the coordinator's server shows a password alone"
            raise InputError(path, f"{name} is not taken in the URL of a shard", remedy)


def keep_servers(sql: Sql, shards: Sequence[Connections]) -> None:
    """Have the coordinator know each shard as its file says, where that has changed.

    Raises:
        psycopg.Error: as the server says.
    """
    known: Mapping[str, Mapping[str, str]] = {
        name: _as_options(options)
        for name, options in sql.execute("SELECT srvname, srvoptions FROM pg_foreign_server")
    }
    mapped: Mapping[str, Mapping[str, str]] = {
        name: _as_options(options)
        for name, options in sql.execute(
            "SELECT srvname, umoptions FROM pg_user_mappings WHERE usename = current_user"
        )
    }
    for number, shard in enumerate(shards):
        name, address = server_of(number), shard.address
        wanted = {key: value for key, value in address.items() if key not in _OURS} | _FOREIGN
        if name not in known:
            sql.execute(
                words.SQL("CREATE SERVER {} FOREIGN DATA WRAPPER postgres_fdw OPTIONS ({})").format(
                    words.Identifier(name), _options(wanted, {})
                )
            )
        elif known[name] != wanted:
            sql.execute(
                words.SQL("ALTER SERVER {} OPTIONS ({})").format(
                    words.Identifier(name), _options(wanted, known[name])
                )
            )
        user = {"user": address["user"], "password": address["password"]}
        if mapped.get(name) != user:
            sql.execute(_MAP)
            sql.execute("SELECT pg_temp.map_shard(%s, %s, %s)", (name, *user.values()))


def _as_options(told: Sequence[str] | None) -> Mapping[str, str]:
    return dict(one.split("=", 1) for one in told or ())


def _options(wanted: Mapping[str, str], known: Mapping[str, str]) -> words.Composable:
    """Return the options of CREATE, or of ALTER for what is known already."""
    changes: list[words.Composable] = []
    for name, value in wanted.items():
        if known.get(name) != value:
            verb = words.SQL("SET " if name in known else "ADD " if known else "")
            changes.append(verb + words.Identifier(name) + words.SQL(" ") + words.Literal(value))
    for name in known.keys() - wanted.keys():
        changes.append(words.SQL("DROP ") + words.Identifier(name))
    return words.SQL(", ").join(changes)
