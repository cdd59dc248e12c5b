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

from grpc import aio

from accord.agencies import Agency, Endpoint
from accord.agreements.choice import relying
from accord.agreements.law.packs import built_in_law
from accord.client_config import ClientConfig, load_client_config
from accord.clock import Clock, SystemClock, new_query_id
from accord.codec import (
    check_approval,
    check_texts,
    encode_query,
    envelope_from_wire,
    envelope_to_bytes,
    envelope_to_wire,
)
from accord.contacts import whom_to_ask
from accord.envelope import QUERY, Envelope, Signature, add_signature, digest, sign
from accord.errors import Code, InputError, Refused, Unverified
from accord.federation import Federation, load
from accord.merge import order
from accord.model import (
    AnswerBody,
    Approval,
    Field,
    OutcomeKind,
    PhotoOf,
    Query,
    Selector,
    SharedRead,
    Window,
)
from accord.outcomes import claimed, missing, places
from accord.paging import Paging, merge_pages
from accord.results import AgencyOutcome, Entry, Incomplete, ListState, Result, hits_of
from accord.roster import read_credential
from accord.transport.channels import ChannelPool
from accord.transport.failures import failed_call
from accord.transport.server import refusal_from
from accord.verification import VerifiedAnswer, verify_answer, verify_refusal
from accord.wire.v1 import broker_pb2, broker_pb2_grpc, node_pb2, node_pb2_grpc

ALL_FIELDS = tuple(Field)
_VALID_MS = 60_000
_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Question:
    """What an officer asks, before it is signed for each node.

    ``agencies`` None asks every agency that an agreement in the client's own
    folder allows asking; naming agencies narrows or, where no agreement
    exists, shows the refusal. ``attestations`` are ids of clauses that the
    officer declares by asking; an agreement's text says which it wants, and
    whether it wants the class of offence or an approval. ``export`` must be
    True where the answer goes into a file or to another program.
    """

    selector: Selector
    purpose: str
    case_number: str
    reason: str
    window: Window
    row_limit: int = 100
    fields: tuple[Field, ...] = ALL_FIELDS
    on_behalf_of: str = ""
    attestations: tuple[str, ...] = ()
    offence: str = ""
    approval: Approval | None = None
    export: bool = False
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
            raise self._failed(error, "the broker", self._config.broker.agency) from None
        return list(response.entries)

    async def ask(self, question: Question) -> Result:
        """Ask every agency in scope once and return the verified, merged result.

        Raises:
            InputError: nobody is in scope, a text is not acceptable, an agency is named
                twice, or a photo is asked of several agencies.
            Refused: the home node or the broker can't be reached or refuses the call.
        """
        result, _ = await self._ask(question, {})
        return result

    async def pages(self, question: Question) -> AsyncIterator[Result]:
        """Yield page after page until every agency has said all it has.

        Each page holds the reads that are final by then, newest first; a page
        is a new signed query to each agency that has more.
        """
        paging = Paging()
        while True:
            part = question
            if paging.cursors:
                part = replace(question, agencies=tuple(paging.cursors))
            result, answers = await self._ask(part, paging.cursors)
            yield paging.take(result, answers)
            if not paging.cursors:
                return

    async def reads(self, question: Question) -> AsyncIterator[SharedRead]:
        """Yield every read of every agency, newest first.

        Raises:
            Incomplete: at the end, when an agency in scope did not answer with
                all it has: nothing found and nothing answered are not the same.
        """
        last: Result | None = None
        async for page in self.pages(question):
            last = page
            for read in page.reads:
                yield read
        if last is not None and not last.complete:
            raise Incomplete(last.outcomes)

    async def _ask(
        self, question: Question, cursors: dict[str, bytes]
    ) -> tuple[Result, list[AnswerBody]]:
        if isinstance(question.selector, PhotoOf) and len(question.agencies or ()) != 1:
            # Any other agency could pass off a picture as the one of this read.
            raise InputError("photo", "is asked of one agency", "name the one that gave the read")
        _check_question(question)
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
        parts = await asyncio.gather(
            self._ask_own(own), *(self._ask_broker(some) for some in _batched(others))
        )
        warnings = [warning for _, told in parts for warning in told]
        came = {c.outcome.agency: c for c in (*refused, *(c for some, _ in parts for c in some))}
        ordered = [came[target] for target in targets]
        return _result(query_id, self.agency, ordered, warnings), [
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
            agreement_digest=b"",
            selector=question.selector,
            window=question.window,
            fields=question.fields,
            row_limit=question.row_limit,
            cursor=cursor,
            attestations=question.attestations,
            offence=question.offence,
            approval=question.approval,
            export=question.export,
        )
        own = audience == self.agency
        held = () if own else self._federation.scope(self.agency).get(audience, ())
        query, _ = relying(
            query,
            held,
            now_ms,
            requester=self._agency(self.agency),
            owner=self._federation.agencies.get(audience),
            law=built_in_law(),
        )
        payload = encode_query(query, envelope_to_bytes(self._credential_envelope))
        envelope = sign(QUERY, payload, self._officer)
        return _Asked(query, envelope, digest(envelope))

    async def _countersign(self, asked: Sequence[_Asked]) -> tuple[list[_Asked], list[_Came]]:
        """Have the home node vouch for each query; it may refuse some."""
        signed: list[_Asked] = []
        refused: list[_Came] = []
        for some in _batched(asked):
            more, less = await self._countersign_some(some)
            signed += more
            refused += less
        return signed, refused

    async def _countersign_some(self, asked: Sequence[_Asked]) -> tuple[list[_Asked], list[_Came]]:
        request = node_pb2.CountersignRequest(
            credential=envelope_to_wire(self._credential_envelope),
            queries=[envelope_to_wire(a.envelope) for a in asked],
        )
        try:
            response = await self._home().Countersign(request, timeout=self._config.deadline_s)
        except aio.AioRpcError as error:
            raise self._failed(error, "the home node", self.agency) from None
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

    async def _ask_own(self, asked: Sequence[_Asked]) -> tuple[list[_Came], list[str]]:
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
                    raise self._failed(error, "the home node", self.agency) from None
                outcome.refusal.CopyFrom(envelope_to_wire(refusal))
            came.append(self._verify(one, outcome))
        return came, []

    async def _ask_broker(self, asked: Sequence[_Asked]) -> tuple[list[_Came], list[str]]:
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

    def _verify(self, asked: _Asked, outcome: broker_pb2.NodeOutcome) -> _Came:
        """Return one agency's outcome; what can't be verified is never shown."""
        name = asked.query.audience
        kind = outcome.WhichOneof("outcome")
        if kind in (None, "claim"):
            return _Came(self._with_contact(claimed(name, outcome.claim)))
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
            said = AgencyOutcome(name, OutcomeKind.UNVERIFIED, False, code=problem.code, text=text)
            return _Came(self._with_contact(said))
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

    def _with_contact(self, outcome: AgencyOutcome) -> AgencyOutcome:
        """Add whom to talk to, from our own folder: a broker's word for it is worth nothing."""
        agencies = self._federation.agencies
        contact = whom_to_ask(
            Code(outcome.code),
            home=agencies.get(self.agency),
            owner=agencies.get(outcome.agency),
            here=agencies.get(self._config.broker.agency),
        )
        return replace(outcome, contact=contact)

    def _failed(self, error: aio.AioRpcError, whom: str, agency: str) -> Refused:
        """Return what a failed call means for a person, and who runs what failed."""
        known = self._federation.agencies.get(agency)
        return failed_call(error, whom, known.contact if known else "")

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


