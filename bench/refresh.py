"""``python -m bench.refresh``: what one incoming head costs a node with many agreements.

    first     the folder read and verified for the first time, as at a start
    head      one head written into one agreement's folder, and in effect
    look      nothing changed: the look at every file that comes every second

One agency has an agreement with each of many others, heads demanded; every
agreement holds two counterparts, two heads and one instrument. Each size is
another folder; the ratio says how ``head`` grows with the agreements. The
``cpu`` figure leaves out what other programs and the disk take. The figures
join build/bench.json.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from accord.agencies import render_agency, sign_agency
from accord.agreements.counterparts import sign_counterpart
from accord.agreements.heads import HOUR_MS, Head, sign_head
from accord.agreements.instrument_payload import sign_instrument
from accord.agreements.instruments import Details, Instrument, InstrumentKind
from accord.agreements.manifest import Manifest, Party
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.reading import DAY_MS
from accord.agreements.templates import template_moa
from accord.clock import SystemClock
from accord.federation_watch import FederationWatch
from accord.identity import KeyRole
from accord.keys import PrivateKey
from accord.pins import Pins
from accord.pki import new_authority
from bench.run import RESULT

SIZES = (100, 1_000)
HEADS = 20
OWNER = "city"


class Place:
    """A federation folder of one agency and ``count`` others, and a program that watches it."""

    def __init__(self, base: Path, count: int) -> None:
        self.now_ms = SystemClock().now_ms()
        self._folder = base / "federation"
        self._counsel, self._node = PrivateKey.generate(), PrivateKey.generate()
        names = [f"agency-{number:04d}" for number in range(count)]
        roots = {name: PrivateKey.generate() for name in (OWNER, *names)}
        for name, root in roots.items():
            self._agency(name, root)
        self.held = [self._agreement(name, roots) for name in names]
        started = time.perf_counter()
        pinned = {OWNER: roots[OWNER].public.keyid}
        self.watch = FederationWatch(self._folder, pinned, Pins.open(base / "pins.json"))
        self.first_s = time.perf_counter() - started

    def _agency(self, name: str, root: PrivateKey) -> None:
        data = render_agency(
            agency=name, number=1, name=name, kind="police", state="CA", contact="x",
            cas=[new_authority(name, self.now_ms).certificate],
            keys=[(KeyRole.COUNSEL, self._counsel.public), (KeyRole.NODE, self._node.public)],
            endpoints=[], issued_at_ms=self.now_ms, expires_at_ms=self.now_ms + 300 * DAY_MS,
        )  # fmt: skip
        folder = self._folder / "agencies" / name
        folder.mkdir(parents=True)
        (folder / "agency.toml").write_bytes(data)
        (folder / "agency.sig").write_bytes(sign_agency(data, root))

    def _agreement(self, other: str, roots: dict[str, PrivateKey]) -> tuple[Path, Manifest]:
        names = (OWNER, other)
        parties = [Party(one, one, roots[one].public.keyid, "x", "police", "CA") for one in names]
        data = template_moa(f"{OWNER}-{other}", "Sharing", parties, head_hours=24)
        folder, manifest = self._folder / "agreements" / other, parse_manifest(data, "bench")
        for name in ("counterparts", "heads", "instruments"):
            (folder / name).mkdir(parents=True)
        (folder / "agreement.toml").write_bytes(data)
        for name in names:
            signed_ms = self.now_ms - 100 * DAY_MS
            signed = sign_counterpart(manifest, name, "A", "B", signed_ms, self._counsel)
            (folder / "counterparts" / f"{name}.json").write_bytes(signed)
            self.head(folder, manifest, name, 1)
        one = Instrument(other, 1, InstrumentKind.DISPUTE, "A", "B", self.now_ms,
                         Details(reason="a count"))  # fmt: skip
        path = folder / "instruments" / f"{other}-1.json"
        path.write_bytes(sign_instrument(manifest, one, self._counsel))
        return folder, manifest

    def head(self, folder: Path, manifest: Manifest, name: str, number: int) -> None:
        """Write a party's head."""
        one = Head(name, number, self.now_ms, self.now_ms + 24 * HOUR_MS)
        (folder / "heads" / f"{name}.json").write_bytes(sign_head(manifest, one, self._node))


def measure(place: Place, heads: int) -> dict[str, float]:
    """Return milliseconds.

    Raises:
        SystemExit: a head was not taken, or more than it was verified.
    """
    took, worked, looks = [], [], []
    for number in range(2, heads + 2):
        folder, manifest = place.held[number % len(place.held)]
        place.head(folder, manifest, folder.name, number)
        before, started = place.watch.verified, time.perf_counter()
        begun = time.process_time()
        place.watch.refresh(folder)
        worked.append(1000 * (time.process_time() - begun))
        took.append(1000 * (time.perf_counter() - started))
        head = place.watch.current.agreements[manifest.digest].head_of(folder.name)
        if head is None or head.number != number or place.watch.verified != before + 1:
            raise SystemExit("the head was not taken alone")
    place.watch.refresh()
    for _ in range(5):
        started = time.perf_counter()
        if place.watch.refresh():
            raise SystemExit("something else changed")
        looks.append(1000 * (time.perf_counter() - started))
    return {
        "first_ms": round(1000 * place.first_s),
        "head_ms": round(statistics.median(took), 1),
        "head_cpu_ms": round(statistics.median(worked), 1),
        "look_ms": round(statistics.median(looks), 1),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--heads", type=int, default=HEADS, help="at least 5")
    heads = parser.parse_args().heads
    if heads < 5:
        parser.error("--heads: at least 5")
    found: dict[str, Any] = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as base:
            found[f"refresh_with_{size}_agreements"] = figures = measure(
                Place(Path(base), size), heads
            )
        print(f"{size} agreements: {figures}")
        print(f"  first / head: {figures['first_ms'] / figures['head_ms']:.0f}")
    for name in ("head_ms", "head_cpu_ms"):
        small, large = (found[f"refresh_with_{size}_agreements"][name] for size in SIZES)
        print(f"{name}, {SIZES[1]} / {SIZES[0]} agreements: {large / small:.2f}")
    RESULT.parent.mkdir(exist_ok=True)
    before = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    RESULT.write_text(json.dumps(before | found, indent=1) + "\n")
    print(f"Written: {RESULT}")


if __name__ == "__main__":
    main()
