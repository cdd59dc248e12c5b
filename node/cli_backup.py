"""``accord-node backup`` and ``accord-node restore``."""

import getpass
from pathlib import Path
from typing import Annotated

import typer

from accord.clock import SystemClock, iso
from accord.errors import Code, InputError, Refused
from node.backup import make_backup
from node.config import load_config
from node.restore import restore as put_in_place

Config = Annotated[Path, typer.Option(help="The node's node.toml.")]
By = Annotated[str, typer.Option(help="Who asks; your login if left out.")]
DEFAULT = Path("node.toml")
_STORE = (Code.STORE_CORRUPT, Code.STORE_UNAVAILABLE, Code.AUDIT_UNAVAILABLE)


def backup(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder, apart from the data.")],
    config: Config = DEFAULT,
    by: By = "",
) -> None:
    """Copy all that the node has into a folder; the node may serve meanwhile."""
    try:
        made = make_backup(load_config(config), folder, SystemClock(), by or getpass.getuser())
    except Refused as refused:
        raise _told(refused, folder, "remove what was copied, and see accord-node doctor") from None
    typer.echo(
        f"{folder}: {len(made.files)} files, {made.size} bytes, {made.audit.size} audit entries."
    )
    if made.destroy_by_ms is None:
        typer.echo("Nothing in it is ever due, as policy and law are now.")
        return
    typer.echo(
        f"Destroy it by {iso(made.destroy_by_ms)}: then policy or law has something in it due, "
        "and no purge reaches into a backup."
    )


def restore(
    folder: Annotated[Path, typer.Argument(help="A backup made by accord-node backup.")],
    config: Config = DEFAULT,
    by: By = "",
    clock_is_right: Annotated[
        bool,
        typer.Option("--clock-is-right", help="You looked at this machine's clock: it is right."),
    ] = False,
) -> None:
    """Put a backup in the place of the node's data; the node must not serve."""
    settings, who = load_config(config), by or getpass.getuser()
    try:
        done = put_in_place(settings, folder, SystemClock(), who, vouched=clock_is_right)
    except Refused as refused:
        raise _told(refused, folder, "nothing was replaced; take another backup") from None
    typer.echo(f"The node has the data of {iso(done.backup.made_ms)}. Purged: {done.gone}.")
    for line in done.told:
        typer.echo(f"Note: {line}.")
    if done.before is not None:
        typer.echo(
            f"What was here is in {done.before}, with the reads that came since. To delete that "
            "folder is up to you: no purge reaches it."
        )
    typer.echo("For half a minute the node refuses what it is asked: what was issued before now.")


def _told(refused: Refused, folder: Path, remedy: str) -> Exception:
    if refused.code not in _STORE:
        return refused
    return InputError(folder, refused.detail, remedy)
