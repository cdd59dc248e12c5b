"""Counsel's answers written into a draft: each in the place of its "undecided". Pure.

Nothing else in the file changes, remarks included; the result is checked as
any text is, so that an answer which can't be is told in the words of ``check``.
"""

import json
import re
from collections.abc import Mapping

from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.questions import LISTS, NUMBERS, QUESTIONS, UNDECIDED
from accord.errors import InputError
from accord.strict_toml import decode, find_line

_OPEN = re.compile(rf'(=\s*)\[?"{UNDECIDED}"\]?')


def answered(data: bytes, where: object, answers: Mapping[str, str]) -> bytes:
    """Return the draft with these answers, by their keys such as ``term.ends``.

    Raises:
        InputError: a key that is not open in this text, or an answer that its
            key can't have.
    """
    before = parse_manifest(data, where)
    lines = decode(data, where).split("\n")
    for key, answer in answers.items():
        number = find_line("\n".join(lines), key.split(".")) if key in QUESTIONS else 0
        line = lines[number - 1] if number else ""
        found = _OPEN.search(line)
        if found is None:
            raise InputError(
                f"{where}: {key}", "is not a question that this text leaves open",
                "accord agreement explain lists them",
            )  # fmt: skip
        lines[number - 1] = line[: found.end(1)] + _value(key, answer) + line[found.end() :]
    changed = "\n".join(lines).encode()
    after = parse_manifest(changed, where)
    left = {one.key for one in before.undecided} - {one.key for one in after.undecided}
    if left != set(answers):
        raise InputError(
            where, f"would have {', '.join(sorted(left)) or 'nothing'} answered by that",
            "write the answer into the file by hand",
        )  # fmt: skip
    return changed


def _value(key: str, answer: str) -> str:
    """Return the answer in TOML: a number, a list where the key has one, else a text."""
    if key in LISTS:
        return json.dumps([part.strip() for part in answer.split(",")])
    if key in NUMBERS | {"retention.received_days"} and answer.isascii() and answer.isdigit():
        return str(int(answer))
    return json.dumps(answer)
