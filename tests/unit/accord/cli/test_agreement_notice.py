"""``accord agreement notice``: signed where it counts, and told where it would not."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from accord.agencies import sign_agency
from accord.keys import PrivateKey
from tests.unit.accord.cli.kit import fails, run, sign, status

TODAY = datetime.now(ZoneInfo("America/Los_Angeles")).date()
LATER = TODAY + timedelta(days=40)
SENT = ("--sent", f"certified-mail={TODAY}", "--sent", f"facsimile={TODAY}")


def notice(place, kind, *more, party="city"):
    folder = place / "federation/agreements/city-harbor"
    who = ("--signer", "Jane [b] Roe", "--capacity", "General Counsel")
    return ("notice", kind, folder, "--party", party, "--key", place / f"{party}.pem", *who, *more)


@pytest.fixture
def in_force(place):
    for party in ("city", "harbor"):
        run(*sign(place, party))
    assert "In force now: yes" in run(*status(place))
    return place


def test_a_suspension_and_its_end(in_force):
    out = run(*notice(in_force, "suspend", "--reason", "an inquiry"))
    assert "Signed for city: suspension of Sharing [b], number 1" in out
    out = run(*status(in_force))
    assert "In force now: no, suspended: city has suspended it" in out
    assert "an inquiry" in out
    assert "Jane [b] Roe" in out
    run(*notice(in_force, "resume", "--of", 1))
    assert "In force now: yes" in run(*status(in_force))
    assert "lifts an instrument that is not before it" in fails(
        *notice(in_force, "resume", "--of", 3)
    )


def test_a_termination_and_what_the_text_demands(in_force):
    good = ("--received", TODAY, "--last-day", LATER, *SENT)
    for more, words in (
        (("--last-day", LATER, *SENT), "it does not say when it was received (V)"),
        (("--last-day", LATER, "--received", TODAY, *SENT[:2]), "not sent by facsimile (V)"),
        (("--last-day", TODAY, "--received", TODAY, *SENT), "leaves less than 30 days"),
        (("--last-day", "soon", "--received", TODAY, *SENT), "'soon' is not a day"),
        ((*good[:4], "--sent", f"pigeon={TODAY}"), "'pigeon' is no channel"),
    ):
        assert words in fails(*notice(in_force, "terminate", *more))
    assert not (in_force / "federation/agreements/city-harbor/instruments").exists()
    run(*notice(in_force, "terminate", *good))
    out = run(*status(in_force))
    assert f"Last day:  {LATER}" in out
    assert "It ends so early by notice of city." in out
    assert "In force now: yes" in out


def test_what_the_law_and_a_watch_commander_suspend(in_force):
    law = ("--citation", "Example Act 2026, section 4", "--reason", "in force")
    assert "--purpose: 'stolen' is none" in fails(
        *notice(in_force, "superseded", *law, "--purpose", "stolen")
    )
    assert "what the law suspends" in fails(*notice(in_force, "superseded", *law))
    run(*notice(in_force, "superseded", *law, "--purpose", "stolen-vehicle"))
    out = run(*status(in_force))
    assert "In force now: yes" in out
    assert "Suspended in it: stolen-vehicle: city holds it suspended by Example Act" in out
    assert "--provision: 'parties' is none" in fails(
        *notice(in_force, "superseded", *law, "--provision", "parties")
    )
    run(*notice(in_force, "superseded", *law, "--provision", "onward"))
    assert "Suspended in it: export: city holds it" in run(*status(in_force))
    decided = ("--decided-by", "Watch Commander", "--reason", "a pursuit", "--until")
    assert "is not within 7 days" in fails(*notice(in_force, "interim", *decided, LATER, "--all"))
    soon = TODAY + timedelta(days=5)
    run(*notice(in_force, "interim", *decided, soon, "--all", party="harbor"))
    assert "suspended: Watch Commander of harbor decided so" in run(*status(in_force))
    reviewed = ("--of", 1, "--decided-by", "Chief", "--reason", "over", "--outcome", "ends")
    run(*notice(in_force, "review", *reviewed, party="harbor"))
    out = run(*status(in_force))
    assert "In force now: yes" in out
    assert "ends number 1" in " ".join(out.split())
    run(*notice(in_force, "superseded", *law, "--impairs-essential-purpose"))
    assert "which impairs its essential purpose" in run(*status(in_force))


def test_ended_together_once_both_have_signed(in_force):
    day = TODAY - timedelta(days=1)
    run(*notice(in_force, "end-together", "--last-day", day))
    assert "In force now: yes" in run(*status(in_force))
    run(*notice(in_force, "end-together", "--last-day", day, party="harbor"))
    out = run(*status(in_force))
    assert "In force now: no, ended by notice" in out


def test_a_dispute_is_kept_and_no_file_is_written_over(in_force):
    run(*notice(in_force, "dispute", "--reason", "a count"))
    run(*notice(in_force, "dispute", "--reason", "another"))
    folder = in_force / "federation/agreements/city-harbor/instruments"
    assert sorted(path.name for path in folder.iterdir()) == ["city-1.json", "city-2.json"]
    assert "In force now: yes" in run(*status(in_force))
    assert "'county' is not a party" in fails(
        *notice(in_force, "dispute", "--reason", "x"), "--party", "county"
    )


def test_not_extended_only_where_something_is_extended(in_force):
    assert "says nothing of preventing an extension" in fails(
        *notice(in_force, "not-extend", "--sent", f"e-mail={TODAY}")
    )


def test_what_would_do_nothing_is_not_signed(in_force):
    folder = in_force / "federation/agreements/city-harbor/instruments"
    run(*notice(in_force, "dispute", "--reason", "a count"))
    reviewed = ("--of", 1, "--decided-by", "Chief", "--reason", "over", "--outcome", "ends")
    assert "number 1 is a dispute, which it can't lift" in fails(
        *notice(in_force, "resume", "--of", 1)
    )
    assert "number 1 is a dispute, which it can't lift" in fails(
        *notice(in_force, "review", *reviewed)
    )
    run(*notice(in_force, "suspend", "--reason", "an inquiry"))
    run(*notice(in_force, "resume", "--of", 2))
    assert "number 3 is a resumption, which it can't lift" in fails(
        *notice(in_force, "resume", "--of", 3)
    )
    old = ("--sent", "certified-mail=2001-01-01", "--sent", "facsimile=2001-01-01")
    assert f"names a day before {TODAY}, on which the agreement commenced" in fails(
        *notice(in_force, "terminate", "--received", "2001-01-01", "--last-day", TODAY, *old)
    )
    assert len(list(folder.iterdir())) == 3
    assert "In force now: yes" in run(*status(in_force))


def test_another_partys_key_signs_nothing(in_force, tmp_path):
    counterpart = list(sign(in_force, "city", "--out", tmp_path / "city.json"))
    counterpart[counterpart.index("--key") + 1] = in_force / "harbor.pem"
    assert "is no counsel key that the agency.toml of city names" in fails(*counterpart)
    assert not (tmp_path / "city.json").exists()
    command = list(notice(in_force, "suspend", "--reason", "an inquiry"))
    command[command.index("--key") + 1] = in_force / "harbor.pem"
    assert "is no counsel key that the agency.toml of city names" in fails(*command)
    assert not (in_force / "federation/agreements/city-harbor/instruments").exists()
    run(*notice(in_force, "suspend", "--reason", "an inquiry"))


def test_nothing_is_signed_under_a_root_that_the_text_does_not_name(in_force):
    """Nobody could verify it, which would suspend the agreement for good."""
    folder = in_force / "federation/agencies/city"
    data = (folder / "agency.toml").read_bytes()
    (folder / "agency.sig").write_bytes(sign_agency(data, PrivateKey.generate()))
    said = fails(*notice(in_force, "suspend", "--reason", "an inquiry"))
    assert "no key of the pinned root is known" in said
    assert not (in_force / "federation/agreements/city-harbor/instruments").exists()
