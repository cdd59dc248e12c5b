"""``accord-node``: serve, ingest, purge, hotlist, agreement."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from accord.agreements.policy import parse_policy
from accord.clock import SystemClock, iso
from accord.errors import InputError
from accord.processes import configure_logs, guarded, keep_private, serve_until_signal
from node.cli_agreement import app as agreement
from node.cli_hotlist import app as hotlist
from node.cli_ingest import app as ingest
from node.config import load_config
from node.opened import opened
from node.retention import RetentionDays
from node.retention import purge as purge_due
from node.serve import running_node

app = typer.Typer(
    help="An agency's node: keeps its reads and answers what agreements allow.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(ingest, name="ingest", help="Take reads in; ingest formats lists the formats.")
app.add_typer(hotlist, name="hotlist", help="Hot lists that the node holds.")
app.add_typer(
    agreement, name="agreement", help="Which agreements the node lives by, and who may ask."
)

Config = Annotated[Path, typer.Option(help="The node's node.toml.")]
DEFAULT = Path("node.toml")


@app.command()
def serve(config: Config = DEFAULT) -> None:
    """Serve until told to stop (SIGTERM or Ctrl-C)."""
    configure_logs()
    settings = load_config(config)

    async def main(stop: asyncio.Event) -> None:
        """Run until the event is set."""
        async with running_node(settings, SystemClock()):
            await stop.wait()

    serve_until_signal(main)


@app.command()
def purge(
    config: Config = DEFAULT,
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


def run() -> None:
    """Entry point."""
    keep_private()
    guarded(app)


if __name__ == "__main__":
    run()
