"""The floor that the law sets: no agreement and no policy lifts it. Data and one pure check.

The purposes are MOA II.A ("shall not be used for non-criminal immigration
enforcement purposes", no commercial purposes, official purposes only). Who
may ask at all: public law-enforcement agencies (MOA II.A: "law enforcement
agencies"; Cal. Civ. Code 1798.90.55(b)). Rules of single states, such as
California's against federal and out-of-state agencies, come as law packs and
will only add to this.
"""

from dataclasses import dataclass
from typing import Protocol

from accord.errors import Code
from accord.model import PROHIBITED, Purpose

ELIGIBLE_KINDS: frozenset[str] = frozenset(
    {
        "police",
        "sheriff",
        "port-police",
        "transit-police",
        "campus-police",
        "tribal-police",
        "state-police",
        "federal",
    }
)
"""Kinds of agencies that may ask. The rest (operators of brokers) may never."""

_KNOWN: dict[str, Purpose] = {purpose.value: purpose for purpose in Purpose}
_CHOICE = ", ".join(purpose for purpose in Purpose if purpose not in PROHIBITED)
ELIGIBLE_SECTION = "MOA II.A; Cal. Civ. Code 1798.90.55"

WORDS: dict[Purpose, str] = {
    Purpose.CIVIL_IMMIGRATION: "ALPR data may not be used for non-criminal immigration enforcement",
    Purpose.CRIMINAL_IMMIGRATION: "criminal immigration matters are off: counsel has not answered "
    "whether they are allowed",
    Purpose.COMMERCIAL: "ALPR data may not be used for commercial purposes",
    Purpose.PERSONAL: "ALPR data may not be used for personal purposes",
}


class Requester(Protocol):
    """The facts about the asking agency that decide; :class:`accord.agencies.Agency` has them."""

    @property
    def id(self) -> str:
        """The agency's id."""

    @property
    def kind(self) -> str:
        """The agency's kind, as its signed ``agency.toml`` says."""

    @property
    def expires_at_ms(self) -> int:
        """When that ``agency.toml`` is over, UTC ms."""


@dataclass(frozen=True, slots=True)
class Breach:
    """What the floor forbids: code, source of law, and the words for it."""

    code: Code
    section: str
    reason: str


def floor(purpose: str, requester: Requester, requesting_agency: str) -> Breach | None:
    """Return what the floor forbids, or None.

    A purpose counts only letter by letter: another case or a look-alike
    character makes an unknown purpose. The unknown text is not repeated.
    """
    known = _KNOWN.get(purpose)
    if known is None:
        return Breach(
            Code.PURPOSE_UNKNOWN,
            "MOA II.A",
            f"The purpose is not on the closed list of purposes: use one of {_CHOICE}.",
        )
    if known in PROHIBITED:
        return Breach(
            Code.PURPOSE_PROHIBITED,
            PROHIBITED[known],
            f"No agreement can allow this: {WORDS[known]}.",
        )
    if requester.id != requesting_agency:
        return Breach(
            Code.ONWARD_SHARING, "MOA II.A", "The query speaks for another agency than its own."
        )
    if requester.kind not in ELIGIBLE_KINDS:
        return Breach(
            Code.NO_AGREEMENT,
            ELIGIBLE_SECTION,
            "Only public law-enforcement agencies may ask; this agency is of another kind.",
        )
    return None
