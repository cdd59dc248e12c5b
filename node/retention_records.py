"""What ``accord-node retention`` did goes into the audit log, by the serving node.

The log has one writer, so a command leaves a note in the store, in the same
transaction as what it did; the node records it within a second or two.
"""

import asyncio

from accord.audit.once import Once
from node.context import Context

KIND = "retention"


class RetentionRecords:
    """Records each note once, also if the node stopped between record and removal."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._records = Once(context.audit, KIND, ("note",))

    async def record(self) -> None:
        """Record what is new; durable when this returns.

        Raises:
            Refused: ``AUDIT_UNAVAILABLE`` or the store's: tried again at the next call.
        """
        holds = self._context.store.holds
        for one in await asyncio.to_thread(holds.notes):
            fields = {
                "agency": self._context.agency,
                "note": one.note_id,
                "decision": one.decision,
                "case": one.case,
                "detail": one.detail,
            }
            await self._records.record(fields)
            await asyncio.to_thread(holds.forget, one.note_id)
