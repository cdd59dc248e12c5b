"""What the client sends to its home node and its broker, and what it believes of the answers.

Each query goes to the home node for its countersignature first; then the
broker, or for an agency's own data its own node, is asked. An outcome is
verified on its bytes alone, whoever passed it on.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from grpc import aio

from accord.agencies import Agency, Endpoint
from accord.client_config import ClientConfig
from accord.codec import envelope_from_wire, envelope_to_wire
from accord.contacts import whom_to_ask
from accord.envelope import Envelope, Signature, add_signature
from accord.errors import Code, InputError, Refused, Unverified
from accord.federation import Federation
from accord.merge import order
from accord.model import OutcomeKind, Query
from accord.outcomes import claimed, missing, places
from accord.results import AgencyOutcome, Proof
from accord.transport.channels import ChannelPool
from accord.transport.failures import failed_call
from accord.transport.server import refusal_from
from accord.verification import VerifiedAnswer, verify_answer, verify_refusal
from accord.wire.v1 import broker_pb2, broker_pb2_grpc, node_pb2, node_pb2_grpc

_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """One signed query and whom it is for."""

    query: Query
    envelope: Envelope
    digest: bytes


@dataclass(frozen=True, slots=True)
class Came:
    """One agency's outcome; answer and proof are there only if they were verified."""

    outcome: AgencyOutcome
    answer: VerifiedAnswer | None = None
    proof: Proof | None = None


