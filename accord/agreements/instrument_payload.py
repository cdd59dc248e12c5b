"""The file of an instrument: signed, verified, and strict on the keys of its kind.

Its form stands in :mod:`accord.agreements.instruments`.
"""

import json
import re
from datetime import date, datetime
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from accord import envelope as dsse
from accord.agencies import Agency
from accord.agreements.counterparts import is_moment, is_plain, is_year
from accord.agreements.instruments import (
    MAX_NUMBER,
    Details,
    Instrument,
    InstrumentKind,
    Provision,
    ReviewOutcome,
)
from accord.agreements.law.packs import built_in_law
from accord.agreements.manifest import Manifest
from accord.agreements.manifest_file import Channel
from accord.agreements.signed import check_retired, party_root, read_signed, verified_payload
from accord.clock import iso, to_ms
from accord.envelope import sign
from accord.envelope_json import load_json, to_json
from accord.errors import InputError
from accord.identity import KeyRole
from accord.keys import Signer
from accord.model import Kind, Purpose, check_agency
from accord.strict_toml import StrictModel

FORMAT = "accord-instrument/1"
MAX_BYTES = 16 * 1024

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_ROOT = re.compile(r"[0-9a-f]{64}", re.ASCII)
_STATE = re.compile(r"[A-Z]{2}", re.ASCII)

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
    _K.ADMISSION: frozenset(
        {"joiner", "joiner_name", "joiner_root", "joiner_contact", "joiner_kind", "joiner_state"}
    ),
    _K.ACCESSION: frozenset(),
    _K.WITHDRAWAL: frozenset({"last_day", "sent"}),
    _K.OPT_IN: frozenset({"partner"}),
    _K.OPT_OUT: frozenset({"partner"}),
}
_POSSIBLE: dict[InstrumentKind, frozenset[str]] = {
    _K.TERMINATION: frozenset({"received_on"}),
    _K.NON_EXTENSION: frozenset({"received_on"}),
    _K.WITHDRAWAL: frozenset({"received_on"}),
    _K.ADMISSION: frozenset({"effective_on"}),
    _K.ACCESSION: frozenset({"effective_on"}),
    _K.SUPERSEDED_BY_LAW: frozenset(
        {"purposes", "kinds", "provisions", "impairs_essential_purpose"}
    ),
    _K.INTERIM_DECISION: frozenset({"purposes", "kinds", "all"}),
}


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
    provisions: list[str] | None = None
    all: bool | None = None
    impairs_essential_purpose: bool | None = None
    outcome: str | None = None
    joiner: str | None = None
    joiner_name: str | None = None
    joiner_root: str | None = None
    joiner_contact: str | None = None
    joiner_kind: str | None = None
    joiner_state: str | None = None
    effective_on: str | None = None
    partner: str | None = None


_COMMON = frozenset({"format", "agreement", "manifest_sha256", "party", "number", "kind"}) | {
    "signer",
    "capacity",
    "signed_at",
}


def sign_instrument(manifest: Manifest, instrument: Instrument, key: Signer) -> bytes:
    """Return the file of one instrument.

    Raises:
        InputError: not a party, nor one that may join; or something in it that
            its kind does not have or lacks.
    """
    if manifest.joinder is None:
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
        "provisions": sorted(said.provisions) or None,
        "all": said.all or None,
        "impairs_essential_purpose": said.impairs_essential_purpose or None,
        "outcome": said.outcome.value if said.outcome else None,
        "joiner": said.joiner or None,
        "joiner_name": said.joiner_name or None,
        "joiner_root": said.joiner_root or None,
        "joiner_contact": said.joiner_contact or None,
        "joiner_kind": said.joiner_kind or None,
        "joiner_state": said.joiner_state or None,
        "effective_on": said.effective_on.isoformat() if said.effective_on else None,
        "partner": said.partner or None,
    }
    content = {name: value for name, value in content.items() if value is not None}
    payload = (json.dumps(content, indent=1) + "\n").encode()
    _checked(payload, manifest, instrument.party, instrument.number, "the instrument")
    return to_json(sign(dsse.INSTRUMENT, payload, key))


def verify_instrument(
    data: bytes,
    manifest: Manifest,
    agency: Agency,
    number: int,
    where: object,
    *,
    root: str = "",
) -> Instrument:
    """Return the instrument once everything in it fits; ``number`` is its file's.

    ``root`` is the one that admissions name for an agency that joined.

    Raises:
        InputError: a file that is not what it should be; ``where`` is named.
        Unverified: ``SIGNATURE_INVALID`` or ``MALFORMED``.
    """
    envelope = read_signed(data, "an instrument", MAX_BYTES, where)
    payload, retired = verified_payload(
        envelope, dsse.INSTRUMENT, KeyRole.COUNSEL, manifest, agency, where, root=root
    )
    found = _checked(payload, manifest, agency.id, number, where)
    check_retired(retired, found.signed_at_ms, agency, where)
    return found


def named_digest(data: bytes, where: object) -> str:
    """Return what heads name of an instrument's file, 64 hex digits.

    It is of the content, whose signature may be made anew once a key was stolen.

    Raises:
        InputError: no envelope.
    """
    return dsse.digest(read_signed(data, "an instrument", MAX_BYTES, where)).hex()


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
    if number > MAX_NUMBER:
        raise InputError(
            where, f"is number {number}, and one text bears {MAX_NUMBER} of a party",
            "amend the text",
        )  # fmt: skip
    if (content.party, content.number) != (party, number) or number < 1:
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
            "name purposes, kinds or provisions, or say that it impairs the essential purpose",
        )  # fmt: skip


def _details(content: _Payload, where: object) -> Details:
    texts = (content.reason, content.citation, content.decided_by)
    for text in (*texts, content.joiner_name, content.joiner_contact):
        if text is not None and not is_plain(text):
            raise InputError(where, "has a text that is empty, too long or not plain", "sign again")
    for agency in (content.joiner, content.partner):
        if agency is not None:
            check_agency(agency, where)
            if agency == content.party:
                raise InputError(where, f"names {agency} itself", "name the other agency")
    if content.joiner_root is not None and not _ROOT.fullmatch(content.joiner_root):
        raise InputError(
            where, "names a root that is no fingerprint", "give 64 hex digits after sha256:"
        )
    kind, state = content.joiner_kind, content.joiner_state
    if kind is not None and kind not in built_in_law().eligible_kinds:
        raise InputError(where, f"names {kind!r}, no kind of agency that may join", "sign again")
    if state is not None and not _STATE.fullmatch(state):
        raise InputError(where, "names a state that is not two capital letters", "sign again")
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
            provisions=frozenset(Provision(p) for p in content.provisions or ()),
            all=bool(content.all),
            impairs_essential_purpose=bool(content.impairs_essential_purpose),
            outcome=ReviewOutcome(content.outcome) if content.outcome is not None else None,
            joiner=content.joiner or "",
            joiner_name=content.joiner_name or "",
            joiner_root=content.joiner_root or "",
            joiner_contact=content.joiner_contact or "",
            joiner_kind=content.joiner_kind or "",
            joiner_state=content.joiner_state or "",
            effective_on=_day(content.effective_on),
            partner=content.partner or "",
        )
    except ValueError:
        raise InputError(
            where,
            "has a date, a channel, a purpose, a kind, a provision or an outcome that is none",
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
