"""Two books held against each other: what one has and the other lacks. Pure.

The home node writes what it vouched for (``countersign``) and what its client told came
back (``returned``); the owner's node what it received (``query``) and what it gave
(``answer``, ``refusal``). One query is one digest in both. For each agency as home and the
other as owner:

1. What was countersigned for the owner, the owner has; what the owner has of this home
   agency was countersigned.
2. What the owner gave came back, and what came back as signed by the owner, the owner has.
3. A query is answered once, and its record stands in the owner's log before the answer.
4. Both have the same agreement, query id, page, digest and count of the answer or code of
   the refusal, and times that one query can have.
5. The owner's answer stands at the index and with the leaf that its receipt gave.

What may stand where a book says nothing (:mod:`accord.audit.books`) is told as that, and
is no finding. A broker's book, if there is one, says how far a query came.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from accord.audit.books import Book, Record
from accord.audit.fields import GIVEN_AGAIN, SAID_BY_BROKER
from accord.audit.findings import Finding, Kind, Known, Untold
from accord.model import OutcomeKind

# A query may be answered for so long, by the requester's clock.
VALID_MS = 60_000
# By how much two parties' clocks may differ.
SKEW_MS = 30_000

_ANSWERED = (OutcomeKind.ANSWERED.value, OutcomeKind.TRUNCATED.value)
_REFUSED = OutcomeKind.REFUSED.value
_SAME = ("agreement", "query_id", "page")


@dataclass(slots=True)
class Reconciled:
    """What was found.

    ``agreed`` counts queries that both books tell alike, ``pages`` those of them that asked
    for a next page, ``again`` answers that were given a second time, ``unfinished`` queries
    of which neither book has an outcome, ``nobodys`` refusals of what could not be
    verified, so was nobody's.
    """

    agreed: int = 0
    pages: int = 0
    again: int = 0
    unfinished: int = 0
    nobodys: int = 0
    findings: list[Finding] = field(default_factory=list)
    untold: list[Untold] = field(default_factory=list)


def reconcile(
    one: Book,
    other: Book,
    *,
    broker: Book | None = None,
    receipts: Sequence[Known] = (),
    skew_ms: int = SKEW_MS,
) -> Reconciled:
    """Hold two nodes' books against each other, each as home and as owner.

    ``receipts`` are all that the home agency's clients keep of an owner's log; of a log of
    which none is given they are not compared.
    """
    result = Reconciled()
    carried = _by_digest(broker.records) if broker is not None else None
    for home, owner in ((one, other), (other, one)):
        pair = _Pair(home, owner, broker, carried, skew_ms, result)
        for digest, story in pair.stories():
            pair.judge(digest, story)
        pair.moved()
        pair.hold([known for known in receipts if known.origin == owner.origin])
    return result


@dataclass(slots=True)
class _Story:
    """All that both books have of one query."""

    countersigned: list[Record] = field(default_factory=list)
    home_refused: list[Record] = field(default_factory=list)
    returned: list[Record] = field(default_factory=list)
    queries: list[Record] = field(default_factory=list)
    again: list[Record] = field(default_factory=list)
    answers: list[Record] = field(default_factory=list)
    refused: list[Record] = field(default_factory=list)

    @property
    def at_owner(self) -> list[Record]:
        some = (*self.queries, *self.again, *self.answers, *self.refused)
        return sorted(some, key=lambda one: one.index)

    @property
    def at_home(self) -> list[Record]:
        some = (*self.countersigned, *self.home_refused, *self.returned)
        return sorted(some, key=lambda one: one.index)

    def came(self, *outcomes: str) -> list[Record]:
        return [one for one in self.returned if one.get("outcome") in outcomes]


class _Pair:
    """One agency as home, the other as owner."""

    def __init__(
        self,
        home: Book,
        owner: Book,
        broker: Book | None,
        carried: Mapping[str, list[Record]] | None,
        skew_ms: int,
        result: Reconciled,
    ) -> None:
        self._home = home
        self._owner = owner
        self._broker = broker
        self._carried = carried
        self._skew = skew_ms
        # From one party's first record of a query to another's last.
        self._span = VALID_MS + 2 * skew_ms
        self._result = result
        self._moved: list[tuple[Record, Record]] = []
        self._otherwise: list[tuple[list[Record], list[Record], list[str]]] = []

    def stories(self) -> Iterable[tuple[str, _Story]]:
        """Return the queries of this home agency to this owner, by digest."""
        found: dict[str, _Story] = {}
        ours = {"agency": self._home.party, "audience": self._owner.party}
        nobodys: list[Record] = []
        for record in self._home.records:
            if ours.items() <= record.fields.items():
                story = found.setdefault(record.get("query_digest"), _Story())
                match record.get("kind"):
                    case "countersign":
                        story.countersigned.append(record)
                    case "refusal":
                        story.home_refused.append(record)
                    case "returned":
                        story.returned.append(record)
        for record in self._owner.records:
            kind = record.get("kind")
            if kind == "refusal" and "agency" not in record.fields:
                nobodys.append(record)
            elif ours.items() <= record.fields.items() and kind in ("query", "answer", "refusal"):
                story = found.setdefault(record.get("query_digest"), _Story())
                if kind == "query":
                    given = record.get("decision") == GIVEN_AGAIN
                    (story.again if given else story.queries).append(record)
                else:
                    (story.answers if kind == "answer" else story.refused).append(record)
        for record in nobodys:
            # What could not be verified may be a query of ours that was altered on its way.
            if record.get("query_digest") in found:
                found[record.get("query_digest")].refused.append(record)
            else:
                self._result.nobodys += 1
        return found.items()

    def judge(self, digest: str, story: _Story) -> None:
        """Add what is to be said of one query."""
        result = self._result
        before = len(result.findings) + len(result.untold)
        result.again += len(story.again)
        if not story.countersigned:
            self._not_countersigned(digest, story)
        elif not story.at_owner:
            self._not_at_owner(digest, story)
        else:
            self._in_both(digest, story)
            self._tell_differences(digest)
            self._tell_gone(story)
        # A query that the home node itself refused is in its own book alone, and rightly.
        told = bool(story.countersigned and story.at_owner)
        if told and len(result.findings) + len(result.untold) == before:
            result.agreed += 1
            result.pages += story.countersigned[0].get("page") == "next"

    def _not_countersigned(self, digest: str, story: _Story) -> None:
        seen = story.at_owner or story.returned
        if not seen:
            return
        log = (self._owner if story.at_owner else self._home).origin
        what = f"{self._home.origin} never countersigned it"
        if story.home_refused:
            what = f"{self._home.origin} refused it ({story.home_refused[0].get('code')})"
        first = seen[0].ms
        problem = f"{log} has a query of {self._home.party} at {seen[0].index}, but {what}"
        if story.home_refused or not self._untold(
            seen[0], log, "its countersigning", self._home, first - self._span, first + self._skew
        ):
            self._find(Kind.NOT_COUNTERSIGNED, digest, story.at_home, story.at_owner, problem)

    def _not_at_owner(self, digest: str, story: _Story) -> None:
        signed = story.came(*_ANSWERED, _REFUSED)
        if signed:
            self._lacking(digest, story, signed[0])
            return
        first = story.countersigned[0]
        if self._untold(
            first, self._home.origin, "the owner's record of it",
            self._owner, first.ms - self._skew, first.ms + self._span,
        ):  # fmt: skip
            return
        came = "nothing is recorded as returned"
        if story.returned:
            came = f"what came back is {_outcome(story.returned[0])}"
        problem = f"{self._owner.origin} has nothing of the query countersigned at {first.index}"
        self._find(Kind.UNKNOWN_TO_OWNER, digest, story.at_home, [], f"{problem}; {came}")

    def _in_both(self, digest: str, story: _Story) -> None:
        if len(story.answers) > 1:
            at = ", ".join(str(one.index) for one in story.answers)
            problem = f"{self._owner.origin} answered one query several times, at {at}"
            self._find(Kind.ANSWERED_TWICE, digest, story.countersigned, story.answers, problem)
        if story.answers and not story.queries:
            self._query_lacking(digest, story)
        answered, refused = story.came(*_ANSWERED), story.came(_REFUSED)
        if answered:
            self._answered(digest, story, answered)
        elif refused and story.refused:
            self._refused(digest, story, refused[0])
        elif refused and not story.answers:
            self._lacking(digest, story, refused[0])
        elif not story.returned:
            self._nothing_returned(digest, story)
        elif any("outcome" in one.gone for one in story.returned):
            # Nobody can say now what came back.
            pass
        elif story.answers or story.refused:
            self._lost(digest, story)
        else:
            self._result.unfinished += 1
        self._same(story)

    def _query_lacking(self, digest: str, story: _Story) -> None:
        answer = story.answers[0]
        if not self._untold(
            answer, self._owner.origin, "the query that it answers",
            self._owner, answer.ms - self._span, answer.ms + self._skew,
        ):  # fmt: skip
            problem = f"{self._owner.origin} has an answer at {answer.index} without its query"
            self._find(Kind.QUERY_LACKING, digest, story.countersigned, [answer], problem)

    def _nothing_returned(self, digest: str, story: _Story) -> None:
        last = story.at_owner[-1]
        if self._untold(
            last, self._owner.origin, "what the home node's client told of it",
            self._home, last.ms - self._skew, last.ms + self._span,
        ):  # fmt: skip
            return
        gave = "received it and gave nothing"
        if story.answers or story.refused:
            what = "answered" if story.answers else "refused"
            gave = f"{what} at {(story.answers or story.refused)[0].index}"
        problem = (
            f"{self._home.origin} countersigned at {story.countersigned[0].index} and has no record"
            f" of what came back; {self._owner.origin} {gave}"
        )
        self._find(Kind.NOT_RETURNED, digest, story.at_home, story.at_owner, problem)

    def _lost(self, digest: str, story: _Story) -> None:
        """Say that what the owner gave is not what came back."""
        last = story.returned[-1]
        kind, gave = Kind.ANSWER_LOST, story.answers
        if not gave:
            kind, gave = Kind.REFUSAL_LOST, story.refused
        what = "answered" if story.answers else "refused"
        problem = (
            f"{self._owner.origin} {what} at {gave[0].index}, what {self._home.origin} has at"
            f" {last.index} is {_outcome(last)}"
        )
        self._find(kind, digest, story.at_home, gave, problem)

    def _answered(self, digest: str, story: _Story, came: list[Record]) -> None:
        for returned in came:
            told = returned.get("answer_digest")
            same = [one for one in story.answers if one.get("answer_digest") == told]
            if same or story.answers:
                self._compare(returned, (same or story.answers)[0])
            else:
                self._lacking(digest, story, returned)
                return

    def _compare(self, returned: Record, answer: Record) -> None:
        said, now = returned.get("owner_log_index"), str(answer.index)
        leaf = returned.get("owner_leaf")
        differ = _differ(returned, answer, ("answer_digest", "count"))
        if leaf and leaf != answer.leaf_hash.hex():
            differ.append(f"the leaf is {answer.leaf_hash.hex()[:16]}, by its receipt {leaf[:16]}")
        elif said and said != now and not differ:
            self._moved.append((returned, answer))
        if returned.get("owner_log") not in ("", self._owner.origin):
            differ.append(f"the receipt is of {returned.get('owner_log')}")
        differ += self._times(answer, returned, "answered", "returned")
        self._differs([returned], [answer], differ)

    def _refused(self, digest: str, story: _Story, returned: Record) -> None:
        codes = {one.get("code") for one in story.refused}
        if returned.get("code") in codes:
            same = [one for one in story.refused if one.get("code") == returned.get("code")]
            if story.answers:
                # A second copy was refused; the answer itself never came.
                self._lost(digest, story)
                return
            differ = self._times(same[0], returned, "refused", "returned")
            self._differs([returned], [same[0]], differ)
            return
        differ = _differ(returned, story.refused[0], ("code",))
        self._differs([returned], [story.refused[0]], differ)

    def _lacking(self, digest: str, story: _Story, returned: Record) -> None:
        """Say that the owner has no record of what it signed."""
        kind, what = Kind.ANSWER_LACKING, "answer"
        if returned.get("outcome") == _REFUSED:
            kind, what = Kind.REFUSAL_LACKING, "refusal"
        said = returned.get("owner_log_index")
        where = ""
        if said.isdecimal() and self._owner.has(int(said)):
            where = f": its entry {said}, which the receipt names, is another record"
        elif said.isdecimal() and int(said) < self._owner.size:
            why = f"{self._owner.origin}: entry {said} is left out of the file, or was expunged"
            self._say_untold(self._home.origin, returned.index, "the owner's answer", why)
            return
        elif self._untold(
            returned, self._home.origin, f"the owner's {what}",
            self._owner, returned.ms - self._span, returned.ms + self._skew,
        ):  # fmt: skip
            return
        elif said:
            where = f": the receipt names its entry {said}, and it has {self._owner.size} entries"
        problem = (
            f"{self._home.origin} has at {returned.index} the signed {what} that came back, but"
            f" {self._owner.origin} has none{where}"
        )
        self._find(kind, digest, story.at_home, story.at_owner, problem)

    def _same(self, story: _Story) -> None:
        """Compare what every record of one query has, and when it came."""
        vouched = story.countersigned[0]
        for one in story.returned:
            if differ := _differ(vouched, one, _SAME, "when it came back"):
                self._differs([vouched, one], [], differ)
                return
        for one in story.at_owner:
            if differ := _differ(vouched, one, _SAME):
                self._differs([vouched], [one], differ)
                return
        first = story.at_owner[0]
        differ = self._times(vouched, first, "countersigned", "with the owner")
        self._differs([vouched], [first], differ)

    def _times(self, first: Record, then: Record, one: str, other: str) -> list[str]:
        """Say whether one record can't be that long before another."""
        if -self._skew <= then.ms - first.ms <= self._span:
            return []
        return [f"{one} at {first.get('time')}, {other} at {then.get('time')}"]

    def _differs(self, home: list[Record], owner: list[Record], differ: list[str]) -> None:
        if differ:
            self._otherwise.append((home, owner, differ))

    def _tell_differences(self, digest: str) -> None:
        """Say once of a query all that its records have otherwise."""
        some, self._otherwise = self._otherwise, []
        if some:
            home = {record.index: record for records, _, _ in some for record in records}
            owner = {record.index: record for _, records, _ in some for record in records}
            words = dict.fromkeys(word for _, _, differ in some for word in differ)
            problem = "; ".join(words)
            self._find(Kind.DIFFERS, digest, [*home.values()], [*owner.values()], problem)

    def _tell_gone(self, story: _Story) -> None:
        """Say what of a query's records can't be compared any more."""
        for book, records in ((self._home, story.at_home), (self._owner, story.at_owner)):
            for one in records:
                if one.gone:
                    why = f"{book.origin}: part of entry {one.index} was expunged"
                    self._say_untold(book.origin, one.index, ", ".join(one.gone), why)

    def moved(self) -> None:
        """Say once for all of them that answers do not stand where their receipts say."""
        if not self._moved:
            return
        returned, answer = self._moved[0]
        count = len(self._moved)
        problem = (
            f"{count} answer{'s' * (count > 1)} of {self._owner.origin} not where the receipt says:"
            f" the first at {answer.index}, by its receipt at {returned.get('owner_log_index')}"
        )
        home = [one for one, _ in self._moved]
        self._find(Kind.MOVED, "", home, [one for _, one in self._moved], problem)

    def hold(self, receipts: Sequence[Known]) -> None:
        """See that each answer's receipt, as the home book has it, was kept."""
        kept: dict[int, list[Known]] = {}
        for one in receipts:
            kept.setdefault(one.index, []).append(one)
        for record in self._home.records if receipts else ():
            told, leaf = record.get("owner_log_index"), record.get("owner_leaf")
            if record.get("owner_log") != self._owner.origin or not told.isdecimal() or not leaf:
                continue
            some, digest = kept.get(int(told), []), record.get("query_digest")
            if any(one.leaf_hash.hex() == leaf for one in some):
                continue
            if some:
                kind, problem = Kind.RECEIPT_DIFFERS, f"{some[0].where} is of another leaf"
            else:
                kind, problem = Kind.RECEIPT_LACKING, "no receipt of it is kept"
            problem = f"what came back from entry {told} of {self._owner.origin}: {problem}"
            self._add(kind, digest, (record.index,), (int(told),), problem)

    def _untold(
        self, record: Record, log: str, lacks: str, book: Book, from_ms: int, to_ms: int
    ) -> bool:
        why = book.why_untold(from_ms, to_ms)
        if why:
            self._say_untold(log, record.index, lacks, f"{book.origin}: {why}")
        return bool(why)

    def _say_untold(self, log: str, index: int, lacks: str, why: str) -> None:
        self._result.untold.append(Untold(log, index, lacks, why))

    def _find(
        self, kind: Kind, digest: str, home: list[Record], owner: list[Record], problem: str
    ) -> None:
        at_home, at_owner = (tuple(sorted(r.index for r in some)) for some in (home, owner))
        if self._carried is not None and self._broker is not None and digest:
            told = ", ".join(_carried(one) for one in self._carried.get(digest, ()))
            problem += f"; {self._broker.origin}: {told or 'nothing of it'}"
        self._add(kind, digest, at_home, at_owner, problem)

    def _add(
        self, kind: Kind, digest: str, home: tuple[int, ...], owner: tuple[int, ...], problem: str
    ) -> None:
        logs = self._home.origin, self._owner.origin
        self._result.findings.append(Finding(kind, *logs, digest, home, owner, problem))


def _differ(
    home: Record, other: Record, names: Iterable[str], where: str = "at the owner"
) -> list[str]:
    """Name what two records have otherwise; a field that was expunged is not compared."""
    return [
        f"{name} is {home.fields[name][:64]} at home, {other.fields[name][:64]} {where}"
        for name in names
        if name in home.fields and name in other.fields and home.fields[name] != other.fields[name]
    ]


def _outcome(returned: Record) -> str:
    said, code = returned.get("outcome"), returned.get("code")
    if said == SAID_BY_BROKER:
        said = "the broker's own word, which nobody signed"
    return f"{said} ({code})" if code else said


def _carried(record: Record) -> str:
    said = record.get("outcome") or record.get("decision")
    code = f" ({record.get('code')})" if record.get("code") else ""
    return f"{record.get('kind')} at {record.index}: {said}{code}"


def _by_digest(records: Iterable[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        if record.get("kind") in ("forward", "outcome"):
            found.setdefault(record.get("query_digest"), []).append(record)
    return found
