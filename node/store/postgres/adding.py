"""Storing reads in PostgreSQL: inside one write transaction, by COPY.

A source's identifier that is known in a part which is there, or in the rest, is a
duplicate. One of a part that was dropped is left over until the next purge has
cleared it away (:mod:`node.store.postgres.purge`), and is known no longer.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from accord.model import Read
from node.store.fast import COLUMNS
from node.store.postgres.migrations import Sql
from node.store.postgres.parts import day_of, parts_of, row_number
from node.store.sqlite import row_of

_KNOWN = (
    "SELECT source_id FROM source_ids WHERE source_id = ANY(%s) "
    "AND (part = 0 OR part IN (SELECT number FROM parts))"
)
_PLATE, _STATE, _CAPTURED, _SOURCE_ID = (
    COLUMNS.split(", ").index(name) for name in ("plate", "state", "captured_ms", "source_id")
)
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
    if not fresh:
        return fresh, duplicates, {}
    ((last,),) = sql.execute(
        "UPDATE upkeep SET last_read = last_read + %s RETURNING last_read", (len(fresh),)
    ).fetchall()
    numbers = {
        read.source_id: row_number(count, read.captured_ms)
        for count, read in enumerate(fresh, last - len(fresh) + 1)
    }
    put(sql, [(numbers[read.source_id], *row_of(read)) for read in fresh], now_ms)
    return fresh, duplicates, numbers


def put(sql: Sql, rows: Sequence[tuple[Any, ...]], now_ms: int) -> None:
    """Put in reads that are new, as rows of the columns and the cell.

    Raises:
        psycopg.Error: as the server says.
    """
    days = [day_of(row[_CAPTURED]) for row in rows]
    parts = parts_of(sql, days, now_ms)
    with sql.cursor().copy(_COPY) as copy:
        copy.set_types(_TYPES)
        for row in rows:
            copy.write_row(row)
    sql.execute(_IDS, ([row[_SOURCE_ID] for row in rows], [parts[day] for day in days]))
    plates: dict[tuple[str, str], int] = {}
    for row, day in zip(rows, days, strict=True):
        of = row[_PLATE], row[_STATE]
        plates[of] = max(day, plates.get(of, day))
    columns = [plate for plate, _ in plates], [state for _, state in plates]
    sql.execute(_PLATES, (*columns, list(plates.values())))
