"""Instruments: what a party's counsel signs after the agreement, each a small file.

    agreements/<name>/instruments/<party>-<number>.json

A DSSE envelope in its JSON form, signed by a counsel key of that party, whose
payload is JSON: these keys, and those of its kind::

    {
     "format": "accord-instrument/1",
     "agreement": "city-harbor",
     "manifest_sha256": "<64 hex>",
     "party": "city",
     "number": 1,                        # of this party, under this text: 1, 2, 3 ...
     "kind": "termination",
     "signer": "Jane Roe",
     "capacity": "General Counsel",
     "signed_at": "2026-03-01T08:30:00.000Z",
     "last_day": "2026-04-15",
     "sent": {"certified-mail": "2026-03-01", "facsimile": "2026-03-01"},
     "received_on": "2026-03-04"
    }

What each does is for :mod:`accord.agreements.effects` to say. Whatever they
do, they narrow. Two lift something, and only what their own party stopped
before: a resumption, and the review of an interim decision.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from accord import envelope as dsse
from accord.agencies import Agency
from accord.agreements.counterparts import is_moment, is_plain, is_year, party_root
from accord.agreements.manifest import Manifest
from accord.agreements.manifest_file import Channel
from accord.clock import iso, to_ms
from accord.envelope import SignedBy, sign
from accord.envelope_json import from_json, load_json, to_json
from accord.errors import InputError, Unverified
from accord.identity import KeyRole
from accord.keys import Signer
from accord.model import Kind, Purpose
from accord.strict_toml import StrictModel

FORMAT = "accord-instrument/1"
MAX_BYTES = 16 * 1024
MAX_NUMBER = 9999

_NAME = re.compile(r"([a-z0-9-]+)-([1-9][0-9]{0,3})\.json", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class InstrumentKind(StrEnum):
    """What an instrument is. The sections are those of the MOA."""

    TERMINATION = "termination"  # V: by one party, with notice
    NON_EXTENSION = "non-extension"  # V: no further extension
    MUTUAL_TERMINATION = "mutual-termination"  # V: by written agreement of all
    SUSPENSION = "suspension"  # II.A: nobody must share; at once
    RESUMPTION = "resumption"  # of one's own suspension
    SUPERSEDED_BY_LAW = "superseded-by-law"  # VI: what the law suspends
    INTERIM_DECISION = "interim-decision"  # VII.B: a watch commander's, until review
    REVIEW = "review"  # VII.B: of an interim decision, at a higher level
    DISPUTE = "dispute"  # VII.A: opened, and the meeting is due


class ReviewOutcome(StrEnum):
    """What a review makes of an interim decision: it stands up to its end, or is over."""

    CONFIRMS = "confirms"
    ENDS = "ends"


_K = InstrumentKind
_NEEDED: dict[InstrumentKind, frozenset[str]] = {
    _K.TERMINATION: frozenset({"last_day", "sent"}),
    _K.NON_EXTENSION: frozenset({"sent"}),
    _K.MUTUAL_TERMINATION: frozenset({"last_day"}),
    _K.SUSPENSION: frozenset({"reason"}),
    _K.RESUMPTION: frozenset({"of"}),
    _K.SUPERSEDED_BY_LAW: frozenset({"citation", "reason"}),
    _K.INTERIM_DECISION: frozenset({"decided_by", "reason", "until"}),
    _K.REVIEW: frozenset({"of", "outcome", "decided_by", "reason"}),
    _K.DISPUTE: frozenset({"reason"}),
}
_POSSIBLE: dict[InstrumentKind, frozenset[str]] = {
    _K.TERMINATION: frozenset({"received_on"}),
    _K.NON_EXTENSION: frozenset({"received_on"}),
    _K.SUPERSEDED_BY_LAW: frozenset({"purposes", "kinds", "impairs_essential_purpose"}),
    _K.INTERIM_DECISION: frozenset({"purposes", "kinds", "all"}),
}


@dataclass(frozen=True, slots=True)
class Details:
    """What the kinds say beyond the common keys. Dates are days in the agreement's zone.

    ``sent`` tells on which channel the notice went on which day. ``all`` and
    ``impairs_essential_purpose`` stop every query, ``purposes`` and ``kinds``
    those named. ``of`` is the number of the party's own instrument that is
    lifted or reviewed. ``until`` is the last day.
    """

    last_day: date | None = None
    sent: Mapping[Channel, date] = field(default_factory=lambda: MappingProxyType({}))
    received_on: date | None = None
    reason: str = ""
    of: int = 0
    citation: str = ""
    decided_by: str = ""
    until: date | None = None
    purposes: frozenset[str] = frozenset()
    kinds: frozenset[Kind] = frozenset()
    all: bool = False
    impairs_essential_purpose: bool = False
    outcome: ReviewOutcome | None = None


@dataclass(frozen=True, slots=True)
class Instrument:
    """One verified instrument. ``signed_at_ms`` is UTC ms."""

    party: str
    number: int
    kind: InstrumentKind
    signer: str
    capacity: str
    signed_at_ms: int
    details: Details


class _Payload(StrictModel):
    format: str
    agreement: str
    manifest_sha256: str
    party: str
    number: int
    kind: str
    signer: str
    capacity: str
    signed_at: str
    last_day: str | None = None
    sent: dict[str, str] | None = None
    received_on: str | None = None
    reason: str | None = None
    of: int | None = None
    citation: str | None = None
    decided_by: str | None = None
    until: str | None = None
    purposes: list[str] | None = None
    kinds: list[str] | None = None
    all: bool | None = None
    impairs_essential_purpose: bool | None = None
    outcome: str | None = None


_COMMON = frozenset({"format", "agreement", "manifest_sha256", "party", "number", "kind"}) | {
    "signer",
    "capacity",
    "signed_at",
}


def file_name(party: str, number: int) -> str:
    """Return the name that the file of an instrument must have."""
    return f"{party}-{number}.json"


def named(name: str) -> tuple[str, int] | None:
    """Return party and number of a file's name; None for another name."""
    match = _NAME.fullmatch(name)
    return (match[1], int(match[2])) if match else None


