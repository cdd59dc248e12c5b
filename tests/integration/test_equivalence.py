"""Generated queries: home node, broker, owner's node and `agreement ask` decide alike.

What the broker or the home node refuses the owner's node refuses too, and the
owner's node decides as the pure functions behind `accord agreement ask` do.
"""

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from accord.agreements.choice import relying
from accord.agreements.decide import decide
from accord.agreements.decision import Decision
from accord.agreements.instrument_payload import sign_instrument
from accord.agreements.instruments import (
    Details,
    Instrument,
    InstrumentKind,
    file_name,
)
from accord.agreements.law.packs import built_in_law
from accord.agreements.law.updates import sign_update
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.templates import MOA_ATTESTATIONS
from accord.client import Question
from accord.clock import SystemClock, new_query_id
from accord.codec import encode_query, envelope_to_bytes
from accord.envelope import QUERY, Envelope, add_signature, sign
from accord.errors import Refused
from accord.federation_watch import FederationWatch
from accord.identity import KeyRole, PeerRole, SpiffeId
from accord.keys import PrivateKey
from accord.model import (
    AreaBox,
    AreaCircle,
    AreaPolygon,
    ExactPlate,
    HotListPlate,
    LookAlikePlate,
    OutcomeKind,
    PhotoOf,
    PlateList,
    Purpose,
    Query,
    WildcardPlate,
    Window,
)
from accord.roster import Officer, read_credential
from accord.testing import FederationSimulator
from broker.config import load_config
from broker.routing import route
from node.answer import answer
from node.countersign import countersign
from tests.conftest import HOUR_MS, PLATE, Federation, make_files, running

DAY_MS = 24 * HOUR_MS
AGENCIES = ("city", "county", "harbor")
OFFICERS = ("O-1", "O-2", "O-3")
ROSTER = {"OFFICER_PURPOSE", "OFFICER_UNKNOWN", "TRAINING_LAPSED"}
DECLARED = (*MOA_ATTESTATIONS, "law-il-declaration")
UPDATE = b"""\
format = "accord-law/1"
id = "city-news"
number = 1
title = "News"
applies_to = "CA"
[[rules]]
id = "no-amber-alert"
kind = "permitted-purposes"
state = "enforced"
binds = "owner"
citation = "Example Act, section 7"
confidence = "high"
from = 2026-01-01
says = "Only for stolen vehicles and wanted persons."
purposes = ["stolen-vehicle", "wanted-person"]
"""
IN_PROCESS, OVER_THE_WIRE = 10_000, 1_000
SELECTORS = (
    ExactPlate(PLATE, "CA"),
    ExactPlate("9TST404"),
    WildcardPlate("9TS*", ""),
    AreaBox(337_200_000, -1_182_800_000, 337_600_000, -1_182_400_000),
    AreaCircle(337_500_000, -1_182_600_000, 400),
    AreaPolygon(
        (
            (337_300_000, -1_182_800_000),
            (337_700_000, -1_182_800_000),
            (337_500_000, -1_182_400_000),
        )
    ),
    LookAlikePlate("9TST0O1", "CA"),
    PlateList((ExactPlate("9TST000"), ExactPlate(PLATE, "CA"))),
    HotListPlate(PLATE, "CA"),
    PhotoOf(b"r" * 16),
)


def suspended(files: FederationSimulator, folder: Path, party: str, details: Details) -> None:
    file = folder / "agreement.toml"
    manifest = parse_manifest(file.read_bytes(), file)
    kind = InstrumentKind.SUPERSEDED_BY_LAW if details.citation else InstrumentKind.SUSPENSION
    one = Instrument(party, 1, kind, "n", "c", files.clock.now_ms() - 1000, details)
    key = PrivateKey.load(files.members[party].files.key(KeyRole.COUNSEL))
    (folder / "instruments").mkdir()
    (folder / "instruments" / file_name(party, 1)).write_bytes(sign_instrument(manifest, one, key))


