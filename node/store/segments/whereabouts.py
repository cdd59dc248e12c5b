"""In which segments a plate or a source's identifier may lie, in the memory of a serving process.

Each segment has a bit. A table of masks has, at two places that a key's hash tells, the
bits of all segments with that key: both masks together name the segments to look in. Some
are named for nothing (two in a hundred, by the table's size), and none is left out.

    place   0  0101        hash of 7ABC123: places 2 and 3, so segments 0 and 2 may have it
            1  0000
            2  0111
            3  0101

The process notes what it stores; what others stored is read from the segments before the
next look, by row number.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from node.store.segments.pool import Pool
from node.store.segments.spans import Moment, Segment

_Masks: TypeAlias = NDArray[np.uint64]
_Key = TypeVar("_Key", str, bytes)
_BITS = 64
_FIRST_SIZE = 1 << 16
_PER_READ = 8
_CHUNK = 50_000
_HIGH = np.uint64(32)
EVERYWHERE = (1 << _BITS) - 1


class Whereabouts:
    """The masks of plates and of source identifiers, for all threads of a process."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._table = _Table(_FIRST_SIZE)
        self._version = self._last = 0
        self.used = False

    @property
    def is_small(self) -> bool:
        """Tell whether so many reads came that too many segments are named for nothing."""
        return self.used and self._table.most * _PER_READ > 2 * self._table.size

    def read_in(self, moment: Moment, pool: Pool) -> None:
        """Read all segments, which takes some seconds for ten million reads; then it is used.

        Others look and note meanwhile; what they note is read from the segments once more.

        Raises:
            Gone: a segment went meanwhile.
            sqlite3.Error: as the connection says.
        """
        most = 0
        for one in moment.listed:
            with _taken(pool, one) as sql:
                most = max(most, sql.execute("SELECT count(*) FROM reads").fetchone()[0])
        size = max(_FIRST_SIZE, 1 << (_PER_READ * most - 1).bit_length() if most else 0)
        table = _Table(size)
        table.follow(moment.listed)
        for one in moment.listed:
            table.take_in(one, pool, 0)
        with self._mutex:
            self._table, self.used = table, True
            self._version, self._last = moment.version, moment.last_row

    def catch_up(self, moment: Moment, pool: Pool) -> None:
        """Take in what others stored up to a moment.

        Raises:
            As :meth:`read_in`.
        """
        if self._last >= moment.last_row and self._version >= moment.version:
            return
        with self._mutex:
            # Of two threads one may come with an older list.
            if self._version < moment.version:
                new = self._table.follow(moment.listed)
                for one in moment.listed:
                    if one.number in new:
                        self._table.take_in(one, pool, 0)
                self._version = moment.version
            if self._last < moment.last_row:
                for one in moment.listed:
                    self._table.take_in(one, pool, self._last)
                self._last = moment.last_row

    def note(
        self, stored: Mapping[int, Sequence[tuple[str, bytes]]], before: int, last: int
    ) -> None:
        """Note plate and source identifier of reads just stored, by their segments.

        ``before`` is the last row number that was given out before them, ``last`` theirs.
        """
        with self._mutex:
            if self._last == before and all(number in self._table.bits for number in stored):
                for number, keys in stored.items():
                    self._table.add(number, keys)
                self._last = last
            # Else they are read from the segments before the next look.

    def add(self, number: int, keys: Sequence[tuple[str, bytes]]) -> None:
        """Note plates and source identifiers of reads that are about to lie in a segment.

        Of one that has no bit yet everything is read in when it gets one.
        """
        with self._mutex:
            if number in self._table.bits:
                self._table.add(number, keys)

    def of_plates(self, plates: Sequence[str], listed: Sequence[Segment]) -> list[Sequence[str]]:
        """Return, for each segment, the plates that it may have."""
        if not self.used:
            return [plates for _ in listed]
        with self._mutex:
            table = self._table
            if len(plates) == 1:
                # The bit that no segment has stands for one that the table does not know.
                mask, bits = table.plates.mask(hash(plates[0])) | 1 << _BITS, table.bits
                return [plates if mask >> bits.get(one.number, _BITS) & 1 else () for one in listed]
            masks = table.plates.masks(_hashed(plates))
            return [_among(plates, masks, table.bits.get(one.number)) for one in listed]

    def of_ids(self, ids: Sequence[bytes], listed: Sequence[Segment]) -> list[Sequence[bytes]]:
        """Return, for each segment, the source identifiers that it may have."""
        if not self.used or not ids:
            return [ids for _ in listed]
        with self._mutex:
            masks, bits = self._table.ids.masks(_hashed(ids)), self._table.bits
            return [_among(ids, masks, bits.get(one.number)) for one in listed]


