"""Roots that a person pins on a command line."""

from collections.abc import Iterable
from typing import Annotated

import typer

from accord.errors import InputError
from accord.model import check_agency

Roots = Annotated[
    list[str],
    typer.Option(help="A pinned root, such as city=sha256:<64 hex> (repeat for more)."),
]


def pinned(texts: Iterable[str]) -> dict[str, str]:
    """Return 64 hex digits by agency.

    Raises:
        InputError: a text that is not a pinned root.
    """
    roots: dict[str, str] = {}
    for text in texts:
        agency, _, pin = text.partition("=")
        digits = pin.removeprefix("sha256:")
        if digits == pin or len(digits) != 64 or not set(digits) <= set("0123456789abcdef"):
            raise InputError("--root", f"{text!r} is not a pinned root", "write id=sha256:<64 hex>")
        roots[check_agency(agency, "--root")] = digits
    return roots
