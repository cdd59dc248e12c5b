"""Who is calling? Decided anew on every call.

TLS itself accepts any CA of the union of agencies, and a resumed session
outlives its certificate. So each call's leaf is checked again: TLS 1.3, one
SPIFFE id, issued by that very agency's CA, valid now, not on the deny-list.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from accord.agencies import Agency
from accord.clock import Clock
from accord.errors import Code, Refused
from accord.identity import SpiffeId
from accord.pki import check_leaf, check_now, spiffe_of

_TLS_VERSION = "ssl_tls_version"
_LEAF = "x509_pem_cert"


@lru_cache(maxsize=512)
def _parse(pem: bytes) -> tuple[x509.Certificate, SpiffeId]:
    certificate = x509.load_pem_x509_certificate(pem)
    return certificate, spiffe_of(certificate)


@lru_cache(maxsize=512)
def _issuer(pem: bytes, cas: tuple[x509.Certificate, ...]) -> x509.Certificate:
    leaf, spiffe = _parse(pem)
    return check_leaf(leaf, cas, spiffe)


class PeerVerifier:
    """Turns a call's auth context into a verified identity."""

    def __init__(self, directory: Callable[[str], Agency | None], clock: Clock) -> None:
        self._directory = directory
        self.clock = clock

    def verify(self, auth: Mapping[str, Iterable[bytes]]) -> SpiffeId:
        """Return the caller's identity.

        Raises:
            Refused: ``PEER_REFUSED``; the detail is for our log only. Or
                ``STORE_UNAVAILABLE``: whom to let in can't be told now.
        """
        leaves = list(auth.get(_LEAF, ()))
        if len(leaves) != 1:
            raise Refused(Code.PEER_REFUSED, detail="no client certificate")
        try:
            if list(auth.get(_TLS_VERSION, ())) != [b"TLSv1.3"]:
                raise Refused(Code.PEER_REFUSED, detail="not TLS 1.3")
            return self._identity(leaves[0])
        except Refused as refused:
            if refused.code is Code.STORE_UNAVAILABLE:
                raise
            # The one name that a refused certificate can't choose for itself.
            detail = f"{refused.detail}; certificate sha256:{_fingerprint(leaves[0])}"
            raise Refused(Code.PEER_REFUSED, detail=detail) from None

    def _identity(self, pem: bytes) -> SpiffeId:
        try:
            leaf, spiffe = _parse(pem)
        # Whatever a strange certificate breaks in the parser: it is no identity.
        except Exception:
            raise Refused(Code.PEER_REFUSED, detail="no identity in the certificate") from None
        agency = self._directory(spiffe.agency)
        if agency is None:
            raise Refused(Code.PEER_REFUSED, detail="an agency that is not known here")
        issuer = _issuer(pem, agency.cas)
        now_ms = self.clock.now_ms()
        check_now(leaf, agency.revoked, now_ms)
        check_now(issuer, agency.revoked, now_ms)
        return spiffe


def _fingerprint(pem: bytes) -> str:
    try:
        return x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256()).hex()
    except ValueError:
        return "unreadable"
