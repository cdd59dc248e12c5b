"""What a decision is: allowed with its terms, or refused with section and reason."""

from dataclasses import dataclass

from accord.agreements.law.rules import Rule
from accord.agreements.terms import Terms
from accord.errors import Code, Refused


@dataclass(frozen=True, slots=True)
class Decision:
    """Allowed or not, by which section.

    ``code`` is None and ``reason`` empty when allowed. ``reason`` and
    ``contact`` are public; ``detail`` is for the owner's audit log only.
    ``terms`` is there only when allowed with the owner's policy known. ``law``
    are the rules of law that bind the two, ``rule`` the key of the one that
    refused, if one did; ``parent`` the id of the parent agreement that did.
    """

    allowed: bool
    code: Code | None
    section: str
    reason: str
    contact: str
    terms: Terms | None
    detail: str = ""
    law: tuple[Rule, ...] = ()
    rule: str = ""
    parent: str = ""

    def refusal(self) -> Refused:
        """Return the refusal to raise.

        Raises:
            ValueError: the decision allows.
        """
        if self.code is None:
            raise ValueError("an allowed query is not refused")
        return Refused(
            self.code,
            section=self.section,
            text=self.reason,
            contact=self.contact,
            detail=self.detail,
        )


def refused(code: Code, section: str, reason: str, contact: str = "", detail: str = "") -> Decision:
    """Return a decision that refuses."""
    return Decision(False, code, section, reason, contact, None, detail)
