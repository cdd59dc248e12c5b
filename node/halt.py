"""The node answers nothing while its own audit log is not the one that others witnessed.

That is so once a witness shows a checkpoint of ours, signed by our own log key, that the
log does not hold: the log was cut back, put back from an older copy, or somebody else has
the key. It is kept as evidence (:mod:`node.witness_memory`) and stays so, also across
restarts and for every process of the node, until a person has resolved it:
``accord-node witness resolve``.
"""

import structlog

from accord.errors import Code, Refused
from node.witness_memory import HALTING, Evidence, Memory

log = structlog.get_logger()


def unresolved(evidence: list[Evidence]) -> list[Evidence]:
    """Return the evidence against our own log that nobody has resolved."""
    return [one for one in evidence if one.kind in HALTING and not one.resolved_ms]


class Halt:
    """Whether this node is halted, as of the last look."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.why = ""
        """What was found, "" while nothing is."""

    def look(self) -> None:
        """Look whether there is evidence against our own log. Blocks.

        Raises:
            Refused: it can't be told now; what was found last counts on.
        """
        found = unresolved(self._memory.evidence())
        why = found[0].in_words if found else ""
        if why and why != self.why:
            log.error("alert: halted, nothing is answered", found=why, evidence=found[0].id)
        elif self.why and not why:
            log.warning("no longer halted")
        self.why = why

    def require(self) -> None:
        """Refuse while the node is halted.

        Raises:
            Refused: ``AUDIT_HALTED``.
        """
        if self.why:
            raise Refused(Code.AUDIT_HALTED, detail=self.why)
