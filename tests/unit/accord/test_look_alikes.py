"""Plates that look alike: both ways, as many as are said, and no others."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.plates import LOOK_ALIKES, MAX_SUBSTITUTIONS, is_plate, look_alikes, substitutions

plates = st.text("0OQ1I8B3X", min_size=1, max_size=6)


def test_a_character_has_one_group() -> None:
    joined = "".join(LOOK_ALIKES)
    assert len(set(joined)) == len(joined)
    assert {"0DOQ", "1I", "2Z", "8B", "5S", "6G"} <= set(LOOK_ALIKES)


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [
        ("7ABC123", "7ABC123", 0),
        ("8ABC123", "BA8C1Z3", 3),
        ("0000", "DOQ0", 3),
        ("7ABC123", "7ABC124", None),
        ("7ABC123", "7ABC12", None),
        ("8ABC123", "BABC124", None),
    ],
)
def test_how_far_two_plates_are_apart(one: str, other: str, count: int | None) -> None:
    assert substitutions(one, other) == count
    assert substitutions(other, one) == count


@given(plates, plates)
def test_looking_alike_goes_both_ways(one: str, other: str) -> None:
    assert substitutions(one, other) == substitutions(other, one)
    ranks, back = look_alikes(one, MAX_SUBSTITUTIONS), look_alikes(other, MAX_SUBSTITUTIONS)
    for count in range(MAX_SUBSTITUTIONS + 1):
        assert (other in ranks[count]) == (one in back[count])
        assert (other in ranks[count]) == (substitutions(one, other) == count)


@given(st.text("0O8B3", min_size=1, max_size=4), st.integers(0, MAX_SUBSTITUTIONS))
def test_every_look_alike_is_given_once(plate: str, most: int) -> None:
    everything = map("".join, product("0ODQ8B3", repeat=len(plate)))
    expected = [text for text in everything if (substitutions(plate, text) or 0) <= most]
    expected = [text for text in expected if substitutions(plate, text) is not None]
    given_out = [text for rank in look_alikes(plate, most) for text in rank]
    assert sorted(given_out) == sorted(expected)
    assert all(map(is_plate, given_out))


def test_so_many_at_most() -> None:
    counts = [sum(map(len, look_alikes("0" * 12, most))) for most in (2, 3)]
    assert counts == [631, 6571]
    assert look_alikes("XY", 3) == (("XY",), (), (), ())
