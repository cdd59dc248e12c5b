"""Patterns: one spelling, the meaning of the plain expression, and no way to make them slow."""

import re
import sys
from itertools import product
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord import plates
from accord.errors import Refused
from accord.plates import check_pattern, is_plate, matches

short = st.text("AB1", max_size=7)
patterns = st.text("AB1?*", max_size=9)


def by_expression(pattern: str, plate: str) -> bool:
    """What a pattern means, said as a regular expression."""
    text = pattern.replace("?", "[A-Z0-9]").replace("*", "[A-Z0-9]*")
    return is_plate(plate) and re.fullmatch(text, plate, re.ASCII) is not None


@given(pattern=patterns, plate=short)
def test_a_pattern_means_what_the_plain_expression_says(pattern: str, plate: str) -> None:
    assert matches(pattern, plate) is by_expression(pattern, plate)


def test_all_short_patterns_mean_it_too() -> None:
    every = ["".join(signs) for size in range(6) for signs in product("AB?*", repeat=size)]
    asked = ["".join(signs) for size in range(5) for signs in product("AB", repeat=size)]
    wrong = [(p, a) for p in every for a in asked if matches(p, a) is not by_expression(p, a)]
    assert wrong == []


@pytest.mark.parametrize("text", ["", "9TST 01", "9TST\n", "9tst001", "9TSTÉ", "9" * 13])
def test_what_is_no_plate_fits_nothing(text: str) -> None:
    assert not matches("*", text)
    assert not matches("9*", text)


@given(pattern=st.text("AB?*", max_size=24), plate=short)
def test_one_spelling_has_the_meaning_of_all(pattern: str, plate: str) -> None:
    try:
        one = check_pattern(pattern)
    except Refused:
        return
    assert matches(one, plate) is matches(pattern, plate)
    assert check_pattern(one) == one
    assert not re.search(r"\*[?*]", one)


@pytest.mark.parametrize(
    ("raw", "one"),
    [
        ("*" * 20 + "B*A*", "*B*A*"),
        ("9T*?", "9T?*"),
        ("9*?*?*T", "9??*T"),
        ("9??T", "9??T"),
        ("?9-t*", "?9T*"),
        ("*9*T*", "*9*T*"),
    ],
)
def test_stars_together_are_one(raw: str, one: str) -> None:
    assert check_pattern(raw) == one


@pytest.mark.parametrize(
    "pattern", ["*" * 20 + "B*A*", "*A" * 12, "*?" * 10 + "BA*", "?*" * 11 + "AB"]
)
@pytest.mark.parametrize("plate", ["8AC00001AAAB", "A" * 12, "AAAAAAAAAAAB"])
def test_no_pattern_makes_more_steps_than_its_length_times_the_plates(
    pattern: str, plate: str
) -> None:
    steps = 0
    expressions: list[object] = []

    def count(_frame: FrameType, event: str, _arg: object) -> object:
        nonlocal steps
        steps += event == "line"
        return count

    def hidden(_frame: FrameType, event: str, arg: object) -> None:
        # Steps inside an expression are not seen: that of a plate, no other, may run.
        if event == "c_call" and isinstance(owner := getattr(arg, "__self__", None), re.Pattern):
            expressions.append(owner)

    before = sys.gettrace(), sys.getprofile()
    sys.settrace(count)
    sys.setprofile(hidden)
    try:
        matches(pattern, plate)
    finally:
        sys.settrace(before[0])
        sys.setprofile(before[1])
    assert expressions == [plates._PLATE]
    assert 0 < steps <= 8 * (len(pattern) + 1) * len(plate)
