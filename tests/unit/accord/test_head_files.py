"""Heads in the folder: what is withheld shows, and an older one than seen before is none."""

import pytest

from accord.agreements.effective import Standing, effective
from accord.agreements.heads import HOUR_MS, Head, sign_head
from accord.agreements.instrument_payload import named_digest
from accord.agreements.instruments import InstrumentKind
from accord.agreements.manifest_reading import parse_manifest
from accord.federation_folder import load
from accord.federation_watch import FederationWatch
from accord.pins import Pins
from tests.unit.accord.folders import COUNSEL, NODES, NOW_MS, OWN, said
from tests.unit.accord.test_instrument_files import instrument


def put(folder, party, number=1, *, names=(), age_h=1, key=None, other=None):
    """Write a head of a party that names these instrument files."""
    text = other or folder
    manifest = parse_manifest((text / "agreement.toml").read_bytes(), text)
    as_of_ms = NOW_MS - age_h * HOUR_MS
    digests = tuple(named_digest(content, "x") for content in names)
    one = Head(party, number, as_of_ms, as_of_ms + 24 * HOUR_MS, digests)
    path = folder / "heads" / f"{party}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(sign_head(manifest, one, key or NODES[party]))
    return path


def between(folder, federation):
    manifest = parse_manifest((folder / "agreement.toml").read_bytes(), folder)
    return effective(federation.agreements[manifest.digest], "harbor", "city", NOW_MS).standing


@pytest.fixture
def agreed(folder):
    path = folder.agreement("city-harbor", "city", "harbor", head_hours=24)
    put(path, "city")
    put(path, "harbor")
    return path


def test_fresh_heads_of_both_let_an_agreement_be_in_force(folder, agreed):
    watch = FederationWatch(folder.path, OWN)
    assert between(agreed, watch.current) is Standing.IN_FORCE
    put(agreed, "harbor", 2, age_h=25)
    assert watch.refresh()
    assert between(agreed, watch.current) is Standing.HEAD_STALE
    assert between(agreed, load(folder.path, OWN)) is Standing.IN_FORCE
    (agreed / "heads" / "harbor.json").unlink()
    assert watch.refresh()
    assert between(agreed, watch.current) is Standing.HEAD_STALE
    put(agreed, "harbor", 3)
    assert watch.refresh()
    assert between(agreed, watch.current) is Standing.IN_FORCE


def test_a_withheld_instrument_suspends(folder, agreed):
    file = instrument(agreed, "harbor", 1, kind=InstrumentKind.DISPUTE, reason="a count")
    content = file.read_bytes()
    put(agreed, "harbor", 2, names=(content,))
    watch = FederationWatch(folder.path, OWN)
    assert between(agreed, watch.current) is Standing.IN_FORCE
    second = instrument(agreed, "harbor", 2, kind=InstrumentKind.DISPUTE, reason="another")
    assert watch.refresh()
    assert between(agreed, watch.current) is Standing.IN_FORCE
    put(agreed, "harbor", 3, names=(content, second.read_bytes()))
    second.unlink()
    fresh = FederationWatch(folder.path, OWN)
    assert between(agreed, fresh.current) is Standing.SUSPENDED
    assert "the node of harbor names its instrument 2, which is not here" in said(fresh.current)


def test_another_instrument_with_the_same_number_suspends(folder, agreed):
    file = instrument(agreed, "harbor", 1, kind=InstrumentKind.DISPUTE, reason="a count")
    named = file.read_bytes()
    file.unlink()
    instrument(agreed, "harbor", 1, kind=InstrumentKind.DISPUTE, reason="another")
    put(agreed, "harbor", 2, names=(named,))
    assert between(agreed, FederationWatch(folder.path, OWN).current) is Standing.SUSPENDED


def test_an_older_head_than_one_seen_before_is_none(folder, agreed, tmp_path):
    pins = tmp_path / "pins.json"
    old = (agreed / "heads" / "harbor.json").read_bytes()
    put(agreed, "harbor", 2)
    watch = FederationWatch(folder.path, OWN, Pins.open(pins))
    assert between(agreed, watch.current) is Standing.IN_FORCE
    (agreed / "heads" / "harbor.json").write_bytes(old)
    for again in (watch, FederationWatch(folder.path, OWN, Pins.open(pins))):
        again.refresh()
        assert between(agreed, again.current) is Standing.HEAD_STALE
        assert "the head 1 of harbor is older than 2, seen before" in said(again.current)


@pytest.mark.parametrize(
    ("forge", "words"),
    [
        (lambda path, other: put(path, "harbor", key=COUNSEL["harbor"]), "the node of harbor"),
        (lambda path, other: put(path, "harbor", key=NODES["city"]), "the node of harbor"),
        (lambda path, other: put(path, "harbor", other=other), "another text"),
        (
            lambda path, other: put(path, "city").replace(path / "heads" / "harbor.json"),
            "no valid signature by the node of harbor",
        ),
        (lambda path, other: (path / "heads" / "harbor.json").write_bytes(b"{}"), "harbor.json"),
    ],
)  # fmt: skip
def test_a_forged_head_is_none(folder, agreed, forge, words):
    other = folder.agreement("other", "city", "harbor", head_hours=24)
    forge(agreed, other)
    found = FederationWatch(folder.path, OWN).current
    assert between(agreed, found) is Standing.HEAD_STALE
    assert words in said(found)


def test_a_link_is_no_folder_of_heads(folder, agreed, tmp_path):
    (agreed / "heads").rename(tmp_path / "away")
    (agreed / "heads").symlink_to(tmp_path / "away")
    found = FederationWatch(folder.path, OWN).current
    assert between(agreed, found) is Standing.HEAD_STALE
    assert "is a link" in said(found)
