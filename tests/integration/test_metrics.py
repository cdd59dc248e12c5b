"""A serving node's metrics: what stands there, what never does, and that it's one whole file."""

import os
import re
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from accord.agreements.effective import Standing
from accord.clock import SystemClock
from accord.errors import InputError
from accord.hot_lists import HotListEntry
from node import metrics
from node.config import METRICS, load_config
from node.serve import running_node
from node.store.sqlite import SqliteStore
from tests.conftest import PLATE, Federation, make_files
from tests.hot_lists import hold


def samples(data: bytes) -> dict[tuple[str, ...], float]:
    """Return values by name and labels (in their names' order), as Prometheus' parser reads."""
    return {
        (sample.name, *(sample.labels[key] for key in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(data.decode())
        for sample in family.samples
    }


async def test_a_serving_node_writes_its_figures(federation: Federation) -> None:
    node = federation.nodes["harbor"]
    async with federation.client() as client:
        assert (await client.ask(federation.question())).complete
    path = federation.files.base / "harbor" / "data" / METRICS
    first = samples(path.read_bytes())
    assert first["accord_policy_usable",] == first["accord_ready",] == 1
    metrics.write(node.context, "main", path)
    found = samples(path.read_bytes())
    assert not list(path.parent.glob("*.part"))
    assert found["accord_agreements", "in force"] == 2
    assert found["accord_agreements", "suspended"] == 0
    agreement = next(
        a for a in node.context.federation.agreements.values() if a.manifest.id == "city-harbor"
    )
    assert agreement.term.expires_ms is not None
    left = timedelta(milliseconds=agreement.term.expires_ms - federation.clock.now_ms()).days
    assert abs(found["accord_days_ahead", "last-day", "city-harbor"] - left) <= 1
    assert found["accord_days_ahead", "agency-file-ends", "city"] > 0
    assert found["accord_federation_problems",] == 0
    assert 0 <= found["accord_roster_age_seconds",] < 900
    assert [key[1:] for key in found if key[0] == "accord_node_info"] == [
        ("harbor", "main", "0.1.0")
    ]
    text = path.read_text()
    for secret in (PLATE, "O-1", "Officer", "stolen", "26-"):
        assert secret not in text


async def test_the_ages_of_hot_lists(federation: Federation) -> None:
    context = federation.nodes["harbor"].context
    now = federation.clock.now_ms()
    for name, hours in (("fresh", 1), ("old", 3), ("gone", 9)):
        published = now - hours * 3_600_000
        entry = HotListEntry(name, "bureau", PLATE, "CA", "stolen-vehicle", published, 7200)
        hold(context.store, entry, hard_limit_s=4 * 3600)
    found = samples(metrics.exposition(context, "main"))
    assert 10_800 <= found["accord_hot_list_age_seconds", "old"] < 10_900
    figures = {
        name: (found["accord_hot_list_stale", name], found["accord_hot_list_not_matched", name])
        for name in ("fresh", "old", "gone")
    }
    assert figures == {"fresh": (0, 0), "old": (1, 0), "gone": (1, 1)}
    assert PLATE not in metrics.exposition(context, "main").decode()


async def test_a_node_tells_that_a_list_is_too_old(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = SystemClock()
    files = make_files(tmp_path, clock)
    files.build()
    config = load_config(files.folder("county") / "node.toml")
    store = SqliteStore.open(config.data / "reads.db", clock=clock)
    for name, hours in (("fresh", 1), ("old", 3), ("gone", 9)):
        published = clock.now_ms() - hours * 3_600_000
        entry = HotListEntry(name, "bureau", PLATE, "CA", "stolen-vehicle", published, 7200)
        hold(store, entry, hard_limit_s=4 * 3600)
    store.close()
    async with running_node(config, clock):
        said = capsys.readouterr().out
    assert [line.split("list=")[1].split()[0] for line in said.splitlines() if "list=" in line] == [
        "gone", "old",
    ]  # fmt: skip
    assert "alert: a hot list is past its hard limit" in said
    assert "a hot list is stale" in said
    assert PLATE not in said


@pytest.fixture
def private() -> Iterator[None]:
    """The umask of a node that serves."""
    before = os.umask(0o077)
    yield
    os.umask(before)


async def test_a_collector_of_another_user_can_read_them(tmp_path: Path, private: None) -> None:
    """The data folder is the node's alone, so the file may be elsewhere."""
    files = make_files(tmp_path, SystemClock())
    files.build()
    config, there = files.folder("county") / "node.toml", tmp_path / "exporter" / "accord.prom"
    text = config.read_text()
    config.write_text(text.replace("[tls]", f'metrics = "{there}"\n[tls]'))
    async with running_node(load_config(config), SystemClock()):
        assert stat.S_IMODE(there.stat().st_mode) == 0o644
        assert samples(there.read_bytes())["accord_policy_usable",] == 1
        assert not (files.folder("county") / "data" / METRICS).exists()
        secret = files.folder("county") / "data" / "pins.json"
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    config.write_text(text.replace("[tls]", 'metrics = "accord.txt"\n[tls]'))
    with pytest.raises(InputError, match="metrics"):
        load_config(config)


async def test_what_goes_wrong_is_counted(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = federation.nodes["harbor"]
    base = federation.files.base / "harbor"
    (base / "federation" / "agreements" / "city-harbor" / "agreement.toml").write_text("x")
    (base / "policy.toml").write_text("x")
    node.context.sources.refresh()
    found = samples(metrics.exposition(node.context, "main"))
    assert found["accord_agreements", "in force"] == 1
    assert found["accord_federation_problems",] > 0
    assert found["accord_policy_usable",] == 0
    assert ("accord_days_ahead", "last-day", "city-harbor") not in found
    with pytest.raises(InputError, match="can't be written"):
        metrics.write(node.context, "main", base / "data")


async def test_every_standing_is_counted_at_all_times(federation: Federation) -> None:
    found = samples(metrics.exposition(federation.nodes["city"].context, "main"))
    counted = {key[1] for key in found if key[0] == "accord_agreements"}
    assert counted == {one.value for one in Standing}


def test_the_page_tells_of_every_figure_and_of_no_other() -> None:
    root = Path(__file__).parents[2]
    told = set(re.findall(r"\baccord_[a-z_]+", (root / "docs" / "operations.md").read_text()))
    code = (root / "node" / "metrics.py").read_text()
    lists = code.index("def _of_lists")
    made = {f"accord_{name}" for name in re.findall(r'gauge\("(\w+)"', code[:lists])}
    made |= {f"accord_hot_list_{name}" for name in re.findall(r'gauge\("(\w+)"', code[lists:])}
    made |= set(re.findall(r'Gauge\(\s*"(accord_\w+)"', code))
    assert told == made
