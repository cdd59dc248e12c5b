"""kill -9 of a node while it answers: every answer that a client holds is in its log, as proved."""

import asyncio
import contextlib
import random
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from accord.audit import proof
from accord.audit.extension import signed_head
from accord.audit.file import LogFile
from accord.audit.leaf import opening_matches
from accord.audit.merkle import leaf_hash, verify_consistency, verify_inclusion
from accord.audit.reader import AuditReader
from accord.client import AccordClient
from accord.clock import SystemClock
from accord.codec_answer import decode_answer
from accord.errors import AccordError
from accord.keys import PrivateKey, read_secret_32
from accord.model import Receipt
from accord.testing import FederationSimulator
from node.config import load_config
from node.store.opening import open_store
from tests.conftest import HOUR_MS, Federation, make_files, read_at
from tests.integration.ways import until

WORKERS = 6


class Holder:
    """A client of harbor that asks without end, and keeps the receipt of each answer it was shown.

    ``held`` is by query digest.
    """

    def __init__(self, federation: Federation) -> None:
        self._federation = federation
        self.held: dict[bytes, Receipt] = {}
        self.asks = True

    async def work(self, client: AccordClient) -> None:
        while self.asks:
            try:
                result = await client.ask(self._federation.question(agencies=("city",)))
            except AccordError:
                continue
            for one in result.proofs:
                _, _, receipt = decode_answer(one.answer.payload)
                self.held[one.body.query_digest] = receipt


def check(city: Path, held: dict[bytes, Receipt]) -> None:
    """The log is sound, and holds each answer where its receipt says, with that leaf."""
    settings = load_config(city / "node.toml")
    key, secret = PrivateKey.load(settings.audit_key).public, read_secret_32(settings.audit_secret)
    with AuditReader.open(LogFile(settings.data / "audit.db"), secret, key, "city/node") as reader:
        found = reader.verify()
        assert (found.ok, found.problem) == (True, "")
        head = signed_head(LogFile(settings.data / "audit.db"), "city/node", key).signed
        entries = {shown.index: shown.fields for shown in reader.entries()}
        assert len(entries) == head.size == found.entries
        for digest, receipt in held.items():
            proven = proof.verify(receipt.proof, receipt.leaf, "city/node", [key])
            fields, signed = entries[proven.index], proven.signed
            assert (fields["kind"], fields["query_digest"]) == ("answer", digest.hex())
            for name in ("query_digest", "answer_digest"):
                salt = getattr(receipt, f"{name}_salt")
                assert opening_matches(receipt.leaf, name, salt, fields[name])
            # The log that is there now begins with what the client was shown.
            path = reader.inclusion(proven.index, head.size)
            leaf = leaf_hash(receipt.leaf)
            verify_inclusion(leaf, proven.index, head.size, path, head.root)
            between = reader.consistency(signed.size, head.size)
            verify_consistency(signed.size, head.size, signed.root, head.root, between)


async def kill_in_a_loop(files: FederationSimulator, times: int) -> None:
    city = files.folder("city")
    now = files.clock.now_ms()
    with contextlib.closing(open_store(load_config(city / "node.toml"))) as store:
        store.add([read_at(now - hours * HOUR_MS) for hours in range(1, 5)])
    chance, turns = random.Random(6), 0
    async with AsyncExitStack() as stack:
        federation = Federation(files, SystemClock(), stack)
        await federation.start_node("harbor")
        await federation.start_broker()
        client = await stack.enter_async_context(federation.client())
        holder = Holder(federation)
        for _ in range(times):
            node = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "node", "serve", "--config", str(city / "node.toml"),
                stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            before, holder.asks = len(holder.held), True
            async with asyncio.TaskGroup() as working:
                for _ in range(WORKERS):
                    working.create_task(holder.work(client))
                try:
                    await until(lambda before=before: len(holder.held) > before)
                    await asyncio.sleep(chance.uniform(0.02, 0.8))
                finally:
                    with contextlib.suppress(ProcessLookupError):
                        node.kill()
                    holder.asks = False
                    await node.wait()
            turns += 1
            check(city, holder.held)
    assert turns == times
    assert len(holder.held) >= times


async def test_a_killed_nodes_log_holds_every_answer_that_a_client_holds(tmp_path: Path) -> None:
    files = make_files(tmp_path, SystemClock())
    files.build()
    await kill_in_a_loop(files, 2)


@pytest.mark.full
async def test_a_killed_nodes_log_holds_every_answer_for_long(tmp_path: Path) -> None:
    files = make_files(tmp_path, SystemClock())
    files.build()
    await kill_in_a_loop(files, 40)
