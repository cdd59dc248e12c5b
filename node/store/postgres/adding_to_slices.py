"""Storing reads in slices: each where the hash of its plate says, what points at it here."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from accord.model import Read
from node.store.postgres.adding import CAPTURED, Row, copy_in, find_fresh, note, take_numbers
from node.store.postgres.connections import SCHEMA
from node.store.postgres.migrations import Sql
from node.store.postgres.parts import day_of, parts_of
from node.store.postgres.slices import enter, known_as, row_of_slice, slice_of
from node.store.rows import row_of

_SLICES = (
    "SELECT plate, number FROM unnest(%s::text[]) AS plate, generate_series(0, %s - 1) AS number "  # noqa: S608 - our own name
    f"WHERE satisfies_hash_partition('{SCHEMA}.reads'::regclass, %s, number, plate)"
)


def insert(
    sql: Sql, ats: Mapping[int, Sql], reads: Sequence[Read], now_ms: int
) -> tuple[Sequence[Read], Sequence[int], Mapping[bytes, int]]:
    """Store the new ones of the reads, as :func:`node.store.postgres.adding.insert`.

    ``ats`` are the connections of the slices, each in a transaction.

    Raises:
        psycopg.Error: as a server says.
    """
    fresh, duplicates = find_fresh(sql, reads)
    if not fresh:
        return fresh, duplicates, {}
    of_plate = slices_of(sql, len(ats), {read.plate for read in fresh})
    first = take_numbers(sql, len(fresh))
    numbers = {
        read.source_id: row_of_slice(count, read.captured_ms, of_plate[read.plate])
        for count, read in enumerate(fresh, first)
    }
    rows: list[Row] = [(numbers[read.source_id], *row_of(read)) for read in fresh]
    put(sql, ats, rows, first + len(fresh) - 1, now_ms)
    return fresh, duplicates, numbers


def slices_of(sql: Sql, slices: int, plates: Collection[str]) -> dict[str, int]:
    """Return in which slice each plate's reads lie, as the coordinator says.

    Raises:
        psycopg.Error: as the server says.
    """
    return dict(sql.execute(_SLICES, (list(plates), slices, slices)).fetchall())


def put(sql: Sql, ats: Mapping[int, Sql], rows: Sequence[Row], last: int, now_ms: int) -> None:
    """Put in reads that are new, as rows of the columns and the cell.

    ``last`` is the number of the last of them, in the order of commits.

    Raises:
        psycopg.Error: as a server says.
    """
    by_slice: dict[int, list[Row]] = {}
    for row in rows:
        by_slice.setdefault(slice_of(row[0]), []).append(row)
    parts: dict[int, int] = {}
    for number, own in sorted(by_slice.items()):
        at = ats[number]
        enter(at, number)
        days = make_parts(sql, at, number, {day_of(row[CAPTURED]) for row in own}, now_ms)
        copy_in(at, own)
        at.execute("UPDATE upkeep SET last_read = greatest(last_read, %s)", (last,))
        parts |= {row[0]: days[day_of(row[CAPTURED])] for row in own}
    note(sql, rows, [parts[row[0]] for row in rows])
    sql.execute(
        "UPDATE slices SET last_read = greatest(last_read, %s) WHERE number = ANY(%s)",
        (last, list(by_slice)),
    )


def make_parts(
    sql: Sql, at: Sql, number: int, days: Iterable[int], now_ms: int
) -> Mapping[int, int]:
    """Return the parts of a slice's days, by the numbers that the coordinator knows.

    What is missing is made. ``at`` looks into the slice.

    Raises:
        psycopg.Error: as a server says.
    """
    parts = {day: known_as(part, number) for day, part in parts_of(at, days, now_ms).items()}
    there = [(part, day) for day, part in parts.items() if part]
    sql.execute(
        "INSERT INTO parts (number, day, name) "
        "SELECT *, '' FROM unnest(%s::integer[], %s::integer[]) "
        "ON CONFLICT (number) DO UPDATE SET day = excluded.day",
        ([part for part, _ in there], [day for _, day in there]),
    )
    return parts


def note_hits(sql: Sql, ats: Mapping[int, Sql], rows: Sequence[int]) -> None:
    """Note anew in the slices which of these reads have hits, and here their states.

    Raises:
        psycopg.Error: as a server says.
    """
    hits = sql.execute(
        "SELECT DISTINCT read_row, captured_ms, possible FROM hits WHERE read_row = ANY(%s)",
        (list(rows),),
    ).fetchall()
    by_slice: dict[int, list[tuple[int, int, bool]]] = {slice_of(row): [] for row in rows}
    for hit in hits:
        by_slice[slice_of(hit[0])].append(hit)
    for number, own in by_slice.items():
        at = ats[number]
        enter(at, number)
        at.execute("DELETE FROM hits WHERE read_row = ANY(%s)", (list(rows),))
        if not own:
            continue
        at.execute(
            "INSERT INTO hits SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::boolean[])",
            tuple(list(column) for column in zip(*own, strict=True)),
        )
        states = at.execute(
            "SELECT row_id, state FROM reads WHERE row_id = ANY(%s) AND captured_ms = ANY(%s)",
            ([row for row, *_ in own], [captured for _, captured, _ in own]),
        ).fetchall()
        sql.execute(
            "UPDATE hits SET read_state = new.state "
            "FROM unnest(%s::bigint[], %s::text[]) AS new (row, state) WHERE read_row = new.row",
            ([row for row, _ in states], [state for _, state in states]),
        )
