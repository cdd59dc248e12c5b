"""The roster and credentials: who may ask at all, and for how long that is believed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from accord.envelope import ROSTER, sign
from accord.envelope_json import to_json
from accord.errors import Code, InputError, Refused, Unverified
from accord.keys import PrivateKey
from accord.model import Approval, ApprovalKind, Credential
from accord.roster import (
    MAX_STATUS_AGE_MS,
    Officer,
    Roster,
    check_approver,
    check_officer,
    issue_credential,
    load_roster,
    publish,
    read_credential,
    read_roster,
)

T = 1_790_000_000_000
DESK, OFFICER_KEY = PrivateKey.generate(), PrivateKey.generate()
OFFICER = Officer(
    "O-1", "Officer One", "detective", "good", "2026-01-01", frozenset({"stolen-vehicle"}),
    "employee", "ALPR basics", may_approve=True,
)  # fmt: skip
ROSTER_NOW = Roster("harbor", 3, T, {"O-1": OFFICER})
CREDENTIAL = Credential(
    "harbor", "O-1", "Officer One", "detective", OFFICER_KEY.public.der, T, T + 1,
    "2026-01-01", "good", ("stolen-vehicle",), "ALPR basics", "employee",
)  # fmt: skip

TEXT = """\
format = "accord-roster/1"
agency = "harbor"
[[officers]]
id = "O-1"
name = "Officer One"
role = "detective"
standing = "good"
trained_on = 2026-01-01
purposes = ["stolen-vehicle"]
employment = "employee"
course = "ALPR basics"
may_approve = true
"""
OFFICERS = TEXT[TEXT.index("[[officers]]") :]


def test_an_officer_on_the_roster_may_ask() -> None:
    for age_ms in (-30_000, 0, MAX_STATUS_AGE_MS):
        check_officer(ROSTER_NOW, CREDENTIAL, "stolen-vehicle", T + age_ms)


def on(**changes: object) -> Roster:
    changed = replace(OFFICER, **changes)  # type: ignore[arg-type]
    return replace(ROSTER_NOW, officers={"O-1": changed})


@pytest.mark.parametrize(
    ("roster", "purpose", "now_ms", "code"),
    [
        (ROSTER_NOW, "stolen-vehicle", T + MAX_STATUS_AGE_MS + 1, Code.ROSTER_STALE),
        (ROSTER_NOW, "stolen-vehicle", T - 30_001, Code.ROSTER_STALE),
        (replace(ROSTER_NOW, officers={}), "stolen-vehicle", T, Code.OFFICER_UNKNOWN),
        (on(standing="suspended"), "stolen-vehicle", T, Code.OFFICER_NOT_IN_GOOD_STANDING),
        (on(trained_on="2026-02-01"), "stolen-vehicle", T, Code.CREDENTIAL_EXPIRED),
        (on(role="chief"), "stolen-vehicle", T, Code.CREDENTIAL_EXPIRED),
        (on(name="Officer Two"), "stolen-vehicle", T, Code.CREDENTIAL_EXPIRED),
        (on(course=""), "stolen-vehicle", T, Code.CREDENTIAL_EXPIRED),
        (on(employment="contractor"), "stolen-vehicle", T, Code.CREDENTIAL_EXPIRED),
        (ROSTER_NOW, "hit-and-run", T, Code.OFFICER_PURPOSE),
    ],
)
def test_an_officer_who_is_not_is_refused(
    roster: Roster, purpose: str, now_ms: int, code: Code
) -> None:
    with pytest.raises(Refused) as refused:
        check_officer(roster, CREDENTIAL, purpose, now_ms)
    assert (refused.value.code, refused.value.section) == (code, "MOA II.A")


CHIEF = replace(OFFICER, id="O-9")
WITH_CHIEF = replace(ROSTER_NOW, officers={"O-1": OFFICER, "O-9": CHIEF})


def approval(kind: ApprovalKind, by: str) -> Approval:
    return Approval(kind, by, "A-17", "2026-09-20")


def test_an_approval_counts_by_who_may_approve() -> None:
    check_approver(WITH_CHIEF, approval(ApprovalKind.SUPERVISOR, "O-9"), "O-1")
    # A court stands on no roster, and not every query needs an approval.
    check_approver(WITH_CHIEF, approval(ApprovalKind.COURT, "Superior Court"), "O-1")
    check_approver(WITH_CHIEF, None, "O-1")


@pytest.mark.parametrize(
    ("chief", "by", "officer"),
    [
        (CHIEF, "O-1", "O-1"),
        (CHIEF, "O-8", "O-1"),
        (CHIEF, "o-9", "O-1"),
        (replace(CHIEF, may_approve=False), "O-9", "O-1"),
        (replace(CHIEF, standing="suspended"), "O-9", "O-1"),
    ],
)
def test_nobody_else_approves(chief: Officer, by: str, officer: str) -> None:
    roster = replace(WITH_CHIEF, officers={"O-1": OFFICER, "O-9": chief})
    with pytest.raises(Refused) as refused:
        check_approver(roster, approval(ApprovalKind.SUPERVISOR, by), officer)
    assert refused.value.code == Code.APPROVAL_REQUIRED


def test_a_published_roster_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "roster.toml"
    path.write_text(TEXT)
    own = read_roster(path)
    loaded = load_roster(publish(own, 3, T, DESK), [DESK.public], "harbor")
    assert loaded == ROSTER_NOW


def test_a_roster_by_another_key_is_not_believed() -> None:
    data = publish(ROSTER_NOW, 3, T, PrivateKey.generate())
    with pytest.raises(Unverified, match="SIGNATURE_INVALID"):
        load_roster(data, [DESK.public], "harbor")


def test_another_agencys_roster_is_refused() -> None:
    with pytest.raises(InputError, match="another agency's"):
        load_roster(publish(ROSTER_NOW, 3, T, DESK), [DESK.public], "city")


@pytest.mark.parametrize("content", [{}, {"officers": [{}]}, [], {"format": "accord-roster/1"}])
def test_what_the_desk_signed_must_still_be_a_roster(content: object) -> None:
    data = to_json(sign(ROSTER, json.dumps(content).encode(), DESK))
    with pytest.raises(InputError, match="is not a roster"):
        load_roster(data, [DESK.public], "harbor")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"stolen-vehicle"', '"civil-immigration"', "not a purpose that anybody"),
        ('"stolen-vehicle"', '"anything"', "not a purpose that anybody"),
        ('["stolen-vehicle"]', "[]", "purposes"),
        ("2026-01-01", '"soon"', "trained_on"),
        ('id = "O-1"', 'id = "O 1"', "id"),
        ('role = "detective"', 'rank = "detective"', "officers.0 holds a key"),
        ('employment = "employee"', 'employment = "friend"', "use one of employee, reserve"),
        ("accord-roster/1", "accord-roster/9", "format"),
        ("[[officers]]", OFFICERS + "[[officers]]", "stands there twice"),
    ],
)
def test_a_roster_to_mend_is_told_with_its_key(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    path = tmp_path / "roster.toml"
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(InputError) as error:
        read_roster(path)
    assert str(error.value).startswith(str(path))
    assert words in str(error.value)


@pytest.mark.parametrize("hours", [0, -1, 12.001])
def test_a_credential_for_more_than_12_hours_is_not_issued(hours: float) -> None:
    with pytest.raises(InputError, match="at most 12 hours"):
        issue_credential(OFFICER, "harbor", OFFICER_KEY.public, T, hours, DESK)


def test_a_credential_file_comes_back_or_is_named(tmp_path: Path) -> None:
    path = tmp_path / "credential.json"
    with pytest.raises(InputError, match="accord officer issue"):
        read_credential(path)
    path.write_bytes(to_json(issue_credential(OFFICER, "harbor", OFFICER_KEY.public, T, 1, DESK)))
    credential, _ = read_credential(path)
    assert (credential.officer, credential.not_after_ms) == ("O-1", T + 3_600_000)
    path.write_bytes(to_json(sign(ROSTER, b"\xff", DESK)))
    with pytest.raises(InputError, match="is not a credential"):
        read_credential(path)
