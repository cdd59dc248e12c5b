"""``accord-node purge``."""

from pathlib import Path
from typing import Annotated

import typer

from accord.clock import SystemClock, iso
from node.config import load_config
from node.held import held, own_limits
from node.opened import opened
from node.retention import purge as purge_due


def purge(
    config: Annotated[Path, typer.Option(help="The node's node.toml.")] = Path("node.toml"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Delete what is due by policy and law; the serving node does so on schedule."""
    settings = load_config(config)
    now_ms = SystemClock().now_ms()
    kept = own_limits(settings, held(settings), now_ms)
    with opened(settings) as (store, photos):
        report = purge_due(store, photos, kept, now_ms, dry_run=dry_run)
    said = "would go" if dry_run else "are gone"
    counts = f"{report.reads} reads, {report.photos} photos, {report.entries} hot-list entries"
    counts += f", {report.hits} hits"
    if report.letters:
        counts += f", {report.letters} dead letters"
    typer.echo(f"{counts} {said}.")
    if report.oldest is not None and report.newest is not None:
        typer.echo(f"Reads from {iso(report.oldest)} to {iso(report.newest)}.")
