"""The one place that opens the store that ``node.toml`` names, and what processes share there.

Without a ``[store]`` section it is SQLite, ``reads.db`` in the data folder; with one
it is PostgreSQL, whose modules are imported here and nowhere else, since a node on
SQLite needs none.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from accord.clock import Clock, SystemClock
from accord.errors import InputError
from node.common import Alone, Common
from node.config import FOLDER_ID, READS, NodeConfig
from node.store.base import ReadStore
from node.store.moving import Side
from node.store.soundness import Soundness, look_at_reads
from node.store.sqlite import SqliteStore
from node.store.sqlite_moving import SqliteSide
from node.witness_file import FILE_NAME, WitnessFile
from node.witness_memory import Memory

EXTRA = "accord-alpr[postgres]"


def open_store(
    settings: NodeConfig, *, serving: bool = False, clock: Clock | None = None
) -> ReadStore:
    """Open the store, and make its tables if need be.

    ``serving`` says that it is a serving node's, and ``clock`` (the machine's if
    left out) when a read arrives, and how old a hot list is.

    Raises:
        InputError: it is damaged, can't be reached or used, is being served, or is not where
            the node has served from.
    """
    if settings.store_url is None:
        _require_not_moved(settings)
        return SqliteStore.open(settings.reads, serving=serving, clock=clock)
    store: ReadStore = from_postgres("store", settings.store_url).PostgresStore.open(
        settings.store_url,
        shards=settings.store_shards,
        serving=serving,
        clock=clock or SystemClock(),
    )
    return store


def _require_not_moved(settings: NodeConfig) -> None:
    """Refuse SQLite where the node has served from a server: what is there now is older, or none.

    Raises:
        InputError: it has, and was not moved back.
    """
    mark = settings.data / FOLDER_ID
    if mark.exists():
        problem = "has no section [store], and this node has served from a PostgreSQL server"
        remedy = (
            "put the section back; to move to SQLite: accord-node store copy --to sqlite. Only if "
            f"that database is lost for good, move {mark} away"
        )
        raise InputError(settings.path, problem, remedy)


def open_common(settings: NodeConfig, clock: Clock) -> Common:
    """Open what the processes of this node have in common; the store was opened before.

    Raises:
        InputError: as :func:`open_store`; of a node on SQLite another process serves.
    """
    if settings.store_url is None:
        return Alone(settings, clock)
    common: Common = from_postgres("common", settings.store_url).SharedCommon(
        settings.store_url, clock, settings.data
    )
    return common


def open_memory(settings: NodeConfig, *, looking: bool = False) -> Memory:
    """Open what this node remembers as a witness; the store was opened before.

    A file that is only looked at is not made: it must be there.

    Raises:
        InputError: it can't be opened, or is damaged.
    """
    if settings.store_url is None:
        return Memory(WitnessFile(settings.data / FILE_NAME, looking=looking))
    return Memory(from_postgres("witness", settings.store_url).WitnessTables(settings.store_url))


def look_at_store(settings: NodeConfig, clock: Clock) -> ReadStore:
    """Open a store that is there, for reading only, its tables as they are.

    Raises:
        InputError: as :func:`open_store`.
    """
    if settings.store_url is None:
        return SqliteStore.look(settings.reads, clock)
    store: ReadStore = from_postgres("store", settings.store_url).PostgresStore.look(
        settings.store_url, clock, settings.store_shards
    )
    return store


def look_at_soundness(settings: NodeConfig, seconds: float) -> tuple[int, Soundness]:
    """Return the store's size in bytes, and what is amiss with it.

    Raises:
        InputError: as :func:`open_store`.
        Refused: ``STORE_CORRUPT``, ``STORE_UNAVAILABLE``.
        OSError: the file can't be looked at.
    """
    if settings.store_url is None:
        _require_not_moved(settings)
        return look_at_reads(settings.reads, seconds)
    found: tuple[int, Soundness] = from_postgres("soundness", settings.store_url).look_at(
        settings.store_url, settings.store_shards
    )
    return found


def open_side(
    settings: NodeConfig,
    url: Path | None,
    shards: Sequence[Path],
    clock: Clock,
    *,
    put_back: bool = False,
) -> Side:
    """Open a store as one side of a move: the one of a URL's file, or SQLite's of this node.

    ``shards`` are the files of the servers where its reads are, if they are on several.
    ``put_back`` says that they were put back from dumps, and ``take_over`` follows.

    Raises:
        InputError: as :func:`open_store`.
    """
    if url is None:
        return SqliteSide(settings.data / READS, clock)
    side: Side
    if shards:
        side = from_postgres("moving_slices", url).SlicesSide(url, shards, clock, put_back=put_back)
    else:
        side = from_postgres("moving", url).PostgresSide(url, clock)
    return side


def from_postgres(module: str, path: Path) -> Any:
    """Return a module that needs the driver; ``path`` is the file with the server's URL.

    Raises:
        InputError: the driver is not installed.
    """
    try:
        return import_module(f"node.store.postgres.{module}")
    except ImportError as error:
        # Without a name it is the driver that misses its own library.
        if not (error.name or "psycopg").startswith("psycopg"):
            raise
        problem = "names a PostgreSQL server, whose driver is not installed here"
        raise InputError(path, problem, f"run pip install '{EXTRA}'") from None
