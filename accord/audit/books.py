"""An exported log as one of two books that are held against each other. Pure.

A book has records of queries, and times of which it can say nothing: before its first entry,
if the file does not begin with the log; between entries that are left out, or whose record
was expunged; and after its last entry, since a log goes on. What the other book has from
such a time is not lacking here: it is not told.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from sys import intern
from typing import NamedTuple

from accord.audit.absence import EXPUNGED
from accord.audit.export_lines import Entry, Skip
from accord.clock import iso, to_ms
from accord.errors import Code, Unverified

# What is compared, and by what: an export that keeps one of them back tells too little.
COMPARED = frozenset(
    {
        "agency", "agreement", "answer_digest", "audience", "code", "count", "decision", "kind",
        "outcome", "owner_leaf", "owner_log", "owner_log_index", "page", "query_digest",
        "query_id", "time",
    }
)  # fmt: skip

_KINDS = frozenset({"query", "answer", "refusal", "countersign", "returned", "forward", "outcome"})
# Without one of these nobody can say what a record belongs to.
_PLACING = frozenset({"kind", "time", "query_digest", "agency", "audience"})
_ALIKE = COMPARED - {
    "answer_digest", "owner_leaf", "owner_log_index", "query_digest", "query_id", "time",
}  # fmt: skip
_NEVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Record:
    """An entry about a query; ``ms`` is its time, UTC.

    ``gone`` names what is compared and was expunged of it.
    """

    index: int
    ms: int
    leaf_hash: bytes
    fields: dict[str, str]
    gone: tuple[str, ...] = ()

    def get(self, name: str) -> str:
        """Return a field, "" where it has none."""
        return self.fields.get(name, "")


class Untold(NamedTuple):
    """From when to when, UTC ms, a book can say nothing, and why."""

    from_ms: int
    to_ms: int
    why: str


@dataclass(slots=True)
class Book:
    """What one exported log has of queries.

    ``origin`` is the log's name, such as ``harbor/node``; ``size`` how many entries the
    whole log has; ``gaps`` are indices [begin, end) that the file says nothing of.
    """

    origin: str
    size: int
    records: list[Record] = field(default_factory=list)
    untold: list[Untold] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)

    @property
    def party(self) -> str:
        """Whose log it is."""
        return self.origin.partition("/")[0]

    @property
    def is_node(self) -> bool:
        """Tell whether it is a node's log, and not a broker's."""
        return self.origin.endswith("/node")

    @classmethod
    def of(cls, origin: str, size: int, items: Iterable[Entry | Skip]) -> "Book":
        """Return the book that verified entries and what is left out between them make.

        Raises:
            Unverified: ``MALFORMED``: an entry's time is none.
        """
        book, last_ms, open_since, why = cls(origin, size), -_NEVER, None, ""
        for item in items:
            if isinstance(item, Skip):
                book.gaps.append((item.begin, item.end))
                open_since, why = (last_ms if open_since is None else open_since), _left_out(item)
                continue
            if _expunged(item):
                book.gaps.append((item.index, item.index + 1))
            if "time" not in item.fields:
                open_since = last_ms if open_since is None else open_since
                why = f"entry {item.index} was expunged"
                continue
            ms = _time(item)
            # A clock that was put back must not make what is told untold.
            last_ms = max(last_ms, ms)
            if open_since is not None:
                book.untold.append(Untold(open_since, last_ms, why))
                open_since = None
            if _expunged(item):
                book.untold.append(Untold(ms, ms, f"part of entry {item.index} was expunged"))
            elif item.fields.get("kind") in _KINDS:
                gone = tuple(name for name in item.alone if name in COMPARED)
                slim = _slim(item.fields)
                book.records.append(Record(item.index, ms, item.leaf_hash, slim, gone))
        begin = last_ms if open_since is None else open_since
        ends = f"the file ends at {iso(begin)}" if begin > 0 else "the file tells no time"
        book.untold.append(Untold(begin, _NEVER, ends))
        return book

    def why_untold(self, from_ms: int, to_ms: int) -> str:
        """Return why an entry from that time may be missing, "" where it may not."""
        for one in self.untold:
            if one.from_ms <= to_ms and from_ms <= one.to_ms:
                return one.why
        return ""

    def has(self, index: int) -> bool:
        """Tell whether the file says what is at an index."""
        return index < self.size and not any(begin <= index < end for begin, end in self.gaps)


def _expunged(entry: Entry) -> bool:
    return not _PLACING.isdisjoint(entry.alone) and entry.fields.get("kind") != EXPUNGED


def _slim(fields: Mapping[str, str]) -> dict[str, str]:
    """Return what is compared; of what many records have alike there is one copy.

    A log has a million entries, and two are held at once.
    """
    return {
        intern(name): intern(value) if name in _ALIKE else value
        for name, value in fields.items()
        if name in COMPARED
    }


def _left_out(skip: Skip) -> str:
    last = skip.end - 1
    if skip.begin == last:
        return f"entry {last} is left out of the file"
    return f"entries {skip.begin} to {last} are left out of the file"


def _time(entry: Entry) -> int:
    try:
        return to_ms(datetime.fromisoformat(entry.fields["time"]))
    except (ValueError, OverflowError):
        raise Unverified(Code.MALFORMED, f"entry {entry.index}: its time is none") from None
