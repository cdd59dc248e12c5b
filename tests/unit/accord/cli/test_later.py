"""Sub-commands that are imported late: all are there, a typo is told, little is loaded."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from accord.cli.main import app as accord
from node.__main__ import app as node


@pytest.mark.parametrize(
    "words",
    ["query plate", "directory", "agreement check", "agreement sign-anew",
     "agreement notice accede",
     "policy check", "law list", "officer issue", "certs init", "audit show", "demo"],
)  # fmt: skip
def test_every_command_of_accord_is_there(words: str) -> None:
    result = CliRunner().invoke(accord, [*words.split(), "--help"])
    assert result.exit_code == 0
    assert words in result.output


@pytest.mark.parametrize("words", ["ingest dead", "hotlist import", "agreement who", "serve"])
def test_every_command_of_the_node_is_there(words: str) -> None:
    result = CliRunner().invoke(node, [*words.split(), "--help"])
    assert result.exit_code == 0
    assert words in result.output


def test_what_is_mistyped_is_told_with_what_may_be_meant() -> None:
    result = CliRunner().invoke(accord, ["agrement"])
    assert result.exit_code == 2
    assert "Did you mean 'agreement'?" in result.output
    result = CliRunner().invoke(accord, ["agreement", "anser"])
    assert "Did you mean 'answer'?" in result.output
    assert "Did you mean" not in CliRunner().invoke(accord, ["zzz"]).output


def test_a_command_does_not_load_what_others_need() -> None:
    code = (
        "import sys; from accord.cli.main import app; "
        "app(['certs', 'init', '--help'], standalone_mode=False); "
        "print(sorted({'grpc', 'PIL', 'icalendar', 'sqlite_utils'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
