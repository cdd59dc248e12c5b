"""``accord audit verify``: an exported log by itself, or a log with its secret.

Of an exported one nothing else is needed, and no other library of Accord's than
cryptography: whoever doubts a log checks it on a machine of his own.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from accord.audit.disclosure import check_disclosure, is_disclosure
from accord.audit.export_check import Checked, check_export
from accord.audit.kept import read_kept, read_receipts
from accord.audit.vkeys import WITNESS, NamedKey, read_public, read_vkey
from accord.cli.audit_options import AsJson, Config, Log, Public, Secret, open_log
from accord.errors import InputError
from accord.plain import plain
from accord.processes import EXIT_INCOMPLETE, EXIT_OK

File = Annotated[Path | None, typer.Argument(help="A file that export or disclose wrote.")]
Checkpoint = Annotated[
    list[Path] | None,
    typer.Option(help="A checkpoint that somebody kept: the log must go on from it. Several."),
]

Receipt = Annotated[
    list[Path] | None,
    typer.Option(help="A file of receipts (tlog-proofs): the log must hold each entry. Several."),
]
Witness = Annotated[
    list[str] | None,
    typer.Option(help="The verifier key of a witness that must have cosigned. Several."),
]


def verify(
    file: File = None,
    config: Config = None,
    log: Log = None,
    secret: Secret = None,
    public: Public = "",
    checkpoint: Checkpoint = None,
    receipt: Receipt = None,
    witness: Witness = None,
    as_json: AsJson = False,
) -> None:
    """Check every entry, the tree and its signatures; exit 4 when something is broken."""
    kept, receipts = checkpoint or [], receipt or []
    witnesses = [read_vkey(one, WITNESS, "--witness") for one in witness or []]
    if file is None:
        if witnesses:
            raise InputError("--witness", "is checked on an exported log", "give its file")
        found = _of_log(config, log, secret, public, kept, receipts)
    elif config is not None or log is not None or secret is not None:
        raise InputError(file, "is checked by itself", "give --public and --checkpoint alone")
    else:
        key = read_public(public) if public else None
        found = _of_file(file, key, kept, receipts, witnesses)
    if as_json:
        sys.stdout.write(json.dumps(_content(found)) + "\n")
    else:
        # Names and values are another's words.
        sys.stdout.write("".join(f"{plain(line)}\n" for line in _words(found)))
    raise SystemExit(EXIT_OK if found.ok and found.vouched else EXIT_INCOMPLETE)


def _of_file(
    file: Path, key: NamedKey | None, kept: list[Path], receipts: list[Path],
    witnesses: list[NamedKey],
) -> Checked:  # fmt: skip
    if not is_disclosure(file):
        return check_export(file, key, kept, receipts, witnesses)
    if kept or receipts or witnesses:
        problem = "holds one entry, which tells nothing of others"
        remedy = "hold --checkpoint, --receipt and --witness against an export of the log"
        raise InputError(file, problem, remedy)
    return check_disclosure(file, key)


def _of_log(
    config: Path | None, log: Path | None, secret: Path | None, public: str, kept: list[Path],
    receipts: list[Path],
) -> Checked:  # fmt: skip
    with open_log(config, log, secret, public) as reader:
        of = (reader.origin, reader.public)
        done = reader.verify(
            [read_kept(path, *of) for path in kept],
            [one for path in receipts for one in read_receipts(path, *of)],
        )
    size = done.entries
    return Checked(reader.origin, size, size, done.problem, done.broken, expunged=done.expunged)


def _content(found: Checked) -> dict[str, object]:
    return {
        "origin": found.origin,
        "entries": found.entries,
        "size": found.size,
        "ok": found.ok,
        "problem": found.problem or None,
        "broken": found.broken,
        "key": found.key or None,
        "key_vouched_for": found.vouched,
        "withheld": found.withheld or None,
        "expunged": found.expunged,
        "not_compared": list(found.untold),
        "cosigned": dict(found.cosigned),
        "index": found.index,
        "fields": dict(found.fields),
    }


def _words(found: Checked) -> list[str]:
    if found.problem:
        return [f"{found.origin}: BROKEN: {found.problem}"]
    what = f"{found.entries}"
    if found.index is not None:
        what = f"entry {found.index} of {found.size}"
    elif found.entries != found.size:
        what += f" of {found.size} entries"
    else:
        what += " entries"
    verdict = "ok" if found.ok and found.vouched else "NOT PROVEN"
    said = f"{found.origin}: {what}, {verdict}"
    if found.withheld:
        said += f"; withheld by its maker: {found.withheld}"
    if found.expunged:
        said += f"; {found.expunged} with something expunged, each named by a later entry"
    lines = [said, *(f"  {name}: {value}" for name, value in found.fields.items())]
    if not found.vouched:
        lines.append(
            "All of it fits a key that stands in the file itself: whoever wrote the file may have"
            " made both. Give --public with the log's key as its agency publishes it, if it is"
            f" {found.key}"
        )
    lines += [
        f"{where}: not compared: it is of entries that are not in the file"
        for where in found.untold
    ]
    lines += [
        f"{name} has cosigned the first {size} entries" if size else f"{name} has cosigned NOTHING"
        for name, size in found.cosigned.items()
    ]
    return lines
