"""A node that is slow, endless or talks nonsense costs its own outcome and nothing else."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from accord.envelope import ANSWER
from accord.errors import Code
from accord.model import OutcomeKind
from accord.wire.v1 import envelope_pb2, node_pb2, node_pb2_grpc
from tests.conftest import Federation
from tests.integration.stand_in import stand_in


class BadNode(node_pb2_grpc.NodeServicer):
    """Answers as it is told to; remembers whether its call was cancelled."""

    def __init__(self, behave: Callable[[], Awaitable[node_pb2.AnswerResponse]]) -> None:
        self._behave = behave
        self.called = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def Answer(self, request: node_pb2.AnswerRequest, context: Any) -> Any:
        self.called.set()
        try:
            return await self._behave()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


async def late() -> node_pb2.AnswerResponse:
    await asyncio.sleep(3600)
    return node_pb2.AnswerResponse()


async def empty() -> node_pb2.AnswerResponse:
    return node_pb2.AnswerResponse()


async def nonsense() -> node_pb2.AnswerResponse:
    signature = envelope_pb2.Signature(sig=b"0" * 70, keyid="0" * 64)
    answer = envelope_pb2.Envelope(payload=b"\xff", payload_type=ANSWER, signatures=[signature])
    return node_pb2.AnswerResponse(answer=answer)


async def endless() -> node_pb2.AnswerResponse:
    return node_pb2.AnswerResponse(answer=envelope_pb2.Envelope(payload=bytes(17 << 20)))


async def broken() -> node_pb2.AnswerResponse:
    raise RuntimeError("a fault of its own")


@pytest.mark.parametrize(
    ("behave", "kind", "code"),
    [
        (late, OutcomeKind.TIMED_OUT, Code.NODE_TIMED_OUT),
        (empty, OutcomeKind.UNVERIFIED, Code.ANSWER_UNVERIFIED),
        (nonsense, OutcomeKind.UNVERIFIED, Code.ANSWER_UNVERIFIED),
        (endless, OutcomeKind.UNVERIFIED, Code.TOO_LARGE),
        (broken, OutcomeKind.UNREACHABLE, Code.NODE_UNREACHABLE),
    ],
)
async def test_it_costs_its_own_outcome(
    tmp_path: Path,
    behave: Callable[[], Awaitable[node_pb2.AnswerResponse]],
    kind: OutcomeKind,
    code: Code,
) -> None:
    node = BadNode(behave)
    async with stand_in(tmp_path, node, node_deadline_s=1.0) as federation:
        async with federation.client() as client:
            result = await client.ask(federation.question())
        assert {o.agency: (o.kind, o.code) for o in result.outcomes} == {
            "city": (kind, code.value),
            "county": (OutcomeKind.ANSWERED, ""),
        }
        assert not result.complete
        assert [read.originator for read in result.reads] == ["county"] * 4
        assert node.called.is_set()
        assert recorded_outcomes(federation)["city"] in (code.value, kind.value)


def recorded_outcomes(federation: Federation) -> dict[str, str]:
    """What the broker's own log says of the last question."""
    assert federation.broker is not None
    entries = [e for e in federation.broker.audit.entries() if e.kind == "outcome"]
    return {entry.fields["audience"]: entry.fields["outcome"] for entry in entries}


async def test_a_client_that_goes_away_takes_its_query_along(tmp_path: Path) -> None:
    node = BadNode(late)
    async with (
        stand_in(tmp_path, node, node_deadline_s=60.0) as federation,
        federation.client() as client,
    ):
        asking = asyncio.create_task(client.ask(federation.question()))
        called = asyncio.create_task(node.called.wait())
        await asyncio.wait((asking, called), timeout=25, return_when=asyncio.FIRST_COMPLETED)
        assert called.done(), asking
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        # Nothing else ends it before: neither the client's 30 seconds nor the broker's.
        await asyncio.wait_for(node.cancelled.wait(), 20)
