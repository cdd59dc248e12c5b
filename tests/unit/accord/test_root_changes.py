"""A party's root key changes: what its counsel signed before stops until it is signed anew."""

import pytest

from accord.agreements.effective import Standing
from accord.agreements.instruments import InstrumentKind
from accord.deliveries import AgreementFile, keep
from accord.envelope import sign
from accord.envelope_json import from_json, to_json
from accord.errors import Refused
from accord.federation_folder import load
from accord.federation_watch import FederationWatch
from accord.keys import PrivateKey
from accord.pins import Pins
from tests.unit.accord.folders import COUNSEL, NOW_MS, OWN, ROOTS, said
from tests.unit.accord.test_instrument_files import instrument
from tests.unit.accord.test_stops import between, text

K = InstrumentKind
FRESH = PrivateKey.generate()
NOW = {"last_head": 0, "now_ms": NOW_MS}


@pytest.fixture
def new_counsel(monkeypatch):
    """The harbor's counsel of after: nobody has the old keys any more."""
    key = PrivateKey.generate()

    def come():
        monkeypatch.setitem(COUNSEL, "harbor", key)
        return key

    return come


def amended(folder, old, name="two", signers=("city", "harbor"), **options):
    return folder.agreement(
        name, "city", "harbor", id="ours", revision=2, replaces=text(old).digest,
        pins={"harbor": FRESH.public.keyid}, signers=signers, **options,
    )  # fmt: skip


def anew(file, key) -> bytes:
    old = from_json(file.read_bytes(), file)
    return to_json(sign(old.payload_type, old.payload, key))


@pytest.fixture
def suspended(folder):
    """A text under which the harbor suspended and resumed; nothing is stopped."""
    old = folder.agreement("one", "city", "harbor", id="ours")
    return old, [
        instrument(old, "harbor", 1),
        instrument(old, "harbor", 2, kind=K.RESUMPTION, of=1),
    ]


@pytest.mark.parametrize("own", [OWN, {"harbor": FRESH.public.keyid}])
def test_what_was_signed_before_counts_signed_anew_and_stops_until_then(
    folder, tmp_path, suspended, new_counsel, own
):
    old, files = suspended
    pins = tmp_path / "pins.json"
    before = FederationWatch(folder.path, OWN, Pins.open(pins))
    assert between(old, before.current) is Standing.IN_FORCE
    key = new_counsel()
    new = amended(folder, old)
    folder.agency("harbor", root=FRESH)
    watch = FederationWatch(folder.path, own, Pins.open(pins))
    assert between(new, watch.current) is Standing.SUSPENDED
    assert between(new, load(folder.path, own)) is Standing.SUSPENDED
    files[0].write_bytes(anew(files[0], key))
    watch.refresh()
    assert between(new, watch.current) is Standing.SUSPENDED
    files[1].write_bytes(anew(files[1], key))
    watch.refresh()
    for found in (watch.current, load(folder.path, own)):
        assert between(new, found) is Standing.IN_FORCE, said(found)
        # The old text allows nothing again.
        assert between(old, found) is not Standing.IN_FORCE


def test_a_suspension_signed_anew_suspends_on(folder, new_counsel):
    old = folder.agreement("one", "city", "harbor", id="ours")
    file = instrument(old, "harbor", 1)
    key = new_counsel()
    new = amended(folder, old)
    folder.agency("harbor", root=FRESH)
    file.write_bytes(anew(file, key))
    found = load(folder.path, OWN)
    assert between(new, found) is Standing.SUSPENDED
    assert "harbor-1.json" not in said(found)


def test_nothing_counts_anew_before_all_have_signed_the_new_root(folder, suspended, new_counsel):
    old, files = suspended
    beside = folder.agreement("beside", "city", "harbor", pins={"harbor": FRESH.public.keyid},
                              signers=())  # fmt: skip
    key = new_counsel()
    amended(folder, old, signers=("city",))
    folder.agency("harbor", root=FRESH)
    for file in files:
        file.write_bytes(anew(file, key))
    found = load(folder.path, OWN)
    assert "harbor-1.json: harbor has another root key than the agreement names" in said(found)
    assert between(beside, found) in (None, Standing.NOT_EXECUTED)


def test_a_text_of_another_chain_waits_for_its_own_amendment(folder, suspended, new_counsel):
    old, files = suspended
    other = folder.agreement("other", "city", "harbor")
    notice = instrument(other, "harbor", 1, kind=K.DISPUTE, reason="x")
    key = new_counsel()
    new = amended(folder, old)
    folder.agency("harbor", root=FRESH)
    for file in (*files, notice):
        file.write_bytes(anew(file, key))
    found = load(folder.path, OWN)
    assert between(new, found) is Standing.IN_FORCE, said(found)
    assert between(other, found) is Standing.NOT_EXECUTED


def test_the_same_content_alone_is_delivered_in_the_place_of_the_old(
    folder, suspended, new_counsel
):
    old, files = suspended
    key, digest = new_counsel(), text(old).digest
    amended(folder, old)
    folder.agency("harbor", root=FRESH)
    held, name = files[0].read_bytes(), "instruments/harbor-1.json"
    other = anew(instrument(old, "harbor", 1, kind=K.DISPUTE, reason="x"), key)
    files[0].write_bytes(held)
    with pytest.raises(Refused):
        keep(AgreementFile(digest, name, other), load(folder.path, OWN), **NOW)
    assert files[0].read_bytes() == held
    signed = anew(files[0], key)
    assert keep(AgreementFile(digest, name, signed), load(folder.path, OWN), **NOW)
    assert files[0].read_bytes() == signed


def test_the_old_root_put_back_brings_nothing_back(folder, suspended, new_counsel):
    old, _ = suspended
    new_counsel()
    new = amended(folder, old)
    folder.agency("harbor", root=FRESH)
    watch = FederationWatch(folder.path, OWN)
    folder.agency("harbor", root=ROOTS["harbor"], number=2)
    watch.refresh()
    assert between(new, watch.current) is not Standing.IN_FORCE
    assert between(old, watch.current) is not Standing.IN_FORCE
