"""Opening a sharded store: its slices are made on an empty one, and found on the others.

Each slice knows whose it is, so that a slice is found on whichever of the named servers it
lies; one that was moved is joined to the coordinator again at the next start.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import UUID

import psycopg

from accord.errors import InputError
from node.store.postgres import slices
from node.store.postgres.connections import MIGRATION_LOCK, Connections, connect, unreachable
from node.store.postgres.foreign import keep_servers, require_extension
from node.store.postgres.migrations import Sql, migrate
from node.store.postgres.opening import check_settings, require_known
from node.store.postgres.same_servers import join_here, make_here, require_all_same
from node.store.postgres.slices import schema_of

_LOCK_WAIT = "60s"
OLDER = "that is a copy of an older state"
OWN_SET = (
    "name the servers of the copy's own set of dumps in shards of [store], or, if these are, "
    "run accord-node store restored, which deletes those reads"
)
_SCHEMA = re.compile(r"accord_(\d\d)")


def look(coordinator: Connections) -> Mapping[int, int]:
    """Return on which of the servers each slice is, as the coordinator knows it.

    Raises:
        InputError: the coordinator can't be reached, or its reads are not sharded.
    """
    try:
        with connect(coordinator.address) as sql:
            known = slices.known(sql)
    except psycopg.Error as error:
        raise unreachable(coordinator.path, error) from None
    if not known:
        raise InputError(coordinator.path, "its reads are not sharded yet", "start the node first")
    return known


def prepare(
    coordinator: Connections,
    shards: Sequence[Connections],
    number: int = slices.SLICES,
    *,
    put_back: bool = False,
) -> Mapping[int, int]:
    """Make ``number`` slices on a new store, or find those that are there.

    ``put_back`` says that the servers were put back from dumps, of which the
    coordinator's is the oldest: slices may have what it does not know of.

    Only the first time must all servers be there. Later a search that needs one
    that is away is refused, and others go on.

    Raises:
        InputError: a server is not set as it must be or, the first time, away; the store
            holds reads that are not sharded; a slice is not found, or is another store's.
    """
    path = coordinator.path
    try:
        with connect(coordinator.address) as sql:
            sql.execute(f"SET lock_timeout = '{_LOCK_WAIT}'")
            # Goes with the connection.
            sql.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
            require_extension(path, sql)
            if known := slices.known(sql):
                return _found(sql, shards, known, put_back=put_back)
            _require_empty(path, sql)
            slices.begin(sql)
            return _made(sql, shards, number)
    except psycopg.OperationalError as error:
        raise unreachable(path, error) from None
    except psycopg.Error as error:
        remedy = "let the role own the database, or restore it from the last backup"
        problem = f"the reads can't be sharded ({type(error).__name__})"
        raise InputError(path, problem, remedy) from None


def _require_empty(path: Path, sql: Sql) -> None:
    if sql.execute("SELECT 1 FROM reads LIMIT 1").fetchone() is not None:
        raise InputError(
            path,
            "the reads of this store are in one database",
            "leave out shards of [store], or move the reads into new databases: "
            "accord-node store copy --shard",
        )


def stores(sql: Sql) -> Collection[UUID]:
    """Return whose the slices are: of two, while :func:`take_over` goes on.

    Raises:
        psycopg.Error: as the server says.
    """
    return {UUID(str(store)) for (store,) in sql.execute("SELECT store FROM sharded").fetchall()}


def draw(sql: Sql) -> UUID:
    """Have slices be this coordinator's by another number too; committed before they are told.

    Raises:
        psycopg.Error: as the server says.
    """
    ((store,),) = sql.execute(
        "INSERT INTO sharded VALUES (gen_random_uuid()) RETURNING store"
    ).fetchall()
    return UUID(str(store))


def take_over(sql: Sql, ats: Mapping[int, Sql], store: UUID) -> None:
    """Have slices be this coordinator's by that number alone: another copy of it is shut out.

    Raises:
        psycopg.Error: as a server says.
    """
    for number, at in ats.items():
        at.execute(f"UPDATE {schema_of(number)}.slice SET store = %s", (store,))  # noqa: S608
    sql.execute("DELETE FROM sharded WHERE store != %s", (store,))


def _made(sql: Sql, shards: Sequence[Connections], number: int) -> Mapping[int, int]:
    """Make all slices, by turns on each server, and join them."""
    (store,) = own = stores(sql)
    known = {n: n % len(shards) for n in range(number)}
    _require_apart(shards)
    for place, shard in enumerate(shards):
        with _reached(shard) as at:
            require_own(shard, slices_at(at), own)
            for n in (n for n, where in known.items() if where == place):
                _bring_up(shard.path, at, n)
                text = "INSERT INTO slice SELECT %s, %s WHERE NOT EXISTS (SELECT 1 FROM slice)"
                at.execute(text, (store, n))
            slices.gather(at, (n for n, where in known.items() if where == place))
            make_here(at)
    with sql.transaction():
        keep_servers(sql, shards)
        slices.join(sql, list(known.values()))
        slices.gather_servers(sql, set(known.values()))
        _join_here(sql, shards, known, ())
    return known


def _found(
    sql: Sql, shards: Sequence[Connections], known: Mapping[int, int], *, put_back: bool
) -> Mapping[int, int]:
    """Find the slices on the servers that are there, and join what was moved."""
    own, found, away = stores(sql), dict[int, int](), set[int]()
    if len(own) > 1 and not put_back:
        problem = "accord-node store restored was cut off, and has not reached all shards"
        raise InputError("store.shards", problem, "run it again")
    for place, shard in enumerate(shards):
        try:
            at = connect(shard.address)
        except psycopg.OperationalError:
            away.add(place)
            continue
        with at:
            check_settings(shard.path, at)
            there = slices_at(at)
            require_own(shard, there, own)
            for n in there:
                if n in found:
                    problem = f"slice {n} is here and at {shards[found[n]].path}"
                    raise InputError(shard.path, problem, f"drop the old {schema_of(n)}")
                found[n] = place
                _bring_up(shard.path, at, n)
            if there:
                slices.gather(at, there)
                make_here(at)
            require_stored(shard, at, there, sql, put_back=put_back)
    _require_still(shards, known, found, away)
    for n, where in known.items():
        if n not in found:
            if where not in away:
                problem = f"slice {n} of the reads is on none of the servers that can be reached"
                remedy = "name its server in shards of [store], in the order that they had"
                raise InputError("store.shards", problem, remedy)
            found[n] = where
    with sql.transaction():
        keep_servers(sql, shards)
        for n, where in found.items():
            if known[n] != where:
                slices.attach(sql, n, len(known), where)
                sql.execute("UPDATE slices SET shard = %s WHERE number = %s", (where, n))
        slices.gather_servers(sql, set(found.values()))
        _join_here(sql, shards, found, away)
    return dict(sorted(found.items()))


def _join_here(
    sql: Sql, shards: Sequence[Connections], found: Mapping[int, int], away: Collection[int]
) -> None:
    used = set(found.values())
    join_here(sql, sorted(used))
    require_all_same(sql, shards, sorted(used.difference(away)))


def slices_at(at: Sql) -> Mapping[int, tuple[UUID, int]]:
    """Return the slices of a server, each with whose it is, by the numbers of their schemas.

    Raises:
        psycopg.Error: as the server says.
    """
    schemas = [
        name
        for (name,) in at.execute(
            "SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
            "WHERE relname = 'slice' AND relkind = 'r'"
        )
        if _SCHEMA.fullmatch(name)
    ]
    found: dict[int, tuple[UUID, int]] = {}
    for name in schemas:
        for store, number in at.execute(f"SELECT store, number FROM {name}.slice").fetchall():  # noqa: S608
            found[int(name[-2:])] = (UUID(str(store)), number)
    return found


def require_own(
    shard: Connections, there: Mapping[int, tuple[UUID, int]], own: Collection[UUID]
) -> None:
    """Refuse a server with a slice that is another store's.

    Raises:
        InputError: it has one.
    """
    for number, (whose, told) in there.items():
        if whose not in own or told != number:
            problem = f"{schema_of(number)} there is another store's"
            remedy = "name another database, or drop that schema if no node needs it"
            raise InputError(shard.path, problem, remedy)


def _require_apart(shards: Sequence[Connections]) -> None:
    """Refuse the coordinator's database, and one that two files name.

    Whoever stores reads takes the same lock in each, and would wait for itself. The
    caller has this one in the coordinator's.
    """
    with ExitStack() as stack:
        for shard in shards:
            at = stack.enter_context(_reached(shard))
            taken = at.execute("SELECT pg_try_advisory_lock(%s)", (MIGRATION_LOCK,)).fetchone()
            if taken != (True,):
                problem = "names the database of another file of [store], or of a node that starts"
                raise InputError(shard.path, problem, "name a database of its own")


def _require_still(
    shards: Sequence[Connections],
    known: Mapping[int, int],
    found: Mapping[int, int],
    away: Collection[int],
) -> None:
    """Refuse a slice elsewhere while a server is away, which may have it with newer reads."""
    for n, where in found.items():
        if away and known[n] != where:
            problem = f"slice {n} is at {shards[where].path}, where it was not, and may be here too"
            remedy = "start the node once while all servers are there"
            raise InputError(shards[min(away)].path, f"can't be reached; {problem}", remedy)


def require_stored(
    shard: Connections,
    at: Sql,
    there: Collection[int],
    sql: Sql,
    *,
    put_back: bool = False,
) -> None:
    """Refuse a server that lacks reads which its slices had: no answer would tell.

    So one whose slices were told of reads of which the coordinator does not know: that is
    an older copy of theirs, and would delete them. See :func:`prepare` for ``put_back``.
    Others may store reads meanwhile: what must be no less elsewhere is asked for first.

    Raises:
        InputError: it does.
        psycopg.Error: as the server says.
    """
    had = slices.stored(sql)
    if had is None:
        return
    found = {
        n: at.execute(
            f"SELECT last_read, told FROM {schema_of(n)}.upkeep, {schema_of(n)}.slice"  # noqa: S608
        ).fetchall()[0]
        for n in there
    }
    known = slices.last(sql)
    for n, (last, told) in found.items():
        if last < had.get(n, 0):
            raise lacking(shard, n)
        if told > known and not put_back:
            problem = f"slice {n} has reads that came after the coordinator's last: {OLDER}"
            raise InputError(shard.path, problem, OWN_SET)


def lacking(shard: Connections, number: int) -> InputError:
    """Return what a person is told of a slice that lacks reads which it had."""
    problem = f"slice {number} lacks reads that it had: it was put back from an older dump"
    remedy = "put back one set of dumps, whole: docs/operations.md, sharded by plate"
    return InputError(shard.path, problem, remedy)


def _bring_up(path: Path, at: Sql, number: int) -> None:
    require_known(path, at, slices.steps_of(number), schema_of(number))
    at.execute(f"SET search_path TO {schema_of(number)}, pg_temp")
    migrate(at, slices.steps_of(number), schema_of(number))


@contextmanager
def _reached(shard: Connections) -> Iterator[Sql]:
    """Connect to a shard.

    Raises:
        InputError: it can't be reached, or is not set as it must be.
    """
    try:
        with connect(shard.address) as at:
            check_settings(shard.path, at)
            yield at
    except psycopg.OperationalError as error:
        raise unreachable(shard.path, error) from None