def _check_question(question: Question) -> None:
    """Find slips before anything is signed, recorded or sent.

    Raises:
        InputError: with what to mend.
    """
    try:
        check_texts(
            question.purpose,
            question.case_number,
            question.reason,
            question.on_behalf_of,
            question.offence,
            question.attestations,
        )
        if question.approval is not None:
            check_approval(question.approval)
    except Refused as refused:
        raise InputError("query", refused.text) from None
    named = question.agencies or ()
    if len(set(named)) != len(named):
        raise InputError("agencies", "one of them is named twice", "name each once")


def _batched(asked: Sequence[_Asked]) -> list[Sequence[_Asked]]:
    """Return them in parts of at most what home node and broker take at once."""
    return [asked[start : start + _AT_ONCE] for start in range(0, len(asked), _AT_ONCE)]


def _result(
    query_id: bytes, recipient: str, came: Sequence[_Came], warnings: Sequence[str]
) -> Result:
    bodies = [c.answer.body for c in came if c.answer is not None]
    reads, waiting = merge_pages([[body] for body in bodies])
    entries = [Entry(b.agency, entry, stale) for b in bodies for entry, stale in b.entries]
    photos = [body.photo for body in bodies if body.photo is not None]
    unrecorded = [c.outcome.agency for c in came if not c.outcome.recorded]
    told = list(warnings)
    if unrecorded:
        told.append(f"The home node did not record what came from: {', '.join(unrecorded)}.")
    return Result(
        query_id=query_id.hex(),
        outcomes=tuple(c.outcome for c in came),
        recipient=recipient,
        reads=tuple(reads),
        entries=tuple(entries),
        photo=photos[0] if photos else None,
        waiting=waiting,
        warnings=tuple(told),
        hits=hits_of(reads, bodies),
        lists=tuple(ListState(b.agency, state) for b in bodies for state in b.lists),
    )
