"""What engineers activated: a file that only grows, and decisions that see nothing else."""

import json
import shutil

import pytest

from accord import activation
from accord.activation import Activations, read_activations
from accord.agreements.effective import Standing, effective
from accord.agreements.manifest_reading import parse_manifest
from accord.errors import InputError
from accord.federation_watch import FederationWatch
from accord.pins import Pins
from tests.unit.accord.folders import NOW_MS, OWN, PINS, said, standing


def activate(path, manifest, at_ms):
    return activation.activate(path, manifest, at_ms, "Pat Example, engineer")


def text(folder):
    return parse_manifest((folder / "agreement.toml").read_bytes(), folder)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "activated.json"


def watch(folder, path):
    return FederationWatch(folder.path, OWN, None, Activations(path, "city"))


def test_only_what_was_activated_is_in_force(folder, path):
    first = folder.agreement("city-harbor", "city", "harbor")
    second = folder.agreement("city-county", "city", "county")
    assert activate(path, text(first), NOW_MS)
    assert not activate(path, text(first), NOW_MS + 1)
    found = watch(folder, path)
    assert standing(first, found.current) is Standing.IN_FORCE
    assert standing(second, found.current) is Standing.NOT_ACTIVATED
    assert found.current.agreements[text(second).digest].inactive_at == "city"
    assert not found.refresh()
    assert activate(path, text(second), NOW_MS)
    assert found.refresh()
    assert standing(second, found.current) is Standing.IN_FORCE
    assert [one.agreement for one in read_activations(path)] == ["city-harbor", "city-county"]
    path.unlink()
    assert found.refresh()
    assert standing(first, found.current) is Standing.NOT_ACTIVATED


def test_what_is_no_agreement_of_the_agency_needs_no_activation(folder, path):
    other = folder.agreement("harbor-county", "harbor", "county")
    roots = {name: PINS[name] for name in ("city", "harbor", "county")}
    found = FederationWatch(folder.path, roots, None, Activations(path, "city")).current
    assert standing(other, found) is Standing.IN_FORCE


def test_what_was_replaced_is_never_activated_again(folder, path):
    old = folder.agreement("one", "city", "harbor", id="city-harbor", look_back_days=3650)
    new = folder.agreement(
        "two", "city", "harbor", id="city-harbor", revision=2, replaces=text(old).digest
    )
    wide, narrow = text(old), text(new)
    activate(path, wide, NOW_MS)
    activate(path, narrow, NOW_MS)
    shutil.rmtree(new)
    with pytest.raises(InputError, match="revision 2 was activated on 2026-03-01"):
        activate(path, wide, NOW_MS)
    assert not activate(path, narrow, NOW_MS)


def test_another_text_with_the_same_number_is_not_activated(folder, path):
    first = folder.agreement("one", "city", "harbor", id="city-harbor")
    other = folder.agreement("two", "city", "harbor", id="city-harbor", look_back_days=3650)
    third = folder.agreement("three", "city", "county", id="city-harbor")
    activate(path, text(first), NOW_MS)
    with pytest.raises(InputError, match="sign it with a higher revision"):
        activate(path, text(other), NOW_MS)
    assert activate(path, text(third), NOW_MS)


