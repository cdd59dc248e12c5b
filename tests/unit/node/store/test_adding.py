"""Storing reads: each once, all of a batch or none, under numbers of their own."""

from collections.abc import Callable

import pytest

from accord.agreements.terms import OPEN, Withholding
from accord.errors import Code, Refused
from accord.model import ExactPlate, Read, Window
from node.store.base import ReadStore, Search
from tests.cuts import all_before

START = 1_760_000_000_000
SEARCH = Search(
    ExactPlate("TEST001"), Window(START - 1, START + 10**6), OPEN, Withholding(), 0, 100
)
Make = Callable[..., Read]


def test_the_same_event_twice_is_one_read(store: ReadStore, make_read: Make) -> None:
    first, second = make_read(), make_read()
    assert store.add([first, second]).taken == 2
    again = store.add([second, make_read(), first])
    assert (again.taken, again.duplicates) == (1, (0, 2))
    assert store.counts().reads == 3


def test_duplicates_inside_one_batch_are_told(store: ReadStore, make_read: Make) -> None:
    read = make_read()
    added = store.add([read, read, make_read(), read])
    assert (added.taken, added.duplicates) == (2, (1, 3))


def test_a_batch_is_stored_whole_or_not_at_all(store: ReadStore, make_read: Make) -> None:
    with pytest.raises(Refused) as refused:
        store.add([make_read(), make_read(captured_ms=-5)])
    assert refused.value.code is Code.STORE_UNAVAILABLE
    assert store.counts().reads == 0
    assert store.counts().plates == 0


def test_row_numbers_are_never_used_twice(store: ReadStore, make_read: Make) -> None:
    store.add([make_read()])
    (first,) = store.search(SEARCH).rows
    store.delete_reads(all_before(START + 10**9), 10, lambda photo: None)
    store.add([make_read()])
    (second,) = store.search(SEARCH).rows
    assert second.row_id > first.row_id
