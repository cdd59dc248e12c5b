"""An agency that joins, as the folders of the others and its own hold it."""

import shutil

import pytest

from accord.agreements.effective import Standing, effective
from accord.agreements.instruments import InstrumentKind
from accord.agreements.manifest_reading import parse_manifest
from accord.federation_folder import load
from accord.federation_watch import FederationWatch
from accord.keys import PrivateKey
from tests.unit.accord.folders import COUNSEL, NOW_MS, OWN, PINS, ROOTS, said
from tests.unit.accord.test_instrument_files import instrument

JOINDER = '[joinder]\nsection = "V"\nadmitted_by = "every-party"\n'
K = InstrumentKind


@pytest.fixture
def path(folder):
    return folder.agreement("city-harbor", "city", "harbor", tables=JOINDER)


def admit(path, party: str, root: str = "", joiner: str = "county", number: int = 1, **more):
    details = {"joiner_name": "County", "joiner_contact": "x", "joiner_kind": "police",
               "joiner_state": "CA", **more}  # fmt: skip
    return instrument(
        path, party, number, kind=K.ADMISSION, joiner=joiner,
        joiner_root=root or PINS["county"], **details,
    )  # fmt: skip


def accede(path, key: PrivateKey | None = None):
    return instrument(path, "county", 1, kind=K.ACCESSION, effective_on=None, key=key)


def between(path, federation, requester: str = "county", owner: str = "city"):
    file = path / "agreement.toml"
    agreement = federation.agreements.get(parse_manifest(file.read_bytes(), file).digest)
    if agreement is None:
        return None
    return effective(agreement, requester, owner, NOW_MS).standing


def join(path):
    admit(path, "city")
    admit(path, "harbor")
    accede(path)


def test_whom_the_members_admit_is_known_by_the_root_that_they_name(folder, path):
    watch = FederationWatch(folder.path, OWN)
    assert "county" not in watch.current.agencies
    admit(path, "city")
    admit(path, "harbor")
    watch.refresh()
    assert watch.current.agencies["county"].root == PINS["county"]
    assert between(path, watch.current) is Standing.NOT_A_PARTY
    accede(path)
    watch.refresh()
    assert between(path, watch.current) is Standing.IN_FORCE
    assert "county" in watch.current.scope("city")
    assert "harbor" in watch.current.scope("county")
    assert watch.current.problems == ()


def test_what_the_joiner_alone_says_counts_for_nothing(folder, path):
    accede(path)
    found = load(folder.path, OWN)
    assert "county" not in found.agencies
    assert between(path, found, "city", "harbor") is Standing.IN_FORCE
    assert "nobody has admitted county" in said(found)


def test_admissions_of_two_roots_let_nobody_join(folder, path):
    join(path)
    (path / "instruments" / "harbor-1.json").unlink()
    admit(path, "harbor", PrivateKey.generate().public.keyid)
    found = load(folder.path, OWN)
    assert "county" not in found.agencies
    assert between(path, found) is Standing.NOT_A_PARTY
    assert between(path, found, "city", "harbor") is Standing.IN_FORCE


def test_another_root_than_a_signed_text_names_is_not_taken(folder, path):
    other = PrivateKey.generate()
    folder.agreement("city-county", "city", "county")
    for party in ("city", "harbor"):
        admit(path, party, other.public.keyid)
    accede(path)
    found = load(folder.path, OWN)
    assert found.agencies["county"].root == PINS["county"]
    assert between(path, found) is Standing.NOT_A_PARTY
    folder.agency("county", root=other)
    found = load(folder.path, OWN)
    assert "county" not in found.agencies
    assert between(path, found) is not Standing.IN_FORCE


def test_two_agreements_that_admit_it_under_different_roots_admit_nobody(folder, path):
    second = folder.agreement("second", "city", "harbor", tables=JOINDER)
    join(path)
    other = PrivateKey.generate().public.keyid
    for party in ("city", "harbor"):
        admit(second, party, other)
    found = load(folder.path, OWN)
    assert "county" not in found.agencies
    assert between(path, found) is between(second, found) is Standing.NOT_A_PARTY
    assert between(path, found, "city", "harbor") is Standing.IN_FORCE
    assert "admissions name different root keys for county" in said(found)


