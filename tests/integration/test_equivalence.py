"""Generated queries: home node, broker, owner's node and `agreement ask` decide alike.

What the broker or the home node refuses the owner's node refuses too, and the
owner's node decides as the pure functions behind `accord agreement ask` do.
"""

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from accord.agreements.choice import relying
from accord.agreements.decide import decide
from accord.agreements.decision import Decision
from accord.agreements.law.packs import built_in_law
from accord.agreements.templates import MOA_ATTESTATIONS
from accord.client import Question
from accord.clock import new_query_id
from accord.codec import encode_query, envelope_to_bytes
from accord.codec_answer import decode_answer
from accord.envelope import QUERY, Envelope, add_signature, sign
from accord.errors import Refused
from accord.federation import Federation as FederationFiles
from accord.federation_watch import FederationWatch
from accord.identity import KeyRole, PeerRole, SpiffeId
from accord.keys import PrivateKey
from accord.model import (
    Approval,
    ApprovalKind,
    AreaBox,
    AreaCircle,
    AreaPolygon,
    ExactPlate,
    HitsOf,
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
from accord.roster import read_credential
from broker.config import load_config
from broker.routing import route
from node.answer import answer
from node.countersign import countersign
from tests.conftest import PLATE, Federation
from tests.integration.many_agreements import AGENCIES, DAY_MS, PROVISIONS, many_agreements

OFFICERS = ("O-1", "O-2", "O-3")
PURPOSES = ("stolen-vehicle", "wanted-person", "amber-alert", "criminal-investigation")
ROSTER = {"OFFICER_PURPOSE", "OFFICER_UNKNOWN", "TRAINING_LAPSED"}
DECLARED = (*MOA_ATTESTATIONS, "law-il-declaration")
OPERATOR = "exchange"
OFTEN = {"county": 2, "port": 2, "city": 8, "harbor": 8, "dale": 6}
HELD = {"provided": 8, "court": 5, "city-harbor": 3, "child": 4, "region": 4}
WIRE_CODES = {
    "", "AGENCY_NOT_ELIGIBLE", "AGREEMENT_INVALID", "ATTESTATION_REQUIRED", "CASE_NUMBER_REQUIRED",
    "DIRECTION_NOT_AGREED", "HEAD_STALE", "LAW_FORBIDS", "OFFICER_PURPOSE", "ONWARD_SHARING",
    "PLATES_NOT_AGREED", "PURPOSE_PROHIBITED", "REASON_REQUIRED", "TRAINING_LAPSED",
}  # fmt: skip
CODES = WIRE_CODES | {
    "AGREEMENT_EXPIRED", "AGREEMENT_SUSPENDED", "APPROVAL_REQUIRED", "EXPORT_NOT_AGREED",
    "KIND_NOT_AGREED", "LOCAL_POLICY", "LOOK_BACK_EXCEEDED", "NO_AGREEMENT", "OFFENCE_NOT_AGREED",
    "OFFICER_NOT_ELIGIBLE", "OPERATOR_NOT_AGREED", "PURPOSE_NOT_AGREED", "PURPOSE_UNKNOWN",
    "ROW_LIMIT_EXCEEDED",
}  # fmt: skip
# Of the two reads that each node holds one lies outside of the territory of these.
TERRITORIES = {"provided", "frame", "child"}
STRANGERS = ({"county", "port"}, {"county", "dale"}, {"dale", "port"})
PAIRS = [(a, b) for a in AGENCIES for b in AGENCIES if a != b and {a, b} not in STRANGERS]
ASKING = [("harbor", "O-1"), ("harbor", "O-2"), ("harbor", "O-3"),
          ("city", "O-1"), ("port", "O-1"), ("dale", "O-1")]  # fmt: skip
IN_PROCESS, OVER_THE_WIRE, BATCH = 10_000, 1_000, 200
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
    PlateList(tuple(ExactPlate(f"9TST00{number}") for number in range(4))),
    HitsOf(ExactPlate(PLATE, "CA")),
    HotListPlate(PLATE, "CA"),
    PhotoOf(b"r" * 16),
)


