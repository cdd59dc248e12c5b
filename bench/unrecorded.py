"""A node whose audit log records nothing at all: what ``bench.audit`` compares the log with.

``python -m bench.unrecorded serve --config node.toml`` is ``accord-node serve`` but that
each record is said to be there at once: no leaf, no seal, no proof, no signature, no disk.
Its answers hold no receipt that anybody would believe. No program of ours can be set so.
"""

from collections import defaultdict

from accord.audit.leaf import Record
from accord.audit.log import AuditLog, Commit, Entry
from node.__main__ import run

_NOTHING = Entry(0, b"", defaultdict(bytes), 0, Commit(b"", 1, {}))


async def _append(self: AuditLog, record: Record) -> Entry:
    return _NOTHING


if __name__ == "__main__":
    AuditLog.append = _append  # type: ignore[method-assign]  # the one thing that differs
    run()
