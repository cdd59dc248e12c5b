"""The personnel desk: the roster of officers, and the credentials it issues.

The desk keeps ``roster.toml`` by hand or from its own system and publishes it
signed, again and again. The home node trusts a roster for at most 15 minutes,
so a suspended officer is out by then at the latest.

MOA II.A and IV: "authorized and trained law enforcement personnel currently
employed by and in good standing with their respective agency".
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

from pydantic import Field, ValidationError

from accord import envelope as dsse
from accord.codec import decode_credential, encode_credential
from accord.envelope import Envelope, SignedBy, sign
from accord.envelope_json import from_json, load_json, to_json
from accord.errors import Code, InputError, Refused, Unverified
from accord.keys import PublicKey, Signer
from accord.model import (
    PROHIBITED,
    Approval,
    ApprovalKind,
    Credential,
    Employment,
    Purpose,
    check_agency,
)
from accord.strict_toml import StrictModel, read_toml

FORMAT = "accord-roster/1"
GOOD_STANDING = "good"
SECTION = "MOA II.A"
"""What is cited where no agreement says who may ask."""
MAX_STATUS_AGE_MS = 15 * 60_000
MAX_CREDENTIAL_MS = 12 * 3_600_000
_SKEW_MS = 30_000
_ALLOWED = tuple(purpose for purpose in Purpose if purpose not in PROHIBITED)


class _Officer(StrictModel):
    id: str = Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9._-]+$")
    name: str = Field(min_length=1, max_length=120)
    role: str = Field(min_length=1, max_length=60)
    standing: str = Field(min_length=1, max_length=60)
    trained_on: date
    purposes: list[str] = Field(min_length=1)
    employment: str
    course: str = Field(default="", max_length=120)
    may_approve: bool = False


class _File(StrictModel):
    format: str
    agency: str
    officers: list[_Officer] = Field(min_length=1)


class _Published(StrictModel):
    format: str
    agency: str
    number: int = Field(ge=1)
    as_of_ms: int
    officers: list[dict[str, str | bool | list[str]]]


@dataclass(frozen=True, slots=True)
class Officer:
    """One officer as the personnel desk knows them. ``trained_on`` is YYYY-MM-DD.

    ``may_approve`` says that this supervisor's written approval counts.
    """

    id: str
    name: str
    role: str
    standing: str
    trained_on: str
    purposes: frozenset[str]
    employment: str = Employment.EMPLOYEE
    course: str = ""
    may_approve: bool = False


@dataclass(frozen=True, slots=True)
class Roster:
    """An agency's officers, as of a moment (UTC ms)."""

    agency: str
    number: int
    as_of_ms: int
    officers: Mapping[str, Officer]


def read_roster(path: Path) -> Roster:
    """Read the desk's own ``roster.toml``; number and time are still 0.

    Raises:
        InputError: naming the file and the key to mend.
    """
    file = read_toml(path, _File)
    if file.format != FORMAT:
        raise InputError(f"{path}: format", "is not one that this version reads", FORMAT)
    agency = check_agency(file.agency, f"{path}: agency")
    officers: dict[str, Officer] = {}
    for entry in file.officers:
        if entry.id in officers:
            raise InputError(f"{path}: officers.id", f"{entry.id!r} stands there twice")
        unknown = sorted(set(entry.purposes) - set(_ALLOWED))
        if unknown:
            raise InputError(
                f"{path}: officers.purposes",
                f"{unknown[0]!r} is not a purpose that anybody can be authorised for",
                f"use some of {', '.join(_ALLOWED)}",
            )
        if entry.employment not in set(Employment):
            raise InputError(
                f"{path}: officers.employment",
                f"{entry.employment!r} is not one that Accord knows",
                f"use one of {', '.join(Employment)}",
            )
        officers[entry.id] = Officer(
            entry.id,
            entry.name,
            entry.role,
            entry.standing,
            entry.trained_on.isoformat(),
            frozenset(entry.purposes),
            entry.employment,
            entry.course,
            entry.may_approve,
        )
    return Roster(agency, 0, 0, officers)


def publish(roster: Roster, number: int, as_of_ms: int, key: Signer) -> bytes:
    """Return the signed roster that the home node reads."""
    officers = [
        {
            "id": o.id,
            "name": o.name,
            "role": o.role,
            "standing": o.standing,
            "trained_on": o.trained_on,
            "purposes": sorted(o.purposes),
            "employment": o.employment,
            "course": o.course,
            "may_approve": o.may_approve,
        }
        for o in roster.officers.values()
    ]
    content = {
        "format": FORMAT,
        "agency": roster.agency,
        "number": number,
        "as_of_ms": as_of_ms,
        "officers": officers,
    }
    return to_json(sign(dsse.ROSTER, json.dumps(content, sort_keys=True).encode(), key))


def load_roster(data: bytes, keys: Iterable[PublicKey], agency: str) -> Roster:
    """Return the roster in a signed file, once the desk's signature is verified.

    Raises:
        InputError: not a roster, or another agency's.
        Unverified: not signed by the personnel desk.
    """
    envelope = from_json(data, "roster")
    payload = dsse.verify(envelope, dsse.ROSTER, SignedBy(keys, "the personnel desk"))
    try:
        file = _Published.model_validate(load_json(payload, "roster"))
        officers = {str(o["id"]): _officer(o) for o in file.officers}
    except (ValidationError, KeyError):
        raise InputError("roster", "is not a roster", "publish it again") from None
    if file.agency != agency or file.format != FORMAT:
        raise InputError("roster", "is another agency's, or of another format", "publish it again")
    return Roster(agency, file.number, file.as_of_ms, officers)


