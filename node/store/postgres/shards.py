"""The shards of a store: our own connections to them, and how reads are written there.

Two servers commit one after the other, and a process or a server may end in between.
So what is written goes by two rules:

* New reads are committed on the shards first. They have numbers above the coordinator's
  ``upkeep.last_read``, which no search sees, until the coordinator commits. Reads that
  were left over so are deleted before their numbers are used again: whoever stores reads
  holds the locks of all shards and looks, in each slice's ``upkeep``, for numbers that
  the coordinator doesn't know. Each time it also notes there up to where the
  coordinator has committed: one that knows of less is a copy of an older state, whose
  look would delete what is not its own, and is refused. So is a slice that has less than
  the coordinator knows of: it was put back from an older dump. Who finds that out
  answers no search any longer (:meth:`Shards.check`).
* A deletion is committed at the coordinator first. What is left on the shard then is
  still due, hidden, and deleted by the next purge.

A lock of a shard is held until its transaction ends there, whatever became of the
coordinator's, so that a process which lost that one can't commit behind another's back.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from uuid import UUID

import psycopg

from accord.errors import Code, InputError, Refused
from accord.model import Read
from node.store.base import Added
from node.store.matcher import Matcher
from node.store.postgres import purge, sharding, slices
from node.store.postgres.adding import tell_hits
from node.store.postgres.adding_to_slices import insert, make_parts, note_hits
from node.store.postgres.address import read_address
from node.store.postgres.connections import WRITE_LOCK, Connections, as_refusal, connect
from node.store.postgres.foreign import check_address
from node.store.postgres.in_shards import InShards, WordedForAll
from node.store.postgres.migrations import Sql
from node.store.postgres.parts import last_row
from node.store.postgres.places import Place
from node.store.postgres.purge import REWRITTEN
from node.store.postgres.same_servers import require_same
from node.store.postgres.slices import enter, looking_into, schema_of
from node.store.postgres.wording import Worded
from node.store.shared import Database, Part

_REST = "reads_rest"
_Known = tuple[Collection[UUID], int, Mapping[int, int]]
"""What the coordinator says: whose the slices are, the number of its last read, and of each's."""

_HOLDS = """
    holds AS MATERIALIZED (SELECT * FROM jsonb_to_recordset(?::jsonb) AS hold (
        hold_id text COLLATE "C", from_ms bigint, to_ms bigint, until_ms bigint,
        plate text COLLATE "C", camera text COLLATE "C",
        south_e7 integer, west_e7 integer, north_e7 integer, east_e7 integer
    ))
"""
_HELD = (
    "SELECT hold_id, from_ms, to_ms, until_ms, plate, camera, south_e7, west_e7, north_e7, "
    "east_e7 FROM holds"
)