@pytest.mark.parametrize("key", [COUNSEL["harbor"], PrivateKey.generate()])
def test_only_its_own_counsel_accedes_and_what_can_not_be_read_stops_it_alone(folder, path, key):
    join(path)
    accede(path, key)
    found = load(folder.path, OWN)
    assert between(path, found) is not Standing.IN_FORCE
    assert between(path, found, "city", "harbor") is Standing.IN_FORCE
    assert "county-1.json" in said(found)


def test_what_is_missing_of_a_joiner_stops_it_under_every_agreement(folder, path):
    beside = folder.agreement("city-county", "city", "county")
    join(path)
    instrument(path, "county", 2)
    taken = instrument(path, "county", 3, kind=K.RESUMPTION, of=2)
    found = load(folder.path, OWN)
    assert between(beside, found) is Standing.IN_FORCE
    (path / "instruments" / "county-2.json").unlink()
    found = load(folder.path, OWN)
    assert between(beside, found) is between(path, found) is Standing.SUSPENDED
    assert between(path, found, "city", "harbor") is Standing.IN_FORCE
    taken.unlink()


def test_its_own_node_holds_the_agreement_once_its_counsel_has_acceded(folder, path):
    own = {"county": PINS["county"]}
    admit(path, "city")
    admit(path, "harbor")
    assert between(path, load(folder.path, own)) is None
    accede(path)
    found = load(folder.path, own)
    assert between(path, found) is Standing.IN_FORCE
    assert found.agencies["harbor"].root == PINS["harbor"]
    other = folder.agreement("other", "city", "harbor", tables=JOINDER.replace("V", "IV"))
    shutil.copytree(path / "instruments", other / "instruments")
    assert between(other, load(folder.path, own)) is None


@pytest.mark.parametrize(
    ("more", "standing"),
    [
        ('states = ["CA"]\n', Standing.IN_FORCE),
        ('states = ["NV"]\n', Standing.NOT_A_PARTY),
        ('kinds = ["sheriff"]\n', Standing.NOT_A_PARTY),
    ],
)
def test_only_agencies_that_the_text_lets_join_do(folder, more, standing):
    path = folder.agreement("city-harbor", "city", "harbor", tables=JOINDER + more)
    join(path)
    assert between(path, load(folder.path, OWN)) is standing


def test_a_broker_that_pins_all_holds_it_too(folder, path):
    join(path)
    everybody = {name: PINS[name] for name in ("city", "harbor", "county")}
    assert between(path, load(folder.path, everybody)) is Standing.IN_FORCE
    wrong = everybody | {"county": ROOTS["hub"].public.keyid}
    assert between(path, load(folder.path, wrong)) is not Standing.IN_FORCE


@pytest.mark.parametrize("name", ["hub", "county"])
def test_at_its_own_node_the_text_counts_for_who_may_ask_alone(folder, path, name):
    """An operator's counsel may accede as it likes: no text counts by that."""
    folder.agency(name)
    for party in ("city", "harbor"):
        admit(path, party, PINS[name], name)
    instrument(path, name, 1, kind=K.ACCESSION, effective_on=None)
    found = load(folder.path, {name: PINS[name]})
    assert bool(found.agreements) is (name == "county")
    assert ("not signed by counsel of an agency that is pinned here" in said(found)) is (
        name == "hub"
    )


@pytest.mark.parametrize("kind", [K.ACCESSION, K.DISPUTE, K.SUSPENSION])
def test_at_its_own_node_no_other_first_instrument_makes_the_text_count(folder, path, kind):
    folder.agency("county")
    for party in ("city", "harbor"):
        admit(path, party)
    more = {"effective_on": None} if kind is K.ACCESSION else {"reason": "x"}
    instrument(path, "county", 1, kind=kind, **more)
    found = load(folder.path, {"county": PINS["county"]})
    assert bool(found.agreements) is (kind is K.ACCESSION)


def test_at_its_own_node_an_accession_by_another_key_makes_nothing_count(folder, path):
    folder.agency("county")
    admit(path, "city")
    accede(path, COUNSEL["harbor"])
    assert not load(folder.path, {"county": PINS["county"]}).agreements
    accede(path)
    assert load(folder.path, {"county": PINS["county"]}).agreements


def test_a_party_of_the_text_signs_a_counterpart_and_no_accession(folder):
    path = folder.agreement("three", "city", "harbor", "county", signers=(), tables=JOINDER)
    folder.agency("county")
    accede(path)
    assert not load(folder.path, {"county": PINS["county"]}).agreements
    folder.sign(path, "county")
    assert load(folder.path, {"county": PINS["county"]}).agreements
