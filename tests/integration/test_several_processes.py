"""Several processes of one node on one database: a query runs once, bounds hold, one leads."""

import asyncio
import secrets
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from accord.agreements.heads import Head, sign_head
from accord.agreements.manifest_reading import parse_manifest
from accord.clock import SystemClock
from accord.deliveries import AgreementFile
from accord.errors import Code, Refused
from accord.identity import KeyRole, SpiffeId
from accord.keys import PrivateKey
from node.config import load_config
from node.leading import CHECK_S
from node.readiness import why_not_ready
from node.receive import Receiver
from node.serve import running_node
from tests.conftest import make_files
from tests.integration.several import Several, configured, several
from tests.integration.test_deliveries import agreed, manifest_of, suspension
from tests.integration.test_folder import FOLDER, names
from tests.integration.test_rogue_client import forge
from tests.integration.ways import event, until
from tests.postgres import Database

PER_MINUTE = ("agency_per_minute = 1000000", "agency_per_minute = 5")


def plates(database: Database) -> list[str]:
    with database.connect() as sql:
        found = sql.execute("SELECT plate FROM accord.reads ORDER BY row_id").fetchall()
    return [plate for (plate,) in found]


async def test_a_query_runs_once_over_all_processes(tmp_path: Path, database: Database) -> None:
    async with several(tmp_path, database) as city:
        ask = city.federation
        query, nonce = forge(ask, "city"), secrets.token_bytes(16)
        answer = await city.ask("a", query)
        assert answer.payload
        assert await city.ask("b", query) == "REPLAYED"
        # The one that has answered gives its broker the same bytes again.
        assert (await city.ask("a", query)).payload == answer.payload
        assert (await city.ask("b", forge(ask, "city", nonce=nonce))).payload
        assert await city.ask("a", forge(ask, "city", nonce=nonce)) == "REPLAYED"
        assert (await city.ask("a", forge(ask, "city"))).payload
        copies = [city.ask(name, again) for again in [forge(ask, "city")] for name in "abab"]
        found = await asyncio.gather(*copies)
        answers = {one.payload for one in found if not isinstance(one, str)}
        assert len(answers) == 1
        assert {one for one in found if isinstance(one, str)} <= {"REPLAYED", "IN_PROGRESS"}


async def test_a_name_with_their_addresses_is_called_at_each_in_turn(
    tmp_path: Path, database: Database
) -> None:
    async with several(tmp_path, database) as city, city.broker("ab") as ask:
        query = forge(city.federation, "city")
        assert (await ask(query)).payload
        await asyncio.sleep(0.5)  # the second connection
        # One of them has the stored answer, the other can't know of it.
        again = [await ask(query) for _ in range(8)]
        assert sum(one == "REPLAYED" for one in again) == 4
        city.processes["a"].kill()
        after = [await ask(forge(city.federation, "city")) for _ in range(6)]
        assert sum(not isinstance(one, str) for one in after) >= 5


async def test_bounds_hold_over_all_processes(tmp_path: Path, database: Database) -> None:
    async with several(tmp_path, database, policy=PER_MINUTE) as city:
        if time.time() % 60 > 50:
            # All in one minute.
            await asyncio.sleep(60 - time.time() % 60)
        queries = [forge(city.federation, "city") for _ in range(12)]
        asked = [await city.ask("ab"[n % 2], query) for n, query in enumerate(queries)]
        refused = [one for one in asked if isinstance(one, str)]
        assert len(asked) - len(refused) == 5
        assert set(refused) == {"RATE_EXCEEDED"}
        # A replay of what was answered is none of the five, and no answer.
        assert await city.ask("b", queries[0]) in ("REPLAYED", "RATE_EXCEEDED")


async def test_another_leads_when_the_leader_is_killed(tmp_path: Path, database: Database) -> None:
    folder = tmp_path / "city" / "in"
    folder.mkdir(parents=True)
    async with several(tmp_path, database, FOLDER) as city:
        before = plates(database)
        first = city.leader()
        other = city.processes["b"]
        assert other is not first
        (folder / "1.json").write_bytes(event("TEST001"))
        await until(lambda: names(folder) == [])
        first.kill()
        (folder / "2.json").write_bytes(event("TEST002"))
        began = time.monotonic()
        await until(other.leads, 15)
        assert time.monotonic() - began < 8
        await until(lambda: names(folder) == [])
        # What is there was taken by one of them, once.
        assert plates(database) == [*before, "TEST001", "TEST002"]
        assert await answers(city, "b")
        first.start()
        await until(lambda: first.said("serving") == 2)
        assert await answers(city, "a")
        assert not first.said("leading") > 1
        assert other.leads()


