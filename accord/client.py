"""The partner's client: ask, verify, merge.

    async with AccordClient.open(Path("client.toml")) as client:
        question = Question(ExactPlate("7ABC123", "CA"), Purpose.STOLEN_VEHICLE, ...)
        result = await client.ask(question)
        async for read in client.reads(question):
            ...

Whom to ask is computed from the client's own pinned folder, never from the
broker. Nothing is shown that was not verified: the answer's signature, its
binding to this query, every row, the audit receipt. Every agency in scope has
an outcome.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
from grpc import aio

from accord.agencies import Agency, Endpoint
from accord.client_config import ClientConfig, load_client_config
from accord.clock import Clock, SystemClock
from accord.codec import (
    encode_query,
    envelope_from_wire,
    envelope_to_bytes,
    envelope_to_wire,
)
from accord.envelope import QUERY, Envelope, Signature, add_signature, digest, sign
from accord.errors import Code, InputError, Refused, Unverified
from accord.federation import Federation, load
from accord.merge import order
from accord.model import (
    AnswerBody,
    Field,
    OutcomeKind,
    Query,
    Selector,
    SharedRead,
    Window,
)
from accord.results import AgencyOutcome, Entry, Result
from accord.roster import read_credential
from accord.transport.channels import ChannelPool
from accord.transport.server import refusal_from
from accord.verification import VerifiedAnswer, verify_answer, verify_refusal
from accord.wire.v1 import broker_pb2, broker_pb2_grpc, node_pb2, node_pb2_grpc

ALL_FIELDS = tuple(Field)
_VALID_MS = 60_000


@dataclass(frozen=True, slots=True)
class Question:
    """What an officer asks, before it is signed for each node.

    ``agencies`` None asks every agency that an agreement in the client's own
    folder allows asking; naming agencies narrows or, where no agreement
    exists, shows the refusal.
    """

    selector: Selector
    purpose: str
    case_number: str
    reason: str
    window: Window
    row_limit: int = 100
    fields: tuple[Field, ...] = ALL_FIELDS
    on_behalf_of: str = ""
    agencies: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """One signed query and whom it is for."""

    query: Query
    envelope: Envelope
    digest: bytes


@dataclass(frozen=True, slots=True)
class _Came:
    """One agency's outcome; the answer is there only if it was verified."""

    outcome: AgencyOutcome
    answer: VerifiedAnswer | None = None


