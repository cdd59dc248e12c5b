"""What stops sharing goes on stopping it, whatever becomes of the files; and stops nobody else."""

import shutil
from datetime import date

import pytest

from accord.agreements.effective import Standing, effective
from accord.agreements.heads import HOUR_MS, Head, sign_head
from accord.agreements.instrument_payload import named_digest
from accord.agreements.instruments import InstrumentKind
from accord.agreements.manifest_reading import parse_manifest
from accord.federation_folder import load
from accord.federation_watch import FederationWatch
from accord.keys import PrivateKey
from accord.pins import Pins
from tests.unit.accord.folders import COUNSEL, NODES, NOW_MS, OWN, said
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
        assert "is gone" not in said(found)


# A text that is gone, can't be read or counts no more takes nothing with it that it stops.


@pytest.fixture
def pins(tmp_path):
    return tmp_path / "data" / "pins.json"


@pytest.fixture
def both(folder):
    """A text that is suspended, and the one that amends it."""
    old = folder.agreement("one", "city", "harbor", id="ours")
    new = folder.agreement(
        "two", "city", "harbor", id="ours", revision=2, replaces=text(old).digest
    )
    instrument(old, "harbor", 1)
    return old, new


def _other_key(folder, old):
    """The city's counsel has a new key: its old counterpart verifies no more."""
    shutil.rmtree(folder.path / "agencies" / "city")
    kept = COUNSEL["city"]
    COUNSEL["city"] = PrivateKey.generate()
    folder.agency("city", number=2)
    folder.sign(old.with_name("two"), "city")
    COUNSEL["city"] = kept


def _link(folder, old):
    old.rename(folder.path / "away")
    old.symlink_to(folder.path / "away")


@pytest.mark.parametrize(
    "lose",
    [
        lambda folder, old: shutil.rmtree(old),
        lambda folder, old: (old / "agreement.toml").write_bytes(b"x"),
        lambda folder, old: (old / "agreement.toml").unlink(),
        lambda folder, old: (old / "counterparts" / "city.json").unlink(),
        lambda folder, old: (old / "counterparts" / "harbor.json").unlink(),
        _other_key,
        _link,
    ],
)
def test_no_suspension_vanishes_with_its_text(folder, pins, both, lose):
    old, new = both
    digest = text(new)
    beside = folder.agreement("beside", "city", "harbor")
    watch = FederationWatch(folder.path, OWN, Pins.open(pins))
    assert between(new, watch.current) is between(beside, watch.current) is Standing.SUSPENDED
    lose(folder, old)
    watch.refresh()
    again = FederationWatch(folder.path, OWN, Pins.open(pins)).current
    assert digest.digest in again.agreements
    for found in (watch.current, again):
        assert between(new, found) is Standing.SUSPENDED
        assert between(beside, found) in (Standing.SUSPENDED, Standing.NOT_EXECUTED, None)
        assert found.problems


def test_what_is_gone_is_told_with_what_to_do(folder, pins, both):
    old, new = both
    watch = FederationWatch(folder.path, OWN, Pins.open(pins))
    old.rename(folder.path / "away")
    watch.refresh()
    assert "agreement ours, revision 1" in said(watch.current)
    assert "put its folder back (until then harbor is suspended)" in said(watch.current)
    (folder.path / "away").rename(old)
    watch.refresh()
    assert "is gone" not in said(watch.current)
    instrument(old, "harbor", 2, kind=K.RESUMPTION, of=1)
    watch.refresh()
    assert between(new, watch.current) is Standing.IN_FORCE


def test_a_text_that_is_gone_stops_the_party_alone_whose_files_are_gone_with_it(folder, pins):
    region = folder.agreement("region", "city", "harbor", "county")
    others = [folder.agreement(name, "city", name) for name in ("harbor", "county")]
    instrument(region, "county", 1)
    watch = FederationWatch(folder.path, OWN, Pins.open(pins))
    shutil.rmtree(region)
    watch.refresh()
    assert between(others[0], watch.current, "harbor") is Standing.IN_FORCE
    assert between(others[1], watch.current, "county") is Standing.SUSPENDED


def test_a_text_that_stopped_nothing_may_go(folder, pins, both):
    old, new = both
    shutil.rmtree(old / "instruments")
    watch = FederationWatch(folder.path, OWN, Pins.open(pins))
    shutil.rmtree(old)
    watch.refresh()
    assert between(new, watch.current) is Standing.IN_FORCE
    assert "is gone" not in said(watch.current)


