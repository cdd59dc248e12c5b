"""The sources of a serving node: each a task that can fail and start again, the node never.

Log lines name the source and the type of what failed, or our own words on it;
never what a document held.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import structlog

from accord.errors import InputError, Refused
from node.config import NodeConfig
from node.context import Context
from node.ingest.dead import unreadable
from node.ways.config import FolderSource, MqttSource, Source, SqlSource, WebhookSource
from node.ways.intake import Account, Intake, settings_of

log = structlog.get_logger()
LONGEST_WAIT_S = 60.0


class Way(Protocol):
    """One way in, made from its section of node.toml."""

    async def run(self) -> None:
        """Take what comes until cancelled.

        Raises:
            Exception: whatever stopped it; it is run again after a while.
        """


@asynccontextmanager
async def made(
    context: Context, config: NodeConfig, may_delete: Callable[[], bool]
) -> AsyncIterator[Sequence[tuple[Way, Intake]]]:
    """Make every source's way, which takes nothing before it is run.

    ``may_delete`` tells whether nobody doubts the clock.

    Raises:
        InputError: a source's section or a file that it names must be mended.
    """
    intakes = [
        Intake(
            source,
            settings_of(source, config.base),
            context.store,
            context.photos,
            context.clock,
            bands=config.bands,
            kept=context.kept,
            may_delete=may_delete,
        )
        for source in config.sources
    ]
    try:
        yield [(_way(intake, intake.source, config), intake) for intake in intakes]
    finally:
        for intake in intakes:
            await intake.close()


@asynccontextmanager
async def taking(
    context: Context, config: NodeConfig, may_delete: Callable[[], bool]
) -> AsyncIterator[Sequence[Account]]:
    """Take from every source while the block runs; the rest is as in :func:`made`."""
    async with made(context, config, may_delete) as ways:
        tasks = [asyncio.create_task(kept_running(way, intake.account)) for way, intake in ways]
        try:
            yield [intake.account for _, intake in ways]
        finally:
            for _, intake in ways:
                intake.stopping.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def kept_running(way: Way, account: Account, first_wait_s: float = 1.0) -> None:
    """Run one way for ever; after a failure again, with longer and longer waits.

    One that took reads meanwhile waits as after its first failure.
    """
    wait_s = first_wait_s
    loop = asyncio.get_running_loop()
    while True:
        started, taken = loop.time(), account.records["taken"]
        try:
            await way.run()
            problem = "it ended"
        except InputError as error:
            problem = unreadable(error)
        except Refused as refused:
            problem = f"{refused.code}: {refused.detail}"
        except Exception as error:
            # Whatever a source sends or a library makes of it: the node serves on.
            problem = type(error).__name__
        account.up = False
        if loop.time() - started > LONGEST_WAIT_S or account.records["taken"] > taken:
            wait_s = first_wait_s
        log.warning("source stopped", source=account.name, problem=problem, again_in_s=wait_s)
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)


def _way(intake: Intake, source: Source, config: NodeConfig) -> Way:
    # Imported here: a node loads the libraries of those ways only that it uses.
    base: Path = config.base
    match source:
        case FolderSource():
            from node.ways.folder import FolderWay

            for ours in (base, config.data):
                if ours.resolve().is_relative_to((base / source.folder).resolve()):
                    where = f"source {source.name}: folder"
                    problem = "holds the node's own files, which would be taken from it"
                    raise InputError(where, problem, "name a folder for reads alone")
            return FolderWay(intake, source, base)
        case WebhookSource():
            from node.ways.webhook import WebhookWay

            return WebhookWay(intake, source, base)
        case MqttSource():
            from node.ways.mqtt import MqttWay

            # No name has a dot in it: two nodes of one agency never take each other's session.
            parts = ("accord", config.agency, config.name, source.name)
            return MqttWay(intake, source, base, ".".join(parts))
        case SqlSource():
            from node.ways.sql import SqlWay

            return SqlWay(intake, source, base)


async def accounts_logged(accounts: Sequence[Account], every_s: float = 300.0) -> None:
    """Log each source's counts now and then, where they changed."""
    told: dict[str, int] = {}
    while True:
        await asyncio.sleep(every_s)
        for one in accounts:
            if told.get(one.name) == one.documents:
                continue
            told[one.name] = one.documents
            counts = {outcome.replace(" ", "_"): count for outcome, count in one.records.items()}
            log.info(
                "source",
                source=one.name,
                documents=one.documents,
                unreadable=one.unreadable,
                turned_away=one.turned_away,
                **counts,
            )