@asynccontextmanager
async def many_agreements(base: Path) -> AsyncIterator[Federation]:
    """Run three nodes between which lie agreements of every standing."""
    clock = SystemClock()
    files = make_files(base, clock, states={"county": "IL"})
    now = clock.now_ms()
    recent = {"signed_at_ms": now - HOUR_MS}
    files.add_agreement(
        "newer", ("city", "harbor"), purposes=["amber-alert"], row_limit=20, **recent
    )
    files.add_agreement("lapsed", ("city", "county"), signed_at_ms=now - 1200 * DAY_MS)
    files.add_agreement("unsigned", ("city", "county"), signed_by=("city",))
    law = files.add_agreement("by-law", ("county", "harbor"), look_back_days=30, **recent)
    gone = Details(citation="Example Act", reason="x", purposes=frozenset({"wanted-person"}))
    suspended(files, law, "county", gone)
    files.add_officer(
        "harbor", Officer("O-3", "Officer Few", "officer", "good", "2026-09-01",
                          frozenset({"stolen-vehicle"})),
    )  # fmt: skip
    files.build()
    update = files.folder("city") / "federation" / "law"
    update.mkdir()
    (update / "city-news.toml").write_bytes(UPDATE)
    key = PrivateKey.load(files.members["city"].files.key(KeyRole.COUNSEL))
    (update / "city-news.sig").write_bytes(sign_update(UPDATE, "x", key))
    async with running(files) as federation:
        yield federation


@dataclass
class Chance:
    """Draws questions, good and bad, from a seed that a failure prints."""

    random: random.Random
    now_ms: int

    def officer(self) -> str:
        return self.random.choices(OFFICERS, (8, 1, 2))[0]

    def question(self) -> dict[str, Any]:
        pick = self.random.choice
        good = self.random.random() < 0.5
        back = pick((1, 20, 29, 31, 364) if good else (1, 31, 364, 366, 700))
        return {
            "purpose": pick(("stolen-vehicle", "wanted-person", "amber-alert"))
            if good
            else pick([*Purpose, "Stolen-Vehicle", ""]),
            "case_number": "T-1" if good else pick(("T-1", "", " . ")),
            "reason": "test" if good else pick(("test", "", " ")),
            "on_behalf_of": "" if good else pick(("", "", *AGENCIES)),
            "attestations": pick((MOA_ATTESTATIONS, DECLARED))
            if good
            else pick((MOA_ATTESTATIONS, DECLARED, MOA_ATTESTATIONS[:1], ())),
            "selector": pick(SELECTORS),
            "window": Window(self.now_ms - back * DAY_MS, self.now_ms),
            "row_limit": pick((1, 20, 500) if good else (1, 21, 501, 1000)),
        }


def as_ask_does(
    federation: Federation, query: Query, owner: str, *, choose: bool, before: bool = False
) -> Decision:
    """Decide as `accord agreement ask --policy` does, on the owner's own folder.

    Or as a gate ``before`` the owner, which knows neither the owner's policy nor
    what the owner's counsel has signed of the law.
    """
    context = federation.nodes[owner].context
    requester = context.federation.agencies[query.requesting_agency]
    facts: dict[str, Any] = {
        "requester": requester,
        "owner": context.federation.agencies.get(owner),
    }
    held = context.federation.between(query.requesting_agency, owner) or tuple(
        a
        for a in context.federation.agreements.values()
        if {query.requesting_agency, owner} <= a.parties
    )
    now = federation.clock.now_ms()
    if not choose:
        held = tuple(a for a in held if a.manifest.digest == query.agreement_digest)
    relied, folded = relying(query, held, now, law=built_in_law(), **facts)
    if before:
        return decide(relied, folded, None, now, law=built_in_law(), **facts)
    return decide(relied, folded, context.policy, now, law=context.law, **facts)