async def test_another_leads_when_the_leader_stands_still(
    tmp_path: Path, database: Database
) -> None:
    """Its connection stays open: the kernel answers for it."""
    async with several(tmp_path, database) as city:
        first, other = city.leader(), city.processes["b"]
        assert first.running is not None
        first.running.send_signal(signal.SIGTSTP)
        try:
            await until(other.leads, 40)
        finally:
            first.running.send_signal(signal.SIGCONT)
        await until(lambda: first.said("no longer leading") == 1, 15)
        await asyncio.sleep(4 * CHECK_S)
        assert (first.leads(), other.leads()) == (False, True)
        assert await answers(city, "a")
        assert await answers(city, "b")


async def test_a_process_is_not_ready_while_a_table_is_gone(
    tmp_path: Path, database: Database
) -> None:
    files = make_files(tmp_path, SystemClock())
    files.build()
    config = configured(files, database)["a"].config
    async with running_node(load_config(config), SystemClock()) as node:
        assert why_not_ready(node.context, None) == []
        with database.connect() as sql:
            sql.execute("ALTER TABLE accord.hot_list_entries RENAME TO elsewhere")
            [why] = why_not_ready(node.context, None)
            assert why.endswith("tables of the database are gone: hot_list_entries")
            sql.execute("ALTER TABLE accord.elsewhere RENAME TO hot_list_entries")
        assert why_not_ready(node.context, None) == []


async def answers(city: Several, name: str) -> bool:
    return not isinstance(await city.ask(name, forge(city.federation, "city")), str)


async def test_a_restart_of_the_server_needs_none_of_the_node(
    tmp_path: Path, database: Database
) -> None:
    async with several(tmp_path, database) as city:
        led = city.processes["a"].said("leading")
        assert led == 1
        with database.server.away():
            codes = await asyncio.gather(
                *(city.ask(name, forge(city.federation, "city")) for name in "ab")
            )
            # Refused with what can't be recorded, since the audit log is there too.
            assert set(codes) == {"The audit log can't be written, so nothing is answered."}
            await until(lambda: city.processes["a"].said("no longer leading") == 1)

        async def served() -> None:
            for name in "ab":
                if not await answers(city, name):
                    return
            done.append(True)

        done: list[bool] = []
        await until(lambda: done, 20, works=served)
        await until(lambda: sum(p.leads() for p in city.processes.values()) == 1, 15)


async def test_a_head_that_one_process_took_is_known_to_the_other(
    tmp_path: Path, database: Database
) -> None:
    """At once, not only when it next looks at the folder: else an older one would replace it."""
    files = agreed(tmp_path, SystemClock())
    configs = [process.config for process in configured(files, database).values()]
    now, city = SystemClock().now_ms(), files.folder("city")
    folder = city / "federation" / "agreements" / "city-harbor"
    manifest = parse_manifest((folder / "agreement.toml").read_bytes(), folder)
    key = PrivateKey.load(files.members["harbor"].files.key(KeyRole.NODE))

    def head(minutes: int) -> AgreementFile:
        at_ms = now - minutes * 60_000
        signed = sign_head(manifest, Head("harbor", at_ms, at_ms, now + 3_600_000), key)
        return AgreementFile(manifest.digest, "heads/harbor.json", signed)

    (folder / "heads" / "harbor.json").write_bytes(head(20).content)
    async with AsyncExitStack() as stack:
        receivers = []
        for config in configs:
            node = await stack.enter_async_context(running_node(load_config(config), SystemClock()))
            receivers.append(Receiver(node.context))
        broker = SpiffeId.parse(next(iter(node.context.brokers)))
        assert (await receivers[0].receive("city", head(5), broker)).acknowledgement.payload
        with pytest.raises(Refused) as refused:
            await receivers[1].receive("city", head(10), broker)
        assert refused.value.code is Code.STALE
        newest = head(1)
        assert (await receivers[1].receive("city", newest, broker)).acknowledgement.payload
        assert (folder / "heads" / "harbor.json").read_bytes() == newest.content


async def test_a_suspension_that_one_process_has_acknowledged_holds_at_the_other(
    tmp_path: Path, database: Database
) -> None:
    async with several(tmp_path, database) as city, city.broker("a") as a, city.broker("b") as b:
        files = city.federation.files
        assert (await a(forge(city.federation, "city"))).payload
        assert (await b(forge(city.federation, "city"))).payload
        file = AgreementFile(
            manifest_of(files).digest, "instruments/harbor-1.json", suspension(files)
        )
        assert (await city.deliver("a", file)).acknowledgement.payload
        assert await b(forge(city.federation, "city")) == "AGREEMENT_SUSPENDED"
        assert await a(forge(city.federation, "city")) == "AGREEMENT_SUSPENDED"
