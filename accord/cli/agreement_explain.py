"""``accord agreement explain`` and ``diff``: what a text says, and what another would change."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from accord.agencies import read_plain
from accord.agreements.differences import differences
from accord.agreements.effective import Agreement
from accord.agreements.manifest import Manifest
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.timeline import timeline
from accord.agreements.words import clauses
from accord.cli.agreement_page import agreement_page
from accord.cli.cells import console, shown
from accord.cli.files import write_new
from accord.cli.pins import Roots, pinned
from accord.clock import SystemClock
from accord.errors import InputError
from accord.federation_folder import load


def explain(
    path: Annotated[
        Path, typer.Argument(help="The agreement.toml, or the agreement's folder.", metavar="FILE")
    ],
    html: Annotated[
        Path | None, typer.Option(help="Write a page to print here instead; never overwritten.")
    ] = None,
    federation: Annotated[
        Path | None, typer.Option(help="The federation folder, to verify what was signed.")
    ] = None,
    root: Roots = [],  # noqa: B006 - typer makes a new list for each call
) -> None:
    """Print an agreement in plain English, section by section, with its days.

    With ``--federation`` and ``--root`` its signatures and instruments are verified and
    its days computed; without, it is a draft, and how they will be computed is told.
    """
    file = path / "agreement.toml" if path.is_dir() else path
    manifest, now_ms = read_manifest(file), SystemClock().now_ms()
    agreement = Agreement(manifest, ())
    if federation is not None:
        agreement = _verified(federation, root, manifest, file)
    if html is not None:
        page = agreement_page(agreement, now_ms, verified=federation is not None)
        write_new(html, page)
        console().print(shown(f"Written: {html}. Open it in a browser, or print it."))
        return
    _print(agreement, now_ms)


def _verified(folder: Path, roots: list[str], manifest: Manifest, file: Path) -> Agreement:
    loaded = load(folder, pinned(roots))
    agreement = loaded.agreements.get(manifest.digest)
    if agreement is None:
        problems = "; ".join(map(str, loaded.problems))
        raise InputError(
            file, "is not an agreement that this folder and these roots support", problems
        )
    return agreement


def _print(agreement: Agreement, now_ms: int) -> None:
    manifest, out = agreement.manifest, console()
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
        why = f" {one.why}" if one.why else ""
        out.print(shown(f"{one.question}{why} Counsel of every party must answer: {parties}."))
    line = timeline(agreement, now_ms)
    if line.today is not None:
        out.print()
        out.print(shown(f"Days ({line.zone}; today is {line.today})"))
    for stretch in line.stretches if line.today is not None else ():
        ends = f"to {stretch.last}" if stretch.last else "with no end that is known"
        said = f"{stretch.span.value}: {stretch.label} ({stretch.section})"
        out.print(shown(f"{stretch.first} {ends}: {said}"))
    for day in line.days:
        where = f" ({day.section})" if day.section else ""
        out.print(shown(f"{day.day}: {day.text}{where}"))
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
