"""The folder on disk: what counts, what is left out, and that nothing replaces a pinned root."""

import json
import os
import shutil
from pathlib import Path

import pytest

from accord.agreements.effective import Standing
from accord.errors import InputError
from accord.federation_folder import load
from accord.federation_watch import FederationWatch
from accord.keys import PrivateKey
from tests.unit.accord.folders import (
    NOW_MS,
    OWN,
    PINS,
    SIGNED_MS,
    said,
    standing,
)


def test_an_agreement_signed_by_our_counsel_pins_its_other_party(folder):
    path = folder.agreement("city-harbor", "city", "harbor")
    found = load(folder.path, OWN)
    assert set(found.agencies) == {"city", "harbor"}
    assert standing(path, found) is Standing.IN_FORCE
    assert "county: nothing that counts names its root" in said(found)
    assert list(found.scope("city")) == ["harbor"]
    assert found.scope("county") == {}
    assert [a.manifest.id for a in found.between("harbor", "city")] == ["city-harbor"]
    assert found.between("harbor", "county") == ()


def test_an_agreement_without_our_counsel_does_not_count(folder):
    path = folder.agreement("city-harbor", "city", "harbor", signers=("harbor",))
    found = load(folder.path, OWN)
    assert standing(path, found) is None
    assert set(found.agencies) == {"city"}
    assert "city-harbor: not signed by counsel of an agency that is pinned here" in said(found)


def test_a_missing_counterpart_of_the_other_party_means_not_executed(folder):
    path = folder.agreement("city-harbor", "city", "harbor", signers=("city",))
    assert standing(path, load(folder.path, OWN)) is Standing.NOT_EXECUTED


def test_strangers_agreements_do_not_count_at_a_node_but_at_a_broker_that_pins_them(folder):
    path = folder.agreement("harbor-county", "harbor", "county")
    assert standing(path, load(folder.path, OWN)) is None
    broker = load(folder.path, {name: PINS[name] for name in ("city", "harbor", "county")})
    assert standing(path, broker) is Standing.IN_FORCE
    assert list(broker.scope("harbor")) == ["county"]
    assert broker.problems == ()


def test_a_broker_lists_an_agreement_that_nobody_signed_yet(folder):
    path = folder.agreement("harbor-county", "harbor", "county", signers=())
    broker = load(folder.path, PINS)
    assert standing(path, broker) is Standing.NOT_EXECUTED


def test_an_operator_pins_nobody(folder):
    folder.agency("hub")
    path = folder.agreement("hub-county", "hub", "county")
    found = load(folder.path, OWN | {"hub": PINS["hub"]})
    assert standing(path, found) is None
    assert set(found.agencies) == {"city", "hub"}


def test_a_manifest_can_not_replace_a_pinned_root(folder):
    other = PrivateKey.generate()
    folder.agreement("city-harbor", "city", "harbor", pins={"city": other.public.keyid})
    folder.agency("city", root=other)
    found = load(folder.path, OWN)
    assert not found.agreements
    assert not found.agencies
    assert "names another root key for city than the one pinned here" in said(found)
    assert "city: " in said(found)


def test_an_agency_signed_by_another_root_is_left_out(folder):
    path = folder.agreement("city-harbor", "city", "harbor")
    folder.agency("harbor", root=PrivateKey.generate())
    found = load(folder.path, OWN)
    assert set(found.agencies) == {"city"}
    assert standing(path, found) is Standing.NOT_EXECUTED
    assert "no valid agency.toml of the party harbor" in said(found)


def test_two_roots_for_one_agency_are_both_left_out(folder):
    one = folder.agreement("city-harbor", "city", "harbor")
    other = folder.agreement(
        "city-harbor-b", "city", "harbor", signers=("city",), pins={"harbor": "0" * 64}
    )
    good = folder.agreement("city-county", "city", "county")
    found = load(folder.path, OWN)
    assert (standing(one, found), standing(other, found)) == (None, None)
    assert standing(good, found) is Standing.IN_FORCE
    assert said(found).count("different root keys for harbor") == 2


