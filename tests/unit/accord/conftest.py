"""Fixtures of the library's own tests."""

import pytest

from tests.unit.accord.folders import Folder


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "federation")
    for name in ("city", "harbor", "county"):
        made.agency(name)
    return made
