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
from accord.audit.kept import read_kept
from accord.audit.vkeys import NamedKey, read_public
from accord.cli.audit_options import AsJson, Config, Log, Public, Secret, open_log
from accord.cli.cells import plain
from accord.errors import InputError
from accord.processes import EXIT_INCOMPLETE, EXIT_OK

File = Annotated[Path | None, typer.Argument(help="A file that export or disclose wrote.")]
Checkpoint = Annotated[
    list[Path] | None,
    typer.Option(help="A checkpoint that somebody kept: the log must go on from it. Several."),
]


def verify(
    file: File = None,
    config: Config = None,
    log: Log = None,
    secret: Secret = None,
    public: Public = "",
    checkpoint: Checkpoint = None,
    as_json: AsJson = False,
) -> None:
    """Check every entry, the tree and its signatures; exit 4 when something is broken."""
    if file is None:
        found = _of_log(config, log, secret, public, checkpoint or [])
    elif config is not None or log is not None or secret is not None:
        raise InputError(file, "is checked by itself", "give --public and --checkpoint alone")
    else:
        found = _of_file(file, read_public(public) if public else None, checkpoint or [])
    if as_json:
        sys.stdout.write(json.dumps(_content(found)) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _words(found)))
    raise SystemExit(EXIT_OK if found.ok and found.vouched else EXIT_INCOMPLETE)


def _of_file(file: Path, key: NamedKey | None, kept: list[Path]) -> Checked:
    if not is_disclosure(file):
        return check_export(file, key, kept)
    if kept:
        problem = "holds one checkpoint, which tells nothing of an older one"
        raise InputError(file, problem, "hold --checkpoint against the log, or an export of it")
    return check_disclosure(file, key)


def _of_log(
    config: Path | None, log: Path | None, secret: Path | None, public: str, kept: list[Path]
) -> Checked:
    with open_log(config, log, secret, public) as reader:
        done = reader.verify([read_kept(path, reader.origin, reader.public) for path in kept])
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
        "index": found.index,
        "fields": dict(found.fields),
    }


def _words(found: Checked) -> list[str]:
    if found.problem:
        return [f"{found.origin}: BROKEN: {found.problem}"]
    count = f"{found.entries}"
    if found.entries != found.size:
        count += f" of {found.size}"
    said = (
        f"{found.origin}: {count} entries, {'ok' if found.ok and found.vouched else 'NOT PROVEN'}"
    )
    if found.withheld:
        said += f"; withheld by its maker: {found.withheld}"
    if found.expunged:
        said += f"; {found.expunged} with something expunged, each named by a later entry"
    lines = [said, *(f"  {name}: {plain(value)}" for name, value in found.fields.items())]
    if not found.vouched:
        lines.append(
            "All of it fits a key that stands in the file itself: whoever wrote the file may have"
            " made both. Give --public with the log's key as its agency publishes it, if it is"
            f" {found.key}"
        )
    lines += [
        f"{where}: not compared: it ends among entries that are not in the file"
        for where in found.untold
    ]
    return lines
