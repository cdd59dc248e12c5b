"""A refresh verifies what changed and nothing else, and never believes a stale answer."""

import os

import pytest

from accord.agreements.effective import Standing, effective
from accord.agreements.heads import HOUR_MS, Head, sign_head
from accord.agreements.instruments import InstrumentKind
from accord.agreements.manifest_reading import parse_manifest
from accord.federation_watch import FederationWatch
from accord.keys import PrivateKey
from tests.unit.accord import folders
from tests.unit.accord.folders import NODES, NOW_MS, OWN, said, standing
from tests.unit.accord.test_instrument_files import instrument


def manifest_of(path):
    return parse_manifest((path / "agreement.toml").read_bytes(), "x")


def head(path, party, number):
    one = Head(party, number, NOW_MS, NOW_MS + 24 * HOUR_MS)
    (path / "heads").mkdir(exist_ok=True)
    file = path / "heads" / f"{party}.json"
    file.write_bytes(sign_head(manifest_of(path), one, NODES[party]))
    return file


def held(path, watch):
    return watch.current.agreements[manifest_of(path).digest]


@pytest.fixture
def paths(folder):
    """Three agreements of the city, with every kind of file in each."""
    made = []
    for name, other in (("a", "harbor"), ("b", "county"), ("c", "harbor")):
        path = folder.agreement(name, "city", other, head_hours=24)
        for party in ("city", other):
            head(path, party, 1)
        instrument(path, other, 1, kind=InstrumentKind.DISPUTE)
        made.append(path)
    return made


@pytest.fixture
def watch(folder, paths):
    return FederationWatch(folder.path, OWN)


def test_one_head_is_verified_alone(paths, watch):
    before = watch.verified
    assert not watch.refresh()
    head(paths[0], "harbor", 2)
    untouched = held(paths[1], watch)
    assert watch.refresh()
    assert watch.verified == before + 1
    assert held(paths[0], watch).head_of("harbor").number == 2
    assert held(paths[1], watch) is untouched


def test_what_a_file_is_verified_with_is_part_of_the_question(folder, paths, watch, monkeypatch):
    before = watch.verified
    stranger = PrivateKey.generate()
    monkeypatch.setitem(folders.COUNSEL, "harbor", stranger)
    folder.agency("harbor", number=2)
    assert watch.refresh()
    # Its agency.toml, and of each of its two agreements a counterpart and an instrument.
    assert watch.verified == before + 5
    assert not held(paths[0], watch).instruments
    assert standing(paths[0], watch.current) is Standing.NOT_EXECUTED
    assert held(paths[0], watch).head_of("harbor").number == 1
    assert len(held(paths[1], watch).instruments) == 1
    folder.agency("harbor", number=3)
    assert watch.refresh()
    assert watch.verified == before + 6


def test_bytes_that_were_good_once_are_still_older_than_those_seen_since(paths, watch):
    file = paths[0] / "heads" / "harbor.json"
    first = file.read_bytes()
    head(paths[0], "harbor", 2)
    watch.refresh()
    before = watch.verified
    file.write_bytes(first)
    assert watch.refresh()
    assert watch.verified == before
    assert held(paths[0], watch).head_of("harbor") is None
    assert "head 1 of harbor is older than 2" in said(watch.current)


def test_what_is_bad_is_told_at_each_refresh_until_it_is_mended(paths, watch):
    file = paths[0] / "instruments" / "harbor-1.json"
    good = file.read_bytes()
    file.write_bytes(good.replace(b'"sig": "', b'"sig": "A'))
    watch.refresh()
    bad = watch.verified
    head(paths[1], "county", 2)
    watch.refresh()
    assert watch.verified == bad + 1
    assert "harbor-1.json" in said(watch.current)
    now = effective(held(paths[0], watch), "city", "harbor", NOW_MS)
    assert now.standing is Standing.SUSPENDED
    file.write_bytes(good)
    watch.refresh()
    assert "harbor-1.json" not in said(watch.current)
    assert not held(paths[0], watch).effects.stops


def test_an_instrument_that_is_gone_is_missed_though_it_was_verified(paths, watch):
    (paths[0] / "instruments" / "harbor-1.json").unlink()
    watch.refresh()
    for _ in range(2):
        assert "was seen before and is gone" in said(watch.current)
        now = effective(held(paths[0], watch), "city", "harbor", NOW_MS)
        assert now.standing is Standing.SUSPENDED
        head(paths[1], "county", 2)
        watch.refresh()
    instrument(paths[0], "harbor", 1, kind=InstrumentKind.DISPUTE)
    watch.refresh()
    assert "was seen before" not in said(watch.current)


def test_what_was_written_is_read_at_once_and_the_rest_at_the_next_look(paths, watch):
    head(paths[0], "harbor", 2)
    head(paths[1], "county", 2)
    assert watch.refresh(paths[0])
    assert held(paths[0], watch).head_of("harbor").number == 2
    assert held(paths[1], watch).head_of("county").number == 1
    assert not watch.refresh(paths[0])
    assert watch.refresh()
    assert held(paths[1], watch).head_of("county").number == 2
    assert not watch.refresh()


def test_a_file_edited_in_place_with_its_size_and_time_put_back_is_noticed(paths, watch):
    file = paths[0] / "heads" / "harbor.json"
    status, data = file.stat(), bytearray(file.read_bytes())
    data[200] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file.stat().st_mtime_ns == status.st_mtime_ns
    assert watch.refresh()
    assert held(paths[0], watch).head_of("harbor") is None


def test_a_written_folder_that_is_gone_by_then_is_looked_for_with_all_the_rest(folder):
    path = folder.agreement("one", "city", "harbor")
    watch = FederationWatch(folder.path, OWN)
    assert not watch.refresh(folder.path / "agreements" / "gone")
    path.rename(folder.path / "away")
    assert watch.refresh(path)
    assert not watch.current.agreements
