"""The closed catalogue of what Accord refuses, and the errors that carry it.

    AccordError
     +-- Refused        a query or a call is refused: code, section, text
     +-- InputError     a file, key or field that a person must mend
     +-- Unverified     bytes that were received can't be trusted: not shown

Every refusal in the system has one :class:`Code`. The code decides the gRPC
status, the public text and what the audit log does with it, so that no
servicer invents words of its own. Texts name no plate, person or read.
"""

from dataclasses import dataclass
from enum import StrEnum


class Mark(StrEnum):
    """What the audit log does with a refusal (the attack matrix' letters)."""

    REFUSED = "R"
    ALERT = "S"
    HALT = "H"
    COUNTED = "-"


@dataclass(frozen=True, slots=True)
class Spec:
    """One entry of the catalogue: gRPC status name, public text, audit mark."""

    status: str
    text: str
    mark: Mark = Mark.REFUSED


class Code(StrEnum):
    """Every reason that Accord knows for not doing what it was asked."""

    # The caller and its envelope.
    PEER_REFUSED = "PEER_REFUSED"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    MALFORMED = "MALFORMED"
    BAD_QUERY = "BAD_QUERY"
    TOO_LARGE = "TOO_LARGE"
    DEADLINE_MISSING = "DEADLINE_MISSING"
    MESSAGE_LATE = "MESSAGE_LATE"
    WRONG_AUDIENCE = "WRONG_AUDIENCE"
    STALE = "STALE"
    REPLAYED = "REPLAYED"
    IN_PROGRESS = "IN_PROGRESS"
    # The officer.
    CREDENTIAL_EXPIRED = "CREDENTIAL_EXPIRED"
    OFFICER_UNKNOWN = "OFFICER_UNKNOWN"
    OFFICER_NOT_IN_GOOD_STANDING = "OFFICER_NOT_IN_GOOD_STANDING"
    TRAINING_LAPSED = "TRAINING_LAPSED"
    OFFICER_PURPOSE = "OFFICER_PURPOSE"
    ROSTER_STALE = "ROSTER_STALE"
    # The agreement, the law and the owner's policy.
    NO_AGREEMENT = "NO_AGREEMENT"
    AGREEMENT_NOT_EXECUTED = "AGREEMENT_NOT_EXECUTED"
    AGREEMENT_NOT_ACTIVATED = "AGREEMENT_NOT_ACTIVATED"
    AGREEMENT_NOT_COMMENCED = "AGREEMENT_NOT_COMMENCED"
    AGREEMENT_EXPIRED = "AGREEMENT_EXPIRED"
    AGREEMENT_SUSPENDED = "AGREEMENT_SUSPENDED"
    HEAD_STALE = "HEAD_STALE"
    AGREEMENT_INVALID = "AGREEMENT_INVALID"
    DIRECTION_NOT_AGREED = "DIRECTION_NOT_AGREED"
    KIND_NOT_AGREED = "KIND_NOT_AGREED"
    PURPOSE_UNKNOWN = "PURPOSE_UNKNOWN"
    PURPOSE_NOT_AGREED = "PURPOSE_NOT_AGREED"
    PURPOSE_PROHIBITED = "PURPOSE_PROHIBITED"
    LAW_FORBIDS = "LAW_FORBIDS"
    CASE_NUMBER_REQUIRED = "CASE_NUMBER_REQUIRED"
    REASON_REQUIRED = "REASON_REQUIRED"
    ATTESTATION_REQUIRED = "ATTESTATION_REQUIRED"
    APPROVAL_REQUIRED = "APPROVAL_REQUIRED"
    OFFENCE_NOT_AGREED = "OFFENCE_NOT_AGREED"
    AGENCY_NOT_ELIGIBLE = "AGENCY_NOT_ELIGIBLE"
    OFFICER_NOT_ELIGIBLE = "OFFICER_NOT_ELIGIBLE"
    EXPORT_NOT_AGREED = "EXPORT_NOT_AGREED"
    OPERATOR_NOT_AGREED = "OPERATOR_NOT_AGREED"
    ONWARD_SHARING = "ONWARD_SHARING"
    LOOK_BACK_EXCEEDED = "LOOK_BACK_EXCEEDED"
    ROW_LIMIT_EXCEEDED = "ROW_LIMIT_EXCEEDED"
    PLATES_NOT_AGREED = "PLATES_NOT_AGREED"
    FIELD_NOT_SHARED = "FIELD_NOT_SHARED"
    LOCAL_POLICY = "LOCAL_POLICY"
    # The search.
    PHOTO_NOT_AVAILABLE = "PHOTO_NOT_AVAILABLE"
    SEARCH_TOO_WIDE = "SEARCH_TOO_WIDE"
    RATE_EXCEEDED = "RATE_EXCEEDED"
    # The machine.
    AUDIT_UNAVAILABLE = "AUDIT_UNAVAILABLE"
    AUDIT_HALTED = "AUDIT_HALTED"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    STORE_CORRUPT = "STORE_CORRUPT"
    CLOCK_IMPLAUSIBLE = "CLOCK_IMPLAUSIBLE"
    NODE_UNREACHABLE = "NODE_UNREACHABLE"
    NODE_TIMED_OUT = "NODE_TIMED_OUT"
    NODE_UNKNOWN = "NODE_UNKNOWN"
    ANSWER_UNVERIFIED = "ANSWER_UNVERIFIED"
    INTERNAL = "INTERNAL"


