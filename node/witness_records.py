"""What was found amiss with a log, and what a person resolved, goes into our audit log.

Evidence is kept first, by whichever process finds it or by a command; the node that
leads records it within a second or two, each once.
"""

import asyncio
from collections.abc import Iterator

from accord.audit.once import Once
from accord.clock import iso
from accord.errors import Mark
from node.context import Context
from node.witness_memory import HALTING, Evidence, Kind, Memory

FOUND, RESOLVED = "found", "resolved"


class AlertRecords:
    """Records of kind ``alert``; :meth:`record` again and again."""

    def __init__(self, context: Context, memory: Memory) -> None:
        self._context = context
        self._memory = memory
        self._once = Once(context.audit, "alert", ("note", "decision"))
        self._done: set[tuple[str, str]] = set()

    async def record(self) -> None:
        """Record what is new; durable when this returns.

        Raises:
            Refused: ``AUDIT_UNAVAILABLE`` or the store's: tried again at the next call.
        """
        for one in await asyncio.to_thread(self._memory.evidence):
            for decision, detail in _said(one):
                if (one.id, decision) in self._done:
                    continue
                mark = Mark.HALT if one.kind in HALTING else Mark.ALERT
                fields = {
                    "agency": one.origin.partition("/")[0],
                    "note": one.id,
                    "decision": decision,
                    "detail": detail,
                    "mark": mark.value,
                }
                await self._once.record(fields)
                self._done.add((one.id, decision))


def _said(one: Evidence) -> Iterator[tuple[str, str]]:
    if one.kind is not Kind.FORGOTTEN:
        yield FOUND, f"{one.in_words}; as witnessed by {one.witness}"
    if one.resolved_ms:
        when = iso(one.resolved_ms)
        yield RESOLVED, f"{one.in_words}; by {one.resolved_by} at {when}: {one.reason}"