class Asking:
    """Signs queries of every officer as clients do, and sends them past each gate."""

    def __init__(self, federation: Federation) -> None:
        self.federation = federation
        files = federation.files
        config = load_config(files.folder("exchange") / "broker.toml")
        self.broker = FederationWatch(config.federation, config.roots)
        self.officers = {}
        for agency, officer in [(a, "O-1") for a in AGENCIES] + [("harbor", o) for o in OFFICERS]:
            folder = files.client_toml(agency, officer).parent
            read = read_credential(folder / "credential.json")
            self.officers[agency, officer] = (*read, PrivateKey.load(folder / "officer.pem"))
        self.homes = {
            a: PrivateKey.load(files.members[a].files.key(KeyRole.NODE)) for a in AGENCIES
        }

    def query(self, chance: Chance, requester: str, owner: str) -> tuple[Query, Envelope, Envelope]:
        """Return a query, its officer's envelope, and the credential's."""
        officer = chance.officer() if requester == "harbor" else "O-1"
        credential, envelope, key = self.officers[requester, officer]
        now = self.federation.clock.now_ms()
        agreements = self.federation.nodes[owner].context.federation.agreements
        digests = [d for d, a in agreements.items() if {requester, owner} <= a.parties]
        asked = replace(chance, now_ms=now).question()
        query = Query(
            query_id=new_query_id(self.federation.clock),
            nonce=secrets.token_bytes(16),
            issued_at_ms=now,
            not_after_ms=now + 60_000,
            requesting_agency=requester,
            audience=owner,
            credential=credential,
            agreement_digest=chance.random.choice([*digests, *digests, *digests, b""]),
            fields=(),
            **asked,
        )
        payload = encode_query(query, envelope_to_bytes(envelope))
        return query, sign(QUERY, payload, key), envelope

    async def gates(self, query: Query, signed: Envelope, credential: Envelope) -> dict[str, Any]:
        """Return what home node, broker and owner say, and what `ask` says."""
        federation, requester = self.federation, query.requesting_agency
        client = SpiffeId(requester, PeerRole.CLIENT, "x")
        said = await countersign(federation.nodes[requester].context, credential, signed, client)
        home = not isinstance(said, Envelope)
        # An owner must hold against a home node that signs whatever it is given.
        whole = add_signature(
            signed, sign(QUERY, signed.payload, self.homes[requester]).signatures[0]
        )
        routed = route(whole, client, self.broker.current, federation.clock.now_ms(), "exchange")
        node = federation.nodes[query.audience].context
        try:
            await answer(node, whole, SpiffeId.parse(next(iter(node.brokers))))
            owner = ""
        except Refused as refused:
            owner = refused.code.value
        ask = as_ask_does(federation, query, query.audience, choose=False)
        return {"home": home, "broker": routed.refused is None, "owner": owner,
                "ask": ask.code.value if ask.code else ""}  # fmt: skip


@pytest.mark.full
async def test_ten_thousand_queries_past_every_gate(tmp_path: Path) -> None:
    seed = secrets.randbits(32)
    chance = Chance(random.Random(seed), 0)
    pairs = [(a, b) for a in AGENCIES for b in AGENCIES if a != b]
    seen: Counter[str] = Counter()
    async with many_agreements(tmp_path) as federation:
        asking = Asking(federation)
        for _ in range(IN_PROCESS // 50):
            made = [asking.query(chance, *chance.random.choice(pairs)) for _ in range(50)]
            came = await asyncio.gather(*(asking.gates(*one) for one in made))
            for (query, _, _), said in zip(made, came, strict=True):
                told = f"seed {seed}: {said} for {query}"
                assert said["owner"] == said["ask"], told
                if not (said["broker"] and said["home"]):
                    assert said["owner"], told
                if not said["owner"]:
                    assert said["broker"], told
                seen[said["owner"]] += 1
    assert seen[""] > IN_PROCESS // 50
    assert seen["LAW_FORBIDS"] > IN_PROCESS // 50
    assert len(seen) > 12, seen


@pytest.mark.full
async def test_a_thousand_questions_over_the_wire(tmp_path: Path) -> None:
    seed = secrets.randbits(32)
    chance = Chance(random.Random(seed), 0)
    answered = 0
    async with many_agreements(tmp_path) as federation:
        for officer in OFFICERS:
            async with federation.client("harbor", officer) as client:
                for _ in range(OVER_THE_WIRE // 2 // len(OFFICERS) + 1):
                    now = federation.clock.now_ms()
                    asked = replace(chance, now_ms=now).question()
                    if isinstance(asked["selector"], PhotoOf):
                        asked["selector"] = HotListPlate(PLATE, "CA")
                    result = await client.ask(Question(**asked))
                    credential, _ = read_credential(
                        federation.files.client_toml("harbor", officer).parent / "credential.json"
                    )
                    for outcome in result.outcomes:
                        query = Query(
                            query_id=bytes(16), nonce=bytes(16), issued_at_ms=now,
                            not_after_ms=now + 60_000, requesting_agency="harbor",
                            audience=outcome.agency, credential=credential,
                            agreement_digest=b"", fields=(), **asked,
                        )  # fmt: skip
                        ask = as_ask_does(federation, query, outcome.agency, choose=True)
                        told = f"seed {seed}: {outcome} for {query}, but {ask}"
                        shown = outcome.kind in (OutcomeKind.ANSWERED, OutcomeKind.TRUNCATED)
                        assert shown is ask.allowed, told
                        # The home node looks at its own roster first.
                        roster = outcome.refused_by == "harbor" and outcome.code in ROSTER
                        if not shown and not roster:
                            if outcome.refused_by != outcome.agency:
                                ask = as_ask_does(
                                    federation, query, outcome.agency, choose=True, before=True
                                )
                            assert outcome.code == ask.code, told
                        answered += 1
    assert answered >= OVER_THE_WIRE
