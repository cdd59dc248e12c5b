"""``accord-node agreement who``: a real node says who may ask it, and what changed."""

import asyncio
import json
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from accord.agreements.instrument_payload import sign_instrument
from accord.agreements.instruments import Details, Instrument, InstrumentKind
from accord.agreements.manifest_reading import parse_manifest
from accord.clock import SystemClock
from accord.identity import KeyRole
from accord.keys import PrivateKey
from node.cli_agreement import app
from tests.conftest import make_files, running


def who(config: Path, *more: str) -> str:
    arguments = ["who", "--config", str(config), *more]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


async def said(config: Path, *more: str) -> dict:
    return json.loads(await asyncio.to_thread(who, config, "--json", *more))


async def until(config: Path, ready) -> dict:
    """Ask again until the serving node has seen it: it looks once a second."""
    for _ in range(60):
        found = await said(config)
        if ready(found):
            return found
        await asyncio.sleep(0.25)
    raise AssertionError(found)


def instrument(files, kind: InstrumentKind, number: int, **details) -> None:
    """Have harbor's counsel sign an instrument, and put it into the city's folder."""
    folder = files.folder("city") / "federation" / "agreements" / "city-harbor"
    file = folder / "agreement.toml"
    one = Instrument("harbor", number, kind, "Jane Roe", "General Counsel",
                     SystemClock().now_ms(), Details(**details))  # fmt: skip
    key = PrivateKey.load(files.members["harbor"].files.key(KeyRole.COUNSEL))
    data = sign_instrument(parse_manifest(file.read_bytes(), file), one, key)
    (folder / "instruments").mkdir(exist_ok=True)
    (folder / "instruments" / f"harbor-{number}.json").write_bytes(data)


def may(found: dict, requester: str) -> list[dict]:
    return [one for one in found["may"] if one["requester"] == requester]


GAINED = "alert: an agency gained a permission"


async def test_who_may_ask_and_what_a_suspension_took(tmp_path):
    files = make_files(tmp_path, SystemClock())
    files.build()
    config = files.folder("city") / "node.toml"
    async with running(files, broker=False):
        found = await until(config, lambda found: found["serving"])
        reads, hot_list = may(found, "harbor")
        assert reads["agreement"] == "city-harbor"
        assert reads["section"] == "II.A"
        assert "stolen-vehicle" in reads["purposes"]
        assert "hit-and-run" not in reads["purposes"]
        assert (reads["look_back_days"], reads["rows"]) == (365, 500)
        ways = ["plate", "partial", "lookalike", "area", "circle", "polygon", "photo"]
        assert reads["searches"] == ways
        assert hot_list["kind"] == "hot-list"
        (exchange,) = [one for one in found["may_not"] if one["requester"] == "exchange"]
        assert exchange["code"] == "LAW_FORBIDS"
        assert found["changes"] == []
        with structlog.testing.capture_logs() as logged:
            instrument(files, InstrumentKind.SUSPENSION, 1, reason="A count that does not agree")
            found = await until(config, lambda found: not may(found, "harbor"))
        assert not [one for one in logged if "gained" in one["event"]]
        (why,) = [one for one in found["may_not"] if one["requester"] == "harbor"]
        assert (why["code"], why["section"]) == ("AGREEMENT_SUSPENDED", "II.A")
        assert "harbor has suspended it" in why["reason"]
        assert {one["effect"] for one in found["changes"]} == {"loses"}
        assert {one["requester"] for one in found["changes"]} == {"harbor"}
        (cause,) = {one["cause"] for one in found["changes"]}
        assert "suspension, number 1 of harbor" in cause
        out = await asyncio.to_thread(who, config)
        assert "may no longer ask for reads" in out
        assert "harbor has suspended it" in out
        with structlog.testing.capture_logs() as logged:
            instrument(files, InstrumentKind.RESUMPTION, 2, of=1)
            found = await until(config, lambda found: may(found, "harbor"))
            # The history is on disk a moment before the log has it.
            for _ in range(100):
                gained = [one for one in logged if one["event"] == GAINED]
                if gained:
                    break
                await asyncio.sleep(0.05)
        assert {one["of"] for one in gained} == {"harbor"}
        assert all("resumption, number 2 of harbor" in one["cause"] for one in gained)
        assert {one["log_level"] for one in gained} == {"warning"}
        assert {one["effect"] for one in found["changes"]} == {"loses", "gains"}


async def test_what_changed_while_nobody_served_is_told_all_the_same(tmp_path):
    files = make_files(tmp_path, SystemClock())
    files.build()
    config = files.folder("city") / "node.toml"
    async with running(files, broker=False):
        await until(config, lambda found: found["serving"])
    policy = files.folder("city") / "policy.toml"
    text = policy.read_text().replace("version = 1", "version = 2")
    policy.write_text(text.replace('agency = "harbor"', 'agency = "harbor"\nlook_back_days = 5'))
    found = await said(config)
    (change,) = [one for one in found["changes"] if one["requester"] == "harbor"]
    assert "searches back 5 days, 365 before" in change["what"]
    assert "our policy is now version 2" in change["cause"]


@pytest.mark.parametrize("missing", [True, False])
async def test_a_node_that_never_served_answers_from_its_files(tmp_path, missing):
    files = make_files(tmp_path, SystemClock())
    files.build()
    config = files.folder("city") / "node.toml"
    if missing:
        (files.folder("city") / "policy.toml").unlink()
    out = who(config)
    assert "its node is not serving" in out
    words = " ".join(out.replace("│", " ").split())
    assert ("by plate, partial, lookalike, area, photo;" in words) is not missing
    assert ("seeing the time to the minute" in words) is not missing
    assert ("policy.toml can't be read" in out) is missing
