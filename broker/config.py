"""``broker.toml``: everything a broker needs, secrets by file path only.

operator = "county"
name = "main"
listen = "127.0.0.1:7440"
data = "data"
federation = "federation"
node_deadline_s = 10.0
[roots]                              # pinned by hand: who may be served at all
county = "sha256:<64 hex>"
harbor = "sha256:<64 hex>"
[tls]
certificate = "tls/broker-main.crt"
key = "tls/broker-main.pem"
[keys]
audit = "keys/audit.pem"
audit_secret = "keys/audit.secret"
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from accord.client_config import TlsSection
from accord.errors import InputError
from accord.identity import PeerRole, SpiffeId
from accord.model import check_agency
from accord.pki import TlsMaterial
from accord.strict_toml import Fingerprint, StrictModel, fingerprint, read_toml


class _Keys(StrictModel):
    audit: str
    audit_secret: str


class _File(StrictModel):
    operator: str
    name: str
    listen: str
    data: str
    federation: str
    node_deadline_s: float = Field(default=10.0, gt=0, le=60)
    roots: dict[str, Fingerprint]
    tls: TlsSection
    keys: _Keys


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """A read and checked ``broker.toml``; paths are absolute."""

    path: Path
    operator: str
    name: str
    listen: str
    data: Path
    federation: Path
    roots: Mapping[str, str]
    node_deadline_s: float
    certificate: Path
    tls_key: Path
    audit_key: Path
    audit_secret: Path

    @property
    def own_id(self) -> SpiffeId:
        """This broker's identity."""
        return SpiffeId(self.operator, PeerRole.BROKER, self.name)

    def load_tls(self, now_ms: int) -> TlsMaterial:
        """Return the broker's TLS certificate and key.

        Raises:
            InputError: naming the file.
        """
        return TlsMaterial.load(self.certificate, self.tls_key, PeerRole.BROKER, now_ms)


def load_config(path: Path) -> BrokerConfig:
    """Read ``broker.toml``.

    Raises:
        InputError: naming the file and the key to mend.
    """
    file = read_toml(path, _File)
    base = path.resolve().parent
    operator = check_agency(file.operator, f"{path}: operator")
    if operator not in file.roots:
        raise InputError(f"{path}: roots", f"does not pin {operator}", "add the operator's root")
    return BrokerConfig(
        path=path,
        operator=operator,
        name=file.name,
        listen=file.listen,
        data=base / file.data,
        federation=base / file.federation,
        roots={check_agency(k, f"{path}: roots"): fingerprint(v) for k, v in file.roots.items()},
        node_deadline_s=file.node_deadline_s,
        certificate=base / file.tls.certificate,
        tls_key=base / file.tls.key,
        audit_key=base / file.keys.audit,
        audit_secret=base / file.keys.audit_secret,
    )
