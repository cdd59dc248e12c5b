"""What every program makes of an error: one line, and never a traceback."""

import subprocess
import sys

PROGRAM = """
import sys
from accord.processes import guarded
guarded(lambda: sys.argv[1].encode())
"""


def test_a_command_line_that_is_not_in_utf_8_is_told_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, b"R. Roe\xff"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        "error: the command line: is not in UTF-8; set LANG=C.UTF-8, type it again\n"
    )
