"""Heads: each party's node says again and again which instruments its counsel has signed.

    agreements/<name>/heads/<party>.json

A DSSE envelope in its JSON form, signed by a node key of that party, whose
payload is this JSON::

    {
     "format": "accord-head/1",
     "agreement": "city-harbor",
     "manifest_sha256": "<64 hex>",
     "party": "city",
     "number": 1772353800000,            # of this party, under this text; only rises
     "as_of": "2026-03-01T08:30:00.000Z",
     "expires_at": "2026-03-02T08:30:00.000Z",
     "instruments": ["<64 hex>"]         # SHA-256 of the files city-1.json, city-2.json ...
    }

Why: whoever carries files between two nodes could hold back a suspension
(attack A9). A head that names an instrument which is not here shows it, and
suspends that party; where no head comes any more, nothing is shared once the
last is older than the table ``[heads]`` of the manifest allows. An instrument
that no head names yet counts at once all the same.

A node numbers its heads by its clock, and at least by one more than its last: after
an old backup is put back its next head is above all that the others have seen. A
number more than a day ahead of ``as_of`` is refused, so that nobody who had the
node's key for a moment uses up the numbers of years to come.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import Field, ValidationError

from accord import envelope as dsse
from accord.agencies import Agency
from accord.agreements.counterparts import is_moment
from accord.agreements.manifest import HeadsRule, Manifest
from accord.agreements.manifest_file import MAX_HEAD_HOURS
from accord.agreements.signed import read_signed, verified_payload
from accord.clock import iso, to_ms
from accord.envelope import sign
from accord.envelope_json import load_json, to_json
from accord.errors import InputError
from accord.identity import KeyRole
from accord.keys import Signer
from accord.strict_toml import StrictModel

FORMAT = "accord-head/1"
MAX_BYTES = 128 * 1024
MAX_INSTRUMENTS = 1000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# Another node's clock may run a little ahead of ours.
SKEW_MS = 30_000


@dataclass(frozen=True, slots=True)
class Head:
    """One verified head. Times are UTC ms; ``instruments`` are 64 hex digits each."""

    party: str
    number: int
    as_of_ms: int
    expires_ms: int
    instruments: tuple[str, ...] = ()


class _Payload(StrictModel):
    format: str
    agreement: str
    manifest_sha256: str
    party: str
    number: int = Field(ge=1)
    as_of: str
    expires_at: str
    instruments: list[str] = Field(max_length=MAX_INSTRUMENTS)


def file_name(party: str) -> str:
    """Return the name that the file of a party's head must have."""
    return f"{party}.json"


def sign_head(manifest: Manifest, head: Head, key: Signer) -> bytes:
    """Return the file of one head.

    Raises:
        InputError: a head that nobody would take.
    """
    content = {
        "format": FORMAT,
        "agreement": manifest.id,
        "manifest_sha256": manifest.digest.hex(),
        "party": head.party,
        "number": head.number,
        "as_of": iso(head.as_of_ms),
        "expires_at": iso(head.expires_ms),
        "instruments": list(head.instruments),
    }
    payload = (json.dumps(content, indent=1) + "\n").encode()
    _checked(payload, manifest, head.party, "the head")
    return to_json(sign(dsse.HEAD, payload, key))


def verify_head(
    data: bytes, manifest: Manifest, agency: Agency, where: object, *, root: str = ""
) -> Head:
    """Return the head of ``agency`` once everything in it fits; whether it is fresh is apart.

    ``root`` is what admissions name for an agency that joined; "" for a party.

    Raises:
        InputError: a file that is not what it should be; ``where`` is named.
        Unverified: ``SIGNATURE_INVALID`` or ``MALFORMED``.
    """
    envelope = read_signed(data, "a head", MAX_BYTES, where)
    payload, _ = verified_payload(
        envelope, dsse.HEAD, KeyRole.NODE, manifest, agency, where, root=root
    )
    return _checked(payload, manifest, agency.id, where)


def _checked(payload: bytes, manifest: Manifest, party: str, where: object) -> Head:
    remedy = "its node signs a new one by itself"
    try:
        content = _Payload.model_validate(load_json(payload, where))
    except ValidationError:
        raise InputError(where, "is not a head of this version", remedy) from None
    if content.format != FORMAT:
        raise InputError(where, "is not a head of this version", f"it must be {FORMAT}")
    if content.party != party:
        raise InputError(where, f"is the head of {content.party!r}", "rename it")
    if content.agreement != manifest.id or content.manifest_sha256 != manifest.digest.hex():
        raise InputError(where, "belongs to another text of the agreement", "move it there")
    if not (is_moment(content.as_of) and is_moment(content.expires_at)):
        raise InputError(where, "has no valid times", remedy)
    if not all(
        len(one) == 64 and set(one) <= set("0123456789abcdef") for one in content.instruments
    ):
        raise InputError(where, "names an instrument by what is no hash", remedy)
    as_of_ms = to_ms(datetime.fromisoformat(content.as_of))
    expires_ms = to_ms(datetime.fromisoformat(content.expires_at))
    if not 0 < expires_ms - as_of_ms <= MAX_HEAD_HOURS * HOUR_MS:
        raise InputError(where, "expires too late, or before it begins", remedy)
    if content.number > as_of_ms + DAY_MS:
        raise InputError(where, "has a number too far ahead of its time", remedy)
    return Head(party, content.number, as_of_ms, expires_ms, tuple(content.instruments))


def is_fresh(head: Head, rule: HeadsRule, at_ms: int) -> bool:
    """Tell whether a head is young enough at ``at_ms`` for the agreement's rule."""
    age_ms = at_ms - head.as_of_ms
    return -SKEW_MS <= age_ms <= rule.max_age_hours * HOUR_MS and at_ms < head.expires_ms


def withheld(party: str, named: Iterable[str], held: Mapping[tuple[str, int], str]) -> int | None:
    """Return the first instrument that a party's head names and that is not held; None for none.

    ``held`` is the SHA-256 (64 hex digits) of each file, by party and number.
    """
    for number, digest in enumerate(named, 1):
        if held.get((party, number)) != digest:
            return number
    return None
