"""Reads sharded by plate: slices on several PostgreSQL servers, each a schema of its own.

The database of ``[store]`` is the coordinator: there ``reads`` is partitioned by the
hash of the plate, and its partitions are foreign tables:

    accord.reads      PARTITION BY HASH (plate)
    accord.reads_00   foreign, on accord_shard_1:  accord_00.reads
    accord.reads_01   foreign, on accord_shard_2:  accord_01.reads
    accord.reads_02   foreign, on accord_shard_1:  accord_02.reads ...

Who looks for no one plate asks each server once, by a view over its slices:

    accord.reads_everywhere   accord.reads_on_1 UNION ALL accord.reads_on_2
    accord.reads_on_1         foreign, on accord_shard_1:  accord_all.reads, the view there

A slice's ``reads`` is partitioned by day, with ``reads_rest``, ``parts`` and ``upkeep``,
as in one database; its ``hits`` notes which reads have hits, for the purge. The
number of slices is fixed when they are made, and a slice may be moved to another
server: docs/operations.md. A read's row number names the slice too:

    number of the read in the order of commits << 22 | slice << 17 | UTC day of capture
"""

from collections.abc import Iterable, Mapping, Sequence

from node.store.numbers import DAY_BITS
from node.store.postgres.connections import SCHEMA
from node.store.postgres.migrations import DAY_MS, PRIVATE, Sql, Step, reads_by_day, rest_by_day
from node.store.postgres.parts import day_of

SLICES = 12
"""Shared out evenly over 2, 3, 4, 6 or 12 servers."""
_DAY_BITS = 17
_SLICE_BITS = 5
_DAYS = 1 << _DAY_BITS
_MASK = (1 << _SLICE_BITS) - 1


ALL = f"{SCHEMA}_all"
EVERYWHERE = "reads_everywhere"


def schema_of(number: int) -> str:
    """Return the schema of a slice, on its server."""
    return f"{SCHEMA}_{number:02}"


def table_of(number: int) -> str:
    """Return the foreign table of a slice, on the coordinator."""
    return f"reads_{number:02}"


def server_of(shard: int) -> str:
    """Return the name of a foreign server, by its place in ``shards`` from 0."""
    return f"{SCHEMA}_shard_{shard + 1}"


def row_of_slice(count: int, captured_ms: int, number: int) -> int:
    """Return the row number of the read that is the ``count``-th of all, in a slice."""
    return count << DAY_BITS | number << _DAY_BITS | day_of(captured_ms) % _DAYS


def slice_of(row_id: int) -> int:
    """Return the slice in which the read lies."""
    return row_id >> _DAY_BITS & _MASK


def span_of(row_id: int) -> tuple[int, int]:
    """Return the half-open span of ms UTC in which the read was captured."""
    day = row_id % _DAYS
    return day * DAY_MS, (day + 1) * DAY_MS


def known_as(part: int, number: int) -> int:
    """Return the number under which the coordinator knows a slice's part; 0 is the rest."""
    return part << _SLICE_BITS | number if part else 0


def own_hits(number: int) -> str:
    """Return the condition for a hit, at the coordinator, of a slice's read."""
    return f"(read_row >> {_DAY_BITS} & {_MASK} = {number})"


def own_plates(slices: int, number: int) -> str:
    """Return the condition for a plate, at the coordinator, of a slice."""
    return f"satisfies_hash_partition('{SCHEMA}.reads'::regclass, {slices}, {number}, plate)"


def looking_into(number: int) -> Mapping[str, str]:
    """Return how a session is set that looks into a slice."""
    return {"search_path": f"{schema_of(number)},pg_temp"}


def enter(at: Sql, number: int) -> None:
    """Have a connection look into a slice, for the rest of its transaction.

    Raises:
        psycopg.Error: as the server says.
    """
    at.execute("SELECT set_config('search_path', %s, true)", (f"{schema_of(number)},pg_temp",))


def steps_of(number: int) -> Sequence[Step]:
    """Return the steps that make a slice's tables: as STEPS, they only ever grow."""

    def reads(sql: Sql) -> None:
        reads_by_day(
            sql,
            f"row_id % {_DAYS} = captured_ms / {DAY_MS} "
            f"AND row_id >> {_DAY_BITS} & {_MASK} = {number}",
        )
        # Of the reads that have hits: what decides when a read goes. The hits are
        # the coordinator's.
        sql.execute(
            "CREATE TABLE hits (read_row bigint NOT NULL, captured_ms bigint NOT NULL, "
            "possible boolean NOT NULL, PRIMARY KEY (read_row, possible))"
        )
        sql.execute("CREATE INDEX hits_by_time ON hits (captured_ms)")
        # Whose slice it is: a store's, by a number drawn when it was sharded.
        sql.execute("CREATE TABLE slice (store uuid NOT NULL, number integer NOT NULL)")

    def told(sql: Sql) -> None:
        # Up to which number the coordinator had committed reads when it last wrote here.
        sql.execute("ALTER TABLE slice ADD COLUMN told bigint NOT NULL DEFAULT 0")

    return (Step("001-reads", reads), Step("002-told", told), Step("003-rest-by-day", rest_by_day))


def known(sql: Sql) -> Mapping[int, int]:
    """Return on which server each slice is, as the coordinator knows it; empty without any.

    Raises:
        psycopg.Error: as the server says.
    """
    if sql.execute("SELECT to_regclass('slices') IS NULL").fetchone() == (True,):
        return {}
    return dict(sql.execute("SELECT number, shard FROM slices ORDER BY number").fetchall())


