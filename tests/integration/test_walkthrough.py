"""docs/walkthrough.md runs as it stands: every command, in order, in one shell."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from accord.demo.processes import free_port

PAGE = Path(__file__).parents[2] / "docs" / "walkthrough.md"


def test_every_command_of_the_walkthrough_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 11
    script = "set -euo pipefail\n" + "\n".join(blocks)
    for port in ("7440", "7441", "7442"):
        script = script.replace(port, str(free_port()))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with (tmp_path / "err").open("wb") as errors, (tmp_path / "out").open("wb") as output:
        shell = subprocess.Popen(
            ["/bin/bash", "-c", script],
            cwd=tmp_path,
            env=os.environ | {"PATH": path},
            start_new_session=True,
            stdout=output,
            stderr=errors,
        )
        try:
            status = shell.wait(120)
        finally:
            os.killpg(shell.pid, signal.SIGTERM)
    out, err = (tmp_path / "out").read_text(), (tmp_path / "err").read_text()
    assert status == 0, err
    assert "In force now: yes" in out
    assert (tmp_path / "not-taken.csv").read_text().count("\n") == 2
    assert out.count("47KWX83 CA") == 2
    assert "refused (PURPOSE_NOT_AGREED)" in out
    assert "city/node: 3 entries, ok" in out
    assert "Traceback" not in err
