"""The tables of the PostgreSQL store, as numbered steps that only ever grow.

Reads lie in one partition for each UTC day of capture, and those of no such
day in ``reads_rest``. A read's row number is

    2^20 + number of the read in the order of commits << 22 | UTC day of capture

so that it rises as the reads become visible, and tells in which partition the
read lies (:mod:`node.store.numbers`). ``upkeep.last_read`` is 2^20 + the number of
the last one: whoever pages through reads sees those up to it.

Texts are compared by their bytes, whatever the database's own order is.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import psycopg

from accord.audit.nodes import made_by
from node.store.numbers import DAY_BITS, FIRST
from node.store.postgres.connections import MIGRATION_LOCK, SCHEMA

Sql = psycopg.Connection[Any]

DAY_MS = 86_400_000
PRIVATE = ("plate", "raw_plate", "case")
"""Columns of a read whose values the server must note nowhere else."""
_TEXT = 'text COLLATE "C" NOT NULL'


class Step(NamedTuple):
    """A step, by the name under which it is kept that it was taken."""

    name: str
    take: Callable[[Sql], None]


def reads_by_day(sql: Sql, row_check: str) -> None:
    """Make the table of reads with its partitions' list and ``upkeep``.

    ``row_check`` is the condition on a row number, for no read of another day or slice.

    Raises:
        psycopg.Error: as the server says.
    """
    sql.execute(
        f"""
        CREATE TABLE reads (
            row_id bigint NOT NULL,
            tag bigint NOT NULL,
            plate {_TEXT},
            raw_plate {_TEXT},
            state {_TEXT},
            captured_ms bigint NOT NULL
                CHECK (captured_ms >= 0 AND captured_ms / {DAY_MS} < {1 << DAY_BITS}),
            camera {_TEXT},
            source_id bytea NOT NULL,
            lat_e7 integer,
            lon_e7 integer,
            cell integer,
            make text COLLATE "C",
            model text COLLATE "C",
            colour text COLLATE "C",
            body text COLLATE "C",
            confidence_pm integer NOT NULL,
            photo {_TEXT},
            "case" {_TEXT},
            PRIMARY KEY (row_id, captured_ms),
            CHECK ({row_check})
        ) PARTITION BY RANGE (captured_ms)
        """
    )
    # What counts before a search runs finds all that it needs in the index.
    sql.execute("CREATE INDEX reads_by_plate ON reads (plate, captured_ms, tag) INCLUDE (row_id)")
    sql.execute(
        "CREATE INDEX reads_by_cell ON reads (cell, captured_ms) INCLUDE (row_id) "
        "WHERE cell IS NOT NULL"
    )
    sql.execute("CREATE INDEX reads_by_photo ON reads (photo) WHERE photo != ''")
    sql.execute("CREATE TABLE reads_rest PARTITION OF reads DEFAULT")
    # For the rest alone: is anything of a day there?
    sql.execute("CREATE INDEX rest_by_time ON reads_rest (captured_ms)")
    # The partitions of days. A number is never used twice, also where a day is.
    sql.execute(
        "CREATE TABLE parts (number integer PRIMARY KEY, day integer NOT NULL UNIQUE, "
        f"name {_TEXT})"
    )
    # One row: the number of the last read and of the last partition; the last day
    # whose partition was dropped and whose plates were not looked after, else -1;
    # were rows deleted since the small tables were last written anew, and when was
    # that (ms UTC)?
    sql.execute(
        "CREATE TABLE upkeep (id integer PRIMARY KEY CHECK (id = 1), last_read bigint NOT NULL, "
        "last_part integer NOT NULL, dropped_day integer NOT NULL, deleted boolean NOT NULL, "
        "rewritten_ms bigint NOT NULL) WITH (fillfactor = 10)"
    )
    sql.execute("INSERT INTO upkeep VALUES (1, 0, 0, -1, false, 0)")
    _no_statistics(sql, "reads", PRIVATE)
    _no_statistics(sql, "reads_rest", PRIVATE)


def rest_by_day(sql: Sql) -> None:
    """Let the rest be asked for a day by an index that no search can take.

    Of plates the server knows nothing. A search by several of them, in the order of
    time, took the index by time on a shard, and went through all of the rest.
    """
    sql.execute("DROP INDEX IF EXISTS rest_by_time")
    # A coordinator of several servers has no reads.
    if sql.execute("SELECT to_regclass('reads_rest') IS NOT NULL").fetchone() == (True,):
        sql.execute(f"CREATE INDEX rest_by_day ON reads_rest ((captured_ms / {DAY_MS}))")


def _reads(sql: Sql) -> None:
    reads_by_day(sql, f"row_id % {1 << DAY_BITS} = captured_ms / {DAY_MS}")
    # A source's identifier says nothing of the time, and is known once in all
    # partitions. That of a part that is not there any longer is not known; 0 is the rest.
    sql.execute("CREATE TABLE source_ids (source_id bytea PRIMARY KEY, part integer NOT NULL)")
    # ``last_day`` is that of the newest read of the plate, or later: who drops
    # a day finds the plates that may have gone with it.
    sql.execute(
        f"CREATE TABLE plates (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, plate {_TEXT}, "
        f"state {_TEXT}, last_day integer NOT NULL, UNIQUE (plate, state)) WITH (fillfactor = 80)"
    )
    sql.execute(
        "CREATE TABLE plates_gone (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
        "plate_id bigint NOT NULL)"
    )
    _no_statistics(sql, "plates", ("plate",))


def _hot_lists(sql: Sql) -> None:
    # As in node/store/migrations.py: a list's entries are written under a new
    # number, and are nobody's until one short transaction makes it the list's.
    sql.execute(
        f"""
        CREATE TABLE hot_lists (
            list {_TEXT} PRIMARY KEY,
            number bigint NOT NULL UNIQUE,
            source {_TEXT},
            published_ms bigint NOT NULL,
            max_age_s bigint NOT NULL,
            hard_limit_s bigint NOT NULL,
            imported_ms bigint NOT NULL,
            entries bigint NOT NULL,
            file_digest bytea NOT NULL
        )
        """
    )
    sql.execute(
        f"""
        CREATE TABLE hot_list_entries (
            skeleton {_TEXT},
            plate {_TEXT},
            state {_TEXT},
            category {_TEXT},
            number bigint NOT NULL,
            PRIMARY KEY (skeleton, plate, state, category, number)
        )
        """
    )
    sql.execute("CREATE INDEX hot_list_entries_by_number ON hot_list_entries (number)")
    # Raised with every change of a list: whoever matches reads looks at it.
    sql.execute(
        "CREATE TABLE hot_list_version (id integer PRIMARY KEY CHECK (id = 1), "
        "version bigint NOT NULL, last_number bigint NOT NULL)"
    )
    sql.execute("INSERT INTO hot_list_version VALUES (1, 1, 0)")
    _no_statistics(sql, "hot_list_entries", ("skeleton", "plate"))


def _hits(sql: Sql) -> None:
    # A hit goes with its read: by what deletes the read, since a partition that
    # others refer to can't be dropped without looking through it.
    sql.execute(
        f"""
        CREATE TABLE hits (
            read_row bigint NOT NULL,
            list {_TEXT},
            source {_TEXT},
            listed_plate {_TEXT},
            listed_state {_TEXT},
            category {_TEXT},
            published_ms bigint NOT NULL,
            max_age_s bigint NOT NULL,
            matched_ms bigint NOT NULL,
            age_s bigint NOT NULL,
            captured_ms bigint NOT NULL,
            possible boolean NOT NULL,
            notice {_TEXT},
            PRIMARY KEY (read_row, list, listed_plate, listed_state, category)
        )
        """
    )
    sql.execute("CREATE INDEX hits_by_plate ON hits (listed_plate, captured_ms)")
    sql.execute("CREATE INDEX hits_by_time ON hits (captured_ms)")
    _no_statistics(sql, "hits", ("listed_plate",))


def _dead_letters(sql: Sql) -> None:
    sql.execute(
        f"""
        CREATE TABLE dead_letters (
            letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            digest bytea NOT NULL UNIQUE,
            source {_TEXT},
            format {_TEXT},
            reason {_TEXT},
            arrived_ms bigint NOT NULL,
            content bytea NOT NULL,
            cut boolean NOT NULL
        )
        """
    )
    sql.execute("CREATE INDEX dead_letters_by_source ON dead_letters (source)")
    sql.execute("CREATE INDEX dead_letters_by_time ON dead_letters (arrived_ms)")
    _no_statistics(sql, "dead_letters", ("content",))
    # How far each followed source was read.
    sql.execute(f"CREATE TABLE source_marks (source {_TEXT} PRIMARY KEY, mark {_TEXT})")


def _holds(sql: Sql) -> None:
    # What a case needs is not purged while the hold lasts (node/holds.py).
    sql.execute(
        f"""
        CREATE TABLE holds (
            hold_id {_TEXT} PRIMARY KEY,
            "case" {_TEXT},
            authority {_TEXT},
            placed_by {_TEXT},
            from_ms bigint NOT NULL,
            to_ms bigint NOT NULL,
            placed_ms bigint NOT NULL,
            until_ms bigint NOT NULL,
            plate text COLLATE "C",
            camera text COLLATE "C",
            south_e7 integer,
            west_e7 integer,
            north_e7 integer,
            east_e7 integer,
            CHECK (num_nonnulls(plate, camera, south_e7) = 1)
        )
        """
    )
    _no_statistics(sql, "holds", ("plate", "case"))
    # For the audit log; without a plate, since that outlives the hold.
    sql.execute(
        f"""
        CREATE TABLE notes (
            seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            note_id {_TEXT} UNIQUE,
            decision {_TEXT},
            "case" {_TEXT},
            detail {_TEXT}
        )
        """
    )


def _audit_log(sql: Sql) -> None:
    # As in accord/audit/file.py. Of one size there is one signed checkpoint: the
    # primary key says so, whoever writes.
    sql.execute(
        "CREATE TABLE audit_entries (idx bigint PRIMARY KEY, time_ms bigint NOT NULL, "
        "leaf bytea NOT NULL, key bytea NOT NULL, box bytea NOT NULL)"
    )
    sql.execute("CREATE INDEX audit_entries_by_time ON audit_entries (time_ms)")
    sql.execute(
        "CREATE TABLE audit_terms (term bytea NOT NULL, idx bigint NOT NULL, "
        "PRIMARY KEY (term, idx))"
    )
    sql.execute("CREATE TABLE audit_checkpoints (size bigint PRIMARY KEY, note bytea NOT NULL)")
    sql.execute(
        "CREATE TABLE audit_head (id integer PRIMARY KEY CHECK (id = 1), size bigint NOT NULL, "
        "frontier bytea NOT NULL) WITH (fillfactor = 10)"
    )
    # Whatever is expunged one day must not stand among the statistics.
    _no_statistics(sql, "audit_entries", ("leaf", "key", "box"))


def _common(sql: Sql) -> None:
    # What the processes of one node share: node/store/postgres/claims.py, rates.py.
    sql.execute(
        "CREATE TABLE claims (digest bytea PRIMARY KEY, nonce bytea NOT NULL UNIQUE, "
        "expires_ms bigint NOT NULL, claimed_ms bigint NOT NULL)"
    )
    sql.execute("CREATE INDEX claims_by_expiry ON claims (expires_ms)")
    sql.execute("CREATE INDEX claims_by_time ON claims (claimed_ms)")
    sql.execute(
        "CREATE TABLE replay_guard (id integer PRIMARY KEY CHECK (id = 1), "
        "created_ms bigint NOT NULL, latest_ms bigint NOT NULL)"
    )
    sql.execute(
        "CREATE TABLE rate_counts (who bytea NOT NULL, ends_ms bigint NOT NULL, "
        "queries bigint NOT NULL, PRIMARY KEY (who, ends_ms)) WITH (fillfactor = 50)"
    )


def _numbers(sql: Sql) -> None:
    # Above all that SQLite gives: node/store/numbers.py.
    for table, row in (("reads", "row_id"), ("hits", "read_row")):
        sql.execute(f"UPDATE {table} SET {row} = {row} + {FIRST << DAY_BITS}")  # noqa: S608 - our own texts
    sql.execute(f"UPDATE upkeep SET last_read = last_read + {FIRST}")  # noqa: S608


def _moves(sql: Sql) -> None:
    # See node/store/moving.py.
    sql.execute(
        f"CREATE TABLE moves (side {_TEXT} PRIMARY KEY, store {_TEXT}, whole boolean NOT NULL)"
    )


def _data_folder(sql: Sql) -> None:
    # Which data folder the processes have that serve: node/store/postgres/seat.py.
    sql.execute(f"CREATE TABLE data_folder (id integer PRIMARY KEY CHECK (id = 1), mark {_TEXT})")


def _audit_nodes(sql: Sql) -> None:
    # The hashes of complete subtrees, of a log that was begun without them too:
    # accord/audit/nodes.py.
    sql.execute(
        "CREATE TABLE audit_nodes (level smallint NOT NULL, idx bigint NOT NULL, "
        "hash bytea NOT NULL, PRIMARY KEY (level, idx))"
    )
    with sql.cursor(name="leaves") as leaves:
        leaves.itersize = 1_000
        leaves.execute("SELECT leaf FROM audit_entries ORDER BY idx")
        for made in made_by(leaf for (leaf,) in leaves):
            with sql.cursor() as cursor:
                cursor.executemany("INSERT INTO audit_nodes VALUES (%s, %s, %s)", made)


def _witnesses(sql: Sql) -> None:
    # As in accord/audit/file.py and node/witness_file.py.
    sql.execute(
        "CREATE TABLE audit_cosignatures (size bigint NOT NULL, witness bytea NOT NULL, "
        "line bytea NOT NULL, PRIMARY KEY (witness, size))"
    )
    sql.execute(
        f"CREATE TABLE witnessed (origin {_TEXT} PRIMARY KEY, size bigint NOT NULL, "
        "root bytea NOT NULL, note bytea NOT NULL, at_ms bigint NOT NULL)"
    )
    sql.execute(
        f"CREATE TABLE evidence (id {_TEXT} PRIMARY KEY, kind {_TEXT}, origin {_TEXT}, "
        f"witness {_TEXT}, found_ms bigint NOT NULL, held bytea NOT NULL, other bytea NOT NULL, "
        f"resolved_ms bigint NOT NULL, resolved_by {_TEXT}, reason {_TEXT})"
    )


def _no_statistics(sql: Sql, table: str, columns: Sequence[str]) -> None:
    """Have the server note no values of these columns among its statistics.

    They would stay there when the rows are gone.
    """
    for column in columns:
        sql.execute(f'ALTER TABLE {table} ALTER COLUMN "{column}" SET STATISTICS 0')


# A step that changes ``reads`` or ``parts`` must find both kinds: where reads are sharded
# (:mod:`node.store.postgres.slices`) ``reads`` is joined of foreign tables here, and
# each slice has steps of its own.
STEPS: Sequence[Step] = (
    Step("001-reads", _reads),
    Step("002-hot-lists", _hot_lists),
    Step("003-hits", _hits),
    Step("004-dead-letters", _dead_letters),
    Step("005-holds", _holds),
    Step("006-audit-log", _audit_log),
    Step("007-common", _common),
    Step("008-numbers", _numbers),
    Step("009-moves", _moves),
    Step("010-data-folder", _data_folder),
    Step("011-rest-by-day", rest_by_day),
    Step("012-audit-nodes", _audit_nodes),
    Step("013-witnesses", _witnesses),
)


# What the steps leave there; partitions come and go.
TABLES = (
    "steps", "reads", "parts", "upkeep", "source_ids", "plates", "plates_gone", "hot_lists",
    "hot_list_entries", "hot_list_version", "hits", "dead_letters", "source_marks", "holds",
    "notes", "audit_entries", "audit_terms", "audit_checkpoints", "audit_head", "audit_nodes",
    "audit_cosignatures", "witnessed", "evidence", "claims", "replay_guard", "rate_counts",
    "moves", "data_folder",
)  # fmt: skip


def lacking(sql: Sql) -> tuple[str, ...]:
    """Return the tables that are gone, once all steps were taken.

    Raises:
        psycopg.Error: as the server says.
    """
    text = "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(%s || name) IS NULL"
    return tuple(name for (name,) in sql.execute(text, (list(TABLES), f"{SCHEMA}.")))


def migrate(sql: Sql, steps: Sequence[Step] = STEPS, schema: str = SCHEMA) -> None:
    """Take the steps that were not taken yet, each whole or not at all.

    Two processes that start at once take turns. The connection is in autocommit, and
    looks for tables in ``schema``.

    Raises:
        psycopg.Error: as the server says.
    """
    with sql.transaction():
        sql.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
        sql.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        sql.execute(f"CREATE TABLE IF NOT EXISTS steps (name {_TEXT} PRIMARY KEY)")
    for step in steps:
        with sql.transaction():
            sql.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
            if sql.execute("SELECT 1 FROM steps WHERE name = %s", (step.name,)).fetchone() is None:
                step.take(sql)
                sql.execute("INSERT INTO steps VALUES (%s)", (step.name,))


def pending(sql: Sql, steps: Sequence[Step] = STEPS, schema: str = SCHEMA) -> tuple[int, int]:
    """Return how many steps are to be taken, and how many were taken that are not known here.

    Raises:
        psycopg.Error: as the server says.
    """
    there = sql.execute("SELECT to_regclass(%s) IS NOT NULL", (f"{schema}.steps",)).fetchone()
    taken = set()
    if there is not None and there[0]:
        taken = {name for (name,) in sql.execute(f"SELECT name FROM {schema}.steps")}  # noqa: S608
    known = {step.name for step in steps}
    return len(known - taken), len(taken - known)
