"""How long a node keeps what it recorded, and which rule says so. Pure.

MOA IV: retention is each party's own policy. Law stands above it: of the two
the stricter counts, and where they are alike the law is named.

- A read that met no hot list: the least of ``reads_days`` and the law on reads.
- A read that met one: the least of ``reads_days`` and the law on hits; past the
  law on reads only as long as its hit is kept.
- A hit: ``hits_days``, and no longer than its read.
- A photo: the least of ``photos_days`` and the law on photos, and no longer than
  its read.
- A hot list: ``hot_list_days`` from its publication.

A read met a list if its plate stood there letter by letter, with its state: what
is only a possible hit lifts no law. All else counts from capture, to the
millisecond.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from accord.agreements.law.rules import Covers, Retention, Rule
from accord.agreements.policy import RetentionDays

DAY_MS = 86_400_000


class DataKind(Enum):
    """What has a retention of its own."""

    READS = "read"
    HITS = "hit"
    PHOTOS = "photo"
    HOT_LIST = "hot list"


@dataclass(frozen=True, slots=True)
class Limit:
    """How long something is kept, and why: ``section`` is a statute or a key of ``policy.toml``."""

    keep_ms: int
    section: str
    says: str


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one agency on one day: of each kind, and of reads that met a hot list."""

    reads: Limit
    hit_reads: Limit
    hits: Limit
    photos: Limit
    hot_list: Limit


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides about one thing: when it was captured (UTC ms), and whether it met a list.

    Of a hot list ``captured_ms`` is when its source published it.
    """

    captured_ms: int
    hit: bool = False


@dataclass(frozen=True, slots=True)
class Due:
    """The last millisecond (UTC) at which something may be there, and what says so."""

    due_ms: int
    limit: Limit


def limits(days: RetentionDays, rules: Iterable[Rule]) -> Limits:
    """Return what policy and law leave together; ``rules`` are those that bind the owner."""
    bound = [rule for rule in rules if isinstance(rule.demand, Retention)]
    reads = _policy("reads_days", days.reads_days)
    on_reads, on_hits = law_on(bound, Covers.READS), law_on(bound, Covers.HITS)
    hits = reads if days.hits_days is None else _policy("hits_days", days.hits_days)
    hit_reads = _least(*on_hits, reads)
    if on_reads:
        # Past the law on reads it is kept for its hit alone.
        hit_reads = _least(hit_reads, max(*on_reads, hits, key=_keep))
    return Limits(
        reads=_least(*on_reads, reads),
        hit_reads=hit_reads,
        hits=_least(hit_reads, hits),
        photos=_least(*law_on(bound, Covers.PHOTOS), _policy("photos_days", days.photos_days)),
        hot_list=_policy("hot_list_days", days.hot_list_days),
    )


def due(kind: DataKind, facts: Facts, limits: Limits) -> Due:
    """Return when something is due: past that moment no query sees it, and a purge takes it."""
    read = limits.hit_reads if facts.hit else limits.reads
    match kind:
        case DataKind.READS:
            limit = read
        case DataKind.HITS:
            limit = _least(read, limits.hits)
        case DataKind.PHOTOS:
            limit = _least(read, limits.photos)
        case DataKind.HOT_LIST:
            limit = limits.hot_list
    return Due(facts.captured_ms + limit.keep_ms, limit)


def _policy(key: str, days: int) -> Limit:
    return Limit(days * DAY_MS, f"policy.toml [retention] {key}", f"{days} days")


def law_on(rules: Iterable[Rule], what: Covers) -> list[Limit]:
    """Return the one shortest limit that the rules set to something; empty where they set none."""
    found = [
        Limit(rule.demand.keep_ms, rule.citation, rule.says)
        for rule in rules
        if isinstance(rule.demand, Retention) and what in rule.demand.covers
    ]
    return [_least(*found)] if found else []


def _least(*several: Limit) -> Limit:
    """Return the shortest; of those alike the first."""
    return min(several, key=_keep)


def _keep(limit: Limit) -> int:
    return limit.keep_ms
