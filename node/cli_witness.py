"""``accord-node witness``: who witnesses whom, what was found, and what a person resolves.

All may run while the node serves, which records within a second or two what was
resolved or forgotten, and by whom.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from accord.cli.cells import console, shown
from accord.clock import SystemClock, iso
from accord.errors import InputError, Refused
from accord.plain import plain
from accord.witnessing import origin_of
from node.config import NodeConfig, load_config
from node.held import held
from node.opened import require_whole
from node.opened_log import log_place
from node.store.opening import open_memory
from node.witness_memory import Evidence, Kind, Memory
from node.witnessed import look, witnesses

app = typer.Typer(
    help="Who cosigns whose audit log, and what was found amiss.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Config = Annotated[Path, typer.Option(help="The node's node.toml.")]
By = Annotated[str, typer.Option(help="Your name and office: the audit log keeps them.")]
Reason = Annotated[str, typer.Option(help="Why, in words: the audit log keeps them.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DEFAULT = Path("node.toml")


@contextmanager
def _memory(settings: NodeConfig) -> Iterator[Memory]:
    require_whole(settings.data)
    memory = open_memory(settings)
    try:
        yield memory
    except Refused as refused:
        remedy = "see that the disk or the server is there, and run this again"
        raise InputError("witness", refused.detail or refused.text, remedy) from None
    finally:
        memory.close()


@app.command("list")
def list_all(config: Config = DEFAULT, as_json: AsJson = False) -> None:
    """Say how far others have cosigned our log, and which logs we cosign."""
    settings, now_ms = load_config(config), SystemClock().now_ms()
    asked = witnesses(held(settings), settings.agency, settings.witnesses, now_ms)
    with _memory(settings) as memory:
        ours = look(log_place(settings), memory, settings.witnesses, asked)
        theirs = memory.held()
    if as_json:
        content = {
            "log": origin_of(settings.agency),
            "entries": ours.size,
            "needed": ours.needed,
            "cosigned": ours.covered,
            "by": dict(ours.by_agency),
            "waits_since": None if ours.since_ms is None else iso(ours.since_ms),
            "witnessed": [
                {"log": one.checkpoint.origin, "entries": one.checkpoint.size, "at": iso(one.at_ms)}
                for one in theirs
            ],
        }
        sys.stdout.write(json.dumps(content, indent=1) + "\n")
        return
    out, table = console(), Table("Log", "Witness", "Entries cosigned", "When")
    for agency, size in ours.by_agency.items():
        row = (origin_of(settings.agency), agency, f"{size} of {ours.size}", "")
        table.add_row(*map(shown, row))
    for one in theirs:
        row = (one.checkpoint.origin, settings.agency, str(one.checkpoint.size), iso(one.at_ms))
        table.add_row(*map(shown, row))
    out.print(table)
    if ours.since_ms is not None:
        out.print(f"Entry {ours.covered} waits for cosignatures since {iso(ours.since_ms)}.")
    waiting = sum(not one.resolved_ms for one in ours.evidence)
    if waiting:
        out.print(f"Not resolved: {waiting}. See: accord-node witness evidence")


@app.command()
def evidence(
    which: Annotated[str, typer.Argument(help="One of them, by its id, with its notes.")] = "",
    config: Config = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show the pairs of checkpoints that don't go together, both notes to the byte with an id."""
    settings = load_config(config)
    with _memory(settings) as memory:
        found = [_one(memory, which)] if which else memory.evidence()
    if as_json:
        sys.stdout.write(json.dumps([_object(one) for one in found], indent=1) + "\n")
        return
    if which:
        typer.echo(f"{found[0].in_words}; found {iso(found[0].found_ms)}")
        for note in (found[0].held, found[0].other):
            # Its further lines are another agency's.
            lines = note.decode(errors="replace").split("\n")
            typer.echo("\n" + "\n".join(map(plain, lines)), nl=False)
        return
    table = Table("Id", "Found", "What", "Resolved")
    for one in found:
        done = f"{iso(one.resolved_ms)} by {one.resolved_by}" if one.resolved_ms else "no"
        table.add_row(*map(shown, (one.id, iso(one.found_ms), one.in_words, done)))
    console().print(table)


@app.command()
def resolve(
    which: Annotated[str, typer.Argument(help="The id that evidence shows.")],
    by: By,
    reason: Reason,
    config: Config = DEFAULT,
) -> None:
    """Say that a person has looked into evidence. A node that it halted answers again.

    The evidence stays. Put the newest log back first, where there is one.
    """
    settings = load_config(config)
    _require(by, reason)
    with _memory(settings) as memory:
        found = _one(memory, which)
        if found.resolved_ms:
            raise InputError(which, f"was resolved {iso(found.resolved_ms)}", "nothing is to do")
        memory.resolve(found, SystemClock().now_ms(), by, reason)
    typer.echo(f"Resolved: {found.in_words}")


@app.command()
def forget(
    agency: Annotated[str, typer.Argument(help="Whose log is taken anew.")],
    by: By,
    reason: Reason,
    config: Config = DEFAULT,
) -> None:
    """Take the next checkpoint of an agency's log as the first one.

    For a log that is lost beyond what we cosigned, once both agencies know why. What we
    held stays as evidence.
    """
    settings, now_ms = load_config(config), SystemClock().now_ms()
    _require(by, reason)
    origin = origin_of(agency)
    with _memory(settings) as memory, memory.turn(origin) as turn:
        if turn.held is None:
            raise InputError(agency, "has no log that we cosigned", "see: accord-node witness list")
        size = turn.held.checkpoint.size
        turn.keep(
            Evidence(
                Kind.FORGOTTEN, origin, settings.agency, now_ms, turn.held.note, b"", now_ms, by,
                reason,
            )
        )  # fmt: skip
        turn.forget()
    typer.echo(f"Forgotten: {size} entries of {origin}; the next checkpoint counts as the first.")


def _one(memory: Memory, which: str) -> Evidence:
    found = [one for one in memory.evidence() if one.id == which]
    if not found:
        raise InputError(which, "is no evidence here", "see: accord-node witness evidence")
    return found[0]


def _require(by: str, reason: str) -> None:
    for option, text in (("--by", by), ("--reason", reason)):
        if not text.strip() or not text.isprintable() or len(text) > 300:
            raise InputError(option, "says nothing", "give it in words, 300 letters at most")


def _object(one: Evidence) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": one.kind.value,
        "log": one.origin,
        "witness": one.witness,
        "found": iso(one.found_ms),
        "held": one.held.decode(errors="replace"),
        "other": one.other.decode(errors="replace"),
        "resolved": iso(one.resolved_ms) if one.resolved_ms else None,
        "by": one.resolved_by,
        "reason": one.reason,
    }
