"""Hostile callers' tools: leaves of any kind, channels with them, a TLS relay of any kind."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from cryptography.x509.oid import NameOID
from grpc import aio
from grpc_health.v1 import health_pb2

from accord.identity import PeerRole, SpiffeId, dns_name
from accord.pki import Authority, certificate_pem, load_authority
from accord.testing import FederationSimulator

CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
ANSWER = "/accord.wire.v1.Node/Answer"
COUNTERSIGN = "/accord.wire.v1.Node/Countersign"
RECORD = "/accord.wire.v1.Node/RecordAnswer"
DELIVER = "/accord.wire.v1.Node/Deliver"
CARRY = "/accord.wire.v1.Broker/Deliver"
WITNESS = "/accord.wire.v1.Node/Witness"
CARRY_WITNESS = "/accord.wire.v1.Broker/Witness"
QUERY = "/accord.wire.v1.Broker/Query"
DIRECTORY = "/accord.wire.v1.Broker/Directory"

AnyKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Leaf:
    """A certificate and its key, in PEM."""

    certificate: bytes
    key: bytes

    def save(self, certificate: Path, key: Path) -> None:
        """Put both in place of what is there."""
        certificate.write_bytes(self.certificate)
        key.unlink(missing_ok=True)
        key.touch(mode=0o600)
        key.write_bytes(self.key)


def key_in_pem(key: AnyKey) -> bytes:
    """Return PKCS #8."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def mint(
    authority: Authority,
    *uris: str,
    dns: Sequence[str] = (),
    usages: Sequence[x509.ObjectIdentifier] = (Usage.CLIENT_AUTH,),
    days: tuple[float, float] = (-1, 30),
    key: AnyKey | None = None,
    constraints: bool = True,
    ca: bool = False,
) -> Leaf:
    """Issue whatever is asked for, as a careless or hostile CA would.

    ``days`` are first and last day of validity, counted from now.
    """
    private = key if key is not None else ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
    names += [x509.DNSName(name) for name in dns]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a caller")]))
        .issuer_name(authority.certificate.subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        # Two CAs of one agency have one name: this tells TLS which of them signed.
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
    )
    if constraints:
        builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signed = builder.sign(authority.key, hashes.SHA256())
    return Leaf(certificate_pem(signed), key_in_pem(private))


def authority_of(files: FederationSimulator, agency: str) -> Authority:
    """Return an agency's issuing CA."""
    folder = files.folder(agency) / "ca"
    return load_authority(folder / "ca.crt", folder / "ca.pem")


def issued(files: FederationSimulator, agency: str, role: PeerRole, name: str) -> Leaf:
    """Return what the agency itself issued to a peer."""
    stem = files.folder(agency) / "tls" / f"{role}-{name}"
    return Leaf(stem.with_suffix(".crt").read_bytes(), stem.with_suffix(".pem").read_bytes())


@dataclass(frozen=True)
class Target:
    """A server that runs: where it is, and whom a caller must expect there."""

    port: int
    spiffe: SpiffeId
    ca: bytes

    def channel(self, leaf: Leaf | None, **changes: Any) -> aio.Channel:
        """Return a caller's channel with any leaf or none."""
        credentials = grpc.ssl_channel_credentials(
            changes.get("ca", self.ca),
            leaf.key if leaf else None,
            leaf.certificate if leaf else None,
        )
        options = [
            ("grpc.ssl_target_name_override", dns_name(self.spiffe)),
            ("grpc.enable_retries", 0),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        return aio.secure_channel(f"127.0.0.1:{self.port}", credentials, options=options)

    async def call(self, leaf: Leaf | None, method: str = CHECK, **options: Any) -> str:
        """Call once on a new connection; return the status' name."""
        async with self.channel(leaf) as channel:
            return await status_of(channel, method, **options)


async def status_of(
    channel: aio.Channel, method: str = CHECK, request: bytes = b"", **options: Any
) -> str:
    """Call once; return the name of the status, ``OK`` when there is an answer."""
    error = await error_of(channel, method, request, **options)
    return error.code().name if error else "OK"


async def error_of(
    channel: aio.Channel, method: str = CHECK, request: bytes = b"", **options: Any
) -> aio.AioRpcError | None:
    """Call once with raw bytes; return the error, None when there is an answer."""
    call = channel.unary_unary(method)
    try:
        await call(request, **({"timeout": 5} | options))
    except aio.AioRpcError as error:
        return error
    return None


async def serving(channel: aio.Channel, service: str = "") -> bool:
    """Ask the health service; raises what the call raises."""
    call = channel.unary_unary(
        CHECK, health_pb2.HealthCheckRequest.SerializeToString,
        health_pb2.HealthCheckResponse.FromString,
    )  # fmt: skip
    answer = await call(health_pb2.HealthCheckRequest(service=service), timeout=5)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


@asynccontextmanager
async def relayed(port: int, context: ssl.SSLContext) -> AsyncIterator[aio.Channel]:
    """Yield a channel whose bytes a relay wraps in TLS of the context's kind.

    gRPC's own client can't be told which version of TLS to speak.
    """
    pipes: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            far, there = await asyncio.open_connection(
                "127.0.0.1", port, ssl=context, server_hostname="localhost"
            )
        except (OSError, ssl.SSLError):
            writer.close()
            return
        writers.append(there)
        pipes.add(asyncio.ensure_future(pipe(reader, there)))
        pipes.add(asyncio.ensure_future(pipe(far, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    here = server.sockets[0].getsockname()[1]
    async with aio.insecure_channel(f"127.0.0.1:{here}") as channel:
        yield channel
    server.close()
    for writer in writers:
        # Python 3.11's TLS transport forgets its protocol once the other side has closed.
        with contextlib.suppress(AttributeError):
            writer.transport.abort()
    await asyncio.gather(*pipes, return_exceptions=True)


def tls_context(
    folder: Path, leaf: Leaf | None, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> ssl.SSLContext:
    """Return a context that speaks one version of TLS and believes any server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    if leaf is not None:
        leaf.save(folder / "relay.crt", folder / "relay.pem")
        context.load_cert_chain(folder / "relay.crt", folder / "relay.pem")
    return context
