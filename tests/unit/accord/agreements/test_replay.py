"""A draft against recorded queries, without a log."""

import pytest

from accord.agreements.law.packs import built_in_law
from accord.agreements.replay import Outcome, caveats, hypothetical, replayed
from accord.clock import iso
from accord.errors import Code
from tests.unit.accord.agreements.conftest import NOW_MS
from tests.unit.accord.agreements.test_words import reworded

HOUR_MS = 3_600_000


def record(**changes: str) -> dict[str, str]:
    """What the owner's log holds of a query that the city asked the harbor."""
    return {
        "kind": "refusal", "agency": "city", "audience": "harbor", "query_id": "00",
        "purpose": "stolen-vehicle", "case": "26-1", "reason": "seen near the port",
        "asked": "plate", "from": iso(NOW_MS - HOUR_MS), "to": iso(NOW_MS), "row_limit": "10",
        "officer_role": "detective", "decision": "refused",
        "attested": "no-civil-immigration,verify-before-action",
    } | changes  # fmt: skip


def outcome(manifest, **changes: str) -> Outcome:
    found = replayed(record(**changes), hypothetical(manifest), NOW_MS, built_in_law())
    assert found is not None
    return found.outcome


@pytest.mark.parametrize(
    ("code", "section", "becomes"),
    [
        (Code.NO_AGREEMENT, "MOA II.A", Outcome.NOW_ALLOWED),
        (Code.AGREEMENT_INVALID, "MOA II.A", Outcome.NOW_ALLOWED),
        (Code.AGREEMENT_NOT_ACTIVATED, "VIII", Outcome.NOW_ALLOWED),
        (Code.HEAD_STALE, "VII", Outcome.NOW_ALLOWED),
        (Code.OPERATOR_NOT_AGREED, "I.C", Outcome.NOW_ALLOWED),
        (Code.AGENCY_NOT_ELIGIBLE, "II.A", Outcome.NOW_ALLOWED),
        (Code.ATTESTATION_REQUIRED, "625 ILCS 5/2-130(c)", Outcome.STAYS_REFUSED),
        (Code.LAW_FORBIDS, "Cal. Civ. Code 1798.90.55(b)", Outcome.STAYS_REFUSED),
        (Code.ONWARD_SHARING, "MOA II.A", Outcome.STAYS_REFUSED),
        (Code.TRAINING_LAPSED, "II.A", Outcome.STAYS_REFUSED),
        (Code.LOCAL_POLICY, "II.B", Outcome.STAYS_REFUSED),
    ],
)
def test_what_a_first_agreement_would_change(world, code, section, becomes):
    assert outcome(world.manifest(), code=code.value, section=section) is becomes
    # What the draft does not allow either stays refused, whatever the reason was.
    other = world.manifest(purposes=["amber-alert"])
    assert outcome(other, code=code.value, section=section) is Outcome.STAYS_REFUSED


def test_a_parent_partners_and_open_questions_are_told_and_not_guessed(world):
    allowed = {"decision": "allowed", "code": "", "section": "II.A"}
    plain = world.manifest()
    assert outcome(plain, **allowed) is Outcome.STAYS_ALLOWED
    parent = f'[parent]\nsection = "I"\nid = "region"\ndigest = "sha256:{"0" * 64}"\n'
    under = world.manifest(tables=parent.replace('"I"', '"II.A"'))
    assert outcome(under, **allowed) is Outcome.STAYS_ALLOWED
    assert any("parent region was not looked at" in note for note in caveats(under))
    chosen = reworded(
        world, ('direction = "both"', 'direction = "both"\npartners = "opt-in"\nopt_in = "both"')
    )
    assert outcome(chosen, **allowed) is Outcome.STAYS_ALLOWED
    assert any("taken as chosen" in note for note in caveats(chosen))
    open_one = world.manifest(undecided=["eligibility.reason"])
    assert any("eligibility.reason" in note for note in caveats(open_one))
    assert len(caveats(plain)) == 2


@pytest.mark.parametrize("lacks", ["from", "to", "row_limit"])
def test_a_record_without_what_was_asked_holds_no_query(world, lacks):
    fields, draft = record(), hypothetical(world.manifest())
    assert replayed(fields, draft, NOW_MS, built_in_law()) is not None
    del fields[lacks]
    assert replayed(fields, draft, NOW_MS, built_in_law()) is None