@pytest.mark.parametrize(
    "lose",
    [
        lambda path: shutil.rmtree(path),
        lambda path: (path / "counterparts" / "harbor.json").unlink(),
        lambda path: (path / "counterparts" / "city.json").unlink(),
    ],
)
def test_what_a_text_prohibits_stays_prohibited(folder, pins, lose):
    path = folder.agreement("city-harbor", "city", "harbor")
    file = path / "agreement.toml"
    data = file.read_bytes().replace(b' "amber-alert",', b"")
    file.write_bytes(data.replace(b"[purposes]", b'[purposes]\nprohibited = ["amber-alert"]'))
    for party in ("city", "harbor"):
        folder.sign(path, party)
    beside = folder.agreement("beside", "city", "harbor")
    digest = text(beside).digest
    watch = FederationWatch(folder.path, OWN, Pins.open(pins))

    def allows(found):
        one = effective(found.agreements[digest], "harbor", "city", NOW_MS)
        taken = frozenset().union(*(narrowing.purposes for narrowing in one.narrowings))
        return one.standing is Standing.IN_FORCE and "amber-alert" not in taken

    assert not allows(watch.current)
    lose(path)
    watch.refresh()
    assert not allows(watch.current)
    assert not allows(FederationWatch(folder.path, OWN, Pins.open(pins)).current)


def test_a_suspension_stays_where_root_keys_conflict(folder, pins):
    """Two texts name two roots of the county: no text with it counts, what they stop stays."""
    region = folder.agreement("region", "city", "harbor", "county")
    bilateral = folder.agreement("bilateral", "city", "harbor")
    instrument(region, "harbor", 1)
    watch = FederationWatch(folder.path, OWN, Pins.open(pins))
    folder.agreement("x", "city", "county", pins={"county": "0" * 64}, signers=("city",))
    watch.refresh()
    assert between(region, watch.current) is None
    for found in (watch.current, load(folder.path, OWN)):
        assert between(bilateral, found) is Standing.SUSPENDED


# A text in two folders: which of them holds what was signed can't be told.