def sign_instrument(manifest: Manifest, instrument: Instrument, key: Signer) -> bytes:
    """Return the file of one instrument.

    Raises:
        InputError: not a party, or something in it that its kind does not have
            or lacks.
    """
    party_root(manifest, instrument.party)
    said = instrument.details
    content: dict[str, Any] = {
        "format": FORMAT,
        "agreement": manifest.id,
        "manifest_sha256": manifest.digest.hex(),
        "party": instrument.party,
        "number": instrument.number,
        "kind": instrument.kind.value,
        "signer": instrument.signer,
        "capacity": instrument.capacity,
        "signed_at": iso(instrument.signed_at_ms),
        "last_day": said.last_day.isoformat() if said.last_day else None,
        "sent": {c.value: day.isoformat() for c, day in said.sent.items()} or None,
        "received_on": said.received_on.isoformat() if said.received_on else None,
        "reason": said.reason or None,
        "of": said.of or None,
        "citation": said.citation or None,
        "decided_by": said.decided_by or None,
        "until": said.until.isoformat() if said.until else None,
        "purposes": sorted(said.purposes) or None,
        "kinds": sorted(said.kinds) or None,
        "all": said.all or None,
        "impairs_essential_purpose": said.impairs_essential_purpose or None,
        "outcome": said.outcome.value if said.outcome else None,
    }
    content = {name: value for name, value in content.items() if value is not None}
    payload = (json.dumps(content, indent=1) + "\n").encode()
    _checked(payload, manifest, instrument.party, instrument.number, "the instrument")
    return to_json(sign(dsse.INSTRUMENT, payload, key))


def verify_instrument(
    data: bytes, manifest: Manifest, agency: Agency, number: int, where: object
) -> Instrument:
    """Return the instrument once everything in it fits; ``number`` is its file's.

    Raises:
        InputError: a file that is not what it should be; ``where`` is named.
        Unverified: ``SIGNATURE_INVALID`` or ``MALFORMED``.
    """
    if len(data) > MAX_BYTES:
        raise InputError(where, "is larger than 16 KiB", "this can't be an instrument")
    if party_root(manifest, agency.id) != agency.root:
        raise InputError(
            where, f"{agency.id} has another root key than the agreement names", "ask its counsel"
        )
    requirement = SignedBy(agency.keys_for(KeyRole.COUNSEL), f"counsel of {agency.id}")
    try:
        payload = dsse.verify(from_json(data, where), dsse.INSTRUMENT, requirement)
    except Unverified as problem:
        raise Unverified(problem.code, f"{where}: {problem.problem}") from None
    return _checked(payload, manifest, agency.id, number, where)


