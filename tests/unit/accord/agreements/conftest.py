"""Two agencies with throwaway keys, an agreement between them, and one good query."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from accord.agencies import Agency
from accord.agreements.counterparts import Counterpart, sign_counterpart, verify_counterpart
from accord.agreements.decide import decide
from accord.agreements.decision import Decision
from accord.agreements.effective import Agreement, effective
from accord.agreements.law.packs import built_in_law
from accord.agreements.law.rules import Law
from accord.agreements.manifest import Manifest, Party
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.policy import parse_policy
from accord.agreements.templates import MOA_ATTESTATIONS, template_moa
from accord.clock import to_ms
from accord.keys import PrivateKey
from accord.model import Credential, ExactPlate, Field, Query, Window

NOW_MS = to_ms(datetime(2026, 3, 1, 12, tzinfo=UTC))
SIGNED_MS = to_ms(datetime(2025, 6, 1, 18, tzinfo=UTC))
DAY_MS = 86_400_000

POLICY = """\
format = "accord-policy/1"
agency = "harbor"
version = 1
[own]
purposes = ["stolen-vehicle", "hit-and-run"]
look_back_days = 700
row_limit = 1000
training_within_days = 365
[[partner]]
agency = "city"
{narrowing}
[withhold]
plates = ["7ZZZ 999"]
cameras = ["LOT-7"]
[retention]
reads_days = 60
photos_days = 30
hot_list_days = 7
"""


@dataclass
class World:
    """Everything a test of the agreements starts from."""

    keys: dict[str, PrivateKey] = field(default_factory=dict)
    agencies: dict[str, Agency] = field(default_factory=dict)

    def add(self, name: str, kind: str = "police", state: str = "CA") -> None:
        key = PrivateKey.generate()
        self.keys[name] = key
        self.agencies[name] = Agency(
            id=name,
            number=1,
            name=name.title(),
            kind=kind,
            state=state,
            contact=f"alpr@{name}.example",
            root=PrivateKey.generate().public.keyid,
            cas=(),
            keys={"counsel": (key.public,)},
            endpoints=(),
            payload_versions=("query.v1",),
            issued_at_ms=0,
            expires_at_ms=1 << 50,
            revoked=frozenset(),
        )

    def where(self, **facts: str) -> "World":
        """Return a world in which agencies are of another state and kind, such as "NV police"."""
        changed = dict(self.agencies)
        for name, what in facts.items():
            state, kind = what.split()
            changed[name] = replace(changed[name], state=state, kind=kind)
        return World(self.keys, changed)

    def party(self, name: str) -> Party:
        agency = self.agencies[name]
        # No text can name an operator: what is asked of one is refused all the same.
        kind = "police" if agency.kind == "operator" else agency.kind
        return Party(name, agency.name, agency.root, agency.contact, kind, agency.state)

    def text(self, *parties: str, **options: object) -> bytes:
        names = parties or ("city", "harbor")
        return template_moa(
            "city-harbor",
            "Sharing between City and Harbor",
            [self.party(name) for name in names],
            **options,  # type: ignore[arg-type]
        )

    def manifest(self, *parties: str, **options: object) -> Manifest:
        return parse_manifest(self.text(*parties, **options), "agreement.toml")

    def counterpart(self, manifest: Manifest, party: str, at_ms: int = SIGNED_MS) -> Counterpart:
        data = self.sign(manifest, party, at_ms)
        return verify_counterpart(data, manifest, self.agencies[party])

    def sign(self, manifest: Manifest, party: str, at_ms: int = SIGNED_MS) -> bytes:
        key = self.keys[party]
        return sign_counterpart(manifest, party, "Jane Roe", "General Counsel", at_ms, key)

    def agreement(self, manifest: Manifest | None = None, **options: object) -> Agreement:
        manifest = manifest or self.manifest(**options)
        return Agreement(
            manifest, tuple(self.counterpart(manifest, party.id) for party in manifest.parties)
        )

    def query(
        self,
        agreement: Agreement | None,
        *,
        officer: dict[str, object] | None = None,
        **changes: object,
    ) -> Query:
        """A good query of the city to the harbor, changed as told."""
        trained = datetime.fromtimestamp(NOW_MS / 1000, UTC) - timedelta(days=100)
        credential = Credential(
            agency="city",
            officer="o-17",
            name="Sam Poe",
            role="detective",
            public_key=b"",
            issued_at_ms=NOW_MS - 3_600_000,
            not_after_ms=NOW_MS + 3_600_000,
            trained_on=trained.date().isoformat(),
            standing="good",
            purposes=("stolen-vehicle", "wanted-person", "hit-and-run", "missing-person"),
        )
        query = Query(
            query_id=bytes(16),
            nonce=bytes(16),
            issued_at_ms=NOW_MS,
            not_after_ms=NOW_MS + 60_000,
            requesting_agency="city",
            audience="harbor",
            credential=replace(credential, **(officer or {})),  # type: ignore[arg-type]
            purpose="stolen-vehicle",
            case_number="26-001234",
            reason="stolen car seen near the port",
            on_behalf_of="",
            agreement_digest=agreement.manifest.digest if agreement else b"",
            selector=ExactPlate("7ABC123"),
            window=Window(NOW_MS - 30 * DAY_MS, NOW_MS),
            fields=tuple(Field),
            row_limit=100,
            attestations=MOA_ATTESTATIONS,
        )
        return replace(query, **changes)  # type: ignore[arg-type]

    def ask(
        self,
        query: Query,
        agreement: Agreement | None,
        policy: str | None = "",
        at_ms: int = NOW_MS,
        requester: str = "",
        law: Law | None = None,
    ) -> Decision:
        """Decide; ``policy`` holds the keys that narrow the partner's rule, None: unknown."""
        folded = None
        if agreement is not None:
            folded = effective(agreement, query.requesting_agency, query.audience, at_ms)
        parsed = None
        if policy is not None:
            text = policy if "format" in policy else POLICY.format(narrowing=policy)
            parsed = parse_policy(text.encode(), "policy.toml")
        agency = self.agencies[requester or query.requesting_agency]
        owner = self.agencies.get(query.audience)
        return decide(
            query, folded, parsed, at_ms, requester=agency, owner=owner, law=law or built_in_law()
        )

    def decide_as(self, query: Query, agreement: Agreement, agency: Agency, via: str) -> Decision:
        """Decide without the owner's policy, for a requester with these facts."""
        folded = effective(agreement, query.requesting_agency, query.audience, NOW_MS)
        owner, law = self.agencies[query.audience], built_in_law()
        return decide(query, folded, None, NOW_MS, requester=agency, owner=owner, law=law, via=via)


@pytest.fixture(scope="session")
def world() -> World:
    made = World()
    for name in ("city", "harbor", "county", "ports"):
        made.add(name)
    made.add("hub", kind="operator")
    return made
