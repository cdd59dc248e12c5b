"""The node's look-up against the same SQL on bare sqlite3.

Both run the two statements of a look-up, in the event loop as the node does
(threads would measure how they fight for the interpreter's lock). The bare one
is handed texts and values ready-made and throws its rows away.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

from accord.agreements.terms import Redaction
from accord.model import ExactPlate, Window
from bench.setting import SPAN_MS, House
from node.store.base import NOTHING_WITHHELD, Search
from node.store.sqlite import SqliteStore
from node.store.statements import SNAPSHOT, Statement, plan

T = TypeVar("T")

# As the demo's agreements share them.
_REDACTION = Redaction(time_step_ms=60_000, place_within_m=500)


class Lookups:
    """Look-ups of random plates, both ways."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._store = SqliteStore.open(house.database())
        self._bare = sqlite3.connect(house.database())
        self._chance = Random(13)

    def close(self) -> None:
        """Close both."""
        self._bare.close()
        self._store.close()

    async def measure(self, count: int, at_once: int) -> tuple[float, float]:
        """Return seconds per look-up of the node and of bare sqlite3, one after the other.

        Raises:
            SystemExit: the two did not find the same.
        """
        searches = [self._search() for _ in range(count)]
        statements = [self._statements(search) for search in searches]
        node_s, found = await _timed(self._node, searches, at_once)
        bare_s, expected = await _timed(self._sqlite, statements, at_once)
        if found != expected:
            raise SystemExit("the node and bare sqlite3 found different rows")
        return node_s / count, bare_s / count

    def _search(self) -> Search:
        built_ms = self._house.built_ms
        return Search(
            selector=ExactPlate(self._chance.choice(self._house.plates), "CA"),
            window=Window(built_ms - SPAN_MS, built_ms),
            redaction=_REDACTION,
            withholding=NOTHING_WITHHELD,
            earliest_ms=built_ms - SPAN_MS,
            limit=100,
        )

    def _node(self, search: Search) -> int:
        page = self._store.search_at_once(search)
        assert page is not None
        return len(page.rows)

    def _statements(self, search: Search) -> list[Statement]:
        (snapshot,) = self._bare.execute(SNAPSHOT).fetchone()
        todo = plan(search, snapshot)
        return [(SNAPSHOT, ()), next(todo.steps).page]

    def _sqlite(self, statements: Sequence[Statement]) -> int:
        rows: list[object] = []
        for text, values in statements:
            rows = self._bare.execute(text, values).fetchall()
        return len(rows)


async def _timed(
    look: Callable[[T], int], what: Sequence[T], at_once: int
) -> tuple[float, list[int]]:
    """Return the seconds for all of them, and what each found."""
    found: list[int] = []
    waiting = iter(what)

    async def caller() -> None:
        for one in waiting:
            found.append(look(one))
            await asyncio.sleep(0)

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(at_once)))
    return time.perf_counter() - started, found
