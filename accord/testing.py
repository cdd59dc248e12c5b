"""A whole federation in a folder: throwaway keys, signed agreements, officers.

Shipped for those who write their own clients and tests, and used by
``accord demo``. Nothing here is weaker than the real thing: the same files,
keys and checks, only made by one hand.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from accord import activation
from accord.agency_files import AgencyFiles, issue_peer, make_agency
from accord.agreements.counterparts import sign_counterpart
from accord.agreements.heads import HOUR_MS, Head, sign_head
from accord.agreements.heads import file_name as head_name
from accord.agreements.instrument_payload import sign_instrument
from accord.agreements.instruments import Details, Instrument, InstrumentKind, file_name
from accord.agreements.manifest import Party
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.templates import template_moa
from accord.clock import Clock
from accord.envelope_json import to_json
from accord.identity import KeyRole, PeerRole
from accord.keys import PrivateKey
from accord.roster import FORMAT as ROSTER_FORMAT
from accord.roster import Officer, Roster, issue_credential, publish

_POLICY_PURPOSES = (
    '["stolen-vehicle", "wanted-person", "missing-person", "amber-alert", '
    '"criminal-investigation", "hit-and-run", "public-safety-threat"]'
)


def _roster_toml(agency: str, officers: Mapping[str, Officer]) -> str:
    """Return a personnel desk's roster.toml; JSON's strings are TOML's too."""
    lines = [f'format = "{ROSTER_FORMAT}"', f"agency = {json.dumps(agency)}"]
    for officer in officers.values():
        lines += [
            "\n[[officers]]",
            f"id = {json.dumps(officer.id)}",
            f"name = {json.dumps(officer.name)}",
            f"role = {json.dumps(officer.role)}",
            f"standing = {json.dumps(officer.standing)}",
            f"trained_on = {officer.trained_on}",
            f"purposes = {json.dumps(sorted(officer.purposes))}",
            f"employment = {json.dumps(officer.employment)}",
            f"course = {json.dumps(officer.course)}",
            f"may_approve = {json.dumps(officer.may_approve)}",
        ]
    return "\n".join(lines) + "\n"


class FixedClock:
    """A clock that stands still until it is moved; ``ms`` is UTC milliseconds."""

    def __init__(self, ms: int) -> None:
        self.ms = ms

    def now_ms(self) -> int:
        """Return the time it was set to."""
        return self.ms


@dataclass
class Member:
    """One agency of the federation and its officers."""

    files: AgencyFiles
    name: str
    contact: str
    address: str
    kind: str
    state: str
    officers: dict[str, Officer] = field(default_factory=dict)