@dataclass
class Chance:
    """Draws questions, good and bad, from a seed that a failure prints."""

    random: random.Random
    now_ms: int

    def officer(self) -> str:
        return self.random.choices(OFFICERS, (8, 2, 2))[0]

    def pair(self) -> tuple[str, str]:
        """Draw a requester and an owner; those with many texts between them more often."""
        return self.random.choices(PAIRS, [min(map(OFTEN.__getitem__, pair)) for pair in PAIRS])[0]

    def question(self) -> dict[str, Any]:
        """Return a question that most texts allow, or one that is spoilt in a few things."""
        pick = self.random.choice
        day = datetime.fromtimestamp(self.now_ms / 1000, UTC).date() - timedelta(days=1)
        fitting: dict[str, Any] = {
            "purpose": pick(PURPOSES),
            "case_number": "T-1",
            "reason": "test",
            "on_behalf_of": "",
            "attestations": pick((MOA_ATTESTATIONS, DECLARED)),
            "offence": pick(("robbery", "homicide")),
            "approval": Approval(ApprovalKind.COURT, "Example Court", "C-1", day.isoformat()),
            "export": False,
            "selector": pick(SELECTORS),
            "window": self._back(pick((1, 9, 11, 20, 29))),
            "row_limit": pick((1, 20, 500)),
        }
        supervisor = Approval(ApprovalKind.SUPERVISOR, "O-9", "S-1", day.isoformat())
        old, ahead = ((day + timedelta(days=days)).isoformat() for days in (-40, 9))
        spoilt: dict[str, Callable[[], Any]] = {
            "purpose": lambda: pick([*Purpose, "Stolen-Vehicle", ""]),
            "case_number": lambda: pick(("", " . ")),
            "reason": lambda: pick(("", " ")),
            "on_behalf_of": lambda: pick(AGENCIES),
            "attestations": lambda: pick((MOA_ATTESTATIONS[:1], ())),
            "offence": lambda: pick(("", "arson")),
            "approval": lambda: pick(
                (None, supervisor, *(replace(supervisor, given_on=day) for day in (old, ahead)))
            ),
            "export": lambda: True,
            "selector": lambda: pick(SELECTORS),
            "window": lambda: self._back(pick((31, 120, 364, 366, 700))),
            "row_limit": lambda: pick((21, 501, 1000)),
        }
        # What one text alone asks for is spoilt more often.
        keys = [*sorted(spoilt), "approval", "export", "offence"]
        for key in self.random.sample(keys, pick((0, 0, 1, 1, 1, 2, 4))):
            fitting[key] = spoilt[key]()
        # Some texts let an answer leave the client with a case number alone.
        if fitting["export"] and self.random.random() < 0.4:
            fitting["case_number"] = ""
        return fitting

    def _back(self, days: int) -> Window:
        return Window(self.now_ms - days * DAY_MS, self.now_ms)


def chosen(here: FederationFiles, query: Query, now_ms: int) -> Query:
    """Return the query with the agreement that a client with these files relies on."""
    relied, _ = relying(
        query,
        here.between(query.requesting_agency, query.audience),
        now_ms,
        requester=here.agencies[query.requesting_agency],
        owner=here.agencies.get(query.audience),
        law=built_in_law(),
        via=OPERATOR,
    )
    return relied


