"""What two books that were held against each other do not agree in, and what to do about it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a finding is of."""

    UNKNOWN_TO_OWNER = "unknown to the owner"
    NOT_COUNTERSIGNED = "not countersigned"
    NOT_RETURNED = "not told what came back"
    ANSWER_LACKING = "answer lacking at the owner"
    REFUSAL_LACKING = "refusal lacking at the owner"
    QUERY_LACKING = "query lacking at the owner"
    ANSWER_LOST = "answer did not come back"
    REFUSAL_LOST = "refusal did not come back"
    ANSWERED_TWICE = "answered twice"
    DIFFERS = "differs"
    MOVED = "not where its receipt says"
    RECEIPT_LACKING = "receipt lacking"
    RECEIPT_DIFFERS = "receipt of another record"


REMEDIES = {
    Kind.UNKNOWN_TO_OWNER: (
        "ask the broker's operator for its log of that time: who held the query up; if it was"
        " forwarded, have the owner say why its log lacks it"
    ),
    Kind.NOT_COUNTERSIGNED: (
        "have the home agency find out who used its node's key; until then suspend the agreement"
        " and have the key changed"
    ),
    Kind.NOT_RETURNED: (
        "have the home agency ask the officer's desk what came back, and look for its receipt"
    ),
    Kind.ANSWER_LACKING: (
        "hold the kept receipt and a kept checkpoint against the owner's log with"
        " accord audit verify: the owner signed what its log lacks"
    ),
    Kind.REFUSAL_LACKING: "have the owner say why its log lacks a refusal that it signed",
    Kind.QUERY_LACKING: (
        "have the owner say why its log lacks the query: it is written before the search"
    ),
    Kind.ANSWER_LOST: "ask the broker's operator for its log of that time: data left the owner",
    Kind.REFUSAL_LOST: "ask the broker's operator for its log of that time",
    Kind.ANSWERED_TWICE: "have the owner say how one query came to run twice",
    Kind.DIFFERS: (
        "hold the receipt and the signed answer against both logs with accord audit verify:"
        " the log that does not fit was altered"
    ),
    Kind.MOVED: (
        "hold the kept receipts against the owner's log with accord audit verify --receipt:"
        " entries were taken out, or put in, before them"
    ),
    Kind.RECEIPT_LACKING: "look for it at the officer's desk, with accord audit receipts",
    Kind.RECEIPT_DIFFERS: (
        "hold it against the owner's log with accord audit verify --receipt: one of the two"
        " is of another log"
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that one book has and the other lacks, or has otherwise.

    ``home`` and ``owner`` are the indices of its entries in the logs of that name.
    ``query`` is the query's digest in hex, "" where it is of several.
    """

    kind: Kind
    home_log: str
    owner_log: str
    query: str
    home: tuple[int, ...]
    owner: tuple[int, ...]
    problem: str

    @property
    def remedy(self) -> str:
        """What a person does now."""
        return REMEDIES[self.kind]


@dataclass(frozen=True, slots=True)
class Untold:
    """An entry whose other side may stand where the other book says nothing."""

    log: str
    index: int
    lacks: str
    why: str


@dataclass(frozen=True, slots=True)
class Known:
    """A receipt that a client of the home agency kept, verified by itself."""

    where: str
    origin: str
    index: int
    leaf_hash: bytes


def by_kind(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield findings, those of one kind together, in the order of :class:`Kind`."""
    place = {kind: at for at, kind in enumerate(Kind)}
    yield from sorted(findings, key=lambda one: (place[one.kind], one.home, one.owner))
