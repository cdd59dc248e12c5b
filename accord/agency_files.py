"""One agency's own folder of keys and certificates, and its published files.

DIR/root/root.pem                  offline root: take it off this machine
DIR/root-fingerprint.txt           its fingerprint, which stays
DIR/ca/ca.pem, ca.crt              issuing CA
DIR/tls/node-main.pem, .crt        one pair per peer
DIR/keys/{node,personnel,counsel,audit,witness}.pem
DIR/keys/{audit,names}.secret      32 random bytes each
DIR/public/agency.toml, agency.sig what others get
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.agencies import (
    KINDS,
    Agency,
    Endpoint,
    RetiredKey,
    render_agency,
    sign_agency,
    verify_agency,
)
from accord.durable import make_folder
from accord.errors import InputError
from accord.identity import KeyRole, PeerRole, SpiffeId
from accord.keys import ED25519, PrivateKey, write_secret
from accord.model import Certification, check_agency
from accord.pki import (
    certificate_pem,
    issue,
    key_pem,
    load_authority,
    new_authority,
    new_key,
)

_YEAR_MS = 365 * 86_400_000
_ROLES = (KeyRole.NODE, KeyRole.PERSONNEL, KeyRole.COUNSEL, KeyRole.AUDIT, KeyRole.WITNESS)
# Checkpoints of a log and cosignatures on them are Ed25519 by C2SP's specifications.
_ED25519 = (KeyRole.AUDIT, KeyRole.WITNESS)


@dataclass(frozen=True, slots=True)
class AgencyFiles:
    """Where an agency's files are; see the module's text."""

    agency: str
    folder: Path

    @property
    def root(self) -> Path:
        """The offline root's key."""
        return self.folder / "root" / "root.pem"

    def key(self, role: KeyRole) -> Path:
        """The key file of a role."""
        return self.folder / "keys" / f"{role}.pem"

    def secret(self, name: str) -> Path:
        """The file of a 32-byte secret: ``audit`` or ``names``."""
        return self.folder / "keys" / f"{name}.secret"

    def tls(self, role: PeerRole, name: str) -> tuple[Path, Path]:
        """Certificate and key of a peer."""
        stem = self.folder / "tls" / f"{role}-{name}"
        return stem.with_suffix(".crt"), stem.with_suffix(".pem")

    @property
    def public(self) -> Path:
        """The folder to publish."""
        return self.folder / "public"

    def fingerprint(self) -> str:
        """Return the root's fingerprint, 64 hex digits; the root itself may be away.

        Raises:
            InputError: the file of the fingerprint is missing or spoilt.
        """
        text = _read(self.fingerprint_file).decode(errors="replace").strip()
        digits = text.removeprefix("sha256:")
        if not re.fullmatch(r"[0-9a-f]{64}", digits, re.ASCII):
            raise InputError(
                self.fingerprint_file, "is not a fingerprint", "write sha256: and 64 hex digits"
            )
        return digits

    @property
    def fingerprint_file(self) -> Path:
        """The file that keeps the root's fingerprint when the root is away."""
        return self.folder / "root-fingerprint.txt"

    def published(self) -> Agency:
        """Return the agency as published, verified.

        Raises:
            InputError, Unverified: the files are not there or do not fit.
        """
        data, signature = (_read(self.public / name) for name in ("agency.toml", "agency.sig"))
        return verify_agency(data, signature, self.fingerprint(), self.public / "agency.toml")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            path, f"can't be read ({error.strerror})", "make one: accord certs init"
        ) from None


def make_agency(
    folder: Path,
    *,
    agency: str,
    name: str,
    kind: str,
    state: str,
    contact: str,
    now_ms: int,
    node_address: str = "",
    broker_address: str = "",
) -> AgencyFiles:
    """Make every key, the CA, certificates for node and broker, and the public files.

    Raises:
        InputError: a value that can't be, or a file that exists already.
    """
    check_agency(agency, "agency")
    if kind not in KINDS:
        raise InputError("kind", "is not a known kind", f"use one of {', '.join(KINDS)}")
    if not re.fullmatch(r"[A-Z]{2}", state, re.ASCII):
        raise InputError("state", f"{state!r} is no state", 'write two capital letters, as "CA"')
    files = AgencyFiles(agency, folder)
    root = PrivateKey.generate()
    root.save(files.root)
    files.fingerprint_file.write_text(f"sha256:{root.public.keyid}\n")
    for key_role in _ROLES:
        _make_key(files, key_role)
    for secret in ("audit", "names"):
        write_secret(files.secret(secret), secrets.token_bytes(32))
    authority = new_authority(agency, now_ms)
    write_secret(folder / "ca" / "ca.pem", key_pem(authority.key))
    (folder / "ca" / "ca.crt").write_bytes(certificate_pem(authority.certificate))
    endpoints = []
    for role, address in ((PeerRole.NODE, node_address), (PeerRole.BROKER, broker_address)):
        if address:
            issue_peer(files, role, "main", now_ms)
            endpoints.append(Endpoint(SpiffeId(agency, role, "main"), address))
    publish_agency(
        files,
        name=name,
        kind=kind,
        state=state,
        contact=contact,
        endpoints=endpoints,
        number=1,
        now_ms=now_ms,
    )
    return files


