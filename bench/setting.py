"""What is measured against what: a city's node, the exchange's broker, and nginx in its place.

All three are real processes on loopback with mutual TLS on every hop. The
city holds 100,000 invented reads.
"""

import random
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.x509 import Certificate

from accord.agencies import Endpoint
from accord.agreements.manifest_reading import parse_manifest
from accord.clock import SystemClock
from accord.demo.processes import Processes, free_port
from accord.identity import PeerRole, SpiffeId
from accord.model import PROHIBITED, Purpose, Read
from accord.pki import TlsMaterial, load_certificates
from accord.roster import Officer
from accord.testing import FederationSimulator
from node.config import load_config
from node.store.opening import open_store

READS = 100_000
PLATES = 16_000
SPAN_MS = 20 * 86_400_000
HOME, OWNER, OPERATOR, OFFICER = "harbor", "city", "exchange", "O-1"


@dataclass(frozen=True)
class House:
    """The files of the federation, and what every path needs of them."""

    files: FederationSimulator
    plates: tuple[str, ...]
    built_ms: int
    agreement: bytes

    def material(self, agency: str, role: PeerRole, name: str) -> TlsMaterial:
        """Return an agency's certificate and key of that peer."""
        certificate, key = self.files.everybody()[agency].files.tls(role, name)
        return TlsMaterial.load(certificate, key, role, self.files.clock.now_ms())

    def endpoint(self, agency: str, role: PeerRole) -> Endpoint:
        """Return where an agency's server listens."""
        address = self.files.everybody()[agency].address
        return Endpoint(SpiffeId(agency, role, "main"), address)

    def database(self) -> Path:
        """Return the owner's store."""
        return self.files.folder(OWNER) / "data" / "reads.db"


def build(base: Path, *, reads: int = READS, store: Callable[[Path], Path] | None = None) -> House:
    """Make two agencies, a broker, an agreement and the owner's reads.

    ``store`` writes, into a folder, the file that names a PostgreSQL server.
    """
    clock = SystemClock()
    files = FederationSimulator(base, clock)
    files.add_operator(OPERATOR, "Exchange", f"127.0.0.1:{free_port()}")
    for agency in (OWNER, HOME):
        files.add_agency(agency, agency.title(), "police", f"127.0.0.1:{free_port()}")
    folder = files.add_agreement("city-harbor", (OWNER, HOME))
    purposes = frozenset(str(p) for p in Purpose if p not in PROHIBITED)
    files.add_officer(
        HOME, Officer(OFFICER, "Officer One", "detective", "good", "2026-09-01", purposes)
    )
    files.build()
    now_ms = clock.now_ms()
    chance = random.Random(7)
    plates = tuple(f"{chance.randrange(10**7):07d}" for _ in range(PLATES))
    house = House(files, plates, now_ms, parse_manifest(_manifest(folder), folder).digest)
    house.database().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    config = files.folder(OWNER) / "node.toml"
    if store is not None:
        with config.open("a") as file:
            file.write(f'\n[store]\npostgres = "{store(config.parent)}"\n')
    opened = open_store(load_config(config))
    try:
        opened.add([_read(chance, plates, now_ms) for _ in range(reads)])
    finally:
        opened.close()
    return house


def _manifest(folder: Path) -> bytes:
    return (folder / "agreement.toml").read_bytes()


def _read(chance: random.Random, plates: tuple[str, ...], now_ms: int) -> Read:
    plate = chance.choice(plates)
    return Read(
        plate=plate,
        raw_plate=plate,
        state="CA",
        captured_ms=now_ms - chance.randrange(3_600_000, SPAN_MS),
        camera=f"CAM-{chance.randrange(40)}",
        source_id=chance.randbytes(16),
        lat_e7=337_500_000 + chance.randrange(1_000_000),
        lon_e7=-1_182_600_000 + chance.randrange(1_000_000),
    )


def start(house: House, processes: Processes) -> None:
    """Start the owner's node and the broker."""
    processes.start(OWNER, "node", house.files.folder(OWNER) / "node.toml")
    processes.start(OPERATOR, "broker", house.files.folder(OPERATOR) / "broker.toml")


class Nginx:
    """nginx in the broker's place: it forwards, with certificates checked on both sides.

    It calls the node with the broker's own certificate, so the node can't tell.
    """

    def __init__(self, house: House, base: Path) -> None:
        self._house = house
        self._base = base
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def program() -> str | None:
        """Return the path of nginx, None where it is not installed."""
        return shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")

    def __enter__(self) -> "Nginx":
        program = self.program()
        assert program is not None
        config = self._base / "nginx.conf"
        config.write_text(self._config())
        self._process = subprocess.Popen(
            [program, "-p", str(self._base), "-c", str(config), "-e", str(self._base / "error.log")]
        )
        time.sleep(0.5)
        if self._process.poll() is not None:
            raise SystemExit(f"nginx did not start: {(self._base / 'error.log').read_text()}")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    def _config(self) -> str:
        everybody = self._house.files.everybody()
        certificate, key = everybody[OPERATOR].files.tls(PeerRole.BROKER, "main")
        owner_ca = everybody[OWNER].files.folder / "ca" / "ca.crt"
        callers = everybody[HOME].files.folder / "ca" / "ca.crt"
        node = everybody[OWNER].address
        temp = "\n".join(
            f"  {kind}_temp_path {self._base}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return f"""
worker_processes 1;
daemon off;

pid {self._base}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
{temp}
  keepalive_requests 1000000;
  upstream node {{ server {node}; keepalive 64; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{self.port} ssl http2;
    http2_max_concurrent_streams 128;
    ssl_protocols TLSv1.3;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_client_certificate {callers};
    ssl_verify_client on;
    location / {{
      grpc_pass grpcs://node;
      grpc_ssl_protocols TLSv1.3;
      grpc_ssl_certificate {certificate};
      grpc_ssl_certificate_key {key};
      grpc_ssl_trusted_certificate {owner_ca};
      grpc_ssl_verify on;
      grpc_ssl_name main.node.{OWNER}.accord.internal;
      grpc_ssl_server_name on;
    }}
  }}
}}
"""


def cas_of(house: House, agency: str) -> tuple[Certificate, ...]:
    """Return the CA certificates of an agency."""
    path = house.files.everybody()[agency].files.folder / "ca" / "ca.crt"
    return tuple(load_certificates(path.read_bytes(), path))
