"""Retention on several servers with many examples: the same store takes one after the other.

A store of its own for each example takes seconds, most of them for new databases.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from accord.agreements.law.rules import Retention
from accord.agreements.policy import RetentionDays
from accord.agreements.retention import DAY_MS, limits
from node.photos import Photos
from node.retention import purge
from tests.stores import SHARDED, Place
from tests.unit.node import test_holds
from tests.unit.node.test_holds import NOW, draws, note

pytestmark = SHARDED

_ONE = test_holds.test_no_read_outlives_its_date_unless_held_and_no_held_read_goes_early
AT_ONCE = limits(RetentionDays(0, 0, 0, 0), ())


class OneAfterAnother:
    """A :class:`tests.stores.Stores` with one place: it is emptied by a purge without holds."""

    def __init__(self, place: Place) -> None:
        self._place = place

    @contextmanager
    def place(self, folder: Path) -> Iterator[Place]:
        yield self._place
        with closing(self._place.open()) as store:
            for hold in store.holds.all():
                store.holds.release(hold.hold_id, note())
            purge(store, Photos(folder / "photos"), AT_ONCE, NOW + 9 * DAY_MS, dry_run=False)
            counts = store.counts()
        assert (counts.reads, counts.plates, counts.hits) == (0, 0, 0)


@pytest.mark.full
@settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@draws
def test_no_read_outlives_its_date_and_no_held_read_goes_early(
    place: Place,
    some: list[tuple[str, int, tuple[int | None, int | None], str]],
    held: list[tuple[dict[str, object], int, int, int]],
    days: RetentionDays,
    law: list[Retention],
) -> None:
    _ONE.hypothesis.inner_test(OneAfterAnother(place), some, held, days, law)
