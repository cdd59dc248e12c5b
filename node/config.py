"""``node.toml``: everything a node needs, secrets by file path only.

agency = "harbor"
name = "main"
listen = "127.0.0.1:7443"
data = "data"                        # reads, photos, audit, replay guard
federation = "federation"
root = "sha256:<64 hex>"             # our own agency's offline root
policy = "policy.toml"
roster = "roster.json"
purge_every_s = 3600
metrics = "data/metrics.prom"        # may be left out
[tls]
certificate = "tls/node-main.crt"
key = "tls/node-main.pem"
[keys]
node = "keys/node.pem"
audit = "keys/audit.pem"
audit_secret = "keys/audit.secret"   # 32 bytes
witness = "keys/witness.pem"         # may be left out: it is this
names_secret = "keys/names.secret"   # 32 bytes
[witnesses]                          # who cosigns our audit log; may be left out
agencies = ["harbor", "county"]      # every agency that we have an agreement with, if left out
needed = 1                           # so many of them
alert_after_min = 10                 # and no later than so many minutes
every_s = 60
[store]                              # PostgreSQL; reads.db in data without this section
postgres = "keys/store.url"          # a file that holds its URL
shards = ["keys/shard1.url", "keys/shard2.url"]      # the servers of the reads; may be left out
[[brokers]]                          # who may forward queries to us
id = "spiffe://county/broker/main"
root = "sha256:<64 hex>"
[[overlays]]                         # bands where cameras burn in place and time
camera = "*"
top = 0.1
bottom = 0.0
[[sources]]                          # where reads come from: node/ways/config.py
name = "pier"
way = "folder"
folder = "in"
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from accord.client_config import TlsSection
from accord.errors import InputError
from accord.identity import PeerRole, SpiffeId
from accord.keys import PrivateKey
from accord.model import check_agency
from accord.pki import TlsMaterial
from accord.strict_toml import Fingerprint, StrictModel, fingerprint, parse_toml, read_toml
from node.ways.config import Source

METRICS = "metrics.prom"
READS = "reads.db"
SERVER_ID = "server.id"
"""In ``data``: which server the node has served from last, so that an older one is refused."""
FOLDER_ID = "folder.id"
"""There is one in ``data`` where the node serves from a server: node/store/postgres/seat.py."""


class _Keys(StrictModel):
    node: str
    audit: str
    audit_secret: str
    names_secret: str
    witness: str = "keys/witness.pem"


class _Store(StrictModel):
    postgres: str = Field(min_length=1)
    shards: list[str] = Field(default_factory=list)


class _Witnesses(StrictModel):
    agencies: list[str] | None = None
    needed: int = Field(default=1, ge=1, le=100)
    alert_after_min: int = Field(default=10, ge=1, le=1_440)
    every_s: int = Field(default=60, ge=1, le=3_600)


class _Broker(StrictModel):
    id: str
    root: Fingerprint


class _Overlay(StrictModel):
    camera: str
    top: float = Field(default=0.0, ge=0, le=0.5)
    bottom: float = Field(default=0.0, ge=0, le=0.5)


class _File(StrictModel):
    agency: str
    name: str
    listen: str
    data: str
    federation: str
    root: Fingerprint
    policy: str
    roster: str
    purge_every_s: int = Field(default=3600, ge=1, le=3_600)
    metrics: str | None = Field(default=None, pattern=r"\.prom$")
    tls: TlsSection
    keys: _Keys
    store: _Store | None = None
    witnesses: _Witnesses = Field(default_factory=_Witnesses)
    brokers: list[_Broker] = Field(default_factory=list)
    overlays: list[_Overlay] = Field(default_factory=list)
    sources: list[Source] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WitnessRule:
    """Who is to cosign our log: ``needed`` of ``agencies`` (None: of every counterpart).

    An entry may wait ``alert_after_ms`` for it. A witness is asked every ``every_s``.
    """

    agencies: frozenset[str] | None
    needed: int
    alert_after_ms: int
    every_s: int


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """A read and checked ``node.toml``; paths are absolute."""

    path: Path
    agency: str
    name: str
    listen: str
    data: Path
    federation: Path
    roots: Mapping[str, str]
    policy: Path
    roster: Path
    purge_every_s: int
    metrics: Path
    certificate: Path
    tls_key: Path
    node_key: Path
    audit_key: Path
    audit_secret: Path
    names_secret: Path
    witness_key: Path
    brokers: frozenset[str]
    bands: Mapping[str, tuple[float, float]]
    witnesses: WitnessRule
    sources: tuple[Source, ...] = ()
    store_url: Path | None = None
    """The file that holds the URL of the PostgreSQL database; None is SQLite in ``data``."""
    store_shards: tuple[Path, ...] = ()
    """The files with the URLs of the servers where its reads are, if they are not in it."""

    @property
    def reads(self) -> Path:
        """The file of the store: SQLite's own, or the one that holds PostgreSQL's URL."""
        return self.store_url or self.data / READS

    @property
    def base(self) -> Path:
        """The folder that paths in the file start from."""
        return self.path.resolve().parent

    @property
    def own_id(self) -> SpiffeId:
        """This node's identity."""
        return SpiffeId(self.agency, PeerRole.NODE, self.name)

    def load_tls(self, now_ms: int) -> TlsMaterial:
        """Return the node's TLS certificate and key.

        Raises:
            InputError: naming the file.
        """
        return TlsMaterial.load(self.certificate, self.tls_key, PeerRole.NODE, now_ms)

    def load_signer(self) -> PrivateKey:
        """Return the key that countersigns queries and signs answers."""
        return PrivateKey.load(self.node_key)


