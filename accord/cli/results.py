"""``accord results``: list, show, export, explain, delete, purge. What ``--keep`` kept.

Each of them purges first. A result is of one question; it holds one signed answer
for each agency, or several pages, and each of these goes by itself when it is due.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from accord.agreements.keeping import Gone, told
from accord.cli import show
from accord.cli.cells import console, shown
from accord.client_config import load_client_config
from accord.clock import SystemClock, iso
from accord.errors import Code, InputError
from accord.kept import Kept, KeptResult
from accord.model import Duty, OutcomeKind
from accord.paging import merge_pages
from accord.processes import EXIT_INCOMPLETE
from accord.result_store import ResultStore
from accord.results import AgencyOutcome, Entry, ListState, Result, hits_of

app = typer.Typer(
    help="The answers that are kept here, until they are due.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Config = Annotated[Path, typer.Option(help="Your client.toml.", envvar="ACCORD_CLIENT")]
Id = Annotated[str, typer.Argument(metavar="RESULT", help="Such as result-3f2a91bc07.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print rows as CSV.")]
DEFAULT = Path("client.toml")


def _open(config: Path) -> ResultStore:
    return ResultStore.open(load_client_config(config))


@app.command("list")
def list_(config: Config = DEFAULT, as_json: AsJson = False) -> None:
    """List what is kept: case, purpose, who asked, of whom, and when each answer goes."""
    with _open(config) as store:
        rows = [row for result in store.results() for row in _list_rows(result)]
    if as_json:
        sys.stdout.write(json.dumps({"results": rows}, indent=1) + "\n")
        return
    if not rows:
        console().print("Nothing is kept here.")
        return
    table = Table("Result", "Received", "Case", "Purpose", "Asked by", "Agency", "Rows", "Goes by")
    for row in rows:
        cells = (row["result"], row["received"], row["case"], row["purpose"], row["officer"],
                 row["agency"], str(row["rows"]), row["goes_by"])  # fmt: skip
        table.add_row(*map(shown, cells))
    console().print(table)


@app.command("show")
def show_(result: Id, config: Config = DEFAULT) -> None:
    """Verify a kept result again and show it."""
    with _open(config) as store:
        found = store.result(result)
    out = console()
    for kept in found.verified[:1]:
        query = kept.query
        out.print(shown(
            f"{found.result_id} of case {query.case_number}, {query.purpose}: asked by "
            f"{query.credential.officer} of {query.requesting_agency}, "
            f"received {iso(found.received_ms)}. Reason: {query.reason}"
        ))  # fmt: skip
    again = as_result(found)
    show.people(again, out)
    raise typer.Exit(_status(again))


@app.command()
def export(
    result: Id,
    config: Config = DEFAULT,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    photo: Annotated[Path | None, typer.Option(help="Where the picture goes; a new file.")] = None,
) -> None:
    """Write a kept result as JSON, CSV or picture, if it was asked for as that: so agreed to."""
    if [as_json, as_csv, photo is not None].count(True) != 1:
        raise InputError("--json, --csv, --photo", "are not one of the three", "choose one form")
    with _open(config) as store:
        found = store.result(result)
    if not all(kept.query.export for kept in found.verified):
        # Whether an answer may leave the client is for its owner to say, when it is asked.
        raise InputError(
            "result", "was not asked for as a file, so no agency agreed to one",
            "ask again with --keep and --csv or --json",
        )  # fmt: skip
    again = as_result(found)
    if photo is None:
        show.result(again, as_json=as_json, as_csv=as_csv)
    elif again.photo is None:
        raise InputError("result", "holds no photo", "see accord results show")
    else:
        show.save_photo(again.photo, photo)
    raise typer.Exit(_status(again))


@app.command()
def explain(result: Id, config: Config = DEFAULT, as_json: AsJson = False) -> None:
    """Say when each answer of a result goes, which rules say so, and what else binds it."""
    now_ms = SystemClock().now_ms()
    with _open(config) as store:
        found = store.result(result)
        content = [_explained(store, kept, now_ms) for kept in found.verified]
    unread = [
        f"{one.row.agency}: not shown: {one.problem}" for one in found.answers if not one.kept
    ]
    if as_json:
        body = {"result": found.result_id, "at": iso(now_ms), "answers": content, "unread": unread}
        sys.stdout.write(json.dumps(body, indent=1) + "\n")
        return
    out = console()
    for one in content:
        out.print(shown(
            f"{one['agency']}, under {one['agreement'] or 'no agreement held here'} "
            f"(sha256:{one['agreement_sha256']}): gone by {one['goes_by']}"
        ))  # fmt: skip
        table = Table("Gone by", "Section", "Because")
        for limit in one["limits"]:
            table.add_row(*map(shown, (limit["gone_by"], limit["section"], limit["says"])))
        out.print(table)
        for line in one["told"]:
            out.print(shown(line))
    for line in unread:
        out.print(shown(line))


@app.command()
def delete(result: Id, config: Config = DEFAULT) -> None:
    """Delete a result before it is due."""
    with _open(config) as store:
        purged = store.delete(result)
    console().print(shown(f"{result} is deleted.{_rest(settled=purged.settled)}"))
    if not purged.settled:
        raise typer.Exit(EXIT_INCOMPLETE)


@app.command()
def purge(config: Config = DEFAULT) -> None:
    """Delete what is due; for a timer, where nobody uses Accord each day."""
    with _open(config) as store:
        purged = store.purge()
    following = "Nothing else is kept." if purged.next_ms is None else (
        f"The next goes by {iso(purged.next_ms)}."
    )  # fmt: skip
    said = f"Answers deleted: {purged.answers}. {following}{_rest(settled=purged.settled)}"
    console().print(said)
    if not purged.settled:
        raise typer.Exit(EXIT_INCOMPLETE)


def as_result(found: KeptResult) -> Result:
    """Return a kept result as it is shown: rows that were verified, and what is not among them.

    Each row bears the day by which it goes from here, which may be sooner than its duty.
    """
    pages: dict[str, list[Kept]] = {}
    for kept in found.verified:
        pages.setdefault(kept.row.agency, []).append(kept)
    bodies = [kept.body for some in pages.values() for kept in some]
    # No page comes any more, so none waits for another.
    whole = [[replace(k.body, complete=True, next_cursor=b"", frontier_ms=0) for k in some]
             for some in pages.values()]  # fmt: skip
    reads, _ = merge_pages(whole)
    outcomes = [_outcome(noted, pages.get(noted.agency, []), found) for noted in found.outcomes]
    photos = [body.photo for body in bodies if body.photo is not None]
    return Result(
        query_id=found.verified[0].query.query_id.hex() if found.verified else "",
        outcomes=tuple(outcomes),
        recipient=bodies[0].requesting_agency if bodies else "",
        reads=tuple(reads),
        entries=tuple(Entry(b.agency, entry, stale) for b in bodies for entry, stale in b.entries),
        photo=photos[0] if photos else None,
        hits=hits_of(reads, bodies),
        lists=tuple(ListState(b.agency, state) for b in bodies for state in b.lists),
        warnings=(f"Kept since {iso(found.received_ms)}: what the agencies have now may differ.",),
    )


def _list_rows(result: KeptResult) -> list[dict[str, Any]]:
    rows = []
    for answer in result.answers:
        row, kept = answer.row, answer.kept
        query = kept.query if kept else None
        rows.append({
            "result": result.result_id,
            "received": iso(row.received_ms),
            "case": query.case_number if query else f"can't be read: {answer.problem}",
            "purpose": query.purpose if query else "",
            "officer": query.credential.officer if query else "",
            "agency": row.agency,
            "agreement": row.agreement,
            "agreement_sha256": kept.body.agreement_digest.hex() if kept else "",
            "rows": kept.body.count if kept else 0,
            "goes_by": iso(row.gone_by_ms),
            "section": row.section,
        })  # fmt: skip
    return rows


def _explained(store: ResultStore, kept: Kept, now_ms: int) -> dict[str, Any]:
    limits: Sequence[Gone] = store.limits(kept)
    agreement = store.agreement(kept)
    return {
        "agency": kept.row.agency,
        "recipient": kept.body.requesting_agency,
        "case": kept.query.case_number,
        "purpose": kept.query.purpose,
        "officer": kept.query.credential.officer,
        "agreement": kept.row.agreement,
        "agreement_sha256": kept.body.agreement_digest.hex(),
        "received": iso(kept.row.received_ms),
        "goes_by": iso(limits[0].at_ms),
        "limits": [
            {"gone_by": iso(one.at_ms), "section": one.section, "says": one.says} for one in limits
        ],
        "told": list(told(agreement, kept.body, now_ms)),
    }


def _outcome(noted: AgencyOutcome, pages: Sequence[Kept], found: KeptResult) -> AgencyOutcome:
    """Return an agency's outcome now: verified, not to be verified, gone, or as it was noted."""
    if pages:
        first = min(pages, key=lambda kept: kept.row.gone_by_ms).row
        days = max((kept.body.duty.capture_days for kept in pages if kept.body.duty), default=0)
        rows = sum(kept.body.count for kept in pages)
        some = "" if rows == noted.rows else "Not all that it gave is here: the rest was due."
        complete = noted.final and not some and pages[-1].body.complete
        return AgencyOutcome(
            agency=noted.agency,
            kind=OutcomeKind.ANSWERED if complete else OutcomeKind.TRUNCATED,
            signed=True,
            rows=rows,
            text=some,
            duty=Duty(first.gone_by_ms, first.section, days),
            log_index=pages[-1].log_index,
        )
    problem = next((one.problem for one in found.answers if one.row.agency == noted.agency), "")
    if problem:
        text = f"Not shown: {problem}."
        return AgencyOutcome(
            noted.agency, OutcomeKind.UNVERIFIED, False, code=Code.ANSWER_UNVERIFIED, text=text
        )
    if noted.rows:
        return replace(
            noted, kind=OutcomeKind.TRUNCATED, rows=0, text="No longer kept: it was due."
        )
    return replace(noted, text="As noted when it was asked; signed by nobody.")


def _status(again: Result) -> int:
    return 0 if again.complete else EXIT_INCOMPLETE


def _rest(*, settled: bool) -> str:
    return "" if settled else (
        " Some of the deleted bytes are still in the file, which another process uses: "
        "they go with the next use."
    )  # fmt: skip
