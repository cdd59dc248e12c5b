"""Which log a command of ``accord audit`` reads, and how it is opened."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accord.cli.later import needing
from accord.errors import InputError

if TYPE_CHECKING:
    from accord.audit.reader import AuditReader

Config = Annotated[Path | None, typer.Option(help="A node.toml or broker.toml.")]
Log = Annotated[Path | None, typer.Option(help="The log itself, audit.db, or a copy of it.")]
Secret = Annotated[
    Path | None, typer.Option(help="With --log alone: the log's 32-byte secret file.")
]
Public = Annotated[
    str, typer.Option(help="The log's public key: PEM file, base64 text or verifier key.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def open_log(
    config: Path | None, log: Path | None, secret: Path | None, public: str
) -> "AuditReader":
    """Open the log of a node or broker, or one that lies anywhere.

    Raises:
        InputError: which log it is, is not clear; or it can't be opened.
    """
    # What reads a log is not there where only exported ones are checked.
    with needing("audit"):
        from accord.audit.file import LogFile
        from accord.audit.reader import AuditReader
        from accord.audit.report import locate
        from accord.audit.vkeys import read_public
        from accord.keys import read_secret_32

    if config is not None and secret is None and not public:
        return locate(config, log).open()
    if config is None and log is not None and secret is not None and public:
        key = read_public(public)
        return AuditReader.open(LogFile(log), read_secret_32(secret), key.public, key.name)
    raise InputError(
        "accord audit",
        "which log is not clear",
        "give --config, --config and --log, or --log, --secret and --public",
    )
