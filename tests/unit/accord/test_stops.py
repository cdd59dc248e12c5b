"""What stops sharing goes on stopping it, whatever becomes of the files; and stops nobody else."""

from datetime import date

import pytest

from accord.agreements.effective import Standing, effective
from accord.agreements.heads import HOUR_MS, Head, sign_head
from accord.agreements.instruments import InstrumentKind
from accord.agreements.manifest_reading import parse_manifest
from accord.federation import load
from accord.federation_watch import FederationWatch
from accord.pins import Pins
from tests.unit.accord.folders import NODES, NOW_MS, OWN, said
from tests.unit.accord.test_instrument_files import instrument

K = InstrumentKind


def text(path):
    return parse_manifest((path / "agreement.toml").read_bytes(), "x")


def between(path, federation, requester="harbor", owner="city"):
    """How the text of a folder stands between two; None where it is left out."""
    agreement = federation.agreements.get(text(path).digest)
    return effective(agreement, requester, owner, NOW_MS).standing if agreement else None


def head(path, party, number=1, names=()):
    """Write a fresh head of a party that names these hashes."""
    as_of_ms = NOW_MS - HOUR_MS
    one = Head(party, number, as_of_ms, as_of_ms + 24 * HOUR_MS, tuple(names))
    (path / "heads").mkdir(exist_ok=True)
    file = path / "heads" / f"{party}.json"
    file.write_bytes(sign_head(text(path), one, NODES[party]))
    return file


# A party's files never stop pairs under an agreement that it is no party of.


@pytest.fixture
def region(folder):
    return folder.agreement("region", "city", "harbor", "county", head_hours=24)


@pytest.fixture
def bilateral(folder, region):
    for party in ("city", "harbor", "county"):
        head(region, party)
    return folder.agreement("bilateral", "city", "harbor")


@pytest.mark.parametrize(
    "act",
    [
        lambda path: instrument(path, "county", 1, kind=K.SUPERSEDED_BY_LAW, reason="x",
                                citation="c", impairs_essential_purpose=True),
        lambda path: instrument(path, "county", 1, kind=K.INTERIM_DECISION, reason="x",
                                decided_by="W", until=date(2026, 3, 5), all=True),
        lambda path: instrument(path, "county", 1),
        lambda path: instrument(path, "county", 3, kind=K.DISPUTE, reason="x"),
        lambda path: instrument(path, "county", 1, kind=K.DISPUTE, reason="x").write_bytes(b"{}"),
        lambda path: head(path, "county", 2, ["ab" * 32]),
    ],
)  # fmt: skip
def test_one_agency_stops_no_agreement_that_it_is_no_party_of(folder, region, bilateral, act):
    third = folder.agreement("harbor-county", "city", "county")
    before = FederationWatch(folder.path, OWN).current
    assert between(bilateral, before) is Standing.IN_FORCE
    assert between(third, before, "county") is Standing.IN_FORCE
    act(region)
    found = FederationWatch(folder.path, OWN).current
    assert between(bilateral, found) is Standing.IN_FORCE
    assert between(third, found, "county") is Standing.SUSPENDED
    assert between(region, found, "county") is Standing.SUSPENDED


def test_what_it_narrows_beside_is_narrowed_for_itself_alone(folder, region, bilateral):
    third = folder.agreement("city-county", "city", "county")
    instrument(region, "county", 1, kind=K.SUPERSEDED_BY_LAW, reason="x", citation="c",
               purposes=frozenset({"stolen-vehicle"}))  # fmt: skip
    found = load(folder.path, OWN)

    def narrowed(path, requester):
        agreement = found.agreements[text(path).digest]
        return len(effective(agreement, requester, "city", NOW_MS).narrowings)

    assert narrowed(region, "harbor") == narrowed(region, "county") == 1
    assert narrowed(third, "county") == 1
    assert narrowed(bilateral, "harbor") == 0


@pytest.mark.parametrize(
    "flaw",
    [
        lambda path: instrument(path, "county", 3, kind=K.DISPUTE, reason="x"),
        lambda path: instrument(path, "county", 1, kind=K.DISPUTE, reason="x").write_bytes(b"{}"),
        lambda path: head(path, "county", 2, ["ab" * 32]),
    ],
)
def test_files_that_one_party_never_gave_stop_that_party_alone(folder, region, bilateral, flaw):
    flaw(region)
    found = FederationWatch(folder.path, OWN).current
    assert between(region, found) is Standing.IN_FORCE
    assert between(region, found, "county") is Standing.SUSPENDED
    assert between(region, found, "county", "harbor") is Standing.SUSPENDED
    assert "(until then county is suspended)" in said(found)


def test_what_one_party_gave_and_is_gone_stops_all_of_its_text(folder, region, bilateral):
    """It may have stopped them all: a law that impairs the essential purpose, say."""
    file = instrument(region, "county", 1, kind=K.DISPUTE, reason="x")
    content = file.read_bytes()
    watch = FederationWatch(folder.path, OWN)
    assert between(region, watch.current) is Standing.IN_FORCE
    file.write_bytes(b"{}")
    watch.refresh()
    assert between(region, watch.current) is Standing.SUSPENDED
    assert between(bilateral, watch.current) is Standing.IN_FORCE
    file.write_bytes(content)
    watch.refresh()
    assert between(region, watch.current) is Standing.IN_FORCE


def test_nobody_numbers_so_high_that_the_rest_can_not_be_given(folder, region, bilateral):
    for number, standing in ((1000, Standing.IN_FORCE), (1001, Standing.SUSPENDED)):
        name = region / "instruments" / f"county-{number}.json"
        name.parent.mkdir(exist_ok=True)
        name.write_bytes(b"{}")
        found = FederationWatch(folder.path, OWN).current
        assert between(region, found) is standing
    assert "county-1001.json: is not named as an instrument of a party" in said(found)
    name.unlink()
    assert between(region, FederationWatch(folder.path, OWN).current) is Standing.IN_FORCE


def test_what_was_never_verified_is_not_remembered(folder):
    """A file put into the wrong folder stops until it is moved away, and not for ever."""
    path = folder.agreement("city-harbor", "city", "harbor")
    other = folder.agreement("beside", "city", "harbor")
    pins = folder.path.parent / "pins.json"
    misplaced = instrument(other, "harbor", 7, kind=K.DISPUTE, reason="x")
    (path / "instruments").mkdir()
    misplaced = misplaced.rename(path / "instruments" / misplaced.name)
    watch = FederationWatch(folder.path, OWN, Pins.open(pins))
    assert between(path, watch.current) is Standing.SUSPENDED
    misplaced.unlink()
    assert watch.refresh()
    for found in (watch.current, FederationWatch(folder.path, OWN, Pins.open(pins)).current):
        assert between(path, found) is Standing.IN_FORCE
        assert "gone" not in said(found)
