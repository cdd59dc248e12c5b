"""Records that are written once: what the log holds already is not written again.

A record is tried at each occasion, so that one which failed, or which a crash
came before, is made up for at the next.
"""

import asyncio
from collections.abc import Mapping, Sequence

from accord.audit.leaf import Record
from accord.audit.log import AuditLog
from accord.audit.reader import Filter


class Once:
    """Records of one kind; those that agree in the fields ``same`` are one and the same."""

    def __init__(self, audit: AuditLog, kind: str, same: Sequence[str]) -> None:
        self._audit = audit
        self._kind = kind
        self._same = tuple(same)
        self._held: set[tuple[str, ...]] | None = None
        self._lock = asyncio.Lock()

    async def record(self, fields: Mapping[str, str]) -> None:
        """Append unless the log holds it; durable when this returns.

        Raises:
            Refused: ``AUDIT_UNAVAILABLE``.
        """
        async with self._lock:
            if self._held is None:
                self._held = await asyncio.to_thread(self._read)
            key = self._key(fields)
            if key not in self._held:
                await self._audit.append(Record(self._kind, fields))
                self._held.add(key)

    def _key(self, fields: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(fields.get(name, "") for name in self._same)

    def _read(self) -> set[tuple[str, ...]]:
        wanted = Filter(equal={"kind": self._kind})
        return {self._key(entry.fields) for entry in self._audit.entries(wanted)}