@pytest.mark.parametrize("name", ["a-copy", "z-copy"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_copy_of_a_folder_stops_until_it_is_moved_away(folder, pins, name, whole):
    path = folder.agreement("city-harbor", "city", "harbor")
    beside = folder.agreement("beside", "city", "harbor")
    copy = path.with_name(name)
    shutil.copytree(path, copy)
    if not whole:
        shutil.rmtree(copy / "counterparts")
    watch = FederationWatch(folder.path, OWN, Pins.open(pins))
    assert between(path, watch.current) is between(beside, watch.current) is Standing.SUSPENDED
    assert "put all of its files into one folder and move the other away" in said(watch.current)
    shutil.rmtree(copy)
    watch.refresh()
    assert between(path, watch.current) is between(beside, watch.current) is Standing.IN_FORCE


@pytest.mark.parametrize("name", ["a-copy", "z-copy"])
def test_what_was_signed_into_either_copy_is_remembered(folder, pins, name):
    path = folder.agreement("city-harbor", "city", "harbor")
    beside = folder.agreement("beside", "city", "harbor")
    copy = path.with_name(name)
    shutil.copytree(path, copy)
    instrument(copy, "harbor", 1)
    watch = FederationWatch(folder.path, OWN, Pins.open(pins))
    shutil.rmtree(copy)
    watch.refresh()
    assert between(path, watch.current) is between(beside, watch.current) is Standing.SUSPENDED
    assert "instrument 1 of harbor was seen before and is gone" in said(watch.current)


# What a head has named once is missed, whatever a later head says.


def test_no_later_head_takes_back_what_one_has_named(folder, pins):
    path = folder.agreement("city-harbor", "city", "harbor", head_hours=24)
    beside = folder.agreement("beside", "city", "harbor")
    head(path, "city")
    named = head(path, "harbor", 5, ["ab" * 32]).read_bytes()
    watch = FederationWatch(folder.path, OWN, Pins.open(pins))
    assert between(path, watch.current) is between(beside, watch.current) is Standing.SUSPENDED
    for number in (5, 6):
        head(path, "harbor", number)
        again = FederationWatch(folder.path, OWN, Pins.open(pins)).current
        watch.refresh()
        for found in (watch.current, again):
            assert between(path, found) is between(beside, found) is Standing.SUSPENDED
            assert f"the head {number} of harbor names 0 instruments, 1 were named" in said(found)
    (path / "heads" / "harbor.json").unlink()
    watch.refresh()
    assert between(beside, watch.current) is Standing.SUSPENDED
    (path / "heads" / "harbor.json").write_bytes(named)
    watch.refresh()
    assert "its instrument 1, which is not here" in said(watch.current)


def test_counsel_mends_what_a_node_has_named_wrongly(folder, pins):
    """A node key alone may name what nobody signed: then counsel signs one with that number."""
    path = folder.agreement("city-harbor", "city", "harbor", head_hours=24)
    head(path, "city")
    head(path, "harbor", 5, ["ab" * 32])
    watch = FederationWatch(folder.path, OWN, Pins.open(pins))
    assert between(path, watch.current) is Standing.SUSPENDED
    file = instrument(path, "harbor", 1, kind=K.DISPUTE, reason="our node named one too many")
    head(path, "harbor", 6, [named_digest(file.read_bytes(), "x")])
    watch.refresh()
    assert between(path, watch.current) is Standing.IN_FORCE
    assert between(path, FederationWatch(folder.path, OWN, Pins.open(pins)).current) is (
        Standing.IN_FORCE
    )


# An amendment does not end the word of the nodes on the text before: what was given under it binds.


@pytest.fixture
def amended(folder):
    old = folder.agreement("one", "city", "harbor", id="ours", head_hours=24)
    new = folder.agreement(
        "two", "city", "harbor", id="ours", revision=2, replaces=text(old).digest, head_hours=24
    )
    for path in (old, new):
        for party in ("city", "harbor"):
            head(path, party)
    return old, new


@pytest.mark.parametrize("party", ["city", "harbor"])
def test_an_amended_text_goes_on_needing_heads_of_the_one_before(folder, pins, amended, party):
    old, new = amended
    watch = FederationWatch(folder.path, OWN, Pins.open(pins))
    assert between(new, watch.current) is Standing.IN_FORCE
    file = old / "heads" / f"{party}.json"
    content = file.read_bytes()
    file.unlink()
    watch.refresh()
    assert between(new, watch.current) is Standing.HEAD_STALE
    assert between(new, load(folder.path, OWN)) is Standing.IN_FORCE
    file.write_bytes(content)
    watch.refresh()
    assert between(new, watch.current) is Standing.IN_FORCE
    agreement = watch.current.agreements[text(new).digest]
    later = effective(agreement, "harbor", "city", NOW_MS + 24 * HOUR_MS)
    assert later.standing is Standing.HEAD_STALE
    shutil.rmtree(old)
    watch.refresh()
    assert between(new, watch.current) is Standing.SUSPENDED


def test_a_text_before_needs_heads_though_it_counts_no_more(folder, pins, amended):
    """Whoever takes a counterpart of the old text away does not take the demand away."""
    old, new = amended
    (old / "heads" / "harbor.json").unlink()
    watch = FederationWatch(folder.path, OWN, Pins.open(pins))
    assert between(new, watch.current) is Standing.HEAD_STALE
    (old / "counterparts" / "city.json").unlink()
    watch.refresh()
    assert between(new, watch.current) is Standing.HEAD_STALE


def test_a_text_that_gives_heads_up_or_another_root_needs_none_of_before(folder, pins):
    old = folder.agreement("one", "city", "harbor", id="ours", head_hours=24)
    without = folder.agreement(
        "two", "city", "harbor", id="ours", revision=2, replaces=text(old).digest
    )
    found = FederationWatch(folder.path, OWN, Pins.open(pins)).current
    assert between(without, found) is Standing.IN_FORCE
    shutil.rmtree(without)
    fresh = PrivateKey.generate()
    new = folder.agreement(
        "two", "city", "harbor", id="ours", revision=2, replaces=text(old).digest, head_hours=24,
        pins={"harbor": fresh.public.keyid},
    )  # fmt: skip
    folder.agency("harbor", root=fresh, number=2)
    for path, party in ((old, "city"), (new, "city"), (new, "harbor")):
        head(path, party)
    found = FederationWatch(folder.path, OWN).current
    assert between(new, found) is Standing.IN_FORCE
