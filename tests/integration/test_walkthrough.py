"""The pages that show commands run as they stand: every command, in order, in one shell."""

import contextlib
import csv
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from accord.demo.processes import free_port
from tests.programs import folder as programs

DOCS = Path(__file__).parents[2] / "docs"


def blocks(name: str, kind: str) -> list[str]:
    """Return the blocks of one kind on a page, in order."""
    text = (DOCS / name).read_text()
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def run_pages(pages: dict[str, int], folder: Path) -> tuple[str, str]:
    """Run every command of the pages, so many blocks of each; return output and errors."""
    found: list[str] = []
    for name, count in pages.items():
        commands = blocks(name, "sh")
        assert len(commands) == count
        found += commands
    script = "set -euo pipefail\n" + "\n".join(found)
    for port in ("7440", "7441", "7442"):
        script = script.replace(port, str(free_port()))
    path = f"{programs()}:{os.environ['PATH']}"
    with (folder / "err").open("wb") as errors, (folder / "out").open("wb") as output:
        shell = subprocess.Popen(
            ["/bin/bash", "-c", script],
            cwd=folder,
            env=os.environ | {"PATH": path},
            start_new_session=True,
            stdout=output,
            stderr=errors,
        )
        try:
            status = shell.wait(300)
        finally:
            # A page that starts no server leaves nobody behind.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGTERM)
    out, err = (folder / "out").read_text(), (folder / "err").read_text()
    assert status == 0, err
    assert "Traceback" not in err
    return out, err


def first_answer(out: str, folder: Path) -> None:
    """Check what the walkthrough alone prints."""
    assert "In force now: yes" in out
    assert "Activated at the node of harbor: city-harbor, revision 1" in out
    assert (folder / "not-taken.csv").read_text().count("\n") == 2
    assert re.search(r"^city/main at \S+: no faults, ", out, re.MULTILINE)
    assert out.count("47KWX83 CA") == 2
    assert "refused (PURPOSE_NOT_AGREED)" in out
    assert re.search(r"city/node: \d+ entries, ok", out)


@pytest.mark.full
def test_from_a_draft_to_an_agreement_in_force(tmp_path: Path) -> None:
    out, err = run_pages({"for-counsel.md": 23}, tmp_path)
    told = [line for line in err.splitlines() if line.startswith("error: ")]
    slip, notice, policy, leaving = told
    assert "this notice: would have no effect: it was not sent by facsimile (V)" in notice
    assert "document.agency_name is not answered, and 16 more" in policy
    assert out.count("Not answered: ") == 17
    assert "In force now: no, suspended: harbor has suspended it" in out
    assert re.search(r'slip\.toml, line \d+: .*write "stolen-vehicle"', slip)
    assert "UNDECIDED: term.extension (V)" in out
    assert "whether it is extended is undecided" in out
    assert out.count("In force now: yes") == 3
    assert out.count("\nYes.\n") == 2
    assert "\nNo: The agreement does not hold the purpose hit-and-run" in out
    assert "no signature was looked at" in (tmp_path / "to-read.html").read_text()
    assert "leaves less than 30 days of notice" in leaving
    for key in ("scope.opt_in", "joinder.admitted_by", "withdrawal.counted_from"):
        assert f"UNDECIDED: {key} (" in out
    assert "harbor has not opted in to county" in out
    assert "It stands under the agreement region" in out
    assert re.search(r"region.*the last day of county as a member", out)
    assert (tmp_path / "in-force.html").read_text().count("signature verified") == 2


def same(text: str) -> str:
    """Return the text without what differs from one run to the next: days, times, pseudonyms."""
    text = re.sub(r"\d{4}-\d\d-\d\d", "0000-00-00", text)
    text = re.sub(r"0000-00-00 \d\d:\d\d", "0000-00-00 00:00", text)
    return re.sub(r"camera-[0-9a-f]{8}", "camera-00000000", text)


def test_from_nothing_to_a_first_answer_and_an_investigators_day(tmp_path: Path) -> None:
    """The second page begins where the first one ends."""
    page = "for-investigators.md"
    out, err = run_pages({"walkthrough.md": 12, page: 15}, tmp_path)
    begins = out.index("Stolen vehicles of State bureau: 1 entry")
    first_answer(out[:begins], tmp_path)
    day = same(out[begins:])
    shown = blocks(page, "text")
    assert len(shown) == 9
    for block in shown:
        assert same(block) in day
    # What the owner knows better than it says: places, seconds and names of cameras.
    answers = day[: day.index("read_id,agency")]
    assert not re.search(r"PIER-|QUAY-|33\.90(03|41)|33\.75(02|04|41)|\d\d:\d\d:\d\d \(to", answers)
    assert answers.count("52HBN44 CA") == 3
    assert "31VDC08" not in answers
    # A page of two, then all of them: the outcome counts what all pages gave.
    assert re.search(r"truncated │ 2 .*answered │ 3 ", answers, re.DOTALL)
    rows = list(csv.DictReader((tmp_path / "case-26-004711.csv").read_text().splitlines()))
    assert [(row["agency"], row["recipient"], bool(row["delete_by"])) for row in rows] == [
        ("city", "harbor", True)
    ] * 3
    assert re.search(r"city: answered, rows: 3; delete by \d{4}-\d\d-\d\d\n", err)
    assert re.search(r"city: kept, gone by .*\nKept as result-[0-9a-f]{10};", err)
    for code in ("CASE_NUMBER_REQUIRED", "PURPOSE_NOT_AGREED", "PLATES_NOT_AGREED"):
        assert f"refused: {code} (II." in day[day.index("┃ Decision") :]