def _make_key(files: AgencyFiles, role: KeyRole) -> None:
    algorithm = {"algorithm": ED25519} if role in _ED25519 else {}
    PrivateKey.generate(**algorithm).save(files.key(role))


def issue_peer(
    files: AgencyFiles, role: PeerRole, name: str, now_ms: int, days: int = 90
) -> tuple[Path, Path]:
    """Issue a TLS certificate and key for a peer; return their paths.

    Raises:
        InputError: they exist already, or the CA can't be read.
    """
    spiffe = SpiffeId(files.agency, role, name)
    SpiffeId.parse(str(spiffe))
    authority = load_authority(files.folder / "ca" / "ca.crt", files.folder / "ca" / "ca.pem")
    certificate, key = files.tls(role, name)
    private = new_key()
    write_secret(key, key_pem(private))
    issued = issue(authority, spiffe, private.public_key(), now_ms, days)
    certificate.write_bytes(certificate_pem(issued))
    return certificate, key


def new_counsel_key(files: AgencyFiles, now_ms: int, *, stolen: bool) -> Path:
    """Make a new counsel key, publish it, and return where the old one lies now.

    What the old one signed up to now counts on, unless it was stolen: then
    nothing does that it ever signed. The root's key must be there.

    Raises:
        InputError: a key can't be read, or a file is there already.
    """
    PrivateKey.load(files.root)
    old, path = files.published(), files.key(KeyRole.COUNSEL)
    before = PrivateKey.load(path).public
    aside = path.with_name(f"counsel-until-{old.number}.pem")
    if aside.exists():
        raise InputError(aside, "is there already", "move it away")
    path.rename(aside)
    PrivateKey.generate().save(path)
    republish(
        files, now_ms, retired=[*old.retired, *([] if stolen else [RetiredKey(before, now_ms)])]
    )
    return aside


def republish(
    files: AgencyFiles,
    now_ms: int,
    *,
    endpoints: Sequence[Endpoint] | None = None,
    revoked: Sequence[int] | None = None,
    certifications: Sequence[Certification] | None = None,
    retired: Sequence[RetiredKey] | None = None,
) -> int:
    """Sign ``agency.toml`` under the next number, as it was but for what is given; return that.

    Raises:
        InputError: a key can't be read.
    """
    old = files.published()
    if not old.keys_for(KeyRole.WITNESS) and not files.key(KeyRole.WITNESS).exists():
        # The agency is older than witnesses are.
        _make_key(files, KeyRole.WITNESS)
    publish_agency(
        files,
        name=old.name,
        kind=old.kind,
        state=old.state,
        contact=old.contact,
        endpoints=old.endpoints if endpoints is None else endpoints,
        number=old.number + 1,
        now_ms=now_ms,
        revoked=sorted(old.revoked) if revoked is None else revoked,
        certifications=old.certifications if certifications is None else certifications,
        retired=old.retired if retired is None else retired,
    )
    return old.number + 1


def publish_agency(
    files: AgencyFiles,
    *,
    name: str,
    kind: str,
    state: str,
    contact: str,
    endpoints: Sequence[Endpoint],
    number: int,
    now_ms: int,
    revoked: Sequence[int] = (),
    certifications: Sequence[Certification] = (),
    retired: Sequence[RetiredKey] = (),
) -> None:
    """Write and sign ``agency.toml``; the root's key must be there for it.

    Raises:
        InputError: a key can't be read.
    """
    authority = load_authority(files.folder / "ca" / "ca.crt", files.folder / "ca" / "ca.pem")
    data = render_agency(
        agency=files.agency,
        number=number,
        name=name,
        kind=kind,
        state=state,
        contact=contact,
        cas=[authority.certificate],
        keys=[(role, PrivateKey.load(files.key(role)).public) for role in _ROLES],
        endpoints=endpoints,
        issued_at_ms=now_ms,
        expires_at_ms=now_ms + _YEAR_MS,
        revoked=revoked,
        certifications=certifications,
        retired=retired,
    )
    make_folder(files.public)
    (files.public / "agency.toml").write_bytes(data)
    signature = sign_agency(data, PrivateKey.load(files.root))
    (files.public / "agency.sig").write_bytes(signature)
