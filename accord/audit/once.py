"""Records that are written once: what the log holds already is not written again.

A record is tried at each occasion, so that one which failed, or which a crash
came before, is made up for at the next. What is not known to be there is looked for in
what the log got since: another process of the node may have written it.
"""

import asyncio
from collections.abc import Mapping, Sequence

from accord.audit.leaf import Record
from accord.audit.log import AuditLog
from accord.audit.reader import Filter

_APART_MS = 120_000


class Once:
    """Records of one kind; those that agree in the fields ``same`` are one and the same."""

    def __init__(self, audit: AuditLog, kind: str, same: Sequence[str]) -> None:
        self._audit = audit
        self._kind = kind
        self._same = tuple(same)
        self._held: set[tuple[str, ...]] = set()
        self._newest_ms = 0
        self._lock = asyncio.Lock()

    async def record(self, fields: Mapping[str, str]) -> None:
        """Append unless the log holds it; durable when this returns.

        Raises:
            Refused: ``AUDIT_UNAVAILABLE``.
        """
        async with self._lock:
            key = self._key(fields)
            if key not in self._held:
                await asyncio.to_thread(self._read)
            if key not in self._held:
                await self._audit.append(Record(self._kind, fields))
                self._held.add(key)

    def _key(self, fields: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(fields.get(name, "") for name in self._same)

    def _read(self) -> None:
        """Take in what the log got since; clocks of processes may differ a little."""
        wanted = Filter(equal={"kind": self._kind}, since_ms=max(0, self._newest_ms - _APART_MS))
        for entry in self._audit.entries(wanted):
            self._held.add(self._key(entry.fields))
            self._newest_ms = max(self._newest_ms, entry.time_ms)
