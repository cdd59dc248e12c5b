"""Joining, leaving and choosing, as counsel does it on the command line."""

import shutil
from datetime import timedelta

import pytest

from accord.agency_files import make_agency
from accord.agreements.manifest_reading import parse_manifest
from accord.clock import SystemClock
from accord.identity import KeyRole
from tests.unit.accord.cli.kit import fails, run, sign, status
from tests.unit.accord.cli.test_agreement_notice import TODAY, notice

ROOT = "county=sha256:" + "1" * 64
JOINER = ("--joiner", ROOT, "--name", "County", "--contact", "x", "--kind", "police",
          "--state", "CA")  # fmt: skip
LEAVE = ("--last-day", TODAY, "--sent", f"e-mail={TODAY}")


def reword(place, old, new):
    file = place / "federation/agreements/city-harbor/agreement.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    parse_manifest(file.read_bytes(), file)


@pytest.fixture
def in_force(place):
    reword(place, 'direction = "both"', 'direction = "both"\npartners = "opt-in"\nopt_in = "owner"')
    reword(
        place, "[disputes]",
        '[joinder]\nsection = "V"\nadmitted_by = "every-party"\n[withdrawal]\nsection = "V"\n'
        'notice_days = 0\nchannels = ["any-writing"]\ncounted_from = "sending"\n[disputes]',
    )  # fmt: skip
    for party in ("city", "harbor"):
        run(*sign(place, party))
    return place


@pytest.fixture
def county(in_force, tmp_path):
    """The county's own files, its public ones in the folder."""
    files = make_agency(
        tmp_path / "county", agency="county", name="County", kind="police", state="CA",
        contact="x", now_ms=SystemClock().now_ms(),
    )  # fmt: skip
    shutil.copytree(files.public, in_force / "federation/agencies/county")
    shutil.copy(files.key(KeyRole.COUNSEL), in_force / "county.pem")
    return files


def test_a_joiner_accedes_with_its_counsels_key_alone(in_force, county):
    """Nobody has admitted it yet, so no text names its root."""
    own = (in_force / "county.pem").read_bytes()
    (in_force / "county.pem").write_bytes((in_force / "city.pem").read_bytes())
    said = fails(*notice(in_force, "accede", party="county"))
    assert "is no counsel key that the agency.toml of county names" in said
    (in_force / "county.pem").write_bytes(own)
    assert "county-1.json" in run(*notice(in_force, "accede", party="county"))


def test_the_next_number_follows_what_counsel_signed_and_no_name(in_force):
    run(*notice(in_force, "dispute", "--reason", "a count"))
    folder = in_force / "federation/agreements/city-harbor/instruments"
    (folder / "city-7.json").write_bytes(b"{}")
    run(*notice(in_force, "dispute", "--reason", "another"))
    assert (folder / "city-2.json").exists()
    (folder / "city-3.json").write_bytes(b"{}")
    said = fails(*notice(in_force, "dispute", "--reason", "a third"))
    assert "city-3.json: bears no signature of city's counsel that counts" in said
    assert (folder / "city-3.json").read_bytes() == b"{}"


def test_admitted_acceded_chosen_and_left(in_force, county):
    run(*notice(in_force, "admit", *JOINER))
    assert "county-1.json" in run(*notice(in_force, "accede", party="county"))
    shutil.rmtree(in_force / "federation/agencies/county")
    # It is no agency that this folder holds: the others go on, and it is told.
    out = " ".join(run(*status(in_force)).split())
    assert "no valid agency.toml of county" in out
    assert "until then county is suspended" in out
    assert "admits county, root" in out
    run(*notice(in_force, "opt-in", "--partner", "harbor"))
    run(*notice(in_force, "opt-out", "--partner", "harbor"))
    out = " ".join(run(*status(in_force)).split())
    assert "opt-out, number 3" in out
    assert "partner harbor" in out
    run(*notice(in_force, "withdraw", *LEAVE, party="harbor"))
    out = run(*status(in_force))
    assert "left" in out
    assert "by withdrawal of harbor" in out


def test_what_would_have_no_effect_is_not_signed(in_force):
    assert "it needs no admission" in fails(
        *notice(in_force, "admit", "--joiner", ROOT.replace("county", "harbor"), *JOINER[2:])
    )
    assert "is a party of the text" in fails(*notice(in_force, "accede"))
    assert "names city itself" in fails(*notice(in_force, "opt-in", "--partner", "city"))
    early = ("--last-day", TODAY - timedelta(days=1), *LEAVE[2:])
    assert "leaves less than 0 days" in fails(*notice(in_force, "withdraw", *early))


def test_where_the_text_has_no_such_table_nothing_is_signed(place):
    for party in ("city", "harbor"):
        run(*sign(place, party))
    assert "lets nobody join" in fails(*notice(place, "admit", *JOINER))
    assert "lets nobody join" in fails(*notice(place, "accede"))
    assert "nothing to choose" in fails(*notice(place, "opt-in", "--partner", "harbor"))
    assert "was not sent by" in fails(*notice(place, "withdraw", *LEAVE))
