"""Two books that agree; then what is taken out of one or altered in it is found, and only that."""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.audit.books import COMPARED, Book
from accord.audit.export_file import COUNTERPART
from accord.audit.export_lines import Entry, Skip
from accord.audit.fields import GIVEN_AGAIN, NAMES, SAID_BY_BROKER
from accord.audit.findings import REMEDIES, Finding, Kind, Known, by_kind
from accord.audit.reconcile import SKEW_MS, VALID_MS, Reconciled, reconcile
from accord.clock import iso
from accord.errors import Unverified

START_MS = 1_790_000_000_000
HOUR_MS = 3_600_000
SPAN_MS = VALID_MS + 2 * SKEW_MS


@dataclass
class Log:
    """A log as a test writes it: what it says, entry by entry."""

    origin: str
    entries: list[Entry] = field(default_factory=list)

    def add(self, ms: int, kind: str, **fields: str) -> Entry:
        said = {"kind": kind, "time": iso(ms), **fields}
        index = len(self.entries)
        leaf = hashlib.sha256(f"{self.origin} {index} {sorted(said.items())}".encode()).digest()
        self.entries.append(Entry(index, leaf, said, ()))
        return self.entries[-1]

    def book(self) -> Book:
        return Book.of(self.origin, len(self.entries), self.entries)


@dataclass
class World:
    """Two agencies' logs, which agree, and the broker's between them."""

    city: Log = field(default_factory=lambda: Log("city/node"))
    harbor: Log = field(default_factory=lambda: Log("harbor/node"))
    broker: Log = field(default_factory=lambda: Log("exchange/broker"))
    ms: int = START_MS
    asked: int = 0

    def ask(self, what: str, *, by_city: bool = False, later_ms: int = HOUR_MS) -> str:
        """Have one query asked, and return its digest."""
        home, owner = (self.city, self.harbor) if by_city else (self.harbor, self.city)
        self.asked += 1
        digest = f"{self.asked:064x}"
        common = {
            "agency": home.origin.partition("/")[0],
            "audience": owner.origin.partition("/")[0],
            "query_digest": digest,
            "query_id": f"{self.asked:032x}",
            "agreement": "ab" * 32,
            "page": "next" if what == "next page" else "first",
        }
        ms, self.ms = self.ms, self.ms + later_ms
        if what == "refused at home":
            home.add(ms, "refusal", code="ROSTER_STALE", **common)
            return digest
        home.add(ms, "countersign", decision="allowed", **common)
        self.broker.add(ms + 10, "forward", decision="allowed", **common)
        if what == "refused":
            owner.add(ms + 20, "refusal", decision="refused", code="NO_AGREEMENT", **common)
            self.broker.add(ms + 30, "outcome", outcome="refused", code="NO_AGREEMENT", **common)
            home.add(ms + 40, "returned", outcome="refused", code="NO_AGREEMENT", **common)
            return digest
        owner.add(ms + 20, "query", decision="allowed", **common)
        if what == "given up":
            claim = {"outcome": SAID_BY_BROKER, "code": "NODE_TIMED_OUT"}
            home.add(ms + 5000, "returned", **claim, **common)
            return digest
        found = {"count": str(self.asked), "answer_digest": f"{self.asked + 7_000_000:064x}"}
        answer = owner.add(ms + 25, "answer", decision="allowed", **found, **common)
        if what == "given again":
            owner.add(ms + 28, "query", decision=GIVEN_AGAIN, **common)
        self.broker.add(ms + 30, "outcome", outcome="answered", **found, **common)
        receipt = {
            "owner_log": owner.origin,
            "owner_log_index": str(answer.index),
            "owner_leaf": answer.leaf_hash.hex(),
        }
        home.add(ms + 40, "returned", outcome="answered", **found, **receipt, **common)
        return digest

    def also(self) -> None:
        """Have something happen that is none of the other's."""
        self.city.add(self.ms, "start", agency="city")
        self.city.add(
            self.ms, "countersign", agency="city", audience="county", query_digest="c" * 64
        )
        self.harbor.add(self.ms, "query", agency="county", audience="harbor", query_digest="d" * 64)
        self.ms += 1000

    def done(self) -> "World":
        """Go on for so long that nothing is under way."""
        self.ms += HOUR_MS
        self.also()
        return self

    def held(self, **options: Any) -> Reconciled:
        return reconcile(self.city.book(), self.harbor.book(), **options)


