"""Acknowledgements: a node signs that it holds a file of an agreement. Pure.

A DSSE envelope, signed by a node key of the receiving agency, whose payload is
this JSON::

    {
     "format": "accord-acknowledgement/1",
     "manifest_sha256": "<64 hex>",
     "file": "instruments/city-1.json",
     "sha256": "<64 hex>",               # of the file's bytes
     "by": "harbor",
     "received_at": "2026-03-01T08:30:00.000Z"
    }

With it the sender can show that a notice arrived, and stops sending it.
"""

import json
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from accord import envelope as dsse
from accord.agencies import Agency
from accord.agreements.counterparts import is_moment
from accord.clock import iso, to_ms
from accord.envelope import Envelope, SignedBy, sign
from accord.envelope_json import load_json
from accord.errors import Code, InputError, Unverified
from accord.identity import KeyRole
from accord.keys import Signer
from accord.strict_toml import StrictModel

FORMAT = "accord-acknowledgement/1"


@dataclass(frozen=True, slots=True)
class Received:
    """Which bytes of which file: digests are 64 hex digits, ``file`` its name in the folder."""

    manifest: str
    file: str
    sha256: str


class _Payload(StrictModel):
    format: str
    manifest_sha256: str
    file: str
    sha256: str
    by: str
    received_at: str


def acknowledge(received: Received, by: str, at_ms: int, key: Signer) -> Envelope:
    """Return the signed acknowledgement of the agency ``by`` at ``at_ms`` (UTC ms)."""
    content = {
        "format": FORMAT,
        "manifest_sha256": received.manifest,
        "file": received.file,
        "sha256": received.sha256,
        "by": by,
        "received_at": iso(at_ms),
    }
    return sign(dsse.ACKNOWLEDGEMENT, (json.dumps(content, indent=1) + "\n").encode(), key)


def verify_acknowledgement(envelope: Envelope, wanted: Received, agency: Agency) -> int:
    """Return when ``agency`` received these very bytes, UTC ms.

    Raises:
        Unverified: not signed by its node, or of other bytes.
    """
    requirement = SignedBy(agency.keys_for(KeyRole.NODE), f"the node of {agency.id}")
    payload = dsse.verify(envelope, dsse.ACKNOWLEDGEMENT, requirement)
    try:
        content = _Payload.model_validate(load_json(payload, "acknowledgement"))
    except (InputError, ValidationError):
        raise Unverified(Code.MALFORMED, "not an acknowledgement of this version") from None
    said = Received(content.manifest_sha256, content.file, content.sha256)
    if content.format != FORMAT or content.by != agency.id or not is_moment(content.received_at):
        raise Unverified(Code.MALFORMED, "not an acknowledgement of this version")
    if said != wanted:
        raise Unverified(Code.ANSWER_UNVERIFIED, "the acknowledgement is of another file")
    return to_ms(datetime.fromisoformat(content.received_at))