_DENIED = "PERMISSION_DENIED"
_STATE = "FAILED_PRECONDITION"
_ARGUMENT = "INVALID_ARGUMENT"

CATALOGUE: dict[Code, Spec] = {
    Code.PEER_REFUSED: Spec(
        "UNAUTHENTICATED", "The caller's certificate is not accepted here.", Mark.ALERT
    ),
    Code.METHOD_NOT_ALLOWED: Spec(
        _DENIED, "This kind of caller may not call this method.", Mark.ALERT
    ),
    Code.SIGNATURE_INVALID: Spec(
        "UNAUTHENTICATED", "A signature is missing or does not fit the message."
    ),
    Code.MALFORMED: Spec(_ARGUMENT, "The message is not in the canonical form of its version."),
    Code.BAD_QUERY: Spec(_ARGUMENT, "A field of the query is not acceptable."),
    Code.TOO_LARGE: Spec("RESOURCE_EXHAUSTED", "The message is too large.", Mark.COUNTED),
    Code.DEADLINE_MISSING: Spec(
        _ARGUMENT, "The call has no deadline, or one too far away.", Mark.COUNTED
    ),
    Code.MESSAGE_LATE: Spec(
        "DEADLINE_EXCEEDED", "The call's message did not arrive in time.", Mark.COUNTED
    ),
    Code.WRONG_AUDIENCE: Spec(_DENIED, "The query is addressed to another node.", Mark.ALERT),
    Code.STALE: Spec(_STATE, "The query is too old, or dated in the future."),
    Code.REPLAYED: Spec("ALREADY_EXISTS", "The query was received before.", Mark.ALERT),
    Code.IN_PROGRESS: Spec(
        "ALREADY_EXISTS", "The same query is being answered already.", Mark.ALERT
    ),
    Code.CREDENTIAL_EXPIRED: Spec(_DENIED, "The officer's credential is not valid at this time."),
    Code.OFFICER_UNKNOWN: Spec(_DENIED, "The officer is not on the agency's roster."),
    Code.OFFICER_NOT_IN_GOOD_STANDING: Spec(_DENIED, "The officer is not in good standing."),
    Code.TRAINING_LAPSED: Spec(
        _DENIED, "The officer's ALPR training is older than the agreement allows."
    ),
    Code.OFFICER_PURPOSE: Spec(_DENIED, "The officer is not authorised for this purpose."),
    Code.ROSTER_STALE: Spec(
        _STATE, "The home agency's roster is too old to vouch for anyone.", Mark.ALERT
    ),
    Code.NO_AGREEMENT: Spec(_DENIED, "No agreement allows this agency to ask the other."),
    Code.AGREEMENT_NOT_EXECUTED: Spec(_STATE, "The agreement lacks a party's counterpart."),
    Code.AGREEMENT_NOT_ACTIVATED: Spec(_STATE, "The agreement is not activated at this node."),
    Code.AGREEMENT_NOT_COMMENCED: Spec(_STATE, "The agreement has not commenced."),
    Code.AGREEMENT_EXPIRED: Spec(_STATE, "The agreement has expired."),
    Code.AGREEMENT_SUSPENDED: Spec(_STATE, "The agreement, or this part of it, is suspended."),
    Code.HEAD_STALE: Spec(
        _STATE, "No fresh head of a party is held here: a notice may be withheld.", Mark.ALERT
    ),
    Code.AGREEMENT_INVALID: Spec(
        _STATE, "The agreement relied on is not the one held here.", Mark.ALERT
    ),
    Code.DIRECTION_NOT_AGREED: Spec(_DENIED, "The agreement shares in the other direction only."),
    Code.KIND_NOT_AGREED: Spec(_DENIED, "The agreement does not share this kind of data."),
    Code.PURPOSE_UNKNOWN: Spec(_DENIED, "The purpose is not one that Accord knows."),
    Code.PURPOSE_NOT_AGREED: Spec(_DENIED, "The agreement does not hold this purpose."),
    Code.PURPOSE_PROHIBITED: Spec(_DENIED, "No agreement can allow this purpose.", Mark.ALERT),
    Code.LAW_FORBIDS: Spec(_DENIED, "The law does not allow this, whatever was agreed."),
    Code.CASE_NUMBER_REQUIRED: Spec(_DENIED, "A case number is required."),
    Code.REASON_REQUIRED: Spec(_DENIED, "A reason in words is required."),
    Code.ATTESTATION_REQUIRED: Spec(_DENIED, "The officer must declare more than the query does."),
    Code.APPROVAL_REQUIRED: Spec(_DENIED, "A written approval is required."),
    Code.OFFENCE_NOT_AGREED: Spec(
        _DENIED, "The agreement does not share for this class of offence."
    ),
    Code.AGENCY_NOT_ELIGIBLE: Spec(
        _DENIED, "The agreement does not admit agencies of this kind, state or certification."
    ),
    Code.OFFICER_NOT_ELIGIBLE: Spec(
        _DENIED, "The agreement does not admit officers of this role, employment or training."
    ),
    Code.EXPORT_NOT_AGREED: Spec(_DENIED, "The agreement does not let answers be exported."),
    Code.OPERATOR_NOT_AGREED: Spec(
        _DENIED, "The agreement does not name the operator of this broker.", Mark.ALERT
    ),
    Code.ONWARD_SHARING: Spec(
        _DENIED, "Asking on behalf of another agency is not allowed.", Mark.ALERT
    ),
    Code.LOOK_BACK_EXCEEDED: Spec(_DENIED, "The time window reaches back too far."),
    Code.ROW_LIMIT_EXCEEDED: Spec(_DENIED, "More rows are asked for than may be given."),
    Code.PLATES_NOT_AGREED: Spec(_DENIED, "More plates are named at once than may be."),
    Code.FIELD_NOT_SHARED: Spec(
        _DENIED, "The search uses a field that the agreement does not share."
    ),
    Code.LOCAL_POLICY: Spec(_DENIED, "The owner's own policy does not allow this."),
    Code.PHOTO_NOT_AVAILABLE: Spec("NOT_FOUND", "There is no such photo to give."),
    Code.SEARCH_TOO_WIDE: Spec(
        "RESOURCE_EXHAUSTED", "The search would scan too much: narrow the time, area or pattern."
    ),
    Code.RATE_EXCEEDED: Spec(
        "RESOURCE_EXHAUSTED", "Too many queries in a short time: wait a minute.", Mark.ALERT
    ),
    Code.AUDIT_UNAVAILABLE: Spec(
        "UNAVAILABLE", "The audit log can't be written, so nothing is answered.", Mark.HALT
    ),
    Code.AUDIT_HALTED: Spec(
        _STATE, "The audit log is not the one that others witnessed.", Mark.HALT
    ),
    Code.STORE_UNAVAILABLE: Spec("UNAVAILABLE", "The node's store does not answer.", Mark.COUNTED),
    Code.STORE_CORRUPT: Spec("DATA_LOSS", "The node's store is damaged.", Mark.HALT),
    Code.CLOCK_IMPLAUSIBLE: Spec(_STATE, "This machine's clock can't be right.", Mark.HALT),
    Code.NODE_UNREACHABLE: Spec("UNAVAILABLE", "The node can't be reached.", Mark.ALERT),
    Code.NODE_TIMED_OUT: Spec("DEADLINE_EXCEEDED", "The node did not answer in time.", Mark.ALERT),
    Code.NODE_UNKNOWN: Spec(_STATE, "No node of this agency is known here."),
    Code.ANSWER_UNVERIFIED: Spec(
        "DATA_LOSS", "What came back can't be verified and is not shown.", Mark.ALERT
    ),
    Code.INTERNAL: Spec("INTERNAL", "Internal error.", Mark.ALERT),
}


