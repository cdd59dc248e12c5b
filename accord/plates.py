"""Plates: what a normalised plate is, and wildcard patterns over plates.

A normalised plate holds 1 to 12 of ``A-Z`` and ``0-9`` and nothing else. What
looks like a Latin letter but is not (Cyrillic, full-width, Arabic digits) is
an error, never folded: a plate is not rewritten silently.
"""

import re

from accord.errors import Code, Refused

MAX_LENGTH = 12
MIN_LITERALS = 2

_PLATE = re.compile(r"[A-Z0-9]{1,12}", re.ASCII)
_PATTERN = re.compile(r"[A-Z0-9?*]{1,24}", re.ASCII)
_STATE = re.compile(r"[A-Z]{2}(?:-[A-Z0-9]{1,3})?", re.ASCII)
_SEPARATORS = re.compile(r"[ \-.]")


def is_plate(text: str) -> bool:
    """Tell whether the text is a normalised plate."""
    return _PLATE.fullmatch(text) is not None


def normalise(raw: str) -> str:
    """Return the normalised plate: upper case, without blanks, hyphens, dots.

    Raises:
        Refused: ``BAD_QUERY``; the text never repeats what was given.
    """
    text = _SEPARATORS.sub("", raw)
    if not text.isascii():
        raise Refused(
            Code.BAD_QUERY,
            text="The plate holds a character other than A-Z and 0-9 "
            "(perhaps a look-alike from another alphabet): type it again.",
        )
    text = text.upper()
    if not is_plate(text):
        raise Refused(
            Code.BAD_QUERY, text="A plate is 1 to 12 letters A-Z and digits; type it again."
        )
    return text


def check_state(state: str) -> str:
    """Return the issuing state ("CA", "MX-BCN"), or "" for any.

    Raises:
        Refused: ``BAD_QUERY``.
    """
    if state and not _STATE.fullmatch(state):
        raise Refused(Code.BAD_QUERY, text='The state is two capital letters, such as "CA".')
    return state


def check_pattern(raw: str) -> str:
    """Return the pattern in upper case: ``?`` one character, ``*`` any number.

    Raises:
        Refused: ``BAD_QUERY`` when it holds anything else, or fewer than two
            literal characters: such a pattern names no vehicle.
    """
    text = _SEPARATORS.sub("", raw)
    text = text.upper() if text.isascii() else text
    if not _PATTERN.fullmatch(text):
        raise Refused(
            Code.BAD_QUERY,
            text="A pattern is letters A-Z, digits, ? for one character and * for any number.",
        )
    if len(re.sub(r"[?*]", "", text)) < MIN_LITERALS:
        raise Refused(
            Code.BAD_QUERY,
            text=f"A pattern needs at least {MIN_LITERALS} known characters.",
        )
    return text


def matches(pattern: str, plate: str) -> bool:
    """Tell whether a normalised plate fits a checked pattern."""
    expression = pattern.replace("?", "[A-Z0-9]").replace("*", "[A-Z0-9]*")
    return re.fullmatch(expression, plate, re.ASCII) is not None
