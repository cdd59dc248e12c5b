"""What the client hands to a person: outcomes per agency, and merged rows. Pure nouns."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from accord.envelope import Envelope
from accord.errors import AccordError
from accord.hot_lists import HotListEntry, HotListState, SharedHit
from accord.model import AnswerBody, Duty, OutcomeKind, Photo, RefusalBody, SharedRead
from accord.received import delete_by_ms


@dataclass(frozen=True, slots=True)
class AgencyOutcome:
    """What became of one agency's part of the question.

    ``signed`` tells whether the agency's own node signed it; ``claimed`` that
    it is the broker's own word. Neither holds for what came back and could not
    be verified. ``code``, ``section`` and ``text`` say why, for
    anything but an answer. ``recorded`` tells whether the home node has it in
    its book.
    """

    agency: str
    kind: OutcomeKind
    signed: bool
    rows: int = 0
    code: str = ""
    section: str = ""
    text: str = ""
    contact: str = ""
    refused_by: str = ""
    duty: Duty | None = None
    log_index: int | None = None
    recorded: bool = True
    claimed: bool = False

    @property
    def final(self) -> bool:
        """Tell whether the agency answered with all it has to say."""
        return self.kind is OutcomeKind.ANSWERED

    @classmethod
    def refused(cls, agency: str, refusal: RefusalBody) -> "AgencyOutcome":
        """Return the outcome of a verified refusal."""
        return cls(
            agency=agency,
            kind=OutcomeKind.REFUSED,
            signed=True,
            code=refusal.code.value,
            section=refusal.section,
            text=refusal.text,
            contact=refusal.contact,
            refused_by=refusal.agency,
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """A hot-list entry as an agency shared it, with what the agency says of its age."""

    agency: str
    entry: HotListEntry
    stale: bool


@dataclass(frozen=True, slots=True)
class ListState:
    """How old one of an agency's hot lists is, as it says."""

    agency: str
    state: HotListState


@dataclass(frozen=True, slots=True)
class Hit:
    """A hit as an agency shared it, with the read that it is of."""

    read: SharedRead
    shared: SharedHit

    @property
    def age_ms(self) -> int:
        """How old the list was when the read arrived, at most."""
        return self.shared.age_ms(self.read.time_step_ms)

    @property
    def read_before_list(self) -> bool:
        """Whether the vehicle passed before the list was published, and the read came late.

        By the times as they are shared: of the step in which both lie, that is not told.
        """
        return self.read.captured_ms + self.read.time_step_ms <= self.shared.entry.published_ms


@dataclass(frozen=True, slots=True)
class Proof:
    """An answer that was verified: the query that was sent, what came back, and what it says.

    ``asked_ms`` is when the query was issued, UTC ms.
    """

    query: Envelope
    answer: Envelope
    body: AnswerBody
    asked_ms: int


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that came back for one question.

    ``reads`` are merged over agencies, newest first. ``waiting`` counts reads
    received that may still be joined by an agency's next page; ask for more
    pages to see them in their place. ``warnings`` are for the person who asks.
    ``recipient`` is the agency that asked. Where hits were asked for, ``hits``
    says what each of the reads met, in their order; ``lists`` how old the hot
    lists behind an answer are. ``proofs`` are the signed answers that it was made of.
    """

    query_id: str
    outcomes: tuple[AgencyOutcome, ...]
    recipient: str = ""
    reads: tuple[SharedRead, ...] = ()
    entries: tuple[Entry, ...] = ()
    photo: Photo | None = None
    waiting: int = 0
    warnings: tuple[str, ...] = field(default=())
    hits: tuple[Hit, ...] = ()
    lists: tuple[ListState, ...] = ()
    proofs: tuple[Proof, ...] = field(default=(), repr=False)

    @property
    def complete(self) -> bool:
        """Tell whether every agency in scope answered with all it has."""
        return bool(self.outcomes) and all(outcome.final for outcome in self.outcomes)

    def delete_by_ms(self, read: SharedRead) -> int | None:
        """Return when a read of it must be deleted, UTC ms; None where nothing says so."""
        duties = (one.duty for one in self.outcomes if one.agency == read.originator)
        return delete_by_ms(read, next(duties, None))

    @property
    def refused(self) -> bool:
        """Tell whether every agency's outcome is a signed refusal: a broker's word is none."""
        return bool(self.outcomes) and all(o.kind is OutcomeKind.REFUSED for o in self.outcomes)


def hits_of(reads: Iterable[SharedRead], answers: Iterable[AnswerBody]) -> tuple[Hit, ...]:
    """Return what each read met, by the answers of the agencies that gave them."""
    met: dict[tuple[str, bytes], list[SharedHit]] = {}
    for body in answers:
        for hit in body.hits:
            met.setdefault((body.agency, hit.read_id), []).append(hit)
    return tuple(
        Hit(read, hit) for read in reads for hit in met.get((read.originator, read.read_id), ())
    )


class Incomplete(AccordError):
    """Not every agency in scope answered with all it has; ``outcomes`` says who and why."""

    def __init__(self, outcomes: tuple[AgencyOutcome, ...]) -> None:
        self.outcomes = outcomes
        said = "; ".join(
            f"{one.agency}: {one.kind.value}" + (f" ({one.code})" if one.code else "")
            for one in outcomes
            if not one.final
        )
        super().__init__(f"incomplete: {said}")
