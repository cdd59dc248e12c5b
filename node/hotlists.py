"""Hot lists from CSV: columns plate, state, category; a list is replaced as a whole."""

import csv
from pathlib import Path

from accord.errors import InputError, Refused
from accord.model import COUNSEL_ONLY, PROHIBITED, HotListEntry, Purpose
from accord.plates import check_state, normalise

MAX_NAME = 100
_ALLOWED = sorted(set(Purpose) - set(PROHIBITED) - COUNSEL_ONLY)


def read_hot_list(
    path: Path, *, name: str, source: str, published_ms: int, max_age_s: int
) -> list[HotListEntry]:
    """Return the entries of a hot list, all or none: a part of a list misleads.

    Raises:
        InputError: naming the line or the option; immigration categories are never taken.
    """
    for what, text in (("name", name), ("source", source)):
        if not 1 <= len(text) <= MAX_NAME or not text.isprintable():
            raise InputError(what, f"is not 1 to {MAX_NAME} printable characters", "shorten it")
    entries: dict[tuple[str, str, str], HotListEntry] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if not {"plate", "state", "category"} <= set(reader.fieldnames or ()):
                raise InputError(path, "lacks a column", "it needs plate, state, category")
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                category = (row["category"] or "").strip()
                if category not in _ALLOWED:
                    raise InputError(
                        where, "has a category that is not taken", f"use {', '.join(_ALLOWED)}"
                    )
                try:
                    plate, state = normalise(row["plate"] or ""), check_state(row["state"] or "")
                except Refused as refused:
                    raise InputError(where, refused.text) from None
                entries[plate, state, category] = HotListEntry(
                    name, source, plate, state, category, published_ms, max_age_s
                )
    except (OSError, UnicodeDecodeError, csv.Error):
        raise InputError(path, "can't be read as CSV in UTF-8", "export it again") from None
    return list(entries.values())
