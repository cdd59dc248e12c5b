"""Reading the main file and the segments as if they were one table.

Rows come by bucket and tag, the last first. A segment has one span of captures, so the
segments follow each other, but for a bucket that two share; the main file may have
captures of any time. A segment is asked only when its newest bucket has its turn.
"""

import json
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import closing
from heapq import heappop, heappush
from typing import Any

from node.store.reading import About, Row, Rows
from node.store.segments.pool import Pool, Tick
from node.store.segments.spans import Moment, Segment
from node.store.segments.whereabouts import Whereabouts
from node.store.shared import Sql
from node.store.statements import Statement

_TAG, _CAPTURED_MS = 1, 9
_Asked = tuple[Segment, Statement]


class Files:
    """A :class:`node.store.reading.Reading` of one moment; to be closed.

    ``sql`` is the main file's connection, in a read transaction that began with the moment.
    A segment that was dropped since is read as it was, or raises ``Gone``.
    """

    def __init__(
        self, sql: Sql, moment: Moment, pool: Pool, whereabouts: Whereabouts, tick: Tick
    ) -> None:
        self._sql = sql
        self._moment = moment
        self._pool = pool
        self._whereabouts = whereabouts
        self._tick = tick
        self._taken: dict[int, Any] = {}

    def rows(self, page: Statement, about: About) -> Rows:
        """See :meth:`node.store.reading.Reading.rows`."""
        asked = self._asked(page, about)
        if not asked:
            found: Rows = self._sql.execute(*page)  # type: ignore[assignment]  # a cursor is its own iterator
            return found
        if all(one.to_ms % about.step_ms == 0 for one, _ in asked):
            # Mostly no bucket is shared, and nothing lies in the main file.
            with closing(self._sql.execute(*page)) as beside:
                if beside.fetchone() is None:
                    return self._in_turn(asked)
        return self._merged(page, asked, about.step_ms)

    def count(self, counting: Statement, about: About, most: int) -> int:
        """See :meth:`node.store.reading.Reading.count`."""
        count = int(self._sql.execute(*counting).fetchone()[0])
        for segment, statement in self._asked(counting, about):
            if count > most:
                break
            count += self._segment(segment).execute(*statement).fetchone()[0]
        return count

    def close(self) -> None:
        """Give back what was taken."""
        for number, sql in self._taken.items():
            self._pool.give(number, sql, self._tick)
        self._taken.clear()

    def _segment(self, segment: Segment) -> Sql:
        sql: Sql | None = self._taken.get(segment.number)
        if sql is None:
            sql = self._taken[segment.number] = self._pool.take(segment.number, self._tick)
        return sql

    def _asked(self, statement: Statement, about: About) -> list[_Asked]:
        """Return the segments that may have such rows, the newest first, and what each is asked."""
        from_ms, to_ms = about.span
        near = [one for one in self._moment.listed if one.to_ms > from_ms and one.from_ms < to_ms]
        if about.plates is None or not near:
            return [(one, statement) for one in near]
        among = self._whereabouts.of_plates(about.plates, near)
        if len(about.plates) == 1:
            return [(one, statement) for one, is_there in zip(near, among, strict=True) if is_there]
        return [
            (one, _narrowed(statement, about.plates, plates))
            for one, plates in zip(near, among, strict=True)
            if plates
        ]

    def _in_turn(self, asked: Sequence[_Asked]) -> Generator[Row, None, None]:
        found: Any = None
        try:
            for segment, statement in asked:
                found = self._segment(segment).execute(*statement)
                yield from found
        finally:
            # One that was read to its end has closed itself.
            if found is not None:
                found.close()

    def _merged(
        self, page: Statement, asked: Sequence[_Asked], step_ms: int
    ) -> Generator[Row, None, None]:
        waiting = deque(asked)
        opened: list[Any] = []
        heap: list[tuple[int, int, int, Row]] = []
        last = -1

        def put(place: int) -> None:
            for row in opened[place]:
                heappush(heap, (-(row[_CAPTURED_MS] // step_ms), -row[_TAG], place, row))
                break

        def ask(sql: Sql, statement: Statement) -> None:
            opened.append(sql.execute(*statement))
            put(len(opened) - 1)

        try:
            ask(self._sql, page)
            while heap or waiting:
                while waiting and (not heap or (waiting[0][0].to_ms - 1) // step_ms >= -heap[0][0]):
                    segment, statement = waiting.popleft()
                    ask(self._segment(segment), statement)
                if heap:
                    *_, place, row = heappop(heap)
                    # One that is just moved may lie in two files.
                    if row[0] != last:
                        last = row[0]
                        yield row
                    put(place)
        finally:
            for found in opened:
                found.close()


def _narrowed(statement: Statement, plates: Sequence[str], among: Sequence[str]) -> Statement:
    """Return the statement for those plates alone that a segment may have."""
    if len(among) == len(plates):
        return statement
    text, values = statement
    return text, (json.dumps(among), *values[1:])
