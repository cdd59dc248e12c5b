"""A read that its camera dates ahead would outlive its date: it is not taken, and waits."""

from pathlib import Path

import pytest

from accord.agreements.policy import parse_policy
from accord.agreements.retention import DAY_MS, limits
from accord.clock import SystemClock
from accord.testing import FixedClock
from node.photos import Photos
from node.store.sqlite import SqliteStore
from node.ways.config import FolderSource
from node.ways.intake import Intake, settings_of
from tests.integration.test_older_than_kept import MAPPING, message
from tests.integration.ways import command, plates

NOW = SystemClock().now_ms()


@pytest.mark.parametrize("may_delete", [True, False])
def test_a_day_ahead_is_taken_and_more_is_not_unless_the_clock_is_in_doubt(
    city: Path, may_delete: bool
) -> None:
    (city / "mapping.toml").write_text(MAPPING)
    (city / "data").mkdir(exist_ok=True)
    store = SqliteStore.open(city / "data" / "reads.db")
    policy = parse_policy((city / "policy.toml").read_bytes(), "policy.toml")
    source = FolderSource(
        name="pier", way="folder", folder="in", format="json", mapping="mapping.toml"
    )
    intake = Intake(
        source, settings_of(source, city), store, Photos(city / "photos"), FixedClock(NOW),
        bands={}, kept=lambda: limits(policy.retention, ()), may_delete=lambda: may_delete,
    )  # fmt: skip
    last = NOW + DAY_MS
    intake.document(message("TEST001", last) + message("TEST002", last + 1))
    assert plates(city) == (["TEST001"] if may_delete else ["TEST001", "TEST002"])
    letters = [(one.letters, one.reason) for one in store.dead_counts()]
    told = [(1, "the time is more than a day ahead of this node's clock")]
    assert letters == (told if may_delete else [])
    store.close()


def test_the_command_takes_it_no_more_than_a_source_and_a_retry_neither(
    city: Path, tmp_path: Path
) -> None:
    (city / "mapping.toml").write_text(MAPPING)
    file = tmp_path / "reads.json"
    file.write_bytes(message("TEST001", NOW) + message("TEST002", NOW + 400 * DAY_MS))
    mapping = ("--mapping", str(city / "mapping.toml"))
    assert "1 taken" in command(city, "ingest", "file", str(file), "--format", "json", *mapping)
    assert plates(city) == ["TEST001"]
    said = command(city, "ingest", "retry", *mapping)
    assert "0 gone, 1 stay" in said
    assert plates(city) == ["TEST001"]
