"""Credentials: mutual TLS or nothing. There is no other kind here."""

from collections.abc import Callable, Sequence

import grpc
import structlog
from cryptography import x509
from grpc import aio

from accord.agencies import Endpoint
from accord.errors import AccordError, InputError
from accord.identity import SpiffeId, dns_name
from accord.pki import TlsMaterial, certificate_pem

log = structlog.get_logger()

MAX_MESSAGE = 1 << 20
# A broker's response holds one answer per agency asked.
MAX_RESPONSE = 16 << 20


def _bundle(roots: Sequence[x509.Certificate]) -> bytes:
    if not roots:
        raise InputError("federation", "holds no CA to accept callers from", "add agencies first")
    return b"".join(certificate_pem(root) for root in roots)


class OwnCertificate:
    """A program's own certificate and key, read again whenever they are needed.

    Files that can't be used any more, such as a pair that is being replaced,
    leave the last good pair in place and are told of in the log, once.
    """

    def __init__(self, load: Callable[[], TlsMaterial], identity: SpiffeId, where: object) -> None:
        """Load the pair; ``identity`` is whose it must be, ``where`` the certificate's file.

        Raises:
            InputError: naming the file.
        """
        self._load = load
        self._identity = identity
        self._where = where
        self._told = ""
        self._last = self._loaded()

    def _loaded(self) -> TlsMaterial:
        material = self._load()
        if material.spiffe != self._identity:
            raise InputError(
                self._where,
                f"is for {material.spiffe} and not for {self._identity}",
                "issue one that is: accord certs issue",
            )
        return material

    def current(self) -> TlsMaterial:
        """Return the pair as it is on disk, or the last that was good."""
        try:
            self._last = self._loaded()
            self._told = ""
        except AccordError as error:
            if str(error) != self._told:
                self._told = str(error)
                log.error("the certificate on disk can't be used", problem=self._told)
        return self._last


def server_credentials(
    material: Callable[[], TlsMaterial], roots: Callable[[], Sequence[x509.Certificate]]
) -> grpc.ServerCredentials:
    """Return credentials that ask for material and roots at every handshake.

    A new configuration is given when either has changed, since gRPC keeps the
    session tickets of the old one for as long as it gets None, and a removed
    CA would live on in resumed sessions. And only then: with a new one at each
    handshake, gRPC 1.85 frees one twice and ends the process when a few
    hundred handshakes time out together, which anybody can bring about.

    Raises:
        InputError: at the first call, so that a server does not start.
    """

    def current() -> tuple[bytes, bytes, bytes]:
        now = material()
        return now.key_pem, now.certificate_pem, _bundle(roots())

    def configured(
        parts: tuple[bytes, bytes, bytes],
    ) -> grpc.ServerCertificateConfiguration:
        key, certificate, bundle = parts
        pair = [(key, certificate)]
        return grpc.ssl_server_certificate_configuration(pair, root_certificates=bundle)

    last = [current()]

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        # gRPC swallows exceptions here and goes on with the old configuration;
        # the checks on every call refuse whom that would still let in.
        try:
            now = current()
        except AccordError:
            return None
        if now == last[0]:
            return None
        last[0] = now
        return configured(now)

    # The stub does not know that None means "as before".
    return grpc.dynamic_ssl_server_credentials(
        configured(last[0]),
        fetch,  # type: ignore[arg-type]
        require_client_authentication=True,
    )


def channel(
    endpoint: Endpoint, material: TlsMaterial, cas: Sequence[x509.Certificate]
) -> aio.Channel:
    """Return a channel to one server, and to no other.

    Only the server agency's own CAs are trusted, and the DNS SAN must be the
    one that says the whole identity: no client certificate and no other
    server's passes.
    """
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_bundle(cas),
        private_key=material.key_pem,
        certificate_chain=material.certificate_pem,
    )
    options = [
        ("grpc.ssl_target_name_override", dns_name(endpoint.spiffe)),
        ("grpc.max_send_message_length", MAX_RESPONSE),
        ("grpc.max_receive_message_length", MAX_RESPONSE),
        ("grpc.max_metadata_size", 16 << 10),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 2000),
        # Only what the server says it never looked at is sent again (RFC 9113
        # section 8.7: a connection that ends, a stream too many). Policies that
        # retry more come by DNS: none is asked for.
        ("grpc.enable_retries", 1),
        ("grpc.service_config_disable_resolution", 1),
        # A name with several addresses is a server of several processes: each call in turn.
        ("grpc.lb_policy_name", "round_robin"),
        ("grpc.keepalive_time_ms", 60_000),
    ]
    return aio.secure_channel(endpoint.address, credentials, options=options)
