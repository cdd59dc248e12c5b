"""Hot lists that grow too old: each step told once, a renewed list anew."""

from dataclasses import replace

from node.list_ages import Age, ListAges, age_of
from node.store.base import HotList

T = 1_760_000_000_000
ONE = HotList("stolen", "bureau", T, 60, 120, T, 1)


def told(ages: ListAges, *held: HotList, at_s: int) -> list[tuple[str, Age]]:
    return [(one.name, age) for one, age in ages.news(held, T + at_s * 1000)]


def test_each_step_is_told_once() -> None:
    ages = ListAges()
    assert told(ages, ONE, at_s=60) == []
    assert told(ages, ONE, at_s=61) == [("stolen", Age.STALE)]
    assert told(ages, ONE, at_s=120) == []
    assert told(ages, ONE, at_s=121) == [("stolen", Age.NOT_MATCHED)]
    assert told(ages, ONE, at_s=999) == []
    # A clock that was set back, and forth again, is no news.
    assert told(ages, ONE, at_s=0) == []
    assert told(ages, ONE, at_s=130) == []


def test_a_list_that_is_renewed_is_told_anew_and_another_by_itself() -> None:
    ages = ListAges()
    other = replace(ONE, name="wanted")
    assert told(ages, ONE, at_s=121) == [("stolen", Age.NOT_MATCHED)]
    assert told(ages, ONE, other, at_s=122) == [("wanted", Age.NOT_MATCHED)]
    renewed = replace(ONE, published_ms=T + 120_000)
    assert told(ages, renewed, at_s=125) == []
    assert told(ages, renewed, at_s=200) == [("stolen", Age.STALE)]
    assert told(ages, replace(renewed, source="county"), at_s=200) == [("stolen", Age.STALE)]


def test_after_a_restart_it_is_told_again() -> None:
    assert told(ListAges(), ONE, at_s=999) == told(ListAges(), ONE, at_s=999) != []
    assert age_of(ONE, T) is Age.CURRENT
