"""The one clock."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.clock import to_datetime, to_ms


@given(st.integers(0, 4_000_000_000_000))
def test_no_millisecond_is_lost(ms: int) -> None:
    assert to_ms(to_datetime(ms)) == ms


def test_a_time_without_a_zone_is_never_guessed() -> None:
    with pytest.raises(ValueError, match="zone"):
        to_ms(datetime(2026, 3, 1))
