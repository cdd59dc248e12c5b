"""The partner's client: ask, verify, merge.

    async with AccordClient.open(Path("client.toml")) as client:
        question = Question(ExactPlate("7ABC123", "CA"), Purpose.STOLEN_VEHICLE, ...)
        result = await client.ask(question)
        async for read in client.reads(question):
            ...

Whom to ask is computed from the client's own pinned folder, never from the
broker. Nothing is shown that was not verified: the answer's signature, its
binding to this query, every row, the audit receipt, which is kept. Every agency in
scope has an outcome.
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from accord.agreements.choice import relying
from accord.agreements.law.packs import built_in_law
from accord.client_calls import Asked, Calls, Came, batched
from accord.client_config import ClientConfig, load_client_config
from accord.clock import Clock, SystemClock, new_query_id
from accord.codec import (
    check_approval,
    check_texts,
    encode_query,
    envelope_to_bytes,
)
from accord.envelope import QUERY, digest, sign
from accord.errors import InputError, Refused
from accord.federation import Federation
from accord.federation_folder import load
from accord.identity import KeyRole
from accord.model import (
    AnswerBody,
    Approval,
    Field,
    PhotoOf,
    Query,
    Selector,
    SharedRead,
    Window,
)
from accord.paging import Paging, merge_pages
from accord.receipt_store import Receipted, ReceiptStore
from accord.results import Entry, Incomplete, ListState, Result, hits_of
from accord.roster import read_credential
from accord.transport.channels import ChannelPool
from accord.wire.v1 import broker_pb2

ALL_FIELDS = tuple(Field)
_VALID_MS = 60_000


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


class AccordClient:
    """An officer's client. Use it with ``async with``."""

    def __init__(self, config: ClientConfig, clock: Clock | None = None) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        self._credential, self._credential_envelope = read_credential(config.credential)
        self._officer = config.load_officer_key()
        self._federation = load(config.federation, config.roots)
        self._pool = ChannelPool(config.load_tls(self._clock.now_ms()))
        self._calls = Calls(config, self._federation, self._pool, self._credential_envelope)
        self._receipts: ReceiptStore | None = None
        self._keeping = asyncio.Lock()
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
        if self._receipts is not None:
            self._receipts.close()

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
        return await self._calls.directory()

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
        signed, refused = await self._calls.countersign(asked)
        own = [a for a in signed if a.query.audience == self.agency]
        others = [a for a in signed if a.query.audience != self.agency]
        parts = await asyncio.gather(
            self._calls.ask_own(own), *(self._calls.ask_broker(some) for some in batched(others))
        )
        warnings = [warning for _, told in parts for warning in told]
        came = {c.outcome.agency: c for c in (*refused, *(c for some, _ in parts for c in some))}
        ordered = [came[target] for target in targets]
        # Before a row is shown: what was shown can be held against its owner's log later.
        warnings += await self._keep_receipts(ordered)
        return _result(query_id, self.agency, ordered, warnings), [
            c.answer.body for c in ordered if c.answer is not None
        ]

    async def _keep_receipts(self, came: Sequence[Came]) -> list[str]:
        """Keep the receipt of each answer; return what to tell a person of it."""
        receipts = [
            Receipted(
                agency=one.outcome.agency,
                receipt=one.answer.receipt,
                index=one.answer.log_index,
                query_digest=one.answer.body.query_digest,
                answer_digest=hashlib.sha256(one.answer.body_bytes).digest(),
                query_id=one.answer.body.query_id.hex(),
                asked_ms=one.proof.asked_ms,
                keys=self._calls.agency(one.outcome.agency).keys_for(KeyRole.AUDIT),
            )
            for one in came
            if one.answer is not None and one.proof is not None
        ]
        if not receipts:
            return []
        async with self._keeping:
            try:
                return await asyncio.to_thread(self._store_receipts, receipts)
            except InputError as error:
                return [f"The receipts of these answers are not kept: {error}."]

    def _store_receipts(self, receipts: Sequence[Receipted]) -> list[str]:
        if self._receipts is None:
            self._receipts = ReceiptStore.open(self._config, self._clock)
        return self._receipts.keep(receipts)

    def _sign(self, question: Question, query_id: bytes, audience: str, cursor: bytes) -> Asked:
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
            requester=self._calls.agency(self.agency),
            owner=self._federation.agencies.get(audience),
            law=built_in_law(),
            via=self._config.broker.agency,
        )
        payload = encode_query(query, envelope_to_bytes(self._credential_envelope))
        envelope = sign(QUERY, payload, self._officer)
        return Asked(query, envelope, digest(envelope))


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


def _result(
    query_id: bytes, recipient: str, came: Sequence[Came], warnings: Sequence[str]
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
        proofs=tuple(c.proof for c in came if c.proof is not None),
    )
