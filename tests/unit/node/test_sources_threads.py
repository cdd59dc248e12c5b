"""Two threads read the files again at once: the newest bytes win, on the disk too."""

import json
import threading

import pytest

from accord import pins
from accord.agency_files import republish
from accord.clock import SystemClock
from accord.identity import KeyRole
from accord.keys import PrivateKey
from accord.testing import FederationSimulator
from node import sources as module
from node.config import load_config
from node.sources import Sources


@pytest.fixture
def files(tmp_path):
    files = FederationSimulator(tmp_path, SystemClock())
    files.add_operator("exchange", "Exchange", "127.0.0.1:1")
    for name in ("city", "harbor"):
        files.add_agency(name, name.title(), "police", "127.0.0.1:1")
    files.add_agreement("city-harbor", ("city", "harbor"), head_hours=24)
    files.build()
    return files


@pytest.fixture
def place(files):
    return load_config(files.folder("city") / "node.toml")


def test_the_roster_is_believed_only_as_long_as_the_key_that_signed_it(place, files):
    config = place
    sources = Sources(
        config.agency, config.federation, config.roots, config.policy, config.roster, config.data
    )
    sources.refresh()
    assert sources.roster is not None
    member = files.members["city"]
    key = member.files.key(KeyRole.PERSONNEL)
    key.unlink()
    PrivateKey.generate().save(key)
    republish(member.files, files.clock.now_ms())
    files.distribute()
    sources.refresh()
    assert sources.roster is None
    files.publish_roster("city", 2)
    sources.refresh()
    assert sources.roster is not None
    own = config.federation / "agencies" / "city" / "agency.toml"
    good = own.read_bytes()
    own.write_bytes(b"x")
    files.publish_roster("city", 3)
    sources.refresh()
    assert sources.roster is None
    own.write_bytes(good)
    sources.refresh()
    assert sources.roster is not None


class Held:
    """Holds one thread inside a function, until it is let go."""

    def __init__(self, work):
        self._work = work
        self.inside, self.go = threading.Event(), threading.Event()

    def __call__(self, *arguments):
        if threading.current_thread().name == "slow":
            self.inside.set()
            self.go.wait(30)
        return self._work(*arguments)

    def against(self, slow, other):
        """Run ``other`` while ``slow`` is held in the middle; return when both are done."""
        first = threading.Thread(target=slow, name="slow")
        first.start()
        assert self.inside.wait(30)
        second = threading.Thread(target=other)
        second.start()
        second.join(0.5)
        self.go.set()
        first.join(30)
        second.join(30)
        assert not first.is_alive()
        assert not second.is_alive()


def test_an_old_policy_never_replaces_a_newer_one(place, monkeypatch):
    held = Held(module.parse_policy)
    monkeypatch.setattr(module, "parse_policy", held)
    sources = Sources(
        place.agency, place.federation, place.roots, place.policy, place.roster, place.data
    )
    sources.refresh()
    wide = place.policy.read_bytes()
    narrow = wide.replace(b'[[partner]]\nagency = "harbor"\n', b"")
    assert narrow != wide
    place.policy.write_bytes(wide + b"# a remark\n")

    def counsel_takes_harbor_out():
        place.policy.write_bytes(narrow)
        sources.refresh()

    held.against(sources.refresh, counsel_takes_harbor_out)
    assert "harbor" not in sources.policy.partners


def test_old_pins_never_replace_newer_ones(tmp_path, monkeypatch):
    held = Held(pins.replace_file)
    monkeypatch.setattr(pins, "replace_file", held)
    path = tmp_path / "pins.json"
    seen = pins.Pins(path)
    seen.heads[bytes(32), "city"] = 1

    def sees_more():
        seen.heads[bytes(32), "city"] = 2
        seen.save()

    held.against(seen.save, sees_more)
    assert json.loads(path.read_text())["texts"][bytes(32).hex()]["heads"] == {"city": 2}
