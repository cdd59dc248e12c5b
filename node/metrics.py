"""The node's figures as a file for node_exporter's textfile collector: no port is opened.

``<data>/metrics.prom``, or the file that ``metrics`` in ``node.toml`` names, in
Prometheus' text format, readable to all, replaced whole every half minute while
the node serves::

    accord_node_info{version="0.1.0",agency="city",node="main"} 1
    accord_written_timestamp_seconds 1.7e+09
    accord_agreements{standing="in force"} 2
    accord_days_ahead{of="city-harbor",event="last-day"} 61
    accord_federation_problems 0
    accord_policy_usable 1
    accord_roster_usable 1
    accord_roster_age_seconds 42
    accord_leads 1
    accord_ready 1
    accord_halted 0
    accord_log_entries 4711
    accord_cosigned_entries{witness="harbor"} 4711
    accord_cosignatures_late 0
    accord_evidence 0
    accord_purge_stopped 0
    accord_purge_timestamp_seconds 1.7e+09
    accord_source_up{source="pier",way="folder"} 1
    accord_source_documents{source="pier"} 7
    accord_source_unreadable{source="pier"} 0
    accord_source_turned_away{source="pier"} 0
    accord_source_records{source="pier",outcome="taken"} 1200
    accord_source_last_timestamp_seconds{source="pier"} 1.7e+09
    accord_dead_letters{source="pier"} 3
    accord_hot_list_age_seconds{list="Stolen vehicles"} 7200
    accord_hot_list_stale{list="Stolen vehicles"} 0
    accord_hot_list_not_matched{list="Stolen vehicles"} 0

Names of agreements, agencies, sources and hot lists, and words of ours, nothing else: no plate, no
officer, no case. A figure that can't be told is left out. That the file itself
is old tells that no node serves.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from accord import __version__
from accord.agreements.effective import Standing
from accord.durable import replace_file
from accord.errors import AccordError
from node.ahead import days_ahead
from node.context import Context
from node.list_ages import Age, age_of
from node.purging import Purging
from node.readiness import why_not_ready
from node.ways.intake import Account
from node.witnessed import Witnessed

EVERY_S = 30.0
# The collector runs as another user, and nothing in it is anybody's secret.
READABLE = 0o644


def exposition(
    context: Context,
    node: str,
    accounts: Sequence[Account] = (),
    purging: Purging | None = None,
    *,
    leads: bool = True,
    witnessed: Witnessed | None = None,
) -> bytes:
    """Return the figures of this moment as Prometheus' text."""
    federation, sources = context.federation, context.sources
    now_ms = context.clock.now_ms()
    registry = CollectorRegistry()

    def gauge(name: str, help: str, **labels: str) -> Gauge:
        made = Gauge(f"accord_{name}", help, list(labels), registry=registry)
        return made.labels(**labels) if labels else made

    version = {"version": __version__, "agency": context.agency, "node": node}
    gauge("node_info", "The node that wrote this.", **version).set(1)
    gauge("written_timestamp_seconds", "When this was written, Unix time.").set(now_ms / 1000)
    leading = gauge("leads", "1 if this process does what one process of the node does for all.")
    leading.set(leads)
    agreements = list(federation.agreements.values())
    standings = Counter(agreement.stands_at(now_ms) for agreement in agreements)
    counts = Gauge("accord_agreements", "Agreements by standing.", ["standing"], registry=registry)
    for one in Standing:
        counts.labels(standing=one.value).set(standings[one])
    today, found = days_ahead(context)
    days = Gauge(
        "accord_days_ahead", "Days until the next such day.", ["of", "event"], registry=registry
    )
    # In order of days: of two of a kind, the sooner counts.
    for event in reversed(found):
        days.labels(of=event.agreement, event=event.kind.value).set((event.day - today).days)
    problems = gauge("federation_problems", "Files of the federation folder that are left out.")
    problems.set(len(federation.problems))
    gauge("policy_usable", "1 if policy.toml can be read.").set(context.policy is not None)
    roster = sources.roster
    gauge("roster_usable", "1 if the signed roster can be read.").set(roster is not None)
    if roster is not None:
        age = gauge("roster_age_seconds", "Age of the signed roster; it counts for 15 minutes.")
        age.set((now_ms - roster.as_of_ms) / 1000)
    if purging is not None:
        ready = gauge("ready", "1 if what the node stands on can be used: its health says so too.")
        ready.set(not why_not_ready(context, purging.stop))
        stopped = gauge("purge_stopped", "1 while nothing is deleted: the clock is in doubt.")
        stopped.set(purging.stop is not None)
        if purging.last_ms:
            last = gauge("purge_timestamp_seconds", "When the last purge ended, Unix time.")
            last.set(purging.last_ms / 1000)
    halted = gauge("halted", "1 while nothing is answered: the audit log is not as witnessed.")
    halted.set(bool(context.halt.why))
    if witnessed is not None:
        _of_witnesses(registry, witnessed, now_ms)
    _of_sources(registry, context, accounts)
    _of_lists(registry, context, now_ms)
    return generate_latest(registry)


