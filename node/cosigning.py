"""Our own log's side: the nodes of our counterparts are asked to cosign its checkpoints.

Each witness is asked at once when the node begins to lead, and then every minute or so
where the log has grown; one that can't be reached after 1, 2, 4 seconds, up to that. It
gets the newest checkpoint and a proof from the one that it cosigned last. Answers that
are not "cosigned" are looked into:

    409, it holds less than it cosigned     the witness went back: an alert; asked from there
    409 or 422, else                        its newest note of our log is asked for, and where
        that is signed by our own key and our log does not hold it, the node halts

No answer to a query waits for any of that. How long the newest entries may lack
cosignatures says ``[witnesses]`` of ``node.toml``; after that it is an alert.
"""

import asyncio
import random
import time
from collections.abc import Callable

import structlog
from grpc import aio

from accord.agencies import Agency
from accord.audit import checkpoint as notes
from accord.audit.checkpoint import Checkpoint
from accord.audit.cosignature import cosigned_at, lines_of, merged
from accord.audit.cosigned import (
    consistency,
    coverage,
    goes_on_from,
    line_of,
    newest,
    note_at,
)
from accord.audit.places import Place
from accord.audit.witness import (
    ADD,
    MAX_BYTES,
    Request,
    Status,
    checkpoint_path,
    read_conflict,
)
from accord.errors import AccordError, Code, Unverified
from accord.keys import PublicKey
from accord.transport.channels import ChannelPool
from accord.verification import SKEW_MS
from accord.wire.v1 import broker_pb2_grpc, witness_pb2
from accord.witnessing import witness_keys, witness_name
from node.brokers import Brokers, Unreachable
from node.config import WitnessRule
from node.context import Context
from node.witness_memory import HALTING, Evidence, Kind, Memory, told
from node.witnessed import look, witnesses

log = structlog.get_logger()

DEADLINE_S = 8.0
FIRST_S = 1.0
LOOK_S = 5.0
MAX_SAID = 200
_GRACE_MS = 60_000


