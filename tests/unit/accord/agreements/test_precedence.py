"""Which prevails, the text or a party's own policy: told, kept, and no machine widens by it."""

import pytest

from accord.agreements.differences import differences
from accord.agreements.effective import Agreement
from accord.agreements.manifest import Manifest, Prevails, State
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.words import Clause, clauses
from accord.errors import Code, InputError

SAID = 'effect = "narrows"\nprevails = "policy"'


def manifest(world, said: str, text: bytes | None = None) -> Manifest:
    found = (text or world.text()).decode()
    assert found.count(SAID) == 1
    return parse_manifest(found.replace(SAID, f'effect = "narrows"\n{said}').encode(), "a.toml")


def told(found: Manifest) -> list[Clause]:
    return [clause for clause in clauses(found) if clause.name == "Precedence"]


AGREEMENT, POLICY, SILENT = 'prevails = "agreement"', 'prevails = "policy"', ""
OPEN = 'prevails = "undecided"'
ELSEWHERE = 'prevails_section = "IV"'


def test_the_memorandum_lets_each_policy_stand(world):
    rule = parse_manifest(world.text(), "a.toml").precedence
    assert rule is not None
    assert (rule.section, rule.prevails) == ("II.B", Prevails.POLICY)


def test_which_prevails_is_told_by_its_section(world):
    (said,) = told(manifest(world, AGREEMENT))
    assert (said.section, said.state) == ("II.B", State.RECORDED)
    assert "the agreement prevails: no machine acts on that" in said.text
    assert "A node gives only what both allow, whichever it is" in said.text
    (other,) = told(manifest(world, f"{POLICY}\n{ELSEWHERE}"))
    assert (other.section, other.state) == ("IV", State.RECORDED)
    assert "the policy prevails" in other.text
    assert told(manifest(world, SILENT)) == []


def test_a_change_of_it_is_told(world):
    agreement, policy, moved, silent = (
        manifest(world, said) for said in (AGREEMENT, POLICY, f"{POLICY}\n{ELSEWHERE}", SILENT)
    )
    (change,) = differences(policy, agreement)
    assert change.section == "II.B"
    assert "the agreement prevails" in change.text
    assert "Before: " in change.text
    assert "the policy prevails" in change.text.partition("Before: ")[2]
    (change,) = differences(policy, moved)
    assert change.text == "the rule [local_policy.prevails] now comes from IV, before: II.B"
    (gone,) = differences(policy, silent)
    assert gone.text.startswith("the text no longer says which prevails")
    (new,) = differences(silent, policy)
    assert new.text.endswith("Before: nothing was said.")
    assert differences(policy, policy) == ()


def test_undecided_it_is_a_question_and_nobody_signs(world):
    found = manifest(world, f"{OPEN}\n{ELSEWHERE}")
    assert [(one.key, one.section) for one in found.undecided] == [("local_policy.prevails", "IV")]
    (said,) = told(found)
    assert said.state is State.UNDECIDED
    assert "which prevails is undecided" in said.text
    agreement = Agreement(found, ())
    assert world.ask(world.query(agreement), agreement).code is Code.AGREEMENT_NOT_COMMENCED
    assert not manifest(world, POLICY).undecided


@pytest.mark.parametrize("said", [AGREEMENT, POLICY, SILENT, f"{POLICY}\n{ELSEWHERE}"])
def test_whichever_prevails_the_policy_narrows_and_nothing_widens(world, said):
    plain = parse_manifest(world.text(), "a.toml")
    decided = []
    for found in (plain, manifest(world, said)):
        agreement = Agreement(found, tuple(world.counterpart(found, p.id) for p in found.parties))
        query, other = world.query(agreement), world.query(agreement, purpose="hit-and-run")
        assert world.ask(query, agreement).allowed
        narrowed = world.ask(query, agreement, 'purposes = ["wanted-person"]')
        assert narrowed.code is Code.LOCAL_POLICY
        # Nor does a policy let in what the text does not hold.
        wide = world.ask(other, agreement, 'purposes = ["hit-and-run"]')
        assert wide.code is Code.PURPOSE_NOT_AGREED
        rows = world.ask(query, agreement, "row_limit = 7").terms
        decided.append((world.ask(query, agreement).terms, rows))
    assert decided[0] == decided[1]
    assert decided[0][1].max_rows == 7


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ('prevails = "owner"', "use one of agreement, policy"),
        ('prevails = "Policy"', 'write "policy"'),
        (ELSEWHERE, "local_policy.prevails_section is given although nothing says which prevails"),
        (f'{POLICY}\nprevails_section = "XX"', "lacks the section 'XX', which a rule cites"),
    ],
)
def test_a_slip_in_it_is_one_line(world, said, words):
    with pytest.raises(InputError) as caught:
        manifest(world, said)
    assert words in str(caught.value)
    assert str(caught.value).startswith("a.toml, line ")
