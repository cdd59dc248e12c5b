"""Who holds which of our files: one small file per delivery, kept as evidence.

    <data>/acknowledged/<agreement digest>/<to>/<name with - for />

    {
     "format": "accord-delivery/1",
     "to": "harbor", "file": "instruments/city-1.json", "sha256": "<64 hex>",
     "at": "2026-03-01T08:30:00.000Z",
     "acknowledgement": {"payloadType": ...}     # null: a broker's unsigned word
    }

A broker has no key that other agencies know, so that it took a file is its
claim. A claim stops the sending to that broker and proves nothing else.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from pydantic import ValidationError

from accord.agencies import Agency, read_plain
from accord.agreements.acknowledgements import Received, verify_acknowledgement
from accord.agreements.counterparts import is_moment
from accord.clock import iso, to_ms
from accord.durable import replace_file
from accord.envelope import Envelope
from accord.envelope_json import from_json, load_json, to_json
from accord.errors import AccordError, InputError
from accord.strict_toml import StrictModel

log = structlog.get_logger()

FORMAT = "accord-delivery/1"
FOLDER = "acknowledged"


class _File(StrictModel):
    format: str
    to: str
    file: str
    sha256: str
    at: str
    acknowledgement: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Delivered:
    """One file that another holds since ``at_ms`` (UTC ms); ``signed`` unless a broker says so."""

    to: str
    received: Received
    at_ms: int
    signed: bool


class Acknowledged:
    """The folder of what was acknowledged."""

    def __init__(self, data: Path) -> None:
        self._folder = data / FOLDER

    def keep(self, to: str, received: Received, at_ms: int, signed: Envelope | None) -> None:
        """Keep that an agency holds a file; durable when this returns.

        Raises:
            InputError: it can't be written.
        """
        content = {
            "format": FORMAT,
            "to": to,
            "file": received.file,
            "sha256": received.sha256,
            "at": iso(at_ms),
            "acknowledgement": None if signed is None else json.loads(to_json(signed)),
        }
        path = self._folder / received.manifest / to / received.file.replace("/", "-")
        replace_file(path, (json.dumps(content, indent=1) + "\n").encode())

    def read(self, agencies: Mapping[str, Agency]) -> Iterator[Delivered]:
        """Yield what is held; what can't be read or verified is left out, told, and so sent again.

        ``agencies`` are those whose nodes have signed, by id.
        """
        for path in sorted(self._folder.glob("*/*/*.json")):
            if path.name.startswith("."):
                continue
            try:
                file = _File.model_validate(load_json(read_plain(path), path))
                if file.format != FORMAT or not is_moment(file.at):
                    raise InputError(path, "is no delivery of this version")
                found = _delivered(file, path, agencies)
            except (AccordError, ValidationError):
                log.warning("left out", problem=f"{path}: can't be verified; it is sent again")
                continue
            yield found


def _delivered(file: _File, path: Path, agencies: Mapping[str, Agency]) -> Delivered:
    """Return what a file says: when, by the signature where there is one.

    Raises:
        AccordError: the signature is by nobody known here, or over something else.
    """
    received = Received(path.parents[1].name, file.file, file.sha256)
    if file.acknowledgement is None:
        return Delivered(file.to, received, to_ms(datetime.fromisoformat(file.at)), False)
    agency = agencies.get(file.to)
    if agency is None:
        raise InputError(path, f"no valid agency.toml of {file.to} to verify it with")
    envelope = from_json(json.dumps(file.acknowledgement).encode(), path)
    return Delivered(file.to, received, verify_acknowledgement(envelope, received, agency), True)
