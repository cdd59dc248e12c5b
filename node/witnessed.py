"""How this node's log is witnessed, and what was found amiss: for figures, doctor and people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from accord.audit.cosigned import coverage, written_at
from accord.audit.places import Place
from accord.federation import Federation
from accord.witnessing import counterparts, witness_name
from node.config import WitnessRule
from node.witness_memory import Evidence, Memory


@dataclass(frozen=True, slots=True)
class Witnessed:
    """``size`` entries, of which ``needed`` of the ``agencies`` vouch for the first ``covered``.

    ``by_agency`` is how far each does. ``since_ms`` is when the first entry was written
    that they don't vouch for; None: they do for all, or there is nobody who could. It may
    wait for ``alert_after_ms``.
    """

    agencies: Sequence[str]
    needed: int
    size: int
    by_agency: Mapping[str, int]
    since_ms: int | None
    alert_after_ms: int
    evidence: Sequence[Evidence] = ()

    @property
    def covered(self) -> int:
        """How many entries enough of the agencies vouch for."""
        sizes = sorted(self.by_agency.values(), reverse=True)
        return sizes[self.needed - 1] if len(sizes) >= self.needed else 0

    def late(self, now_ms: int) -> bool:
        """Tell whether entries wait for longer than they may."""
        return self.since_ms is not None and now_ms - self.since_ms > self.alert_after_ms


def witnesses(
    federation: Federation, agency: str, rule: WitnessRule, at_ms: int
) -> tuple[str, ...]:
    """Return the agencies that are asked to cosign: counterparts that the rule names."""
    found = counterparts(federation, agency, at_ms)
    return tuple(sorted(found if rule.agencies is None else found & rule.agencies))


def look(
    place: Place, memory: Memory | None, rule: WitnessRule, agencies: Sequence[str]
) -> Witnessed:
    """Return how a log is witnessed now. Blocks.

    Of a node without counterparts nobody could witness it, and so nothing waits.

    Raises:
        InputError: the log can't be read.
        Refused: the memory can't.
    """
    found = coverage(place, map(witness_name, agencies))
    by_agency = {one: found.by_witness[witness_name(one)] for one in agencies}
    evidence = tuple(memory.evidence()) if memory is not None else ()
    state = Witnessed(
        agencies, rule.needed, found.size, by_agency, None, rule.alert_after_ms, evidence
    )
    if state.covered >= state.size or not (agencies or rule.agencies):
        return state
    return replace(state, since_ms=written_at(place, state.covered))
