"""A property tried with a few examples in every run, and with many in `make test-full`."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

Test = Callable[..., Any]


def few_and_many(
    draws: Callable[[Test], Test], body: Test, few: int, many: int
) -> tuple[Test, Test]:
    """Return two tests of one body, under what ``given`` draws: the second is marked ``full``."""
    quick, full = (
        settings(
            deadline=None,
            max_examples=count,
            suppress_health_check=[HealthCheck.function_scoped_fixture],
        )(draws(body))
        for count in (few, many)
    )
    return quick, pytest.mark.full(full)
