"""``accord law``: the rules of law that decide; counsel's own updates, checked and signed.

Exit status: 0 shown, sound or signed; 2 usage, or a pack that can't be one.
"""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, date
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from accord.agencies import read_plain
from accord.agreements.law.packs import built_in_law
from accord.agreements.law.rules import EVERY_STATE, Pack, Rule
from accord.agreements.law.updates import parse_update, remarks, sign_update
from accord.agreements.reading import local_date
from accord.cli.cells import console, shown
from accord.cli.files import write_new
from accord.clock import SystemClock
from accord.errors import InputError
from accord.keys import PrivateKey
from accord.plain import plain

app = typer.Typer(
    help="The rules of law, and counsel's updates of them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

PackFile = Annotated[Path, typer.Argument(help="The pack, such as law/us-ca.toml.")]
Key = Annotated[Path, typer.Option(help="Counsel's private key file.")]


@app.command("list")
def list_rules(
    state: Annotated[
        str, typer.Option(help="Only what binds agencies of this state, such as CA.")
    ] = "",
    also: Annotated[
        list[Path], typer.Option(help="An update to list beside the built-in packs (repeat).")
    ] = [],  # noqa: B006 - typer makes a new list for each call
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List every rule with its citation, how sure it is, its days and its state."""
    law = built_in_law().with_packs([parse_update(read_plain(path), path) for path in also])
    states = sorted({pack.applies_to for pack in law.packs} - {EVERY_STATE})
    if state and state not in states:
        told = f"no pack holds the law of {plain(state)}"
        raise InputError("--state", told, f"use one of {', '.join(states)}; the floor binds anyhow")
    wanted = (EVERY_STATE, state) if state else (EVERY_STATE, *states)
    packs = [pack for one in wanted for pack in law.packs if pack.applies_to == one]
    if as_json:
        content = {"packs": [_content(pack) for pack in packs]}
        sys.stdout.write(json.dumps(content, indent=1) + "\n")
        return
    screen = console()
    for pack in packs:
        screen.print(shown(f"{pack.title} ({pack.id}, number {pack.number})"))
        table = Table("rule", "state", "citation", "sure", "days")
        for rule in pack.rules:
            what = f"{rule.id} ({rule.kind}; binds: {rule.binds}): {rule.says}"
            what += f" [{rule.note}]" if rule.note else ""
            cells = (what, rule.state, rule.citation, rule.confidence, days(rule))
            table.add_row(*map(shown, cells))
        screen.print(table)


def days(rule: Rule) -> str:
    """Return from when to when a rule holds, such as ``from 2016-01-01``."""
    until = f" to {rule.until}" if rule.until else ""
    return f"from {rule.begins}{until}"


def _content(pack: Pack) -> dict[str, object]:
    rules = [
        {"id": rule.id, "kind": rule.kind, "state": rule.state, "binds": rule.binds,
         "bound_kinds": sorted(rule.bound_kinds), "citation": rule.citation,
         "confidence": rule.confidence, "note": rule.note, "from": rule.begins.isoformat(),
         "until": rule.until.isoformat() if rule.until else None, "says": rule.says}
        for rule in pack.rules
    ]  # fmt: skip
    return {"id": pack.id, "number": pack.number, "title": pack.title,
            "applies_to": pack.applies_to, "rules": rules}  # fmt: skip


@app.command()
def check(file: PackFile) -> None:
    """Say whether a pack can be read, what it would do, and which rules change nothing."""
    pack = parse_update(read_plain(file), file)
    screen = console()
    whom = "agencies of every state" if pack.applies_to == EVERY_STATE else pack.applies_to
    screen.print(shown(f"{pack.title} ({pack.id}, number {pack.number}): the law of {whom}."))
    for line in _lines(pack, local_date(SystemClock().now_ms(), UTC)):
        screen.print(shown(line))
    if file.name != f"{pack.id}.toml":
        screen.print(shown(f"note: a node reads it as {pack.id}.toml only."))


def _lines(pack: Pack, today: date) -> Iterator[str]:
    for rule in pack.rules:
        yield f"{rule.id}: {rule.state}, {days(rule)}, {rule.citation}: {rule.says}"
    for rule, why in remarks(pack, built_in_law(), today):
        yield f"note: {rule.id} changes nothing today: {why}."


@app.command()
def sign(file: PackFile, key: Key) -> None:
    """Sign an update as the agency's counsel: the signature is a file beside it."""
    data = read_plain(file)
    pack = parse_update(data, file)
    if file.name != f"{pack.id}.toml":
        raise InputError(file, f"holds the pack {pack.id}", f"name it {pack.id}.toml")
    signature = sign_update(data, file, PrivateKey.load(key))
    path = file.with_suffix(".sig")
    write_new(path, signature)
    screen = console()
    screen.print(shown(f"Signed: {pack.title} ({pack.id}), number {pack.number}."))
    screen.print(shown(f"Signature: {path}. Put both files into the node's federation/law."))
