"""What was seen is kept on disk: a rollback made while the program was down is noticed."""

import json
import shutil
import stat

import pytest

from accord import durable
from accord.agreements.effective import Standing
from accord.agreements.instruments import InstrumentKind
from accord.agreements.manifest_reading import parse_manifest
from accord.cli.files import write_new
from accord.errors import InputError
from accord.federation_watch import FederationWatch
from accord.pins import Pins
from tests.unit.accord.folders import NOW_MS, OWN, PINS, SIGNED_MS, said, standing
from tests.unit.accord.test_instrument_files import instrument, suspended


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "pins.json"


def start(folder, path):
    """Start as a program does: with what the file says."""
    return FederationWatch(folder.path, OWN, Pins.open(path)).current


def test_a_rollback_to_an_older_text_is_refused_after_a_restart(folder, tmp_path, path):
    old = folder.agreement("city-harbor", "city", "harbor", look_back_days=3650)
    kept = tmp_path / "kept"
    shutil.copytree(old, kept)
    shutil.rmtree(old)
    replaces = parse_manifest((kept / "agreement.toml").read_bytes(), "kept").digest
    new = folder.agreement(
        "city-harbor", "city", "harbor", revision=2, replaces=replaces, look_back_days=30
    )
    assert standing(new, start(folder, path)) is Standing.IN_FORCE
    assert standing(new, start(folder, path)) is Standing.IN_FORCE
    shutil.rmtree(new)
    shutil.copytree(kept, new)
    found = start(folder, path)
    assert not found.agreements
    assert "which was seen before and is gone; put it back" in said(found)
    path.unlink()
    assert standing(new, start(folder, path)) is Standing.IN_FORCE


def test_another_signed_text_with_the_same_revision_is_refused(folder, path):
    first = folder.agreement("one", "city", "harbor", id="city-harbor", look_back_days=30)
    assert standing(first, start(folder, path)) is Standing.IN_FORCE
    shutil.rmtree(first)
    other = folder.agreement("two", "city", "harbor", id="city-harbor", look_back_days=3650)
    found = start(folder, path)
    assert standing(other, found) is None
    assert "another signed text of the same agreement, and neither replaces" in said(found)


def test_what_else_is_older_than_what_was_seen_is_noticed(folder, path):
    agreement = folder.agreement("city-harbor", "city", "harbor")
    folder.agency("harbor", number=7)
    first = instrument(agreement, "harbor", 1, kind=InstrumentKind.DISPUTE, reason="a count")
    assert start(folder, path).agencies["harbor"].number == 7
    content = first.read_bytes()
    first.unlink()
    found = start(folder, path)
    assert suspended(agreement, found)
    assert "instrument 1 of harbor was seen before and is gone" in said(found)
    first.write_bytes(content)
    assert not suspended(agreement, start(folder, path))
    folder.sign(agreement, "harbor", NOW_MS)
    found = start(folder, path)
    assert standing(agreement, found) is None
    assert "a counterpart was replaced by one of a later date" in said(found)
    folder.sign(agreement, "harbor", SIGNED_MS)
    folder.agency("harbor", number=6)
    found = start(folder, path)
    assert "harbor" not in found.agencies
    assert "number 6 is older than 7" in said(found)


