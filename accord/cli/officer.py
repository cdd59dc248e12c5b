"""``accord officer``: the officer's key, and the personnel desk's roster and credentials."""

import base64
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from accord.cli.cells import console
from accord.clock import Clock, SystemClock, iso
from accord.envelope_json import to_json
from accord.errors import InputError
from accord.keys import PrivateKey, PublicKey
from accord.roster import issue_credential, load_roster, read_credential, read_roster
from accord.roster import publish as signed_roster

app = typer.Typer(
    help="The personnel desk: roster and credentials.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

RosterFile = Annotated[Path, typer.Option(help="The desk's roster.toml.")]
DeskKey = Annotated[Path, typer.Option(help="The personnel desk's key.")]


@app.command()
def keygen(
    out: Annotated[Path, typer.Option(help="Where the officer's private key goes.")],
) -> None:
    """Make an officer's signing key; print the public part for the desk."""
    key = PrivateKey.generate()
    key.save(out)
    typer.echo(base64.b64encode(key.public.der).decode())


@app.command()
def issue(
    officer: Annotated[str, typer.Option(help="The officer's id on the roster.")],
    public: Annotated[str, typer.Option(help="What keygen printed.")],
    key: DeskKey,
    out: Annotated[Path, typer.Option(help="The credential file.")],
    roster: RosterFile = Path("roster.toml"),
    hours: Annotated[float, typer.Option(help="At most 12.")] = 8.0,
) -> None:
    """Issue an officer's credential for the officer's own key."""
    known = read_roster(roster)
    if officer not in known.officers:
        raise InputError(roster, f"has no officer {officer!r}", "add the officer first")
    try:
        der = base64.b64decode(public, validate=True)
    except ValueError:
        raise InputError("public", "is not what keygen printed", "copy it again") from None
    credential = issue_credential(
        known.officers[officer],
        known.agency,
        PublicKey.from_der(der, "public"),
        SystemClock().now_ms(),
        hours,
        PrivateKey.load(key),
    )
    out.write_bytes(to_json(credential))
    typer.echo(f"{out}: valid for {hours:g} hours.")


@app.command()
def publish(
    key: DeskKey,
    out: Annotated[Path, typer.Option(help="The file that node.toml names.")],
    roster: RosterFile = Path("roster.toml"),
    every: Annotated[int, typer.Option(help="Again every so many seconds.", min=0)] = 0,
) -> None:
    """Sign the roster as of now; nodes trust it for 15 minutes."""
    clock: Clock = SystemClock()
    signer = PrivateKey.load(key)
    while True:
        known = read_roster(roster)
        number = 1
        if out.exists():
            number = load_roster(out.read_bytes(), [signer.public], known.agency).number + 1
        data = signed_roster(known, number, clock.now_ms(), signer)
        part = out.with_suffix(".part")
        part.write_bytes(data)
        part.replace(out)
        typer.echo(f"{out}: number {number}, {len(known.officers)} officers.")
        if not every:
            return
        time.sleep(every)


@app.command()
def show(
    credential: Annotated[Path, typer.Argument(help="A credential file.")],
) -> None:
    """Show what a credential says."""
    content, _ = read_credential(credential)
    table = Table("What", "Value")
    table.add_row("Officer", f"{content.officer}, {content.name}, {content.role}")
    table.add_row("Agency", content.agency)
    table.add_row("Valid", f"{iso(content.issued_at_ms)} to {iso(content.not_after_ms)}")
    table.add_row("Trained on", content.trained_on)
    table.add_row("Standing", content.standing)
    table.add_row("Purposes", ", ".join(content.purposes))
    console().print(table)
