"""What the instruments of an agreement do to it. Pure; nothing here widens.

An ending moves the end of the term forward, never back. A stop forbids every
query between the party that made it and the others; a narrowing takes purposes
or kinds of data away from everybody. A resumption ends a suspension of its own
party, or what its own party held suspended by law, from its signature on, and
nothing else. A watch commander's decision ends with its last day, or as many
days after its signature as the text lets it last; the review of it, by its own
party, ends it earlier or lets it stand up to then. What the law suspends is
gone and the rest stands, unless counsel holds the essential purpose impaired. A notice that
is not what the text demands (too late, on too few channels) does nothing, and
is told as a defect: whoever wants out at once signs a suspension.

Days are counted as calendar days in the agreement's zone, the first not
counted: thirty days after 1 October is 31 October.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from accord.agreements.instruments import Instrument, InstrumentKind, ReviewOutcome
from accord.agreements.manifest import CountedFrom, Manifest, NoticeRule
from accord.agreements.manifest_file import Channel
from accord.agreements.reading import local_date
from accord.agreements.term import Term, last_days, start_of
from accord.model import Kind


@dataclass(frozen=True, slots=True)
class Ending:
    """The agreement is over at ``at_ms`` (UTC ms), by which section, in words."""

    at_ms: int
    section: str
    words: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Between ``party`` and every other of ``parties`` nobody asks in [from_ms, until_ms)."""

    party: str
    parties: frozenset[str]
    from_ms: int
    until_ms: int | None
    section: str
    words: str

    def holds(self, requester: str, owner: str, at_ms: int) -> bool:
        """Tell whether it forbids the pair at a moment."""
        pair = {requester, owner}
        begun = self.from_ms <= at_ms and (self.until_ms is None or at_ms < self.until_ms)
        return begun and self.party in pair and pair <= self.parties


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Between any two of ``parties`` these are taken away in [from_ms, until_ms)."""

    parties: frozenset[str]
    from_ms: int
    until_ms: int | None
    purposes: frozenset[str]
    kinds: frozenset[Kind]
    section: str
    words: str

    def holds(self, requester: str, owner: str, at_ms: int) -> bool:
        """Tell whether it applies to the pair at a moment."""
        begun = self.from_ms <= at_ms and (self.until_ms is None or at_ms < self.until_ms)
        return begun and {requester, owner} <= self.parties


@dataclass(frozen=True, slots=True)
class Effects:
    """All that an agreement's instruments do. ``defects``: those without effect, and why."""

    ending: Ending | None = None
    stops: tuple[Stop, ...] = ()
    narrowings: tuple[Narrowing, ...] = ()
    defects: tuple[str, ...] = ()


def effects_of(manifest: Manifest, term: Term, instruments: Sequence[Instrument]) -> Effects:
    """Return what the instruments do to an agreement with this text's term."""
    if not instruments:
        return Effects()
    endings: list[Ending] = []
    defects: list[str] = []
    for one in instruments:
        ended = _ending(manifest, term, one)
        if isinstance(ended, str):
            defects.append(f"{one.kind} of {one.party} (number {one.number}): {ended}")
        elif ended is not None:
            endings.append(ended)
        elif idle := _lifts_nothing(one, instruments):
            defects.append(f"{one.kind} of {one.party} (number {one.number}): {idle}")
    endings += _mutual(manifest, instruments)
    narrowings, stops = [], []
    for one, until_ms in _lifted(instruments):
        made = _limits(manifest, one, until_ms)
        stops += [m for m in made if isinstance(m, Stop)]
        narrowings += [m for m in made if isinstance(m, Narrowing)]
    first = min(endings, key=lambda e: e.at_ms, default=None)
    return Effects(first, tuple(stops), tuple(narrowings), tuple(defects))


def with_ending(term: Term, ending: Ending | None) -> Term:
    """Return the term, over no later than the ending says."""
    if ending is None or term.commences_ms is None:
        return term
    expires_ms = ending.at_ms if term.expires_ms is None else min(term.expires_ms, ending.at_ms)
    return replace(term, expires_ms=expires_ms)


def notice_defect(
    rule: NoticeRule, sent: dict[Channel, date], received_on: date | None, signed_on: date
) -> tuple[date | None, str]:
    """Return from which day a notice counts, or what the text demands and it lacks."""
    anyhow = Channel.ANY_WRITING in rule.channels
    demanded = frozenset(sent) if anyhow else rule.channels
    if not sent:
        return None, "it was not sent"
    if missing := sorted(demanded - sent.keys()):
        return None, f"it was not sent by {' and '.join(missing)} ({rule.section})"
    days = [*sent.values(), *([received_on] if received_on else [])]
    if any(day > signed_on for day in days):
        return None, "it names a day after its signature as one that has been"
    if rule.counted_from is CountedFrom.SENDING:
        # Served when the last demanded channel was: of two readings the later day.
        return max(day for channel, day in sent.items() if channel in demanded), ""
    if received_on is None:
        return None, f"it does not say when it was received ({rule.section})"
    if received_on < max(sent.values()):
        return None, "it was received before it was sent"
    return received_on, ""


def _ending(manifest: Manifest, term: Term, one: Instrument) -> Ending | str | None:
    """Return how a notice ends the agreement, a defect in words, or None for other kinds."""
    if one.kind is InstrumentKind.TERMINATION:
        rule = manifest.termination
        if rule is None:
            return "the agreement does not let one party alone end it"
        return _terminated(manifest, rule, one)
    if one.kind is InstrumentKind.NON_EXTENSION:
        rule = manifest.non_extension
        if rule is None:
            return "the agreement says nothing of preventing an extension"
        return _not_extended(manifest, term, rule, one)
    return None


