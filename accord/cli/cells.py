"""Text of others on its way to a table or a spreadsheet: neither obeys it."""

import sys

from rich.console import Console
from rich.text import Text

from accord.plain import plain

# A spreadsheet takes a cell that starts so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def shown(text: str) -> Text:
    """Return the text for rich, which would take ``[red]`` for markup."""
    return Text(plain(text))


def cell(value: object) -> object:
    """Return a value for a CSV cell: text is plain and no formula, None is empty."""
    if not isinstance(value, str):
        return value
    text = plain(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def console() -> Console:
    """Return a console for standard output: no colours when it is not a terminal."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(highlight=False, soft_wrap=True, width=150)
