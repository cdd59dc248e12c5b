"""``accord audit receipts``: what this client can prove of the logs of those who answered it."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from accord.cli.audit_options import AsJson
from accord.cli.cells import console, shown
from accord.client_config import load_client_config
from accord.clock import iso
from accord.durable import created
from accord.errors import InputError
from accord.processes import EXIT_INCOMPLETE, EXIT_OK
from accord.receipt_store import KeptReceipt, ReceiptStore

Config = Annotated[Path, typer.Option(help="Your client.toml.", envvar="ACCORD_CLIENT")]
Number = Annotated[
    list[int] | None, typer.Option("--receipt", help="Only this one, by its number. Several.")
]
Agency = Annotated[str, typer.Option(help="Only those of this agency's log.")]
Export = Annotated[
    Path | None,
    typer.Option(help="Write them: into a folder, each its own file; or all into a new file."),
]


def receipts(
    config: Config = Path("client.toml"),
    agency: Agency = "",
    receipt: Number = None,
    export: Export = None,
    as_json: AsJson = False,
) -> None:
    """List the receipts that are kept here, or write them as tlog-proofs; exit 4 if one is bad.

    Each is verified again. accord audit verify --receipt holds them against an exported log.
    """
    with ReceiptStore.open(load_client_config(config)) as store:
        found = [
            one for one in store.receipts()
            if agency in ("", one.agency) and (not receipt or one.receipt_id in receipt)
        ]  # fmt: skip
    if receipt and (lacking := sorted(set(receipt) - {one.receipt_id for one in found})):
        raise InputError("--receipt", f"there is no {lacking[0]}", "see accord audit receipts")
    checked = _checked(found)
    if export is not None:
        # Two records at one entry are evidence, so both are written.
        bad = {one.receipt_id: one.check() for one in found if one.check()}
        for file in _write([one for one in found if one.receipt_id not in bad], export):
            sys.stdout.write(f"{file}\n")
        for number, problem in bad.items():
            sys.stderr.write(f"receipt {number} is not written: {problem}\n")
    elif as_json:
        content = [_content(one, problem) for one, problem in checked]
        sys.stdout.write(json.dumps({"receipts": content}, indent=1) + "\n")
    else:
        _people(checked)
    raise SystemExit(EXIT_INCOMPLETE if any(problem for _, problem in checked) else EXIT_OK)


def _checked(found: Sequence[KeptReceipt]) -> list[tuple[KeptReceipt, str]]:
    """Return receipts, each with what is wrong with it, "" for nothing."""
    leaves: dict[tuple[str, int], set[bytes]] = {}
    for one in found:
        leaves.setdefault((one.receipt.origin, one.index), set()).add(one.receipt.leaf)
    return [
        (one, one.check() or _twofold(one, len(leaves[one.receipt.origin, one.index])))
        for one in found
    ]


def _twofold(one: KeptReceipt, count: int) -> str:
    if count == 1:
        return ""
    return f"{one.receipt.origin} proved two records at entry {one.index}: it keeps two logs"


def _write(found: Sequence[KeptReceipt], path: Path) -> Iterator[Path]:
    """Write receipts; yield the files. In a file's name are the log, the index and the number."""
    if not path.is_dir():
        if not found:
            raise InputError(path, "there is no receipt to write", "see accord audit receipts")
        if len({one.receipt.origin for one in found}) > 1:
            remedy = "choose one with --agency, or name a folder"
            raise InputError(path, "receipts of several logs do not go into one file", remedy)
        with created(path) as file:
            file.writelines(one.text() for one in found)
        yield path
        return
    for one in found:
        log = one.receipt.origin.replace("/", "-")
        name = path / f"{log}-{one.index}-{one.receipt_id}.tlog-proof"
        with created(name) as file:
            file.write(one.text())
        yield name


def _content(one: KeptReceipt, problem: str) -> dict[str, object]:
    return {
        "receipt": one.receipt_id,
        "log": one.receipt.origin,
        "entry": one.index,
        "agency": one.agency,
        "query_id": one.query_id,
        "query_digest": one.query_digest.hex(),
        "answer_digest": one.answer_digest.hex(),
        "asked": iso(one.asked_ms),
        "received": iso(one.received_ms),
        "keys": one.keys.split(),
        "problem": problem or None,
    }


def _people(checked: Sequence[tuple[KeptReceipt, str]]) -> None:
    out = console()
    if not checked:
        out.print("No receipt is kept here.")
        return
    table = Table("No.", "Received (UTC)", "Log", "Entry", "Query", "Query digest", "Answer digest",
                  "State")  # fmt: skip
    for one, problem in checked:
        table.add_row(
            *map(
                shown,
                (
                    str(one.receipt_id),
                    iso(one.received_ms)[:19].replace("T", " "),
                    one.receipt.origin,
                    str(one.index),
                    one.query_id,
                    one.query_digest.hex()[:12],
                    one.answer_digest.hex()[:12],
                    problem or "proves it",
                ),
            )
        )
    out.print(table)
