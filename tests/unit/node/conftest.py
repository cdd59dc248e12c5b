"""Stores and reads for the node's tests; every plate is invented."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from accord.model import Read
from node.store.sqlite import SqliteStore

HOUR = 3_600_000
START = 1_760_000_400_000 // HOUR * HOUR


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path / "data" / "reads.db")
    yield opened
    opened.close()


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