SORTS = ("answered", "next page", "given again", "refused", "refused at home", "given up", "also")


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world = World()
    world.ask("answered")
    for what in draw(st.lists(st.sampled_from(SORTS), min_size=1, max_size=8)):
        # Some come close behind one another, or at the same moment.
        later = draw(st.sampled_from((0, 1000, HOUR_MS)))
        if what == "also":
            world.also()
        else:
            world.ask(what, by_city=draw(st.booleans()), later_ms=later)
    return world.done()


def ours(log: Log, *kinds: str) -> list[Entry]:
    """Return the entries that the other book has a side of."""
    return [
        one
        for one in log.entries
        if one.fields["kind"] in kinds and "query_id" in one.fields
        and one.fields.get("decision") != GIVEN_AGAIN
    ]  # fmt: skip


def outcome(world: World, digest: str) -> str:
    for one in (*world.city.entries, *world.harbor.entries):
        if one.fields.get("query_digest") == digest and one.fields["kind"] == "returned":
            return one.fields["outcome"]
    return ""


def told(finding: Finding) -> tuple[Kind, str]:
    return finding.kind, finding.query


@given(worlds())
def test_the_twin_two_books_that_agree(world: World) -> None:
    for found in (world.held(), reconcile(world.harbor.book(), world.city.book())):
        assert (found.findings, found.untold) == ([], [])
        countersigned = sum(len(ours(log, "countersign")) for log in (world.city, world.harbor))
        assert found.agreed == countersigned > 0
    again = [e for log in (world.city, world.harbor) for e in log.entries
             if e.fields.get("decision") == GIVEN_AGAIN]  # fmt: skip
    assert found.again == len(again)


def expected(entry: Entry, came: str) -> Kind | None:
    """What is found where an entry is lacking; None where nobody can tell."""
    match entry.fields["kind"], came:
        case "countersign", _:
            return Kind.NOT_COUNTERSIGNED
        case "returned", _:
            return Kind.NOT_RETURNED
        case "query", "answered":
            return Kind.QUERY_LACKING
        case "query", _:
            return Kind.UNKNOWN_TO_OWNER
        case "answer", _:
            return Kind.ANSWER_LACKING
        case "refusal", "refused":
            return Kind.REFUSAL_LACKING
    # The home node's own refusal, of which the owner never heard.
    return None


KINDS = ("countersign", "returned", "query", "answer", "refusal")


@given(worlds(), st.data())
def test_an_entry_that_is_taken_out_is_found_and_nothing_else(
    world: World, data: st.DataObject
) -> None:
    log = data.draw(st.sampled_from((world.city, world.harbor)))
    some = ours(log, *KINDS)
    if not some:
        return
    entry = data.draw(st.sampled_from(some))
    digest = entry.fields["query_digest"]
    kind = expected(entry, outcome(world, digest))
    # Another record stands in its place, of that time.
    other = {"kind": "start", "time": entry.fields["time"]}
    log.entries[entry.index] = Entry(entry.index, b"\0" * 32, other, ())
    found = world.held()
    assert [told(one) for one in found.findings] == ([(kind, digest)] if kind else [])
    assert found.untold == []
    at = [(one.home, one.owner) for one in found.findings]
    assert all(home or owner for home, owner in at)


@given(worlds(), st.data())
def test_where_those_behind_it_moved_up_that_is_found_too(
    world: World, data: st.DataObject
) -> None:
    log = data.draw(st.sampled_from((world.city, world.harbor)))
    some = ours(log, *KINDS)
    if not some:
        return
    entry = data.draw(st.sampled_from(some))
    digest = entry.fields["query_digest"]
    kind = expected(entry, outcome(world, digest))
    del log.entries[entry.index]
    log.entries = [replace(one, index=at) for at, one in enumerate(log.entries)]
    behind = [
        one for one in ours(log, "answer")
        if one.index >= entry.index and one.fields["query_digest"] != digest
    ]  # fmt: skip
    # An answer without its countersigning or its return is found by that already.
    mine = [
        one for one in ours(log, "answer")
        if one.index >= entry.index and one.fields["query_digest"] == digest
    ]  # fmt: skip
    if mine and kind is Kind.QUERY_LACKING:
        behind += mine
    found = world.held()
    moved = [one for one in found.findings if one.kind is Kind.MOVED]
    rest = [told(one) for one in found.findings if one.kind is not Kind.MOVED]
    assert rest == ([(kind, digest)] if kind else [])
    assert [sorted(one.owner) for one in moved] == (
        [sorted(one.index for one in behind)] if behind else []
    )
    assert {one.owner_log for one in moved} <= {log.origin}


