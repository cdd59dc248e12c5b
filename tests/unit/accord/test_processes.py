"""What every program makes of an error: one line, and never a traceback."""

import subprocess
import sys

PROGRAM = """
import sys
from accord.processes import guarded
guarded(lambda: sys.argv[1].encode())
"""


NAMED = """
from accord.errors import InputError
from accord.processes import guarded

def run():
    raise InputError("x.jsonl", "is of the log harbor\x9b31m\u202e/node", "give\\x1b[2J its key")

guarded(run)
"""


def test_what_an_error_quotes_does_not_steer_a_terminal() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", NAMED], capture_output=True, check=False
    )
    bad = "\N{REPLACEMENT CHARACTER}"
    said = f"error: x.jsonl: is of the log harbor{bad}31m{bad}/node; give{bad}[2J its key\n"
    assert (done.returncode, done.stderr.decode()) == (2, said)


def test_a_command_line_that_is_not_in_utf_8_is_told_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, b"R. Roe\xff"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        "error: the command line: is not in UTF-8; set LANG=C.UTF-8, type it again\n"
    )
