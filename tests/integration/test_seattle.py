"""A real week of reads, split by patrol car over three nodes, through the whole path."""

import csv
import gzip
import io
from collections import defaultdict
from pathlib import Path

import pytest

from accord.clock import SystemClock
from accord.model import ExactPlate, Window
from node.ingest import ingest
from node.ingest.csv_reads import CsvReads
from node.ingest.mapping import Mapping
from node.ingest.settings import Settings
from tests.conftest import make_files, running

WEEK = Path(__file__).parents[3] / "shared" / "data" / "seattle_week_2021-10.csv.gz"
MAPPING = Mapping(
    format="accord-mapping/1",
    plate="plate",
    time="captured_local",
    time_format="%m/%d/%Y - %H:%M:%S",
    zone="America/Los_Angeles",
    camera="camera",
    latitude="latitude",
    longitude="longitude",
    nulls=["NA", ""],
    state_is="WA",
)
# Wide enough for the week; the agreement and the policy look back far enough.
WEEK_WINDOW = Window(1_633_000_000_000, 1_635_000_000_000)


async def test_the_week_is_accounted_for_and_comes_back_merged(tmp_path: Path) -> None:
    if not WEEK.exists():
        pytest.skip("shared data not present: the real week of reads")
    with gzip.open(WEEK, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    parts: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        parts[("city", "county", "harbor")[int(row["camera"][-2:]) % 3]].append(row)
    files = make_files(tmp_path, SystemClock())
    for name in ("city", "county"):
        files.add_agreement(
            f"{name}-week", (name, "harbor"), revision=1, look_back_days=3000, time="exact"
        )
    policies = {
        a: files.policy(a).replace("reads_days = 730", "reads_days = 3000")
        for a in ("city", "county", "harbor")
    }
    files.build(policies)
    for name in ("city", "county"):
        for agency in (name, "harbor", "exchange"):
            old = files.folder(agency) / "federation" / "agreements" / f"{name}-harbor"
            if old.exists():
                for path in sorted(old.rglob("*"), reverse=True):
                    path.unlink() if path.is_file() else path.rmdir()
                old.rmdir()
    async with running(files) as federation:
        taken: dict[str, set[tuple[str, ...]]] = {}
        for agency, part in parts.items():
            node = federation.nodes[agency].context
            text = io.StringIO()
            writer = csv.DictWriter(text, list(rows[0]))
            writer.writeheader()
            writer.writerows(part)
            stream = io.BytesIO(text.getvalue().encode())
            report = ingest(
                CsvReads().parse(stream, Settings(mapping=MAPPING)), node.store, node.photos
            )
            assert report.seen == len(part)
            assert report.rejected == []
            keys = ("plate", "captured_local", "camera", "latitude", "longitude")
            taken[agency] = {tuple(row[key] for key in keys) for row in part}
            assert report.taken == len(taken[agency])
            assert report.duplicates == len(part) - len(taken[agency])
        seen: dict[str, set[str]] = defaultdict(set)
        counts: dict[str, int] = defaultdict(int)
        for agency in ("city", "county"):
            for plate, *_ in taken[agency]:
                seen[plate].add(agency)
                counts[plate] += 1
        both = [plate for plate, agencies in seen.items() if len(agencies) == 2]
        plate = max(both, key=lambda p: (counts[p], p))
        assert counts[plate] > 2
        async with federation.client() as client:
            question = federation.question(
                selector=ExactPlate(plate, "WA"), window=WEEK_WINDOW, row_limit=500
            )
            result = await client.ask(question)
        assert result.complete, result.outcomes
        assert len(result.reads) == counts[plate]
        assert {read.originator for read in result.reads} == {"city", "county"}
        times = [read.captured_ms for read in result.reads]
        assert times == sorted(times, reverse=True)
