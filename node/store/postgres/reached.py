"""Those slices alone that a purge can reach: one server away does not stop it on the others.

Retention is law for each read. A server that refuses is left out of the rest of the
purge, which raises at the end and names it. What points at its reads stays too: hits,
identifiers of sources and plates at the coordinator. All of it is hidden once it is due
(the bounds are of each search), and goes with the first purge that finds the server.

A photo may be that of a read there: a row that goes leaves its photo, which no query
finds any longer, and the first purge that finds all servers unlinks it.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from accord.errors import InputError, Refused
from node.store.postgres.places import Place
from node.store.postgres.shards import Shards
from node.store.purged import PhotoStays


class Reached(Shards):
    """A :class:`node.store.postgres.places.Layout` for one purge; its connections are another's."""

    def __init__(self, whole: Shards) -> None:
        super().__init__(whole.connections, whole.shards)
        self.found = whole.found
        self._checked: set[int] = set()
        self._refused: dict[int, str] = {}

    def numbers(self) -> Iterable[int]:
        """See :meth:`node.store.postgres.places.Layout.numbers`."""
        for number, shard in self.found.items():
            if shard not in self._checked:
                self._checked.add(shard)
                with self._asking(shard):
                    self.check(shard)
            if shard not in self._refused:
                yield number

    def check_all(self) -> None:
        """See :meth:`node.store.postgres.places.Layout.check_all`; each was, by :meth:`numbers`."""

    @contextmanager
    def trying(self, number: int) -> Iterator[None]:
        """See :meth:`node.store.postgres.places.Layout.trying`."""
        with self._asking(self.found[number]):
            yield

    @contextmanager
    def _asking(self, shard: int) -> Iterator[None]:
        try:
            yield
        except InputError as error:
            self._refused[shard] = error.problem
        except PhotoStays:
            raise
        except Refused as refused:
            # Without the coordinator nothing can go on.
            with self.connections.working() as sql:
                sql.execute("SELECT 1")
            self._refused[shard] = refused.detail

    def left_out(self) -> Sequence[str]:
        """See :meth:`node.store.postgres.places.Layout.left_out`."""
        return [
            f"{self.shards[shard].path} ({why})" for shard, why in sorted(self._refused.items())
        ]

    def finish(self) -> None:
        """See :meth:`node.store.postgres.places.Layout.finish`."""
        if self._refused:
            problem = "what is due there is hidden, but not deleted; elsewhere it is"
            remedy = "see what accord-node doctor says; the next purge that finds it goes on"
            raise InputError(", ".join(self.left_out()), problem, remedy)

    def in_use(self, place: Place | None, photos: Iterable[str]) -> frozenset[str]:
        """See :meth:`node.store.postgres.places.Layout.in_use`; any of them may be."""
        names, used = frozenset(photos), set[str]()
        for shard in self.used():
            if not self._refused:
                with self._asking(shard):
                    used |= self.in_use_on(shard, place, list(names))
        return names if self._refused else frozenset(used)
