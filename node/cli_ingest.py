"""``accord-node ingest``: take reads in from a file, and list the formats.

    accord-node ingest reads.csv --mapping mapping.toml     the same as: ingest file reads.csv
    zcat week.csv.gz | accord-node ingest - --format csv --mapping mapping.toml
    accord-node ingest formats
    accord-node ingest dead                                 what was not taken: counts, reasons
    accord-node ingest retry --source gate                  try that again

A file that is named like one of the commands is written with its folder, such
as ``./formats``. Status 4 says that some of it is neither taken nor kept whole.
"""

import sys
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, BinaryIO

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from typer.core import TyperGroup

from accord.agreements.retention import Limits
from accord.clock import SystemClock, iso, to_ms
from accord.errors import InputError, Unverified
from accord.hot_lists import HIT_NOTICE
from accord.processes import EXIT_INCOMPLETE
from node.config import NodeConfig, load_config
from node.held import limits_on_arrival
from node.ingest import ingest as ingest_records
from node.ingest.checks import state_of, zone_of
from node.ingest.dead import DeadLetters, retry
from node.ingest.formats import choose, formats, records
from node.ingest.mapping import load_mapping
from node.ingest.report import IngestReport
from node.ingest.settings import Settings, load_cameras
from node.opened import opened
from node.retention import due_on_arrival, latest_on_arrival
from node.ways.intake import settings_of


class _FileIfNoCommand(TyperGroup):
    """What is no command here is the file to take in."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["file", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    help="Take reads in; ingest formats lists the formats.",
    cls=_FileIfNoCommand,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

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
    origin: Annotated[
        str, typer.Option("--source", help="What dead letters call this source.")
    ] = "file",
) -> None:
    """Take reads in; every row is taken or has its reason in the report."""
    node = load_config(config)
    folder = photos or (None if source == "-" else Path(source).parent)
    settings, limits = _settings(node, mapping, cameras, camera, zone, state, at, folder)
    with ExitStack() as stack:
        chosen, stream = choose(form, _open_source(source, stack))
        store, kept = stack.enter_context(opened(node))
        letters = DeadLetters(store, origin, chosen.name, SystemClock())
        columns = (SpinnerColumn(), TextColumn("{task.completed} rows"), TimeElapsedColumn())
        console = Console(stderr=True)
        with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("ingest", total=None)
            account = ingest_records(
                records(chosen, stream, settings),
                store,
                kept,
                lambda seen: bar.update(task, completed=seen),
                refused=letters.keep,
                due=due_on_arrival(store, limits, SystemClock().now_ms()),
            )
        letters.flush()
    print_report(account)
    if report is not None:
        account.write_rejected(report)
    name, told = "standard input" if source == "-" else source, []
    if letters.cut:
        problem = f"{letters.cut} records are too long to keep whole"
        told.append(InputError(name, problem, "keep the file, mend them, and take it in again"))
    if letters.lost:
        problem = f"{letters.lost} records find no room among the dead letters"
        remedy = "ingest dead says why they wait: mend that, ingest retry, and take it in again"
        told.append(InputError(name, problem, remedy))
    for error in told:
        typer.echo(f"error: {error}", err=True)
    if told:
        raise typer.Exit(EXIT_INCOMPLETE)


@app.command("formats")
def list_formats() -> None:
    """List the formats that reads may come in, those of installed packages too."""
    known = formats()
    width = max(len(name) for name in known)
    for name, form in known.items():
        typer.echo(f"{name:{width}}  {form.about}")


@app.command("dead")
def list_dead(config: Config = DEFAULT) -> None:
    """Count the records that were not taken, by source, format and reason."""
    with opened(load_config(config)) as (store, _):
        found = store.dead_counts()
    if not found:
        typer.echo("No dead letters.")
    for one in found:
        since = iso(one.oldest_ms)
        typer.echo(f"{one.letters} of {one.source} ({one.format}) since {since}: {one.reason}")


@app.command("retry")
def retry_dead(
    config: Config = DEFAULT,
    origin: Annotated[str, typer.Option("--source", help="Only of this source.")] = "",
    form: Annotated[str, typer.Option("--format", help="Only of this format.")] = "",
    mapping: Annotated[Path | None, typer.Option(help="What each field is (TOML).")] = None,
    cameras: Annotated[Path | None, typer.Option(help="The camera table (TOML).")] = None,
    camera: Annotated[str, typer.Option(help="Camera of records that name none.")] = "",
    zone: Annotated[str, typer.Option(help="Zone of local times, if no other is set.")] = "",
    state: Annotated[str, typer.Option(help="State of reads that tell none.")] = "",
    at: Annotated[str, typer.Option(help="Time, with zone, of records without one.")] = "",
    photos: Annotated[Path | None, typer.Option(help="Where photos' paths start.")] = None,
) -> None:
    """Try dead letters again; what is taken now leaves them.

    The options count for letters of ingest file: a source of node.toml has its own.
    """
    node = load_config(config)
    given, limits = _settings(node, mapping, cameras, camera, zone, state, at, photos)
    with opened(node) as (store, kept):
        own = {
            source.name: replace(
                settings_of(source, node.base),
                keep_photos=given.keep_photos,
                latest_ms=given.latest_ms,
            )
            for source in node.sources
        }
        done = retry(
            store,
            kept,
            lambda of: own.get(of, given),
            source=origin,
            form=form,
            due=due_on_arrival(store, limits, SystemClock().now_ms()),
        )
    stay = done.letters - done.gone
    typer.echo(f"{done.letters} dead letters: {done.gone} gone, {stay} stay.")
    print_report(done.report)


def _settings(
    node: NodeConfig,
    mapping: Path | None,
    cameras: Path | None,
    camera: str,
    zone: str,
    state: str,
    at: str,
    photos: Path | None,
) -> tuple[Settings, Limits | None]:
    try:
        # As a serving node: by the policy and the law.
        kept, limits = limits_on_arrival(node, SystemClock())
    except Unverified as unsigned:
        # Its own status says that something was taken.
        remedy = "nothing was taken in: have your counsel sign it"
        raise InputError("the law", unsigned.problem, remedy) from None
    settings = Settings(
        mapping=load_mapping(mapping) if mapping else None,
        photo_folder=photos,
        cameras=load_cameras(cameras) if cameras else MappingProxyType({}),
        camera=camera,
        at_ms=_moment(at) if at else None,
        zone=zone_of(zone, "zone") if zone else None,
        state=state_of(state, "state"),
        keep_photos=kept.photos.keep_ms > 0,
        latest_ms=latest_on_arrival(SystemClock().now_ms()) if limits is not None else None,
    )
    return settings, limits


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
