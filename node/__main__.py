"""``accord-node``: serve, ingest, purge, hotlist, agreement."""

import asyncio
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from accord.agreements.policy import parse_policy
from accord.clock import SystemClock, iso
from accord.errors import InputError
from accord.hot_lists import HIT_NOTICE
from accord.processes import configure_logs, guarded, keep_private, serve_until_signal
from node.cli_agreement import app as agreement
from node.cli_hotlist import app as hotlist
from node.config import load_config
from node.ingest import FORMATS
from node.ingest import ingest as ingest_records
from node.ingest.csv_reads import load_mapping, parse_csv
from node.ingest.openalpr import parse_openalpr
from node.ingest.report import IngestReport
from node.opened import opened
from node.retention import RetentionDays
from node.retention import purge as purge_due
from node.serve import running_node

app = typer.Typer(
    help="An agency's node: keeps its reads and answers what agreements allow.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
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
def ingest(
    source: Annotated[str, typer.Argument(help="A file, or - for standard input.")],
    config: Config = DEFAULT,
    form: Annotated[str, typer.Option("--format", help="csv or openalpr; else recognised.")] = "",
    mapping: Annotated[Path | None, typer.Option(help="What each CSV column is (TOML).")] = None,
    report: Annotated[Path | None, typer.Option(help="Write rows not taken here.")] = None,
) -> None:
    """Take reads in; every row is taken or has its reason in the report."""
    settings = load_config(config)
    with ExitStack() as stack:
        stream, folder = _open_source(source, stack)
        chosen = form or _recognise(stream)
        if chosen not in FORMATS:
            raise InputError("format", f"{chosen!r} is not known", f"use {' or '.join(FORMATS)}")
        if chosen == "csv":
            if mapping is None:
                raise InputError("mapping", "is missing", "CSV needs --mapping FILE")
            records = parse_csv(stream, load_mapping(mapping), folder)
        else:
            records = parse_openalpr(stream)
        store, photos = stack.enter_context(opened(settings))
        columns = (SpinnerColumn(), TextColumn("{task.completed} rows"), TimeElapsedColumn())
        console = Console(stderr=True)
        with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("ingest", total=None)
            account = ingest_records(
                records, store, photos, lambda seen: bar.update(task, completed=seen)
            )
    _print_report(account)
    if report is not None:
        account.write_rejected(report)


def _open_source(source: str, stack: ExitStack) -> tuple[BinaryIO, Path | None]:
    if source == "-":
        return sys.stdin.buffer, None
    path = Path(source)
    try:
        return stack.enter_context(path.open("rb")), path.parent
    except OSError as error:
        raise InputError(path, f"can't be read ({error.strerror})", "check the path") from None


def _recognise(stream: BinaryIO) -> str:
    start: bytes = stream.peek(64)[:64] if hasattr(stream, "peek") else b""
    return "openalpr" if start.lstrip()[:1] in (b"{", b"[") else "csv"


def _print_report(account: IngestReport) -> None:
    typer.echo(
        f"{account.seen} rows: {account.taken} taken, {account.duplicates} known already, "
        f"{len(account.rejected)} not taken, {account.passed.total()} no reads."
    )
    if account.hits:
        typer.echo(f"  {account.hits} hits on hot lists. {HIT_NOTICE}")
    reasons: dict[str, list[int]] = {}
    for entry in account.rejected:
        reasons.setdefault(entry.reason, []).append(entry.row)
    for reason, rows in reasons.items():
        some = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
        typer.echo(f"  not taken: {reason}: {len(rows)} (rows {some})")
    for what, count in (account.passed + account.notes).items():
        typer.echo(f"  noted: {what}: {count}")


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
    typer.echo(f"{counts}, {report.hits} hits {said}.")
    if report.oldest is not None and report.newest is not None:
        typer.echo(f"Reads from {iso(report.oldest)} to {iso(report.newest)}.")


def run() -> None:
    """Entry point."""
    keep_private()
    guarded(app)


if __name__ == "__main__":
    run()
