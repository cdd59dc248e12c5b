"""The law on real servers: home node, broker and owner refuse alike; counsel's updates close."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from grpc import aio

from accord.agreements.law.updates import sign_update
from accord.clock import SystemClock
from accord.codec_answer import decode_answer
from accord.demo.processes import free_port
from accord.identity import KeyRole
from accord.keys import PrivateKey
from accord.model import OutcomeKind, Window
from accord.roster import Officer
from accord.testing import FederationSimulator
from tests.conftest import EVERY_PURPOSE, HOUR_MS, Federation, read_at, running
from tests.integration.test_rogue_client import forge, to_broker, to_node

MINUTE_MS = 60_000
CIVIL = "Cal. Civ. Code 1798.90.55(b)"
UPDATE = """\
format = "accord-law/1"
id = "city-news"
number = {number}
title = "News"
applies_to = "CA"
[[rules]]
id = "no-wanted-persons"
kind = "permitted-purposes"
state = "enforced"
binds = "owner"
citation = "Example Act, section 7"
confidence = "high"
from = 2026-01-01
says = "Only for stolen vehicles."
purposes = ["stolen-vehicle"]
"""


@asynccontextmanager
async def two(base: Path, city: str, harbor: str) -> AsyncIterator[Federation]:
    """Run city and harbor, each of a state and kind, under an agreement that both signed."""
    files = FederationSimulator(base, SystemClock())
    files.add_operator("exchange", "Exchange", f"127.0.0.1:{free_port()}")
    for agency, what in (("city", city), ("harbor", harbor)):
        state, kind = what.split()
        address = f"127.0.0.1:{free_port()}"
        files.add_agency(agency, agency.title(), kind, address, state=state)
        files.add_officer(
            agency, Officer("O-1", "Officer", "detective", "good", "2026-09-01", EVERY_PURPOSE)
        )
    files.add_agreement("city-harbor", ("city", "harbor"), time="exact")
    files.build()
    async with running(files) as federation:
        now = federation.clock.now_ms()
        for agency in ("city", "harbor"):
            reads = [read_at(now - MINUTE_MS), read_at(now - 4 * MINUTE_MS)]
            federation.nodes[agency].context.store.add(reads)
        yield federation


async def asked(federation: Federation, requester: str, owner: str, **changes: Any) -> Any:
    async with federation.client(requester) as client:
        result = await client.ask(federation.question(agencies=(owner,), **changes))
    return result.outcomes[0]


@pytest.mark.parametrize("harbor", ["NV police", "CA federal", "DC federal"])
async def test_californian_data_leaves_by_no_gate(tmp_path: Path, harbor: str) -> None:
    async with two(tmp_path, "CA police", harbor) as federation:
        outcome = await asked(federation, "harbor", "city")
        assert (outcome.kind, outcome.code) == (OutcomeKind.REFUSED, "LAW_FORBIDS")
        assert outcome.section == CIVIL
        assert "never out of state" in outcome.text
        assert outcome.refused_by == "harbor"
        # A home node that signs whatever it is given changes nothing.
        envelope = forge(federation, "city")
        routed = await to_broker(federation, "harbor", envelope)
        assert routed.outcomes[0].claim.code == "LAW_FORBIDS"
        assert federation.kinds("city") == ["start"]
        error = await to_node(federation, "city", envelope)
        assert isinstance(error, aio.AioRpcError)
        assert error.code().name == "PERMISSION_DENIED"
        fields = federation.last("city")
        assert (fields["code"], fields["section"]) == ("LAW_FORBIDS", CIVIL)
        # The other way round Californian law forbids nothing.
        assert (await asked(federation, "city", "harbor")).kind is OutcomeKind.ANSWERED


async def test_within_california_it_is_answered(tmp_path: Path) -> None:
    async with two(tmp_path, "CA police", "CA port-police") as federation:
        outcome = await asked(federation, "harbor", "city")
        assert (outcome.kind, outcome.rows) == (OutcomeKind.ANSWERED, 2)


async def test_an_illinois_agency_is_asked_with_the_declaration(tmp_path: Path) -> None:
    async with two(tmp_path, "IL police", "CA police") as federation:
        outcome = await asked(federation, "harbor", "city")
        assert outcome.code == "ATTESTATION_REQUIRED"
        assert outcome.section == "625 ILCS 5/2-130(c)"
        assert "must declare law-il-declaration: My agency has filed" in outcome.text
        declared = (*federation.question().attestations, "law-il-declaration")
        outcome = await asked(federation, "harbor", "city", attestations=declared)
        assert outcome.kind is OutcomeKind.ANSWERED
        fields = federation.last("city")
        assert "law-il-declaration" in fields["attested"]


async def test_in_new_hampshire_a_read_is_gone_after_three_minutes(tmp_path: Path) -> None:
    async with two(tmp_path, "NH police", "NH police") as federation:
        outcome = await asked(federation, "harbor", "city")
        assert (outcome.kind, outcome.rows) == (OutcomeKind.ANSWERED, 1)
        own = await asked(federation, "city", "city")
        assert (own.kind, own.rows) == (OutcomeKind.ANSWERED, 1)
        now = federation.clock.now_ms()
        old = Window(now - HOUR_MS, now - 3 * MINUTE_MS)
        outcome = await asked(federation, "harbor", "city", window=old)
        assert (outcome.kind, outcome.rows) == (OutcomeKind.ANSWERED, 0)
        answer = await to_node(federation, "city", forge(federation, "city"))
        assert len(decode_answer(answer.answer.payload)[0].reads) == 1


def put(federation: Federation, number: int, *, signer: str = "city", text: str = UPDATE) -> Path:
    """Sign an update into the city's folder, and have its node look."""
    files = federation.files
    folder = files.folder("city") / "federation" / "law"
    folder.mkdir(exist_ok=True)
    data = text.format(number=number).encode()
    key = PrivateKey.load(files.members[signer].files.key(KeyRole.COUNSEL))
    (folder / "city-news.toml").write_bytes(data)
    (folder / "city-news.sig").write_bytes(sign_update(data, "x", key))
    federation.nodes["city"].context.sources.refresh()
    return folder


