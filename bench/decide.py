"""``python -m bench.decide``: how long a decision takes with 1,000 agreements loaded.

    decide    the agreement found by its digest, folded for the pair, decided with the policy
    choose    the same before it: the agreements between the two found, and the one relied on

One agency has an agreement with each of a thousand others; every question is
another agency's. Signatures and the wire are not in it (``make bench``). The
figures join build/bench.json.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

from accord.agencies import Agency
from accord.agreements.choice import relying
from accord.agreements.counterparts import Counterpart
from accord.agreements.decide import decide
from accord.agreements.decision import Decision
from accord.agreements.effective import Agreement, effective
from accord.agreements.law.packs import built_in_law
from accord.agreements.manifest import Party
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.policy import Policy, parse_policy
from accord.agreements.reading import DAY_MS
from accord.agreements.templates import MOA_ATTESTATIONS, template_moa
from accord.clock import SystemClock, to_datetime
from accord.federation import Federation
from accord.model import Credential, ExactPlate, Field, Query, Window
from bench.run import RESULT

AGREEMENTS = 1_000
QUESTIONS = 20_000
GOAL_US = 50.0
OWNER = "city"


class Setting:
    """A federation in memory, the owner's policy, and one question per partner."""

    def __init__(self, at_ms: int) -> None:
        self.at_ms = at_ms
        self.law = built_in_law()
        names = [f"agency-{number:04d}" for number in range(AGREEMENTS)]
        agencies = {name: self._agency(number, name) for number, name in enumerate([OWNER, *names])}
        made = [self._agreement(agencies[OWNER], agencies[name]) for name in names]
        self.federation = Federation(agencies, {one.manifest.digest: one for one in made})
        self.policy = self._policy(names)
        self.questions = [
            self._question(name, one.manifest.digest) for name, one in zip(names, made, strict=True)
        ]

    def _agency(self, number: int, name: str) -> Agency:
        return Agency(
            id=name, number=1, name=name, kind="police", state="CA", contact="x",
            root=f"{number:064x}", cas=(), keys={}, endpoints=(), payload_versions=("query.v1",),
            issued_at_ms=0, expires_at_ms=1 << 50, revoked=frozenset(),
        )  # fmt: skip

    def _agreement(self, owner: Agency, other: Agency) -> Agreement:
        parties = [
            Party(one.id, one.name, one.root, "x", one.kind, one.state) for one in (owner, other)
        ]
        data = template_moa(f"{owner.id}-{other.id}", "Sharing", parties)
        signed_ms = self.at_ms - 100 * DAY_MS
        counterparts = [Counterpart(party.id, "A", "B", signed_ms) for party in parties]
        return Agreement(parse_manifest(data, "bench"), tuple(counterparts))

    def _policy(self, names: list[str]) -> Policy:
        partners = "".join(f'[[partner]]\nagency = "{name}"\n' for name in names)
        text = (
            f'format = "accord-policy/1"\nagency = "{OWNER}"\nversion = 1\n{partners}'
            '[own]\npurposes = ["stolen-vehicle"]\nlook_back_days = 365\nrow_limit = 500\n'
            "training_within_days = 730\n"
            "[retention]\nreads_days = 60\nphotos_days = 30\nhot_list_days = 7\n"
        )
        return parse_policy(text.encode(), "bench")

    def _question(self, asks: str, digest: bytes) -> Query:
        at_ms = self.at_ms
        trained = to_datetime(at_ms) - timedelta(days=100)
        officer = Credential(
            agency=asks, officer="o-1", name="A", role="detective", public_key=b"",
            issued_at_ms=at_ms - 1000, not_after_ms=at_ms + DAY_MS,
            trained_on=trained.date().isoformat(), standing="good", purposes=("stolen-vehicle",),
        )  # fmt: skip
        return Query(
            query_id=bytes(16), nonce=bytes(16), issued_at_ms=at_ms, not_after_ms=at_ms + 60_000,
            requesting_agency=asks, audience=OWNER, credential=officer, purpose="stolen-vehicle",
            case_number="26-1", reason="stolen vehicle", on_behalf_of="", agreement_digest=digest,
            selector=ExactPlate("0"), window=Window(at_ms - 30 * DAY_MS, at_ms),
            fields=tuple(Field), row_limit=100, attestations=MOA_ATTESTATIONS,
        )  # fmt: skip

    def decide(self, query: Query) -> Decision:
        """Decide as the owner's node does."""
        agencies, asks = self.federation.agencies, query.requesting_agency
        agreement = self.federation.agreements.get(query.agreement_digest)
        folded = effective(agreement, asks, OWNER, self.at_ms) if agreement else None
        return decide(
            query, folded, self.policy, self.at_ms,
            requester=agencies[asks], owner=agencies[OWNER], law=self.law,
        )  # fmt: skip

    def choose(self, query: Query) -> Decision:
        """Choose the agreement as the client does, then decide."""
        agencies, asks = self.federation.agencies, query.requesting_agency
        held = self.federation.between(asks, OWNER)
        chosen, _ = relying(
            replace(query, agreement_digest=b""), held, self.at_ms,
            requester=agencies[asks], owner=agencies[OWNER], law=self.law,
        )  # fmt: skip
        return self.decide(chosen)


def measure(what: Callable[[Query], Decision], questions: list[Query]) -> dict[str, float]:
    """Return microseconds per decision: median, 95th and 99th percentile.

    Raises:
        SystemExit: something was refused, and so not decided to the end.
    """
    times = []
    for query in questions:
        started = time.perf_counter_ns()
        decision = what(query)
        times.append((time.perf_counter_ns() - started) / 1000)
        if not decision.allowed:
            raise SystemExit(f"refused: {decision.reason}")
    cuts = statistics.quantiles(times, n=100)
    figures = {"median_us": statistics.median(times), "p95_us": cuts[94], "p99_us": cuts[98]}
    return {name: round(value, 1) for name, value in figures.items()}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="at least 1,000")
    count = parser.parse_args().questions
    if count < 1_000:
        parser.error("--questions: at least 1,000")
    setting = Setting(SystemClock().now_ms())
    questions = Random(13).choices(setting.questions, k=count)
    for query in setting.questions:
        setting.decide(query)  # each agreement's own figures are computed once, at its first use
    found: dict[str, Any] = {}
    for name, what, asked in (
        ("decide_with_1000_agreements", setting.decide, questions),
        ("choose_with_1000_agreements", setting.choose, questions[: count // 10]),
    ):
        found[name] = measure(what, asked)
        goal = f" (goal: at most {GOAL_US:g})" if name.startswith("decide") else ""
        print(f"{name}: {found[name]['median_us']} us median{goal}, {found[name]}")
    RESULT.parent.mkdir(exist_ok=True)
    before = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    RESULT.write_text(json.dumps(before | found, indent=1) + "\n")
    print(f"Written: {RESULT}")


if __name__ == "__main__":
    main()
