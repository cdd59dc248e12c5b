"""A node outside an agreement receives nothing at all, whatever the query says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from accord.errors import Code
from accord.model import AreaBox, ExactPlate, HotListPlate, OutcomeKind, PhotoOf, WildcardPlate
from accord.wire.v1 import node_pb2, node_pb2_grpc
from tests.conftest import PLATE, Federation
from tests.integration.stand_in import stand_in
from tests.integration.test_rogue_client import forge, to_broker


class RecordingNode(node_pb2_grpc.NodeServicer):
    """Counts the queries that reach it; it never answers one."""

    def __init__(self) -> None:
        self.received: list[node_pb2.AnswerRequest] = []

    async def Answer(self, request: node_pb2.AnswerRequest, context: Any) -> Any:
        self.received.append(request)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "recorded")


@dataclass
class Recorded:
    """A federation whose city node is a :class:`RecordingNode`."""

    federation: Federation
    city: RecordingNode


@asynccontextmanager
async def _recording(base: Path, signed_by: tuple[str, ...]) -> AsyncIterator[Recorded]:
    node = RecordingNode()
    async with stand_in(base, node, signed_by=signed_by) as federation:
        yield Recorded(federation, node)


@pytest.fixture
async def recorded(tmp_path: Path) -> AsyncIterator[Recorded]:
    async with _recording(tmp_path, ("city", "harbor")) as built:
        yield built


async def test_a_party_to_the_agreement_does_reach_the_node(recorded: Recorded) -> None:
    async with recorded.federation.client() as client:
        result = await client.ask(recorded.federation.question(agencies=("city",)))
    assert len(recorded.city.received) == 1
    assert result.outcomes[0].kind is OutcomeKind.UNREACHABLE


async def test_a_stranger_reaches_the_node_with_nothing(recorded: Recorded) -> None:
    """Every kind of query, with every agreement digest that the county could have seen."""
    federation = recorded.federation
    harbor = federation.nodes["harbor"].context.federation
    digests = [b"", b"\x00" * 32, b"\xff" * 32]
    digests += [a.manifest.digest for found in harbor.scope("harbor").values() for a in found]
    selectors = [
        ExactPlate(PLATE, "CA"),
        ExactPlate(PLATE),
        WildcardPlate("9TST*", ""),
        AreaBox(330_000_000, -1_190_000_000, 340_000_000, -1_180_000_000),
        HotListPlate(PLATE, "CA"),
        PhotoOf(b"r" * 16),
    ]
    queries = [
        forge(federation, "city", requester="county", agreement_digest=digest, selector=selector)
        for digest in digests
        for selector in selectors
    ]
    queries += [
        forge(federation, "city", requester="county", requesting_agency="harbor"),
        forge(federation, "city", requester="county", requesting_agency="city"),
        forge(federation, "city", requester="county", requesting_agency="exchange"),
        forge(federation, "city", requester="county", on_behalf_of="harbor"),
        forge(federation, "city", requester="county", home="harbor"),
        forge(federation, "city", requester="harbor", home="county"),
        forge(federation, "city", requester="harbor"),
    ]
    for envelope in queries:
        response = await to_broker(federation, "county", envelope)
        assert [o.WhichOneof("outcome") for o in response.outcomes] == ["claim"]
    assert recorded.city.received == []


async def test_purposes_outside_the_agreement_reach_nothing(recorded: Recorded) -> None:
    for purpose in ("hit-and-run", "civil-immigration", "commercial", "personal", "Stolen-vehicle"):
        async with recorded.federation.client() as client:
            result = await client.ask(
                recorded.federation.question(agencies=("city",), purpose=purpose)
            )
        assert result.outcomes[0].kind in {OutcomeKind.REFUSED, OutcomeKind.NOT_FORWARDED}
        envelope = forge(recorded.federation, "city", purpose=purpose)
        response = await to_broker(recorded.federation, "harbor", envelope)
        assert response.outcomes[0].WhichOneof("outcome") == "claim"
    assert recorded.city.received == []


async def test_an_agreement_that_one_party_never_signed_reaches_nothing(tmp_path: Path) -> None:
    async with _recording(tmp_path, ("harbor",)) as recorded:
        async with recorded.federation.client() as client:
            result = await client.ask(recorded.federation.question(agencies=("city",)))
        assert [o.code for o in result.outcomes] == [Code.AGREEMENT_NOT_EXECUTED.value]
        for digest in (b"", b"\x01" * 32):
            envelope = forge(recorded.federation, "city", agreement_digest=digest)
            response = await to_broker(recorded.federation, "harbor", envelope)
            assert response.outcomes[0].WhichOneof("outcome") == "claim"
        assert recorded.city.received == []
