"""How the texts of one agreement follow one another, as the folder holds them."""

import shutil

import pytest

from accord.agreements.effective import Standing
from accord.agreements.manifest_reading import parse_manifest
from accord.federation_folder import load
from accord.federation_watch import FederationWatch
from accord.keys import PrivateKey
from accord.pins import Pins
from tests.unit.accord.folders import OWN, ROOTS, said, standing

TWO = ("city", "harbor")


def digest(path) -> bytes:
    return parse_manifest((path / "agreement.toml").read_bytes(), "x").digest


def first(folder, name="one", *parties, **options):
    return folder.agreement(name, *(parties or TWO), id="ours", **options)


def later(folder, name, old, *parties, revision=2, **options):
    """The text that amends the one in the folder ``old``."""
    return folder.agreement(
        name, *(parties or TWO), id=options.pop("id", "ours"), revision=revision,
        replaces=digest(old), **options,
    )  # fmt: skip


def test_a_signed_amendment_replaces_all_before_it_and_comes_first(folder):
    one = first(folder)
    two = later(folder, "two", one, row_limit=10)
    three = later(folder, "three", two, revision=3, row_limit=20)
    draft = later(folder, "four", three, revision=4, signers=("city",))
    found = load(folder.path, OWN)
    assert standing(one, found) is Standing.REPLACED
    assert standing(two, found) is Standing.REPLACED
    assert standing(three, found) is Standing.IN_FORCE
    assert standing(draft, found) is Standing.NOT_EXECUTED
    order = [a.manifest.revision for a in found.scope("city")["harbor"]]
    assert (order[0], order[-1]) == (3, 4)


def test_texts_of_one_agreement_that_stand_beside_each_other_do_not_count(folder):
    one = first(folder)
    two = first(folder, "two", row_limit=10)
    found = load(folder.path, OWN)
    assert (standing(one, found), standing(two, found)) == (None, None)
    assert "neither replaces the other" in said(found)


def test_of_two_amendments_neither_counts_and_the_text_before_is_replaced(folder, tmp_path):
    """All signed to replace it: which text does can't be told, that it is over can."""
    one = first(folder, look_back_days=3650)
    pins = tmp_path / "pins.json"
    watch = FederationWatch(folder.path, OWN, Pins.open(pins))
    assert standing(one, watch.current) is Standing.IN_FORCE
    two, three = (later(folder, name, one, row_limit=rows) for name, rows in (("two", 9), ("3", 8)))
    watch.refresh()
    for found in (watch.current, load(folder.path, OWN)):
        assert "beside" in said(found)
        assert standing(one, found) is Standing.REPLACED
        assert standing(two, found) is standing(three, found) is None
    for path in (two, three):
        path.rename(tmp_path / path.name)
    watch.refresh()
    for found in (watch.current, FederationWatch(folder.path, OWN, Pins.open(pins)).current):
        assert standing(one, found) is None
        assert "was replaced by a text that was seen before and is gone" in said(found)
    (tmp_path / two.name).rename(two)
    watch.refresh()
    assert standing(one, watch.current) is Standing.REPLACED
    assert standing(two, watch.current) is Standing.IN_FORCE


def test_a_missing_text_of_the_chain_leaves_nothing_to_rely_on(folder):
    one = first(folder, look_back_days=3650)
    two = later(folder, "two", one)
    three = later(folder, "three", two, revision=3)
    assert standing(three, load(folder.path, OWN)) is Standing.IN_FORCE
    shutil.rmtree(two)
    assert not load(folder.path, OWN).agreements


@pytest.mark.parametrize(
    ("parties", "changes", "words"),
    [
        (("city", "county"), {}, "lacks harbor"),
        (TWO, {"revision": 3}, "replaces revision 1"),
        (TWO, {"id": "theirs"}, "names a text of ours"),
    ],
)
def test_a_text_that_can_not_follow_replaces_nothing(folder, parties, changes, words):
    one = first(folder)
    bad = later(folder, "two", one, *parties, **changes)
    found = load(folder.path, OWN)
    assert (standing(one, found), standing(bad, found)) == (Standing.IN_FORCE, None)
    assert words in said(found)


