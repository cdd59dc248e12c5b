"""The agencies and agreements as they stand now: what every decision starts from. Frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from accord.agencies import Agency
from accord.agreements.effective import Agreement
from accord.errors import Code, Refused


@dataclass(frozen=True, slots=True)
class Problem:
    """What was left out, and why, in one line."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Federation:
    """Verified agencies by id, agreements by digest, and what was left out.

    ``folders`` is where each agreement lies, by digest. ``readable`` is not so
    while the folder can't be used at all, and so nothing in it.
    """

    agencies: Mapping[str, Agency]
    agreements: Mapping[bytes, Agreement]
    problems: tuple[Problem, ...] = ()
    folders: Mapping[bytes, Path] = field(default_factory=lambda: MappingProxyType({}))
    readable: bool = True

    def agency(self, name: str) -> Agency | None:
        """Return a caller's agency, None where it is not known.

        Raises:
            Refused: ``STORE_UNAVAILABLE``: the folder can't be used now, so nobody can tell.
        """
        if not self.readable:
            raise Refused(Code.STORE_UNAVAILABLE)
        return self.agencies.get(name)

    def between(self, requester: str, owner: str) -> tuple[Agreement, ...]:
        """Return the agreements in which the requester may ask the owner.

        The executed one that commenced last comes first, drafts come last.
        Whether one is in force at a moment is for ``effective`` to say.
        """
        return self._by_pair.get((requester, owner), ())

    @cached_property
    def _by_pair(self) -> Mapping[tuple[str, str], tuple[Agreement, ...]]:
        """Agreements by requester and owner: of many, a question looks at its own alone."""
        pairs: dict[tuple[str, str], list[Agreement]] = {}
        for agreement in sorted(self.agreements.values(), key=_current_first):
            for pair in agreement.pairs:
                pairs.setdefault(pair, []).append(agreement)
        return {pair: tuple(found) for pair, found in pairs.items()}

    def scope(self, requester: str) -> Mapping[str, tuple[Agreement, ...]]:
        """Return every agency that some agreement lets the requester ask.

        Each comes with its agreements, ordered as in :meth:`between`.
        """
        found = {owner: some for (asks, owner), some in self._by_pair.items() if asks == requester}
        return dict(sorted(found.items()))


def _current_first(agreement: Agreement) -> tuple[bool, bool, int, bytes]:
    commences_ms = agreement.term.commences_ms
    replaced = agreement.replaced_ms is not None
    return commences_ms is None, replaced, -(commences_ms or 0), agreement.manifest.digest