def load_config(path: Path) -> NodeConfig:
    """Read ``node.toml``.

    Raises:
        InputError: naming the file and the key to mend.
    """
    return _checked(read_toml(path, _File), path)


def check_config(data: bytes, path: Path) -> NodeConfig:
    """Read the bytes of a ``node.toml`` that is to stand at ``path``.

    Raises:
        InputError: as :func:`load_config`.
    """
    return _checked(parse_toml(data, path, _File), path)


def _checked(file: _File, path: Path) -> NodeConfig:
    base = path.resolve().parent
    agency = check_agency(file.agency, f"{path}: agency")
    roots = {agency: fingerprint(file.root)}
    for broker in file.brokers:
        operator = SpiffeId.parse(broker.id)
        if operator.role is not PeerRole.BROKER:
            raise InputError(f"{path}: brokers.id", f"{broker.id} is not a broker's identity")
        if roots.setdefault(operator.agency, fingerprint(broker.root)) != fingerprint(broker.root):
            raise InputError(f"{path}: brokers.root", "two roots for one agency", "keep one")
    names = [source.name for source in file.sources]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: sources.name", f"{name!r} is there twice", "rename one")
    return NodeConfig(
        path=path,
        agency=agency,
        name=file.name,
        listen=file.listen,
        data=base / file.data,
        federation=base / file.federation,
        roots=roots,
        policy=base / file.policy,
        roster=base / file.roster,
        purge_every_s=file.purge_every_s,
        metrics=base / (file.metrics or f"{file.data}/{METRICS}"),
        certificate=base / file.tls.certificate,
        tls_key=base / file.tls.key,
        node_key=base / file.keys.node,
        audit_key=base / file.keys.audit,
        audit_secret=base / file.keys.audit_secret,
        names_secret=base / file.keys.names_secret,
        witness_key=base / file.keys.witness,
        brokers=frozenset(broker.id for broker in file.brokers),
        bands={overlay.camera: (overlay.top, overlay.bottom) for overlay in file.overlays},
        witnesses=_witnesses(path, file.witnesses),
        sources=tuple(file.sources),
        store_url=None if file.store is None else base / file.store.postgres,
        store_shards=_shards(path, base, file.store),
    )


def _witnesses(path: Path, file: _Witnesses) -> WitnessRule:
    names = file.agencies
    if names is not None:
        for name in names:
            check_agency(name, f"{path}: witnesses.agencies")
        if file.needed > len(set(names)):
            problem = f"{file.needed} are needed of {len(set(names))} agencies"
            raise InputError(f"{path}: witnesses.needed", problem, "name more, or need fewer")
    return WitnessRule(
        None if names is None else frozenset(names),
        file.needed,
        file.alert_after_min * 60_000,
        file.every_s,
    )


def _shards(path: Path, base: Path, store: _Store | None) -> tuple[Path, ...]:
    names = [] if store is None else store.shards
    for name in names:
        if not name or names.count(name) > 1 or (store and name == store.postgres):
            where = f"{path}: store.shards"
            raise InputError(
                where, f"{name!r} is not a file of its own", "name one for each server"
            )
    return tuple(base / name for name in names)
