"""``accord-node purge``."""

from pathlib import Path
from typing import Annotated

import typer

from accord.agreements.policy import parse_policy
from accord.clock import SystemClock, iso
from accord.errors import InputError
from node.config import load_config
from node.opened import opened
from node.retention import RetentionDays
from node.retention import purge as purge_due


def purge(
    config: Annotated[Path, typer.Option(help="The node's node.toml.")] = Path("node.toml"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Delete what is due by the agency's policy; the serving node does so on schedule."""
    settings = load_config(config)
    try:
        policy = parse_policy(settings.policy.read_bytes(), settings.policy)
    except OSError as error:
        raise InputError(settings.policy, f"can't be read ({error.strerror})") from None
    kept = policy.retention
    days = RetentionDays(kept.reads_days, kept.photos_days, kept.hot_list_days, kept.hits_days)
    with opened(settings) as (store, photos):
        report = purge_due(store, photos, days, SystemClock().now_ms(), dry_run=dry_run)
    said = "would go" if dry_run else "are gone"
    counts = f"{report.reads} reads, {report.photos} photos, {report.entries} hot-list entries"
    counts += f", {report.hits} hits"
    if report.letters:
        counts += f", {report.letters} dead letters"
    typer.echo(f"{counts} {said}.")
    if report.oldest is not None and report.newest is not None:
        typer.echo(f"Reads from {iso(report.oldest)} to {iso(report.newest)}.")
