"""The node signs its own heads in time, numbers them upward, and never hides a notice."""

import shutil
from dataclasses import replace

import pytest

from accord.agreements.heads import HOUR_MS, verify_head
from accord.agreements.instrument_payload import sign_instrument
from accord.agreements.instruments import Details, Instrument, InstrumentKind
from accord.agreements.manifest_reading import parse_manifest
from accord.clock import SystemClock
from accord.identity import KeyRole
from accord.keys import PrivateKey
from accord.testing import FederationSimulator, FixedClock
from node.config import load_config
from node.head_keeper import HeadKeeper
from node.sources import Sources


class Place:
    """The city's files, and a keeper that starts again when told."""

    def __init__(self, base):
        self.clock = FixedClock(SystemClock().now_ms())
        self.files = FederationSimulator(base, self.clock)
        self.files.add_operator("exchange", "Exchange", "127.0.0.1:1")
        for name in ("city", "harbor"):
            self.files.add_agency(name, name.title(), "police", "127.0.0.1:1")
        self.files.add_agreement("city-harbor", ("city", "harbor"), head_hours=24)
        self.files.add_agreement("plain", ("city", "harbor"))
        self.files.build()
        self.folder = self.files.folder("city") / "federation" / "agreements" / "city-harbor"
        self.manifest = parse_manifest((self.folder / "agreement.toml").read_bytes(), "x")
        self.start()

    def start(self):
        config = load_config(self.files.folder("city") / "node.toml")
        self.sources = Sources(
            config.agency, config.federation, config.roots, config.policy, config.roster,
            config.data,
        )  # fmt: skip
        self.keeper = HeadKeeper("city", self.sources, config.load_signer(), self.clock)

    def head(self):
        data = (self.folder / "heads" / "city.json").read_bytes()
        return verify_head(data, self.manifest, self.sources.federation.agencies["city"], "x")

    def keep(self):
        self.sources.refresh()
        return self.keeper.keep()

    def instrument(self, number):
        one = Instrument("city", number, InstrumentKind.DISPUTE, "Jane Roe", "Counsel",
                         self.clock.ms, Details(reason="a count"))  # fmt: skip
        key = PrivateKey.load(self.files.members["city"].files.key(KeyRole.COUNSEL))
        path = self.folder / "instruments" / f"city-{number}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(sign_instrument(self.manifest, one, key))
        return path


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_a_head_is_signed_when_a_quarter_of_its_life_is_over(place):
    assert not place.keep()
    place.clock.ms += 6 * HOUR_MS - 1
    assert not place.keep()
    place.clock.ms += 1
    assert place.keep()
    assert (place.head().number, place.head().as_of_ms) == (place.clock.ms, place.clock.ms)
    assert place.head().expires_ms == place.clock.ms + 24 * HOUR_MS
    assert not place.keep()
    assert not (place.folder.parent / "plain" / "heads").exists()


def test_numbers_rise_after_a_restart_and_a_lost_file(place):
    place.clock.ms += 7 * HOUR_MS
    assert place.keep()
    before = place.head().number
    (place.folder / "heads" / "city.json").unlink()
    place.start()
    assert place.keep()
    assert place.head().number == before + 1


def test_a_backup_put_back_numbers_on_above_what_the_others_have_seen(place, tmp_path):
    kept = tmp_path / "kept"
    shutil.copytree(place.files.folder("city"), kept)
    for _ in range(28):
        place.clock.ms += 6 * HOUR_MS
        assert place.keep()
    seen = place.head().number
    shutil.rmtree(place.files.folder("city"))
    shutil.copytree(kept, place.files.folder("city"))
    place.clock.ms += HOUR_MS
    place.start()
    assert place.keep()
    assert place.head().number > seen


def test_a_new_instrument_is_named_at_once(place):
    place.instrument(1)
    assert place.keep()
    assert len(place.head().instruments) == 1
    place.instrument(2)
    assert place.keep()
    assert len(place.head().instruments) == 2
    assert not place.keep()


