"""``accord-node doctor``: what is amiss with this node, and what to do about it."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from accord.cli.cells import console, shown
from accord.clock import SystemClock, iso
from node.config import load_config
from node.doctor.checks import Finding, State, diagnose
from node.doctor.facts import Facts
from node.doctor.gather import clock_kept, gather, require_owner
from node.doctor.reach import reach


def doctor(
    config: Annotated[Path, typer.Option(help="The node's node.toml.")] = Path("node.toml"),
    seconds: Annotated[
        float, typer.Option(help="The most to spend on the pages of one database.", min=0)
    ] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check what the node stands on and say what to do; status 1 where there is a fault.

    It only reads, and may run while the node serves.
    """
    settings = load_config(config)
    require_owner(settings)
    facts = gather(settings, SystemClock(), reach, clock_kept(), seconds)
    found = diagnose(facts)
    worst = worst_of(found)
    if as_json:
        sys.stdout.write(json.dumps(as_object(facts, found), indent=1) + "\n")
    else:
        _print(facts, found)
    raise typer.Exit(int(worst is State.FAULT))


def worst_of(found: Sequence[Finding]) -> State:
    """Return the worst state of all."""
    order = list(State)
    return max((one.state for one in found), key=order.index, default=State.OK)


def as_object(facts: Facts, found: Sequence[Finding]) -> dict[str, object]:
    """Return what is printed with ``--json``; "do" is "" where nothing is to be done."""
    return {
        "agency": facts.agency,
        "node": facts.node,
        "at": iso(facts.now_ms),
        "state": worst_of(found).value,
        "checks": [
            {"check": one.check, "state": one.state.value, "is": one.found, "do": one.remedy}
            for one in found
        ],
    }


def _print(facts: Facts, found: Sequence[Finding]) -> None:
    out = console()
    table = Table("Check", "State", "What is", "What to do")
    for one in found:
        table.add_row(*map(shown, (one.check, one.state.value, one.found, one.remedy)))
    out.print(table)
    counts = ", ".join(_counted(found, state) for state in (State.FAULT, State.WARNING))
    out.print(shown(f"{facts.agency}/{facts.node} at {iso(facts.now_ms)}: {counts}."))


def _counted(found: Sequence[Finding], state: State) -> str:
    number = sum(one.state is state for one in found)
    return f"{number or 'no'} {state.value}{'s' * (number != 1)}"
