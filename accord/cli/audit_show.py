"""``accord audit show``: what a log holds, filtered."""

import csv
import json
import sys
from collections.abc import Iterable
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from accord.audit.reader import Filter, Shown
from accord.audit.report import COLUMNS, line
from accord.cli import cells
from accord.cli.audit_options import AsJson, Config, Log, Public, Secret, open_log
from accord.cli.cells import console
from accord.cli.moments import parse_time
from accord.clock import SystemClock, to_datetime

Officer = Annotated[str, typer.Option(help="Only this officer's, by the agency's identifier.")]
Agency = Annotated[str, typer.Option(help="Only this requesting agency's.")]
Purpose = Annotated[str, typer.Option(help="Only this purpose.")]
Case = Annotated[str, typer.Option(help="Only this case number.")]
Plate = Annotated[str, typer.Option(help="Only where this plate, or this pattern, was asked.")]
Kind = Annotated[str, typer.Option(help="Only this kind: query, answer, refusal, countersign ...")]
Since = Annotated[str, typer.Option(help="Start: a time with zone, or such as 30d ago.")]
Until = Annotated[str, typer.Option(help="End: a time with zone, or such as 1h ago.")]
Limit = Annotated[int, typer.Option(help="The newest so many.", min=1)]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print the columns as CSV.")]


def show(
    config: Config = None,
    log: Log = None,
    secret: Secret = None,
    public: Public = "",
    officer: Officer = "",
    agency: Agency = "",
    purpose: Purpose = "",
    case: Case = "",
    plate: Plate = "",
    kind: Kind = "",
    since: Since = "",
    until: Until = "",
    limit: Limit = 50,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """List entries, oldest first: who asked what, why, and what was decided."""
    now = to_datetime(SystemClock().now_ms())
    equal = {
        "officer": officer,
        "agency": agency,
        "purpose": purpose,
        "case": case,
        "plate": plate.upper().translate(str.maketrans("", "", " -.")),
        "kind": kind,
    }
    wanted = Filter(
        equal={name: value for name, value in equal.items() if value},
        since_ms=parse_time(since, now) if since else None,
        until_ms=parse_time(until, now) if until else None,
        limit=limit,
    )
    with open_log(config, log, secret, public) as reader:
        entries = list(reader.entries(wanted))
        if as_json:
            _json(reader.origin, entries)
        elif as_csv:
            _csv(entries)
        else:
            _people(reader.origin, entries, limit)


def _json(origin: str, entries: Iterable[Shown]) -> None:
    content = {
        "origin": origin,
        "entries": [_entry(shown) for shown in entries],
    }
    sys.stdout.write(json.dumps(content, indent=1) + "\n")


def _entry(shown: Shown) -> dict[str, object]:
    gone = {"expunged": list(shown.gone)} if shown.gone else {}
    return {"index": shown.index, **shown.fields, **gone}


def _csv(entries: Iterable[Shown]) -> None:
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for shown in entries:
        writer.writerow({name: cells.cell(value) for name, value in line(shown).items()})


def _people(origin: str, entries: list[Shown], limit: int) -> None:
    out = console()
    if not sys.stdout.isatty():
        # A file or a pipe has no width to fit into.
        out.width = 240
    table = Table(
        "No.",
        "Time (UTC)",
        "Kind",
        "User",
        "Organisation",
        "Purpose",
        "Case",
        "Asked",
        "Decision",
        "Rows",
        "Answer digest",
    )
    for shown in entries:
        said = line(shown)
        organisation = said["organisation"]
        if said["on_behalf_of"]:
            organisation += f", for {said['on_behalf_of']}"
        row = (
            said["index"],
            said["time"][:19].replace("T", " "),
            said["kind"],
            said["user"],
            organisation,
            said["purpose"],
            said["case"],
            said["asked"],
            said["decision"],
            said["count"],
            said["answer_digest"][:12],
        )
        table.add_row(*map(cells.shown, row))
    out.print(table)
    more = ": the newest that fit; --limit shows more" if len(entries) == limit else ""
    out.print(Text(f"{origin}: {len(entries)} entries{more}"))
