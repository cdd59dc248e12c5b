"""Heads go into the audit log: those that the node signed, and those that it came to hold.

So the log shows from when until when the node knew of which notices of each
party, and what it told the others of its own. A head is recorded once it is in
effect; of several that came within a second the last one is. What the log holds
already is not written again after a restart.
"""

import asyncio

from accord.agreements.heads import Head
from accord.audit.reader import Filter
from accord.clock import iso
from node.context import Context

KIND = "head"


class HeadRecords:
    """Records each new head of an agreement of ours, once; :meth:`record` every second."""

    def __init__(self, context: Context) -> None:
        self._context = context
        # By party, then by agreement (hex): the words of the last head that was recorded.
        self._last: dict[str, dict[str, str]] = {}

    async def record(self) -> None:
        """Record what is new; durable when this returns.

        Raises:
            Refused: ``AUDIT_UNAVAILABLE``: tried again at the next call.
        """
        own = self._context.agency
        for digest, agreement in self._context.federation.agreements.items():
            if own not in agreement.parties:
                continue
            for head in agreement.heads or ():
                if head.party not in self._last:
                    self._last[head.party] = await asyncio.to_thread(self._read, head.party)
                words, before = _words(head), self._last[head.party]
                if before.get(digest.hex()) == words:
                    continue
                fields = {
                    "agency": head.party,
                    "agreement": digest.hex(),
                    "detail": words,
                    "decision": "made" if head.party == own else "held",
                }
                await self._context.record(KIND, fields)
                before[digest.hex()] = words

    def _read(self, party: str) -> dict[str, str]:
        wanted = Filter(equal={"kind": KIND, "agency": party})
        entries = self._context.audit.entries(wanted)
        return {entry.fields["agreement"]: entry.fields["detail"] for entry in entries}


def _words(head: Head) -> str:
    notices = f"{len(head.instruments)} notice{'s' * (len(head.instruments) != 1)}"
    return f"number {head.number}, {notices}, good until {iso(head.expires_ms)}"
