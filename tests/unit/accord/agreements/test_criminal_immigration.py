"""Criminal immigration is off until counsel of all parties has answered; no policy lets it in."""

import pytest

from accord.agreements.policy import parse_policy
from accord.errors import Code, InputError
from tests.unit.accord.agreements.test_provisions import decision, manifest

ALLOWED = 'section = "II.A"\nallowed = ["stolen-vehicle", '


ANSWER = (
    ALLOWED,
    'section = "II.A"\ncriminal_immigration = "allowed"\n'
    'allowed = ["criminal-immigration", "stolen-vehicle", ',
)


IMMIGRATION = {"purpose": "criminal-immigration"}


MAY = {"officer": {"purposes": ("criminal-immigration", "civil-immigration")}}


def test_criminal_immigration_is_off_until_counsel_has_answered(world):
    answered = manifest(world, "", ANSWER)
    assert decision(world, answered, **IMMIGRATION, **MAY).allowed
    bad = decision(world, manifest(world), **IMMIGRATION, **MAY)
    assert (bad.code, bad.section) == (Code.PURPOSE_PROHIBITED, "MOA II.A")
    # The answer is about criminal matters, and about no others.
    civil = decision(world, answered, purpose="civil-immigration", **MAY)
    assert civil.code is Code.PURPOSE_PROHIBITED
    # The owner's policy and its officers' authorisation narrow it all the same.
    narrowed = decision(world, answered, 'purposes = ["stolen-vehicle"]', **IMMIGRATION, **MAY)
    assert narrowed.code is Code.LOCAL_POLICY
    unauthorised = decision(world, answered, **IMMIGRATION)
    assert unauthorised.code is Code.OFFICER_PURPOSE


@pytest.mark.parametrize(
    ("swap", "words"),
    [
        ((ALLOWED, ALLOWED + '"criminal-immigration", '), 'criminal_immigration = "allowed" too'),
        ((ALLOWED, 'criminal_immigration = "allowed"\n' + ALLOWED), "does not hold criminal"),
        ((ALLOWED, 'criminal_immigration = "yes"\n' + ALLOWED), "use one of off, allowed"),
        ((ALLOWED, ALLOWED + '"civil-immigration", '), "can never be allowed"),
    ],
)
def test_an_answer_that_contradicts_the_list(world, swap, words):
    with pytest.raises(InputError) as caught:
        manifest(world, "", swap)
    assert words in str(caught.value)


POLICY_TEXT = """format = "accord-policy/1"
agency = "harbor"
version = 1
[own]
purposes = ["{}"]
look_back_days = 1
row_limit = 1
training_within_days = 1
[retention]
reads_days = 1
photos_days = 1
hot_list_days = 1
"""


def test_no_policy_of_ones_own_lets_it_in():
    text = POLICY_TEXT.format("criminal-immigration")
    with pytest.raises(InputError, match="off until counsel"):
        parse_policy(text.encode(), "policy.toml")
    assert parse_policy(POLICY_TEXT.format("hit-and-run").encode(), "policy.toml").own.purposes
