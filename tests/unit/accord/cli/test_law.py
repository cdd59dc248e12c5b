"""`accord law`: the rules listed, an update checked and signed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from accord.agreements.law.packs import built_in_law
from accord.agreements.law.updates import verify_update
from accord.cli.law import app
from accord.errors import AccordError
from accord.keys import PrivateKey
from tests.unit.accord.agreements.test_law_reading import PACK


def run(*args: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def fails(*args: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in args])
    assert isinstance(result.exception, AccordError)
    return str(result.exception)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    path = tmp_path / "us-xx.toml"
    path.write_text(PACK)
    return path


def test_a_states_rules_are_listed_with_citation_days_and_how_sure(monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    out = run("list", "--state", "CA")
    for words in ("Cal. Civ. Code 1798.90.55(b)", "from 2016-01-01", "recorded", "enforced", "high",
                  "The floor (floor, number 1)", "California (us-ca, number 1)"):  # fmt: skip
        assert words in out
    assert "ILCS" not in out
    assert "use one of AR, CA" in fails("list", "--state", "XX")


def test_every_rule_is_in_the_json(pack):
    found = json.loads(run("list", "--json"))["packs"]
    packs = built_in_law().packs
    assert {one["id"] for one in found} == {one.id for one in packs}
    assert sum(len(one["rules"]) for one in found) == sum(len(one.rules) for one in packs)
    more = json.loads(run("list", "--state", "CA", "--also", pack, "--json"))["packs"]
    assert [one["id"] for one in more] == ["floor", "us-ca", "us-xx"]
    assert more[2]["rules"][1]["until"] == "2027-01-01"


def test_a_draft_is_checked(pack, tmp_path):
    out = run("check", pack)
    assert "Example (us-xx, number 1): the law of CA." in out
    assert "short: enforced, from 2026-01-01 to 2027-01-01, Example Act, section 2" in out
    assert "note:" not in out
    other = tmp_path / "draft.toml"
    other.write_text(PACK.replace('"enforced"', '"recorded"', 1))
    out = run("check", other)
    assert "note: california-only changes nothing today: it is recorded" in out
    assert "note: a node reads it as us-xx.toml only." in out
    other.write_text(PACK.replace("3 minutes", "soon"))
    assert "rules.1.keep holds 'soon', not a time" in fails("check", other)


def test_counsel_signs_and_overwrites_nothing(pack, tmp_path):
    key = PrivateKey.generate()
    key.save(tmp_path / "counsel.pem")
    out = run("sign", pack, "--key", tmp_path / "counsel.pem")
    assert "Signed: Example (us-xx), number 1." in out
    signature = (tmp_path / "us-xx.sig").read_bytes()
    assert verify_update(PACK.encode(), signature, [key.public], "city", "x").id == "us-xx"
    assert "never overwritten" in fails("sign", pack, "--key", tmp_path / "counsel.pem")
    wrong = tmp_path / "draft.toml"
    wrong.write_text(PACK)
    assert "name it us-xx.toml" in fails("sign", wrong, "--key", tmp_path / "counsel.pem")
    wrong.write_text(PACK.replace("us-xx", "floor"))
    assert "takes no update" in fails("sign", wrong, "--key", tmp_path / "counsel.pem")
