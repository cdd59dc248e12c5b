"""``accord agreement answer``: counsel's answers, written into the draft."""

from pathlib import Path
from typing import Annotated

import typer

from accord.agencies import read_plain
from accord.agreements.answers import answered
from accord.agreements.manifest_reading import parse_manifest
from accord.cli.cells import console, shown
from accord.durable import replace_file
from accord.errors import InputError


def answer(
    file: Annotated[Path, typer.Argument(help="The draft, agreement.toml.")],
    answers: Annotated[
        list[str], typer.Argument(help="Key and answer, such as term.ends=day-before.")
    ],
) -> None:
    """Answer what a draft leaves undecided; nothing else in the file changes."""
    said: dict[str, str] = {}
    for text in answers:
        key, equals, value = text.partition("=")
        if not equals or not value or key in said:
            raise InputError(text, "is no key with its answer", "write term.ends=day-before, once")
        said[key] = value
    data = answered(read_plain(file), file, said)
    replace_file(file, data)
    left = parse_manifest(data, file).undecided
    screen = console()
    screen.print(shown(f"Answered in {file}: {', '.join(said)}."))
    for one in left:
        screen.print(shown(f"UNDECIDED still: {one.key} ({one.section}): {one.question}"))
