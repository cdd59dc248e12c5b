"""The load: queries signed beforehand, calls timed one by one, every answer looked at after."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from grpc import aio

from accord.agreements.templates import MOA_ATTESTATIONS
from accord.client import ALL_FIELDS
from accord.clock import new_query_id
from accord.codec import encode_query, envelope_to_bytes, envelope_to_wire
from accord.envelope import QUERY, sign
from accord.identity import KeyRole
from accord.keys import PrivateKey
from accord.model import ExactPlate, Query, Window
from accord.roster import read_credential
from accord.wire.v1 import broker_pb2, node_pb2
from bench.setting import HOME, OFFICER, OWNER, SPAN_MS, House

ANSWER = "/accord.wire.v1.Node/Answer"
ASK = "/accord.wire.v1.Broker/Query"
_TIMEOUT_S = 30


class Queries:
    """Makes countersigned queries, each for another plate; a query runs only once."""

    def __init__(self, house: House) -> None:
        files = house.files
        path = files.client_toml(HOME, OFFICER).parent
        self._house = house
        self._officer = PrivateKey.load(path / "officer.pem")
        self._home = PrivateKey.load(files.everybody()[HOME].files.key(KeyRole.NODE))
        self._credential, envelope = read_credential(path / "credential.json")
        self._credential_bytes = envelope_to_bytes(envelope)
        self._chance = Random(11)

    def make(self, method: str, count: int) -> list[bytes]:
        """Return that many requests for the method, serialised."""
        return [self._one(method) for _ in range(count)]

    def _one(self, method: str) -> bytes:
        now_ms = self._house.files.clock.now_ms()
        built_ms = self._house.built_ms
        query = Query(
            query_id=new_query_id(self._house.files.clock),
            nonce=secrets.token_bytes(16),
            issued_at_ms=now_ms,
            not_after_ms=now_ms + 60_000,
            requesting_agency=HOME,
            audience=OWNER,
            credential=self._credential,
            purpose="stolen-vehicle",
            case_number="B-1",
            reason="benchmark",
            on_behalf_of="",
            attestations=MOA_ATTESTATIONS,
            agreement_digest=self._house.agreement,
            selector=ExactPlate(self._chance.choice(self._house.plates), "CA"),
            window=Window(built_ms - SPAN_MS, built_ms),
            fields=ALL_FIELDS,
            row_limit=100,
        )
        payload = encode_query(query, self._credential_bytes)
        wire = envelope_to_wire(sign(QUERY, payload, self._officer, self._home))
        if method == ANSWER:
            return node_pb2.AnswerRequest(query=wire).SerializeToString()
        return broker_pb2.QueryRequest(queries=[wire]).SerializeToString()


@dataclass
class Run:
    """One round of one path: seconds of each call, and of all together."""

    calls_s: list[float] = field(default_factory=list)
    wall_s: float = 0.0

    @property
    def per_s(self) -> float:
        """Answers per second."""
        return len(self.calls_s) / self.wall_s


async def measure(
    channel: aio.Channel, method: str, requests: Sequence[bytes], at_once: int
) -> Run:
    """Send the requests, so many at once; every one must be answered with rows of the node.

    Raises:
        SystemExit: a call failed, or was not answered by the node.
    """
    call: Any = channel.unary_unary(method)
    waiting = iter(requests)
    answers: list[bytes] = []
    run = Run()

    async def worker() -> None:
        for request in waiting:
            started = time.perf_counter()
            answers.append(await call(request, timeout=_TIMEOUT_S))
            run.calls_s.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    run.wall_s = time.perf_counter() - started
    for answer in answers:
        if not _answered(method, answer):
            raise SystemExit(f"{method}: a query was not answered; its figures mean nothing")
    return run


def _answered(method: str, data: bytes) -> bool:
    if method == ANSWER:
        return bool(node_pb2.AnswerResponse.FromString(data).answer.payload)
    outcomes = broker_pb2.QueryResponse.FromString(data).outcomes
    return len(outcomes) == 1 and outcomes[0].WhichOneof("outcome") == "answer"
