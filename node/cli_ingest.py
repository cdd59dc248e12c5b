"""``accord-node ingest``: take reads in from a file, and list the formats.

    accord-node ingest reads.csv --mapping mapping.toml     the same as: ingest file reads.csv
    zcat week.csv.gz | accord-node ingest - --format csv --mapping mapping.toml
    accord-node ingest formats

A file that is named like one of the commands is written with its folder, such
as ``./formats``.
"""

import sys
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, BinaryIO

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from typer.core import TyperGroup

from accord.agreements.policy import parse_policy
from accord.clock import to_ms
from accord.errors import InputError
from accord.hot_lists import HIT_NOTICE
from node.config import NodeConfig, load_config
from node.ingest import ingest as ingest_records
from node.ingest.checks import state_of, zone_of
from node.ingest.formats import choose, formats, records
from node.ingest.mapping import load_mapping
from node.ingest.report import IngestReport
from node.ingest.settings import Settings, load_cameras
from node.opened import opened


class _FileIfNoCommand(TyperGroup):
    """What is no command here is the file to take in."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["file", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_FileIfNoCommand, no_args_is_help=True, pretty_exceptions_enable=False)

Config = Annotated[Path, typer.Option(help="The node's node.toml.")]
DEFAULT = Path("node.toml")


@app.command("file")
def take_file(
    source: Annotated[str, typer.Argument(help="A file, or - for standard input.")],
    config: Config = DEFAULT,
    form: Annotated[
        str, typer.Option("--format", help="See ingest formats; else recognised.")
    ] = "",
    mapping: Annotated[Path | None, typer.Option(help="What each field is (TOML).")] = None,
    cameras: Annotated[Path | None, typer.Option(help="The camera table (TOML).")] = None,
    camera: Annotated[str, typer.Option(help="Camera of records that name none.")] = "",
    zone: Annotated[str, typer.Option(help="Zone of local times, if no other is set.")] = "",
    state: Annotated[str, typer.Option(help="State of reads that tell none.")] = "",
    at: Annotated[str, typer.Option(help="Time, with zone, of records without one.")] = "",
    photos: Annotated[
        Path | None, typer.Option(help="Where photos' paths start; else beside the file.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write rows not taken here.")] = None,
) -> None:
    """Take reads in; every row is taken or has its reason in the report."""
    node = load_config(config)
    settings = Settings(
        mapping=load_mapping(mapping) if mapping else None,
        photo_folder=photos or (None if source == "-" else Path(source).parent),
        cameras=load_cameras(cameras) if cameras else MappingProxyType({}),
        camera=camera,
        at_ms=_moment(at) if at else None,
        zone=zone_of(zone, "zone") if zone else None,
        state=state_of(state, "state"),
        keep_photos=keeps_photos(node),
    )
    with ExitStack() as stack:
        chosen, stream = choose(form, _open_source(source, stack))
        store, kept = stack.enter_context(opened(node))
        columns = (SpinnerColumn(), TextColumn("{task.completed} rows"), TimeElapsedColumn())
        console = Console(stderr=True)
        with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("ingest", total=None)
            account = ingest_records(
                records(chosen, stream, settings),
                store,
                kept,
                lambda seen: bar.update(task, completed=seen),
            )
    print_report(account)
    if report is not None:
        account.write_rejected(report)


@app.command("formats")
def list_formats() -> None:
    """List the formats that reads may come in, those of installed packages too."""
    known = formats()
    width = max(len(name) for name in known)
    for name, form in known.items():
        typer.echo(f"{name:{width}}  {form.about}")


def keeps_photos(node: NodeConfig) -> bool:
    """Tell whether the agency's policy keeps photos for a day or longer.

    Raises:
        InputError: the policy can't be read.
    """
    try:
        policy = parse_policy(node.policy.read_bytes(), node.policy)
    except OSError as error:
        raise InputError(node.policy, f"can't be read ({error.strerror})") from None
    return policy.retention.photos_days > 0


def _moment(text: str) -> int:
    try:
        return to_ms(datetime.fromisoformat(text))
    except ValueError:
        raise InputError("at", "is not a time with a zone", "write 2026-03-01T08:00Z") from None


def _open_source(source: str, stack: ExitStack) -> BinaryIO:
    if source == "-":
        return sys.stdin.buffer
    path = Path(source)
    try:
        return stack.enter_context(path.open("rb"))
    except OSError as error:
        raise InputError(path, f"can't be read ({error.strerror})", "check the path") from None


def print_report(account: IngestReport) -> None:
    """Print counts, reasons and notes; no plate is in any of them."""
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
