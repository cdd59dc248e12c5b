"""The distinct plates of a store, in memory: where a wildcard is looked up.

Plates of one length lie together, one row of bytes for each position, so that
a pattern is compared with all of them position by position:

    position 0   7 7 4 9 ...
    position 1   A A K T ...      "?A*" of this length: the columns with an A here

A million plates take a millisecond that way; SQLite's GLOB over the same list
takes 150, a regular expression 40 to 80 (docs/performance.md).

A plate here is plate and state together: a number alone never matches across
states. The list is a copy of the table ``plates``, which the store keeps in
the same transactions as the reads; before each look-up it is brought up to
date, whichever process wrote: new plates by their rising number, those that no
read has any longer by the numbers in ``plates_gone``. Of a plate that is gone
the bytes are overwritten with zeros, which no pattern matches.

A look-up goes through the plates in parts, and between two of them others have
their turn: the list may then change, so that the place reached is the number of
a plate. Every comparison is numpy's, also that of parts between stars, so the
work is bounded by the pattern's length times the plates there are.
"""

import threading
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from accord.errors import Code, Refused
from accord.plates import MAX_LENGTH
from node.store.shared import Sql

MAX_FOUND = 100_000
"""More plates than this are not looked up among the reads: a hard stop on work.

It counts the plates that there are. The bound on matches, which minds what is
withheld, is far below it.
"""
KEPT_GONE = 100_000
"""So many of the last numbers in ``plates_gone`` are kept; who missed more reads all anew."""

PART = 1 << 16
"""So many plates are compared before others have their turn."""

_NO_MORE = 1 << 62
_CHUNK = 50_000
_FIRST_ROOM = 1024
_NEW = "SELECT id, plate, state FROM plates WHERE id > ? ORDER BY id LIMIT ?"
_GONE = "SELECT seq, plate_id FROM plates_gone WHERE seq > ? ORDER BY seq"
_LAST_GONE = "SELECT coalesce(max(seq), 0) FROM plates_gone"

_Bytes: TypeAlias = NDArray[np.uint8]
_Numbers: TypeAlias = NDArray[np.int64]
_States: TypeAlias = NDArray[np.uint16]
_Places: TypeAlias = NDArray[np.intp]


