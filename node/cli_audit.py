"""``accord-node audit``: the node's whole audit log to a file and back, and what is expunged of it.

``accord audit`` reads a log that is in a file. Of a node whose log is on a PostgreSQL
server it reads what ``export`` wrote. ``import`` brings back what a database lacks that
was restored from an older dump.
"""

import getpass
from pathlib import Path
from typing import Annotated

import typer

from accord.audit.absence import Expunged
from accord.audit.file import LogFile
from accord.clock import SystemClock, iso
from node.config import load_config
from node.opened_log import copied, expunged, last_moment, log_place, nobody_serving
from node.store_restored import restored

app = typer.Typer(
    help="The audit log to a file and back; what is expunged.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Config = Annotated[Path, typer.Option(help="The node's node.toml.")]
DEFAULT = Path("node.toml")


@app.command("export")
def export_log(
    file: Annotated[Path, typer.Argument(help="A new file, or one that this wrote before.")],
    config: Config = DEFAULT,
) -> None:
    """Copy the log to a file, or add to it what was written since; verify all of it.

    The node may serve meanwhile. The file is sealed as the log is.
    """
    settings = load_config(config)
    signed = copied(settings, log_place(settings), LogFile(file))
    last = last_moment(settings, LogFile(file))
    until = f", the last of {iso(last)}" if last else ""
    typer.echo(f"{file}: {signed.size} entries{until}; all of them are sound.")
    typer.echo(f"Read it with: accord audit show --config {config} --log {file}")


@app.command("import")
def import_log(
    file: Annotated[Path, typer.Argument(help="A file that export wrote.")],
    config: Config = DEFAULT,
    by: Annotated[str, typer.Option(help="Who asks; your login if left out.")] = "",
) -> None:
    """Add to the log what a file holds beyond it; the node must not serve.

    The file must go on from the log: one that parts from it, or is shorter, is refused.
    On a server this does what accord-node store restored does, too.
    """
    settings = load_config(config)
    with nobody_serving(settings):
        signed = copied(settings, LogFile(file), log_place(settings))
    if settings.store_url is not None:
        # Where the log was an older one, so were the numbers of reads and the replay guard.
        restored(settings, SystemClock(), by or getpass.getuser())
    typer.echo(f"The log has {signed.size} entries; all of them are sound.")


@app.command()
def expunge(
    entries: Annotated[list[int], typer.Argument(help="Indices of entries, as accord audit show.")],
    authority: Annotated[str, typer.Option(help="By what: the order, or the section of law.")],
    signer: Annotated[str, typer.Option(help="Who answers for it: counsel or officer, by name.")],
    field: Annotated[
        list[str] | None, typer.Option(help="Only this field; several may be given.")
    ] = None,
    config: Config = DEFAULT,
    by: Annotated[str, typer.Option(help="Who asks; your login if left out.")] = "",
) -> None:
    """Destroy the records of entries, or fields of them, and record who demanded it.

    The entry's leaf stays, and a new entry names it, the authority and the signer. Where the log
    is in a file the node must not serve. Copies elsewhere are yours to find: backups, exports.
    """
    settings = load_config(config)
    names = frozenset(field or ())
    for entry in dict.fromkeys(entries):
        what = Expunged(entry, names, authority, signer)
        index = expunged(settings, SystemClock(), what, by or getpass.getuser())
        said = ", ".join(sorted(names)) or "the record"
        if index is None:
            typer.echo(f"Entry {entry}: {said} was expunged before, and is not there.")
        else:
            typer.echo(f"Entry {entry}: {said} is destroyed; entry {index} names it.")