class Shards:
    """A :class:`node.store.postgres.places.Layout`: each slice is a place.

    ``shards`` are the servers in the order of ``node.toml``, ``found`` says on which of
    them each slice is. ``put_back``: :func:`node.store.postgres.sharding.prepare`.
    """

    def __init__(
        self, connections: Connections, shards: Sequence[Connections], *, put_back: bool = False
    ) -> None:
        self.connections = connections
        self.database: Database = InShards(self)
        self.shards = shards
        self.found: Mapping[int, int] = {}
        self._put_back = put_back

    def prepare(self) -> None:
        """See :meth:`node.store.postgres.places.Layout.prepare`."""
        self.found = sharding.prepare(self.connections, self.shards, put_back=self._put_back)

    def look(self) -> None:
        """See :meth:`node.store.postgres.places.Layout.look`."""
        self.found = sharding.look(self.connections)

    def numbers(self) -> Iterable[int]:
        """See :meth:`node.store.postgres.places.Layout.numbers`."""
        return range(len(self.found))

    def trying(self, number: int) -> AbstractContextManager[None]:
        """See :meth:`node.store.postgres.places.Layout.trying`; none is left out."""
        return nullcontext()

    def left_out(self) -> Sequence[str]:
        """See :meth:`node.store.postgres.places.Layout.left_out`."""
        return ()

    def finish(self) -> None:
        """See :meth:`node.store.postgres.places.Layout.finish`."""

    def on(self, shard: int) -> Sequence[int]:
        """Return the slices on a server."""
        return [number for number, where in self.found.items() if where == shard]

    def used(self) -> Sequence[int]:
        """Return the servers on which there is a slice."""
        return sorted(set(self.found.values()))

    @contextmanager
    def writing(self, number: int) -> Iterator[Place]:
        """See :meth:`node.store.postgres.places.Layout.writing`."""
        with ExitStack() as there, ExitStack() as here:
            at = there.enter_context(self.shards[self.found[number]].working())
            sql = here.enter_context(self.connections.writing())
            there.enter_context(at.transaction())
            _lock(at)
            self._forget(_known(sql), self.found[number], at, [number])
            yield self._place(sql, at, number)

    @contextmanager
    def adding(self) -> Iterator[tuple[Sql, Mapping[int, Sql]]]:
        """Store reads: give the coordinator's connection, and that of each slice.

        Raises:
            Refused: ``STORE_UNAVAILABLE``, also where one shard alone is away.
        """
        with ExitStack() as here, ExitStack() as there:
            shards = {n: there.enter_context(self.shards[n].working()) for n in self.used()}
            sql = here.enter_context(self.connections.writing())
            known = _known(sql)
            for shard, at in shards.items():
                there.enter_context(at.transaction())
                _lock(at)
                self._forget(known, shard, at, self.on(shard))
            yield sql, {number: shards[shard] for number, shard in self.found.items()}

    def take_over(self) -> None:
        """Delete what slices have beyond the coordinator, and shut other copies of it out.

        It takes ``put_back``. Cut off, it is run again.

        Raises:
            Refused: ``STORE_UNAVAILABLE``, also where one shard alone is away.
        """
        with self.connections.writing() as sql:
            store = sharding.draw(sql)
        with self.adding() as (sql, ats):
            sharding.take_over(sql, ats, store)

    def _forget(self, known: _Known, shard: int, at: Sql, numbers: Sequence[int]) -> None:
        """Delete reads that the coordinator never knew, in slices of one server.

        Raises:
            Refused: ``STORE_UNAVAILABLE``: it knew them, and is a copy of an older state.
            psycopg.Error: as a server says.
        """
        own, last, had = known
        for number, reached, told, whose in _told(at, numbers, last):
            if not self._put_back and (told > last or whose not in own):
                problem = f"slice {number} is not this coordinator's: {sharding.OLDER}"
                raise self._shut(InputError(self.shards[shard].path, problem, sharding.OWN_SET))
            if reached < had.get(number, 0):
                raise self._shut(sharding.lacking(self.shards[shard], number))
            if reached > last:
                enter(at, number)
                at.execute("DELETE FROM reads WHERE row_id > %s", (last_row(last),))
                at.execute("DELETE FROM hits WHERE read_row > %s", (last_row(last),))
                at.execute("UPDATE upkeep SET last_read = %s, deleted = true", (last,))

    def check(self, shard: int) -> None:
        """See that a server is still what it was at the start, and the one of the coordinator.

        Raises:
            InputError: it was put back from an older dump or this coordinator was, or the
                coordinator reaches another one: searches are refused from now on.
            Refused: ``STORE_UNAVAILABLE``.
        """
        one = self.shards[shard]
        try:
            with self.connections.working() as sql, one.working() as at:
                sharding.require_own(one, sharding.slices_at(at), sharding.stores(sql))
                sharding.require_stored(one, at, self.on(shard), sql, put_back=self._put_back)
                require_same(one.path, sql, at, shard, must_reach=False)
        except InputError as error:
            self._shut(error)
            raise

    def check_all(self) -> None:
        """See :meth:`node.store.postgres.places.Layout.check_all`."""
        for shard in self.used():
            # One that is away says nothing wrong.
            with suppress(Refused):
                self.check(shard)

    def _shut(self, error: InputError) -> Refused:
        """Have searches refused from now on, since they lack reads or find what is deleted."""
        refused = Refused(Code.STORE_UNAVAILABLE, detail=str(error))
        self.connections.shut = refused
        return refused

    @contextmanager
    def looking(self, number: int) -> Iterator[Place]:
        """See :meth:`node.store.postgres.places.Layout.looking`."""
        shard = self.shards[self.found[number]]
        with self.connections.working() as sql, shard.working() as at, at.transaction():
            yield self._place(sql, at, number)

    def _place(self, sql: Sql, at: Sql, number: int) -> Place:
        enter(at, number)
        cursor = sql.execute(_HELD)
        names = [column.name for column in cursor.description or ()]
        holds = [dict(zip(names, row, strict=True)) for row in cursor]
        return Place(
            sql,
            at,
            Part(_HOLDS, (json.dumps(holds),)),
            slices.own_hits(number),
            slices.own_plates(len(self.found), number),
            number,
            lambda part: slices.known_as(part, number),
        )

    def in_use(self, place: Place | None, photos: Iterable[str]) -> frozenset[str]:
        """See :meth:`node.store.postgres.places.Layout.in_use`."""
        names, used = list(photos), set[str]()
        for shard in self.used():
            used |= self.in_use_on(shard, place, names)
        return frozenset(used)

    def in_use_on(self, shard: int, place: Place | None, photos: Sequence[str]) -> frozenset[str]:
        """Return those of the photos that a read on a server has; see :meth:`in_use`."""
        text = " UNION ".join(
            f"SELECT photo FROM {schema_of(number)}.reads "  # noqa: S608 - our own texts
            "WHERE photo = ANY(%(names)s) AND photo != ''"
            for number in self.on(shard)
        )
        with ExitStack() as stack:
            if place is not None and shard == self.found[place.number]:
                sql = place.at
            else:
                sql = stack.enter_context(self.shards[shard].working())
            return frozenset(photo for (photo,) in sql.execute(text, {"names": photos}))

    def reading(self, sql: Sql) -> Worded:
        """See :meth:`node.store.postgres.places.Layout.reading`."""
        return WordedForAll(sql)

    def add(self, reads: Sequence[Read], now_ms: int, matcher: Matcher) -> Added:
        """See :meth:`node.store.postgres.places.Layout.add`."""
        with self.adding() as (sql, ats):
            fresh, duplicates, numbers = insert(sql, ats, reads, now_ms)
            hits = matcher.store_hits(
                Worded(sql), fresh, now_ms, lambda read: numbers[read.source_id]
            )
            if hits:
                note_hits(sql, ats, list(numbers.values()))
            tell_hits(sql, hits)
        return Added(len(fresh), tuple(duplicates), hits)

    def make_parts(self, days: Sequence[int], now_ms: int) -> None:
        """See :meth:`node.store.postgres.places.Layout.make_parts`."""
        for number in self.numbers():
            with self.writing(number) as place:
                make_parts(place.sql, place.at, number, days, now_ms)

    def lies(self, row_id: int) -> tuple[str, tuple[int, int]]:
        """See :meth:`node.store.postgres.places.Layout.lies`."""
        number = slices.slice_of(row_id)
        # A number that nobody gave: of no slice.
        table = slices.table_of(number) if number in self.found else "reads"
        return table, slices.span_of(row_id)

    def count(self) -> int:
        """See :meth:`node.store.postgres.places.Layout.count`."""
        with self.connections.working() as sql:
            last = last_row(slices.last(sql))
        total = 0
        for shard in self.used():
            text = " UNION ALL ".join(
                f"SELECT count(*) FROM {schema_of(number)}.reads WHERE row_id <= %(last)s"  # noqa: S608
                for number in self.on(shard)
            )
            with self.shards[shard].working() as at:
                total += sum(count for (count,) in at.execute(text, {"last": last}))
        return total

    def rewrite(self, now_ms: int) -> bool:
        """See :meth:`node.store.postgres.places.Layout.rewrite`."""
        with self.connections.working() as sql:
            done = purge.rewrite(sql, now_ms, [name for name in REWRITTEN if name != _REST])
        for number in self.numbers():
            with self.trying(number):
                done &= self._rewritten(number, now_ms)
        return done

    def _rewritten(self, number: int, now_ms: int) -> bool:
        try:
            with connect(self.shards[self.found[number]].address, looking_into(number)) as at:
                return purge.rewrite(at, now_ms, (_REST, "hits"))
        except psycopg.Error as error:
            raise as_refusal(error) from None

    def close(self) -> None:
        """See :meth:`node.store.postgres.places.Layout.close`."""
        for one in (self.connections, *self.shards):
            one.close()


