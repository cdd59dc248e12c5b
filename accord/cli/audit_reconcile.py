"""``accord audit reconcile``: two exported logs, what one has and the other lacks.

Nothing but the files is needed: each is verified first, as ``accord audit verify`` does.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from accord.audit.book_file import header_of, key_for, read_book
from accord.audit.books import Book
from accord.audit.export_check import Checked, known_key
from accord.audit.findings import Finding, Known, by_kind
from accord.audit.kept import read_receipts
from accord.audit.proof import origin_of
from accord.audit.reconcile import SKEW_MS, Reconciled, reconcile
from accord.audit.vkeys import NamedKey, read_public
from accord.cli.audit_options import AsJson
from accord.cli.cells import console, shown
from accord.errors import InputError
from accord.processes import EXIT_INCOMPLETE, EXIT_OK

Files = Annotated[
    list[Path],
    typer.Argument(help="Two nodes' exported logs, in any order; a broker's may come too."),
]
Publics = Annotated[
    list[str] | None, typer.Option("--public", help="A log's key, known from elsewhere. Several.")
]
Checkpoint = Annotated[
    list[Path] | None,
    typer.Option(help="A checkpoint that somebody kept: its log must go on from it. Several."),
]
Receipts = Annotated[
    list[Path] | None,
    typer.Option("--receipt", help="Receipts: all that the clients keep of one log. Several."),
]
Skew = Annotated[int, typer.Option(help="By how many seconds two clocks may differ.", min=0)]


def write(
    files: Files,
    public: Publics = None,
    checkpoint: Checkpoint = None,
    receipt: Receipts = None,
    skew: Skew = SKEW_MS // 1000,
    as_json: AsJson = False,
) -> None:
    """Find every entry about a query that one of two logs has and the other lacks.

    Exit status 0 when the books agree and their keys are known, else 4.
    """
    keys = [read_public(text) for text in public or []]
    books, checks = _read(files, keys, checkpoint or [])
    nodes = [one for one in books if one.is_node]
    if any(check.problem for check in checks):
        found = None
    else:
        brokers = [one for one in books if not one.is_node]
        found = reconcile(
            nodes[0],
            nodes[1],
            broker=brokers[0] if brokers else None,
            receipts=_receipts(receipt or [], files, keys),
            skew_ms=skew * 1000,
        )
    if as_json:
        sys.stdout.write(json.dumps(_content(checks, found), indent=1) + "\n")
    else:
        _people(checks, found)
    proven = all(one.ok and one.vouched for one in checks)
    agree = proven and found is not None and not found.findings
    raise SystemExit(EXIT_OK if agree else EXIT_INCOMPLETE)


def _read(
    files: list[Path], keys: Sequence[NamedKey], kept: list[Path]
) -> tuple[list[Book], list[Checked]]:
    """Return the books of the files, as far as they are sound, and what their checks say."""
    origins = [header_of(path).origin for path in files]
    nodes = [one for one in origins if one.endswith("/node")]
    if len(nodes) != 2 or len(files) > 3 or len(set(origins)) != len(origins):
        remedy = "give the exported logs of two agencies' nodes, and a broker's if there is one"
        raise InputError("accord audit reconcile", f"was given {', '.join(origins)}", remedy)
    if strange := [one for one in kept if _origin(one) not in origins]:
        raise InputError(strange[0], f"is of the log {_origin(strange[0])}", "give its log too")
    books, checks = [], []
    for path, origin in zip(files, origins, strict=True):
        mine = [one for one in kept if _origin(one) == origin]
        checked, book = read_book(path, keys, mine)
        checks.append(checked)
        if book is not None:
            books.append(book)
    return books, checks


def _origin(path: Path) -> str:
    """Return the log that a kept checkpoint or receipt says it is of."""
    try:
        with path.open("rb") as file:
            return origin_of(file.read(1 << 20))
    except OSError as error:
        raise InputError(path, f"can't be read ({error.strerror})", "check the path") from None


def _receipts(paths: list[Path], files: list[Path], keys: Sequence[NamedKey]) -> list[Known]:
    headers = {header.origin: (file, header) for file in files for header in [header_of(file)]}
    found = []
    for path in paths:
        origin = _origin(path)
        if origin not in headers:
            raise InputError(path, f"is of the log {origin}", "give receipts of these logs")
        file, header = headers[origin]
        key = known_key(file, origin, header.key, key_for(header, keys))
        for one in read_receipts(path, origin, key):
            if one.entry is None:
                raise InputError(
                    path, "opens no entry: it has no extra line",
                    "name files that accord audit receipts --export wrote",
                )  # fmt: skip
            found.append(Known(one.where, origin, one.index, one.entry.leaf_hash))
    return found


def _content(checks: list[Checked], found: Reconciled | None) -> dict[str, object]:
    logs = [
        {"log": one.origin, "entries": one.entries, "size": one.size,
         "problem": one.problem or None, "expunged": one.expunged,
         "not_compared": list(one.untold),
         "key": one.key, "key_vouched_for": one.vouched}
        for one in checks
    ]  # fmt: skip
    if found is None:
        return {"logs": logs, "reconciled": False}
    return {
        "logs": logs,
        "reconciled": True,
        "agreed": found.agreed,
        "next_pages": found.pages,
        "given_again": found.again,
        "unfinished": found.unfinished,
        "refusals_of_nobodys": found.nobodys,
        "findings": [_finding(one) for one in by_kind(found.findings)],
        "untold": [
            {"log": one.log, "entry": one.index, "lacks": one.lacks, "why": one.why}
            for one in found.untold
        ],
    }


def _finding(one: Finding) -> dict[str, object]:
    return {
        "finding": one.kind.value,
        "home": {"log": one.home_log, "entries": list(one.home)},
        "owner": {"log": one.owner_log, "entries": list(one.owner)},
        "query_digest": one.query or None,
        "problem": one.problem,
        "do": one.remedy,
    }


def _people(checks: list[Checked], found: Reconciled | None) -> None:
    out = console()
    for one in checks:
        said = f"BROKEN: {one.problem}" if one.problem else "ok" if one.vouched else "NOT PROVEN"
        count = f"{one.entries}" if one.entries == one.size else f"{one.entries} of {one.size}"
        if one.expunged:
            said += f"; {one.expunged} with something expunged, each named by a later entry"
        out.print(shown(f"{one.origin}: {count} entries, {said}"))
        if not one.vouched:
            words = "its key stands in the file alone: give --public with it, as its agency has it"
            out.print(shown(f"{one.origin}: {words}, if it is {one.key}"))
        for where in one.untold:
            out.print(shown(f"{where}: not compared: it ends among entries that are not there"))
    if found is None:
        out.print("Not reconciled: a log that is broken is no book.")
        return
    if found.findings:
        table = Table("Finding", "Home", "Owner", "Query", "What, and what to do", show_lines=True)
        for finding in by_kind(found.findings):
            table.add_row(
                *map(
                    shown,
                    (
                        finding.kind.value,
                        _where(finding.home_log, finding.home),
                        _where(finding.owner_log, finding.owner),
                        finding.query[:12],
                        f"{finding.problem}. Now: {finding.remedy}.",
                    ),
                )
            )
        out.print(table)
    for untold in found.untold:
        words = f"{untold.log} {untold.index}: not told: {untold.lacks} ({untold.why})"
        out.print(shown(words))
    out.print(shown(_summary(found)))


def _where(log: str, indices: tuple[int, ...]) -> str:
    return f"{log} {', '.join(map(str, indices)) or '-'}"


def _summary(found: Reconciled) -> str:
    parts = [f"{found.agreed} queries in both books alike"]
    if found.pages:
        parts[0] += f", {found.pages} of them for a next page"
    if found.again:
        parts.append(f"{found.again} stored answers given again")
    if found.unfinished:
        parts.append(f"{found.unfinished} without an outcome in either book")
    if found.nobodys:
        parts.append(f"{found.nobodys} refusals of what could not be verified, so was nobody's")
    if found.untold:
        parts.append(f"{len(found.untold)} not told, for the reasons above")
    count = len(found.findings)
    said = f"{count} finding{'s' * (count != 1)}" if count else "The books agree"
    if found.untold and not count:
        said = "The books agree as far as they tell"
    return f"{said}. {'; '.join(parts)}."
