"""What is done once for all processes of a node, by the one that leads (:mod:`node.leading`).

at its beginning   the clock is looked at, heads are signed, what the audit log does not
hold yet is recorded, by the log as it is then, and its head noted
while it leads     sources are taken from, purges run, files are sent to partners,
counterparts asked to cosign, heads kept, permissions looked at, and what is old or ahead is told
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from accord.agreements.calendar import Event, due
from accord.clock import iso
from accord.errors import InputError, Refused
from accord.keys import PrivateKey
from accord.processes import every
from accord.transport.channels import ChannelPool
from accord.transport.tls import OwnCertificate
from node.acknowledged import Acknowledged
from node.activations import ActivationRecords
from node.ahead import days_ahead
from node.config import NodeConfig
from node.context import Context
from node.cosigning import LOOK_S, Cosigning
from node.head_keeper import HeadKeeper
from node.head_records import HeadRecords
from node.leading import Leading
from node.list_ages import Age, ListAges
from node.opened_log import log_head, log_place
from node.outbox import Outbox
from node.permission_history import PermissionHistory
from node.permission_watch import look_again
from node.purging import Purging
from node.retention_records import RetentionRecords
from node.ways.intake import Account
from node.ways.running import accounts_logged, taking
from node.witness_memory import Memory
from node.witness_records import AlertRecords

log = structlog.get_logger()

LISTS_S = 60.0
CLOCK_S = 60.0
HEAD_S = 60.0


@dataclass
class Leader:
    """The leader's work, and what the rest of its process sees of it."""

    context: Context
    config: NodeConfig
    purging: Purging
    tls: OwnCertificate
    memory: Memory
    accounts: list[Account] = field(default_factory=list)
    """Of its sources; none while another process leads."""
    refreshed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever the process has read changed files."""

    def _may_delete(self) -> bool:
        return self.purging.stop is None

    @asynccontextmanager
    async def working(self, leading: Leading) -> AsyncIterator[None]:
        """Do the leader's work while the block runs; ``leading`` tells whether the seat was lost.

        Raises:
            InputError: a file or setting that a person must mend.
            Refused: ``AUDIT_UNAVAILABLE``, or the store's.
        """
        context, config = self.context, self.config
        await self.purging.look()
        keeper = HeadKeeper(config.agency, context.sources, context.signer, context.clock)
        await asyncio.to_thread(keeper.keep)
        recorded = (
            ActivationRecords(context), HeadRecords(context), RetentionRecords(context),
            AlertRecords(context, self.memory),
        )  # fmt: skip
        for records in recorded:
            await records.record()
        await self._keep_head()
        try:
            async with taking(context, config, self._may_delete) as accounts:
                self.accounts[:] = accounts
                async with self._periodic(leading, keeper, recorded), self._sending(leading):
                    yield
        finally:
            self.accounts.clear()
            self.purging.last_ms = 0
            with contextlib.suppress(InputError):
                await self._keep_head()

    async def _keep_head(self) -> None:
        head = log_head(self.config, PrivateKey.load(self.config.audit_key).public)
        await asyncio.to_thread(head.keep, log_place(self.config))

    @asynccontextmanager
    async def _periodic(
        self,
        leading: Leading,
        keeper: HeadKeeper,
        recorded: Sequence[ActivationRecords | HeadRecords | RetentionRecords | AlertRecords],
    ) -> AsyncIterator[None]:
        """Keep, record, purge and tell what lies ahead."""
        context = self.context
        changed = asyncio.Event()
        changed.set()  # the first look is at once
        history, seen = PermissionHistory(self.config.data), context.sources.changes

        async def keep() -> None:
            nonlocal seen
            await self.refreshed.wait()
            self.refreshed.clear()
            await leading.surely()
            await asyncio.to_thread(keeper.keep)
            # A delivery refreshes too, before this does.
            if context.sources.changes != seen:
                seen = context.sources.changes
                changed.set()
            for records in recorded:
                await records.record()

        async def look() -> None:
            await look_again(context.agency, context.sources, history, context.clock, changed)

        async def purge() -> None:
            await leading.surely()
            await self.purging.purge()

        ahead, lists = _Ahead(context), _Lists(context)
        await ahead.tell()
        await lists.tell()
        tasks = [
            asyncio.create_task(accounts_logged(self.accounts)),
            asyncio.create_task(every(0.0, keep)),
            asyncio.create_task(every(0.0, look)),
            asyncio.create_task(every(3600.0, ahead.tell)),
            asyncio.create_task(every(LISTS_S, lists.tell)),
            asyncio.create_task(every(CLOCK_S, self.purging.look)),
            asyncio.create_task(every(HEAD_S, self._keep_head)),
            asyncio.create_task(every(self.config.purge_every_s, purge)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if leading.leads:
                # Else somebody else may look by now.
                with contextlib.suppress(InputError):
                    history.stopped()

    @asynccontextmanager
    async def _sending(self, leading: Leading) -> AsyncIterator[None]:
        """Send what is due."""
        pool = ChannelPool(self.tls.current())
        context, config = self.context, self.config
        outbox = Outbox(context, pool, Acknowledged(config.data))
        public = PrivateKey.load(config.audit_key).public
        cosigning = Cosigning(
            context, config.witnesses, self.memory, log_place(config), public, pool
        )

        async def send() -> None:
            await leading.surely()
            pool.renew(await asyncio.to_thread(self.tls.current))
            await outbox.send()

        tasks = [
            asyncio.create_task(every(0.5, send)),
            asyncio.create_task(every(1.0, cosigning.ask)),
            asyncio.create_task(every(LOOK_S, cosigning.look)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await outbox.close()
            await cosigning.close()
            await pool.close()


class _Ahead:
    """Logs what lies 90, 60 or 30 days ahead, each once, and again after a restart."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._told: set[tuple[Event, int]] = set()

    async def tell(self) -> None:
        """Tell what was not told yet."""
        today, found = days_ahead(self._context)
        for event, days, stage in due(found, today):
            if (event, stage) not in self._told:
                self._told.add((event, stage))
                log.warning("a day lies ahead", of=event.agreement, on=str(event.day), days=days,
                            section=event.section, what=event.text)  # fmt: skip


class _Lists:
    """Logs each hot list that went stale, or past its hard limit, once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._ages = ListAges()

    async def tell(self) -> None:
        """Tell what was not told yet."""
        context = self._context
        try:
            held = await asyncio.to_thread(context.store.hot_lists.lists)
        except Refused as problem:
            log.warning("the ages of the hot lists can't be told", problem=problem.text)
            return
        for one, age in self._ages.news(held, context.clock.now_ms()):
            published = iso(one.published_ms)
            if age is Age.NOT_MATCHED:
                log.error("alert: a hot list is past its hard limit and matches nothing",
                          list=one.name, published=published)  # fmt: skip
            else:
                log.warning("a hot list is stale", list=one.name, published=published)
