"""The one place that knows where a node's own audit log is kept, and opens it.

It is where the reads are: ``audit.db`` in the data folder, or tables beside theirs on
the PostgreSQL server that ``node.toml`` names.
"""

from accord.audit.file import LogFile
from accord.audit.log import AuditLog
from accord.audit.places import Place
from accord.clock import Clock
from accord.keys import PrivateKey, read_secret_32
from node.config import NodeConfig
from node.store.opening import from_postgres

AUDIT = "audit.db"


def open_log(settings: NodeConfig, clock: Clock) -> AuditLog:
    """Open or make the log of the node whose ``node.toml`` this is.

    Raises:
        InputError: another process writes it, or a file or key must be mended.
    """
    return AuditLog.open(
        log_place(settings),
        origin=origin(settings),
        key=PrivateKey.load(settings.audit_key),
        secret=read_secret_32(settings.audit_secret),
        clock=clock,
    )


def log_place(settings: NodeConfig) -> Place:
    """Return where the log is kept.

    Raises:
        InputError: on a server, and its driver or the file with its URL can't be used.
    """
    if settings.store_url is None:
        return LogFile(settings.data / AUDIT)
    place: Place = from_postgres("log", settings.store_url).LogTables.at(settings.store_url)
    return place


def origin(settings: NodeConfig) -> str:
    """Return the log's name, such as ``harbor/node``."""
    return f"{settings.agency}/node"
