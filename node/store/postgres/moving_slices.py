"""A store whose reads are on several servers as one side of a move.

The number of a read's row names its slice, which the other side knows nothing of: of a read
its plate tells it, of a hit the read that is there already.
"""

from collections.abc import Sequence
from pathlib import Path

from accord.clock import Clock
from node.store.cells import cell_of
from node.store.moving import HITS, READS, Row, Table
from node.store.numbers import FIRST, number_of
from node.store.postgres.adding_to_slices import note_hits, put, slices_of
from node.store.postgres.connections import Connections
from node.store.postgres.migrations import Sql
from node.store.postgres.moving import FORGOTTEN, LAT, LON, PostgresSide
from node.store.postgres.parts import last_row, row_number
from node.store.postgres.places import Place
from node.store.postgres.purge import forget
from node.store.postgres.shards import Shards, shards_of
from node.store.postgres.slices import enter, row_of_slice
from node.store.postgres.wording import Worded

_PLATE, _CAPTURED, _HIT_CAPTURED = (
    READS.names.index("plate"), READS.names.index("captured_ms"), HITS.names.index("captured_ms"),
)  # fmt: skip
_ROWS = """
    SELECT of_read.row_id
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS d (low, high, at) CROSS JOIN LATERAL (
        SELECT row_id FROM reads
        WHERE row_id >= low AND row_id <= high AND captured_ms = at OFFSET 0
    ) AS of_read
"""


class SlicesSide(PostgresSide):
    """A :class:`node.store.moving.Side` on several servers."""

    def __init__(
        self, path: Path, shards: Sequence[Path], clock: Clock, *, put_back: bool = False
    ) -> None:
        """Connect to all servers, and make the tables if need be.

        ``put_back`` says that :meth:`take_over` follows.

        Raises:
            InputError: one can't be reached or used, or is not set as it must be.
        """
        connections = Connections.open(path)
        self._shards = Shards(connections, shards_of(shards), put_back=put_back)
        super().__init__(path, clock, self._shards)
        if not put_back:
            with self._shards.adding():
                # What was cut off while it was written is no read of this store.
                pass

    def take_over(self) -> None:
        """See :meth:`node.store.moving.Side.take_over`."""
        self._shards.take_over()

    def change(self, table: Table, gone: Sequence[Row], new: Sequence[Row]) -> None:
        """See :meth:`node.store.moving.Side.change`."""
        if table.name == READS.name:
            self._change_own_reads(gone, new)
        elif table.name == HITS.name:
            self._change_own_hits(gone, new)
        else:
            super().change(table, gone, new)

    def _change_own_reads(self, gone: Sequence[Row], new: Sequence[Row]) -> None:
        with self._shards.adding() as (sql, ats):
            of_plate = slices_of(sql, len(ats), {row[_PLATE] for row in (*gone, *new)})
            by_slice: dict[int, list[Row]] = {}
            for row in gone:
                by_slice.setdefault(of_plate[row[_PLATE]], []).append(_in_slice(row, of_plate))
            for number, rows in by_slice.items():
                at = ats[number]
                enter(at, number)
                at.execute(
                    "DELETE FROM reads USING unnest(%s::bigint[], %s::bigint[]) AS d (row, at) "
                    "WHERE row_id = d.row AND captured_ms = d.at",
                    ([row[0] for row in rows], [row[_CAPTURED] for row in rows]),
                )
                known = [tuple(row[place] for place in FORGOTTEN) for row in rows]
                forget(Place(sql, at, number=number), known)
            if new:
                rows = [(*_in_slice(row, of_plate), cell_of(row[LAT], row[LON])) for row in new]
                last = FIRST + max(row[0] for row in new)
                # Else they would be taken for what was cut off.
                sql.execute("UPDATE upkeep SET last_read = greatest(last_read, %s)", (last,))
                put(sql, ats, rows, last, self._clock.now_ms())

    def _change_own_hits(self, gone: Sequence[Row], new: Sequence[Row]) -> None:
        with self._shards.adding() as (sql, ats):
            found: dict[int, int] = {}
            for number, at in ats.items():
                enter(at, number)
                found |= _rows_of(at, (*gone, *new))
            old, rows = ([_met(row, found) for row in some] for some in (gone, new))
            keys = " AND ".join(f"{name} = %s" for name in HITS.names[: HITS.key])
            if old:
                cursor = sql.cursor()
                cursor.executemany(
                    f"DELETE FROM hits WHERE {keys}",  # noqa: S608 - our own texts
                    [HITS.key_of(row) for row in old],
                )
            self._put(Worded(sql), HITS, rows)
            note_hits(sql, ats, [row[0] for row in (*old, *rows)])

    def _own(self, table: Table, row: Row | None) -> Row | None:
        if row is None or table.name not in (READS.name, HITS.name):
            return row
        if table.name == READS.name:
            # Of one number there is one read: it is up to that, or behind it.
            return (last_row(FIRST + row[0]), *row[1:])
        found: dict[int, int] = {}
        for number in self._shards.numbers():
            with self._shards.looking(number) as place:
                found |= _rows_of(place.at, [row])
        return _met(row, found)


def _in_slice(row: Row, of_plate: dict[str, int]) -> Row:
    number = of_plate[row[_PLATE]]
    return (row_of_slice(FIRST + row[0], row[_CAPTURED], number), *row[1:])


def _rows_of(at: Sql, hits: Sequence[Row]) -> dict[int, int]:
    """Return the row numbers of those reads that are in a slice, by the reads' numbers."""
    reads = {row[0]: row[_HIT_CAPTURED] for row in hits}
    values = (
        [row_number(FIRST + read, 0) for read in reads],
        [last_row(FIRST + read) for read in reads],
        list(reads.values()),
    )
    return {number_of(row): row for (row,) in at.execute(_ROWS, values)}


def _met(hit: Row, found: dict[int, int]) -> Row:
    """Return a hit with its read's row number; one of no read is in the first slice."""
    none = row_of_slice(FIRST + hit[0], hit[_HIT_CAPTURED], 0)
    return (found.get(hit[0], none), *hit[1:])