def _of_witnesses(registry: CollectorRegistry, found: Witnessed, now_ms: int) -> None:
    def gauge(name: str, help: str, *labels: str) -> Gauge:
        return Gauge(f"accord_{name}", help, labels, registry=registry)

    gauge("log_entries", "Entries of the audit log.").set(found.size)
    by = gauge("cosigned_entries", "Entries that a witness vouches for.", "witness")
    for agency, size in found.by_agency.items():
        by.labels(witness=agency).set(size)
    waiting = gauge("cosignatures_late", "1 while entries lack cosignatures for too long.")
    waiting.set(found.late(now_ms))
    open_ones = [one for one in found.evidence if not one.resolved_ms]
    gauge("evidence", "Pairs of checkpoints that nobody has resolved.").set(len(open_ones))


def _of_sources(registry: CollectorRegistry, context: Context, accounts: Sequence[Account]) -> None:
    def gauge(name: str, help: str, *labels: str) -> Gauge:
        return Gauge(f"accord_{name}", help, ["source", *labels], registry=registry)

    up = gauge("source_up", "1 while the source is taken from.", "way")
    documents = gauge("source_documents", "Documents since the node started.")
    bad = gauge("source_unreadable", "Documents that were none, since the start.")
    away = gauge("source_turned_away", "Documents told to come again later, since the start.")
    records = gauge("source_records", "Records since the node started.", "outcome")
    last = gauge("source_last_timestamp_seconds", "When the last document was taken, Unix time.")
    for one in accounts:
        up.labels(source=one.name, way=one.way).set(one.up)
        documents.labels(source=one.name).set(one.documents)
        bad.labels(source=one.name).set(one.unreadable)
        away.labels(source=one.name).set(one.turned_away)
        for outcome, count in one.records.items():
            records.labels(source=one.name, outcome=outcome).set(count)
        if one.last_ms:
            last.labels(source=one.name).set(one.last_ms / 1000)
    letters = gauge("dead_letters", "Records not taken that wait to be tried again.")
    waiting: Counter[str] = Counter()
    for dead in context.store.dead_counts():
        waiting[dead.source] += dead.letters
    for source, count in waiting.items():
        letters.labels(source=source).set(count)


def _of_lists(registry: CollectorRegistry, context: Context, now_ms: int) -> None:
    def gauge(name: str, help: str) -> Gauge:
        return Gauge(f"accord_hot_list_{name}", help, ["list"], registry=registry)

    age = gauge("age_seconds", "How long ago the hot list was published.")
    stale = gauge("stale", "1 if it is older than it may be.")
    not_matched = gauge("not_matched", "1 if it is past its hard limit: it matches nothing.")
    for one in context.store.hot_lists.lists():
        age.labels(list=one.name).set((now_ms - one.published_ms) / 1000)
        stale.labels(list=one.name).set(age_of(one, now_ms) >= Age.STALE)
        not_matched.labels(list=one.name).set(age_of(one, now_ms) is Age.NOT_MATCHED)


def write(
    context: Context,
    node: str,
    path: Path,
    accounts: Sequence[Account] = (),
    purging: Purging | None = None,
    *,
    leads: bool = True,
    witnessed: Callable[[], Witnessed] | None = None,
) -> None:
    """Put the figures of this moment in the place of the last ones.

    Raises:
        InputError: the file can't be written.
    """
    found: Witnessed | None = None
    # What can't be told is left out.
    with suppress(AccordError):
        found = witnessed() if witnessed is not None else None
    text = exposition(context, node, accounts, purging, leads=leads, witnessed=found)
    replace_file(path, text, READABLE)