SIGNED = ("answered", "refused")
ALTERED = {
    "countersign": ("agreement", "query_id", "page", "time"),
    "query": ("agreement", "query_id", "page", "time"),
    "answer": ("agreement", "query_id", "page", "time", "count", "answer_digest"),
    "refusal": ("agreement", "query_id", "page", "time", "code"),
    "returned": (
        "agreement", "query_id", "page", "time", "count", "answer_digest", "code", "owner_log",
        "owner_leaf",
    ),
}  # fmt: skip


@given(worlds(), st.data())
def test_an_entry_that_is_altered_is_found_and_nothing_else(
    world: World, data: st.DataObject
) -> None:
    log = data.draw(st.sampled_from((world.city, world.harbor)))
    pairs = [
        (one, name)
        for one in ours(log, *ALTERED)
        for name in ALTERED[one.fields["kind"]]
        if name in one.fields and outcome(world, one.fields["query_digest"]) in SIGNED
    ]  # fmt: skip
    if not pairs:
        return
    entry, name = data.draw(st.sampled_from(pairs))
    value = "ff" * 32
    if name == "time":
        ms = START_MS - HOUR_MS if entry.fields["kind"] != "countersign" else world.ms + HOUR_MS
        value = iso(ms)
    changed = {**entry.fields, name: value}
    log.entries[entry.index] = replace(entry, fields=changed)
    found = world.held()
    digest = entry.fields["query_digest"]
    assert {told(one) for one in found.findings} == {(Kind.DIFFERS, digest)}
    (finding,) = found.findings
    assert entry.index in (*finding.home, *finding.owner)
    words = {"time": " at 20", "owner_log": "receipt is of", "owner_leaf": "by its receipt"}
    assert words.get(name, name) in finding.problem


@given(worlds(), st.data())
def test_an_entry_of_another_query_is_found_on_both_sides(
    world: World, data: st.DataObject
) -> None:
    log = data.draw(st.sampled_from((world.city, world.harbor)))
    some = ours(log, "countersign")
    if not some:
        return
    entry = data.draw(st.sampled_from(some))
    log.entries[entry.index] = replace(entry, fields={**entry.fields, "query_digest": "e" * 64})
    assert {told(one) for one in world.held().findings} == {
        (Kind.NOT_COUNTERSIGNED, entry.fields["query_digest"]),
        (Kind.UNKNOWN_TO_OWNER, "e" * 64),
    }


@given(worlds(), st.data())
def test_what_a_file_leaves_out_is_untold_and_no_finding(world: World, data: st.DataObject) -> None:
    log, other = data.draw(st.permutations((world.city, world.harbor)))
    size = len(log.entries)
    begin = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(begin + 1, size))
    items: list[Entry | Skip] = [*log.entries[:begin], Skip(begin, end, ()), *log.entries[end:]]
    found = reconcile(Book.of(log.origin, size, items), other.book())
    assert found.findings == []
    lacking = {
        one.fields["query_digest"]
        for one in log.entries[begin:end]
        if one in ours(log, *KINDS) and expected(one, outcome(world, one.fields["query_digest"]))
    }
    # Of a query that is left out on this side whole, the other side is told once.
    assert len(found.untold) <= 2 * len(lacking)
    assert bool(found.untold) == bool(lacking & {
        one.fields["query_digest"] for one in (*other.entries, *items) if isinstance(one, Entry)
        and "query_id" in one.fields
    })  # fmt: skip


def test_what_was_just_asked_is_under_way_and_then_it_is_lacking() -> None:
    world = World()
    digest = world.ask("answered", later_ms=0)
    world.harbor.entries.pop()
    found = world.held()
    assert found.findings == []
    assert [(one.log, one.index) for one in found.untold] == [("city/node", 1)]
    assert "the file ends at 2026-" in found.untold[0].why
    world.ms += SPAN_MS
    world.also()
    assert world.held().untold
    world.ms += 1000
    world.also()
    assert [told(one) for one in world.held().findings] == [(Kind.NOT_RETURNED, digest)]