def test_an_amendment_may_add_a_party_once_all_three_have_signed(folder):
    one = first(folder)
    two = later(folder, "two", one, "city", "harbor", "county", signers=TWO)
    found = load(folder.path, OWN)
    assert (standing(one, found), standing(two, found)) == (
        Standing.IN_FORCE, Standing.NOT_EXECUTED,
    )  # fmt: skip
    folder.sign(two, "county")
    found = load(folder.path, OWN)
    assert (standing(one, found), standing(two, found)) == (Standing.REPLACED, Standing.IN_FORCE)


def test_others_with_the_same_id_are_another_agreement(folder):
    ours = first(folder)
    theirs = first(folder, "two", "city", "county")
    found = load(folder.path, OWN)
    assert standing(ours, found) is standing(theirs, found) is Standing.IN_FORCE


def test_rollback_to_an_older_wider_signed_text_is_refused(folder, tmp_path):
    old = first(folder, look_back_days=3650)
    kept = tmp_path / "kept"
    new = later(folder, "two", old, look_back_days=30)
    shutil.move(old, kept)
    watch = FederationWatch(folder.path, OWN)
    assert standing(new, watch.current) is Standing.IN_FORCE
    shutil.rmtree(new)
    shutil.copytree(kept, new)
    assert watch.refresh()
    assert not watch.current.agreements
    assert "seen before and is gone" in said(watch.current)


def test_another_wider_text_in_place_of_the_one_that_was_seen_is_refused(folder):
    old = first(folder)
    watch = FederationWatch(folder.path, OWN)
    assert standing(old, watch.current) is Standing.IN_FORCE
    wide = first(folder, "two", look_back_days=3650)
    assert watch.refresh()
    assert not watch.current.agreements or standing(wide, watch.current) is None
    shutil.rmtree(old)
    assert watch.refresh()
    assert standing(wide, watch.current) is None
    assert "stands beside" in said(watch.current)


def test_a_new_root_comes_with_an_amendment_that_all_sign(folder):
    one = first(folder)
    fresh = PrivateKey.generate()
    two = later(folder, "two", one, pins={"harbor": fresh.public.keyid}, signers=("city",))
    found = load(folder.path, OWN)
    assert (standing(one, found), standing(two, found)) == (
        Standing.IN_FORCE, Standing.NOT_EXECUTED,
    )  # fmt: skip
    folder.agency("harbor", root=fresh, number=2)
    found = load(folder.path, OWN)
    assert standing(one, found) is standing(two, found) is Standing.NOT_EXECUTED
    folder.sign(two, "harbor")
    found = load(folder.path, OWN)
    assert standing(two, found) is Standing.IN_FORCE
    assert found.agencies["harbor"].root == fresh.public.keyid


def test_nobody_outside_the_chain_names_a_new_root(folder):
    one = first(folder)
    fresh = PrivateKey.generate()
    other = folder.agreement("two", "city", "harbor", pins={"harbor": fresh.public.keyid})
    folder.agency("harbor", root=fresh)
    found = load(folder.path, OWN)
    assert standing(one, found) is standing(other, found) is None
    assert "different root keys for harbor" in said(found)
    folder.agency("harbor", root=ROOTS["harbor"])
    assert standing(one, load(folder.path, OWN)) is None


def test_a_child_finds_its_parent_by_digest_in_the_folder(folder):
    top = folder.agreement("region", *TWO, tables="")
    above = f'[parent]\nsection = "V"\nid = "region"\ndigest = "sha256:{digest(top).hex()}"\n'
    child = folder.agreement("ours", *TWO, tables=above)
    held = load(folder.path, OWN).agreements[digest(child)]
    assert held.parent is not None
    assert held.parent.manifest.digest == digest(top)
    shutil.rmtree(top)
    assert load(folder.path, OWN).agreements[digest(child)].parent is None
