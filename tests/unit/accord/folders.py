"""A federation folder that tests write, right or wrong."""

from datetime import UTC, datetime
from pathlib import Path

from accord.agencies import render_agency, sign_agency
from accord.agreements.counterparts import sign_counterpart
from accord.agreements.manifest import Party
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.templates import template_moa
from accord.clock import to_ms
from accord.identity import KeyRole
from accord.keys import PrivateKey
from accord.pki import new_authority

NOW_MS = to_ms(datetime(2026, 3, 1, 12, tzinfo=UTC))
SIGNED_MS = NOW_MS - 86_400_000
NAMES = ("city", "harbor", "county", "hub")
ROOTS = {name: PrivateKey.generate() for name in NAMES}
NODES = {name: PrivateKey.generate() for name in NAMES}
COUNSEL = {name: PrivateKey.generate() for name in NAMES}
CAS = {name: new_authority(name, NOW_MS) for name in NAMES}
PINS = {name: key.public.keyid for name, key in ROOTS.items()}


class Folder:
    """Writes a federation folder, right or wrong."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def agency(self, name: str, *, root: PrivateKey | None = None, number: int = 1) -> Path:
        data = render_agency(
            agency=name,
            number=number,
            name=name.title(),
            kind="operator" if name == "hub" else "police",
            state="CA",
            contact=f"alpr@{name}.example",
            cas=[CAS[name].certificate],
            keys=[(KeyRole.COUNSEL, COUNSEL[name].public), (KeyRole.NODE, NODES[name].public)],
            endpoints=[],
            issued_at_ms=NOW_MS - 1000,
            expires_at_ms=NOW_MS + 10**10,
        )
        folder = self.path / "agencies" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "agency.toml").write_bytes(data)
        (folder / "agency.sig").write_bytes(sign_agency(data, root or ROOTS[name]))
        return folder

    def agreement(
        self,
        name: str,
        *parties: str,
        signers: tuple[str, ...] | None = None,
        id: str = "",
        pins: dict[str, str] | None = None,
        tables: str = "",
        **options: object,
    ) -> Path:
        pins = PINS | (pins or {})
        entries = [
            Party(p, p.title(), pins[p], f"alpr@{p}.example", "police", "CA") for p in parties
        ]
        data = template_moa(id or name, name, entries, **options)  # type: ignore[arg-type]
        data += tables.encode()
        folder = self.path / "agreements" / name
        (folder / "counterparts").mkdir(parents=True)
        (folder / "agreement.toml").write_bytes(data)
        for signer in parties if signers is None else signers:
            self.sign(folder, signer)
        return folder

    def sign(self, folder: Path, party: str, at_ms: int = SIGNED_MS) -> None:
        manifest = parse_manifest((folder / "agreement.toml").read_bytes(), "x")
        data = sign_counterpart(manifest, party, "Jane Roe", "Counsel", at_ms, COUNSEL[party])
        (folder / "counterparts" / f"{party}.json").write_bytes(data)


def standing(folder: Path, federation, at_ms: int = NOW_MS):
    """How the agreement of a folder stands; None where it is left out."""
    digest = parse_manifest((folder / "agreement.toml").read_bytes(), "x").digest
    agreement = federation.agreements.get(digest)
    return agreement.standing_at(at_ms) if agreement else None


def said(federation) -> str:
    lines = [str(problem) for problem in federation.problems]
    assert all("\n" not in line for line in lines)
    assert len(set(lines)) == len(lines)
    return "\n".join(lines)


OWN = {"city": PINS["city"]}