def test_a_record_that_was_expunged_is_untold() -> None:
    world = World()
    world.ask("answered")
    world.done()
    gone = world.city.entries[1]
    assert gone.fields["kind"] == "answer"
    world.city.entries[1] = Entry(1, gone.leaf_hash, {}, tuple(sorted(gone.fields)))
    found = world.held()
    assert found.findings == []
    assert [(one.log, one.lacks) for one in found.untold] == [("harbor/node", "the owner's answer")]
    assert found.untold[0].why == "city/node: entry 1 is left out of the file, or was expunged"
    # The twin: what is gone is not compared.
    world.city.entries[1] = Entry(1, gone.leaf_hash, gone.fields, ("plate",))
    assert (world.held().findings, world.held().agreed) == ([], 1)


@pytest.mark.parametrize("name", ["answer_digest", "count", "agreement", "query_id"])
@pytest.mark.parametrize("kind", ["answer", "returned"])
def test_a_field_that_was_expunged_is_untold_and_not_alike(kind: str, name: str) -> None:
    world = World()
    world.ask("answered")
    world.done()
    log = world.city if kind == "answer" else world.harbor
    at = next(i for i, one in enumerate(log.entries) if one.fields["kind"] == kind)
    left = {key: value for key, value in log.entries[at].fields.items() if key != name}
    assert world.held().agreed == 1
    log.entries[at] = replace(log.entries[at], fields=left, alone=(name,))
    result = world.held()
    assert (result.agreed, result.findings) == (0, [])
    (untold,) = result.untold
    why = f"{log.origin}: part of entry {at} was expunged"
    assert (untold.log, untold.index, untold.lacks, untold.why) == (log.origin, at, name, why)


def test_an_outcome_that_was_expunged_is_untold_and_no_finding() -> None:
    world = World()
    world.ask("answered")
    world.done()
    log = world.harbor
    at = next(i for i, one in enumerate(log.entries) if one.fields["kind"] == "returned")
    left = {key: value for key, value in log.entries[at].fields.items() if key != "outcome"}
    log.entries[at] = replace(log.entries[at], fields=left, alone=("outcome",))
    result = world.held()
    assert (result.agreed, result.findings, len(result.untold)) == (0, [], 1)


def test_a_clock_put_back_at_the_end_hides_nothing() -> None:
    world = World()
    digest = world.ask("answered")
    world.done()
    world.harbor.entries[1] = Entry(1, b"", {"kind": "start", "time": iso(START_MS)}, ())
    world.harbor.add(START_MS - HOUR_MS, "start")
    assert [told(one) for one in world.held().findings] == [(Kind.NOT_RETURNED, digest)]


def test_an_entry_without_a_time_is_no_book() -> None:
    with pytest.raises(Unverified, match="entry 0: its time is none"):
        Book.of("city/node", 1, [Entry(0, b"", {"kind": "start", "time": "yesterday"}, ())])


def test_an_answer_that_a_broker_drops_is_told_with_the_brokers_own_book() -> None:
    world = World()
    digest = world.ask("answered")
    said = world.harbor.entries[1].fields
    claim = {**said, "outcome": SAID_BY_BROKER, "code": "NODE_UNREACHABLE"}
    for name in ("count", "answer_digest", "owner_log", "owner_log_index", "owner_leaf"):
        del claim[name]
    world.harbor.entries[1] = replace(world.harbor.entries[1], fields=claim)
    world.done()
    (finding,) = world.held(broker=world.broker.book()).findings
    assert told(finding) == (Kind.ANSWER_LOST, digest)
    assert (finding.home, finding.owner) == ((0, 1), (1,))
    assert "nobody signed (NODE_UNREACHABLE)" in finding.problem
    assert "exchange/broker: forward at 0: allowed, outcome at 1: answered" in finding.problem
    (alone,) = world.held().findings
    assert "exchange" not in alone.problem


