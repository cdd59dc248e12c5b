"""What was activated goes into the audit log, by the node: a log has one writer.

``accord-node agreement activate`` writes a small file while the node may be
serving, so the node records each activation that its log does not hold yet, at
its start and within a second of a new one.
"""

from accord.audit.once import Once
from accord.clock import iso
from node.context import Context

KIND = "activation"


class ActivationRecords:
    """Records what was activated, each text once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._records = Once(context.audit, KIND, ("agreement",))

    async def record(self) -> None:
        """Record what is new; durable when this returns.

        Raises:
            Refused: ``AUDIT_UNAVAILABLE``: tried again at the next call.
        """
        for one in self._context.sources.activations:
            fields = {
                "agency": self._context.agency,
                "agreement": one.digest.hex(),
                "detail": f"{one.agreement}, revision {one.revision}, at {iso(one.at_ms)}"
                + (f", by {one.by}" if one.by else ""),
                "decision": "activated",
            }
            await self._records.record(fields)
