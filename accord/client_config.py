"""``client.toml``: what an officer's client needs, all by file path.

agency = "harbor"
root = "sha256:<64 hex>"            # our own agency's offline root
federation = "federation"           # the pinned folder
credential = "credential.json"      # from the personnel desk
officer_key = "officer.pem"
broker = "spiffe://county/broker/main"
broker_root = "sha256:<64 hex>"
[tls]
certificate = "client.crt"
key = "client.pem"
[results]                           # left out: no answer is kept here
folder = "results"                  # this user's alone
keep_days = 30                      # your agency's policy on what it received; a duty or
                                    # law that is stricter counts
[receipts]                          # may be left out: receipts are kept in any case
folder = "receipts"                 # this is where, if nothing else is said
keep_days = 1825                    # your agency's audit retention; left out: they stay
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from accord.agreements.shapes import Days
from accord.identity import PeerRole, SpiffeId
from accord.keys import PrivateKey
from accord.model import check_agency
from accord.pki import TlsMaterial
from accord.strict_toml import Fingerprint, StrictModel, fingerprint, read_toml


class TlsSection(StrictModel):
    """``[tls]`` of any Accord program: paths relative to the file they stand in."""

    certificate: str
    key: str


class ResultsSection(StrictModel):
    """``[results]``: where answers are kept, and how many days at the most."""

    folder: str = Field(min_length=1)
    keep_days: Days


class ReceiptsSection(StrictModel):
    """``[receipts]``: where receipts of answers are kept, and how many days, if not for ever."""

    folder: str = Field(default="receipts", min_length=1)
    keep_days: int | None = Field(default=None, ge=1, le=36_525)


class _File(StrictModel):
    agency: str
    root: Fingerprint
    federation: str
    credential: str
    officer_key: str
    broker: str
    broker_root: Fingerprint
    deadline_s: float = Field(default=30.0, gt=0, le=120)
    tls: TlsSection
    results: ResultsSection | None = None
    receipts: ReceiptsSection = ReceiptsSection()


@dataclass(frozen=True, slots=True)
class KeepConfig:
    """Where answers are kept, and how many days after receipt by the agency's own policy."""

    folder: Path
    keep_days: int


@dataclass(frozen=True, slots=True)
class ReceiptsConfig:
    """Where receipts are kept, and how many days after they came; None for ever."""

    folder: Path
    keep_days: int | None = None


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """A read and checked ``client.toml``; paths are absolute.

    No answer is kept if not said so; its receipt is.
    """

    agency: str
    roots: Mapping[str, str]
    federation: Path
    credential: Path
    officer_key: Path
    broker: SpiffeId
    certificate: Path
    key: Path
    deadline_s: float
    receipts: ReceiptsConfig
    results: KeepConfig | None = None

    def load_officer_key(self) -> PrivateKey:
        """Return the officer's signing key.

        Raises:
            InputError: the file is missing or readable by others.
        """
        return PrivateKey.load(self.officer_key)

    def load_tls(self, now_ms: int) -> TlsMaterial:
        """Return the client's TLS certificate and key.

        Raises:
            InputError: naming the file.
        """
        return TlsMaterial.load(self.certificate, self.key, PeerRole.CLIENT, now_ms)


def load_client_config(path: Path) -> ClientConfig:
    """Read ``client.toml``.

    Raises:
        InputError: naming the file and the key to mend.
    """
    file = read_toml(path, _File)
    base = path.resolve().parent
    agency = check_agency(file.agency, f"{path}: agency")
    broker = SpiffeId.parse(file.broker)
    roots = {
        agency: fingerprint(file.root),
        broker.agency: fingerprint(file.broker_root),
    }
    return ClientConfig(
        agency=agency,
        roots=roots,
        federation=base / file.federation,
        credential=base / file.credential,
        officer_key=base / file.officer_key,
        broker=broker,
        certificate=base / file.tls.certificate,
        key=base / file.tls.key,
        deadline_s=file.deadline_s,
        receipts=ReceiptsConfig(base / file.receipts.folder, file.receipts.keep_days),
        results=None
        if file.results is None
        else KeepConfig(base / file.results.folder, file.results.keep_days),
    )
