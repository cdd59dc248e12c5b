"""Of several events for one passage of a vehicle, the one that is the read.

A source that tells a passage step by step (seen, read better, gone) is followed
through its document: each event takes the place of the one before it, and what
was there before is counted as no read.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

# Passages that are under way at once; beyond it, the oldest is taken as ended.
_MAX_OPEN = 10_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Step(Generic[T]):
    """An event of a passage, and whether it is the read of it."""

    event: T
    is_read: bool
    ended: bool = True


def one_per_passage(
    events: Iterable[T],
    key: Callable[[T], Hashable],
    better: Callable[[T, T], bool],
    ends: Callable[[T], bool] = lambda _: False,
) -> Iterator[Step[T]]:
    """Yield every event once; of each passage one is the read.

    ``key`` names the passage, None where the event belongs to none; ``better``
    tells whether the second of two events says more than the first; after an
    event that ``ends`` it, the passage is over. ``ended`` of a step is false
    where the document ended first.
    """
    open_: dict[Hashable, T] = {}
    for event in events:
        name = key(event)
        if name is None:
            yield Step(event, is_read=True)
            continue
        best = open_.pop(name, None)
        if best is not None and not (better(best, event) or ends(event)):
            event, best = best, event
        if best is not None:
            yield Step(best, is_read=False)
        if ends(event):
            yield Step(event, is_read=True)
            continue
        open_[name] = event
        if len(open_) > _MAX_OPEN:
            yield Step(open_.pop(next(iter(open_))), is_read=True, ended=False)
    for event in open_.values():
        yield Step(event, is_read=True, ended=False)
