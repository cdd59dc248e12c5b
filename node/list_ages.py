"""Hot lists that are too old: told once in the log when it happens.

A list that nobody renews goes stale, and past its hard limit matches nothing:
then nothing that is found means nothing. Each of the two is told once for a
publication, and again after a restart; one that is renewed is told anew.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum

from node.store.base import HotList


class Age(IntEnum):
    """How old a list is by its own two limits."""

    CURRENT = 0
    STALE = 1
    NOT_MATCHED = 2


def age_of(one: HotList, now_ms: int) -> Age:
    """Return how old a list is at a moment (UTC ms)."""
    if one.refused_at(now_ms):
        return Age.NOT_MATCHED
    return Age.STALE if one.stale_at(now_ms) else Age.CURRENT


class ListAges:
    """What was told of the lists that are held."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str, int], Age] = {}

    def news(self, held: Iterable[HotList], now_ms: int) -> Iterator[tuple[HotList, Age]]:
        """Yield each list that is older than was told, and how old; forget those that are gone."""
        told, self._told = self._told, {}
        for one in held:
            key = (one.name, one.source, one.published_ms)
            age = age_of(one, now_ms)
            self._told[key] = max(age, told.get(key, Age.CURRENT))
            if age > told.get(key, Age.CURRENT):
                yield one, age