def test_the_file_is_private_and_written_only_when_it_grows(folder, path):
    folder.agreement("city-harbor", "city", "harbor")
    start(folder, path)
    status = path.stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    start(folder, path)
    assert path.stat().st_ino == status.st_ino
    content = json.loads(path.read_bytes())
    assert content["agencies"][PINS["harbor"]] == 1
    (text,) = content["texts"].values()
    assert text["signed"]["agreement"] == "city-harbor"
    folder.agency("harbor", number=2)
    start(folder, path)
    assert path.stat().st_ino != status.st_ino
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["pins.json", "pins.json.lock"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(b'"accord-pins/1"', b'"accord-pins/2"'),
        lambda content: content.replace(b'"revision": 1', b'"revision": "1"'),
        lambda content: content.replace(b'"agencies"', b'"agency"'),
        lambda content: content.replace(b'"texts": {\n  "', b'"texts": {\n  "z'),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_with_what_to_do(folder, path, spoil):
    folder.agreement("city-harbor", "city", "harbor")
    start(folder, path)
    content = path.read_bytes()
    assert spoil(content) != content
    path.write_bytes(spoil(content))
    with pytest.raises(InputError, match=r"is damaged.*restore it from the last backup"):
        start(folder, path)
    path.write_bytes(content)
    start(folder, path)


def test_nothing_counts_while_what_was_seen_can_not_be_written(folder, path, monkeypatch):
    first = folder.agreement("city-harbor", "city", "harbor")
    watch = FederationWatch(folder.path, OWN, Pins.open(path))
    second = folder.agreement("city-county", "city", "county")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(durable.os, "fsync", full)
        for _ in range(2):
            with pytest.raises(InputError, match="can't be written"):
                watch.refresh()
            assert not watch.current.agreements
            assert "No space left" in said(watch.current)
    assert watch.refresh()
    assert standing(first, watch.current) is Standing.IN_FORCE
    assert standing(second, watch.current) is Standing.IN_FORCE


def test_a_file_is_created_once_and_replaced_whole(tmp_path):
    file = tmp_path / "made" / "one"
    assert durable.create_file(file, b"1")
    assert not durable.create_file(file, b"2")
    assert file.read_bytes() == b"1"
    durable.replace_file(file, b"3")
    assert file.read_bytes() == b"3"
    assert [entry.name for entry in file.parent.iterdir()] == ["one"]


@pytest.mark.parametrize("name", ["f/one", "f/deeper/one"])
def test_a_file_in_a_folders_place_is_told_with_what_to_do(tmp_path, name):
    (tmp_path / "f").write_text("x")
    for write in (durable.replace_file, durable.create_file, write_new):
        with pytest.raises(InputError, match=r"f: is a file, where a folder is needed; move it"):
            write(tmp_path / name, b"1")
    assert (tmp_path / "f").read_text() == "x"


@pytest.mark.parametrize("left", ["audit.db", "permissions.db"])
def test_pins_that_are_gone_from_a_folder_in_use_are_refused_with_what_to_do(folder, path, left):
    first = folder.agreement("city-harbor", "city", "harbor")
    assert standing(first, start(folder, path)) is Standing.IN_FORCE
    (path.parent / left).write_bytes(b"")
    assert standing(first, start(folder, path)) is Standing.IN_FORCE
    path.unlink()
    with pytest.raises(InputError, match=r"is gone.*restore it from the last backup") as told:
        start(folder, path)
    content = str(told.value)
    path.write_text(content[content.index("{") : content.rindex("}") + 1])
    assert standing(first, start(folder, path)) is Standing.IN_FORCE


def test_what_another_process_saw_counts_here_too_and_stays_in_the_file(folder, path):
    """Two processes of one node: each sees what the other did not."""
    folder.agency("harbor", number=2)
    folder.agreement("city-harbor", "city", "harbor")
    first = FederationWatch(folder.path, OWN, Pins.open(path))
    second = FederationWatch(folder.path, OWN, Pins.open(path))
    folder.agency("harbor", number=5)
    assert first.refresh()
    # Between two looks of the second, somebody puts an older file in its place.
    folder.agency("harbor", number=3)
    assert second.refresh()
    assert "harbor" not in second.current.agencies
    assert "number 3 is older than 5, seen before" in said(second.current)
    assert Pins.open(path).agencies[PINS["harbor"]] == 5
    # And what the second saw since is no less in the file, though the first writes next.
    folder.agency("harbor", number=6)
    assert second.refresh()
    folder.agreement("second", "city", "harbor")
    assert first.refresh()
    kept = Pins.open(path)
    assert (kept.agencies[PINS["harbor"]], len(kept.texts)) == (6, 2)


def test_one_that_writes_late_takes_nothing_out_of_the_file(path):
    path.parent.mkdir()
    early, late = Pins.open(path), Pins.open(path)
    early.heads[b"t" * 32, "city"], late.heads[b"t" * 32, "city"] = 7, 5
    early.agencies["0" * 64] = 1
    early.save()
    late.prohibiting.add(b"t" * 32)
    late.save()
    assert late.heads[b"t" * 32, "city"] == 7
    for pins in (early, Pins.open(path)):
        pins.renew()
        assert pins.heads == {(b"t" * 32, "city"): 7}
        assert pins.agencies == {"0" * 64: 1}
        assert pins.prohibiting == {b"t" * 32}
    # Nothing new: nothing is told, and nothing is written.
    assert not early.renew()
    written = path.stat().st_mtime_ns
    early.save()
    assert path.stat().st_mtime_ns == written
