"""Checkpoints of nodes' logs on their way to other nodes, which witness them.

The broker passes on a node's own log's and no other, and only between agencies that an
agreement binds. It can neither cosign nor alter: both ends verify. What it keeps from
arriving shows as cosignatures that are missing.
"""

from accord.clock import Clock
from accord.errors import Code, Refused, Unverified
from accord.federation_watch import FederationWatch
from accord.identity import SpiffeId
from accord.transport.channels import ChannelPool
from accord.transport.journal import Journal
from accord.wire.v1 import node_pb2_grpc, witness_pb2
from accord.witnessing import bound, check_own
from broker.carry import node_of, passed_on


class Witnesses:
    """Passes requests on; nothing is kept."""

    def __init__(
        self, watch: FederationWatch, pool: ChannelPool, journal: Journal, clock: Clock
    ) -> None:
        self._watch = watch
        self._pool = pool
        self._journal = journal
        self._clock = clock

    async def ask(
        self, request: witness_pb2.WitnessRequest, peer: SpiffeId, deadline_s: float
    ) -> witness_pb2.WitnessResponse:
        """Return what the witness' node says.

        Raises:
            Refused: with the reason; recorded, each kind once a minute.
        """
        try:
            return await self._passed_on(request, peer, deadline_s)
        except Refused as refused:
            await self._journal.write(refused, peer, "Witness")
            raise

    async def _passed_on(
        self, request: witness_pb2.WitnessRequest, peer: SpiffeId, deadline_s: float
    ) -> witness_pb2.WitnessResponse:
        try:
            check_own(request, peer.agency)
        except Unverified as problem:
            raise Refused(problem.code, detail=problem.problem) from None
        federation = self._watch.current
        if not bound(federation, peer.agency, request.to, self._clock.now_ms()):
            raise Refused(Code.NO_AGREEMENT, text="No agreement binds these two agencies.")
        agency, endpoint = node_of(federation, request.to)
        stub = node_pb2_grpc.NodeStub(self._pool.get(endpoint, agency.cas))
        return await passed_on(stub.Witness(request, timeout=deadline_s), agency)
