"""Instruments in the folder: complete and verified, or everybody stops."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from accord.agreements.effective import Standing, effective
from accord.agreements.instrument_payload import sign_instrument
from accord.agreements.instruments import (
    Details,
    Instrument,
    InstrumentKind,
    file_name,
)
from accord.agreements.manifest_file import Channel
from accord.agreements.manifest_reading import parse_manifest
from accord.errors import InputError
from accord.federation_folder import load
from accord.federation_watch import FederationWatch
from accord.keys import PrivateKey
from tests.unit.accord.folders import COUNSEL, NOW_MS, OWN, said, standing


def instrument(path: Path, party: str, number: int, *, key: PrivateKey | None = None, **said):
    """Sign a suspension, or what ``said`` tells, into the agreement's folder."""
    file = path / "agreement.toml"
    manifest = parse_manifest(file.read_bytes(), file)
    kind = said.pop("kind", InstrumentKind.SUSPENSION)
    details = Details(**(said or {"reason": "an inquiry"}))
    one = Instrument(party, number, kind, "Jane Roe", "Counsel", NOW_MS - 1000, details)
    folder = path / "instruments"
    folder.mkdir(exist_ok=True)
    found = folder / file_name(party, number)
    found.write_bytes(sign_instrument(manifest, one, key or COUNSEL[party]))
    return found


def suspended(path: Path, federation, owner: str = "harbor") -> bool:
    file = path / "agreement.toml"
    agreement = federation.agreements[parse_manifest(file.read_bytes(), file).digest]
    return effective(agreement, "city", owner, NOW_MS).standing is Standing.SUSPENDED


def test_a_suspension_stops_every_agreement_of_the_two_and_no_other(folder):
    first = folder.agreement("city-harbor", "city", "harbor")
    second = folder.agreement("beside", "city", "harbor")
    third = folder.agreement("city-county", "city", "county")
    watch = FederationWatch(folder.path, OWN)
    assert not suspended(first, watch.current)
    instrument(first, "harbor", 1)
    assert watch.refresh()
    assert suspended(first, watch.current)
    assert suspended(second, watch.current)
    assert not suspended(third, watch.current, "county")
    instrument(first, "harbor", 2, kind=InstrumentKind.RESUMPTION, of=1)
    assert watch.refresh()
    assert not suspended(first, watch.current)
    assert not suspended(second, watch.current)
    assert watch.current.problems == ()


def test_a_missing_instrument_stops_what_it_may_have_stopped(folder):
    path = folder.agreement("city-harbor", "city", "harbor")
    first = instrument(path, "harbor", 1)
    instrument(path, "harbor", 2, kind=InstrumentKind.RESUMPTION, of=1)
    assert not suspended(path, load(folder.path, OWN))
    content = first.read_bytes()
    first.unlink()
    federation = load(folder.path, OWN)
    assert suspended(path, federation)
    assert "instrument 1 of harbor is missing" in said(federation)
    first.write_bytes(content)
    assert not suspended(path, load(folder.path, OWN))


def test_an_instrument_that_was_seen_can_not_be_taken_away(folder):
    path = folder.agreement("city-harbor", "city", "harbor")
    file = instrument(path, "harbor", 1)
    content = file.read_bytes()
    watch = FederationWatch(folder.path, OWN)
    file.unlink()
    assert watch.refresh()
    assert suspended(path, watch.current)
    assert "instrument 1 of harbor was seen before and is gone" in said(watch.current)
    shutil.rmtree(file.parent)
    assert watch.refresh()
    assert suspended(path, watch.current)
    file.parent.mkdir()
    file.write_bytes(content)
    assert watch.refresh()
    assert "seen before" not in said(watch.current)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.write_bytes(b"{}"),
        lambda file: file.write_bytes(b"x" * 20_000),
        lambda file: file.rename(file.with_name("harbor-01.json")),
        lambda file: file.rename(file.with_name("county-1.json")),
        lambda file: file.rename(file.with_name("harbor-2.json")),
        lambda file: file.symlink_to(file.rename(file.parents[2] / "away")),
        lambda file: (file.unlink(), file.mkdir()),
        lambda file: (shutil.rmtree(file.parent), file.parent.write_bytes(b"")),
    ],
)  # fmt: skip
def test_what_can_not_be_verified_among_the_instruments_stops_everybody(folder, spoil):
    """A dispute changes nothing; a file that might be a suspension does."""
    path = folder.agreement("city-harbor", "city", "harbor")
    file = instrument(path, "harbor", 1, kind=InstrumentKind.DISPUTE, reason="a count")
    (path / "instruments" / ".note").write_text("left by an editor")
    assert not suspended(path, load(folder.path, OWN))
    spoil(file)
    federation = load(folder.path, OWN)
    assert suspended(path, federation)
    assert "until then the agreement is suspended" in said(federation)


def test_nobody_signs_an_instrument_for_another(folder):
    path = folder.agreement("city-harbor", "city", "harbor")
    instrument(path, "harbor", 1, key=COUNSEL["city"])
    federation = load(folder.path, OWN)
    assert suspended(path, federation)
    assert "harbor-1.json" in said(federation)


def test_a_notice_without_effect_is_told(folder):
    path = folder.agreement("city-harbor", "city", "harbor")
    day = datetime.fromtimestamp(NOW_MS / 1000, UTC).date()
    instrument(
        path, "harbor", 1, kind=InstrumentKind.TERMINATION, last_day=day,
        sent={Channel.E_MAIL: day - timedelta(days=9)},
    )  # fmt: skip
    federation = load(folder.path, OWN)
    assert standing(path, federation) is Standing.IN_FORCE
    assert "without effect: termination of harbor (number 1): it was not sent by" in said(
        federation
    )


def test_a_folder_with_more_files_than_anybody_can_sign_is_not_read(folder, monkeypatch):
    path = folder.agreement("city-harbor", "city", "harbor")
    monkeypatch.setattr("accord.instrument_files.MAX_NUMBER", 1)
    for number in (1, 2, 3):
        instrument(path, "harbor", number, kind=InstrumentKind.DISPUTE, reason="a count")
    (path / "instruments" / ".note").write_text("left by an editor")
    assert not suspended(path, load(folder.path, OWN))
    instrument(path, "harbor", 4, kind=InstrumentKind.DISPUTE, reason="a count")
    federation = load(folder.path, OWN)
    assert suspended(path, federation)
    assert "holds too many" in said(federation)


def test_no_number_is_signed_that_no_folder_takes(folder):
    path = folder.agreement("city-harbor", "city", "harbor")
    with pytest.raises(InputError, match="is number 1001, and one text bears 1000 of a party"):
        instrument(path, "harbor", 1001)
