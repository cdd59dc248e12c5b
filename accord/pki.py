"""X.509: each agency is its own CA and issues P-256 certificates for its peers.

A leaf has exactly one URI SAN, its SPIFFE id. Servers (node, broker) have one
DNS SAN too, which callers pin (:func:`accord.identity.dns_name`).
Ed25519 leaves are refused: a grpcio server starts with one and then fails
every handshake (measured with grpcio 1.85.1).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from cryptography.x509.oid import NameOID

from accord.clock import to_datetime
from accord.errors import Code, InputError, Refused
from accord.identity import PeerRole, SpiffeId, dns_name
from accord.keys import read_secret

_BACKDATE = timedelta(minutes=5)
_SERVERS = (PeerRole.NODE, PeerRole.BROKER)


@dataclass(frozen=True)
class Authority:
    """An agency's issuing CA: its certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return PKCS #8 PEM; write it with :func:`accord.keys.write_secret` only."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """Return the certificate in PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def new_authority(agency: str, now_ms: int, days: int = 1825) -> Authority:
    """Make an agency's CA, which issues leaves only (path length 0)."""
    key = new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{agency} Accord CA")])
    start = to_datetime(now_ms) - _BACKDATE
    public = key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def issue(
    authority: Authority,
    spiffe: SpiffeId,
    public: ec.EllipticCurvePublicKey,
    now_ms: int,
    days: int = 90,
) -> x509.Certificate:
    """Issue a leaf for a peer of the agency."""
    start = to_datetime(now_ms) - _BACKDATE
    sans: list[x509.GeneralName] = [x509.UniformResourceIdentifier(str(spiffe))]
    usages = [Usage.CLIENT_AUTH]
    if spiffe.role in _SERVERS:
        sans.append(x509.DNSName(dns_name(spiffe)))
        usages.insert(0, Usage.SERVER_AUTH)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{spiffe.role} {spiffe.name}")])
    authority_public = authority.key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(authority.certificate.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName(sans), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_public), critical=False
        )
        .sign(authority.key, hashes.SHA256())
    )


def load_certificates(pem: bytes, where: object) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a PEM bundle.

    Raises:
        InputError: not PEM, or empty.
    """
    try:
        found = tuple(x509.load_pem_x509_certificates(pem))
    except ValueError:
        raise InputError(where, "holds no certificate in PEM", "give the .crt file") from None
    if not found:
        raise InputError(where, "holds no certificate", "give the .crt file")
    return found


def load_authority(certificate: Path, key: Path) -> Authority:
    """Load an agency's CA from its files.

    Raises:
        InputError: naming the file.
    """
    loaded = _load_key(key)
    try:
        pem = certificate.read_bytes()
    except OSError as error:
        raise InputError(certificate, f"can't be read ({error.strerror})") from None
    first = load_certificates(pem, certificate)[0]
    if first.public_key() != loaded.public_key():
        raise InputError(key, f"is not the key of {certificate}", "give the pair that belongs")
    return Authority(first, loaded)


def spiffe_of(certificate: x509.Certificate) -> SpiffeId:
    """Return the identity in a certificate: its one and only URI SAN.

    Raises:
        InputError: none, several, or one in another spelling.
    """
    try:
        sans = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise InputError("certificate", "has no identity (URI SAN)") from None
    uris = sans.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        raise InputError("certificate", f"has {len(uris)} URI SANs and must have one")
    return SpiffeId.parse(uris[0])


@dataclass(frozen=True)
class TlsMaterial:
    """A checked certificate and key, ready for gRPC."""

    spiffe: SpiffeId
    certificate: x509.Certificate
    certificate_pem: bytes
    key_pem: bytes

    @classmethod
    def load(cls, certificate: Path, key: Path, role: PeerRole, now_ms: int) -> "TlsMaterial":
        """Load and check what would otherwise fail every handshake later.

        Raises:
            InputError: naming the file: not P-256, key and certificate do not
                belong together, not valid now, no identity, another role.
        """
        private = _load_key(key)
        try:
            pem = certificate.read_bytes()
        except OSError as error:
            raise InputError(certificate, f"can't be read ({error.strerror})") from None
        leaf = load_certificates(pem, certificate)[0]
        if leaf.public_key() != private.public_key():
            raise InputError(key, f"is not the key of {certificate}", "give the pair that belongs")
        now = to_datetime(now_ms)
        if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
            end = leaf.not_valid_after_utc.date()
            raise InputError(
                certificate, f"is not valid now (it ends {end})", "issue one: accord certs issue"
            )
        try:
            spiffe = spiffe_of(leaf)
        except InputError as error:
            raise InputError(certificate, error.problem, "issue one: accord certs issue") from None
        if spiffe.role is not role:
            raise InputError(certificate, f"is a {spiffe.role}'s", f"give a {role}'s")
        return cls(spiffe, leaf, pem, key_pem(private))


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    data = read_secret(path)
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError):
        raise InputError(path, "holds no private key in PEM", "give the .pem file") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InputError(
            path, "is not a P-256 key: TLS would refuse every caller", "issue one: accord certs"
        )
    return key


def check_leaf(
    leaf: x509.Certificate, authorities: Sequence[x509.Certificate], spiffe: SpiffeId
) -> x509.Certificate:
    """Check what does not change with time (issuer, usage, kind of key); return the issuer.

    ``authorities`` are the CAs of ``spiffe.agency`` alone: TLS accepts any CA
    of the union, and one agency's CA could otherwise mint another's identity.

    Raises:
        Refused: ``PEER_REFUSED``.
    """
    for authority in authorities:
        try:
            leaf.verify_directly_issued_by(authority)
        except (InvalidSignature, ValueError, TypeError):
            continue
        break
    else:
        raise Refused(Code.PEER_REFUSED, detail="not issued by its own agency's CA")
    public = leaf.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(
        public.curve, ec.SECP256R1
    ):
        raise Refused(Code.PEER_REFUSED, detail="not a P-256 certificate")
    extensions = leaf.extensions
    try:
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
        usages = list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        raise Refused(Code.PEER_REFUSED, detail="basic constraints or key usage missing") from None
    needed = [Usage.CLIENT_AUTH] + ([Usage.SERVER_AUTH] if spiffe.role in _SERVERS else [])
    if constraints.ca or any(usage not in usages for usage in needed):
        raise Refused(Code.PEER_REFUSED, detail="a CA, or without the key usage of its role")
    return authority


def check_now(leaf: x509.Certificate, revoked: Collection[int], now_ms: int) -> None:
    """Check what changes with time, of a leaf or its CA: validity and the deny-list.

    Raises:
        Refused: ``PEER_REFUSED``.
    """
    if not leaf.not_valid_before_utc <= to_datetime(now_ms) <= leaf.not_valid_after_utc:
        raise Refused(Code.PEER_REFUSED, detail="the certificate is not valid now")
    if leaf.serial_number in revoked:
        raise Refused(Code.PEER_REFUSED, detail="the certificate is on its agency's deny-list")
