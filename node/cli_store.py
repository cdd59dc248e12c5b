"""``accord-node store``: the node's reads and all beside them, into the other database.

accord-node store copy --to keys/store.url    from SQLite to the server of that URL
accord-node store copy --to keys/store.url --shard keys/shard1.url --shard keys/shard2.url
accord-node store copy --to sqlite            back: to reads.db in the data folder
accord-node store restored                    after pg_restore, before the node serves
"""

import getpass
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table

from accord.cli.cells import console
from accord.clock import SystemClock, iso
from accord.errors import InputError
from node.config import NodeConfig, load_config
from node.store_copy import SQLITE, StoreCopied, copy_store
from node.store_restored import restored as tell_restored

app = typer.Typer(
    help="The store of the node: moved to the other database, put back from a dump.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root() -> None:
    """See the commands."""


@app.command()
def copy(
    to: Annotated[str, typer.Option(help="A file with a PostgreSQL URL, or the word sqlite.")],
    shard: Annotated[
        list[Path] | None,
        typer.Option(help="A file with the URL of a server for the reads; once for each."),
    ] = None,
    config: Annotated[Path, typer.Option(help="The node's node.toml.")] = Path("node.toml"),
    by: Annotated[str, typer.Option(help="Who asks; your login if left out.")] = "",
) -> None:
    """Move all that the node's store holds into another; no node may serve meanwhile.

    It verifies what it moved. Stopped half-way, it is run again and goes on where it was.
    """
    settings = load_config(config)
    with _Bars() as bars:
        done = copy_store(
            settings, to, SystemClock(), by or getpass.getuser(), bars.told, shard or ()
        )
    _print(done)
    if not done.whole:
        raise InputError("the copy", "is not what the source is", "run this again: it mends that")
    _print_what_next(settings, to, shard or (), done)


@app.command()
def restored(
    config: Annotated[Path, typer.Option(help="The node's node.toml.")] = Path("node.toml"),
    by: Annotated[str, typer.Option(help="Who asks; your login if left out.")] = "",
) -> None:
    """Tell the node that its PostgreSQL database was put back from a dump; it must not serve."""
    aside = tell_restored(load_config(config), SystemClock(), by or getpass.getuser())
    typer.echo("New reads get numbers that no read had, and the replay guard begins anew.")
    if aside is not None:
        typer.echo(f"The audit log lacks entries that it had: its last head is kept in {aside}.")
    typer.echo(
        "Before the node serves: accord-node audit import, if there is a newer export of the "
        "log; accord-node purge; and accord-node retention holds: what was released is back."
    )


class _Bars:
    """A bar for each table, on a terminal."""

    def __init__(self) -> None:
        shown = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            console=shown, transient=True, disable=not shown.is_terminal,
        )  # fmt: skip
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def __enter__(self) -> "_Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def told(self, what: str, table: str, rows: int, of: int) -> None:
        """Show that some more rows were looked at."""
        task = self._tasks.get((what, table))
        if task is None:
            task = self._progress.add_task(f"{table.replace('_', ' ')} {what}", total=of)
            self._tasks[what, table] = task
        self._progress.advance(task, rows)


def _print(done: StoreCopied) -> None:
    table = Table("Table", "Rows", "SHA-256 at the source", "at the target", "")
    for one in done.tables:
        source, target = one.at_source, one.at_target
        table.add_row(
            one.name.replace("_", " "),
            str(target.rows),
            source.digest.hex()[:16],
            target.digest.hex()[:16],
            "same" if source == target else f"differs: {source.rows} rows at the source",
        )
    console().print(table)


def _print_what_next(
    settings: NodeConfig, to: str, shards: Sequence[Path], done: StoreCopied
) -> None:
    old = settings.reads if settings.store_url is None else f"the database of {settings.store_url}"
    log = "" if done.entries is None else f", the audit log with its {done.entries} entries too"
    typer.echo(f"All of it is there{log}. Read ids and pages that requesters hold stay valid.")
    if done.destroy_by_ms is None:
        typer.echo(f"Nothing was removed from {old}: destroy it once the node has moved.")
    else:
        typer.echo(
            f"Nothing was removed from {old}, and no purge reaches it once the node has moved: "
            f"destroy it by {iso(done.destroy_by_ms)}, when policy or law has something in it due."
        )
    typer.echo(
        "Once it has started, the node refuses for half a minute what it is asked: the replay "
        "guard begins anew, and what was issued before it is not answered."
    )
    typer.echo(f"Now {_edit(settings, to, shards)} in {settings.path}, then start the node.")


def _edit(settings: NodeConfig, to: str, shards: Sequence[Path]) -> str:
    if to == SQLITE:
        return "remove the section [store]"
    home = settings.path.resolve().parent

    def named(path: Path) -> str:
        path = path.resolve()
        return json.dumps(str(path.relative_to(home) if path.is_relative_to(home) else path))

    told = f"write [store] and below it postgres = {named(Path(to))}"
    if shards:
        told += f" and shards = [{', '.join(map(named, shards))}]"
    return told
