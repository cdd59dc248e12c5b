"""What retention removed, or would remove at once, does not come back: by no way, nor to a hit."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from accord.agreements.policy import parse_policy
from accord.agreements.retention import DAY_MS, limits
from accord.clock import SystemClock
from accord.testing import FixedClock
from node.holds import Hold, Note
from node.photos import Photos
from node.store.sqlite import SqliteStore
from node.ways.config import FolderSource
from node.ways.intake import Intake, settings_of
from tests.integration.ways import command, plates, taking_node, until, write_secret

NOW = SystemClock().now_ms()
MAPPING = (
    'format = "accord-mapping/1"\nplate = "plate"\ntime = "seen"\ntime_format = "epoch-ms"\n'
    'camera = "camera"\nid = "n"\n'
)
SECTION = (
    '\n[[sources]]\nname = "records"\nway = "sql"\nurl = "keys/records.url"\ntable = "reads"\n'
    'mapping = "mapping.toml"\nwatermark = "n"\nevery_s = 1\n'
)


@pytest.fixture
def store(city: Path) -> Iterator[SqliteStore]:
    (city / "data").mkdir(exist_ok=True)
    store = SqliteStore.open(city / "data" / "reads.db")
    yield store
    store.close()


def message(plate: str, captured_ms: int | None) -> bytes:
    record = {"plate": plate, "seen": captured_ms, "camera": "PIER-1", "n": plate}
    return json.dumps(record).encode() + b"\n"


@pytest.mark.parametrize("may_delete", [True, False])
def test_the_last_moment_is_kept_and_the_next_is_not_unless_the_clock_is_in_doubt(
    city: Path, store: SqliteStore, may_delete: bool
) -> None:
    (city / "mapping.toml").write_text(MAPPING)
    policy = parse_policy((city / "policy.toml").read_bytes(), "policy.toml")
    source = FolderSource(
        name="pier", way="folder", folder="in", format="json", mapping="mapping.toml"
    )
    intake = Intake(
        source, settings_of(source, city), store, Photos(city / "photos"), FixedClock(NOW),
        bands={}, kept=lambda: limits(policy.retention, ()), may_delete=lambda: may_delete,
    )  # fmt: skip
    first = NOW - policy.retention.reads_days * DAY_MS
    intake.document(message("TEST001", first) + message("TEST002", first - 1))
    assert plates(city) == (["TEST001"] if may_delete else ["TEST001", "TEST002"])
    assert not store.dead_counts()
    counts = intake.account.records
    assert (counts["older than kept"], counts["no read"]) == (int(may_delete), 0)


async def test_what_a_purge_removed_is_not_read_again_nor_hit(city: Path) -> None:
    other = city / "alpr.db"
    with closing(sqlite3.connect(other)) as rows:
        rows.execute("CREATE TABLE reads (n integer, plate text, seen integer, camera text)")
        rows.execute("INSERT INTO reads VALUES (1, 'TEST001', ?, 'PIER-1')", (NOW - 2 * DAY_MS,))
        rows.execute("INSERT INTO reads VALUES (2, 'TEST002', ?, 'PIER-1')", (NOW,))
        rows.commit()
    (city / "mapping.toml").write_text(MAPPING)
    write_secret(city / "keys" / "records.url", f"sqlite:///{other}\n")
    async with taking_node(city, SECTION):
        await until(lambda: len(plates(city)) == 2)
    policy = city / "policy.toml"
    policy.write_text(policy.read_text().replace("reads_days = 730", "reads_days = 1"))
    assert "Gone: 1 reads" in command(city, "purge")
    day = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    (city / "list.csv").write_text("plate,state,category\nTEST001,,stolen-vehicle\n")
    command(city, "hotlist", "import", str(city / "list.csv"), "--name", "stolen",
            "--source", "x", "--published", day)  # fmt: skip
    async with taking_node(city, "") as node:
        (account,) = node.accounts
        await until(lambda: account.records["older than kept"])
        assert account.records["taken"] == 0
    assert plates(city) == ["TEST002"]
    with closing(sqlite3.connect(city / "data" / "reads.db")) as database:
        assert database.execute("SELECT count(*) FROM hits").fetchone() == (0,)


def test_what_is_held_is_taken_however_late(city: Path, store: SqliteStore) -> None:
    (city / "mapping.toml").write_text(MAPPING)
    one = Hold("hold-00000001", "26-1", "order 7", "R. Roe", 0, NOW, NOW, NOW + DAY_MS, "TEST001")
    store.holds.place(one, Note("1" * 32, "held", one.case, "a plate"))
    old = NOW - 731 * DAY_MS
    (city / "reads.json").write_bytes(message("TEST001", old) + message("TEST002", old))
    options = ("--format", "json", "--mapping", str(city / "mapping.toml"))
    said = command(city, "ingest", str(city / "reads.json"), *options)
    assert "2 rows: 1 taken, 0 known already, 0 not taken, 1 no reads." in said
    assert plates(city) == ["TEST001"]


def test_the_commands_take_nothing_that_is_due_either(city: Path, store: SqliteStore) -> None:
    (city / "mapping.toml").write_text(MAPPING)
    old = NOW - 731 * DAY_MS
    file = city / "reads.json"
    file.write_bytes(message("TEST001", old) + message("TEST002", NOW) + message("", old))
    options = ("--format", "json", "--mapping", str(city / "mapping.toml"))
    said = command(city, "ingest", str(file), *options)
    assert "3 rows: 1 taken, 0 known already, 1 not taken, 1 no reads." in said
    assert "noted: older than kept: 1" in said
    (city / "mapping.toml").write_text(MAPPING.replace('plate = "plate"', 'plate = "camera"'))
    again = command(city, "ingest", "retry", *options)
    assert again.startswith("1 dead letters: 1 gone, 0 stay.")
    assert plates(city) == ["TEST002"]