def test_a_stranger_can_not_make_such_a_conflict(folder):
    one = folder.agreement("city-harbor", "city", "harbor")
    folder.agreement("x", "county", "harbor", pins={"harbor": "0" * 64}, signers=("county",))
    assert standing(one, load(folder.path, OWN)) is Standing.IN_FORCE


@pytest.mark.parametrize("party", ["city", "harbor"])
def test_a_changed_text_takes_its_counterparts_away(folder, party):
    path = folder.agreement("city-harbor", "city", "harbor")
    file = path / "agreement.toml"
    file.write_bytes(file.read_bytes().replace(b"look_back_days = 365", b"look_back_days = 999"))
    folder.sign(path, party)
    found = load(folder.path, OWN)
    assert standing(path, found) is (Standing.NOT_EXECUTED if party == "city" else None)
    other = "harbor" if party == "city" else "city"
    assert f"{other}.json: was signed over another text of the agreement" in said(found)


def test_one_bad_agreement_does_not_keep_the_rest_from_working(folder):
    good = folder.agreement("city-harbor", "city", "harbor")
    bad = folder.agreement("city-county", "city", "county")
    (bad / "agreement.toml").write_text("purposes = [\n")
    (folder.path / "agreements" / "empty").mkdir()
    (folder.path / "agreements" / "note.txt").write_text("hello")
    found = load(folder.path, OWN)
    assert standing(good, found) is Standing.IN_FORCE
    assert len(found.agreements) == 1
    assert "agreement.toml, line 1: has a list that is not closed" in said(found)
    assert f"{Path('empty') / 'agreement.toml'}: is not there" in said(found)


@pytest.mark.parametrize("damage", [b"", b"{}", b"not json", b"x" * 300_000])
def test_a_damaged_counterpart_is_named(folder, damage):
    path = folder.agreement("city-harbor", "city", "harbor")
    (path / "counterparts" / "harbor.json").write_bytes(damage)
    found = load(folder.path, OWN)
    assert standing(path, found) is Standing.NOT_EXECUTED
    assert "harbor.json: " in said(found)


def test_a_counterpart_under_another_partys_name_does_not_count(folder):
    path = folder.agreement("city-harbor", "city", "harbor", signers=("city",))
    shutil.copy(path / "counterparts" / "city.json", path / "counterparts" / "harbor.json")
    assert standing(path, load(folder.path, OWN)) is Standing.NOT_EXECUTED


@pytest.mark.parametrize(
    "what",
    [
        "agreements",
        "agreements/city-harbor",
        "agreements/city-harbor/agreement.toml",
        "agreements/city-harbor/counterparts",
        "agreements/city-harbor/counterparts/harbor.json",
        "agencies",
        "agencies/harbor",
        "agencies/harbor/agency.toml",
        "agencies/harbor/agency.sig",
    ],
)
def test_links_are_refused_at_every_step(folder, tmp_path, what):
    folder.agreement("city-harbor", "city", "harbor")
    assert load(folder.path, OWN).between("city", "harbor")[0].term.commences_ms == SIGNED_MS
    elsewhere = tmp_path / "elsewhere"
    (folder.path / what).rename(elsewhere)
    (folder.path / what).symlink_to(elsewhere)
    found = load(folder.path, OWN)
    assert all(a.standing_at(NOW_MS) is not Standing.IN_FORCE for a in found.agreements.values())
    assert "link" in said(found)


def test_the_same_text_twice_is_named(folder):
    path = folder.agreement("city-harbor", "city", "harbor")
    shutil.copytree(path, path.parent / "copy")
    found = load(folder.path, OWN)
    assert len(found.agreements) == 1
    assert "is the same text as in" in said(found)


def test_no_folder_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        load(tmp_path / "nothing", OWN)
    with pytest.raises(InputError, match="is not a folder"):
        FederationWatch(tmp_path / "nothing", OWN)


def test_an_empty_folder_allows_nothing(tmp_path):
    found = load(tmp_path, OWN)
    assert (dict(found.agencies), dict(found.agreements), found.problems) == ({}, {}, ())


