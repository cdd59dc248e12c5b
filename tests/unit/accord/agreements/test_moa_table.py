"""The memorandum's decisions, row by row, as written by hand in a table for lawyers."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from accord.agreements.effective import Agreement
from accord.agreements.instruments import Details, Instrument, InstrumentKind, ReviewOutcome
from accord.agreements.law.packs import built_in_law
from accord.agreements.manifest_file import Channel
from accord.agreements.manifest_reading import parse_manifest
from accord.agreements.templates import MOA_SECTIONS
from accord.clock import to_ms
from accord.model import (
    AreaBox,
    ExactPlate,
    HotListPlate,
    Kind,
    PhotoOf,
    Purpose,
    Selector,
    WildcardPlate,
    Window,
)
from tests.unit.accord.agreements.conftest import World

TABLE = Path(__file__).parents[3] / "data" / "moa-decisions.txt"
ZONE = ZoneInfo("America/Los_Angeles")
GOOD = datetime(2026, 3, 1, 4, tzinfo=ZONE)
DAY_MS = 86_400_000
LAW = "Example Act, section 4"
SELECTORS: dict[str, Selector] = {
    "plate": ExactPlate("7ABC123"),
    "plate-state": ExactPlate("7ABC123", "CA"),
    "partial": WildcardPlate("7AB*"),
    "area": AreaBox(337_000_000, -1_183_000_000, 338_000_000, -1_182_000_000),
    "hotlist": HotListPlate("7ABC123"),
    "photo": PhotoOf(bytes(16)),
}
K = InstrumentKind


class Case:
    """What one row says, gathered word by word."""

    def __init__(self, given: str) -> None:
        self.query: dict[str, object] = {}
        self.officer: dict[str, object] = {}
        self.terms: dict[str, object] = {}
        self.instruments: list[Instrument] = []
        self.agencies: dict[str, dict[str, str]] = {}
        self.policy, self.one_way, self.unsigned, self.digest = "", "", "", ""
        self.held, self.moment, self.back, self.trained = True, GOOD, 30, 100
        for part in filter(None, (part.strip() for part in given.split("; "))):
            word, _, rest = part.partition(" ")
            getattr(self, "say_" + word.replace("-", "_"))(rest)

    def say_kind(self, text: str) -> None:
        self.query["selector"] = SELECTORS[text]

    def say_agency(self, text: str) -> None:
        name, state, kind = text.split()
        self.agencies[name] = {"state": state, "kind": kind}

    def say_from(self, text: str) -> None:
        self.query["requesting_agency"] = text
        self.officer.setdefault("agency", text)

    def say_of(self, text: str) -> None:
        self.query["audience"] = text

    def say_purpose(self, text: str) -> None:
        self.query["purpose"] = text

    def say_behalf(self, text: str) -> None:
        self.query["on_behalf_of"] = text

    def say_case(self, text: str) -> None:
        self.query["case_number"] = text

    def say_reason(self, text: str) -> None:
        self.query["reason"] = text

    def say_attest(self, text: str) -> None:
        self.query["attestations"] = () if text == "none" else tuple(text.split(","))

    def say_rows(self, text: str) -> None:
        self.query["row_limit"] = int(text)

    def say_back(self, text: str) -> None:
        self.back = int(text)

    def say_officer_of(self, text: str) -> None:
        self.officer["agency"] = text

    def say_standing(self, text: str) -> None:
        self.officer["standing"] = text

    def say_trained(self, text: str) -> None:
        self.trained = int(text)

    def say_trained_on(self, text: str) -> None:
        self.officer["trained_on"] = text

    def say_course(self, text: str) -> None:
        self.officer["course"] = text

    def say_employment(self, text: str) -> None:
        self.officer["employment"] = text

    def say_may(self, text: str) -> None:
        self.officer["purposes"] = tuple(filter(None, text.split(",")))

    def say_credential_until(self, text: str) -> None:
        self.officer["not_after_ms"] = to_ms(GOOD) + int(text) * 1000

    def say_credential_from(self, text: str) -> None:
        self.officer["issued_at_ms"] = to_ms(GOOD) + int(text) * 1000

    def say_terms(self, text: str) -> None:
        for pair in text.split():
            name, _, value = pair.partition("=")
            listed = name in ("kinds", "purposes")
            self.terms[name] = [value] if listed else int(value) if value.isdigit() else value

    def say_one_way(self, text: str) -> None:
        owner, _, requester = text.partition(" to ")
        self.one_way = f'"one-way"\nowner = "{owner}"\nrequester = "{requester}"'

    def say_policy(self, text: str) -> None:
        self.policy = text

    def say_unsigned(self, text: str) -> None:
        self.unsigned = text

    def say_digest(self, text: str) -> None:
        self.held = self.held and text != "unheld"
        self.digest = text if text != "unheld" else self.digest

    def say_at(self, text: str) -> None:
        self.moment = datetime.fromisoformat(text).replace(tzinfo=ZONE)

    def say_notice(self, text: str) -> None:
        words = text.split()
        party = words[words.index("by") + 1] if "by" in words else "city"
        what, kind, signed, said = words[0], K.DISPUTE, "2026-02-20", Details(reason="x")
        if what.startswith("terminate"):
            kind, signed, last = K.TERMINATION, words[1], date.fromisoformat(words[3])
            said = replace(notice(what, date.fromisoformat(signed)), last_day=last)
        elif what == "not-extend":
            kind, signed = K.NON_EXTENSION, words[1]
            said = notice(what, date.fromisoformat(signed))
        elif what == "together":
            kind, said = K.MUTUAL_TERMINATION, Details(last_day=date.fromisoformat(words[1]))
        elif what == "suspend":
            kind, signed = K.SUSPENSION, words[1]
        elif what == "resume":
            kind, signed, said = K.RESUMPTION, words[1], Details(of=1)
        elif what == "law":
            kind, said = K.SUPERSEDED_BY_LAW, taken(words[1], citation=LAW)
        elif what == "law-impairs":
            kind = K.SUPERSEDED_BY_LAW
            said = taken(words[1], citation=LAW, impairs_essential_purpose=True)
        elif what == "interim":
            until = date.fromisoformat(words[3])
            kind, signed = K.INTERIM_DECISION, "2026-02-24"
            said = taken(words[1], decided_by="Commander", until=until)
        elif what == "review":
            kind, signed = K.REVIEW, "2026-02-25"
            said = Details(reason="x", of=1, outcome=ReviewOutcome(words[1]))
        else:
            assert what == "dispute", what
        number = sum(one.party == party for one in self.instruments) + 1
        moment = datetime.fromisoformat(signed).replace(hour=9, tzinfo=ZONE)
        self.instruments.append(Instrument(party, number, kind, "n", "c", to_ms(moment), said))


def notice(what: str, day: date) -> Details:
    sent = {Channel.CERTIFIED_MAIL: day, Channel.FACSIMILE: day}
    if what == "terminate-by-mail-alone":
        del sent[Channel.FACSIMILE]
    if what == "terminate-by-fax-alone":
        del sent[Channel.CERTIFIED_MAIL]
    return Details(sent=sent, received_on=None if what == "terminate-not-received" else day)


def taken(what: str, **said: object) -> Details:
    details = Details(reason="x", **said)  # type: ignore[arg-type]
    if what in list(Kind):
        return replace(details, kinds=frozenset({Kind(what)}))
    if what in list(Purpose):
        return replace(details, purposes=frozenset({what}))
    assert what in ("everything", "nothing"), what
    return replace(details, all=what == "everything")


def rows() -> list[tuple[str, str, str]]:
    found = []
    for line in TABLE.read_text().splitlines():
        if line and not line.startswith("#"):
            outcome, section, given = (part.strip() for part in line.split("|"))
            found.append((outcome, section, given))
    return found


def agreement_of(world, case: Case) -> Agreement:
    text = world.text(**case.terms).decode()
    if case.one_way:
        text = text.replace('direction = "both"', f"direction = {case.one_way}")
    manifest = parse_manifest(text.encode(), "x")
    signers = [p.id for p in manifest.parties if p.id != case.unsigned]
    parts = tuple(world.counterpart(manifest, signer) for signer in signers)
    return Agreement(manifest, parts, instruments=tuple(case.instruments))


@pytest.mark.parametrize(("outcome", "section", "given"), rows(), ids=[r[2] or "-" for r in rows()])
def test_the_memorandum_decides(world, outcome: str, section: str, given: str) -> None:
    case = Case(given)
    facts = {n: replace(world.agencies[n], **said) for n, said in case.agencies.items()}
    world = World(world.keys, world.agencies | facts)
    agreement, at_ms = agreement_of(world, case), to_ms(case.moment)
    officer: dict[str, object] = {
        "trained_on": (case.moment.date() - timedelta(days=case.trained)).isoformat(),
        "issued_at_ms": at_ms - 3_600_000,
        "not_after_ms": at_ms + 3_600_000,
        "purposes": tuple(p.value for p in Purpose),
    }
    query = world.query(
        agreement,
        officer=officer | case.officer,
        **({"window": Window(at_ms - case.back * DAY_MS, at_ms)} | case.query),
    )
    if case.digest:
        query = replace(query, agreement_digest=bytes(32) if case.digest == "other" else b"")
    held = agreement if case.held else None
    # The harbor's policy is of no use where the city is asked, nor for strangers to it.
    ask: Callable[[str | None], object] = lambda policy: world.ask(query, held, policy, at_ms)  # noqa: E731
    decision = ask(case.policy if query.audience == "harbor" else None)
    assert ("yes" if decision.allowed else decision.code.value, decision.section) == (
        outcome,
        section,
    )
    without_policy = ask(None)
    if outcome == "LOCAL_POLICY":
        assert without_policy.allowed
    else:
        assert (without_policy.code, without_policy.section) == (decision.code, decision.section)


def test_the_table_is_long_and_says_nothing_twice() -> None:
    found = rows()
    assert len(found) >= 200
    assert len({given for *_, given in found}) == len(found)
    assert len({outcome for outcome, *_ in found}) >= 20
    # Each row names a section of the memorandum, or the law that stands above it.
    law = {rule.citation for pack in built_in_law().packs for rule in pack.rules}
    for outcome, section, given in found:
        assert section in {*MOA_SECTIONS, "MOA II.A", LAW} | law, f"{outcome} | {given}"