def _counted(manifest: Manifest, rule: NoticeRule, one: Instrument) -> tuple[date | None, str]:
    signed_on = local_date(one.signed_at_ms, manifest.zone)
    return notice_defect(rule, dict(one.details.sent), one.details.received_on, signed_on)


def _terminated(manifest: Manifest, rule: NoticeRule, one: Instrument) -> Ending | str:
    counted, defect = _counted(manifest, rule, one)
    last_day = one.details.last_day
    if counted is None or last_day is None:
        return defect
    earliest = counted + timedelta(days=rule.days)
    if last_day < earliest:
        return (
            f"its last day {last_day} leaves less than {rule.days} days of notice; "
            f"the earliest is {earliest} ({rule.section})"
        )
    return _over(manifest, last_day, rule.section, f"by notice of {one.party}")


def _not_extended(
    manifest: Manifest, term: Term, rule: NoticeRule, one: Instrument
) -> Ending | str:
    counted, defect = _counted(manifest, rule, one)
    if counted is None:
        return defect
    if term.commences_ms is None:
        return "the agreement never commenced"
    for last_day in last_days(manifest, term.commences_ms):
        if last_day >= counted + timedelta(days=rule.days):
            return _over(
                manifest, last_day, rule.section, f"not extended, by notice of {one.party}"
            )
    return f"it comes less than {rule.days} days before the last period ends ({rule.section})"


def _mutual(manifest: Manifest, instruments: Iterable[Instrument]) -> Iterator[Ending]:
    """Yield the ending for each last day that every party has signed."""
    by_day: dict[date, set[str]] = {}
    for one in instruments:
        if one.kind is InstrumentKind.MUTUAL_TERMINATION and one.details.last_day is not None:
            by_day.setdefault(one.details.last_day, set()).add(one.party)
    everybody = {party.id for party in manifest.parties}
    for last_day, parties in by_day.items():
        if parties == everybody:
            yield _over(manifest, last_day, manifest.term.section, "by agreement of all parties")


def _over(manifest: Manifest, last_day: date, section: str, words: str) -> Ending:
    at_ms = start_of(last_day + timedelta(days=1), manifest.zone)
    return Ending(at_ms, section, words)


_LIFTED_BY = {
    InstrumentKind.SUSPENSION: InstrumentKind.RESUMPTION,
    InstrumentKind.SUPERSEDED_BY_LAW: InstrumentKind.RESUMPTION,
    InstrumentKind.INTERIM_DECISION: InstrumentKind.REVIEW,
}


def lifts(one: Instrument, other: Instrument) -> bool:
    """Tell whether ``other`` ends what ``one`` limits: its own party's, by the right kind."""
    return (
        other.kind is _LIFTED_BY.get(one.kind)
        and (other.party, other.details.of) == (one.party, one.number)
        and other.details.outcome is not ReviewOutcome.CONFIRMS
    )


def _lifts_nothing(one: Instrument, instruments: Iterable[Instrument]) -> str:
    """Return what is wrong with one that is to lift another; "" for other kinds."""
    if one.kind not in _LIFTED_BY.values():
        return ""
    for other in instruments:
        if (other.party, other.number) == (one.party, one.details.of):
            fits = _LIFTED_BY.get(other.kind) is one.kind
            return "" if fits else f"number {other.number} is a {other.kind}, which it can't lift"
    return f"there is no number {one.details.of}"


def last_interim_day(manifest: Manifest, one: Instrument) -> date | None:
    """Return the last day of an interim decision: no later than the text lets it last."""
    if one.details.until is None:
        return None
    signed_on = local_date(one.signed_at_ms, manifest.zone)
    return min(one.details.until, signed_on + timedelta(days=manifest.interim_days))


def _lifted(instruments: Sequence[Instrument]) -> Iterator[tuple[Instrument, int | None]]:
    """Yield each that limits, with the moment at which its own party lifted it."""
    for one in instruments:
        if one.kind not in _LIFTED_BY:
            continue
        lifted = [other.signed_at_ms for other in instruments if lifts(one, other)]
        yield one, min(lifted, default=None)


def _limits(manifest: Manifest, one: Instrument, until_ms: int | None) -> list[Stop | Narrowing]:
    said, parties = one.details, frozenset(party.id for party in manifest.parties)
    if one.kind is InstrumentKind.SUSPENSION:
        words = f"{one.party} has suspended it"
        section = manifest.policy_section
        return [Stop(one.party, parties, one.signed_at_ms, until_ms, section, words)]
    if one.kind is InstrumentKind.SUPERSEDED_BY_LAW:
        words, section = f"{one.party} holds it suspended by {said.citation}", said.citation
        if said.impairs_essential_purpose:
            words += ", which impairs its essential purpose"
    else:
        words, section = f"{said.decided_by} of {one.party} decided so", manifest.policy_section
        last_day = last_interim_day(manifest, one)
        if last_day is not None:
            ends_ms = start_of(last_day + timedelta(days=1), manifest.zone)
            until_ms = ends_ms if until_ms is None else min(until_ms, ends_ms)
    if said.all or said.impairs_essential_purpose:
        # Whoever says so: what the law suspends is suspended for every pair.
        return [
            Stop(party, parties, one.signed_at_ms, until_ms, section, words)
            for party in sorted(parties)
        ]
    if not (said.purposes or said.kinds):
        return []
    taken = (said.purposes, said.kinds)
    return [Narrowing(parties, one.signed_at_ms, until_ms, *taken, section, words)]


def unreadable(manifest: Manifest, why: str) -> tuple[Stop, ...]:
    """Return what stops everybody while the instruments can't all be read.

    What can't be read may be a suspension.
    """
    parties = frozenset(party.id for party in manifest.parties)
    section = manifest.policy_section
    return tuple(Stop(party, parties, 0, None, section, why) for party in sorted(parties))