def test_no_head_denies_a_notice_that_is_gone(place):
    place.instrument(1)
    second = place.instrument(2)
    assert place.keep()
    content = second.read_bytes()
    second.unlink()
    place.clock.ms += 7 * HOUR_MS
    assert not place.keep()
    place.start()
    assert not place.keep()
    assert len(place.head().instruments) == 2
    second.write_bytes(content)
    assert place.keep()
    assert place.head().as_of_ms == place.clock.ms


def test_no_head_denies_a_notice_that_nobody_here_remembers(place):
    place.instrument(1)
    second = place.instrument(2)
    assert place.keep()
    second.unlink()
    (place.files.folder("city") / "data" / "pins.json").unlink()
    place.clock.ms += 7 * HOUR_MS
    place.start()
    assert not place.keep()
    assert len(place.head().instruments) == 2


def test_an_agreement_that_is_over_needs_no_head(place):
    place.clock.ms += 4 * 365 * 24 * HOUR_MS
    assert not place.keep()


def test_a_folder_that_can_not_be_written_is_told_once(place, monkeypatch, capsys):
    place.clock.ms += 7 * HOUR_MS
    (place.folder / "heads").rename(place.folder / "away")
    (place.folder / "heads").write_text("in the way")
    assert not place.keep()
    assert not place.keep()
    assert capsys.readouterr().out.count("a head can't be signed") == 1


def test_a_bad_folder_takes_no_head_from_the_other_agreements(place, capsys):
    other = place.folder.parent / "other"
    files = place.files
    files.add_agreement("other", ("city", "harbor"), head_hours=24)
    files.sign_heads()
    files.distribute()
    files.activate("city")
    place.start()
    place.clock.ms += 7 * HOUR_MS
    shutil.rmtree(place.folder / "heads")
    (place.folder / "heads").write_text("in the way")
    assert place.keep()
    made = verify_head(
        (other / "heads" / "city.json").read_bytes(),
        parse_manifest((other / "agreement.toml").read_bytes(), "x"),
        place.sources.federation.agencies["city"],
        "x",
    )
    assert made.as_of_ms == place.clock.ms
    assert not place.keep()
    assert capsys.readouterr().out.count("a head can't be signed") == 1


def test_a_replaced_text_needs_heads_as_long_as_what_was_given_under_it_binds(place):
    """A suspension signed before the amendment, and held back on its way, must show."""
    parties = ("city", "harbor")
    place.files.add_agreement(
        "amended", parties, head_hours=24, revision=2, replaces=place.manifest.digest,
        rewords={'id = "amended"': 'id = "city-harbor"'},
    )  # fmt: skip
    place.files.distribute()
    place.start()
    replaced = place.sources.federation.agreements[place.manifest.digest].replaced_ms
    assert replaced is not None
    place.clock.ms += 7 * HOUR_MS
    assert place.keep()
    assert place.head().as_of_ms == place.clock.ms
    place.clock.ms += 4 * 365 * 24 * HOUR_MS
    assert place.keep()
    assert place.head().as_of_ms == place.clock.ms


def test_a_folder_that_is_read_again_meanwhile_ends_no_keeper(place):
    """The next snapshot may lack an agreement of the one that is being looked at."""
    place.clock.ms += 6 * HOUR_MS
    place.sources.refresh()
    first, empty = place.sources.federation, replace(place.sources.federation, folders={})

    class Swapped:
        """Sources that are read again after the first look."""

        looks = iter([first])
        last_head, last_instrument = place.sources.last_head, place.sources.last_instrument
        refresh = place.sources.refresh

        @property
        def federation(self):
            return next(self.looks, empty)

    signer = load_config(place.files.folder("city") / "node.toml").load_signer()
    assert HeadKeeper("city", Swapped(), signer, place.clock).keep()
    assert place.head().as_of_ms == place.clock.ms


def test_no_half_of_a_folder_takes_the_place_of_one_that_was_moved_away(place):
    away = place.folder.parent.with_name("away")
    place.folder.parent.rename(away)
    place.clock.ms += 23 * HOUR_MS
    assert not place.keeper.keep()
    assert not place.folder.exists()
    away.rename(place.folder.parent)
    assert place.keeper.keep()
