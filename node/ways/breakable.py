"""A thread that may wait for a server without end, and yet lets the node stop.

A pool's thread is waited for when Python ends; this one is not. At the stop the
wait is broken off where the server's library can do so; a thread that goes on
all the same is left behind after :data:`LONGEST_STOP_S` seconds. What it must
not touch after that it does inside :meth:`Breakable.going`.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue

import structlog

from node.ways.intake import Stopped

log = structlog.get_logger()
# Less than what calls in flight get after it, so that a stop stays short.
LONGEST_STOP_S = 5.0
_AGAIN_S = 0.5


class Breakable:
    """Runs work in one daemon thread; ``break_off`` ends its wait, from another thread.

    ``break_off`` may itself wait without end, raise anything, and come when
    there is nothing to break off; it is called again until the work ends.
    """

    def __init__(
        self, name: str, stopping: threading.Event, break_off: Callable[[], object]
    ) -> None:
        self._name = name
        self._stopping = stopping
        self._break_off = break_off
        self._ours = threading.Lock()
        # One thread for all work: the store opens a connection for each.
        self._works: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @contextmanager
    def going(self) -> Iterator[None]:
        """What the work does in this block is finished before the thread is left behind.

        Raises:
            Stopped: the node stops; nothing of the block was done.
        """
        with self._ours:
            if self._stopping.is_set():
                raise Stopped("the node stops")
            yield

    async def run(self, work: Callable[[], None]) -> None:
        """Run the work; when cancelled, break it off and wait for it, but not for ever.

        Raises:
            Exception: whatever the work raises.
        """
        ended: Future[None] = Future()
        ended.set_running_or_notify_cancel()
        waited = asyncio.wrap_future(ended)
        # Nobody asks for the outcome of what was broken off.
        waited.add_done_callback(lambda one: one.cancelled() or one.exception())
        self._works.put(lambda: _into(ended, work))
        if self._thread is None:
            self._thread = _start(f"source-{self._name}", self._loop)
        try:
            await asyncio.wait({waited})
        except asyncio.CancelledError:
            self._stopping.set()
            await self._end(waited)
            raise
        waited.result()

    def _loop(self) -> None:
        while not self._stopping.is_set():
            with suppress(Empty):
                self._works.get(timeout=1)()

    async def _end(self, waited: "asyncio.Future[None]") -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + LONGEST_STOP_S
        breaking: threading.Thread | None = None
        while not waited.done() and loop.time() < until:
            if breaking is None or not breaking.is_alive():
                breaking = _start(f"break-{self._name}", self._quietly)
            await asyncio.wait({waited}, timeout=_AGAIN_S)
        if not waited.done():
            # The store is closed after this: what is being written there is waited for.
            await asyncio.to_thread(self._ours.acquire)
            self._ours.release()
        if not waited.done():
            log.warning("the server does not answer: left behind at the stop", source=self._name)

    def _quietly(self) -> None:
        with suppress(Exception):
            self._break_off()


def _start(name: str, work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread


def _into(ended: "Future[None]", work: Callable[[], None]) -> None:
    try:
        work()
    except BaseException as error:
        ended.set_exception(error)
    else:
        ended.set_result(None)
