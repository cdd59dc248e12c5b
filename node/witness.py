"""The node as a witness: it cosigns the checkpoints of those it has agreements with.

A request comes through a broker, since nodes reach each other through none but them.
What it is and how it is answered says :mod:`accord.audit.witness`. That a checkpoint was
cosigned is not recorded in our own log: that would have to be cosigned in turn.
What was found amiss is kept as evidence before anybody is answered.
"""

import asyncio
from collections.abc import Sequence

from accord.audit.checkpoint import Checkpoint
from accord.audit.cosignature import cosign, cosigned_at, merged
from accord.audit.witness import (
    ADD,
    MAX_BYTES,
    Finding,
    Held,
    Request,
    Status,
    checkpoint_path,
    conflict_body,
    judge,
    kept_note,
    read_request,
    verified,
)
from accord.errors import Code, Refused, Unverified
from accord.identity import SpiffeId
from accord.keys import PublicKey, Signer
from accord.wire.v1 import witness_pb2
from accord.witnessing import log_keys, witness_name
from node.context import Context
from node.witness_memory import Evidence, Kind, Memory, told

_KINDS = {
    Finding.SPLIT_VIEW: Kind.SPLIT_VIEW,
    Finding.SHORTER: Kind.SHORTER,
    Finding.NO_PROOF: Kind.NO_PROOF,
}


class Witness:
    """Answers what a log asks its witness; ``key`` makes cosignatures and nothing else."""

    def __init__(self, node: Context, memory: Memory, key: Signer) -> None:
        self._node = node
        self._memory = memory
        self._key = key

    async def answer(
        self, request: witness_pb2.WitnessRequest, peer: SpiffeId
    ) -> witness_pb2.WitnessResponse:
        """Answer one request that an authorised broker brings.

        Raises:
            Refused: it is no broker of ours, or not for us, or the memory can't be used.
        """
        node = self._node
        if str(peer) not in node.brokers:
            raise Refused(Code.METHOD_NOT_ALLOWED, detail="not an authorised broker")
        if request.to != node.agency:
            raise Refused(Code.WRONG_AUDIENCE, text="The request is for another agency's node.")
        if len(request.body) > MAX_BYTES:
            raise Refused(Code.TOO_LARGE)
        if request.path == ADD:
            status, body = await self._add(request.body)
        else:
            status, body = await asyncio.to_thread(self._newest, request.path)
        return witness_pb2.WitnessResponse(status=status, body=body)

    def _keys(self, origin: str) -> tuple[PublicKey, ...] | None:
        node = self._node
        return log_keys(node.federation, node.agency, origin, node.clock.now_ms())

    def _newest(self, path: str) -> tuple[Status, bytes]:
        """Return the newest note that we cosigned of the log that a path names."""
        for held in self._memory.held():
            origin = held.checkpoint.origin
            if checkpoint_path(origin) == path and self._keys(origin) is not None:
                return Status.COSIGNED, self._by_our_key(held.note)
        return Status.UNKNOWN_LOG, b""

    def _by_our_key(self, note: bytes) -> bytes:
        """Vouch anew for what is held, where our key was another one when we cosigned it.

        Else the log could not tell whether what it is shown is ours: one that was cut back,
        or missed our answer, would neither halt nor be cosigned again.
        """
        name = witness_name(self._node.agency)
        if cosigned_at(note, name, self._key.public) is not None:
            return note
        now_s = self._node.clock.now_ms() // 1000
        return merged(note, [cosign(note, name, self._key, now_s)])

    async def _add(self, body: bytes) -> tuple[Status, bytes]:
        try:
            request = read_request(body)
        except Unverified:
            return Status.BAD_REQUEST, b""
        keys = self._keys(request.origin)
        if keys is None:
            return Status.UNKNOWN_LOG, b""
        try:
            new = verified(request, keys)
        except Unverified as problem:
            forbidden = problem.code is Code.SIGNATURE_INVALID
            return (Status.FORBIDDEN if forbidden else Status.BAD_REQUEST), b""
        return await asyncio.to_thread(self._judged, request, new, keys)

    def _judged(
        self, request: Request, new: Checkpoint, keys: Sequence[PublicKey]
    ) -> tuple[Status, bytes]:
        """Judge in one turn; what is remembered is durable before the cosignature is sent."""
        name = witness_name(self._node.agency)
        with self._memory.turn(new.origin) as turn:
            now_ms = self._node.clock.now_ms()
            verdict = judge(request, new, turn.held, now_ms)
            if verdict.finding is not None and turn.held is not None:
                kind = _KINDS[verdict.finding]
                other = kept_note(request.note, keys, "")
                found = Evidence(kind, new.origin, self._node.agency, now_ms, turn.held.note, other)
                if turn.keep(found):
                    told(found)
            if verdict.status is Status.COSIGNED:
                line = cosign(request.note, name, self._key, now_ms // 1000)
                turn.replace(Held(new, kept_note(request.note, keys, line), now_ms))
                return verdict.status, line.encode()
            size = 0 if turn.held is None else turn.held.checkpoint.size
        return verdict.status, conflict_body(size) if verdict.status is Status.CONFLICT else b""
