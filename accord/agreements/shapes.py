"""Shapes that several tables of ``agreement.toml`` share."""

from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, StringConstraints
from pydantic import Field as Limit
from pydantic_core import PydanticCustomError

MAX_DAYS = 36_500
UNDECIDED = "undecided"
"""What counsel has not answered yet; which keys take it: :mod:`accord.agreements.questions`."""


def _plain(text: str) -> str:
    """Refuse line breaks and control characters: these texts reach screens and logs."""
    if not text.isprintable() or not text.strip():
        raise PydanticCustomError("plain", "it is blank, or holds a control character")
    return text


Text = Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(_plain)]
Section = Annotated[str, StringConstraints(min_length=1, max_length=80), AfterValidator(_plain)]
Says = Annotated[str, StringConstraints(min_length=1, max_length=600), AfterValidator(_plain)]
Days = Annotated[int, Limit(ge=1, le=MAX_DAYS)]
DaysOrNone = Annotated[int, Limit(ge=0, le=MAX_DAYS)]

_T = TypeVar("_T")


def _open(value: object) -> object:
    return None if value == UNDECIDED else value


Open = Annotated[_T | None, BeforeValidator(_open)]
"""A number that must be written, or "undecided", which is read as None (TOML has no null)."""