def shards_of(paths: Sequence[Path], *, looking: bool = False) -> Sequence[Connections]:
    """Return the connections to the servers that the files name; none is called yet.

    Raises:
        InputError: a file is not as it must be.
    """
    addresses = [(path, read_address(path)) for path in paths]
    for path, address in addresses:
        check_address(path, address)
    return [Connections(path, address, looking=looking) for path, address in addresses]


def _lock(at: Sql) -> None:
    at.execute("SELECT pg_advisory_xact_lock(%s)", (WRITE_LOCK,))


def _known(sql: Sql) -> _Known:
    return sharding.stores(sql), slices.last(sql), slices.stored(sql) or {}


def _told(at: Sql, numbers: Sequence[int], last: int) -> Sequence[tuple[int, int, int, UUID]]:
    """Note up to where the coordinator has reads, in slices of one server.

    Return, as it was before, of each slice its number, up to where it has any, up to where
    the coordinator had, and whose it is.
    """
    notes = ", ".join(
        f"told_{number} AS (UPDATE {schema_of(number)}.slice SET told = %(last)s "  # noqa: S608
        "WHERE told != %(last)s)"
        for number in numbers
    )
    text = " UNION ALL ".join(
        f"SELECT {number}, last_read, told, store "  # noqa: S608 - our own texts
        f"FROM {schema_of(number)}.upkeep, {schema_of(number)}.slice"
        for number in numbers
    )
    return at.execute(f"WITH {notes} {text}", {"last": last}).fetchall()
