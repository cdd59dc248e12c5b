"""``accord agreement explain`` and ``diff``: what a text says, and what another would change."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from accord.agencies import read_plain
from accord.agreements.differences import differences
from accord.agreements.manifest import Manifest
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.words import clauses
from accord.cli.cells import shown
from accord.cli.show import console


def explain(file: Annotated[Path, typer.Argument(help="The agreement.toml.")]) -> None:
    """Print an agreement in plain English, section by section."""
    manifest = read_manifest(file)
    out = console()
    out.print(shown(f"{manifest.title}, revision {manifest.revision}"))
    for clause in clauses(manifest):
        where = f" ({clause.section}, {clause.state.value})" if clause.section else ""
        out.print()
        out.print(shown(f"{clause.name}{where}"))
        out.print(shown(clause.text))
    for one in manifest.undecided:
        parties = ", ".join(f"{party.name} ({party.contact})" for party in manifest.parties)
        out.print()
        out.print(shown(f"UNDECIDED: {one.key} ({one.section})"))
        out.print(shown(f"{one.question} Counsel of every party must answer: {parties}."))
    out.print(f"\nText: sha256:{manifest.digest.hex()}")


def diff(
    old: Annotated[Path, typer.Argument(help="The agreement.toml as it was.")],
    new: Annotated[Path, typer.Argument(help="The agreement.toml as it would be.")],
) -> None:
    """Say in words who gains and who loses what by another text."""
    changes = differences(read_manifest(old), read_manifest(new))
    out = console()
    if not changes:
        out.print("No rule differs.")
        return
    table = Table("who", "effect", "what", "section")
    for change in changes:
        table.add_row(*map(shown, (change.who, change.effect.value, change.text, change.section)))
    out.print(table)


def read_manifest(file: Path) -> Manifest:
    """Return the manifest in a file.

    Raises:
        InputError: naming the file, the line and what to write instead.
    """
    return parse_manifest(read_plain(file), file)
