"""What an agency that joined has stopped stays stopped, whatever becomes of how it joined."""

import pytest

from accord.agreements.effective import Standing
from accord.deliveries import AgreementFile, keep
from accord.errors import Code, Refused
from accord.federation_folder import load
from accord.federation_watch import FederationWatch
from accord.pins import Pins
from tests.unit.accord.folders import COUNSEL, NOW_MS, OWN, PINS, said
from tests.unit.accord.test_instrument_files import instrument
from tests.unit.accord.test_joiners import JOINDER, accede, admit, between, join
from tests.unit.accord.test_stops import text

NOW = {"last_head": 0, "now_ms": NOW_MS}


@pytest.fixture
def joined(folder):
    """A text that the county joined and suspended, and another beside it with the city."""
    region = folder.agreement("region", "city", "harbor", tables=JOINDER)
    bilateral = folder.agreement("bilateral", "city", "county")
    join(region)
    return region, bilateral


def spoil(file):
    file.write_bytes(file.read_bytes().replace(b'"payload"', b'"paylood"'))


@pytest.mark.parametrize(
    ("own", "harm"),
    [
        (OWN, lambda path: (path / "counterparts" / "city.json").unlink()),
        (OWN, lambda path: admit(path, "harbor", "0" * 64, number=2)),
        (OWN, lambda path: [file.unlink() for file in (path / "instruments").glob("[ch]*-1.json")
                            if "county" not in file.name]),
        ({"county": PINS["county"]}, lambda path: spoil(path / "instruments" / "county-1.json")),
        ({"county": PINS["county"]}, lambda path: admit(path, "harbor", "0" * 64, number=2)),
    ],
)  # fmt: skip
def test_a_joiners_suspension_does_not_go_with_its_admission(folder, joined, tmp_path, own, harm):
    region, bilateral = joined
    file = tmp_path / "pins.json"
    watch = FederationWatch(folder.path, own, Pins.open(file))
    assert between(bilateral, watch.current) is Standing.IN_FORCE
    instrument(region, "county", 2)
    watch.refresh()
    assert between(bilateral, watch.current) is Standing.SUSPENDED
    harm(region)
    for again in (watch, FederationWatch(folder.path, own, Pins.open(file))):
        again.refresh()
        assert between(bilateral, again.current) is Standing.SUSPENDED
        assert "county" in said(again.current)


def test_who_is_admitted_hands_its_accession_in_and_nobody_else(folder):
    region = folder.agreement("region", "city", "harbor", tables=JOINDER)
    digest, name = text(region).digest, "instruments/county-1.json"
    accession = accede(region)
    data = accession.read_bytes()
    accession.unlink()
    folder.agency("county")
    bilateral = folder.agreement("bilateral", "city", "county")  # so the county is known here
    assert text(bilateral)
    with pytest.raises(Refused) as caught:
        keep(AgreementFile(digest, name, data), load(folder.path, OWN), **NOW)
    assert caught.value.code is Code.NODE_UNKNOWN
    admit(region, "city")
    admit(region, "harbor")
    assert keep(AgreementFile(digest, name, data), load(folder.path, OWN), **NOW)
    assert between(region, load(folder.path, OWN)) is Standing.IN_FORCE
    forged = accede(region, COUNSEL["harbor"])
    wrong = forged.read_bytes()
    forged.unlink()
    with pytest.raises(Refused) as caught:
        keep(AgreementFile(digest, name, wrong), load(folder.path, OWN), **NOW)
    assert caught.value.code is Code.SIGNATURE_INVALID