class AccordClient:
    """An officer's client. Use it with ``async with``."""

    def __init__(self, config: ClientConfig, clock: Clock | None = None) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        self._credential, self._credential_envelope = read_credential(config.credential)
        self._officer = config.load_officer_key()
        self._federation = load(config.federation, config.roots)
        self._pool = ChannelPool(config.load_tls(self._clock.now_ms()))
        self.agency = config.agency

    @classmethod
    def open(cls, path: Path, clock: Clock | None = None) -> Self:
        """Return a client from a ``client.toml``.

        Raises:
            InputError: naming the file and the key to mend.
        """
        return cls(load_client_config(path), clock)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._pool.close()

    @property
    def federation(self) -> Federation:
        """The client's own pinned folder."""
        return self._federation

    def scope(self) -> tuple[str, ...]:
        """Return the agencies that an agreement lets this agency ask."""
        return tuple(sorted(self._federation.scope(self.agency)))

    async def directory(self) -> list[broker_pb2.DirectoryEntry]:
        """Return what the broker thinks there is: a convenience, never trusted.

        Raises:
            Refused: the broker can't be reached or refuses.
        """
        stub = broker_pb2_grpc.BrokerStub(self._broker_channel())
        try:
            request = broker_pb2.DirectoryRequest()
            response = await stub.Directory(request, timeout=self._config.deadline_s)
        except aio.AioRpcError as error:
            raise _transport_error(error, "the broker") from None
        return list(response.entries)

    async def ask(self, question: Question) -> Result:
        """Ask every agency in scope once and return the verified, merged result.

        Raises:
            InputError: nobody is in scope.
            Refused: the home node or the broker can't be reached or refuses the call.
        """
        result, _ = await self._ask(question, {})
        return result

    async def pages(self, question: Question) -> AsyncIterator[Result]:
        """Yield page after page until every agency has said all it has.

        Each page holds the reads that are final by then, newest first; a page
        is a new signed query to each agency that has more.
        """
        held: dict[str, list[AnswerBody]] = {}
        cursors: dict[str, bytes] = {}
        shown: set[tuple[str, bytes]] = set()
        outcomes: dict[str, AgencyOutcome] = {}
        while True:
            part = question
            if cursors:
                part = replace(question, agencies=tuple(cursors))
            result, answers = await self._ask(part, cursors)
            for came in result.outcomes:
                outcomes[came.agency] = came
            for answer in answers:
                held.setdefault(answer.agency, []).append(answer)
            cursors = {a.agency: a.next_cursor for a in answers if not a.complete}
            merged, waiting = _merge(list(held.values()))
            fresh = tuple(r for r in merged if (r.originator, r.read_id) not in shown)
            shown.update((r.originator, r.read_id) for r in fresh)
            yield replace(result, reads=fresh, waiting=waiting, outcomes=tuple(outcomes.values()))
            if not cursors:
                return

    async def reads(self, question: Question) -> AsyncIterator[SharedRead]:
        """Yield every read of every agency, newest first."""
        async for page in self.pages(question):
            for read in page.reads:
                yield read

    async def _ask(
        self, question: Question, cursors: dict[str, bytes]
    ) -> tuple[Result, list[AnswerBody]]:
        targets = question.agencies if question.agencies is not None else self.scope()
        if not targets:
            raise InputError(
                self._config.federation,
                "no agreement in force lets this agency ask anybody",
                "check the folder with: accord agreement status",
            )
        query_id = new_query_id(self._clock)
        asked = [self._sign(question, query_id, t, cursors.get(t, b"")) for t in targets]
        signed, refused = await self._countersign(asked)
        own = [a for a in signed if a.query.audience == self.agency]
        others = [a for a in signed if a.query.audience != self.agency]
        parts = await asyncio.gather(self._ask_own(own), self._ask_broker(others))
        warnings = list(parts[1][1])
        came = {c.outcome.agency: c for c in (*refused, *parts[0], *parts[1][0])}
        ordered = [came[target] for target in targets]
        return _result(query_id, ordered, warnings), [
            c.answer.body for c in ordered if c.answer is not None
        ]

    def _sign(self, question: Question, query_id: bytes, audience: str, cursor: bytes) -> _Asked:
        now_ms = self._clock.now_ms()
        query = Query(
            query_id=query_id,
            nonce=secrets.token_bytes(16),
            issued_at_ms=now_ms,
            not_after_ms=now_ms + _VALID_MS,
            requesting_agency=self.agency,
            audience=audience,
            credential=self._credential,
            purpose=question.purpose,
            case_number=question.case_number,
            reason=question.reason,
            on_behalf_of=question.on_behalf_of,
            agreement_digest=self._agreement_with(audience),
            selector=question.selector,
            window=question.window,
            fields=question.fields,
            row_limit=question.row_limit,
            cursor=cursor,
        )
        payload = encode_query(query, envelope_to_bytes(self._credential_envelope))
        envelope = sign(QUERY, payload, self._officer)
        return _Asked(query, envelope, digest(envelope))

    def _agreement_with(self, owner: str) -> bytes:
        """Return the digest of the agreement relied on; b"" where there is none."""
        if owner == self.agency:
            return b""
        agreements = self._federation.scope(self.agency).get(owner, ())
        return agreements[0].manifest.digest if agreements else b""

    async def _countersign(self, asked: Sequence[_Asked]) -> tuple[list[_Asked], list[_Came]]:
        """Have the home node vouch for each query; it may refuse some."""
        request = node_pb2.CountersignRequest(
            credential=envelope_to_wire(self._credential_envelope),
            queries=[envelope_to_wire(a.envelope) for a in asked],
        )
        try:
            response = await self._home().Countersign(request, timeout=self._config.deadline_s)
        except aio.AioRpcError as error:
            raise _transport_error(error, "the home node") from None
        if len(response.results) != len(asked):
            raise Unverified(Code.ANSWER_UNVERIFIED, "the home node answered another question")
        home = self._agency(self.agency)
        signed: list[_Asked] = []
        refused: list[_Came] = []
        for one, result in zip(asked, response.results, strict=True):
            if result.WhichOneof("result") == "signature":
                wire = result.signature
                envelope = add_signature(one.envelope, Signature(wire.keyid, wire.sig))
                signed.append(replace(one, envelope=envelope))
                continue
            refusal = verify_refusal(
                envelope_from_wire(result.refusal), one.query, one.digest, home
            )
            refused.append(_Came(AgencyOutcome.refused(one.query.audience, refusal)))
        return signed, refused

    async def _ask_own(self, asked: Sequence[_Asked]) -> list[_Came]:
        """Ask our own node: local policy alone decides, and it is recorded too."""
        came = []
        for one in asked:
            request = node_pb2.AnswerRequest(query=envelope_to_wire(one.envelope))
            outcome = broker_pb2.NodeOutcome(agency=self.agency)
            try:
                response = await self._home().Answer(request, timeout=self._config.deadline_s)
                outcome.answer.CopyFrom(response.answer)
            except aio.AioRpcError as error:
                refusal = refusal_from(error)
                if refusal is None:
                    raise _transport_error(error, "the home node") from None
                outcome.refusal.CopyFrom(envelope_to_wire(refusal))
            came.append(self._verify(one, outcome))
        return came

    async def _ask_broker(self, asked: Sequence[_Asked]) -> tuple[list[_Came], list[str]]:
        """Ask through the broker, verify each outcome, have each recorded at home."""
        if not asked:
            return [], []
        request = broker_pb2.QueryRequest(queries=[envelope_to_wire(a.envelope) for a in asked])
        stub = broker_pb2_grpc.BrokerStub(self._broker_channel())
        try:
            response = await stub.Query(request, timeout=self._config.deadline_s)
        except aio.AioRpcError as error:
            raise _transport_error(error, "the broker") from None
        by_agency = {outcome.agency: outcome for outcome in response.outcomes}
        if len(by_agency) != len(response.outcomes):
            raise Unverified(Code.ANSWER_UNVERIFIED, "the broker gave two outcomes for one agency")
        outcomes = [by_agency.get(a.query.audience, _missing(a)) for a in asked]
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
        positions = {o.agency: i for i, o in enumerate(response.outcomes)}
        ours = [(positions.get(asked[i].query.audience, -1), row) for i, row in order(bodies)]
        if ours != [(ref.outcome, ref.row) for ref in response.order]:
            warnings.append("The broker's order of the rows was wrong; this is the client's own.")
        return came, warnings

    def _verify(self, asked: _Asked, outcome: broker_pb2.NodeOutcome) -> _Came:
        """Return one agency's outcome; what can't be verified is never shown."""
        name = asked.query.audience
        kind = outcome.WhichOneof("outcome")
        if kind in (None, "claim"):
            return _Came(_claimed(name, outcome.claim))
        try:
            owner = self._agency(name)
            if kind == "refusal":
                refusal = verify_refusal(
                    envelope_from_wire(outcome.refusal), asked.query, asked.digest, owner
                )
                return _Came(AgencyOutcome.refused(name, refusal))
            answer = verify_answer(
                envelope_from_wire(outcome.answer), asked.query, asked.digest, owner
            )
        except Unverified as problem:
            text = f"Not shown: {problem.problem}."
            return _Came(
                AgencyOutcome(name, OutcomeKind.UNVERIFIED, False, code=problem.code, text=text)
            )
        body = answer.body
        return _Came(
            AgencyOutcome(
                agency=name,
                kind=OutcomeKind.ANSWERED if body.complete else OutcomeKind.TRUNCATED,
                signed=True,
                rows=body.count,
                duty=body.duty,
                log_index=answer.log_index,
            ),
            answer,
        )

    async def _record(self, asked: _Asked, outcome: broker_pb2.NodeOutcome) -> bool:
        """Give our own agency's book what came back; tell whether it took it."""
        request = node_pb2.RecordAnswerRequest(
            query=envelope_to_wire(asked.envelope), outcome=outcome
        )
        try:
            await self._home().RecordAnswer(request, timeout=self._config.deadline_s)
        except aio.AioRpcError:
            return False
        return True

    def _agency(self, name: str) -> Agency:
        agency = self._federation.agencies.get(name)
        if agency is None:
            raise Unverified(
                Code.ANSWER_UNVERIFIED, f"no valid agency.toml of {name} in the client's folder"
            )
        return agency

    def _home(self) -> "node_pb2_grpc.NodeAsyncStub":
        agency = self._agency(self.agency)
        endpoint = agency.node_endpoint()
        if endpoint is None:
            raise InputError("agency.toml", f"{self.agency} publishes no node address")
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


