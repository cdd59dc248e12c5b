"""Fan-out: one warm channel per node, a deadline per node, never a retry of its own.

A node that does not answer in time costs the question its own outcome and
nothing else. When the client goes away, what still runs is cancelled.
"""

import asyncio
from dataclasses import dataclass

import grpc
import structlog
from grpc import aio

from accord.agencies import Agency
from accord.codec import envelope_from_wire, envelope_to_wire
from accord.errors import Code, Unverified
from accord.transport.channels import ChannelPool
from accord.transport.server import refusal_from
from accord.verification import VerifiedAnswer, verify_answer, verify_refusal
from accord.wire.v1 import broker_pb2, envelope_pb2, node_pb2, node_pb2_grpc
from broker.routing import Route

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Came:
    """What came of one route: the wire outcome, and the verified answer if there is one."""

    outcome: broker_pb2.NodeOutcome
    answer: VerifiedAnswer | None
    kind: str
    detail: str = ""


def claim(agency: str, code: Code, text: str, section: str = "") -> broker_pb2.NodeOutcome:
    """Return something that the broker says itself; no node signed it."""
    said = broker_pb2.BrokerClaim(code=code.value, text=text, section=section)
    return broker_pb2.NodeOutcome(agency=agency, claim=said)


class Fanout:
    """Asks nodes over the pool's channels."""

    def __init__(self, pool: ChannelPool) -> None:
        self._pool = pool

    async def ask_all(
        self, routes: list[Route], agencies: dict[str, Agency], deadline_s: float
    ) -> list[Came]:
        """Ask every node at once; ``deadline_s`` bounds each of them alone."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._ask(r, agencies, deadline_s)) for r in routes]
        return [task.result() for task in tasks]

    async def _ask(self, route: Route, agencies: dict[str, Agency], deadline_s: float) -> Came:
        name = route.agency
        agency = agencies.get(name)
        endpoint = agency.node_endpoint() if agency else None
        if agency is None or endpoint is None:
            text = "No address of this agency's node is known to the broker."
            return Came(claim(name, Code.NODE_UNKNOWN, text), None, Code.NODE_UNKNOWN)
        channel = self._pool.get(endpoint, agency.cas)
        stub = node_pb2_grpc.NodeStub(channel)
        request = node_pb2.AnswerRequest(query=envelope_to_wire(route.envelope))
        try:
            response = await stub.Answer(request, timeout=deadline_s)
        except aio.AioRpcError as error:
            return self._failed(route, agency, error)
        return self._answered(route, agency, response.answer)

    def _answered(self, route: Route, agency: Agency, answer: envelope_pb2.Envelope) -> Came:
        assert route.verified is not None
        try:
            verified = verify_answer(
                envelope_from_wire(answer), route.verified.query, route.digest, agency
            )
        except Unverified as problem:
            log.warning("alert: a node's answer can't be verified", agency=agency.id)
            code, text = Code.ANSWER_UNVERIFIED, "The node's answer could not be verified."
            if problem.code is Code.TOO_LARGE:
                code, text = Code.TOO_LARGE, "The node's answer is too large."
            return Came(claim(agency.id, code, text), None, code, problem.problem)
        outcome = broker_pb2.NodeOutcome(agency=agency.id, answer=answer)
        kind = "answered" if verified.body.complete else "truncated"
        return Came(outcome, verified, kind)

    def _failed(self, route: Route, agency: Agency, error: aio.AioRpcError) -> Came:
        refusal = refusal_from(error)
        if refusal is not None and route.verified is not None:
            try:
                body = verify_refusal(refusal, route.verified.query, route.digest, agency)
            except Unverified:
                log.warning("alert: a node's refusal can't be verified", agency=agency.id)
            else:
                wire = envelope_to_wire(refusal)
                outcome = broker_pb2.NodeOutcome(agency=agency.id, refusal=wire)
                return Came(outcome, None, "refused", body.code.value)
        code, text = _CLAIMS.get(
            error.code(), (Code.NODE_UNREACHABLE, "The node gave no signed answer or refusal.")
        )
        return Came(claim(agency.id, code, text), None, code, error.code().name)


_CLAIMS = {
    grpc.StatusCode.DEADLINE_EXCEEDED: (Code.NODE_TIMED_OUT, "The node did not answer in time."),
    grpc.StatusCode.UNAVAILABLE: (Code.NODE_UNREACHABLE, "The node can't be reached."),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (Code.TOO_LARGE, "The node's answer is too large."),
}