def _officer(entry: Mapping[str, str | bool | list[str]]) -> Officer:
    purposes = entry["purposes"]
    return Officer(
        str(entry["id"]),
        str(entry["name"]),
        str(entry["role"]),
        str(entry["standing"]),
        str(entry["trained_on"]),
        frozenset(purposes if isinstance(purposes, list) else ()),
        str(entry["employment"]),
        str(entry["course"]),
        entry["may_approve"] is True,
    )


def check_officer(
    roster: Roster, credential: Credential, purpose: str, now_ms: int, section: str = SECTION
) -> None:
    """Check an officer against the roster now; refusals name ``section``.

    Raises:
        Refused: ``ROSTER_STALE``, ``OFFICER_UNKNOWN``,
            ``OFFICER_NOT_IN_GOOD_STANDING``, ``OFFICER_PURPOSE``, or
            ``CREDENTIAL_EXPIRED`` when the roster's facts have changed since.
    """
    if not -_SKEW_MS <= now_ms - roster.as_of_ms <= MAX_STATUS_AGE_MS:
        raise Refused(Code.ROSTER_STALE, section=section)
    officer = roster.officers.get(credential.officer)
    if officer is None:
        raise Refused(Code.OFFICER_UNKNOWN, section=section)
    if officer.standing != GOOD_STANDING:
        raise Refused(Code.OFFICER_NOT_IN_GOOD_STANDING, section=section)
    facts = (officer.trained_on, officer.name, officer.role, officer.course, officer.employment)
    said = (credential.trained_on, credential.name, credential.role, credential.course)
    if facts != (*said, credential.employment):
        raise Refused(
            Code.CREDENTIAL_EXPIRED,
            section=section,
            text="The credential no longer agrees with the roster: fetch a new one.",
        )
    if purpose not in officer.purposes:
        raise Refused(Code.OFFICER_PURPOSE, section=section)


def check_approver(
    roster: Roster, approval: Approval | None, officer: str, section: str = SECTION
) -> None:
    """Check a supervisor's approval against the roster; a court's stands in no roster.

    The supervisor is on it, in good standing, may approve, and is not the
    officer who asks.

    Raises:
        Refused: ``APPROVAL_REQUIRED``.
    """
    if approval is None or approval.kind is not ApprovalKind.SUPERVISOR:
        return
    found = roster.officers.get(approval.by)
    good = found is not None and found.may_approve and found.standing == GOOD_STANDING
    if not good or approval.by == officer:
        raise Refused(
            Code.APPROVAL_REQUIRED,
            section=section,
            text="The approval is by nobody on the roster who may approve this officer's query.",
        )


def issue_credential(
    officer: Officer, agency: str, public: PublicKey, now_ms: int, hours: float, key: Signer
) -> Envelope:
    """Return a credential for the officer's own key, valid for ``hours``.

    Raises:
        InputError: more than 12 hours.
    """
    span_ms = int(hours * 3_600_000)
    if not 0 < span_ms <= MAX_CREDENTIAL_MS:
        raise InputError("hours", "a credential is valid for at most 12 hours", "give 12 or less")
    credential = Credential(
        agency=agency,
        officer=officer.id,
        name=officer.name,
        role=officer.role,
        public_key=public.der,
        issued_at_ms=now_ms,
        not_after_ms=now_ms + span_ms,
        trained_on=officer.trained_on,
        standing=officer.standing,
        purposes=tuple(sorted(officer.purposes)),
        course=officer.course,
        employment=officer.employment,
    )
    return sign(dsse.CREDENTIAL, encode_credential(credential), key)


def verify_credential(envelope: Envelope, keys: Iterable[PublicKey], now_ms: int) -> Credential:
    """Return the credential once the desk's signature and the times are verified.

    Raises:
        Unverified: ``SIGNATURE_INVALID`` or ``MALFORMED``.
        Refused: ``CREDENTIAL_EXPIRED``.
    """
    credential = _signed_credential(envelope, tuple(keys))
    if credential.not_after_ms - credential.issued_at_ms > MAX_CREDENTIAL_MS:
        raise Unverified(Code.MALFORMED, "a credential for more than 12 hours")
    if not credential.issued_at_ms - _SKEW_MS <= now_ms <= credential.not_after_ms:
        raise Refused(Code.CREDENTIAL_EXPIRED, section=SECTION)
    return credential


@lru_cache(maxsize=1024)
def _signed_credential(envelope: Envelope, keys: tuple[PublicKey, ...]) -> Credential:
    """Return what the desk signed; the same bytes and keys come with many queries."""
    requirement = SignedBy(keys, "the personnel desk")
    return decode_credential(dsse.verify(envelope, dsse.CREDENTIAL, requirement))


def read_credential(path: Path) -> tuple[Credential, Envelope]:
    """Return an officer's own credential file, for the client that will send it.

    The client believes its own file; the nodes verify it.

    Raises:
        InputError: missing or not a credential.
    """
    try:
        envelope = from_json(path.read_bytes(), path)
        return decode_credential(envelope.payload), envelope
    except OSError as error:
        raise InputError(
            path, f"can't be read ({error.strerror})", "get one: accord officer issue"
        ) from None
    except Unverified:
        raise InputError(path, "is not a credential", "get one: accord officer issue") from None
