"""Stores and reads for the node's tests; every plate is invented."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from accord.clock import SystemClock
from accord.errors import InputError
from accord.model import Read
from node.__main__ import app
from tests.conftest import make_files
from tests.unit.node.doctored import folder, made  # noqa: F401 - fixtures

HOUR = 3_600_000
START = 1_760_000_400_000 // HOUR * HOUR


@pytest.fixture
def make_read() -> Callable[..., Read]:
    def make(plate: str = "TEST001", captured_ms: int = START, **more: Any) -> Read:
        fields: dict[str, Any] = {
            "raw_plate": plate,
            "state": "CA",
            "camera": "CAM-1",
            "source_id": secrets.token_bytes(16),
        }
        return Read(plate=plate, captured_ms=captured_ms, **(fields | more))

    return make


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The node.toml of an agency whose files are whole."""
    files = make_files(tmp_path_factory.mktemp("federation"), SystemClock())
    files.build()
    return files.folder("city") / "node.toml"


@pytest.fixture
def command(settings: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run ``accord-node`` on a store that is empty at first; raises what a person is told."""
    monkeypatch.setenv("COLUMNS", "200")
    for file in (settings.parent / "data").glob("reads.*"):
        file.unlink()

    def run(*arguments: str, status: int = 0, typed: str = "") -> Result:
        words = [*arguments, "--config", str(settings)]
        result = CliRunner().invoke(app, words, input=typed)
        if isinstance(result.exception, InputError):
            raise result.exception
        assert result.exit_code == status, result.output
        return result

    return run
