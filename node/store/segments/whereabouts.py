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

import threading
from collections.abc import Iterable, Mapping, Sequence
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
        self._bits: dict[int, int] = {}
        self._plates = _Signature(_FIRST_SIZE)
        self._ids = _Signature(_FIRST_SIZE)
        self._version = self._last = 0
        self.used = False

    def read_in(self, moment: Moment, pool: Pool) -> None:
        """Read all segments, which takes some seconds for ten million reads; then it is used.

        Raises:
            Gone: a segment went meanwhile.
            sqlite3.Error: as the connection says.
        """
        with self._mutex:
            most = 0
            for one in moment.listed:
                sql = pool.take(one.number)
                try:
                    (rows,) = sql.execute("SELECT count(*) FROM reads").fetchone()
                finally:
                    pool.give(one.number, sql)
                most = max(most, rows)
            size = max(_FIRST_SIZE, 1 << (_PER_READ * most - 1).bit_length() if most else 0)
            self._plates, self._ids, self._bits = _Signature(size), _Signature(size), {}
            self._follow(moment)
            self._take_in(moment.listed, pool, 0)
            self._last, self.used = moment.last_row, True

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
                new = self._follow(moment)
                self._take_in([one for one in moment.listed if one.number in new], pool, 0)
            if self._last < moment.last_row:
                self._take_in(moment.listed, pool, self._last)
                self._last = moment.last_row

    def note(
        self, stored: Mapping[int, Sequence[tuple[str, bytes]]], before: int, last: int
    ) -> None:
        """Note plate and source identifier of reads just stored, by their segments.

        ``before`` is the last row number that was given out before them, ``last`` theirs.
        """
        with self._mutex:
            if self._last != before or any(number not in self._bits for number in stored):
                return  # read from the segments before the next look
            for number, keys in stored.items():
                bit = self._bits[number]
                self._plates.add(_hashed(plate for plate, _ in keys), bit)
                self._ids.add(_hashed(source_id for _, source_id in keys), bit)
            self._last = last

    def add(self, number: int, keys: Sequence[tuple[str, bytes]]) -> None:
        """Note plates and source identifiers of reads that are about to lie in a segment.

        Of one that has no bit yet everything is read in when it gets one.
        """
        with self._mutex:
            if (bit := self._bits.get(number)) is not None:
                self._plates.add(_hashed(plate for plate, _ in keys), bit)
                self._ids.add(_hashed(source_id for _, source_id in keys), bit)

    def of_plates(self, plates: Sequence[str], listed: Sequence[Segment]) -> list[Sequence[str]]:
        """Return, for each segment, the plates that it may have."""
        if not self.used:
            return [plates for _ in listed]
        with self._mutex:
            if len(plates) == 1:
                mask, bits = self._plates.mask(hash(plates[0])) | 1 << _BITS, self._bits
                return [plates if mask >> bits.get(one.number, _BITS) & 1 else () for one in listed]
            masks = self._plates.masks(_hashed(plates))
            return [self._among(plates, masks, one) for one in listed]

    def of_ids(self, ids: Sequence[bytes], listed: Sequence[Segment]) -> list[Sequence[bytes]]:
        """Return, for each segment, the source identifiers that it may have."""
        if not self.used or not ids:
            return [ids for _ in listed]
        with self._mutex:
            masks = self._ids.masks(_hashed(ids))
            return [self._among(ids, masks, one) for one in listed]

    def _among(self, keys: Sequence[_Key], masks: _Masks, one: Segment) -> Sequence[_Key]:
        bit = self._bits.get(one.number)
        if bit is None:
            return keys
        found = np.flatnonzero(masks & np.uint64(1 << bit))
        return [keys[place] for place in found.tolist()]

    def _follow(self, moment: Moment) -> set[int]:
        """Give each new segment a bit, take those of segments that are gone; return the new."""
        self._version = moment.version
        numbers = {one.number for one in moment.listed}
        if gone := set(self._bits) - numbers:
            mask = sum(1 << self._bits.pop(number) for number in gone)
            self._plates.clear(mask)
            self._ids.clear(mask)
        free = sorted(set(range(_BITS)) - set(self._bits.values()))
        new = numbers - set(self._bits)
        self._bits.update(zip(sorted(new), free, strict=False))
        return new

    def _take_in(self, listed: Sequence[Segment], pool: Pool, after: int) -> None:
        for one in listed:
            bit = self._bits.get(one.number)
            if bit is None:
                continue
            sql = pool.take(one.number)
            try:
                # Each column from an index of its own where all is read.
                which = ("", ()) if not after else ("WHERE row_id > ?", (after,))
                found = sql.execute(f"SELECT plate FROM reads {which[0]}", which[1])  # noqa: S608
                while rows := found.fetchmany(_CHUNK):
                    self._plates.add(_hashed(plate for (plate,) in rows), bit)
                found = sql.execute(f"SELECT source_id FROM reads {which[0]}", which[1])  # noqa: S608
                while rows := found.fetchmany(_CHUNK):
                    self._ids.add(_hashed(source_id for (source_id,) in rows), bit)
            finally:
                pool.give(one.number, sql)


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
