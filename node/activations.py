"""What was activated goes into the audit log, by the node: a log has one writer.

``accord-node agreement activate`` writes a small file while the node may be
serving, so the node records each activation that its log does not hold yet, at
its start and within a second of a new one.
"""

import asyncio

from accord.audit.reader import Filter
from accord.clock import iso
from node.context import Context

KIND = "activation"


class ActivationRecords:
    """Records what was activated, each text once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._recorded: set[str] | None = None

    async def record(self) -> None:
        """Record what is new; durable when this returns.

        Raises:
            Refused: ``AUDIT_UNAVAILABLE``: tried again at the next call.
        """
        if self._recorded is None:
            self._recorded = await asyncio.to_thread(self._read)
        for one in self._context.sources.activations:
            digest = one.digest.hex()
            if digest in self._recorded:
                continue
            fields = {
                "agency": self._context.agency,
                "agreement": digest,
                "detail": f"{one.agreement}, revision {one.revision}, at {iso(one.at_ms)}"
                + (f", by {one.by}" if one.by else ""),
                "decision": "activated",
            }
            await self._context.record(KIND, fields)
            self._recorded.add(digest)

    def _read(self) -> set[str]:
        wanted = Filter(equal={"kind": KIND})
        return {entry.fields["agreement"] for entry in self._context.audit.entries(wanted)}