async def test_counsels_update_narrows_at_once_and_for_the_own_agency_alone(
    tmp_path: Path,
) -> None:
    async with two(tmp_path, "CA police", "CA police") as federation:
        wanted = {"purpose": "wanted-person"}
        assert (await asked(federation, "harbor", "city", **wanted)).kind is OutcomeKind.ANSWERED
        put(federation, 1)
        outcome = await asked(federation, "harbor", "city", **wanted)
        assert (outcome.code, outcome.refused_by) == ("LAW_FORBIDS", "city")
        assert outcome.section == "Example Act, section 7"
        own = await asked(federation, "city", "city", **wanted)
        assert own.code == "LAW_FORBIDS"
        assert (await asked(federation, "harbor", "city")).kind is OutcomeKind.ANSWERED
        # The harbor's data, and what the city's officers ask of it, is not the update's.
        assert (await asked(federation, "city", "harbor", **wanted)).kind is OutcomeKind.ANSWERED


async def test_a_bad_update_closes_the_node_until_it_is_mended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with two(tmp_path, "CA police", "CA police") as federation:
        folder = put(federation, 2)
        for spoil, told in (
            (lambda: put(federation, 1), "older than 2"),
            (lambda: put(federation, 3, signer="harbor"), "no valid signature by counsel of city"),
            (lambda: (folder / "city-news.sig").unlink(), "is not there"),
            (lambda: (folder / "city-news.toml").write_text("x = 1"), "city-news"),
        ):
            capsys.readouterr()
            spoil()
            federation.nodes["city"].context.sources.refresh()
            outcome = await asked(federation, "harbor", "city")
            assert (outcome.code, outcome.refused_by) == ("LOCAL_POLICY", "city")
            assert (await asked(federation, "city", "city")).code == "LOCAL_POLICY"
            assert (await asked(federation, "city", "harbor")).kind is OutcomeKind.ANSWERED
            out = capsys.readouterr().out
            assert "the law can't be used" in out
            assert told in out
            put(federation, 2)
            assert (await asked(federation, "harbor", "city")).kind is OutcomeKind.ANSWERED
        (folder / "city-news.sig").unlink()
        (folder / "city-news.toml").unlink()
        federation.nodes["city"].context.sources.refresh()
        assert (await asked(federation, "harbor", "city")).code == "LOCAL_POLICY"
        put(federation, 3)
        assert (await asked(federation, "harbor", "city")).kind is OutcomeKind.ANSWERED
