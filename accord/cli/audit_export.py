"""``accord audit export``: a log as one file that anybody can check by itself."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from accord.audit.export_file import ALL, COUNTERPART, Wanted, export
from accord.audit.export_lines import Disclosed
from accord.audit.fields import NAMES
from accord.audit.vkeys import WITNESS, read_vkey
from accord.cli.audit_options import Config, Log, Public, Secret, open_log
from accord.cli.moments import parse_time
from accord.clock import SystemClock, to_datetime
from accord.errors import InputError

File = Annotated[Path, typer.Argument(help="The new file.")]
Only = Annotated[str, typer.Option(help="Give these fields alone, such as kind,time,query_id.")]
Without = Annotated[str, typer.Option(help="Give all fields but these, such as plate,plates.")]
Counterpart = Annotated[
    bool,
    typer.Option(
        "--for-counterpart",
        help="Give what both sides of a query know anyway: no plate, person, case or reason.",
    ),
]
First = Annotated[int, typer.Option(help="From this entry on.", min=0)]
Last = Annotated[int | None, typer.Option(help="Up to this entry, with it.", min=0)]
Since = Annotated[str, typer.Option(help="Start: a time with zone, or such as 30d ago.")]
Until = Annotated[str, typer.Option(help="End: a time with zone, or such as 1h ago.")]
Witness = Annotated[
    list[str] | None, typer.Option(help="A witness' verifier key, for the header. Several.")
]


def write(
    file: File,
    config: Config = None,
    log: Log = None,
    secret: Secret = None,
    public: Public = "",
    only: Only = "",
    without: Without = "",
    for_counterpart: Counterpart = False,
    first: First = 0,
    last: Last = None,
    since: Since = "",
    until: Until = "",
    witness: Witness = None,
) -> None:
    """Write the log, opened, to a new file that accord audit verify checks by itself.

    Entries and fields that are left out are in it as hashes, so that all of it still leads
    to the log's signed checkpoint. Plates stand in it in the clear unless you leave them out.
    """
    disclosed = _disclosed(only, without, for_counterpart)
    now = to_datetime(SystemClock().now_ms())
    wanted = Wanted(
        first,
        ALL if last is None else last + 1,
        parse_time(since, now) if since else 0,
        parse_time(until, now) if until else ALL,
    )
    witnesses = [one for one in witness or [] if read_vkey(one, WITNESS, "--witness")]
    with open_log(config, log, secret, public) as reader:
        done = export(reader, file, wanted, disclosed, witnesses)
    size = done.signed.size
    sys.stdout.write(f"{file}: {done.entries} of {size} entries of {done.signed.origin}.\n")


def _disclosed(only: str, without: str, for_counterpart: bool) -> Disclosed:
    if sum(map(bool, (only, without, for_counterpart))) > 1:
        raise InputError("accord audit export", "fields are chosen twice",
                         "give one of --only, --without and --for-counterpart")  # fmt: skip
    if for_counterpart:
        return Disclosed(only=COUNTERPART)
    if only:
        return Disclosed(only=named(only, "--only"))
    return Disclosed(without=named(without, "--without") if without else frozenset())


def named(text: str, where: str) -> frozenset[str]:
    """Return names of fields that are written with commas between.

    Raises:
        InputError: there is no such field: a slip would give away what it was to keep back.
    """
    names = frozenset(filter(None, (name.strip() for name in text.split(","))))
    if unknown := sorted(names - NAMES):
        raise InputError(
            where, f"there is no field {unknown[0]!r}", "see docs/audit.md, The record"
        )
    return names
