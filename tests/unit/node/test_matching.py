"""What is a hit, what is only possible, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.hot_lists import MAX_HITS
from node.matching import MAX_DIFFERENCES, Candidate, match, matches

plates = st.text("08BDOQ1IAX", min_size=1, max_size=6)
states = st.sampled_from(["", "CA", "NV"])


@pytest.mark.parametrize(
    ("read", "entry", "possible"),
    [
        (("TEST001", "CA"), ("TEST001", "CA"), False),
        (("TEST001", ""), ("TEST001", "CA"), True),
        (("TEST001", "CA"), ("TEST001", ""), True),
        (("TEST001", ""), ("TEST001", ""), True),
        (("TESTOO1", "CA"), ("TEST001", "CA"), True),
        (("TESTOO1", ""), ("TEST001", "CA"), True),
    ],
)
def test_a_hit(read: tuple[str, str], entry: tuple[str, str], possible: bool) -> None:
    found = match(*read, *entry)
    assert found is not None
    assert found.possible is possible


@pytest.mark.parametrize(
    ("read", "entry"),
    [
        (("TEST001", "NV"), ("TEST001", "CA")),
        (("TESTOO1", "NV"), ("TEST001", "CA")),
        (("TEST002", "CA"), ("TEST001", "CA")),
        (("TEST00", "CA"), ("TEST001", "CA")),
        (("00000", "CA"), ("DDD00", "CA")),
    ],
)
def test_no_hit(read: tuple[str, str], entry: tuple[str, str]) -> None:
    assert match(*read, *entry) is None


@given(plates, states, plates, states)
def test_exact_is_the_same_number_and_state_and_nothing_else(
    plate: str, state: str, listed: str, of: str
) -> None:
    found = match(plate, state, listed, of)
    assert found == match(listed, of, plate, state)
    exact = found is not None and not found.possible
    assert exact is (plate == listed and state == of != "")
    if found is not None:
        assert found.differing <= MAX_DIFFERENCES


def test_the_surest_come_first_and_there_are_not_too_many() -> None:
    def candidate(plate: str, state: str, name: str) -> Candidate:
        return Candidate(plate, state, "stolen-vehicle", name, "bureau", 0, 60)

    like = [candidate("TESTOO1", "CA", f"list-{n:02}") for n in range(MAX_HITS)]
    found = matches("TEST001", "CA", [*like, candidate("TEST001", "CA", "sure")])
    assert len(found) == MAX_HITS
    assert (found[0][0].list, found[0][1]) == ("sure", False)
    assert {possible for _, possible in found[1:]} == {True}
