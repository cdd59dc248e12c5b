"""Plates: what a normalised plate is, wildcard patterns, and plates that look alike.

A normalised plate holds 1 to 12 of ``A-Z`` and ``0-9`` and nothing else. What
looks like a Latin letter but is not (Cyrillic, full-width, Arabic digits) is
an error, never folded: a plate is not rewritten silently.

Cameras and witnesses take characters for others that look like them. Each
character belongs to one group at most, so that looking alike goes both ways:

    0DOQ 1I 2Z 4A 5S 6G 7T 8B MN UV

``8ABC123`` and ``BA8C1Z3`` look alike with three substitutions.

A pattern has one spelling: stars that follow each other are one, and question
marks beside it come before it. ``A**?*B`` is ``A?*B``.
"""

import re
from itertools import combinations, product

from accord.errors import Code, Refused

MAX_LENGTH = 12
MIN_LITERALS = 2
LOOK_ALIKES = ("0DOQ", "1I", "2Z", "4A", "5S", "6G", "7T", "8B", "MN", "UV")
SUBSTITUTIONS = 2
"""How many characters of a look-alike may differ where nothing else is said."""
MAX_SUBSTITUTIONS = 3
_OTHERS = {one: group.replace(one, "") for group in LOOK_ALIKES for one in group}

_PLATE = re.compile(r"[A-Z0-9]{1,12}", re.ASCII)
_PATTERN = re.compile(r"[A-Z0-9?*]{1,24}", re.ASCII)
_STATE = re.compile(r"[A-Z]{2}(?:-[A-Z0-9]{1,3})?", re.ASCII)
_SEPARATORS = re.compile(r"[ \-.]")
_WILD_RUN = re.compile(r"[?*]*\*[?*]*")


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
    """Return the pattern in its one spelling: ``?`` one character, ``*`` any number.

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
    return _WILD_RUN.sub(lambda run: "?" * run[0].count("?") + "*", text)


def matches(pattern: str, plate: str) -> bool:
    """Tell whether a plate fits a pattern; what is no normalised plate fits none.

    Between stars each part is taken at the first place where it fits: a later
    one would leave less for the parts after it. So nothing is tried twice, and
    the work is at most the pattern's length times the plate's, whoever wrote
    the pattern or the plate.
    """
    if not is_plate(plate):
        return False
    first, *inner = pattern.split("*")
    if not inner:
        return len(first) == len(plate) and _stands(first, plate, 0)
    last = inner.pop()
    at, end = len(first), len(plate) - len(last)
    if at > end or not _stands(first, plate, 0) or not _stands(last, plate, end):
        return False
    for part in inner:
        while at + len(part) <= end and not _stands(part, plate, at):
            at += 1
        at += len(part)
        if at > end:
            return False
    return True


def _stands(part: str, plate: str, at: int) -> bool:
    """Tell whether a part without stars fits the plate from a place on; it has room there."""
    return all(sign in ("?", plate[at + n]) for n, sign in enumerate(part))


def substitutions(one: str, other: str) -> int | None:
    """Return how many characters differ between two plates that look alike, else None.

    Symmetric: ``substitutions(a, b) == substitutions(b, a)``.
    """
    if len(one) != len(other):
        return None
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if a != b]
    alike = all(b in _OTHERS.get(a, "") for a, b in pairs)
    return len(pairs) if alike else None


def look_alikes(plate: str, most: int) -> tuple[tuple[str, ...], ...]:
    """Return the plates that look like this one, sorted, by 0 to ``most`` substitutions.

    For three substitutions that are 6,571 plates at most, for two 631.
    """
    places = [n for n, sign in enumerate(plate) if sign in _OTHERS]
    ranks: list[tuple[str, ...]] = []
    for count in range(most + 1):
        found: list[str] = []
        for chosen in combinations(places, count):
            for signs in product(*(_OTHERS[plate[place]] for place in chosen)):
                text = list(plate)
                for place, sign in zip(chosen, signs, strict=True):
                    text[place] = sign
                found.append("".join(text))
        ranks.append(tuple(sorted(found)))
    return tuple(ranks)