def test_a_replaced_text_that_is_still_activated_does_not_come_back(folder, path, tmp_path):
    """The newer folder is gone, the older text activated long ago: after a restart too."""
    old = folder.agreement("one", "city", "harbor", id="city-harbor", look_back_days=3650)
    activate(path, text(old), NOW_MS)
    new = folder.agreement(
        "two", "city", "harbor", id="city-harbor", revision=2, replaces=text(old).digest
    )
    activate(path, text(new), NOW_MS)
    pins = tmp_path / "data" / "pins.json"
    own = Activations(path, "city")
    found = FederationWatch(folder.path, OWN, Pins.open(pins), own).current
    assert standing(old, found) is Standing.REPLACED
    assert standing(new, found) is Standing.IN_FORCE
    shutil.rmtree(new)
    found = FederationWatch(folder.path, OWN, Pins.open(pins), own).current
    assert standing(old, found) is None
    assert "which was seen before and is gone; put it back" in said(found)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"",
        lambda content: content[:-9],
        lambda content: content.replace(b"accord-activated/1", b"accord-activated/2"),
        lambda content: content.replace(b'"revision": 1', b'"revision": 0'),
        lambda content: content.replace(b'"at": "2026', b'"at": "26'),
        lambda content: content.replace(b'"format"', b'"extra": 1, "format"'),
    ],
)
def test_a_damaged_file_activates_nothing(folder, path, spoil):
    first = folder.agreement("city-harbor", "city", "harbor")
    activate(path, text(first), NOW_MS)
    found = watch(folder, path)
    content = path.read_bytes()
    assert spoil(content) != content
    path.write_bytes(spoil(content))
    with pytest.raises(InputError, match="is damaged, so no agreement is activated"):
        Activations(path, "city")
    with pytest.raises(InputError, match="is damaged"):
        activate(path, text(first), NOW_MS)
    assert found.refresh()
    assert standing(first, found.current) is Standing.NOT_ACTIVATED
    assert "is damaged, so no agreement is activated" in said(found.current)
    path.write_bytes(content)
    assert found.refresh()
    assert standing(first, found.current) is Standing.IN_FORCE


def test_who_activated_it_is_kept_and_must_be_said(folder, path):
    first = text(folder.agreement("city-harbor", "city", "harbor"))
    for nobody in ("", "  ", "x" * 201, "a\nb"):
        with pytest.raises(InputError, match=r"--by: is empty, too long .*write who activates it"):
            activation.activate(path, first, NOW_MS, nobody)
    assert not path.exists()
    activate(path, first, NOW_MS)
    assert [one.by for one in read_activations(path)] == ["Pat Example, engineer"]
    content = path.read_text()
    path.write_text(content.replace(', engineer"', '\\n"'))
    with pytest.raises(InputError, match="is damaged"):
        read_activations(path)
    entry = json.loads(content)["activated"][0]
    del entry["by"]  # as files were before it was asked
    path.write_text(json.dumps({"format": activation.FORMAT, "activated": [entry]}))
    assert [one.by for one in read_activations(path)] == [""]


def test_what_stands_under_a_text_that_is_not_activated_is_not_in_force(folder, path):
    above = folder.agreement("above", "city", "harbor", id="region")
    digest = text(above).digest.hex()
    named = f'\n[parent]\nsection = "V"\nid = "region"\ndigest = "sha256:{digest}"\n'
    below = folder.agreement("below", "city", "harbor", tables=named)
    activate(path, text(below), NOW_MS)
    found = watch(folder, path)

    def parent():
        now = effective(found.current.agreements[text(below).digest], "city", "harbor", NOW_MS)
        assert now.standing is Standing.IN_FORCE
        return now.parent.standing

    assert parent() is Standing.NOT_ACTIVATED
    activate(path, text(above), NOW_MS)
    assert found.refresh()
    assert parent() is Standing.IN_FORCE


def test_without_what_was_seen_a_replaced_text_is_not_lived_by_either(folder, path):
    """The newer folder and the pins are both gone: what was activated tells it all the same."""
    old = folder.agreement("one", "city", "harbor", id="city-harbor", look_back_days=3650)
    activate(path, text(old), NOW_MS)
    other = folder.agreement(
        "other", "city", "county", id="city-harbor", revision=7, replaces=bytes(32)
    )
    activate(path, text(other), NOW_MS)
    assert standing(old, watch(folder, path).current) is Standing.IN_FORCE
    new = folder.agreement(
        "two", "city", "harbor", id="city-harbor", revision=2, replaces=text(old).digest
    )
    activate(path, text(new), NOW_MS)
    shutil.rmtree(new)
    assert standing(old, watch(folder, path).current) is Standing.NOT_ACTIVATED
    assert standing(other, watch(folder, path).current) is Standing.IN_FORCE
