"""A check in pieces, on all processors, told in the order of the pieces."""

import gc
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain, islice
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

# So many pieces wait for each worker: it never does, and little is held.
_AHEAD = 2


def in_order(work: Callable[[A], B], pieces: Iterable[A]) -> Iterator[B]:
    """Yield what ``work`` makes of each piece, in order; few pieces are held at once.

    ``work`` is a function of a module, pieces and results can be pickled. One piece is
    worked on here: a process is not worth its start.
    """
    waiting = iter(pieces)
    first = list(islice(waiting, 2))
    count = len(os.sched_getaffinity(0))
    if len(first) < 2 or count < 2:
        yield from map(work, chain(first, waiting))
        return
    # Started anew: what this process holds open is not theirs.
    context = multiprocessing.get_context("spawn")
    # Millions of small lists and no cycle among them: looking for one costs a third more.
    with ProcessPoolExecutor(count, mp_context=context, initializer=gc.disable) as pool:
        under_way: deque[Future[B]] = deque()
        try:
            for piece in chain(first, waiting):
                under_way.append(pool.submit(work, piece))
                if len(under_way) > _AHEAD * count:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for one in under_way:
                one.cancel()
