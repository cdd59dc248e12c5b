"""Fail on a skipped test that is not on the committed list, and when no test ran.

A line of the list is a prefix of class and test name. With ``?program`` after
it, the test may be skipped only where that program is not installed.
"""

import shutil
import sys
import xml.etree.ElementTree as ElementTree  # our own pytest's files
from pathlib import Path


def main(reports: list[Path], allowed: Path) -> int:
    """Return 0 when every skip in the JUnit reports is allowed and tests ran."""
    lines = (line.split("#", 1)[0].strip() for line in allowed.read_text().splitlines())
    names = {line.split()[0] for line in lines if line and not _installed(line)}
    ran, bad = 0, []
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314
            name = f"{case.get('classname')}::{case.get('name')}"
            if case.find("skipped") is None:
                ran += 1
            elif not any(name.startswith(prefix) for prefix in names):
                bad.append(name)
    for name in bad:
        sys.stderr.write(f"skipped, and not in {allowed}: {name}\n")
    if not ran:
        sys.stderr.write("no test ran\n")
    return 1 if bad or not ran else 0


def _installed(line: str) -> bool:
    """Tell whether the program that the line names is there; False where it names none."""
    _, _, program = line.partition("?")
    return bool(program) and shutil.which(program.strip()) is not None


if __name__ == "__main__":
    raise SystemExit(main([Path(p) for p in sys.argv[2:]], Path(sys.argv[1])))
