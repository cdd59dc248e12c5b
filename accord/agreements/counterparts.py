"""Counterparts: each party's counsel signs the manifest's exact bytes on its own machine.

A counterpart is one small file, a DSSE envelope in its JSON form, whose
payload is this JSON (MOA VIII: separate counterparts, together one agreement)::

    {
     "format": "accord-counterpart/1",
     "agreement": "city-harbor",
     "manifest_sha256": "<64 hex>",
     "party": "city",
     "signer": "Jane Roe",
     "capacity": "General Counsel",
     "signed_at": "2026-03-01T08:30:00.000Z"
    }
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from accord import envelope as dsse
from accord.agencies import Agency
from accord.agreements.manifest import Manifest
from accord.agreements.signed import check_retired, party_root, read_signed, verified_payload
from accord.clock import iso, to_ms
from accord.envelope import sign
from accord.envelope_json import load_json, to_json
from accord.errors import InputError, Unverified
from accord.identity import KeyRole
from accord.keys import Signer
from accord.strict_toml import StrictModel

FORMAT = "accord-counterpart/1"
MAX_BYTES = 16 * 1024
MAX_TEXT = 200

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Counterpart:
    """One party's verified signature under one agreement."""

    party: str
    signer: str
    capacity: str
    signed_at_ms: int


class _Payload(StrictModel):
    format: str
    agreement: str
    manifest_sha256: str
    party: str
    signer: str
    capacity: str
    signed_at: str


def sign_counterpart(
    manifest: Manifest, party: str, signer: str, capacity: str, signed_at_ms: int, key: Signer
) -> bytes:
    """Return the counterpart file of one party. ``signed_at_ms`` is UTC ms.

    Raises:
        InputError: not a party, a question is undecided, or signer or capacity
            is empty.
    """
    party_root(manifest, party)
    if manifest.undecided:
        first = manifest.undecided[0]
        raise InputError(
            f"agreement {manifest.id}: {first.key}",
            "is undecided, so nobody can sign",
            f"have counsel answer ({first.section}): {first.question}",
        )
    for name, text in (("signer", signer), ("capacity", capacity)):
        if not is_plain(text):
            raise InputError(name, "is empty, too long or not plain text", "write it in words")
    content = {
        "format": FORMAT,
        "agreement": manifest.id,
        "manifest_sha256": manifest.digest.hex(),
        "party": party,
        "signer": signer,
        "capacity": capacity,
        "signed_at": iso(signed_at_ms),
    }
    payload = (json.dumps(content, indent=1) + "\n").encode()
    return to_json(sign(dsse.COUNTERPART, payload, key))


def verify_counterpart(
    data: bytes, manifest: Manifest, agency: Agency, where: object = "counterpart"
) -> Counterpart:
    """Return the counterpart of ``agency`` once everything in it fits.

    The agency's root must be the one that the manifest names, the signature
    by one of its counsel keys, and the signed digest the manifest's. A retired
    key's signature counts up to its last moment.

    Raises:
        InputError: a file that is not what it should be, or that was signed
            over another text; ``where`` is named.
        Unverified: ``SIGNATURE_INVALID`` or ``MALFORMED``.
    """
    envelope = read_signed(data, "a counterpart", MAX_BYTES, where)
    try:
        payload, retired = verified_payload(
            envelope, dsse.COUNTERPART, KeyRole.COUNSEL, manifest, agency, where
        )
    except Unverified:
        other = _other_party(envelope.payload, manifest, agency.id)
        if other:
            said = f"names {other} as its party, and {agency.id}'s counsel did not sign it"
            raise InputError(where, said, f"name it {other}.json, or get {agency.id}'s") from None
        raise
    try:
        content = _Payload.model_validate(load_json(payload, where))
    except ValidationError:
        raise InputError(where, "is not a counterpart of this version", "sign again") from None
    counterpart = _checked(content, manifest, agency.id, where)
    check_retired(retired, counterpart.signed_at_ms, agency, where)
    return counterpart


def _other_party(unverified: bytes, manifest: Manifest, party: str) -> str:
    """Return which other party a payload claims to be of, for a remedy alone; "" if none."""
    try:
        content = _Payload.model_validate_json(unverified)
    except ValidationError:
        return ""
    parties = {one.id for one in manifest.parties} - {party}
    return content.party if content.party in parties else ""


def _checked(content: _Payload, manifest: Manifest, party: str, where: object) -> Counterpart:
    if content.format != FORMAT:
        raise InputError(where, "is not a counterpart of this version", f"it must be {FORMAT}")
    if content.party != party:
        raise InputError(where, f"is another party's counterpart, not {party}'s", "rename it")
    if content.agreement != manifest.id or content.manifest_sha256 != manifest.digest.hex():
        raise InputError(
            where,
            "was signed over another text of the agreement",
            f"have counsel of {party} read this text and sign it: accord agreement sign",
        )
    if not (is_plain(content.signer) and is_plain(content.capacity)):
        raise InputError(where, "has no plain name of the signer or capacity", "sign again")
    if not is_moment(content.signed_at):
        raise InputError(where, "has no valid signed_at", "sign again")
    signed_at_ms = to_ms(datetime.fromisoformat(content.signed_at))
    return Counterpart(party, content.signer, content.capacity, signed_at_ms)


def is_moment(text: str) -> bool:
    """Tell whether a text is a time as these files write it: UTC, to the second or finer."""
    try:
        return bool(_MOMENT.fullmatch(text)) and is_year(datetime.fromisoformat(text).year)
    except ValueError:
        return False


def is_year(year: int) -> bool:
    """Tell whether an agreement can hold a day of that year: no calendar of ours ends near it."""
    return 2000 <= year <= 2200


def is_plain(text: str) -> bool:
    """Tell whether a text is words on one line, 200 characters at most."""
    return bool(text.strip()) and len(text) <= MAX_TEXT and text.isprintable()
