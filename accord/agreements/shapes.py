"""Shapes that several tables of ``agreement.toml`` share."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints
from pydantic import Field as Limit
from pydantic_core import PydanticCustomError

MAX_DAYS = 36_500


def _plain(text: str) -> str:
    """Refuse line breaks and control characters: these texts reach screens and logs."""
    if not text.isprintable() or not text.strip():
        raise PydanticCustomError("plain", "it is blank, or holds a control character")
    return text


Text = Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(_plain)]
Section = Annotated[str, StringConstraints(min_length=1, max_length=80), AfterValidator(_plain)]
Says = Annotated[str, StringConstraints(min_length=1, max_length=600), AfterValidator(_plain)]
Days = Annotated[int, Limit(ge=1, le=MAX_DAYS)]
