"""Look-alike characters: symmetric groups, and nothing outside of them."""

import itertools
import string

from hypothesis import given
from hypothesis import strategies as st

from accord.lookalikes import skeleton
from accord.plates import LOOK_ALIKES, substitutions

ALPHABET = string.ascii_uppercase + string.digits
plates = st.text(ALPHABET, min_size=1, max_size=12)


def test_no_character_is_in_two_groups() -> None:
    members = "".join(LOOK_ALIKES)
    assert len(set(members)) == len(members)
    assert set(members) <= set(ALPHABET)


def test_exactly_the_characters_of_one_group_look_alike() -> None:
    for one, other in itertools.product(ALPHABET, repeat=2):
        together = one == other or any(one in group and other in group for group in LOOK_ALIKES)
        assert (skeleton(one) == skeleton(other)) is together


@given(plates, plates)
def test_looking_alike_is_symmetric(one: str, other: str) -> None:
    assert substitutions(one, other) == substitutions(other, one)
    assert substitutions(one, one) == 0


@given(plates, plates)
def test_what_looks_alike_has_one_skeleton(one: str, other: str) -> None:
    assert (substitutions(one, other) is not None) is (skeleton(one) == skeleton(other))


@given(plates)
def test_a_skeleton_is_its_own(plate: str) -> None:
    assert skeleton(skeleton(plate)) == skeleton(plate)
    assert len(skeleton(plate)) == len(plate)


def test_differences_are_counted_and_others_are_none() -> None:
    assert substitutions("80B0", "B0BO") == 2
    assert substitutions("TEST001", "TEST002") is None
    assert substitutions("TEST00", "TEST001") is None
