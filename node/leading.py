"""Which process of a node does what is done once: it begins when the seat is its own.

A node that is one process leads at once and for as long as it serves. Of several, one
has the seat (:class:`node.common.Seat`); the others look every second whether it is
free. Whoever leads looks as often whether the seat is still its own, and stops its
work if not, before anybody else begins:

    it looks every CHECK_S and hears within 2 s, or counts the seat as lost
    who takes a seat that another had waits PAUSE_S, and looks once more

Nothing hangs on that for what is right. Work that can't be stopped at once, a
document half taken or a purge in its thread, may run beside the next leader's as it
may beside a command: reads are known by their ids, and what is due is due to both.
A process that starts just when another has lost its connection does not wait; both
may then put the same record into the audit log.
"""

import asyncio
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
T = TypeVar("T")
Work = Callable[["Leading"], AbstractAsyncContextManager[None]]


class Leading:
    """One process' part: ``work`` is run while it leads."""

    def __init__(
        self, seat: Seat, work: "Callable[[Leading], AbstractAsyncContextManager[None]]"
    ) -> None:
        self._seat = seat
        self._work = work
        # Its own: the seat is asked by one thread, however many wait for others.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="leading")
        self.leads = False
        """True while this process leads, and no longer once it has lost the seat."""

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
                if await self._ask(self._seat.take):
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
                if not await self._ask(self._seat.held):
                    return
            self.leads = True
            async with self._work(self):
                log.info("leading")
                if not begun.done():
                    begun.set_result(None)
                while await self._ask(self._seat.held):  # noqa: ASYNC110 - nobody tells us
                    await asyncio.sleep(CHECK_S)
                self.leads = False
                log.warning("no longer leading")
        finally:
            self.leads = False
            await self._ask(self._seat.leave)

    def _ask(self, what: Callable[[], T]) -> Awaitable[T]:
        return asyncio.get_running_loop().run_in_executor(self._thread, what)
