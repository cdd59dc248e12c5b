"""Storing reads in PostgreSQL: inside one write transaction, by COPY.

A source's identifier that is known in a part which is there, or in the rest, is a
duplicate. One of a part that was dropped is left over until the next purge has
cleared it away (:mod:`node.store.postgres.purge`), and is known no longer.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from accord.model import Read
from node.store.fast import COLUMNS
from node.store.postgres.migrations import Sql
from node.store.postgres.parts import day_of, parts_of, row_number
from node.store.rows import row_of

_KNOWN = (
    "SELECT source_id FROM source_ids WHERE source_id = ANY(%s) "
    "AND (part = 0 OR part IN (SELECT number FROM parts))"
)
PLATE, _STATE, CAPTURED, SOURCE_ID = (
    COLUMNS.split(", ").index(name) for name in ("plate", "state", "captured_ms", "source_id")
)
HITS_CHANNEL = "accord_hits"
Row = tuple[Any, ...]

_COPY = f"COPY reads ({COLUMNS}, cell) FROM STDIN (FORMAT BINARY)"
_TYPES = (
    "int8", "int8", "text", "text", "text", "text", "text", "text", "text", "int8", "text",
    "bytea", "int4", "int4", "int4", "text", "text", "int4",
)  # fmt: skip
_IDS = (
    "INSERT INTO source_ids (source_id, part) SELECT * FROM unnest(%s::bytea[], %s::integer[]) "
    "ON CONFLICT (source_id) DO UPDATE SET part = excluded.part"
)
# Most plates are there and were seen that day: nothing is written for these.
_PLATES = """
    INSERT INTO plates (plate, state, last_day)
    SELECT * FROM unnest(%s::text[], %s::text[], %s::integer[]) AS new (plate, state, last_day)
    WHERE NOT EXISTS (
        SELECT 1 FROM plates WHERE plates.plate = new.plate AND plates.state = new.state
        AND plates.last_day >= new.last_day
    )
    ON CONFLICT (plate, state) DO UPDATE SET last_day = excluded.last_day
"""


def insert(
    sql: Sql, reads: Sequence[Read], now_ms: int
) -> tuple[Sequence[Read], Sequence[int], Mapping[bytes, int]]:
    """Store the new ones of the reads; return them, the duplicates' places, the row numbers.

    A row number is found by the read's source identifier.

    Raises:
        psycopg.Error: as the server says.
    """
    fresh, duplicates = find_fresh(sql, reads)
    if not fresh:
        return fresh, duplicates, {}
    first = take_numbers(sql, len(fresh))
    numbers = {
        read.source_id: row_number(count, read.captured_ms)
        for count, read in enumerate(fresh, first)
    }
    put(sql, [(numbers[read.source_id], *row_of(read)) for read in fresh], now_ms)
    return fresh, duplicates, numbers


def put(sql: Sql, rows: Sequence[Row], now_ms: int) -> None:
    """Put in reads that are new, as rows of the columns and the cell.

    Raises:
        psycopg.Error: as the server says.
    """
    parts = parts_of(sql, {day_of(row[CAPTURED]) for row in rows}, now_ms)
    copy_in(sql, rows)
    note(sql, rows, [parts[day_of(row[CAPTURED])] for row in rows])


def find_fresh(sql: Sql, reads: Sequence[Read]) -> tuple[list[Read], list[int]]:
    """Return the reads that are not known, and the places of the others.

    Raises:
        psycopg.Error: as the server says.
    """
    known = {
        source_id for (source_id,) in sql.execute(_KNOWN, ([read.source_id for read in reads],))
    }
    duplicates: list[int] = []
    fresh: list[Read] = []
    for place, read in enumerate(reads):
        if read.source_id in known:
            duplicates.append(place)
        else:
            known.add(read.source_id)
            fresh.append(read)
    return fresh, duplicates


def tell_hits(sql: Sql, hits: int) -> None:
    """Tell whoever listens, once this is committed, that there are new hits.

    How many, and nothing else: who listens asks for them.

    Raises:
        psycopg.Error: as the server says.
    """
    if hits:
        sql.execute("SELECT pg_notify(%s, %s)", (HITS_CHANNEL, str(hits)))


def take_numbers(sql: Sql, count: int) -> int:
    """Return the first of so many numbers of reads, in the order of commits.

    Raises:
        psycopg.Error: as the server says.
    """
    ((last,),) = sql.execute(
        "UPDATE upkeep SET last_read = last_read + %s RETURNING last_read", (count,)
    ).fetchall()
    return int(last) - count + 1


def copy_in(sql: Sql, rows: Iterable[Row]) -> None:
    """Write reads into their table, as rows of the columns and the cell.

    Raises:
        psycopg.Error: as the server says.
    """
    with sql.cursor().copy(_COPY) as copy:
        copy.set_types(_TYPES)
        for row in rows:
            copy.write_row(row)


def note(sql: Sql, rows: Sequence[Row], parts: Sequence[int]) -> None:
    """Note the identifiers of the reads' source, each with its part, and their plates.

    Raises:
        psycopg.Error: as the server says.
    """
    sql.execute(_IDS, ([row[SOURCE_ID] for row in rows], list(parts)))
    plates: dict[tuple[str, str], int] = {}
    for row in rows:
        of, day = (row[PLATE], row[_STATE]), day_of(row[CAPTURED])
        plates[of] = max(day, plates.get(of, day))
    columns = [plate for plate, _ in plates], [state for _, state in plates]
    sql.execute(_PLATES, (*columns, list(plates.values())))