class Calls:
    """The calls of one officer's client; ``credential`` is the officer's envelope."""

    def __init__(
        self,
        config: ClientConfig,
        federation: Federation,
        pool: ChannelPool,
        credential: Envelope,
    ) -> None:
        self._config = config
        self._federation = federation
        self._pool = pool
        self._credential = credential
        self._own = config.agency

    async def directory(self) -> list[broker_pb2.DirectoryEntry]:
        """Return what the broker thinks there is.

        Raises:
            Refused: the broker can't be reached or refuses.
        """
        stub = broker_pb2_grpc.BrokerStub(self._broker_channel())
        try:
            request = broker_pb2.DirectoryRequest()
            response = await stub.Directory(request, timeout=self._config.deadline_s)
        except aio.AioRpcError as error:
            raise self._failed(error, "the broker", self._config.broker.agency) from None
        return list(response.entries)

    async def countersign(self, asked: Sequence[Asked]) -> tuple[list[Asked], list[Came]]:
        """Have the home node vouch for each query; it may refuse some.

        Raises:
            Refused: the home node can't be reached or refuses the call.
            Unverified: what it says can't be verified.
        """
        signed: list[Asked] = []
        refused: list[Came] = []
        for some in batched(asked):
            more, less = await self._countersign_some(some)
            signed += more
            refused += less
        return signed, refused

    async def _countersign_some(self, asked: Sequence[Asked]) -> tuple[list[Asked], list[Came]]:
        request = node_pb2.CountersignRequest(
            credential=envelope_to_wire(self._credential),
            queries=[envelope_to_wire(a.envelope) for a in asked],
        )
        try:
            response = await self._home().Countersign(request, timeout=self._config.deadline_s)
        except aio.AioRpcError as error:
            raise self._failed(error, "the home node", self._own) from None
        if len(response.results) != len(asked):
            raise Unverified(Code.ANSWER_UNVERIFIED, "the home node answered another question")
        home = self.agency(self._own)
        signed: list[Asked] = []
        refused: list[Came] = []
        for one, result in zip(asked, response.results, strict=True):
            if result.WhichOneof("result") == "signature":
                wire = result.signature
                envelope = add_signature(one.envelope, Signature(wire.keyid, wire.sig))
                signed.append(replace(one, envelope=envelope))
                continue
            refusal = verify_refusal(
                envelope_from_wire(result.refusal), one.query, one.digest, home
            )
            refused.append(Came(AgencyOutcome.refused(one.query.audience, refusal)))
        return signed, refused

    async def ask_own(self, asked: Sequence[Asked]) -> tuple[list[Came], list[str]]:
        """Ask our own node: local policy alone decides, and it is recorded too."""
        came = []
        for one in asked:
            request = node_pb2.AnswerRequest(query=envelope_to_wire(one.envelope))
            outcome = broker_pb2.NodeOutcome(agency=self._own)
            try:
                response = await self._home().Answer(request, timeout=self._config.deadline_s)
                outcome.answer.CopyFrom(response.answer)
            except aio.AioRpcError as error:
                refusal = refusal_from(error)
                if refusal is None:
                    raise self._failed(error, "the home node", self._own) from None
                outcome.refusal.CopyFrom(envelope_to_wire(refusal))
            came.append(self._verify(one, outcome))
        return came, []

    async def ask_broker(self, asked: Sequence[Asked]) -> tuple[list[Came], list[str]]:
        """Ask through the broker, verify each outcome, have each recorded at home."""
        request = broker_pb2.QueryRequest(queries=[envelope_to_wire(a.envelope) for a in asked])
        stub = broker_pb2_grpc.BrokerStub(self._broker_channel())
        try:
            response = await stub.Query(request, timeout=self._config.deadline_s)
        except aio.AioRpcError as error:
            raise self._failed(error, "the broker", self._config.broker.agency) from None
        names = [one.query.audience for one in asked]
        found = places(names, response.outcomes)
        outcomes = [
            missing(name) if place is None else response.outcomes[place]
            for name, place in zip(names, found, strict=True)
        ]
        came = [self._verify(a, o) for a, o in zip(asked, outcomes, strict=True)]
        recorded = await asyncio.gather(
            *(self._record(a, o) for a, o in zip(asked, outcomes, strict=True))
        )
        came = [
            replace(c, outcome=replace(c.outcome, recorded=done))
            for c, done in zip(came, recorded, strict=True)
        ]
        warnings = []
        bodies = [c.answer.body if c.answer else None for c in came]
        ours = [(found[i], row) for i, row in order(bodies)]
        if ours != [(ref.outcome, ref.row) for ref in response.order]:
            warnings.append("The broker's order of the rows was wrong; this is the client's own.")
        return came, warnings

    def _verify(self, asked: Asked, outcome: broker_pb2.NodeOutcome) -> Came:
        """Return one agency's outcome; what can't be verified is never shown."""
        name = asked.query.audience
        kind = outcome.WhichOneof("outcome")
        if kind in (None, "claim"):
            return Came(self._with_contact(claimed(name, outcome.claim)))
        try:
            owner = self.agency(name)
            if kind == "refusal":
                refusal = verify_refusal(
                    envelope_from_wire(outcome.refusal), asked.query, asked.digest, owner
                )
                return Came(AgencyOutcome.refused(name, refusal))
            envelope = envelope_from_wire(outcome.answer)
            answer = verify_answer(envelope, asked.query, asked.digest, owner)
        except Unverified as problem:
            text = f"Not shown: {problem.problem}."
            said = AgencyOutcome(name, OutcomeKind.UNVERIFIED, False, code=problem.code, text=text)
            return Came(self._with_contact(said))
        body = answer.body
        return Came(
            AgencyOutcome(
                agency=name,
                kind=OutcomeKind.ANSWERED if body.complete else OutcomeKind.TRUNCATED,
                signed=True,
                rows=body.count,
                duty=body.duty,
                log_index=answer.log_index,
            ),
            answer,
            Proof(asked.envelope, envelope, body, asked.query.issued_at_ms),
        )

    def _with_contact(self, outcome: AgencyOutcome) -> AgencyOutcome:
        """Add whom to talk to, from our own folder: a broker's word for it is worth nothing."""
        agencies = self._federation.agencies
        contact = whom_to_ask(
            Code(outcome.code),
            home=agencies.get(self._own),
            owner=agencies.get(outcome.agency),
            here=agencies.get(self._config.broker.agency),
        )
        return replace(outcome, contact=contact)

    def _failed(self, error: aio.AioRpcError, whom: str, agency: str) -> Refused:
        """Return what a failed call means for a person, and who runs what failed."""
        known = self._federation.agencies.get(agency)
        return failed_call(error, whom, known.contact if known else "")

    async def _record(self, asked: Asked, outcome: broker_pb2.NodeOutcome) -> bool:
        """Give our own agency's book what came back; tell whether it took it."""
        request = node_pb2.RecordAnswerRequest(
            query=envelope_to_wire(asked.envelope), outcome=outcome
        )
        try:
            await self._home().RecordAnswer(request, timeout=self._config.deadline_s)
        except aio.AioRpcError:
            return False
        return True

    def agency(self, name: str) -> Agency:
        """Return an agency of the client's own folder.

        Raises:
            Unverified: it holds no valid file of it.
        """
        agency = self._federation.agencies.get(name)
        if agency is None:
            raise Unverified(
                Code.ANSWER_UNVERIFIED, f"no valid agency.toml of {name} in the client's folder"
            )
        return agency

    def _home(self) -> "node_pb2_grpc.NodeAsyncStub":
        agency = self.agency(self._own)
        endpoint = agency.node_endpoint()
        if endpoint is None:
            raise InputError("agency.toml", f"{self._own} publishes no node address")
        return node_pb2_grpc.NodeStub(self._pool.get(endpoint, agency.cas))

    def _broker_channel(self) -> aio.Channel:
        broker = self._config.broker
        operator = self._federation.agencies.get(broker.agency)
        endpoints: Sequence[Endpoint] = operator.endpoints if operator else ()
        for endpoint in endpoints:
            if operator is not None and endpoint.spiffe == broker:
                return self._pool.get(endpoint, operator.cas)
        raise InputError(
            self._config.federation,
            f"holds no valid agency.toml with an address of {broker}",
            "ask the broker's operator for agency.toml and agency.sig",
        )


def batched(asked: Sequence[Asked]) -> list[Sequence[Asked]]:
    """Return them in parts of at most what home node and broker take at once."""
    return [asked[start : start + _AT_ONCE] for start in range(0, len(asked), _AT_ONCE)]
