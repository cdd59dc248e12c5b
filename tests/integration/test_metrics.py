"""A serving node's metrics: what stands there, what never does, and that it's one whole file."""

import os
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from accord.agreements.effective import Standing
from accord.clock import SystemClock
from accord.errors import InputError
from node import metrics
from node.config import METRICS, load_config
from node.serve import running_node
from tests.conftest import PLATE, Federation, make_files


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
    assert samples(path.read_bytes())["accord_policy_usable",] == 1
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
