"""What a refusal carries besides its reason: a section, and whom to talk to. Pure.

The closed catalogue (:mod:`accord.errors`) falls into four parts, by who can
do something about it: the agency that asks, the agency asked, whoever runs the
machine that refuses, and nobody: who could not prove who it is learns no
contact. Contacts come from the agencies' own signed ``agency.toml``, which
everybody in the federation holds, so they reveal neither policy nor data.
"""

from collections.abc import Mapping
from enum import Enum

from accord.agencies import Agency
from accord.errors import Code


class Whom(Enum):
    """Who can do something about a refusal."""

    HOME = "the agency that asks"
    OWNER = "the agency asked"
    HERE = "whoever runs the machine that refuses"
    NOBODY = "no contact is given to who is not known"


_C = Code
# The caller is not known, or nothing of the query is verified: the answer is a bare error.
_NOBODY = {_C.PEER_REFUSED, _C.DEADLINE_MISSING, _C.MESSAGE_LATE}
# The query, the officer or their program: the officer's own agency mends it.
_HOME = {
    _C.SIGNATURE_INVALID, _C.MALFORMED, _C.BAD_QUERY, _C.STALE, _C.REPLAYED, _C.IN_PROGRESS,
    _C.WRONG_AUDIENCE,
    _C.CREDENTIAL_EXPIRED, _C.OFFICER_UNKNOWN, _C.OFFICER_NOT_IN_GOOD_STANDING,
    _C.OFFICER_NOT_ELIGIBLE, _C.TRAINING_LAPSED, _C.OFFICER_PURPOSE, _C.ROSTER_STALE,
    _C.PURPOSE_UNKNOWN, _C.PURPOSE_PROHIBITED, _C.ONWARD_SHARING,
    _C.CASE_NUMBER_REQUIRED, _C.REASON_REQUIRED, _C.ATTESTATION_REQUIRED, _C.APPROVAL_REQUIRED,
}  # fmt: skip
_HERE = {
    _C.METHOD_NOT_ALLOWED, _C.TOO_LARGE, _C.AUDIT_UNAVAILABLE, _C.AUDIT_HALTED,
    _C.STORE_UNAVAILABLE, _C.STORE_CORRUPT, _C.CLOCK_IMPLAUSIBLE, _C.INTERNAL,
}  # fmt: skip
_OWNER = {
    _C.NO_AGREEMENT, _C.AGREEMENT_NOT_EXECUTED, _C.AGREEMENT_NOT_COMMENCED, _C.AGREEMENT_EXPIRED,
    _C.AGREEMENT_NOT_ACTIVATED, _C.HEAD_STALE,
    _C.AGREEMENT_SUSPENDED, _C.AGREEMENT_INVALID, _C.DIRECTION_NOT_AGREED, _C.KIND_NOT_AGREED,
    _C.PURPOSE_NOT_AGREED, _C.LAW_FORBIDS, _C.OFFENCE_NOT_AGREED, _C.AGENCY_NOT_ELIGIBLE,
    _C.EXPORT_NOT_AGREED, _C.OPERATOR_NOT_AGREED, _C.LOOK_BACK_EXCEEDED, _C.ROW_LIMIT_EXCEEDED,
    _C.PLATES_NOT_AGREED,
    _C.FIELD_NOT_SHARED, _C.LOCAL_POLICY, _C.PHOTO_NOT_AVAILABLE, _C.SEARCH_TOO_WIDE,
    _C.RATE_EXCEEDED, _C.NODE_UNREACHABLE, _C.NODE_TIMED_OUT, _C.NODE_UNKNOWN,
    _C.ANSWER_UNVERIFIED,
}  # fmt: skip

WHOM: Mapping[Code, Whom] = {
    code: whom
    for whom, codes in (
        (Whom.NOBODY, _NOBODY), (Whom.HOME, _HOME), (Whom.HERE, _HERE), (Whom.OWNER, _OWNER),
    )
    for code in codes
}  # fmt: skip
"""Every code, and who can do something about it."""

UNCITED = frozenset(
    {
        *_NOBODY, *_HERE,
        _C.SIGNATURE_INVALID, _C.MALFORMED, _C.BAD_QUERY, _C.STALE, _C.REPLAYED, _C.IN_PROGRESS,
        _C.WRONG_AUDIENCE, _C.PHOTO_NOT_AVAILABLE, _C.SEARCH_TOO_WIDE, _C.NODE_UNREACHABLE,
        _C.NODE_TIMED_OUT, _C.NODE_UNKNOWN, _C.ANSWER_UNVERIFIED,
    }
)  # fmt: skip
"""Codes behind which no section of a text stands: the wire's rules, and machines.

Every other refusal names the section of the agreement, the policy or the law.
"""


def whom_to_ask(
    code: Code, *, home: Agency | None, owner: Agency | None, here: Agency | None
) -> str:
    """Return the contact of who can do something about a refusal; "" where there is none.

    ``here`` is the agency whose machine refuses.
    """
    chosen = {Whom.HOME: home, Whom.OWNER: owner, Whom.HERE: here}.get(WHOM[code])
    return chosen.contact if chosen else ""
