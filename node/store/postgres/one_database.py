"""Reads in one database, beside all else: the one place of a store that is not sharded."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from accord.model import Read
from node.store.base import Added
from node.store.matcher import Matcher
from node.store.postgres import purge
from node.store.postgres.adding import insert, tell_hits
from node.store.postgres.connections import Connections
from node.store.postgres.in_postgres import InPostgres
from node.store.postgres.migrations import Sql
from node.store.postgres.opening import require_unsharded
from node.store.postgres.parts import parts_of, span_of
from node.store.postgres.places import Place
from node.store.postgres.wording import Worded
from node.store.shared import Database


class OneDatabase:
    """A :class:`node.store.postgres.places.Layout` with one place."""

    def __init__(self, connections: Connections) -> None:
        self.connections = connections
        self.database: Database = InPostgres(connections)

    def prepare(self) -> None:
        """See :meth:`node.store.postgres.places.Layout.prepare`."""
        require_unsharded(self.connections)

    def look(self) -> None:
        """See :meth:`node.store.postgres.places.Layout.look`."""
        require_unsharded(self.connections)

    def check_all(self) -> None:
        """See :meth:`node.store.postgres.places.Layout.check_all`; they are with all else."""

    def numbers(self) -> Sequence[int]:
        """See :meth:`node.store.postgres.places.Layout.numbers`."""
        return (0,)

    def trying(self, number: int) -> AbstractContextManager[None]:
        """See :meth:`node.store.postgres.places.Layout.trying`; none is left out."""
        return nullcontext()

    def left_out(self) -> Sequence[str]:
        """See :meth:`node.store.postgres.places.Layout.left_out`."""
        return ()

    def finish(self) -> None:
        """See :meth:`node.store.postgres.places.Layout.finish`."""

    @contextmanager
    def writing(self, number: int) -> Iterator[Place]:
        """See :meth:`node.store.postgres.places.Layout.writing`."""
        with self.connections.writing() as sql:
            yield Place(sql, sql)

    @contextmanager
    def looking(self, number: int) -> Iterator[Place]:
        """See :meth:`node.store.postgres.places.Layout.looking`."""
        with self.connections.working() as sql:
            yield Place(sql, sql)

    def reading(self, sql: Sql) -> Worded:
        """See :meth:`node.store.postgres.places.Layout.reading`."""
        return Worded(sql)

    def add(self, reads: Sequence[Read], now_ms: int, matcher: Matcher) -> Added:
        """See :meth:`node.store.postgres.places.Layout.add`."""
        with self.connections.writing() as sql:
            fresh, duplicates, numbers = insert(sql, reads, now_ms)
            hits = matcher.store_hits(
                Worded(sql), fresh, now_ms, lambda read: numbers[read.source_id]
            )
            tell_hits(sql, hits)
        return Added(len(fresh), tuple(duplicates), hits)

    def make_parts(self, days: Sequence[int], now_ms: int) -> None:
        """See :meth:`node.store.postgres.places.Layout.make_parts`."""
        with self.connections.writing() as sql:
            parts_of(sql, days, now_ms)

    def lies(self, row_id: int) -> tuple[str, tuple[int, int]]:
        """See :meth:`node.store.postgres.places.Layout.lies`."""
        return "reads", span_of(row_id)

    def in_use(self, place: Place | None, photos: Iterable[str]) -> frozenset[str]:
        """See :meth:`node.store.postgres.places.Layout.in_use`."""
        if place is not None:
            return purge.in_use(place.at, photos)
        with self.connections.searching() as sql:
            return purge.in_use(sql, photos)

    def count(self) -> int:
        """See :meth:`node.store.postgres.places.Layout.count`."""
        with self.connections.working() as sql:
            ((count,),) = sql.execute("SELECT count(*) FROM reads").fetchall()
        return int(count)

    def rewrite(self, now_ms: int) -> bool:
        """See :meth:`node.store.postgres.places.Layout.rewrite`."""
        with self.connections.working() as sql:
            return purge.rewrite(sql, now_ms)

    def close(self) -> None:
        """See :meth:`node.store.postgres.places.Layout.close`."""
        self.connections.close()