def new_query_id(clock: Clock) -> bytes:
    """Return a UUIDv7 (RFC 9562 section 5.7) as 16 bytes."""
    value = (clock.now_ms() << 80) | int.from_bytes(secrets.token_bytes(10), "big")
    value = value & ~(0xF << 76) | (0x7 << 76)
    value = value & ~(0x3 << 62) | (0x2 << 62)
    return value.to_bytes(16, "big")


def _missing(asked: _Asked) -> broker_pb2.NodeOutcome:
    """Return what an agency gets that the broker said nothing of (attack B1)."""
    text = "The broker returned nothing for this agency."
    said = broker_pb2.BrokerClaim(code=Code.ANSWER_UNVERIFIED.value, text=text)
    return broker_pb2.NodeOutcome(agency=asked.query.audience, claim=said)


_CLAIMED = {
    Code.NODE_UNREACHABLE.value: OutcomeKind.UNREACHABLE,
    Code.NODE_UNKNOWN.value: OutcomeKind.UNREACHABLE,
    Code.NODE_TIMED_OUT.value: OutcomeKind.TIMED_OUT,
    Code.ANSWER_UNVERIFIED.value: OutcomeKind.UNVERIFIED,
    Code.TOO_LARGE.value: OutcomeKind.UNVERIFIED,
}