def test_a_refusal_that_did_not_come_back() -> None:
    world = World()
    digest = world.ask("refused")
    said = {**world.harbor.entries[1].fields, "outcome": "unverified", "code": "ANSWER_UNVERIFIED"}
    world.harbor.entries[1] = replace(world.harbor.entries[1], fields=said)
    (finding,) = world.done().held().findings
    assert (told(finding), finding.owner) == ((Kind.REFUSAL_LOST, digest), (0,))


def test_a_query_that_home_refused_and_the_owner_answered() -> None:
    world = World()
    digest = world.ask("answered")
    refused = {**world.harbor.entries[0].fields, "kind": "refusal", "code": "OFFICER_UNKNOWN"}
    world.harbor.entries[0] = replace(world.harbor.entries[0], fields=refused)
    # What the home node refused needs no countersigning that may stand elsewhere.
    (finding,) = world.held().findings
    assert told(finding) == (Kind.NOT_COUNTERSIGNED, digest)
    assert "refused it (OFFICER_UNKNOWN)" in finding.problem


def test_one_query_answered_twice() -> None:
    world = World()
    digest = world.ask("answered", later_ms=1000)
    first = world.city.entries[1]
    world.city.add(world.ms, **{**first.fields, "answer_digest": "99" * 32, "time": iso(world.ms)})
    (finding,) = world.done().held().findings
    assert (told(finding), finding.owner) == ((Kind.ANSWERED_TWICE, digest), (1, 2))


def test_a_second_copy_that_was_refused_is_no_finding() -> None:
    world = World()
    world.ask("answered", later_ms=1000)
    common = {k: v for k, v in world.city.entries[0].fields.items() if k not in ("kind", "time")}
    world.city.add(world.ms, "refusal", **{**common, "code": "REPLAYED"})
    world.city.add(world.ms, "refusal", code="SIGNATURE_INVALID", query_digest="f" * 64)
    found = world.done().held()
    assert (found.findings, found.agreed, found.nobodys) == ([], 1, 1)


def test_a_query_that_was_altered_on_its_way_is_its_owners_refusal() -> None:
    world = World()
    digest = world.ask("answered")
    world.city.entries.clear()
    world.city.add(START_MS + 20, "refusal", code="SIGNATURE_INVALID", query_digest=digest)
    claim = {
        **world.harbor.entries[0].fields,
        "outcome": SAID_BY_BROKER,
        "code": "NODE_UNREACHABLE",
    }
    world.harbor.entries[1] = replace(world.harbor.entries[1], fields={**claim, "kind": "returned"})
    (finding,) = world.done().held().findings
    assert told(finding) == (Kind.REFUSAL_LOST, digest)


def test_receipts_that_were_kept() -> None:
    world = World()
    digests = [world.ask("answered"), world.ask("answered"), world.ask("answered", by_city=True)]
    world.done()
    kept = [
        Known(f"{log.origin}.tlog-proof", log.origin, one.index, one.leaf_hash)
        for log in (world.city, world.harbor)
        for one in ours(log, "answer")
    ]
    assert world.held(receipts=kept).findings == []
    assert world.held().findings == []
    (finding,) = world.held(receipts=kept[1:]).findings
    assert told(finding) == (Kind.RECEIPT_LACKING, digests[0])
    assert (finding.home_log, finding.home, finding.owner) == ("harbor/node", (1,), (1,))
    # Of a log of which none is given, nothing is said.
    assert world.held(receipts=kept[2:]).findings == []
    swapped = [replace(kept[0], leaf_hash=kept[1].leaf_hash), kept[1]]
    (finding,) = world.held(receipts=swapped).findings
    assert told(finding) == (Kind.RECEIPT_DIFFERS, digests[0])
    assert "city/node.tlog-proof is of another leaf" in finding.problem


def test_each_finding_says_what_to_do_and_stands_by_its_kind() -> None:
    assert set(REMEDIES) == set(Kind)
    some = [Finding(kind, "a", "b", "", (1,), (), "") for kind in reversed(Kind)]
    assert [one.kind for one in by_kind(some)] == list(Kind)
    assert all(one.remedy for one in some)


def test_what_is_compared_is_what_a_counterpart_is_given() -> None:
    assert COMPARED <= COUNTERPART <= NAMES
    assert not {"plate", "plates", "officer", "case", "reason"} & COUNTERPART
