"""The city's files, made once and copied for each test that changes them."""

import shutil
from pathlib import Path

import pytest

from accord.clock import SystemClock
from accord.testing import FederationSimulator
from tests.conftest import make_files
from tests.integration.backups import made  # noqa: F401 - a fixture
from tests.integration.followed import rows  # noqa: F401 - a fixture


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> FederationSimulator:
    files = make_files(tmp_path_factory.mktemp("federation"), SystemClock())
    files.build()
    return files


@pytest.fixture
def city(built: FederationSimulator, tmp_path: Path) -> Path:
    folder = tmp_path / "city"
    shutil.copytree(built.folder("city"), folder)
    return folder
