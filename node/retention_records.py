"""What was deleted, held, released or asked goes into the audit log, by the serving node.

The log has one writer, so a command leaves a note in the store, in the same
transaction as what it did, a purge before it begins; the node records it within a
second or two.
"""

import asyncio

from accord.audit.once import Once
from node.context import Context
from node.holds import DUE

PURGE, RETENTION = "purge", "retention"


class RetentionRecords:
    """Records each note once, also if the node stopped between record and removal."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._records = {kind: Once(context.audit, kind, ("note",)) for kind in (PURGE, RETENTION)}

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
            await self._records[PURGE if one.decision == DUE else RETENTION].record(fields)
            await asyncio.to_thread(holds.forget, one.note_id)