def as_ask_does(federation: Federation, query: Query, *, before: bool = False) -> Decision:
    """Decide as `accord agreement ask --policy` does, on the owner's own folder.

    Or as a gate ``before`` the owner, on the requester's folder: that knows neither
    the owner's policy nor what the owner's counsel has signed of the law.
    """
    here = federation.nodes[query.requesting_agency if before else query.audience].context
    held, now = here.federation.agreements.get(query.agreement_digest), federation.clock.now_ms()
    facts: dict[str, Any] = {
        "requester": here.federation.agencies[query.requesting_agency],
        "owner": here.federation.agencies.get(query.audience),
        "via": OPERATOR,
    }
    relied, folded = relying(query, [held] if held else [], now, law=built_in_law(), **facts)
    policy, law = (None, built_in_law()) if before else (here.policy, here.law)
    return decide(relied, folded, policy, now, law=law, **facts)


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
        texts = {d: a for d, a in agreements.items() if {requester, owner} <= a.parties}
        if chance.random.random() < 0.1:
            texts = agreements
        weights = [HELD.get(a.manifest.id, 2) for a in texts.values()]
        asked = replace(chance, now_ms=now).question()
        query = Query(
            query_id=new_query_id(self.federation.clock),
            nonce=secrets.token_bytes(16),
            issued_at_ms=now,
            not_after_ms=now + 60_000,
            requesting_agency=requester,
            audience=owner,
            credential=credential,
            agreement_digest=chance.random.choices([*texts, b""], [*weights, 1])[0],
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
        routed = route(whole, client, self.broker.current, federation.clock.now_ms(), OPERATOR)
        node = federation.nodes[query.audience].context
        try:
            said = await answer(node, whole, SpiffeId.parse(next(iter(node.brokers))))
            owner, reads = "", decode_answer(said.payload)[0].reads
        except Refused as refused:
            owner, reads = refused.code.value, ()
        ask = as_ask_does(federation, query)
        held = node.federation.agreements.get(query.agreement_digest)
        return {"home": home, "broker": routed.refused is None, "owner": owner, "reads": len(reads),
                "ask": ask.code.value if ask.code else "", "parent": ask.parent,
                "text": held.manifest.id if held else ""}  # fmt: skip


def met(query: Query, said: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each provision that allowed the query or refused it, and which of the two."""
    text = said["text"]
    codes = {said["owner"], "under the parent" * bool(said["parent"])} - {""}
    if text in ("provided", "city-harbor") and query.row_limit > 1 and said["reads"]:
        yield "a territory", "allowed" if said["reads"] > 1 else "refused"
    for name, rule in PROVISIONS.items():
        if text == rule.allows and not said["owner"] and rule.applies(query):
            yield name, "allowed"
        if text == rule.refuses and rule.code in codes and rule.applies(query):
            yield name, "refused"


async def past_every_gate(base: Path, count: int, least: int, rare: int = 0) -> None:
    """Send so many queries past each gate; each provision allows and refuses ``least`` of them.

    Of provisions and codes so many as are ``rare`` may be met less often.
    """
    seed = secrets.randbits(32)
    chance = Chance(random.Random(seed), 0)
    seen: Counter[str] = Counter()
    provisions: Counter[tuple[str, str]] = Counter()
    async with many_agreements(base) as federation:
        asking = Asking(federation)
        for _ in range(count // BATCH):
            made = [asking.query(chance, *chance.pair()) for _ in range(BATCH)]
            came = await asyncio.gather(*(asking.gates(*one) for one in made))
            for (query, _, _), said in zip(made, came, strict=True):
                told = f"seed {seed}: {said} for {query}"
                assert said["owner"] == said["ask"], told
                if not (said["broker"] and said["home"]):
                    assert said["owner"], told
                if not said["owner"]:
                    assert said["broker"], told
                assert said["reads"] <= 1 or said["text"] not in TERRITORIES, told
                seen[said["owner"]] += 1
                provisions.update(met(query, said))
    few = {(name, way): provisions[name, way] for name in (*PROVISIONS, "a territory")
           for way in ("allowed", "refused") if provisions[name, way] < least}  # fmt: skip
    assert len(few) <= rare, f"seed {seed}: too few to show anything: {few}"
    unmet = {code for code in CODES if seen[code] < least}
    assert len(unmet) <= rare, f"seed {seed}: {unmet}"


async def test_some_queries_past_every_gate(tmp_path: Path) -> None:
    await past_every_gate(tmp_path, IN_PROCESS // 6, 1, rare=9)


@pytest.mark.full
async def test_ten_thousand_queries_past_every_gate(tmp_path: Path) -> None:
    await past_every_gate(tmp_path, IN_PROCESS, 4)


@pytest.mark.parametrize(
    ("times", "rare"),
    [(OVER_THE_WIRE // 4, 4), pytest.param(OVER_THE_WIRE, 0, marks=pytest.mark.full)],
)
async def test_questions_over_the_wire(tmp_path: Path, times: int, rare: int) -> None:
    seed = secrets.randbits(32)
    chance = Chance(random.Random(seed), 0)
    answered, codes = 0, Counter[str]()
    async with many_agreements(tmp_path) as federation:
        for turn, (agency, officer) in enumerate(ASKING):
            toml = federation.files.client_toml(agency, officer)
            credential, _ = read_credential(toml.parent / "credential.json")
            async with federation.client(agency, officer) as client:
                while answered * len(ASKING) < times * (turn + 1):
                    now = federation.clock.now_ms()
                    asked = replace(chance, now_ms=now).question()
                    if isinstance(asked["selector"], PhotoOf):
                        asked["selector"] = HotListPlate(PLATE, "CA")
                    result = await client.ask(Question(**asked))
                    for outcome in result.outcomes:
                        query = Query(
                            query_id=bytes(16), nonce=bytes(16), issued_at_ms=now,
                            not_after_ms=now + 60_000, requesting_agency=agency,
                            audience=outcome.agency, credential=credential,
                            agreement_digest=b"", fields=(), **asked,
                        )  # fmt: skip
                        query = chosen(client.federation, query, now)
                        ask = as_ask_does(federation, query)
                        told = f"seed {seed}: {outcome} for {query}, but {ask}"
                        shown = outcome.kind in (OutcomeKind.ANSWERED, OutcomeKind.TRUNCATED)
                        assert shown is ask.allowed, told
                        # The home node looks at its own roster first.
                        roster = outcome.refused_by == agency and outcome.code in ROSTER
                        if not shown and not roster:
                            if outcome.refused_by != outcome.agency:
                                ask = as_ask_does(federation, query, before=True)
                            assert outcome.code == ask.code, told
                        answered += 1
                        codes[outcome.code] += 1
    assert answered >= times
    unmet = WIRE_CODES - set(codes)
    assert len(unmet) <= rare, f"seed {seed}: not met: {unmet}"
