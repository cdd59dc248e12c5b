"""The demo as a newcomer runs it: real processes, one JSON object."""

import json
import subprocess
import sys


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