class FederationSimulator:
    """Builds the folders of agencies, agreements and one broker under ``base``.

    base/<agency>/           keys, node.toml, policy.toml, federation/, data/activated.json
    base/<agency>/officers/<id>/client.toml
    base/<agency>/roster.toml, roster.json      the desk's own, and as published
    base/<operator>/         the broker's
    """

    def __init__(self, base: Path, clock: Clock) -> None:
        self.base = base
        self.clock = clock
        self.members: dict[str, Member] = {}
        self.operator: Member | None = None
        self._agreements: dict[str, tuple[tuple[str, ...], Path]] = {}
        self._heads = 0

    def folder(self, agency: str) -> Path:
        """Return an agency's folder."""
        return self.base / agency

    def add_operator(self, agency: str, name: str, address: str) -> Member:
        """Add the broker's operator; ``address`` is the broker's host:port."""
        self.operator = self._member(agency, name, "operator", address)
        return self.operator

    def add_agency(
        self, agency: str, name: str, kind: str, address: str, *, state: str = "CA"
    ) -> Member:
        """Add an agency with a node at ``address``; its state says which laws bind it."""
        self.members[agency] = self._member(agency, name, kind, address, state=state)
        return self.members[agency]

    def _member(
        self, agency: str, name: str, kind: str, address: str, *, state: str = "CA"
    ) -> Member:
        broker = kind == "operator"
        contact = f"ALPR coordinator, {name}"
        files = make_agency(
            self.folder(agency),
            agency=agency,
            name=name,
            kind=kind,
            state=state,
            contact=contact,
            now_ms=self.clock.now_ms(),
            node_address="" if broker else address,
            broker_address=address if broker else "",
        )
        return Member(files, name, contact, address, kind, state)

    def add_agreement(
        self, name: str, parties: tuple[str, ...], *, signed_by: tuple[str, ...] | None = None,
        signed_at_ms: int | None = None, joiners: tuple[str, ...] = (),
        rewords: Mapping[str, str] = MappingProxyType({}), **options: Any
    ) -> Path:  # fmt: skip
        """Write a manifest on the MOA's terms and have every party's counsel sign it.

        ``signed_by`` leaves parties out. ``joiners`` are agencies that get the
        folder too. ``rewords`` changes lines of the text before it is signed.
        ``options`` are those of :func:`accord.agreements.templates.template_moa`.
        """
        listed = [
            Party(p, one.name, one.files.fingerprint(), one.contact, one.kind, one.state)
            for p, one in ((p, self.members[p]) for p in parties)
        ]
        title = " and ".join(party.name for party in listed)
        data = template_moa(name, f"Agreement between {title}", listed, **options)
        for old, new in rewords.items():
            data = data.replace(old.encode(), new.encode())
        folder = self.base / "agreements" / name
        (folder / "counterparts").mkdir(parents=True, exist_ok=True)
        (folder / "agreement.toml").write_bytes(data)
        manifest = parse_manifest(data, folder)
        for party in parties if signed_by is None else signed_by:
            key = PrivateKey.load(self.members[party].files.key(KeyRole.COUNSEL))
            when = self.clock.now_ms() - 86_400_000 if signed_at_ms is None else signed_at_ms
            signed = sign_counterpart(
                manifest, party, f"Counsel of {party}", "General Counsel", when, key
            )
            (folder / "counterparts" / f"{party}.json").write_bytes(signed)
        self._agreements[name] = ((*parties, *joiners), folder)
        return folder

    def add_instrument(
        self, agreement: str, party: str, kind: InstrumentKind, *, signed_at_ms: int | None = None,
        **said: Any,
    ) -> Path:  # fmt: skip
        """Have the party's counsel sign its next instrument; ``said`` are its :class:`Details`.

        It is signed as of now, and reaches the agencies with :meth:`distribute`.
        """
        folder = self._agreements[agreement][1]
        manifest = parse_manifest((folder / "agreement.toml").read_bytes(), folder)
        instruments = folder / "instruments"
        instruments.mkdir(exist_ok=True)
        number = len(list(instruments.glob(f"{party}-[0-9]*.json"))) + 1
        when = self.clock.now_ms() if signed_at_ms is None else signed_at_ms
        one = Instrument(
            party, number, kind, f"Counsel of {party}", "General Counsel", when, Details(**said)
        )
        key = PrivateKey.load(self.members[party].files.key(KeyRole.COUNSEL))
        path = instruments / file_name(party, number)
        path.write_bytes(sign_instrument(manifest, one, key))
        return path

    def distribute(self) -> None:
        """Copy agencies' files and agreements, as they are now, to everybody whom they concern."""
        for agency in self.members:
            self._distribute(agency, self.folder(agency) / "federation")
        operator = self._operator().files.folder
        self._copy(operator / "federation", set(self.everybody()), list(self._agreements))

    def add_officer(self, agency: str, officer: Officer) -> None:
        """Put an officer on the agency's roster."""
        self.members[agency].officers[officer.id] = officer

    def build(self, policies: dict[str, str] | None = None) -> None:
        """Write every program's own folder: configuration, federation, roster, officers."""
        self.sign_heads()
        for agency in self.members:
            self._distribute(agency, self.folder(agency) / "federation")
            self.activate(agency)
            self._node(agency, (policies or {}).get(agency, self.policy(agency)))
            self.publish_roster(agency)
            for officer in self.members[agency].officers.values():
                self._officer(agency, officer)
        self._broker()

    def sign_heads(self) -> None:
        """Sign a head of every party as of now, where the agreement demands them.

        They name no instrument; a node that runs signs new ones by itself.
        """
        now_ms = self.clock.now_ms()
        self._heads = max(self._heads + 1, now_ms)
        for parties, folder in self._agreements.values():
            manifest = parse_manifest((folder / "agreement.toml").read_bytes(), folder)
            if manifest.heads is None:
                continue
            expires_ms = now_ms + manifest.heads.max_age_hours * HOUR_MS
            for party in parties:
                key = PrivateKey.load(self.members[party].files.key(KeyRole.NODE))
                head = Head(party, self._heads, now_ms, expires_ms)
                path = folder / "heads" / head_name(party)
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(sign_head(manifest, head, key))

    def activate(self, agency: str) -> None:
        """Activate every agreement of an agency at its node, as its engineers would."""
        for parties, folder in self._agreements.values():
            if agency in parties:
                manifest = parse_manifest((folder / "agreement.toml").read_bytes(), folder)
                path = self.folder(agency) / "data" / activation.FILE_NAME
                activation.activate(path, manifest, self.clock.now_ms(), f"Engineer of {agency}")

    def everybody(self) -> dict[str, Member]:
        """Return the agencies and the operator, by id."""
        return {**self.members, self._operator().files.agency: self._operator()}

    def partners(self, agency: str) -> list[str]:
        """Return the agencies with which an agreement was written."""
        found = {p for parties, _ in self._agreements.values() if agency in parties
                 for p in parties}  # fmt: skip
        return sorted(found - {agency})

    def policy(self, agency: str) -> str:
        """Return a policy that shares with every partner, in any number, and withholds nothing."""
        partners = "".join(f'[[partner]]\nagency = "{p}"\n' for p in self.partners(agency))
        return (
            f'format = "accord-policy/1"\nagency = "{agency}"\nversion = 1\n'
            f'time_zone = "America/Los_Angeles"\n'
            f"[own]\npurposes = {_POLICY_PURPOSES}\nlook_back_days = 730\nrow_limit = 1000\n"
            f'training_within_days = 730\ncase_number = "optional"\nreason = "optional"\n'
            f"{partners}[withhold]\nplates = []\ncameras = []\ncases = []\n"
            f"[retention]\nreads_days = 730\nphotos_days = 365\nhot_list_days = 30\n"
            # Room for tests and benchmarks, which ask faster than officers do.
            f"[rates]\nofficer_per_minute = 1000000\nofficer_per_day = 10000000\n"
            f"agency_per_minute = 1000000\n"
        )

    def _operator(self) -> Member:
        if self.operator is None:
            raise ValueError("add_operator() first")
        return self.operator

    def _distribute(self, agency: str, target: Path) -> None:
        """Copy what this agency has signed, and who the others in it are."""
        known = {agency, self._operator().files.agency, *self.partners(agency)}
        agreements = [n for n, (parties, _) in self._agreements.items() if agency in parties]
        self._copy(target, known, agreements)

    def _copy(self, target: Path, agencies: set[str], agreements: list[str]) -> None:
        everybody = self.everybody()
        for name in sorted(agencies):
            public = everybody[name].files.public
            shutil.copytree(public, target / "agencies" / name, dirs_exist_ok=True)
        (target / "agreements").mkdir(parents=True, exist_ok=True)
        for name in agreements:
            source = self._agreements[name][1]
            shutil.copytree(source, target / "agreements" / name, dirs_exist_ok=True)

    def _broker_id(self) -> str:
        return f"spiffe://{self._operator().files.agency}/broker/main"

    def _node(self, agency: str, policy: str) -> None:
        folder, member = self.folder(agency), self.members[agency]
        (folder / "policy.toml").write_text(policy)
        (folder / "node.toml").write_text(
            f'agency = "{agency}"\nname = "main"\nlisten = "{member.address}"\n'
            f'data = "data"\nfederation = "federation"\n'
            f'root = "sha256:{member.files.fingerprint()}"\n'
            f'policy = "policy.toml"\nroster = "roster.json"\n'
            f'[tls]\ncertificate = "tls/node-main.crt"\nkey = "tls/node-main.pem"\n'
            f'[keys]\nnode = "keys/node.pem"\naudit = "keys/audit.pem"\n'
            f'audit_secret = "keys/audit.secret"\nnames_secret = "keys/names.secret"\n'
            f'[[brokers]]\nid = "{self._broker_id()}"\n'
            f'root = "sha256:{self._operator().files.fingerprint()}"\n'
            f'[[overlays]]\ncamera = "*"\ntop = 0.12\nbottom = 0.12\n'
        )

    def _broker(self) -> None:
        operator = self._operator()
        folder = operator.files.folder
        everybody = self.everybody()
        self._copy(folder / "federation", set(everybody), list(self._agreements))
        roots = "".join(
            f'{name} = "sha256:{member.files.fingerprint()}"\n'
            for name, member in sorted(everybody.items())
        )
        (folder / "broker.toml").write_text(
            f'operator = "{operator.files.agency}"\nname = "main"\n'
            f'listen = "{operator.address}"\ndata = "data"\nfederation = "federation"\n'
            f"node_deadline_s = 5.0\n"
            f'[tls]\ncertificate = "tls/broker-main.crt"\nkey = "tls/broker-main.pem"\n'
            f'[keys]\naudit = "keys/audit.pem"\naudit_secret = "keys/audit.secret"\n'
            f"[roots]\n{roots}"
        )

    def publish_roster(self, agency: str, number: int = 1) -> None:
        """Write the desk's ``roster.toml``, and publish it signed, as of now."""
        member = self.members[agency]
        (self.folder(agency) / "roster.toml").write_text(_roster_toml(agency, member.officers))
        roster = Roster(agency, 0, 0, member.officers)
        key = PrivateKey.load(member.files.key(KeyRole.PERSONNEL))
        data = publish(roster, number, self.clock.now_ms(), key)
        (self.folder(agency) / "roster.json").write_bytes(data)

    def client_toml(self, agency: str, officer: str) -> Path:
        """Return the path of an officer's client.toml."""
        return self.folder(agency) / "officers" / officer / "client.toml"

    def _officer(self, agency: str, officer: Officer) -> None:
        member = self.members[agency]
        path = self.client_toml(agency, officer.id)
        name = f"desk-{officer.id.lower()}"
        issue_peer(member.files, PeerRole.CLIENT, name, self.clock.now_ms())
        key = PrivateKey.generate()
        key.save(path.parent / "officer.pem")
        desk = PrivateKey.load(member.files.key(KeyRole.PERSONNEL))
        credential = issue_credential(officer, agency, key.public, self.clock.now_ms(), 12, desk)
        (path.parent / "credential.json").write_bytes(to_json(credential))
        path.write_text(
            f'agency = "{agency}"\nroot = "sha256:{member.files.fingerprint()}"\n'
            f'federation = "../../federation"\ncredential = "credential.json"\n'
            f'officer_key = "officer.pem"\nbroker = "{self._broker_id()}"\n'
            f'broker_root = "sha256:{self._operator().files.fingerprint()}"\n'
            f'[tls]\ncertificate = "../../tls/client-{name}.crt"\n'
            f'key = "../../tls/client-{name}.pem"\n'
        )