def stored(sql: Sql) -> Mapping[int, int] | None:
    """Return up to which number of a read each slice must have been written; None without any.

    Raises:
        psycopg.Error: as the server says.
    """
    if not known(sql):
        return None
    return dict(sql.execute("SELECT number, last_read FROM slices").fetchall())


def last(sql: Sql) -> int:
    """Return the number of the last read of which the coordinator knows.

    Raises:
        psycopg.Error: as the server says.
    """
    ((number,),) = sql.execute("SELECT last_read FROM upkeep").fetchall()
    return int(number)


def begin(sql: Sql) -> None:
    """Make the coordinator's own tables, on which slices stand; without any slice yet.

    Raises:
        psycopg.Error: as the server says.
    """
    # last_read: up to which number of a read something was stored in the slice.
    sql.execute(
        "CREATE TABLE IF NOT EXISTS slices (number integer PRIMARY KEY, shard integer, "
        "last_read bigint NOT NULL DEFAULT 0)"
    )
    sql.execute("CREATE TABLE IF NOT EXISTS sharded (store uuid NOT NULL)")
    sql.execute(
        "INSERT INTO sharded SELECT gen_random_uuid() WHERE NOT EXISTS (SELECT 1 FROM sharded)"
    )


def join(sql: Sql, shards: Sequence[int]) -> None:
    """Put the slices into the place of the coordinator's own reads, of which there are none.

    ``shards`` says for each slice on which server it is. In a transaction.

    Raises:
        psycopg.Error: as the server says.
    """
    sql.execute("CREATE TABLE new_reads (LIKE reads) PARTITION BY HASH (plate)")
    sql.execute("DROP TABLE reads")
    sql.execute("ALTER TABLE new_reads RENAME TO reads")
    for number, shard in enumerate(shards):
        attach(sql, number, len(shards), shard)
        sql.execute("INSERT INTO slices VALUES (%s, %s)", (number, shard))
    # One for each day of each slice.
    sql.execute("ALTER TABLE parts DROP CONSTRAINT parts_day_key")
    # What the read of a hit says of its state, for a search that asks by it.
    sql.execute("ALTER TABLE hits ADD COLUMN read_state text COLLATE \"C\" NOT NULL DEFAULT ''")
    _no_statistics(sql, "reads")


def attach(sql: Sql, number: int, slices: int, shard: int) -> None:
    """Make a slice a partition of the reads, in place of where it was before.

    Raises:
        psycopg.Error: as the server says.
    """
    table = table_of(number)
    sql.execute(f"DROP FOREIGN TABLE IF EXISTS {table}")
    sql.execute(
        f"CREATE FOREIGN TABLE {table} PARTITION OF reads "
        f"FOR VALUES WITH (MODULUS {slices}, REMAINDER {number}) SERVER {server_of(shard)} "
        f"OPTIONS (schema_name '{schema_of(number)}', table_name 'reads')"
    )
    _no_statistics(sql, table)


def gather(at: Sql, numbers: Iterable[int]) -> None:
    """Make the view of all slices on a server, where it is not there as it must be.

    Raises:
        psycopg.Error: as the server says.
    """
    parts = [f"{schema_of(number)}.reads" for number in sorted(numbers)]
    with at.transaction():
        at.execute(f"CREATE SCHEMA IF NOT EXISTS {ALL}")
        _view(at, f"{ALL}.reads", parts)


def gather_servers(sql: Sql, shards: Iterable[int]) -> None:
    """Make the coordinator's view of the servers' ones; in a transaction.

    Raises:
        psycopg.Error: as the server says.
    """
    ((columns,),) = sql.execute(
        "SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)) || CASE "
        "WHEN attcollation = '\"C\"'::regcollation THEN ' COLLATE \"C\"' ELSE '' END, ', ' "
        "ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'reads'::regclass AND attnum > 0"
    ).fetchall()
    tables = {shard: f"reads_on_{shard + 1}" for shard in sorted(shards)}
    for shard, table in tables.items():
        if sql.execute("SELECT to_regclass(%s) IS NULL", (table,)).fetchone() == (True,):
            sql.execute(
                f"CREATE FOREIGN TABLE {table} ({columns}) SERVER {server_of(shard)} "
                f"OPTIONS (schema_name '{ALL}', table_name 'reads')"
            )
            _no_statistics(sql, table)
    _view(sql, EVERYWHERE, list(tables.values()))


def _view(sql: Sql, name: str, parts: Sequence[str]) -> None:
    # Told by its remark: a step that changes the columns of reads must drop the view.
    told = "of " + ", ".join(parts)
    found = sql.execute("SELECT obj_description(to_regclass(%s), 'pg_class')", (name,)).fetchone()
    if found != (told,):
        sql.execute(f"DROP VIEW IF EXISTS {name}")
        text = " UNION ALL ".join(f"SELECT * FROM {part}" for part in parts)  # noqa: S608
        sql.execute(f"CREATE VIEW {name} AS {text}")
        sql.execute(f"COMMENT ON VIEW {name} IS '{told}'")


def _no_statistics(sql: Sql, table: str) -> None:
    for column in PRIVATE:
        sql.execute(f'ALTER TABLE {table} ALTER COLUMN "{column}" SET STATISTICS 0')