class Cosigning:
    """Asks the witnesses; :meth:`ask` every second, :meth:`look` every few."""

    def __init__(
        self,
        node: Context,
        rule: WitnessRule,
        memory: Memory,
        place: Place,
        public: PublicKey,
        pool: ChannelPool,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node = node
        self._rule = rule
        self._memory = memory
        self._place = place
        self._public = public
        self._pool = pool
        self._seconds = seconds
        self._brokers = Brokers(node)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._due: dict[str, float] = {}
        self._delays: dict[str, float] = {}
        self._told: dict[str, str] = {}
        self._asked: set[str] = set()
        self._overdue = False
        self._began_ms = 0

    async def ask(self) -> None:
        """Ask whoever is due; each has a task of its own."""
        for agency in self._witnesses():
            task = self._running.get(agency)
            idle = task is None or task.done()
            if idle and self._seconds() >= self._due.get(agency, 0.0):
                self._running[agency] = asyncio.create_task(self._try(agency))

    def _witnesses(self) -> tuple[str, ...]:
        node = self._node
        return witnesses(node.federation, node.agency, self._rule, node.clock.now_ms())

    async def close(self) -> None:
        """Stop asking."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self) -> None:
        """Say once when entries lack cosignatures for too long, and when they no longer do.

        Raises:
            InputError: the log can't be read.
        """
        found = await asyncio.to_thread(look, self._place, None, self._rule, self._witnesses())
        now_ms = self._node.clock.now_ms()
        self._began_ms = self._began_ms or now_ms
        late = (
            found.late(now_ms)
            # What was left over from before a stop gets its minute.
            and now_ms - self._began_ms > min(self._rule.alert_after_ms, _GRACE_MS)
        )
        if late and not self._overdue:
            by = dict(found.by_agency)
            log.error("alert: cosignatures are missing", entries=found.size,
                      cosigned=found.covered, needed=found.needed, by=by)  # fmt: skip
        elif self._overdue and not late:
            log.info("cosignatures have come")
        self._overdue = late

    async def _try(self, agency: str) -> None:
        """Ask one witness, and say when it is asked next."""
        problem, said = "", "not cosigned yet"
        try:
            await self._ask(agency)
        except aio.AioRpcError as error:
            problem = f"{error.code().name}: {(error.details() or '')[:MAX_SAID]!r}"
        except Unverified as error:
            problem, said = str(error), "alert: a witness' answer can't be used"
        except AccordError as error:
            problem = str(error)
        if problem:
            delay = min(self._rule.every_s, max(FIRST_S, 2 * self._delays.get(agency, 0.0)))
            self._delays[agency] = delay
            if problem != self._told.get(agency):
                log.warning(said, witness=agency, problem=problem)
        else:
            self._delays.pop(agency, None)
            # Not all at the same moment. Nobody's secret hangs on it.
            delay = self._rule.every_s * random.uniform(0.8, 1.2)  # noqa: S311
        self._told[agency] = problem
        self._due[agency] = self._seconds() + delay

    async def _ask(self, agency: str) -> None:
        name = witness_name(agency)
        found = await asyncio.to_thread(coverage, self._place, (name,))
        # After a start also where the log has not grown: it may have been put back.
        if agency in self._asked and found.by_witness[name] == found.size:
            return
        signed, note = await self._newest()
        await self._add(agency, signed, note, found.by_witness[name])
        self._asked.add(agency)

    @property
    def _origin(self) -> str:
        return self._node.audit.origin

    async def _newest(self) -> tuple[Checkpoint, bytes]:
        return await asyncio.to_thread(newest, self._place, self._origin, self._public)

    async def _add(self, agency: str, head: Checkpoint, note: bytes, last: int) -> None:
        """Have one checkpoint cosigned; once more from what the witness says that it holds.

        Raises:
            Unverified: the answer can't be used; what was found is told.
        """
        old = last
        for _ in range(2):
            proof = await asyncio.to_thread(consistency, self._place, old, head.size)
            request = Request(old, tuple(proof), note)
            status, body = await self._call(agency, ADD, request.to_bytes())
            if status == Status.COSIGNED:
                await self._keep(agency, head.size, note, body)
                return
            held = read_conflict(body) if status == Status.CONFLICT else -1
            if 0 <= held < last:
                await self._went_back(agency, last, body)
            elif status in (Status.CONFLICT, Status.UNPROCESSABLE):
                await self._examine(agency)
            if not 0 <= held <= head.size:
                break
            old = held
        raise Unverified(Code.ANSWER_UNVERIFIED, f"{agency} did not cosign: it answers {status}")

    async def _keep(self, agency: str, size: int, note: bytes, body: bytes) -> None:
        """Keep the cosignatures that are the witness' own."""
        lines = lines_of(body)
        name, now_ms = witness_name(agency), self._node.clock.now_ms()
        for public in witness_keys(self._agency(agency)):
            for line in lines:
                at_s = cosigned_at(merged(note, [line]), name, public)
                if at_s is None:
                    continue
                if at_s * 1000 > now_ms + SKEW_MS:
                    problem = f"the cosignature of {agency} is dated ahead of the time here"
                    raise Unverified(Code.ANSWER_UNVERIFIED, problem)
                await self._node.audit.keep_cosignatures(size, [(name, line)])
                return
        raise Unverified(Code.ANSWER_UNVERIFIED, f"{agency} sent no cosignature of its own")

    async def _went_back(self, agency: str, last: int, body: bytes) -> None:
        """Keep what a witness cosigned, beside its word that it holds less."""
        note = await asyncio.to_thread(note_at, self._place, last)
        line = await asyncio.to_thread(line_of, self._place, witness_name(agency), last)
        if note is not None and line is not None:
            await self._found(Kind.WENT_BACK, agency, merged(note, [line]), body)

    async def _examine(self, agency: str) -> None:
        """Look at what a witness holds of our log; halt where that is ours and we lack it.

        Raises:
            Unverified: it shows nothing that we and it have signed.
        """
        status, note = await self._call(agency, checkpoint_path(self._origin), b"")
        if status != Status.COSIGNED:
            problem = f"{agency} says that it holds a checkpoint, and shows none"
            raise Unverified(Code.ANSWER_UNVERIFIED, problem)
        name, keys = witness_name(agency), witness_keys(self._agency(agency))
        if not any(cosigned_at(note, name, public) for public in keys):
            problem = f"{agency} shows a checkpoint that it has not cosigned"
            raise Unverified(Code.ANSWER_UNVERIFIED, problem)
        theirs = notes.verify(note, self._origin, self._public)
        # Only now: what was committed since it was asked counts.
        ours, our_note = await self._newest()
        if theirs.size > ours.size:
            await self._found(Kind.OWN_SHORTER, agency, note, our_note)
        elif not await asyncio.to_thread(goes_on_from, self._place, theirs, ours):
            there = await asyncio.to_thread(note_at, self._place, theirs.size)
            await self._found(Kind.OWN_PARTED, agency, note, there or our_note)

    async def _found(self, kind: Kind, agency: str, held: bytes, other: bytes) -> None:
        """Keep evidence; where it is against our own log the node halts now."""
        node = self._node
        now_ms = node.clock.now_ms()
        found = Evidence(kind, self._origin, agency, now_ms, held, other)
        if await asyncio.to_thread(self._kept, found):
            told(found)
        if kind in HALTING:
            await asyncio.to_thread(node.halt.look)

    def _kept(self, found: Evidence) -> bool:
        """Keep evidence unless a person has resolved the same checkpoint before."""
        if found.kind in HALTING:
            seen = _checkpoint(found.held)
            for one in self._memory.evidence():
                if one.kind in HALTING and _checkpoint(one.held) == seen:
                    return False
        with self._memory.turn(found.origin) as turn:
            return turn.keep(found)

    async def _call(self, agency: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Ask through each broker in turn until one gets the witness' answer.

        Raises:
            AioRpcError: no broker did; the last one's word.
            Unreachable: there is none.
            Unverified: the answer is too large to be one.
        """
        request = witness_pb2.WitnessRequest(to=agency, path=path, body=body)
        failure: Exception | None = None
        for endpoint in self._brokers.carrying(agency):
            cas = self._agency(endpoint.spiffe.agency).cas
            stub = broker_pb2_grpc.BrokerStub(self._pool.get(endpoint, cas))
            try:
                response = await stub.Witness(request, timeout=DEADLINE_S)
            except aio.AioRpcError as error:
                failure = error
                self._brokers.failed(endpoint)
                continue
            self._brokers.carried(endpoint)
            if len(response.body) > MAX_BYTES:
                raise Unverified(Code.MALFORMED, f"the answer of {agency} is too large")
            return response.status, response.body
        raise failure or Unreachable("no broker's address is known here")

    def _agency(self, name: str) -> Agency:
        found = self._node.federation.agencies.get(name)
        if found is None:
            raise Unreachable(f"no valid agency.toml of {name} is held here")
        return found


def _checkpoint(note: bytes) -> str:
    """Return the text of a note that was verified: origin, size and root."""
    return notes.open_note(note)[0]
