"""The demo's setting: three agencies' folders, keys, agreements, officers and reads."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from accord.clock import SystemClock, to_datetime
from accord.demo import data, real
from accord.demo.processes import free_port, run
from accord.model import PROHIBITED, Purpose
from accord.roster import Officer
from accord.testing import FederationSimulator

AGENCIES = {
    "city": ("Bay City Police Department", "police"),
    "harbor": ("Bay Harbor Port Police", "port-police"),
    "county": ("Tidewater County Sheriff", "sheriff"),
}
OPERATOR = "exchange"


def build(base: Path, own: real.Reads | None = None) -> FederationSimulator:
    """Make the demo's federation: folders, keys, agreements, officers; no reads yet."""
    clock = SystemClock()
    federation = FederationSimulator(base, clock)
    federation.add_operator(OPERATOR, "Regional Exchange", f"127.0.0.1:{free_port()}")
    for agency, (name, kind) in AGENCIES.items():
        federation.add_agency(agency, name, kind, f"127.0.0.1:{free_port()}")
    # Real reads may be years old: then the agreements look back that far.
    days = 365 if own is None else own.days_since(clock.now_ms())
    federation.add_agreement("city-harbor", ("city", "harbor"), look_back_days=days)
    federation.add_agreement(
        "county-harbor",
        ("county", "harbor"),
        time="exact",
        place="exact",
        camera="exact",
        look_back_days=days,
    )
    today = to_datetime(clock.now_ms()).date()
    purposes = frozenset(str(purpose) for purpose in Purpose if purpose not in PROHIBITED)
    recent = (today - timedelta(days=200)).isoformat()
    lapsed = (today - timedelta(days=900)).isoformat()
    for agency in AGENCIES:
        serial = f"{agency[0].upper()}P-101"
        federation.add_officer(
            agency, Officer(serial, f"Detective {agency.title()}", "detective", "good", recent,
                            purposes)
        )  # fmt: skip
    federation.add_officer(
        "harbor", Officer("HP-207", "Officer Lapsed", "officer", "good", lapsed, purposes)
    )
    kept = f"reads_days = {max(days, 730)}"
    federation.build({a: federation.policy(a).replace("reads_days = 730", kept) for a in AGENCIES})
    return federation


def take_in(
    federation: FederationSimulator, own: real.Reads | None = None
) -> Iterator[tuple[str, str]]:
    """Let each node take its reads in; yield agency and account: what was taken, what not, why."""
    for site in data.sites():
        folder = federation.folder(site.agency) / "camera-export"
        if own is None:
            now_ms = federation.clock.now_ms()
            path, mapping = data.write_reads(site, folder, now_ms), data.MAPPING
        else:
            path, mapping = own.write_part(site.agency, folder), own.mapping
        yield site.agency, _ingest(federation, site.agency, path, mapping)


def _ingest(federation: FederationSimulator, agency: str, reads: Path, mapping: str) -> str:
    path = reads.parent / "mapping.toml"
    path.write_text(mapping)
    config = str(federation.folder(agency) / "node.toml")
    report = str(reads.parent / "not-taken.csv")
    arguments = ["ingest", str(reads), "--config", config, "--format", "csv"]
    return run("node", [*arguments, "--mapping", str(path), "--report", report])