class Dictionary:
    """The distinct plates, for all threads of a process."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._blocks: dict[int, _Block] = {}
        self._start_anew(0)

    def refresh(self, sql: Sql) -> None:
        """Take in what was committed since the last time; the first time, everything.

        Raises:
            sqlite3.Error, psycopg.Error: as the connection says.
        """
        with self._mutex:
            self._refresh(sql)

    @property
    def used(self) -> bool:
        """Tell whether the plates were read in."""
        return self._last_id > 0

    def __len__(self) -> int:
        return sum(block.alive for block in self._blocks.values())

    def find(
        self,
        sql: Sql,
        pattern: str,
        state: str = "",
        pause: Callable[[], None] = lambda: None,
    ) -> list[str]:
        """Return the plates that fit a checked pattern, each once; of one state where given.

        What is committed when this is called is found. ``pause`` is called after
        each :data:`PART` of the plates, and what it raises ends the look-up.

        Raises:
            Refused: ``SEARCH_TOO_WIDE`` for more than :data:`MAX_FOUND`.
            sqlite3.Error, psycopg.Error: as the connection says.
        """
        with self._mutex:
            self._refresh(sql)
            last_id = self._last_id
            lengths = [size for size, block in self._blocks.items() if block.may_fit(pattern)]
        found: dict[str, None] = {}
        for length in lengths:
            reached = 0
            while reached < last_id:
                with self._mutex:
                    if self._last_id < last_id:
                        # Begun anew since; another's refresh may have been cut short.
                        self._refresh(sql)
                    plates, reached = self._part(pattern, state, length, reached)
                pause()
                found |= dict.fromkeys(plates)
                if len(found) > MAX_FOUND:
                    raise Refused(Code.SEARCH_TOO_WIDE, detail=f"more than {MAX_FOUND} plates")
        return list(found)

    def _part(self, pattern: str, state: str, length: int, after: int) -> tuple[Sequence[str], int]:
        """Return the fitting of the next plates of a length after a number, and the last number.

        The list may be another than it was at the part before: nothing of it is kept.
        """
        block = self._blocks.get(length)
        if block is None:
            return (), _NO_MORE
        code = self._codes.get(state, -1) if state else None
        return block.find(pattern, code, after)

    def _start_anew(self, last_gone: int) -> None:
        for block in self._blocks.values():
            block.wipe()
        self._blocks = {}
        self._codes: dict[str, int] = {}
        self._last_id = 0
        self._last_gone = last_gone

    def _refresh(self, sql: Sql) -> None:
        gone = sql.execute(_GONE, (self._last_gone,)).fetchall() if self._last_id else []
        if not self._last_id or (gone and gone[0][0] != self._last_gone + 1):
            # The first time; or the numbers that were missed are no longer kept.
            self._start_anew(sql.execute(_LAST_GONE).fetchone()[0])
            gone = []
        while rows := sql.execute(_NEW, (self._last_id, _CHUNK)).fetchall():
            self._add(rows)
        if gone:
            self._drop(np.array([plate_id for _, plate_id in gone], dtype=np.int64))
            self._last_gone = gone[-1][0]

    def _add(self, rows: Sequence[tuple[int, str, str]]) -> None:
        """Add plates with rising numbers."""
        ids = np.array([row[0] for row in rows], dtype=np.int64)
        texts = np.array([row[1] for row in rows], dtype=f"S{MAX_LENGTH}")
        codes = np.array(
            [self._codes.setdefault(row[2], len(self._codes)) for row in rows], dtype=np.uint16
        )
        table = texts.view(np.uint8).reshape(len(rows), MAX_LENGTH)
        lengths = np.count_nonzero(table, axis=1)
        for length in np.unique(lengths):
            chosen = lengths == length
            block = self._blocks.setdefault(int(length), _Block(int(length)))
            block.add(ids[chosen], table[chosen, :length].T, codes[chosen])
        self._last_id = rows[-1][0]

    def _drop(self, ids: _Numbers) -> None:
        for block in self._blocks.values():
            block.drop(ids)


class _Block:
    """Plates of one length, in the order of their numbers."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.alive = 0
        self._used = 0
        self._ids: _Numbers = np.zeros(_FIRST_ROOM, np.int64)
        self._codes: _States = np.zeros(_FIRST_ROOM, np.uint16)
        self._text: _Bytes = np.zeros((length, _FIRST_ROOM), np.uint8)

    def add(self, ids: _Numbers, text: _Bytes, codes: _States) -> None:
        """Add plates at the end; ``text`` has a row for each position."""
        end = self._used + len(ids)
        if end > self._ids.size:
            self._move(np.arange(self._used), 2 * end)
        self._ids[self._used : end] = ids
        self._codes[self._used : end] = codes
        self._text[:, self._used : end] = text
        self._used = end
        self.alive += len(ids)

    def drop(self, ids: _Numbers) -> None:
        """Overwrite the plates with these numbers; others are not minded."""
        own = self._ids[: self._used]
        places = np.searchsorted(own, ids)
        places = places[places < self._used]
        places = places[np.isin(own[places], ids)]
        self._text[:, places] = 0
        alive = self._text[0, : self._used] != 0 if self.length else own > 0
        self.alive = int(np.count_nonzero(alive))
        if self.alive < self._used // 2:
            self._move(np.flatnonzero(alive), max(_FIRST_ROOM, 2 * self.alive))

    def wipe(self) -> None:
        """Overwrite all plates."""
        self._text[:] = 0

    def _move(self, places: _Places, room: int) -> None:
        """Copy the plates at these places into new arrays."""
        old = self._ids, self._codes, self._text
        count = len(places)
        self._ids = np.zeros(room, np.int64)
        self._codes = np.zeros(room, np.uint16)
        self._text = np.zeros((self.length, room), np.uint8)
        self._ids[:count], self._codes[:count] = old[0][places], old[1][places]
        self._text[:, :count] = old[2][:, places]
        self._used = count
        old[2][:] = 0

    def may_fit(self, pattern: str) -> bool:
        """Tell whether a plate of this length can fit the pattern."""
        least = len(pattern) - pattern.count("*")
        return least == self.length or ("*" in pattern and least < self.length)

    def find(self, pattern: str, code: int | None, after: int) -> tuple[Sequence[str], int]:
        """Return the plates that fit, of the next ones after a number, and the last number.

        Those of one state where ``code`` is given.
        """
        begin = int(np.searchsorted(self._ids[: self._used], after, "right"))
        end = min(begin + PART, self._used)
        if begin == end:
            return (), _NO_MORE
        first, *inner = pattern.split("*")
        last = inner.pop() if inner else ""
        text, stop = self._text[:, begin:end], self.length - len(last)
        fixed = _literals(first) + _literals(last, stop)
        parts = [part for part in inner if part]
        places = None if parts and not fixed else _places(text, fixed)
        if parts:
            places = _in_order(text, places, parts, len(first), stop)
        assert places is not None  # without inner parts there are fixed ones, or none at all
        places = places + begin
        if code is not None:
            places = places[self._codes[places] == code]
        return self._texts(places), int(self._ids[end - 1])

    def _texts(self, places: _Places) -> list[str]:
        joined = np.ascontiguousarray(self._text[:, places].T).tobytes().decode("ascii")
        size = self.length
        return [joined[n : n + size] for n in range(0, len(joined), size)]


def _literals(part: str, start: int = 0) -> list[tuple[int, int]]:
    """Return place and byte of each character that is no question mark."""
    return [(start + n, ord(sign)) for n, sign in enumerate(part) if sign != "?"]


def _places(text: _Bytes, literals: Sequence[tuple[int, int]]) -> _Places:
    """Return the plates that have all of these; without any, those that are not gone.

    Two rows of bytes are compared whole, letters before digits, since they are
    rarer; of what is left then, a few plates, one by one.
    """
    if not literals:
        return np.flatnonzero(text[0])
    rarest = sorted(literals, key=itemgetter(1), reverse=True)
    flags = text[rarest[0][0]] == rarest[0][1]
    for place, byte in rarest[1:2]:
        flags &= text[place] == byte
    places = np.flatnonzero(flags)
    for place, byte in rarest[2:]:
        places = places[text[place][places] == byte]
    return places


def _in_order(
    text: _Bytes, among: _Places | None, parts: Sequence[str], first: int, stop: int
) -> _Places:
    """Return the plates, of ``among``, with all parts in order between ``first`` and ``stop``.

    Each part is taken where it stands first, as in :func:`accord.plates.matches`.
    """
    free: _Bytes | None = None  # of each plate that is left, where the part before ended
    for part in parts:
        some = text if among is None else text[:, among]
        ends = np.zeros(some.shape[1], np.uint8)
        for offset in range(first, stop - len(part) + 1):
            found = _places(some, _literals(part, offset))
            new = ends[found] == 0
            if free is not None:
                new &= free[found] <= offset
            ends[found[new]] = offset + len(part)
        left = np.flatnonzero(ends)
        among = left if among is None else among[left]
        free = ends[left]
    assert among is not None  # there is a part
    return among
