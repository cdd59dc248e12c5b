"""``agency.toml``: who an agency is, public parts only, signed by its offline root.

The folder of one agency holds ``agency.toml`` and ``agency.sig``. The
signature file names the root's public key, whose SHA-256 must be the
fingerprint that is pinned elsewhere (in an agreement, or by hand); only then
is ``agency.toml`` parsed.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from pydantic import Field

from accord import envelope as dsse
from accord.clock import to_datetime, to_ms
from accord.envelope import SignedBy, sign
from accord.envelope_json import detached_from_content, detached_to_json, load_json
from accord.errors import InputError, Unverified
from accord.identity import KeyRole, PeerRole, SpiffeId
from accord.keys import PublicKey, Signer
from accord.model import Certification, check_agency
from accord.pki import certificate_pem, load_certificates
from accord.strict_toml import StrictModel, parse_toml

FORMAT = "accord-agency/1"
PAYLOAD_VERSIONS = ("query.v1",)
MAX_BYTES = 256 * 1024

# Kinds of agencies. Only law enforcement of these kinds may ask at all; an
# operator runs a broker and is nobody's requester (MOA II.A).
KINDS = (
    "police",
    "sheriff",
    "port-police",
    "transit-police",
    "campus-police",
    "tribal-police",
    "state-police",
    "federal",
    "operator",
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a peer of the agency listens: its identity and ``host:port``."""

    spiffe: SpiffeId
    address: str


@dataclass(frozen=True, slots=True)
class RetiredKey:
    """A counsel key that signs no more: what it signed up to ``until_ms`` (UTC ms) counts."""

    key: PublicKey
    until_ms: int


@dataclass(frozen=True)
class Agency:
    """A verified ``agency.toml``. ``root`` is 64 hex digits.

    ``keys`` are those in use, by role; ``retired`` the counsel keys before the one
    in use. A key that was stolen is in neither: nothing that it signed counts.
    """

    id: str
    number: int
    name: str
    kind: str
    state: str
    contact: str
    root: str
    cas: tuple[x509.Certificate, ...]
    keys: Mapping[str, tuple[PublicKey, ...]]
    endpoints: tuple[Endpoint, ...]
    payload_versions: tuple[str, ...]
    issued_at_ms: int
    expires_at_ms: int
    revoked: frozenset[int]
    certifications: tuple[Certification, ...] = ()
    retired: tuple[RetiredKey, ...] = ()

    def keys_for(self, role: KeyRole | str) -> tuple[PublicKey, ...]:
        """Return the published keys of a role; empty where there is none."""
        return self.keys.get(str(role), ())

    def node_endpoint(self) -> Endpoint | None:
        """Return where the agency's node listens, if it publishes that."""
        return next((e for e in self.endpoints if e.spiffe.role is PeerRole.NODE), None)


class _Key(StrictModel):
    role: str
    public: str
    until: datetime | None = None


class _Endpoint(StrictModel):
    id: str
    address: str