def test_the_watch_reads_again_only_when_a_file_changed(folder):
    folder.agreement("city-harbor", "city", "harbor")
    watch = FederationWatch(folder.path, OWN)
    before = watch.current
    assert not watch.refresh()
    assert watch.current is before
    folder.agreement("city-county", "city", "county")
    assert watch.refresh()
    assert len(watch.current.agreements) == 2
    assert not watch.refresh()


def test_an_agreement_that_became_bad_disappears(folder):
    path = folder.agreement("city-harbor", "city", "harbor")
    watch = FederationWatch(folder.path, OWN)
    file = path / "counterparts" / "harbor.json"
    content = json.loads(file.read_bytes())
    content["signatures"][0]["sig"] = "AAAA"
    file.write_text(json.dumps(content))
    assert watch.refresh()
    assert standing(path, watch.current) is not Standing.IN_FORCE


def test_a_folder_that_vanished_holds_nothing(folder):
    folder.agreement("city-harbor", "city", "harbor")
    watch = FederationWatch(folder.path, OWN)
    folder.path.rename(folder.path.with_name("away"))
    assert watch.refresh()
    assert not watch.current.agreements
    assert not watch.current.agencies
    assert "is not a folder" in said(watch.current)


@pytest.mark.parametrize("draft", ["x = " + "[" * 5000, "x = " + "{a=" * 5000, "x = " + "9" * 5000])
def test_no_draft_keeps_a_withdrawn_agreement_alive(folder, draft):
    """Whatever stands in the folder: what was removed is gone with the next look."""
    path = folder.agreement("city-harbor", "city", "harbor")
    kept = folder.agreement("kept", "city", "harbor")
    watch = FederationWatch(folder.path, OWN)
    assert len(watch.current.agreements) == 2
    shutil.rmtree(path)
    (folder.path / "agreements" / "draft").mkdir()
    (folder.path / "agreements" / "draft" / "agreement.toml").write_text(draft)
    assert watch.refresh()
    assert [a.manifest.id for a in watch.current.agreements.values()] == [kept.name]
    assert "draft" in said(watch.current)
    assert "draft" in said(load(folder.path, OWN))


def test_an_unforeseen_error_leaves_nothing_and_is_tried_again(folder, monkeypatch):
    folder.agreement("city-harbor", "city", "harbor")
    watch = FederationWatch(folder.path, OWN)
    (folder.path / "agreements" / "new").mkdir()

    def fails(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr("accord.verified.parse_manifest", fails)
        for _ in range(2):
            (folder.path / "agreements" / "new" / "agreement.toml").write_text("x = 1")
            with pytest.raises(MemoryError):
                watch.refresh()
            assert not watch.current.agreements
            assert not watch.current.agencies
    assert watch.refresh()
    assert len(watch.current.agreements) == 1


def test_a_change_of_the_same_size_is_seen(folder):
    path = folder.agreement("city-harbor", "city", "harbor")
    watch = FederationWatch(folder.path, OWN)
    file = path / "agreement.toml"
    status = file.stat()
    file.write_bytes(file.read_bytes().replace(b"row_limit = 500", b"row_limit = 900"))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert watch.refresh()
    assert standing(path, watch.current) is None


def test_no_party_prolongs_an_agreement_by_signing_again(folder):
    path = folder.agreement("city-harbor", "city", "harbor")
    watch = FederationWatch(folder.path, OWN)
    folder.sign(path, "harbor", NOW_MS)
    assert watch.refresh()
    assert standing(path, watch.current) is None
    assert "a counterpart was replaced by one of a later date" in said(watch.current)
    folder.sign(path, "harbor", SIGNED_MS)
    assert watch.refresh()
    assert standing(path, watch.current) is Standing.IN_FORCE


def test_an_older_agency_file_is_refused_while_running(folder):
    folder.agreement("city-harbor", "city", "harbor")
    folder.agency("harbor", number=7)
    watch = FederationWatch(folder.path, OWN)
    folder.agency("harbor", number=6)
    assert watch.refresh()
    assert "harbor" not in watch.current.agencies
    assert "number 6 is older than 7" in said(watch.current)
    folder.agency("harbor", number=8)
    assert watch.refresh()
    assert watch.current.agencies["harbor"].number == 8
