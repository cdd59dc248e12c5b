"""The one place that opens a node's own audit log for writing."""

from accord.audit.log import AuditLog
from accord.clock import Clock
from accord.keys import PrivateKey, read_secret_32
from node.config import NodeConfig

AUDIT = "audit.db"


def open_log(settings: NodeConfig, clock: Clock) -> AuditLog:
    """Open or make the log of the node whose ``node.toml`` this is.

    Raises:
        InputError: another process writes it, or a file or key must be mended.
    """
    return AuditLog.open(
        settings.data / AUDIT,
        origin=origin(settings),
        key=PrivateKey.load(settings.audit_key),
        secret=read_secret_32(settings.audit_secret),
        clock=clock,
    )


def origin(settings: NodeConfig) -> str:
    """Return the log's name, such as ``harbor/node``."""
    return f"{settings.agency}/node"
