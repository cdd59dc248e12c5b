"""``accord audit disclose``: one entry, opened as far as is asked, with its proof."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from accord.audit.disclosure import disclose
from accord.cli.audit_export import named
from accord.cli.audit_options import Config, Log, Public, Secret, open_log

Index = Annotated[int, typer.Argument(help="The entry, as accord audit show numbers it.", min=0)]
File = Annotated[Path, typer.Argument(help="The new file.")]
Field = Annotated[list[str], typer.Option(help="A field to open; several may be given.")]


def write(
    index: Index,
    file: File,
    field: Field,
    config: Config = None,
    log: Log = None,
    secret: Secret = None,
    public: Public = "",
) -> None:
    """Write one entry to a new file, with these fields opened, that verify checks by itself.

    Its kind and time are opened too. All else is there as digests, which tell nothing.
    """
    fields = named(",".join(field), "--field")
    with open_log(config, log, secret, public) as reader:
        disclose(reader, index, fields, file)
    sys.stdout.write(f"{file}: entry {index} of {reader.origin}, {', '.join(sorted(fields))}.\n")
