"""Fixtures of the library's own tests."""

import pytest

from tests.unit.accord.folders import Folder
from tests.unit.accord.kept import Client


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "federation")
    for name in ("city", "harbor", "county"):
        made.agency(name)
    return made


@pytest.fixture
def client(tmp_path):
    return Client(tmp_path)