def _checked(
    payload: bytes, manifest: Manifest, party: str, number: int, where: object
) -> Instrument:
    try:
        content = _Payload.model_validate(load_json(payload, where))
        kind = InstrumentKind(content.kind)
    except (ValidationError, ValueError):
        raise InputError(where, "is not an instrument of this version", "sign again") from None
    if content.format != FORMAT:
        raise InputError(where, "is not an instrument of this version", f"it must be {FORMAT}")
    if (content.party, content.number) != (party, number) or not 1 <= number <= MAX_NUMBER:
        raise InputError(where, "is another instrument than its file's name says", "rename it")
    if content.agreement != manifest.id or content.manifest_sha256 != manifest.digest.hex():
        raise InputError(where, "belongs to another text of the agreement", "move it there")
    _check_keys(content, kind, where)
    if not (is_plain(content.signer) and is_plain(content.capacity)):
        raise InputError(where, "has no plain name of the signer or capacity", "sign again")
    if not is_moment(content.signed_at):
        raise InputError(where, "has no valid signed_at", "sign again")
    return Instrument(
        party,
        number,
        kind,
        content.signer,
        content.capacity,
        to_ms(datetime.fromisoformat(content.signed_at)),
        _details(content, where),
    )


def _check_keys(content: _Payload, kind: InstrumentKind, where: object) -> None:
    given = content.model_fields_set - _COMMON
    needed, possible = _NEEDED[kind], _POSSIBLE.get(kind, frozenset())
    if missing := sorted(needed - given):
        raise InputError(where, f"a {kind} lacks {', '.join(missing)}", "say it when you sign")
    if strange := sorted(given - needed - possible):
        raise InputError(where, f"a {kind} has no {', '.join(strange)}", "leave it out")
    if kind is _K.SUPERSEDED_BY_LAW and not possible & given:
        raise InputError(
            where, "does not say what the law suspends",
            "name purposes or kinds of data, or say that it impairs the essential purpose",
        )  # fmt: skip


def _details(content: _Payload, where: object) -> Details:
    for text in (content.reason, content.citation, content.decided_by):
        if text is not None and not is_plain(text):
            raise InputError(where, "has a text that is empty, too long or not plain", "sign again")
    if content.of is not None and not 1 <= content.of < content.number:
        raise InputError(where, "lifts an instrument that is not before it", "give its number")
    try:
        return Details(
            last_day=_day(content.last_day),
            sent=MappingProxyType({Channel(c): _sure_day(d) for c, d in _items(content.sent)}),
            received_on=_day(content.received_on),
            reason=content.reason or "",
            of=content.of or 0,
            citation=content.citation or "",
            decided_by=content.decided_by or "",
            until=_day(content.until),
            purposes=frozenset(Purpose(p).value for p in content.purposes or ()),
            kinds=frozenset(Kind(k) for k in content.kinds or ()),
            all=bool(content.all),
            impairs_essential_purpose=bool(content.impairs_essential_purpose),
            outcome=ReviewOutcome(content.outcome) if content.outcome is not None else None,
        )
    except ValueError:
        raise InputError(
            where,
            "has a date, a channel, a purpose, a kind of data or an outcome that is none",
            "sign again",
        ) from None


def _items(sent: dict[str, str] | None) -> list[tuple[str, str]]:
    return list((sent or {}).items())


def _day(text: str | None) -> date | None:
    return None if text is None else _sure_day(text)


def _sure_day(text: str) -> date:
    """Return the day of a text such as 2026-03-01.

    Raises:
        ValueError: it is none.
    """
    if not _DAY.fullmatch(text) or not is_year(int(text[:4])):
        raise ValueError(text)
    return date.fromisoformat(text)