class _Certification(StrictModel):
    id: str = Field(pattern="^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)
    until: datetime


class _File(StrictModel):
    format: str
    id: str
    number: int = Field(ge=1)
    name: str = Field(min_length=1, max_length=200)
    kind: str
    state: str = Field(pattern="^[A-Z]{2}$")
    contact: str = Field(min_length=1, max_length=200)
    issued_at: datetime
    expires_at: datetime
    payload_versions: list[str] = Field(min_length=1)
    cas: list[str] = Field(min_length=1)
    revoked_serials: list[str] = Field(default_factory=list)
    keys: list[_Key] = Field(default_factory=list)
    endpoints: list[_Endpoint] = Field(default_factory=list)
    certifications: list[_Certification] = Field(default_factory=list, max_length=50)


def render_agency(
    *,
    agency: str,
    number: int,
    name: str,
    kind: str,
    state: str,
    contact: str,
    cas: Sequence[x509.Certificate],
    keys: Sequence[tuple[KeyRole, PublicKey]],
    endpoints: Sequence[Endpoint],
    issued_at_ms: int,
    expires_at_ms: int,
    revoked: Sequence[int] = (),
    certifications: Sequence[Certification] = (),
    retired: Sequence[RetiredKey] = (),
) -> bytes:
    """Return the text of an ``agency.toml``."""
    lines = [
        "# Published by the agency; signed by its offline root in agency.sig.",
        f'format = "{FORMAT}"',
        f"id = {_quote(agency)}",
        "# Raised by one with every change.",
        f"number = {number}",
        f"name = {_quote(name)}",
        f"kind = {_quote(kind)}",
        f"state = {_quote(state)}",
        "# Whom a refused officer or a partner's counsel may talk to.",
        f"contact = {_quote(contact)}",
        f"issued_at = {_toml_time(issued_at_ms)}",
        f"expires_at = {_toml_time(expires_at_ms)}",
        f"payload_versions = {json.dumps(list(PAYLOAD_VERSIONS))}",
        "# Serial numbers (hex) of certificates that are no longer good.",
        f"revoked_serials = {json.dumps([f'{serial:x}' for serial in revoked])}",
        "# The CAs that issue this agency's TLS certificates.",
        "cas = [",
    ]
    lines += [f'"""\n{certificate_pem(ca).decode()}""",' for ca in cas]
    lines.append("]")
    for role, public in keys:
        der = base64.b64encode(public.der).decode()
        lines += ["", "[[keys]]", f'role = "{role}"', f'public = "{der}"']
    if retired:
        lines += ["", "# Counsel keys that sign no more; what they signed up to then counts."]
    for one in retired:
        der = base64.b64encode(one.key.der).decode()
        lines += ["", "[[keys]]", f'role = "{KeyRole.COUNSEL}"', f'public = "{der}"']
        lines.append(f"until = {_toml_time(one.until_ms)}")
    for endpoint in endpoints:
        lines += ["", "[[endpoints]]", f'id = "{endpoint.spiffe}"']
        lines.append(f"address = {_quote(endpoint.address)}")
    for certified in certifications:
        lines += ["", "[[certifications]]", f"id = {_quote(certified.id)}"]
        lines.append(f"until = {_toml_time(certified.until_ms)}")
    return ("\n".join(lines) + "\n").encode()


def _quote(text: str) -> str:
    """Return a TOML basic string: JSON's escapes are TOML's too."""
    return json.dumps(text)


def _toml_time(ms: int) -> str:
    return to_datetime(ms).isoformat(timespec="seconds").replace("+00:00", "Z")


def parse_agency(data: bytes, where: object, root: str) -> Agency:
    """Return the agency in verified bytes.

    Raises:
        InputError: naming the file and the key to mend.
    """
    file = parse_toml(data, where, _File)
    agency = check_agency(file.id, f"{where}: id")
    if file.format != FORMAT:
        raise InputError(f"{where}: format", "is not one that this version reads", FORMAT)
    if file.kind not in KINDS:
        raise InputError(f"{where}: kind", "is not a known kind", f"use one of {', '.join(KINDS)}")
    times = [file.issued_at, file.expires_at, *(one.until for one in file.certifications)]
    times += [key.until for key in file.keys if key.until is not None]
    if any(time.tzinfo is None for time in times):
        raise InputError(f"{where}: issued_at, expires_at, until", "lack a zone", 'end with "Z"')
    keys: dict[str, tuple[PublicKey, ...]] = {}
    retired: list[RetiredKey] = []
    for key in file.keys:
        if key.role not in set(KeyRole) - {KeyRole.ROOT}:
            raise InputError(f"{where}: keys.role", f"{key.role!r} is not a role of a key")
        public = PublicKey.from_der(_unbase64(key.public, where), f"{where}: keys.public")
        if key.until is None:
            keys[key.role] = (*keys.get(key.role, ()), public)
        elif key.role == KeyRole.COUNSEL:
            retired.append(RetiredKey(public, to_ms(key.until)))
        else:
            said = f"is given for a key of {key.role}: only counsel's outlives its use"
            raise InputError(f"{where}: keys.until", said, "leave the old key out")
    return Agency(
        id=agency,
        number=file.number,
        name=file.name,
        kind=file.kind,
        state=file.state,
        contact=file.contact,
        root=root,
        cas=tuple(c for pem in file.cas for c in load_certificates(pem.encode(), where)),
        keys=keys,
        endpoints=tuple(_endpoint(e, agency, where) for e in file.endpoints),
        payload_versions=tuple(file.payload_versions),
        issued_at_ms=to_ms(file.issued_at),
        expires_at_ms=to_ms(file.expires_at),
        revoked=frozenset(_serial(text, where) for text in file.revoked_serials),
        certifications=tuple(Certification(c.id, to_ms(c.until)) for c in file.certifications),
        retired=tuple(retired),
    )


def _endpoint(entry: _Endpoint, agency: str, where: object) -> Endpoint:
    spiffe = SpiffeId.parse(entry.id)
    if spiffe.agency != agency:
        raise InputError(f"{where}: endpoints.id", "is another agency's identity")
    if ":" not in entry.address:
        raise InputError(f"{where}: endpoints.address", "has no port", "write host:port")
    return Endpoint(spiffe, entry.address)


def _serial(text: str, where: object) -> int:
    try:
        return int(text, 16)
    except ValueError:
        raise InputError(f"{where}: revoked_serials", "holds what is not a hex number") from None


def _unbase64(text: str, where: object) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise InputError(where, "holds damaged base64", "get the file again") from None


def sign_agency(data: bytes, root: Signer) -> bytes:
    """Return the content of ``agency.sig`` for the exact bytes of ``agency.toml``."""
    detached: dict[str, Any] = json.loads(detached_to_json(sign(dsse.AGENCY, data, root)))
    content = {"root": base64.b64encode(root.public.der).decode(), "signature": detached}
    return (json.dumps(content, indent=1) + "\n").encode()


def verify_agency(data: bytes, signature: bytes, root: str, where: object) -> Agency:
    """Return the agency once its root's signature over the bytes is verified.

    ``root`` is the pinned fingerprint, 64 hex digits.

    Raises:
        InputError: a file that can't be read as what it should be.
        Unverified: another root, or a signature that does not fit.
    """
    content = load_json(signature, f"{where}: agency.sig")
    if not isinstance(content, dict) or set(content) != {"root", "signature"}:
        raise InputError(f"{where}: agency.sig", "is not a signature of Accord", "get it again")
    public = PublicKey.from_der(_unbase64(str(content["root"]), where), f"{where}: agency.sig")
    requirement = SignedBy([public] if public.keyid == root else [], "the pinned root")
    envelope = detached_from_content(content["signature"], data, f"{where}: agency.sig")
    return parse_agency(dsse.verify(envelope, dsse.AGENCY, requirement), where, root)


def claimed_root(signature: bytes, where: object) -> str:
    """Return the root that a content of ``agency.sig`` names itself, 64 hex digits: no pin.

    Raises:
        InputError: a file that can't be read as what it should be.
    """
    content = load_json(signature, where)
    named = content.get("root") if isinstance(content, dict) else None
    return PublicKey.from_der(_unbase64(str(named), where), where).keyid


def load_agency(folder: Path, *, root: str) -> Agency:
    """Read and verify the folder of one agency.

    Raises:
        InputError: a file is missing, too large, a link, or malformed.
        Unverified: not signed by the pinned root.
    """
    data, signature = (read_plain(folder / name) for name in ("agency.toml", "agency.sig"))
    try:
        agency = verify_agency(data, signature, root, folder / "agency.toml")
    except Unverified as problem:
        raise Unverified(problem.code, f"{folder}: {problem.problem}") from None
    if agency.id != folder.name:
        raise InputError(folder, f"holds the agency.toml of {agency.id}", "rename the folder")
    return agency


def read_plain(path: Path) -> bytes:
    """Read a small plain file; links are refused so that a folder stays a folder.

    Raises:
        InputError: missing, a link, or too large.
    """
    try:
        if path.is_symlink() or not path.is_file():
            raise InputError(path, "is not there, or is a link", "put the file itself there")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(path, "is larger than 256 KiB", "this can't be the right file")
        return path.read_bytes()
    except OSError as error:
        raise InputError(path, f"can't be read ({error.strerror})") from None