class _Table:
    """Both signatures, the bit of each segment, and how many reads the largest has."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.plates, self.ids = _Signature(size), _Signature(size)
        self.bits: dict[int, int] = {}
        self._reads: dict[int, int] = {}

    @property
    def most(self) -> int:
        return max(self._reads.values(), default=0)

    def follow(self, listed: Sequence[Segment]) -> set[int]:
        """Give each new segment a bit, take those of segments that are gone; return the new."""
        numbers = {one.number for one in listed}
        if gone := set(self.bits) - numbers:
            mask = sum(1 << self.bits.pop(number) for number in gone)
            self.plates.clear(mask)
            self.ids.clear(mask)
            for number in gone:
                self._reads.pop(number, None)
        free = sorted(set(range(_BITS)) - set(self.bits.values()))
        new = numbers - set(self.bits)
        self.bits.update(zip(sorted(new), free, strict=False))
        return new

    def add(self, number: int, keys: Sequence[tuple[str, bytes]]) -> None:
        bit = self.bits[number]
        self.plates.add(_hashed(plate for plate, _ in keys), bit)
        self.ids.add(_hashed(source_id for _, source_id in keys), bit)
        self._reads[number] = self._reads.get(number, 0) + len(keys)

    def take_in(self, one: Segment, pool: Pool, after: int) -> None:
        """Read what a segment has above a row number."""
        bit = self.bits.get(one.number)
        if bit is None:
            return
        with _taken(pool, one) as sql:
            if after:
                found = sql.execute("SELECT plate, source_id FROM reads WHERE row_id > ?", (after,))
                while rows := found.fetchmany(_CHUNK):
                    self.add(one.number, rows)
                return
            # Each from an index of its own, which is a fraction of the table.
            for text, signature in (
                ("SELECT DISTINCT plate FROM reads", self.plates),
                ("SELECT source_id FROM reads", self.ids),
            ):
                found = sql.execute(text)
                while rows := found.fetchmany(_CHUNK):
                    signature.add(_hashed(key for (key,) in rows), bit)
            (count,) = sql.execute("SELECT count(*) FROM reads").fetchone()
            self._reads[one.number] = count


class _Signature:
    """Masks at the places of hashes; the size is a power of two."""

    def __init__(self, size: int) -> None:
        self._masks: _Masks = np.zeros(size, np.uint64)
        self._low = np.uint64(size - 1)
        self._size = size

    def add(self, hashes: _Masks, bit: int) -> None:
        mask = np.uint64(1 << bit)
        self._masks[hashes & self._low] |= mask
        self._masks[hashes >> _HIGH & self._low] |= mask

    def masks(self, hashes: _Masks) -> _Masks:
        first: _Masks = self._masks[hashes & self._low]
        second: _Masks = self._masks[hashes >> _HIGH & self._low]
        return first & second

    def mask(self, hashed: int) -> int:
        low = self._size - 1
        return int(self._masks[hashed & low]) & int(self._masks[(hashed >> 32) & low])

    def clear(self, mask: int) -> None:
        self._masks &= np.uint64(EVERYWHERE ^ mask)


def _hashed(keys: Iterable[str] | Iterable[bytes]) -> _Masks:
    # A process's own hash, which nobody outside can aim at.
    return np.array([hash(key) for key in keys], dtype=np.int64).view(np.uint64)


def _among(keys: Sequence[_Key], masks: _Masks, bit: int | None) -> Sequence[_Key]:
    if bit is None:
        return keys
    found = np.flatnonzero(masks & np.uint64(1 << bit))
    return [keys[place] for place in found.tolist()]


@contextmanager
def _taken(pool: Pool, one: Segment) -> Iterator[sqlite3.Connection]:
    sql = pool.take(one.number)
    try:
        yield sql
    finally:
        pool.give(one.number, sql)
