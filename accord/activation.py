"""Activation: an agency's engineers say which signed text their node lives by.

    <data>/activated.json

    {
     "format": "accord-activated/1",
     "activated": [
      {"agreement": "city-harbor", "revision": 1, "manifest_sha256": "<64 hex>",
       "parties": ["city", "harbor"], "at": "2026-03-01T08:30:00.000Z",
       "by": "Pat Example, systems engineer"}
     ]
    }

A node decides by an agreement only if the digest of its text stands here (MOA
VIII: what counsel signed, and nothing that merely lies in a folder), and none of
the same agreement between the same agencies with a later revision. ``by`` is who
did it, as they wrote it themselves; "" in a file from before that was asked. Entries
are only added; none is ever for an older revision of an agreement than one
before it. (Revisions count up along a chain: :mod:`accord.agreements.chain`.)
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import Field, ValidationError

from accord.agreements.counterparts import is_moment, is_plain
from accord.agreements.manifest import Manifest
from accord.clock import iso, to_ms
from accord.durable import locked, replace_file
from accord.envelope_json import load_json
from accord.errors import InputError
from accord.strict_toml import StrictModel

FORMAT = "accord-activated/1"
FILE_NAME = "activated.json"
MAX_BYTES = 16 << 20


class _Entry(StrictModel):
    agreement: str
    revision: int = Field(ge=1)
    manifest_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    parties: list[str] = Field(min_length=2)
    at: str
    by: str = ""


class _File(StrictModel):
    format: str
    activated: list[_Entry]


@dataclass(frozen=True, slots=True)
class Activation:
    """One text that was activated at ``at_ms`` (UTC ms). ``parties`` are ids, ``by`` a name."""

    agreement: str
    revision: int
    digest: bytes
    parties: frozenset[str]
    at_ms: int
    by: str = ""


def read_activations(path: Path) -> tuple[Activation, ...]:
    """Return what was activated, in its order; nothing while the file is not there.

    Raises:
        InputError: it can't be read, or is damaged.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise InputError(path, f"can't be read ({error.strerror})", "check its owner") from None
    try:
        file = _File.model_validate(load_json(data, path, MAX_BYTES))
        sound = all(
            is_moment(one.at) and (not one.by or is_plain(one.by)) for one in file.activated
        )
        if file.format != FORMAT or not sound:
            raise _damaged(path)
    except (InputError, ValidationError):
        raise _damaged(path) from None
    return tuple(
        Activation(
            entry.agreement,
            entry.revision,
            bytes.fromhex(entry.manifest_sha256),
            frozenset(entry.parties),
            to_ms(datetime.fromisoformat(entry.at)),
            entry.by,
        )
        for entry in file.activated
    )


def _damaged(path: Path) -> InputError:
    return InputError(
        path,
        "is damaged, so no agreement is activated",
        "restore it from the last backup, or move it away and activate each agreement again",
    )


def activate(path: Path, manifest: Manifest, at_ms: int, by: str) -> bool:
    """Add a text; durable when this returns. Tell False where it is activated already.

    ``by`` is the name of who does it, as the log of the node will show it.

    Raises:
        InputError: ``by`` is no name; a later revision was activated before, or another text with
            this revision's number; or the file can't be written.
    """
    name, parties = manifest.id, frozenset(party.id for party in manifest.parties)
    if not is_plain(by):
        raise InputError("--by", "is empty, too long or not plain text", "write who activates it")
    new = Activation(name, manifest.revision, manifest.digest, parties, at_ms, by)
    with locked(path.with_name(f"{path.name}.lock")):
        before = read_activations(path)
        for one in before:
            if one.agreement != name or len(one.parties & parties) < 2:
                continue
            if one.revision > manifest.revision:
                raise InputError(
                    f"agreement {name}, revision {manifest.revision}",
                    f"was replaced: revision {one.revision} was activated on {iso(one.at_ms)[:10]}",
                    "what was replaced is never activated again; get the newest text",
                )
            if one.revision == manifest.revision and one.digest != manifest.digest:
                raise InputError(
                    f"agreement {name}, revision {manifest.revision}",
                    "is another text than the one activated with this number",
                    "have counsel sign it with a higher revision",
                )
        if any(one.digest == manifest.digest for one in before):
            return False
        replace_file(path, _rendered((*before, new)))
    return True


def take_activations(path: Path, others: tuple[Activation, ...]) -> None:
    """Add what another file has activated and this one has not; durable when this returns.

    Raises:
        InputError: the file is damaged, or can't be written.
    """
    with locked(path.with_name(f"{path.name}.lock")):
        before = read_activations(path)
        new = tuple(one for one in others if one.digest not in {each.digest for each in before})
        if new:
            replace_file(path, _rendered((*before, *new)))


def _rendered(activations: tuple[Activation, ...]) -> bytes:
    entries = [
        {
            "agreement": one.agreement,
            "revision": one.revision,
            "manifest_sha256": one.digest.hex(),
            "parties": sorted(one.parties),
            "at": iso(one.at_ms),
            **({"by": one.by} if one.by else {}),
        }
        for one in activations
    ]
    return (json.dumps({"format": FORMAT, "activated": entries}, indent=1) + "\n").encode()


class Activations:
    """The file of one agency's node, read anew with the federation folder.

    ``found`` is what it holds; nothing while it can't be read, and then
    ``problem`` says why.
    """

    def __init__(self, path: Path, agency: str) -> None:
        """Read the file.

        Raises:
            InputError: it can't be read, or is damaged.
        """
        self.agency = agency
        self._path = path
        self.problem = ""
        self._take(read_activations(path))

    def stamp(self) -> tuple[str, int, int, int, int]:
        """Return what differs once the file was changed, made or removed."""
        try:
            status = os.stat(self._path)
        except OSError:
            return str(self._path), 0, 0, 0, 0
        times = (status.st_mtime_ns, status.st_ctime_ns)
        return str(self._path), status.st_ino, *times, status.st_size

    def refresh(self) -> None:
        """Read the file again; what can't be read activates nothing."""
        try:
            self._take(read_activations(self._path))
            self.problem = ""
        except InputError as problem:
            self._take(())
            self.problem = str(problem)

    def _take(self, found: tuple[Activation, ...]) -> None:
        self.found = found
        self._digests = {one.digest for one in _last(found)}

    def holds(self, digest: bytes) -> bool:
        """Tell whether the text of this digest is activated, and none that came after it."""
        return digest in self._digests


def _last(found: Iterable[Activation]) -> Iterator[Activation]:
    """Yield those of which no later revision between the same agencies is activated."""
    of: dict[str, list[Activation]] = {}
    for one in found:
        of.setdefault(one.agreement, []).append(one)
    for same in of.values():
        for own in same:
            later = (one for one in same if one.revision > own.revision)
            if not any(len(one.parties & own.parties) > 1 for one in later):
                yield own
