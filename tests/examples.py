"""A property tried with a few examples in every run, and with many in `make test-full`."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

Test = Callable[..., Any]
WITH_MANY = "_with_many"
"""What the name of the second test has more."""


def few_and_many(draws: Callable[[Test], Test], few: int, many: int) -> Callable[[Test], Test]:
    """Make two tests of one body, under what ``given`` draws: ``test_x``, and one marked ``full``.

    The second is put beside the first, as ``test_x_with_many``.
    """

    def made(body: Test) -> Test:
        quick, full = (
            settings(
                deadline=None,
                max_examples=count,
                suppress_health_check=[HealthCheck.function_scoped_fixture],
            )(draws(body))
            for count in (few, many)
        )
        body.__globals__[body.__name__ + WITH_MANY] = pytest.mark.full(full)
        return quick

    return made
