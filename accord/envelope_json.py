"""The JSON form of DSSE envelopes, for files that people keep and send.

    {"payloadType": "...", "payload": "<base64>",
     "signatures": [{"keyid": "...", "sig": "<base64>"}]}

The detached form leaves the payload out: it is another file, byte for byte.
"""

import base64
import binascii
import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from accord.envelope import Envelope, Signature
from accord.errors import InputError

MAX_BYTES = 1 << 20


class _Signature(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    keyid: str = Field(pattern="^[0-9a-f]{64}$")
    sig: str


class _Detached(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    payloadType: str
    signatures: list[_Signature] = Field(min_length=1)


class _Whole(_Detached):
    payload: str


def load_json(data: bytes, where: object, limit: int = MAX_BYTES) -> Any:
    """Return the content of a JSON file; a key given twice is an error.

    ``limit`` is the largest size in bytes, a multiple of a MiB.

    Raises:
        InputError: not JSON, too large, or a key twice.
    """
    if len(data) > limit:
        raise InputError(where, f"is larger than {limit >> 20} MiB", "this can't be the right file")
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        problem = "is not the JSON that is wanted here"
        raise InputError(where, problem, "get the file again") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key twice")
    return content


def _signatures(envelope: Envelope) -> list[dict[str, str]]:
    return [
        {"keyid": s.keyid, "sig": base64.b64encode(s.sig).decode()} for s in envelope.signatures
    ]


def _unbase64(text: str, where: object) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InputError(where, "holds damaged base64", "get the file again") from None


def _dump(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()


def to_json(envelope: Envelope) -> bytes:
    """Return the whole envelope as a JSON file."""
    payload = base64.b64encode(envelope.payload).decode()
    kind = envelope.payload_type
    return _dump({"payloadType": kind, "payload": payload, "signatures": _signatures(envelope)})


def from_json(data: bytes, where: object) -> Envelope:
    """Return the unverified envelope in a JSON file.

    Raises:
        InputError: naming the file.
    """
    try:
        whole = _Whole.model_validate(load_json(data, where))
    except ValidationError:
        raise InputError(where, "is not a signed file of Accord", "get the file again") from None
    signatures = tuple(Signature(s.keyid, _unbase64(s.sig, where)) for s in whole.signatures)
    return Envelope(whole.payloadType, _unbase64(whole.payload, where), signatures)


def detached_to_json(envelope: Envelope) -> bytes:
    """Return the type and the signatures as a JSON file; the payload stays apart."""
    return _dump({"payloadType": envelope.payload_type, "signatures": _signatures(envelope)})


def detached_from_json(data: bytes, payload: bytes, where: object) -> Envelope:
    """Return the unverified envelope of a payload file and its signature file.

    Raises:
        InputError: naming the signature file.
    """
    return detached_from_content(load_json(data, where), payload, where)


def detached_from_content(content: Any, payload: bytes, where: object) -> Envelope:
    """Return the unverified envelope from JSON content that was read already.

    Raises:
        InputError: naming the signature file.
    """
    try:
        detached = _Detached.model_validate(content)
    except ValidationError:
        raise InputError(where, "is not a signature file of Accord", "get it again") from None
    signatures = tuple(Signature(s.keyid, _unbase64(s.sig, where)) for s in detached.signatures)
    return Envelope(detached.payloadType, payload, signatures)
