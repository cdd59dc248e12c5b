"""Which process of a node does what is done once: it begins when the seat is its own.

A node that is one process leads at once and for as long as it serves. Of several, one
has the seat (:class:`node.common.Seat`); the others look every second whether it is
free. Whoever leads looks as often whether the seat is still its own, and stops its
work if not, before anybody else begins:

    it looks every CHECK_S and hears within 2 s, or counts the seat as lost
    who takes a seat that another had waits PAUSE_S, and looks once more
    who has not looked for LEASE_S has stood still, and begins nothing before it has
    who has not looked for STANDING_S loses the seat to whoever else wants it
    who can't do the work, since its audit log failed, leaves it to whoever can

Nothing hangs on that for what is right. Work that can't be stopped at once, a
document half taken or a purge in its thread, may run beside the next leader's as it
may beside a command: reads are known by their ids, and what is due is due to both.
So is what a process had begun that stood still (SIGSTOP, a machine that was paused)
and goes on when another leads: each of its writes is a transaction of its own, which
looks at holds and ids as they are then.
A process that starts just when another has lost its connection does not wait; both
may then put the same record into the audit log.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

import structlog

from accord.errors import AccordError
from node.common import Seat

log = structlog.get_logger()

CHECK_S = 1.0
PAUSE_S = 3.0
LEASE_S = 5.0
"""Below :data:`node.common.STANDING_S` by more than it takes to begin something."""
_LOOK_S = 0.1
T = TypeVar("T")
Work = Callable[["Leading"], AbstractAsyncContextManager[None]]
# Goes on while the machine is paused.
_EVER = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Leading:
    """One process' part: ``work`` is run while it leads."""

    def __init__(self, seat: Seat, work: Work, fit: Callable[[], bool] = lambda: True) -> None:
        """``fit`` tells whether this process can do the work now; one that is alone does it anyway.

        A purge that nobody makes would be worse than one whose record waits for the log.
        """
        self._seat = seat
        self._work = work
        self._fit = fit
        self._held_s = 0.0
        # Its own: the seat is asked by one thread, however many wait for others.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="leading")
        self.leads = False
        """True while this process leads, and no longer once it has lost the seat."""

    async def surely(self) -> None:
        """Wait until this process knows that it leads: it may have stood still meanwhile.

        Where it does not lead any longer, whoever waits is cancelled with the work.
        """
        while self._seat.shared and self._stale():  # noqa: ASYNC110 - a clock tells nobody
            await asyncio.sleep(_LOOK_S)

    def _stale(self) -> bool:
        return time.clock_gettime(_EVER) > self._held_s + LEASE_S

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Lead while the block runs, whenever the seat is ours; the work has begun, if it is.

        Raises:
            InputError, Refused: the work can't begin, at the start.
        """
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._run(begun))
        try:
            await begun
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._thread.shutdown()

    async def _run(self, begun: asyncio.Future[None]) -> None:
        pause_s, told = 0.0, ""
        while True:
            try:
                if self._may() and await self._ask(self._seat.take):
                    await self._lead(pause_s, begun)
            except Exception as problem:
                if not begun.done():
                    # A person is there to mend it.
                    begun.set_exception(problem)
                    return
                said = str(problem) if isinstance(problem, AccordError) else type(problem).__name__
                if said != told:
                    log.error("alert: this process can't lead", problem=said)
                told = said
            if not begun.done():
                begun.set_result(None)
            pause_s = PAUSE_S
            await asyncio.sleep(CHECK_S)

    async def _lead(self, pause_s: float, begun: asyncio.Future[None]) -> None:
        """Work until the seat is lost; it is given up when this ends."""
        try:
            if pause_s:
                await asyncio.sleep(pause_s)
            if not await self._holds():
                return
            self.leads = True
            async with self._work(self):
                log.info("leading")
                if not begun.done():
                    begun.set_result(None)
                while self._may() and await self._holds():  # noqa: ASYNC110 - nobody tells us
                    await asyncio.sleep(CHECK_S)
                self.leads = False
                log.warning("no longer leading")
        finally:
            self.leads = False
            await self._ask(self._seat.leave)

    def _may(self) -> bool:
        return self._fit() or not self._seat.shared

    async def _holds(self) -> bool:
        asked_s = time.clock_gettime(_EVER)
        if not await self._ask(self._seat.held):
            return False
        self._held_s = asked_s
        return True

    def _ask(self, what: Callable[[], T]) -> Awaitable[T]:
        return asyncio.get_running_loop().run_in_executor(self._thread, what)
