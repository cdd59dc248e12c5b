"""docs/architecture.md: every file that it names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def places() -> list[list[str]]:
    """Return the places of each row, in order."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]*`[^|]+) \|", text, re.MULTILINE)
    return [re.findall(r"`([^`]+)`", row) for row in rows]


def test_every_place_that_the_page_names_is_there():
    found = places()
    assert sum(map(len, found)) > 100
    for row in found:
        folder = "accord/agreements"
        for name in row:
            # A name without a folder is in that of the name before it.
            path = Path(name) if "/" in name.rstrip("/") else Path(folder) / name
            assert (ROOT / path).exists(), f"{path} is not there"
            folder = str(path.parent)
