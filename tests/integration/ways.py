"""What the tests of sources share: a node that takes, certificates, and waiting."""

import asyncio
import ipaddress
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from accord.clock import SystemClock
from accord.pki import certificate_pem, key_pem
from node.config import load_config
from node.serve import RunningNode, running_node
from node.ways.config import SqlSource
from tests.programs import program


def needs(program: str) -> str:
    """Return the program's path; the test is skipped where it is not installed."""
    # Where Debian has servers that are not on everybody's PATH.
    folders = ["/usr/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    found = shutil.which(program) or shutil.which(program, path=":".join(folders))
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def event(plate: str) -> bytes:
    """Return a message as Frigate sends it, of an invented plate."""
    said = {
        "type": "lpr",
        "id": f"1772353800.25-{plate}",
        "plate": plate,
        "score": 0.95,
        "camera": "pier",
        "timestamp": 1_772_353_800.75,
    }
    return json.dumps(said).encode()


@asynccontextmanager
async def taking_node(city: Path, sources: str) -> AsyncIterator[RunningNode]:
    """Serve the city's node with these sections in its node.toml."""
    with (city / "node.toml").open("a") as file:
        file.write(sources)
    config = load_config(city / "node.toml")
    # Whole seconds are for settings; a test need not wait for them.
    hasty = tuple(
        one.model_copy(update={"every_s": 0.1}) if isinstance(one, SqlSource) else one
        for one in config.sources
    )
    async with running_node(replace(config, sources=hasty), SystemClock()) as node:
        yield node


def command(city: Path, *arguments: str) -> str:
    """Run ``accord-node`` with the city's node.toml; return what it printed."""
    done = subprocess.run(
        [program("accord-node"), *arguments, "--config", str(city / "node.toml")],
        capture_output=True,
        timeout=60,
        check=False,
        env=os.environ | {"GRPC_VERBOSITY": "NONE"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def plates(city: Path) -> list[str]:
    """Return the plates of all reads, in the order in which they came."""
    with closing(sqlite3.connect(city / "data" / "reads.db")) as database:
        return [row[0] for row in database.execute("SELECT plate FROM reads ORDER BY row_id")]


async def until(
    true: Callable[[], object],
    seconds: float = 30,
    *,
    works: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(seconds):
        while not true():
            if works is not None:
                await works()
            await asyncio.sleep(0.05)


def write_secret(path: Path, text: str) -> None:
    """Write a token, password or URL as a node takes it: nobody else can read it."""
    path.write_text(text)
    path.chmod(0o600)


def write_tls(folder: Path) -> Path:
    """Write a CA, a server's and a client's certificate; another CA's client, too."""
    folder.mkdir()
    for ca, names in (("ca", ("server", "client")), ("other-ca", ("stranger",))):
        key = ec.generate_private_key(ec.SECP256R1())
        root = _certificate(ca, key, None, key)
        (folder / f"{ca}.crt").write_bytes(certificate_pem(root))
        for name in names:
            own = ec.generate_private_key(ec.SECP256R1())
            (folder / f"{name}.crt").write_bytes(
                certificate_pem(_certificate(name, own, root, key))
            )
            (folder / f"{name}.pem").write_bytes(key_pem(own))
            (folder / f"{name}.pem").chmod(0o600)
    return folder


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    signer: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    local = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(local, critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, hashes.SHA256())
    )
