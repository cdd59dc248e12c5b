"""The one place that knows where a node's own audit log is kept, and opens it.

It is where the reads are: ``audit.db`` in the data folder, or tables beside theirs on
the PostgreSQL server that ``node.toml`` names.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from accord.audit import expunging
from accord.audit.absence import Expunged
from accord.audit.checkpoint import Checkpoint
from accord.audit.copying import copy_log
from accord.audit.extension import signed_head, was_signed
from accord.audit.file import LogFile
from accord.audit.leaf import Record
from accord.audit.log import AuditLog
from accord.audit.places import Place
from accord.audit.store import Broken, stored_origin
from accord.clock import Clock
from accord.errors import InputError
from accord.keys import PrivateKey, PublicKey, read_secret_32
from node.config import NodeConfig
from node.log_head import LogHead
from node.store.opening import from_postgres

AUDIT = "audit.db"
# What a person does whose log is an older one: on a server, in a file.
_OLDER = (
    "put the newest database there, or run accord-node audit import and accord-node store "
    "restored (docs/operations.md, Backup)",
    "put the newest file there, or run accord-node restore",
)


def open_log(settings: NodeConfig, clock: Clock) -> AuditLog:
    """Open or make the log of the node whose ``node.toml`` this is.

    Raises:
        InputError: another process writes it, or a file or key must be mended.
    """
    place, key = log_place(settings), PrivateKey.load(settings.audit_key)
    opened = AuditLog.open(
        place,
        origin=origin(settings),
        key=key,
        secret=read_secret_32(settings.audit_secret),
        clock=clock,
    )
    try:
        _require_taken_over(settings, place, key.public)
        log_head(settings, key.public).require(place)
    except BaseException:
        opened.close()
        raise
    return opened


def _require_taken_over(settings: NodeConfig, place: Place, public: PublicKey) -> None:
    """Refuse to begin or go on with a log on a server that lacks what a file holds.

    So it is where a node's reads were moved and its log was not.
    """
    file = settings.data / AUDIT
    if settings.store_url is None or not file.exists():
        return
    head = signed_head(LogFile(file), origin(settings), public)
    if not was_signed(place, head.signed, public):
        problem = "has entries that the log on the PostgreSQL server lacks"
        raise InputError(file, problem, f"run accord-node audit import {file}")


def log_head(settings: NodeConfig, public: PublicKey) -> LogHead:
    """Return what the data folder knows of the log's head."""
    remedy = _OLDER[settings.store_url is None]
    return LogHead(settings.data, origin(settings), public, remedy)


def log_place(settings: NodeConfig) -> Place:
    """Return where the log is kept.

    Raises:
        InputError: on a server, and its driver or the file with its URL can't be used.
    """
    if settings.store_url is None:
        return LogFile(settings.data / AUDIT)
    place: Place = from_postgres("log", settings.store_url).LogTables.at(settings.store_url)
    return place


def has_log(settings: NodeConfig) -> bool:
    """Tell whether there is a log: a node that has never served has none.

    Raises:
        InputError: it can't be read.
    """
    place = log_place(settings)
    if settings.store_url is None and not (settings.data / AUDIT).exists():
        return False
    reading = place.reading()
    try:
        return reading.execute("SELECT size FROM head").fetchone() is not None
    except place.errors as error:
        raise place.unreadable(error) from None
    finally:
        reading.close()


def require_own(settings: NodeConfig) -> None:
    """Refuse a database whose log is another agency's: its reads are, too.

    Asked before anything is changed in it. What is given, shown or purged goes by this
    agency's own keys, policy and law. Not verified: the node that writes the log does that.

    Raises:
        InputError: it is another's, or it can't be read.
    """
    url = settings.store_url
    if url is None or not from_postgres("log", url).made(url):
        return
    place = log_place(settings)
    reading = place.reading()
    try:
        whose = stored_origin(reading)
    except Broken:
        # Nobody has served it yet, or the node says what is amiss when it opens the log.
        return
    except place.errors as error:
        raise place.unreadable(error) from None
    finally:
        reading.close()
    if whose != origin(settings):
        problem = f"the database holds the reads and the log of {whose}, not of {origin(settings)}"
        raise InputError(url, problem, "put the URL of your own database there")


def copied(settings: NodeConfig, source: Place, target: Place) -> Checkpoint:
    """Copy this node's log between two places; see :func:`accord.audit.copying.copy_log`.

    Raises:
        InputError: as ``copy_log``, or a key can't be read.
    """
    return copy_log(
        source,
        target,
        origin=origin(settings),
        public=PrivateKey.load(settings.audit_key).public,
        secret=read_secret_32(settings.audit_secret),
    )


def expunged(settings: NodeConfig, clock: Clock, what: Expunged, by: str) -> int | None:
    """Record that something of an entry is expunged, then destroy it; return the record's index.

    None where a record named it before; it is destroyed if it is still there.

    Raises:
        InputError: it can't be expunged; or the log is in a file, and the node serves.
        Refused: ``AUDIT_UNAVAILABLE``.
    """
    log = open_log(settings, clock)
    try:
        with log.reader() as reader:
            record = expunging.order(reader, what, by)
        index = None if record is None else asyncio.run(_append(log, record))
    finally:
        log.close()
    expunging.carry_out(log_place(settings), read_secret_32(settings.audit_secret), log.origin)
    return index


async def _append(log: AuditLog, record: Record) -> int:
    return (await log.append(record)).index


def last_moment(settings: NodeConfig, place: Place) -> int:
    """Return when the last entry of this node's log was written (UTC ms), 0 without one.

    Raises:
        InputError: the signed head does not hold, or the log can't be read.
    """
    public = PrivateKey.load(settings.audit_key).public
    return signed_head(place, origin(settings), public).last_ms


@contextmanager
def nobody_serving(settings: NodeConfig) -> Iterator[None]:
    """Keep every process of this node from serving; a log in a file has its own lock.

    Raises:
        InputError: one serves, or the server can't be reached.
    """
    if settings.store_url is None:
        yield
        return
    with from_postgres("log", settings.store_url).nobody_serving(settings.store_url):
        yield


def origin(settings: NodeConfig) -> str:
    """Return the log's name, such as ``harbor/node``."""
    return f"{settings.agency}/node"
