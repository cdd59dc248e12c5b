"""A signed file of another party comes in: verify, keep, take effect, record, acknowledge."""

import asyncio

from accord.agreements.acknowledgements import acknowledge
from accord.audit.once import Once
from accord.codec import envelope_to_wire
from accord.deliveries import DELIVERY, AgreementFile, keep, missing
from accord.errors import Code, InputError, Refused
from accord.identity import SpiffeId
from accord.wire.v1 import delivery_pb2
from node.context import Context


class Receiver:
    """Takes one file at a time, so that each is checked against all before it.

    One over all processes of the node (:mod:`node.delivered`).
    """

    def __init__(self, node: Context) -> None:
        self._node = node
        self._lock = asyncio.Lock()
        self._records = Once(node.audit, "delivery", DELIVERY)

    async def receive(
        self, to: str, file: AgreementFile, peer: SpiffeId
    ) -> delivery_pb2.DeliverResponse:
        """Keep one file that an authorised broker brings; return our acknowledgement.

        It is on the disk, in effect and recorded when this returns.

        Raises:
            Refused: with the reason.
        """
        node = self._node
        if str(peer) not in node.brokers:
            raise Refused(Code.METHOD_NOT_ALLOWED, detail="not an authorised broker")
        if to != node.agency:
            raise Refused(Code.WRONG_AUDIENCE, text="The file is for another agency's node.")
        if file.party == node.agency:
            raise Refused(Code.METHOD_NOT_ALLOWED, detail="our own file, from outside")
        async with self._lock:
            await asyncio.to_thread(self._keep, file)
        if not file.is_head:
            await self._records.record(delivery_fields(file, file.party, peer))
        lacks = await asyncio.to_thread(missing, file, node.federation)
        signed = acknowledge(file.received, node.agency, node.clock.now_ms(), node.signer)
        return delivery_pb2.DeliverResponse(acknowledgement=envelope_to_wire(signed), missing=lacks)

    def _keep(self, file: AgreementFile) -> None:
        """Keep a file and let it take effect.

        Raises:
            Refused: as :func:`accord.deliveries.keep`, and ``STORE_UNAVAILABLE`` where what
                was seen can't be written, on a full disk say.
        """
        node = self._node
        try:
            with node.delivered.taking() as tell:
                folder = node.federation.folders.get(file.digest)
                if folder is not None:
                    # Another process may have kept a file of this agreement, and have ended.
                    node.sources.refresh(folder)
                federation = node.federation
                last = node.sources.last_head(file.digest, file.party)
                if keep(file, federation, last_head=last, now_ms=node.clock.now_ms()):
                    node.sources.refresh(federation.folders[file.digest])
                    tell()
        except InputError as problem:
            raise Refused(Code.STORE_UNAVAILABLE, detail=str(problem)) from None


def delivery_fields(file: AgreementFile, agency: str, peer: SpiffeId | None) -> dict[str, str]:
    """Return the fields of a record about a file that was sent to or came from an agency."""
    fields = {
        "agency": agency,
        "agreement": file.digest.hex(),
        "detail": f"{file.name} sha256:{file.received.sha256}",
        "decision": "held",
    }
    return fields | ({"peer": str(peer)} if peer else {})
