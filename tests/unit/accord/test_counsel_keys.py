"""Counsel's key changes, or was stolen: what it signed counts on up to then, or not at all."""

import pytest
from typer.testing import CliRunner

from accord.agencies import RetiredKey, parse_agency, render_agency, sign_agency
from accord.agency_files import AgencyFiles
from accord.agreements.counterparts import sign_counterpart
from accord.agreements.effective import Standing, effective
from accord.agreements.instrument_payload import sign_instrument
from accord.agreements.instruments import Details, Instrument, InstrumentKind
from accord.agreements.manifest_reading import parse_manifest
from accord.cli.agreement import app as agreement_app
from accord.cli.certs import app as certs_app
from accord.deliveries import AgreementFile, keep
from accord.envelope import sign
from accord.envelope_json import from_json, to_json
from accord.errors import AccordError, Code, InputError, Refused
from accord.federation_folder import load
from accord.identity import KeyRole
from accord.keys import PrivateKey
from tests.unit.accord.folders import CAS, COUNSEL, NOW_MS, OWN, ROOTS, SIGNED_MS, Folder, standing

NEW = PrivateKey.generate()
NOW = {"last_head": 0, "now_ms": NOW_MS}


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "federation")
    for name in ("city", "harbor"):
        made.agency(name)
    return made


def publish(folder: Folder, name: str, *, until_ms: int | None, number: int = 2) -> None:
    """Publish a new counsel key; the old one retired, or withdrawn where there is no ``until``."""

    retired = [] if until_ms is None else [RetiredKey(COUNSEL[name].public, until_ms)]
    data = render_agency(
        agency=name, number=number, name=name.title(), kind="police", state="CA",
        contact=f"alpr@{name}.example", cas=[CAS[name].certificate],
        keys=[(KeyRole.COUNSEL, NEW.public)], endpoints=[], issued_at_ms=NOW_MS - 1000,
        expires_at_ms=NOW_MS + 10**10, retired=retired,
    )  # fmt: skip
    path = folder.path / "agencies" / name
    (path / "agency.toml").write_bytes(data)
    (path / "agency.sig").write_bytes(sign_agency(data, ROOTS[name]))


def manifest_of(path):
    return parse_manifest((path / "agreement.toml").read_bytes(), "x")


def notice(path, number: int, at_ms: int, key: PrivateKey, kind=InstrumentKind.SUSPENSION, of=0):
    said = Details(reason="" if of else "x", of=of)
    one = Instrument("harbor", number, kind, "Jane Roe", "Counsel", at_ms, said)
    file = path / "instruments" / f"harbor-{number}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(sign_instrument(manifest_of(path), one, key))
    return file


def between(folder: Folder, path) -> Standing | None:
    agreement = load(folder.path, OWN).agreements[manifest_of(path).digest]
    return effective(agreement, "city", "harbor", NOW_MS).standing


def test_what_a_retired_key_signed_in_time_counts_on_and_nothing_later(folder):
    path = folder.agreement("one", "city", "harbor")
    publish(folder, "harbor", until_ms=SIGNED_MS)
    assert between(folder, path) is Standing.IN_FORCE
    publish(folder, "harbor", until_ms=SIGNED_MS - 1000, number=3)
    assert standing(path, load(folder.path, OWN)) is Standing.NOT_EXECUTED
    publish(folder, "harbor", until_ms=SIGNED_MS, number=4)
    old = notice(path, 1, SIGNED_MS, COUNSEL["harbor"])
    assert between(folder, path) is Standing.SUSPENDED
    resumption = notice(path, 2, SIGNED_MS + 1, NEW, InstrumentKind.RESUMPTION, of=1)
    assert between(folder, path) is Standing.IN_FORCE
    # A resumption by the retired key after its time opens nothing.
    notice(path, 2, SIGNED_MS + 1, COUNSEL["harbor"], InstrumentKind.RESUMPTION, of=1)
    loaded = load(folder.path, OWN)
    assert between(folder, path) is Standing.SUSPENDED
    assert any("no longer used by then" in str(problem) for problem in loaded.problems)
    assert old.exists()
    assert resumption.exists()


def test_only_counsels_keys_are_retired(folder, tmp_path):
    publish(folder, "harbor", until_ms=SIGNED_MS)
    data = (folder.path / "agencies/harbor/agency.toml").read_text()
    data = data.replace('role = "counsel"', 'role = "node"')

    with pytest.raises(InputError, match="only counsel's outlives its use"):
        parse_agency(data.encode(), "x", "0" * 64)


