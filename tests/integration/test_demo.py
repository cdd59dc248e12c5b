"""The demo as a newcomer runs it: real processes, one JSON object."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image


def test_demo_tells_its_story_in_json() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "accord.cli.main", "demo", "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert set(content) == {"steps", "audit"}
    found, purpose, prohibited, lapsed, stranger, off = content["steps"]
    assert found["outcomes"] == {"city": "answered", "county": "answered"}
    assert {read["agency"] for read in found["reads"]} == {"city", "county"}
    assert purpose["refusal"]["code"] == "PURPOSE_NOT_AGREED"
    assert purpose["refusal"]["section"] == "II.A"
    assert prohibited["refusal"]["code"] == "PURPOSE_PROHIBITED"
    assert lapsed["refusal"]["code"] == "TRAINING_LAPSED"
    assert stranger["refusal"]["code"] == "NO_AGREEMENT"
    assert stranger["reads"] == []
    assert off["outcomes"] == {"city": "answered", "county": "unreachable"}
    assert set(content["audit"]) == {"city", "harbor", "county", "exchange"}
    assert all(log["verified"] and log["entries"] > 1 for log in content["audit"].values())


@pytest.mark.full
def test_the_commands_it_prints_go_on_by_hand(tmp_path: Path) -> None:
    """Programs in the background first, then every command as it stands."""
    kept = tmp_path / "kept"
    done = subprocess.run(
        [sys.executable, "-m", "accord.cli.main", "demo", "--keep", str(kept)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    commands = [line.strip() for line in done.stdout.splitlines() if line.startswith("  ")]
    programs = [line for line in commands if line.endswith("&")]
    others = [line for line in commands if line not in programs]
    assert (len(programs), len(others)) == (5, 4)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with (tmp_path / "log").open("wb") as log_file:
        shell = subprocess.Popen(
            ["/bin/sh", "-c", "\n".join([*programs, "wait"])],
            cwd=tmp_path,
            env=os.environ | {"PATH": path},
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=log_file,
        )
    try:
        for _ in range(300):
            if (tmp_path / "log").read_text().count('"serving"') == 4:
                break
            time.sleep(0.1)
        said = [
            subprocess.run(["/bin/sh", "-c", line], cwd=tmp_path, capture_output=True, text=True,
                           env=os.environ | {"PATH": path}, check=False)
            for line in others
        ]  # fmt: skip
        # While they run: the journals go when they end.
        folders = [kept / name / "data" for name in ("city", "harbor", "county", "exchange")]
        made = [path for folder in folders for path in (folder, *folder.rglob("*"))]
        modes = {path.name: path.stat().st_mode for path in made}
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        shell.wait(20)
    told = ["", "Written: photo.jpg\n", "", ""]
    assert [(s.returncode, s.stderr) for s in said] == [(0, text) for text in told]
    assert "replay.db-wal" in modes
    # The figures alone may be read by others, and the folder keeps them out all the same.
    assert {name for name, mode in modes.items() if mode & 0o077} == {"metrics.prom"}
    query, photo, log, agreement = (s.stdout for s in said)
    assert query.count("47KWX83") == 6
    assert "answered" in photo
    with Image.open(tmp_path / "photo.jpg") as picture:
        assert picture.size == (480, 300)
    assert "countersign" in log
    assert "In force now: yes" in agreement
