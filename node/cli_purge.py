"""``accord-node purge``."""

import getpass
from pathlib import Path
from typing import Annotated

import typer

from accord.clock import SystemClock
from node.config import load_config
from node.held import held, own_limits
from node.leap import Leap, heads_of_others
from node.opened import opened
from node.purging import in_words, purge_noted, require_clock, telling
from node.retention import purge as purge_due


def purge(
    config: Annotated[Path, typer.Option(help="The node's node.toml.")] = Path("node.toml"),
    by: Annotated[str, typer.Option(help="Who asks; your login if left out.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Delete what is due by policy and law; the serving node does so on schedule."""
    settings, clock = load_config(config), SystemClock()
    leap = Leap(settings.data, clock)
    now_ms = clock.now_ms()
    found = held(settings)
    kept = own_limits(settings, found, now_ms)
    heads = [at_ms for _, at_ms in heads_of_others(found, settings.agency)]
    with opened(settings) as (store, photos):
        if dry_run:
            report = purge_due(store, photos, kept, now_ms, dry_run=True)
        else:
            require_clock(leap.look(telling(store), heads))
            who = f"by {by or getpass.getuser()}"
            report = purge_noted(store, photos, kept, now_ms, who)
    typer.echo(f"{'Would go' if dry_run else 'Gone'}: {in_words(report)}.")