class AccordError(Exception):
    """Base of all errors of Accord. ``str()`` is safe to show and to log."""


class Refused(AccordError):
    """A query or a call is refused.

    ``text`` is public and may go to the caller; ``detail`` is for the owner's
    audit log only and must not hold a plate.
    """

    def __init__(
        self,
        code: Code,
        *,
        section: str = "",
        text: str = "",
        contact: str = "",
        detail: str = "",
    ) -> None:
        self.code = code
        self.section = section
        self.text = text or CATALOGUE[code].text
        self.contact = contact
        self.detail = detail
        where = f" ({section})" if section else ""
        whom = f" Whom to talk to: {contact}" if contact else ""
        super().__init__(f"{code}{where}: {self.text}{whom}")

    @property
    def status(self) -> str:
        """Name of the gRPC status, such as ``PERMISSION_DENIED``."""
        return CATALOGUE[self.code].status

    @property
    def mark(self) -> Mark:
        """What the audit log does with it."""
        return CATALOGUE[self.code].mark


class InputError(AccordError):
    """A file, key or field that a person must mend.

    The message is one line: ``where: what is wrong; what to do``.
    """

    def __init__(self, where: object, problem: str, remedy: str = "") -> None:
        self.where = str(where)
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{self.where}: {problem}" + (f"; {remedy}" if remedy else ""))


class Unverified(AccordError):
    """Received bytes can't be trusted, so nothing of them is shown.

    ``code`` is ``SIGNATURE_INVALID`` where no signature fits, ``MALFORMED``
    where the bytes are not canonical, ``ANSWER_UNVERIFIED`` where an answer is
    signed but not the answer to this query.
    """

    def __init__(self, code: Code, problem: str) -> None:
        self.code = code
        self.problem = problem
        super().__init__(f"{code}: {problem}")