def _claimed(agency: str, said: broker_pb2.BrokerClaim) -> AgencyOutcome:
    kind = _CLAIMED.get(said.code, OutcomeKind.NOT_FORWARDED)
    code = said.code if said.code in Code.__members__ else Code.INTERNAL.value
    text = "".join(c for c in said.text[:300] if c.isprintable())
    section = "".join(c for c in said.section[:60] if c.isprintable())
    return AgencyOutcome(agency, kind, False, code=code, section=section, text=text, claimed=True)


def _merge(answers: Sequence[Sequence[AnswerBody]]) -> tuple[list[SharedRead], int]:
    """Merge the pages of several agencies up to the frontier of the newest pages."""
    joined = [
        replace(pages[-1], reads=tuple(read for page in pages for read in page.reads))
        for pages in answers
    ]
    final = [joined[index].reads[row] for index, row in order(joined)]
    everything = {(r.originator, r.read_id) for body in joined for r in body.reads}
    return final, len(everything) - len(final)


def _result(query_id: bytes, came: Sequence[_Came], warnings: Sequence[str]) -> Result:
    bodies = [c.answer.body for c in came if c.answer is not None]
    reads, waiting = _merge([[body] for body in bodies])
    entries = [Entry(b.agency, entry, stale) for b in bodies for entry, stale in b.entries]
    photos = [body.photo for body in bodies if body.photo is not None]
    unrecorded = [c.outcome.agency for c in came if not c.outcome.recorded]
    told = list(warnings)
    if unrecorded:
        told.append(f"The home node did not record what came from: {', '.join(unrecorded)}.")
    return Result(
        query_id=query_id.hex(),
        outcomes=tuple(c.outcome for c in came),
        reads=tuple(reads),
        entries=tuple(entries),
        photo=photos[0] if photos else None,
        waiting=waiting,
        warnings=tuple(told),
    )


def _transport_error(error: aio.AioRpcError, whom: str) -> Refused:
    """Return what a failed call means for a person; nothing of it is signed."""
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return Refused(Code.NODE_UNREACHABLE, text=f"Can't reach {whom}.")
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Refused(Code.NODE_TIMED_OUT, text=f"No answer from {whom} in time.")
    said = "".join(c for c in (error.details() or "")[:200] if c.isprintable())
    return Refused(Code.INTERNAL, text=f"{whom} refused the call ({error.code().name}): {said}")