def test_after_a_theft_the_same_content_signed_anew_takes_its_place_and_nothing_else(folder):
    path = folder.agreement("one", "city", "harbor")
    suspension = notice(path, 1, SIGNED_MS, COUNSEL["harbor"])
    before = load(folder.path, OWN).agreements[manifest_of(path).digest].term.commences_ms
    publish(folder, "harbor", until_ms=None)
    stolen = load(folder.path, OWN)
    assert standing(path, stolen) is Standing.NOT_EXECUTED
    counterpart = path / "counterparts" / "harbor.json"
    held, digest = counterpart.read_bytes(), manifest_of(path).digest
    later = sign_counterpart(
        manifest_of(path), "harbor", "Jane Roe", "Counsel", SIGNED_MS + 1, NEW
    )  # fmt: skip
    with pytest.raises(Refused) as caught:
        keep(AgreementFile(digest, "counterparts/harbor.json", later), stolen, **NOW)
    assert caught.value.code is Code.AGREEMENT_INVALID
    assert counterpart.read_bytes() == held

    def anew(file) -> bytes:
        old = from_json(file.read_bytes(), file)
        return to_json(sign(old.payload_type, old.payload, NEW))

    for file in (counterpart, suspension):
        name = f"{file.parent.name}/{file.name}"
        signed = anew(file)
        assert keep(AgreementFile(digest, name, signed), load(folder.path, OWN), **NOW)
        assert file.read_bytes() == signed
        assert not keep(AgreementFile(digest, name, signed), load(folder.path, OWN), **NOW)
    again = load(folder.path, OWN).agreements[digest]
    assert again.term.commences_ms == before
    assert between(folder, path) is Standing.SUSPENDED
    # What counts is replaced by nothing, not even by itself with another signature.
    publish(folder, "harbor", until_ms=SIGNED_MS, number=3)
    with pytest.raises(Refused):
        keep(AgreementFile(digest, "counterparts/harbor.json", held), load(folder.path, OWN), **NOW)


# On the command line.


def run(app, *args: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def fails(app, *args: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in args])
    assert isinstance(result.exception, AccordError), result.output
    return str(result.exception)


@pytest.fixture
def mine(tmp_path):
    files = AgencyFiles("city", tmp_path / "own")
    run(certs_app, "init", "--agency", "city", "--dir", files.folder, "--name", "City",
        "--kind", "police", "--state", "CA", "--contact", "x")  # fmt: skip
    return files


def test_a_new_counsel_key_is_published_with_the_old_one_retired_or_withdrawn(mine):
    me = ("--agency", "city", "--dir", mine.folder)
    first = mine.published()
    (old,) = first.keys_for(KeyRole.COUNSEL)
    assert "destroy it" in run(certs_app, "new-counsel-key", *me)
    second = mine.published()
    assert [one.key for one in second.retired] == [old]
    (new,) = second.keys_for(KeyRole.COUNSEL)
    assert new == PrivateKey.load(mine.key(KeyRole.COUNSEL)).public != old
    assert (second.number, second.keys_for(KeyRole.NODE)) == (2, first.keys_for(KeyRole.NODE))
    assert "Retired key of counsel" in " ".join(run(certs_app, "show", *me).split())
    run(certs_app, "new-counsel-key", "--stolen", *me)
    third = mine.published()
    assert [one.key for one in third.retired] == [old]
    assert new not in third.keys_for(KeyRole.COUNSEL)
    assert "is no retired key" in fails(certs_app, "publish", "--withdraw", new.keyid, *me)
    run(certs_app, "publish", "--withdraw", old.keyid, *me)
    assert mine.published().retired == ()


def test_without_the_root_no_key_is_changed(mine):
    before = mine.key(KeyRole.COUNSEL).read_bytes()
    mine.root.unlink()
    fails(certs_app, "new-counsel-key", "--agency", "city", "--dir", mine.folder)
    assert mine.key(KeyRole.COUNSEL).read_bytes() == before


def test_counsel_signs_its_own_files_anew(folder, tmp_path):
    path = folder.agreement("one", "city", "harbor")
    theirs = notice(path, 1, SIGNED_MS, COUNSEL["harbor"])
    forged = notice(path, 2, SIGNED_MS, COUNSEL["harbor"], InstrumentKind.RESUMPTION, of=1)
    NEW.save(tmp_path / "new.pem")
    who = ("--party", "harbor", "--key", tmp_path / "new.pem")
    counterpart = path / "counterparts" / "harbor.json"
    assert "is no counsel key" in fails(agreement_app, "sign-anew", counterpart, *who)
    publish(folder, "harbor", until_ms=NOW_MS)
    assert "nothing to sign anew" in fails(agreement_app, "sign-anew", counterpart, *who)
    publish(folder, "harbor", until_ms=None, number=3)
    assert standing(path, load(folder.path, OWN)) is Standing.NOT_EXECUTED
    assert '"signer": "Jane Roe"' in run(agreement_app, "sign-anew", counterpart, *who)
    run(agreement_app, "sign-anew", theirs, *who)
    noted = ("--not-ours", "by a thief", "--signer", "J", "--capacity", "C")
    assert between(folder, path) is Standing.SUSPENDED
    run(agreement_app, "sign-anew", forged, *who, *noted)
    loaded = load(folder.path, OWN)
    kinds = [one.kind for one in loaded.agreements[manifest_of(path).digest].instruments]
    assert sorted(kinds) == [InstrumentKind.DISPUTE, InstrumentKind.SUSPENSION]
    assert between(folder, path) is Standing.SUSPENDED
    assert loaded.problems == ()


@pytest.mark.parametrize("state", ["", "ca", "California"])
def test_no_agency_is_made_in_a_state_that_is_none(tmp_path, state):
    me = ("--agency", "city", "--dir", tmp_path / "own", "--name", "City", "--kind", "police")
    said = fails(certs_app, "init", *me, "--contact", "x", "--state", state)
    assert said == f'state: {state!r} is no state; write two capital letters, as "CA"'
    assert not (tmp_path / "own").exists()
    run(certs_app, "init", *me, "--contact", "x", "--state", "CA")
